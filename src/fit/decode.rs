//! From the bytes of a message to its values, by fitparser. No other file names it.
//!
//! fitparser trips over much that real files hold: it prints a line to stderr for each odd field (333 MB for one hostile
//! file), gives a file up for a developer field that nobody described, panics on sizes it believes, and adds up
//! differences it should unwrap. So it never sees the file. It is handed messages in the form it reads without fail: a
//! header of ours, definitions of ours that hold only the fields somebody here asks for, each a whole number of values of
//! a known type, and the bytes of just these. Most of what it costs is by message and by field, so the fields of one type
//! are one field to it, and up to 32 records in a row are one message. Scales, accumulated fields and times are not its
//! business (`table`, `stream`).

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use fitparser::Value;
use fitparser::de::{DecodeOption, FitObject, FitStreamProcessor};

use super::scan::{Definition, Frame};
use super::table::{self, BaseType, Field};

/// Fourteen bytes without a checksum. The size is more than is fed before the processor is made anew, and fits into the
/// `usize` of a 32-bit machine.
const HEADER: [u8; 14] = [14, 0x20, 0, 0, 0xFF, 0xFF, 0xFF, 0x7F, b'.', b'F', b'I', b'T', 0, 0];
/// Bytes that one processor is fed.
const FED_MAX: usize = 1 << 30;
/// Most groups of fields in a message. Seventeen types, and more than one group only for long arrays and texts.
const GROUPS_MAX: usize = 32;
/// Most messages that are read as one.
const ROWS_MAX: usize = 32;
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
#[derive(Debug, Clone, Copy)]
struct Group {
    base: BaseType,
    /// Bytes in one message.
    size: u8,
}

/// How the wanted fields of a definition are cut out.
#[derive(Default)]
struct Plan {
    /// Serial number of the definition; 0 is none.
    serial: u64,
    message: u16,
    big_endian: bool,
    /// To which group, from where in the message, how many bytes.
    pieces: Vec<(usize, usize, usize)>,
    slots: Vec<Slot>,
    /// None if nothing of the message is wanted.
    groups: Vec<Group>,
    /// How many messages can be read as one.
    rows_max: usize,
    /// Fields that cannot be read as they are defined.
    unreadable: bool,
}

/// Messages of one definition that are read as one.
#[derive(Default)]
struct Batch {
    local: u8,
    /// Serial number of the definition; 0 is none.
    serial: u64,
    /// The time of each message.
    times: Vec<Option<u32>>,
    /// The bytes of each group, message by message.
    groups: Vec<Vec<u8>>,
}

/// Reads the messages of one segment.
pub struct Decoder {
    processor: Option<FitStreamProcessor>,
    plans: [Plan; 16],
    /// Whose definition each local number has in the processor, and for how many messages at once.
    loaded: [(u64, usize); 16],
    fed: usize,
    batch: Batch,
    scratch: Vec<u8>,
    /// The values of the groups of the latest batch.
    values: Vec<Value>,
    substitutes: HashMap<(u8, u8), Substitute>,
    skipped: u64,
}

/// The wanted values of one message.
pub struct Message<'d> {
    plan: &'d Plan,
    groups: &'d [Value],
    /// Which of the messages that were read as one.
    row: usize,
}

