//! The checksum of FIT files, CRC-16/ARC (polynomial 0x8005 reflected, start 0), eight bytes at a time: two passes over a
//! file must cost little beside reading its values.

/// `TABLES[0]` is the usual table; `TABLES[n][byte]` is what `byte` has become after `n` further zero bytes.
static TABLES: [[u16; 256]; 8] = tables();

const fn tables() -> [[u16; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u16;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xA001 } else { crc >> 1 };
            bit += 1;
        }
        tables[0][byte] = crc;
        byte += 1;
    }
    let mut n = 1;
    while n < 8 {
        let mut byte = 0;
        while byte < 256 {
            let crc = tables[n - 1][byte];
            tables[n][byte] = (crc >> 8) ^ tables[0][(crc & 0xFF) as usize];
            byte += 1;
        }
        n += 1;
    }
    tables
}

/// The checksum of what `crc` is the checksum of, and `bytes` behind it. Begin with 0.
pub fn update(mut crc: u16, bytes: &[u8]) -> u16 {
    let (eights, rest) = bytes.as_chunks::<8>();
    for &[a, b, c, d, e, f, g, h] in eights {
        let [low, high] = crc.to_le_bytes();
        crc = TABLES[7][usize::from(a ^ low)]
            ^ TABLES[6][usize::from(b ^ high)]
            ^ TABLES[5][usize::from(c)]
            ^ TABLES[4][usize::from(d)]
            ^ TABLES[3][usize::from(e)]
            ^ TABLES[2][usize::from(f)]
            ^ TABLES[1][usize::from(g)]
            ^ TABLES[0][usize::from(h)];
    }
    for byte in rest {
        crc = (crc >> 8) ^ TABLES[0][usize::from((crc as u8) ^ byte)];
    }
    crc
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_crc_16_arc() {
        assert_eq!(update(0, b"123456789"), 0xBB3D);
        assert_eq!(update(update(0, b"12345"), b"6789"), 0xBB3D);
    }

    #[test]
    fn eight_at_a_time_is_the_same_as_one_at_a_time() {
        let bytes: Vec<u8> =
            (0..=255).cycle().take(1000).map(|n: u8| n.wrapping_mul(167)).collect();
        let singly = bytes.iter().fold(0, |crc, byte| update(crc, &[*byte]));
        assert_eq!(update(0, &bytes), singly);
    }
}
