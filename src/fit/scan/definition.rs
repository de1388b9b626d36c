//! Definitions: what the messages of a local number are made of.

use crate::fit::table::{self, TIMESTAMP};

/// A field as a definition has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FieldDefinition {
    /// Number of the field in its message.
    pub number: u8,
    /// Bytes.
    pub size: u8,
    /// Base type as written.
    pub base_type: u8,
}

/// A developer field as a definition has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeveloperField {
    /// Number of the field among the developer's.
    pub number: u8,
    /// Bytes.
    pub size: u8,
    /// Which developer.
    pub developer: u8,
}

/// What the messages of one local number are made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// Which definition of the file this is, from 1.
    pub serial: u64,
    /// Number of the message in the profile.
    pub message: u16,
    /// Byte order of what follows.
    pub big_endian: bool,
    /// Fields, in order.
    pub fields: Vec<FieldDefinition>,
    /// Developer fields, in order, behind the others.
    pub developer_fields: Vec<DeveloperField>,
    /// Bytes of a message without its header byte.
    pub size: usize,
    /// Where in a message its time stamp stands, if it has one of four bytes.
    pub(super) timestamp_at: Option<usize>,
}

impl Definition {
    /// Reads a definition of which all bytes are there, its header byte first.
    pub(super) fn read(bytes: &[u8], serial: u64) -> Self {
        let big_endian = bytes[2] == 1;
        let message = [bytes[3], bytes[4]];
        let message =
            if big_endian { u16::from_be_bytes(message) } else { u16::from_le_bytes(message) };
        let (native, developer) = bytes[6..].split_at(3 * usize::from(bytes[5]));
        let fields: Vec<FieldDefinition> = native
            .as_chunks()
            .0
            .iter()
            .map(|&[number, size, base_type]| FieldDefinition { number, size, base_type })
            .collect();
        let developer_fields: Vec<DeveloperField> = developer
            .get(1..)
            .unwrap_or(&[])
            .as_chunks()
            .0
            .iter()
            .map(|&[number, size, developer]| DeveloperField { number, size, developer })
            .collect();
        let mut size = 0;
        let mut timestamp_at = None;
        for field in &fields {
            if field.number == TIMESTAMP.number && is_time(*field) {
                timestamp_at = Some(size);
            }
            size += usize::from(field.size);
        }
        size += developer_fields.iter().map(|field| usize::from(field.size)).sum::<usize>();
        Self { serial, message, big_endian, fields, developer_fields, size, timestamp_at }
    }
}

/// Whether a field is one unsigned number of four bytes.
fn is_time(field: FieldDefinition) -> bool {
    field.size == 4 && table::base_type(field.base_type).is_some_and(|base| base.code == 0x86)
}
