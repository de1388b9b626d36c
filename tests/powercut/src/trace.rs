//! What was recorded, in the order of its arrival: block writes, flushes, log lines, delivered lines.
//!
//! On disk: the size of the disk (8 bytes, little endian), then records of `kind 1 | offset 8 | length 8 | data`.

use std::io::{BufWriter, Read, Write};
use std::path::Path;

use anyhow::{Context, Result, bail};

/// What a record is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Bytes were written to the disk.
    Write,
    /// The disk was told to make everything before this durable.
    Flush,
    /// The daemon wrote to its log.
    Log,
    /// The daemon's file sink wrote to its file.
    Delivered,
    /// Cuts begin: what comes before is the past.
    Begin,
}

impl Kind {
    const ALL: [(Self, u8); 5] = [
        (Self::Write, b'W'),
        (Self::Flush, b'F'),
        (Self::Log, b'L'),
        (Self::Delivered, b'D'),
        (Self::Begin, b'B'),
    ];

    fn byte(self) -> u8 {
        Self::ALL.into_iter().find(|(kind, _)| *kind == self).map_or(b'?', |(_, byte)| byte)
    }

    fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|(_, known)| *known == byte).map(|(kind, _)| kind)
    }
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) kind: Kind,
    /// Where on the disk, for a write.
    pub(crate) offset: u64,
    pub(crate) data: Vec<u8>,
}

impl Record {
    pub(crate) fn new(kind: Kind, offset: u64, data: &[u8]) -> Self {
        Self { kind, offset, data: data.to_vec() }
    }
}

/// Everything that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trace {
    pub(crate) disk_size: usize,
    pub(crate) records: Vec<Record>,
}

impl Trace {
    /// Writes it to a file.
    pub(crate) fn save(&self, path: &Path) -> std::io::Result<()> {
        let mut file = BufWriter::new(std::fs::File::create(path)?);
        file.write_all(&(self.disk_size as u64).to_le_bytes())?;
        for record in &self.records {
            file.write_all(&[record.kind.byte()])?;
            file.write_all(&record.offset.to_le_bytes())?;
            file.write_all(&(record.data.len() as u64).to_le_bytes())?;
            file.write_all(&record.data)?;
        }
        file.flush()
    }

    /// Reads it back.
    pub(crate) fn load(path: &Path) -> Result<Self> {
        let mut bytes = Vec::new();
        std::fs::File::open(path)
            .and_then(|mut file| file.read_to_end(&mut bytes))
            .with_context(|| format!("reading the trace {}", path.display()))?;
        Self::parse(&bytes).with_context(|| format!("{} is no trace", path.display()))
    }

    fn parse(mut rest: &[u8]) -> Result<Self> {
        let disk_size = usize::try_from(number(&mut rest)?)?;
        let mut records = Vec::new();
        while let Some((&byte, behind)) = rest.split_first() {
            rest = behind;
            let kind = Kind::from_byte(byte).context("unknown kind of record")?;
            let offset = number(&mut rest)?;
            let length = usize::try_from(number(&mut rest)?)?;
            let (data, behind) = rest.split_at_checked(length).context("torn record")?;
            rest = behind;
            records.push(Record::new(kind, offset, data));
        }
        let trace = Self { disk_size, records };
        trace.check()?;
        Ok(trace)
    }

    fn check(&self) -> Result<()> {
        for record in self.of_kind(Kind::Write) {
            let end = usize::try_from(record.1.offset)? + record.1.data.len();
            if end > self.disk_size {
                bail!("a write ends behind the end of the disk");
            }
        }
        Ok(())
    }

    /// The records of a kind, with their places.
    pub(crate) fn of_kind(&self, kind: Kind) -> impl Iterator<Item = (usize, &Record)> {
        self.records.iter().enumerate().filter(move |(_, record)| record.kind == kind)
    }
}

fn number(rest: &mut &[u8]) -> Result<u64> {
    let (bytes, behind) = rest.split_first_chunk::<8>().context("torn record")?;
    *rest = behind;
    Ok(u64::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_comes_back_as_it_was_saved() {
        let trace = Trace {
            disk_size: 4096,
            records: vec![
                Record::new(Kind::Write, 512, b"abc"),
                Record::new(Kind::Flush, 0, b""),
                Record::new(Kind::Log, 0, b"committed up=1 entries=1\n"),
            ],
        };
        let path = std::env::temp_dir().join(format!("powercut-trace-{}", std::process::id()));
        trace.save(&path).unwrap();
        let loaded = Trace::load(&path);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(loaded.unwrap(), trace);
    }

    #[test]
    fn a_write_behind_the_end_is_refused() {
        let mut bytes = 8_u64.to_le_bytes().to_vec();
        bytes.push(b'W');
        bytes.extend(6_u64.to_le_bytes());
        bytes.extend(3_u64.to_le_bytes());
        bytes.extend(b"abc");
        assert!(Trace::parse(&bytes).is_err());
    }
}
