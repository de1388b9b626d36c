//! From the bytes of a message to its values, by fitparser. No other file names it.
//!
//! fitparser trips over much that real files hold: it prints a line to stderr for each odd field (333 MB for one hostile
//! file), gives a file up for a developer field that nobody described, panics on sizes it believes, and adds up
//! differences it should unwrap. So it never sees the file. It is handed one message at a time in the form it reads
//! without fail: a header of ours, definitions of ours that hold only the fields somebody here asks for, each a whole
//! number of values of a known type, and the bytes of just these. That is also what makes it fast. Scales, accumulated
//! fields and times are not its business (`table`, `stream`).

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use fitparser::Value;
use fitparser::de::{DecodeOption, FitDataMessage, FitObject, FitStreamProcessor};

use super::scan::{Definition, Frame};
use super::table::{self, BaseType, Field};

/// Fourteen bytes without a checksum. The size is more than is fed before the processor is made anew, and fits into the
/// `usize` of a 32-bit machine.
const HEADER: [u8; 14] = [14, 0x20, 0, 0, 0xFF, 0xFF, 0xFF, 0x7F, b'.', b'F', b'I', b'T', 0, 0];
/// Bytes that one processor is fed.
const FED_MAX: usize = 1 << 30;
/// Most groups of fields in a message. Seventeen types, and more than one group only for long arrays and texts.
const GROUPS_MAX: usize = 32;
/// Code of the type of texts.
const TEXT: u8 = 0x07;

/// What a developer field stands for where the device has no value of its own.
#[derive(Debug, Clone, Copy)]
struct Substitute {
    message: u16,
    base: BaseType,
    field: Field,
}

/// Where a wanted field is among what fitparser reads.
#[derive(Debug, Clone, Copy)]
struct Slot {
    number: u8,
    /// Which group.
    group: u8,
    /// Its first value in the group.
    first: u8,
    /// How many values it has.
    count: u8,
    /// Scale and offset of a developer field that stands in for a field of the device.
    own: Option<Field>,
}

/// Fields of one type: fitparser takes them for a single field with several values, which costs it a fraction.
struct Group {
    base: BaseType,
    size: u8,
    /// From where in the message, how many bytes.
    pieces: Vec<(usize, usize)>,
}

/// How the wanted fields of a definition are cut out.
#[derive(Default)]
struct Plan {
    /// Serial number of the definition; 0 is none.
    serial: u64,
    /// From where in the message, how many bytes, in the order of the groups.
    pieces: Vec<(usize, usize)>,
    slots: Vec<Slot>,
    groups: usize,
    /// The definition for fitparser; empty if nothing of the message is wanted.
    definition: Vec<u8>,
    /// Fields that cannot be read as they are defined.
    unreadable: bool,
}

/// Reads the messages of one segment.
pub struct Decoder {
    processor: Option<FitStreamProcessor>,
    plans: [Plan; 16],
    /// Whose definition each local number has in the processor.
    loaded: [u64; 16],
    fed: usize,
    scratch: Vec<u8>,
    /// The values of the groups of the latest message.
    values: Vec<Value>,
    substitutes: HashMap<(u8, u8), Substitute>,
    skipped: u64,
}

/// The wanted values of one message.
pub struct Message<'d> {
    slots: &'d [Slot],
    groups: &'d [Value],
}

impl Decoder {
    /// At the beginning of a segment.
    pub fn new() -> Self {
        Self {
            processor: None,
            plans: Default::default(),
            loaded: [0; 16],
            fed: 0,
            scratch: Vec::new(),
            values: Vec::new(),
            substitutes: HashMap::new(),
            skipped: 0,
        }
    }

