//! Writes FIT files as they should not be. (What the product writes is another matter.)
#![allow(dead_code, unreachable_pub, reason = "no test needs everything")]

/// A file in the making: the messages of one segment, and what is put in raw.
#[derive(Default)]
pub struct Writer {
    messages: Vec<u8>,
    behind: Vec<u8>,
}

impl Writer {
    /// Bytes so far.
    pub fn len(&self) -> usize {
        self.messages.len() + self.behind.len()
    }

    /// Says what the file is: made by development's product 1, number 7, in 2026.
    pub fn file_id(&mut self, kind: u8) {
        self.define(0, 0, &[(0, 1, 0x00), (1, 2, 0x84), (2, 2, 0x84), (3, 4, 0x8C), (4, 4, 0x86)]);
        self.message(0, &[kind, 255, 0, 1, 0, 7, 0, 0, 0, 0x80, 0x9B, 0x8B, 0x44]);
    }

    /// Defines what messages of a local number are made of: number, size and base type of each field.
    pub fn define(&mut self, local: u8, message: u16, fields: &[(u8, u8, u8)]) {
        self.messages.extend([0x40 | local, 0, 0]);
        self.messages.extend(message.to_le_bytes());
        self.messages.push(fields.len() as u8);
        fields.iter().for_each(|&(number, size, base)| self.messages.extend([number, size, base]));
    }

    /// The same with developer fields: number, size and developer of each.
    pub fn define_with(
        &mut self,
        local: u8,
        message: u16,
        fields: &[(u8, u8, u8)],
        developer: &[(u8, u8, u8)],
    ) {
        let at = self.messages.len();
        self.define(local, message, fields);
        self.messages[at] |= 0x20;
        self.messages.push(developer.len() as u8);
        developer
            .iter()
            .for_each(|&(number, size, index)| self.messages.extend([number, size, index]));
    }

    /// Describes a developer field that stands for a field of `record`.
    pub fn describe(&mut self, developer: u8, number: u8, base: u8, native: u8) {
        self.define(15, 206, &[(0, 1, 2), (1, 1, 2), (2, 1, 2), (14, 2, 0x84), (15, 1, 2)]);
        self.message(15, &[developer, number, base, 20, 0, native]);
    }

    /// A message.
    pub fn message(&mut self, local: u8, bytes: &[u8]) {
        self.messages.push(local);
        self.messages.extend(bytes);
    }

    /// Whatever, behind the segment.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.behind.extend(bytes);
    }

    /// The file.
    pub fn finish(self) -> Vec<u8> {
        let mut file = vec![14, 0x20, 0, 0];
        file.extend((self.messages.len() as u32).to_le_bytes());
        file.extend(b".FIT");
        file.extend(checksum(&file).to_le_bytes());
        file.extend(self.messages);
        file.extend(checksum(&file).to_le_bytes());
        file.extend(self.behind);
        file
    }
}

/// CRC-16/ARC, a byte at a time.
pub fn checksum(bytes: &[u8]) -> u16 {
    let step = |crc: u16, _| if crc & 1 == 1 { (crc >> 1) ^ 0xA001 } else { crc >> 1 };
    let table: Vec<u16> = (0..256).map(|byte: u16| (0..8).fold(byte, step)).collect();
    bytes.iter().fold(0, |crc, byte| (crc >> 8) ^ table[usize::from(crc as u8 ^ byte)])
}