impl Decoder {
    /// At the beginning of a segment.
    pub fn new() -> Self {
        Self {
            processor: None,
            plans: Default::default(),
            loaded: Default::default(),
            fed: 0,
            batch: Batch::default(),
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

    /// The values of a message; `None` if nothing of it is wanted or it cannot be read. What was
    /// [gathered](Self::gather) must be [given](Self::give) before.
    pub fn read(&mut self, frame: &Frame<'_>) -> Option<Message<'_>> {
        let read = self.gather(frame, None) && self.run();
        self.batch.times.clear();
        if !read {
            return None;
        }
        let plan = &self.plans[usize::from(frame.local)];
        let message = Message { plan, groups: &self.values, row: 0 };
        if plan.message == table::field_description::MESSAGE
            && let Some((developer_field, substitute)) = Substitute::described(&message)
        {
            self.substitutes.insert(developer_field, substitute);
        }
        Some(message)
    }

    /// Whether a message can be read as one with those that were gathered.
    pub fn joins(&self, frame: &Frame<'_>) -> bool {
        let plan = &self.plans[usize::from(frame.local)];
        self.batch.serial == frame.definition.serial && self.batch.times.len() < plan.rows_max
    }

    /// Gathers a message that [joins](Self::joins) those before, or is the first. False if nothing of it is wanted.
    pub fn gather(&mut self, frame: &Frame<'_>, time: Option<u32>) -> bool {
        let plan = &mut self.plans[usize::from(frame.local)];
        if plan.serial != frame.definition.serial {
            *plan = Plan::new(frame.definition, &self.substitutes);
        }
        self.skipped += u64::from(plan.unreadable);
        let wanted = !table::fields(plan.message).is_empty();
        if !wanted {
            return false;
        }
        let batch = &mut self.batch;
        if batch.times.is_empty() {
            (batch.local, batch.serial) = (frame.local, plan.serial);
            batch.groups.resize_with(plan.groups.len().max(batch.groups.len()), Vec::new);
        }
        for &(group, from, size) in &plan.pieces {
            batch.groups[group].extend_from_slice(&frame.bytes[from..from + size]);
        }
        batch.times.push(time);
        true
    }

    /// Reads what was gathered and gives one message after the other, each with its time.
    pub fn give(&mut self, to: &mut dyn FnMut(&Message<'_>, Option<u32>)) {
        if !self.batch.times.is_empty() && self.run() {
            let plan = &self.plans[usize::from(self.batch.local)];
            for (row, time) in self.batch.times.iter().enumerate() {
                to(&Message { plan, groups: &self.values, row }, *time);
            }
        }
        self.batch.times.clear();
    }

    /// Has fitparser read what was gathered; false if it cannot.
    fn run(&mut self) -> bool {
        let rows = self.batch.times.len();
        let read = catch_unwind(AssertUnwindSafe(|| self.feed(rows))).unwrap_or(None).is_some();
        if !read {
            // Whatever state it is in now, it is not used again.
            self.processor = None;
            self.skipped += rows as u64;
        }
        self.batch.serial = 0;
        self.batch.groups.iter_mut().for_each(Vec::clear);
        read
    }

    fn feed(&mut self, rows: usize) -> Option<()> {
        let local = usize::from(self.batch.local);
        if self.processor.is_none() || self.fed > FED_MAX {
            self.loaded = Default::default();
            self.fed = 0;
            let mut processor = FitStreamProcessor::new();
            processor.add_option(DecodeOption::SkipHeaderCrcValidation);
            processor.add_option(DecodeOption::SkipDataCrcValidation);
            processor.deserialize_next(&HEADER).ok()?;
            self.processor = Some(processor);
        }
        let processor = self.processor.as_mut()?;
        let plan = &self.plans[local];
        if self.loaded[local] != (plan.serial, rows) {
            self.scratch.clear();
            plan.define(self.batch.local, rows, &mut self.scratch);
            processor.deserialize_next(&self.scratch).ok()?;
            self.loaded[local] = (plan.serial, rows);
            self.fed += self.scratch.len();
        }
        self.scratch.clear();
        self.scratch.push(self.batch.local);
        for group in &self.batch.groups {
            self.scratch.extend_from_slice(group);
        }
        self.fed += self.scratch.len();
        let Ok(([], FitObject::DataMessage(mut message))) =
            processor.deserialize_next(&self.scratch)
        else {
            return None;
        };
        self.values.clear();
        self.values.resize(plan.groups.len(), Value::Invalid);
        for (group, value) in message.fields.drain() {
            *self.values.get_mut(usize::from(group))? = value;
        }
        Some(())
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
    fn new(definition: &Definition, described: &HashMap<(u8, u8), Substitute>) -> Self {
        let mut plan = Self {
            serial: definition.serial,
            message: definition.message,
            big_endian: definition.big_endian,
            ..Self::default()
        };
        let wanted = table::fields(definition.message);
        let mut at = 0;
        for field in &definition.fields {
            if wanted.contains(&field.number) {
                let base = table::base_type(field.base_type);
                let taken =
                    base.is_some_and(|base| plan.take(at, field.size, base, field.number, None));
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
                plan.take(at, field.size, base, own.number, Some(own));
            }
            at += usize::from(field.size);
        }
        let fits =
            |group: &Group| if group.base.code == TEXT { 1 } else { usize::from(255 / group.size) };
        plan.rows_max = plan.groups.iter().map(fits).min().unwrap_or(ROWS_MAX).min(ROWS_MAX);
        plan
    }

    /// Has a field read that is `size` bytes at `at`; false if it cannot be.
    fn take(
        &mut self,
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
        let group = self.groups.iter().position(joins).unwrap_or(self.groups.len());
        if group == GROUPS_MAX {
            return false;
        }
        if group == self.groups.len() {
            self.groups.push(Group { base, size: 0 });
        }
        let to = &mut self.groups[group];
        let count = if base.code == TEXT { 1 } else { size / base.size };
        self.slots.push(Slot {
            number,
            group: group as u8,
            first: to.size / base.size,
            count,
            own,
        });
        self.pieces.push((group, at, usize::from(size)));
        to.size += size;
        true
    }

    /// The definition of `rows` messages as one, for fitparser.
    fn define(&self, local: u8, rows: usize, to: &mut Vec<u8>) {
        let [high, low] = self.message.to_be_bytes();
        let message = if self.big_endian { [high, low] } else { [low, high] };
        to.extend([0x40 | local, 0, u8::from(self.big_endian)]);
        to.extend(message);
        to.push(self.groups.len() as u8);
        for (number, group) in (0..).zip(&self.groups) {
            // `rows_max` keeps it below 256.
            to.extend([number, group.size * rows as u8, group.base.code]);
        }
    }
}

impl Message<'_> {
    /// The values of a field, with its scale and offset: the profile's, or those of the developer field in its place.
    /// Of a field that is there twice, the last that says something counts.
    fn values(&self, field: Field) -> (&[Value], Field) {
        for slot in self.plan.slots.iter().rev().filter(|slot| slot.number == field.number) {
            let group = usize::from(slot.group);
            let values = match &self.groups[group] {
                Value::Array(values) => values.as_slice(),
                value => std::slice::from_ref(value),
            };
            let Group { base, size } = self.plan.groups[group];
            let first = self.row * usize::from(size / base.size) + usize::from(slot.first);
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