    /// Messages that could not be read, or not with all of their fields.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// The values of a message; `None` if nothing of it is wanted or it cannot be read.
    pub fn read(&mut self, frame: &Frame<'_>) -> Option<Message<'_>> {
        let local = usize::from(frame.local);
        if self.plans[local].serial != frame.definition.serial {
            self.plans[local] = Plan::new(frame.local, frame.definition, &self.substitutes);
        }
        self.skipped += u64::from(self.plans[local].unreadable);
        if self.plans[local].definition.is_empty() {
            return None;
        }
        let message = catch_unwind(AssertUnwindSafe(|| self.feed(frame))).unwrap_or(None);
        let Some(mut message) = message else {
            // Whatever state it is in now, it is not used again.
            self.processor = None;
            self.skipped += 1;
            return None;
        };
        self.values.clear();
        self.values.resize(self.plans[local].groups, Value::Invalid);
        for (group, value) in message.fields.drain() {
            if let Some(place) = self.values.get_mut(usize::from(group)) {
                *place = value;
            }
        }
        let message = Message { slots: &self.plans[local].slots, groups: &self.values };
        if frame.definition.message == table::field_description::MESSAGE
            && let Some((developer_field, substitute)) = Substitute::described(&message)
        {
            self.substitutes.insert(developer_field, substitute);
        }
        Some(message)
    }

    /// Has fitparser read one message.
    fn feed(&mut self, frame: &Frame<'_>) -> Option<FitDataMessage> {
        let local = usize::from(frame.local);
        if self.processor.is_none() || self.fed > FED_MAX {
            self.loaded = [0; 16];
            self.fed = 0;
            let mut processor = FitStreamProcessor::new();
            processor.add_option(DecodeOption::SkipHeaderCrcValidation);
            processor.add_option(DecodeOption::SkipDataCrcValidation);
            processor.deserialize_next(&HEADER).ok()?;
            self.processor = Some(processor);
        }
        let processor = self.processor.as_mut()?;
        let plan = &self.plans[local];
        if self.loaded[local] != plan.serial {
            processor.deserialize_next(&plan.definition).ok()?;
            self.loaded[local] = plan.serial;
            self.fed += plan.definition.len();
        }
        self.scratch.clear();
        self.scratch.push(frame.local);
        for &(from, size) in &plan.pieces {
            self.scratch.extend_from_slice(frame.bytes.get(from..from + size)?);
        }
        self.fed += self.scratch.len();
        match processor.deserialize_next(&self.scratch) {
            Ok(([], FitObject::DataMessage(message))) => Some(message),
            _ => None,
        }
    }
}

impl Substitute {
    /// What a description says: which developer field, and what it stands for.
    fn described(message: &Message<'_>) -> Option<((u8, u8), Self)> {
        use table::field_description as description;
        let developer = message.whole(description::DEVELOPER_DATA_INDEX)?;
        let number = message.whole(description::FIELD_DEFINITION_NUMBER)?;
        let scale = message.number(description::SCALE).filter(|scale| *scale > 0.0);
        let field = Field {
            number: message.whole(description::NATIVE_FIELD_NUM)?,
            scale: scale.unwrap_or(1.0),
            offset: message.number(description::OFFSET).unwrap_or(0.0),
        };
        let base = table::base_type(message.whole(description::FIT_BASE_TYPE)?)?;
        let message = message.whole(description::NATIVE_MESG_NUM)?;
        Some(((developer, number), Self { message, base, field }))
    }
}

impl Plan {
    fn new(local: u8, definition: &Definition, described: &HashMap<(u8, u8), Substitute>) -> Self {
        let mut plan = Self { serial: definition.serial, ..Self::default() };
        let wanted = table::fields(definition.message);
        if wanted.is_empty() {
            return plan;
        }
        let mut groups = Vec::new();
        let mut at = 0;
        for field in &definition.fields {
            if wanted.contains(&field.number) {
                let base = table::base_type(field.base_type);
                let taken = base.is_some_and(|base| {
                    plan.take(&mut groups, at, field.size, base, field.number, None)
                });
                plan.unreadable |= !taken;
            }
            at += usize::from(field.size);
        }
        for field in &definition.developer_fields {
            if let Some(substitute) = described.get(&(field.developer, field.number))
                && substitute.message == definition.message
                && wanted.contains(&substitute.field.number)
                && !plan.slots.iter().any(|slot| slot.number == substitute.field.number)
            {
                let Substitute { base, field: own, .. } = *substitute;
                plan.take(&mut groups, at, field.size, base, own.number, Some(own));
            }
            at += usize::from(field.size);
        }
        let [high, low] = definition.message.to_be_bytes();
        let message = if definition.big_endian { [high, low] } else { [low, high] };
        plan.definition.extend([0x40 | local, 0, u8::from(definition.big_endian)]);
        plan.definition.extend(message);
        plan.definition.push(groups.len() as u8);
        plan.groups = groups.len();
        for (number, group) in (0..).zip(groups) {
            plan.definition.extend([number, group.size, group.base.code]);
            plan.pieces.extend(group.pieces);
        }
        plan
    }

