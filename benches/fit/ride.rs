//! A long ride, made: 26 bytes a record, as an ordinary bike computer writes them.

use std::fs::File;
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::path::Path;

const RECORD: [(u8, u8, u8); 10] = [
    (253, 4, 0x86), // timestamp
    (0, 4, 0x85),   // position_lat
    (1, 4, 0x85),   // position_long
    (5, 4, 0x86),   // distance
    (2, 2, 0x84),   // altitude
    (6, 2, 0x84),   // speed
    (3, 1, 0x02),   // heart_rate
    (4, 1, 0x02),   // cadence
    (7, 2, 0x84),   // power
    (13, 1, 0x01),  // temperature
];

fn define(file: &mut Vec<u8>, local: u8, message: u16, fields: &[(u8, u8, u8)]) {
    file.extend([0x40 | local, 0, 0]);
    file.extend(message.to_le_bytes());
    file.push(fields.len() as u8);
    fields.iter().for_each(|&(number, size, base)| file.extend([number, size, base]));
}

/// Writes a ride of about so many bytes.
pub fn write(path: &Path, bytes: usize) {
    let mut file = BufWriter::new(File::create(path).unwrap());
    let mut sum = Sum(0);
    file.write_all(&[0; 14]).unwrap();
    let mut begin = Vec::new();
    let start = 1_150_000_000u32;
    define(&mut begin, 0, 0, &[(0, 1, 0x00), (1, 2, 0x84), (3, 4, 0x8C), (4, 4, 0x86)]);
    begin.extend([0, 4, 255, 0, 1, 2, 3, 4]);
    begin.extend(start.to_le_bytes());
    define(&mut begin, 1, 20, &RECORD);
    let mut size = begin.len();
    sum.add(&begin);
    file.write_all(&begin).unwrap();
    let mut record = Vec::with_capacity(26);
    let records = (bytes - 100) as u32 / 26;
    for n in 0..records {
        record.clear();
        record.push(1);
        record.extend((start + n).to_le_bytes());
        record.extend((581_000_000 + (n % 100_000) as i32 * 7).to_le_bytes());
        record.extend((28_000_000 + (n % 77_777) as i32 * 5).to_le_bytes());
        record.extend((n * 8).to_le_bytes());
        record.extend((2600 + (n / 10 % 500) as u16).to_le_bytes());
        record.extend((8000 + (n % 1000) as u16).to_le_bytes());
        record.extend([120 + (n / 7 % 40) as u8, 80 + (n % 20) as u8]);
        record.extend((180 + (n % 90) as u16).to_le_bytes());
        record.push(20);
        sum.add(&record);
        size += record.len();
        file.write_all(&record).unwrap();
    }
    let mut end = Vec::new();
    define(&mut end, 2, 18, &[(253, 4, 0x86), (2, 4, 0x86), (7, 4, 0x86), (8, 4, 0x86), (5, 1, 0)]);
    end.push(2);
    let elapsed = u64::from(records) * 1000;
    end.extend((start + records).to_le_bytes());
    end.extend(start.to_le_bytes());
    end.extend((elapsed as u32).to_le_bytes());
    end.extend((elapsed as u32).to_le_bytes());
    end.push(2);
    sum.add(&end);
    size += end.len();
    file.write_all(&end).unwrap();

    let mut header = vec![14, 0x20, 0, 0];
    header.extend((size as u32).to_le_bytes());
    header.extend(b".FIT");
    let mut of_header = Sum(0);
    of_header.add(&header);
    header.extend(of_header.0.to_le_bytes());
    file.write_all(&sum.0.to_le_bytes()).unwrap();
    file.seek(SeekFrom::Start(0)).unwrap();
    file.write_all(&header).unwrap();
    file.flush().unwrap();
}

/// CRC-16/ARC, bit by bit: slow, and not ours.
struct Sum(u16);

impl Sum {
    fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 ^= u16::from(*byte);
            for _ in 0..8 {
                self.0 = if self.0 & 1 == 1 { (self.0 >> 1) ^ 0xA001 } else { self.0 >> 1 };
            }
        }
    }
}
