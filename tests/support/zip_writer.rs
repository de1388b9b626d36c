//! Archives as nobody packs them: each number in them can be a lie.

use std::io::Write;

use flate2::Compression;
use flate2::write::DeflateEncoder;

/// What an archive says of a file in it.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub name: Vec<u8>,
    pub method: u16,
    pub crc: u32,
    pub packed: u32,
    pub size: u32,
    /// Where its local header is.
    pub at: u32,
    pub extra: Vec<u8>,
    pub comment: Vec<u8>,
}

pub(crate) fn deflated(bytes: &[u8]) -> Vec<u8> {
    let mut packer = DeflateEncoder::new(Vec::new(), Compression::best());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

/// An archive in the making.
#[derive(Debug, Default)]
pub(crate) struct ZipMaker {
    pub bytes: Vec<u8>,
    pub entries: Vec<Entry>,
}

impl ZipMaker {
    /// Adds a file, packed.
    pub(crate) fn file(&mut self, name: &str, bytes: &[u8]) -> &mut Entry {
        let (packed, crc) = (deflated(bytes), crc32fast::hash(bytes));
        self.packed(name, &packed, bytes.len(), crc)
    }

    /// Adds a file that is packed already.
    pub(crate) fn packed(
        &mut self,
        name: &str,
        packed: &[u8],
        size: usize,
        crc: u32,
    ) -> &mut Entry {
        self.entries.push(Entry {
            name: name.as_bytes().to_vec(),
            method: 8,
            crc,
            packed: packed.len() as u32,
            size: size as u32,
            at: self.bytes.len() as u32,
            extra: Vec::new(),
            comment: Vec::new(),
        });
        self.bytes.extend(b"PK\x03\x04\x14\x00\x00\x00\x08\x00\x00\x00\x00\x00");
        self.bytes.extend([0; 12]);
        self.bytes.extend((name.len() as u16).to_le_bytes());
        self.bytes.extend([0; 2]);
        self.bytes.extend(name.as_bytes());
        self.bytes.extend(packed);
        self.entries.last_mut().unwrap()
    }

    /// The archive, with the number of files that it has.
    pub(crate) fn finish(self) -> Vec<u8> {
        let count = self.entries.len();
        self.finish_saying(count as u16)
    }

    /// The archive, with a number of files that somebody says it has.
    pub(crate) fn finish_saying(mut self, count: u16) -> Vec<u8> {
        let start = self.bytes.len();
        for entry in std::mem::take(&mut self.entries) {
            self.bytes.extend(entry.central());
        }
        let size = self.bytes.len() - start;
        self.bytes.extend(b"PK\x05\x06\x00\x00\x00\x00");
        self.bytes.extend(count.to_le_bytes());
        self.bytes.extend(count.to_le_bytes());
        self.bytes.extend((size as u32).to_le_bytes());
        self.bytes.extend((start as u32).to_le_bytes());
        self.bytes.extend([0; 2]);
        self.bytes
    }

    /// The archive with the wider numbers of ZIP64.
    pub(crate) fn finish_wide(mut self, count: u64) -> Vec<u8> {
        let start = self.bytes.len() as u64;
        for entry in std::mem::take(&mut self.entries) {
            self.bytes.extend(entry.central());
        }
        let end = self.bytes.len() as u64;
        self.bytes.extend(b"PK\x06\x06");
        self.bytes.extend(44u64.to_le_bytes());
        self.bytes.extend([45, 0, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        for number in [count, count, end - start, start] {
            self.bytes.extend(number.to_le_bytes());
        }
        self.bytes.extend(b"PK\x06\x07\x00\x00\x00\x00");
        self.bytes.extend(end.to_le_bytes());
        self.bytes.extend(1u32.to_le_bytes());
        self.bytes.extend(b"PK\x05\x06\x00\x00\x00\x00");
        self.bytes.extend([0xFF; 12]);
        self.bytes.extend([0; 2]);
        self.bytes
    }
}

impl Entry {
    fn central(&self) -> Vec<u8> {
        let mut bytes = b"PK\x01\x02\x14\x00\x14\x00\x00\x00".to_vec();
        bytes.extend(self.method.to_le_bytes());
        bytes.extend([0; 4]);
        for number in [self.crc, self.packed, self.size] {
            bytes.extend(number.to_le_bytes());
        }
        for part in [&self.name, &self.extra, &self.comment] {
            bytes.extend((part.len() as u16).to_le_bytes());
        }
        bytes.extend([0; 8]);
        bytes.extend(self.at.to_le_bytes());
        for part in [&self.name, &self.extra, &self.comment] {
            bytes.extend(part);
        }
        bytes
    }
}