    /// Has a field read that is `size` bytes at `at`; false if it cannot be.
    fn take(
        &mut self,
        groups: &mut Vec<Group>,
        at: usize,
        size: u8,
        base: BaseType,
        number: u8,
        own: Option<Field>,
    ) -> bool {
        if size == 0 || !size.is_multiple_of(base.size) {
            return false;
        }
        // A text is all of its field.
        let joins = |group: &Group| {
            group.base == base && base.code != TEXT && group.size.checked_add(size).is_some()
        };
        let group = groups.iter().position(joins).unwrap_or(groups.len());
        if group == GROUPS_MAX {
            return false;
        }
        if group == groups.len() {
            groups.push(Group { base, size: 0, pieces: Vec::new() });
        }
        let to = &mut groups[group];
        let (first, count) =
            (to.size / base.size, if base.code == TEXT { 1 } else { size / base.size });
        to.pieces.push((at, usize::from(size)));
        to.size += size;
        self.slots.push(Slot { number, group: group as u8, first, count, own });
        true
    }
}

impl Message<'_> {
    /// The values of a field, with its scale and offset: the profile's, or those of the developer field in its place.
    /// Of a field that is there twice, the last that says something counts.
    fn values(&self, field: Field) -> (&[Value], Field) {
        for slot in self.slots.iter().rev().filter(|slot| slot.number == field.number) {
            let values = match &self.groups[usize::from(slot.group)] {
                Value::Array(values) => values.as_slice(),
                value => std::slice::from_ref(value),
            };
            let first = usize::from(slot.first);
            let values = values.get(first..first + usize::from(slot.count)).unwrap_or(&[]);
            if values.iter().any(|value| !matches!(value, Value::Invalid)) {
                return (values, slot.own.unwrap_or(field));
            }
        }
        (&[], field)
    }

    /// A field that is one number, in its unit.
    pub fn number(&self, field: Field) -> Option<f64> {
        match self.values(field) {
            ([value], Field { scale, offset, .. }) => Some(numeric(value)? / scale - offset),
            _ => None,
        }
    }

    /// The first of two fields that is one number: the enhanced one, then the legacy one.
    pub fn either(&self, [enhanced, legacy]: [Field; 2]) -> Option<f64> {
        self.number(enhanced).or_else(|| self.number(legacy))
    }

    /// A field that is one number, as an integer that it fits into. Fractions are rounded.
    pub fn whole<T: TryFrom<i64>>(&self, field: Field) -> Option<T> {
        integer(self.number(field)?)
    }

    /// The numbers in a field, of which there may be several, in its unit. What is invalid is left out.
    pub fn numbers(&self, field: Field) -> impl Iterator<Item = f64> {
        let (values, Field { scale, offset, .. }) = self.values(field);
        values.iter().filter_map(numeric).map(move |raw| raw / scale - offset)
    }

    /// The bytes in a field, whatever they mean: a byte that is no valid number by itself is one too.
    pub fn bytes(&self, field: Field) -> impl Iterator<Item = u8> {
        let byte = |value: &Value| match value {
            Value::Invalid => Some(0xFF),
            value => numeric(value).and_then(integer),
        };
        self.values(field).0.iter().filter_map(byte)
    }

    /// A field that is text; empty text is none. At most 64 characters are kept, none of them a control character.
    pub fn text(&self, field: Field) -> Option<String> {
        let ([Value::String(text)], _) = self.values(field) else { return None };
        let text: String = text.chars().filter(|c| !c.is_control()).take(64).collect();
        let text = text.trim();
        (!text.is_empty()).then(|| text.to_owned())
    }
}

fn integer<T: TryFrom<i64>>(number: f64) -> Option<T> {
    // Beyond 2^53 a float holds no integers worth the name.
    (number.abs() < 9e15).then(|| T::try_from(number.round() as i64).ok()).flatten()
}

fn numeric(value: &Value) -> Option<f64> {
    Some(match *value {
        Value::Byte(v) | Value::Enum(v) | Value::UInt8(v) | Value::UInt8z(v) => f64::from(v),
        Value::SInt8(v) => f64::from(v),
        Value::SInt16(v) => f64::from(v),
        Value::UInt16(v) | Value::UInt16z(v) => f64::from(v),
        Value::SInt32(v) => f64::from(v),
        Value::UInt32(v) | Value::UInt32z(v) => f64::from(v),
        Value::Float32(v) => f64::from(v),
        Value::Float64(v) => v,
        Value::SInt64(v) => v as f64,
        Value::UInt64(v) | Value::UInt64z(v) => v as f64,
        Value::String(_) | Value::Timestamp(_) | Value::Array(_) | Value::Invalid => return None,
    })
}
