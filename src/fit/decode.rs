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

/// What a developer field stands for where the device has no value of its own.
#[derive(Debug, Clone, Copy)]
struct Substitute {
    message: u16,
    base: BaseType,
    field: Field,
}

/// How the wanted fields of a definition are cut out.
#[derive(Default)]
struct Plan {
    /// Serial number of the definition; 0 is none.
    serial: u64,
    /// From where, how many bytes.
    pieces: Vec<(usize, usize)>,
    /// Fields that are given by developer fields, with the scale of these.
    substitutes: Vec<Field>,
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
    substitutes: HashMap<(u8, u8), Substitute>,
    skipped: u64,
}

/// The wanted values of one message.
pub struct Message {
    inner: FitDataMessage,
    substitutes: Vec<Field>,
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
            substitutes: HashMap::new(),
            skipped: 0,
        }
    }

    /// Messages that could not be read, or not with all of their fields.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// The values of a message; `None` if nothing of it is wanted or it cannot be read.
    pub fn read(&mut self, frame: &Frame<'_>) -> Option<Message> {
        let local = usize::from(frame.local);
        if self.plans[local].serial != frame.definition.serial {
            self.plans[local] = Plan::new(frame.local, frame.definition, &self.substitutes);
        }
        self.skipped += u64::from(self.plans[local].unreadable);
        if self.plans[local].definition.is_empty() {
            return None;
        }
        let message = catch_unwind(AssertUnwindSafe(|| self.feed(frame))).unwrap_or(None);
        let Some(inner) = message else {
            // Whatever state it is in now, it is not used again.
            self.processor = None;
            self.skipped += 1;
            return None;
        };
        let message = Message { inner, substitutes: self.plans[local].substitutes.clone() };
        if frame.definition.message == table::field_description::MESSAGE {
            self.describe(&message);
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

    /// Keeps what a developer field stands for.
    fn describe(&mut self, message: &Message) {
        use table::field_description as description;
        let byte = |field| message.whole::<u8>(field);
        let (Some(developer), Some(number), Some(base), Some(native_message), Some(native)) = (
            byte(description::DEVELOPER_DATA_INDEX),
            byte(description::FIELD_DEFINITION_NUMBER),
            byte(description::FIT_BASE_TYPE).and_then(table::base_type),
            message.whole::<u16>(description::NATIVE_MESG_NUM),
            byte(description::NATIVE_FIELD_NUM),
        ) else {
            return;
        };
        let scale = message.number(description::SCALE).filter(|scale| *scale > 0.0);
        let offset = message.number(description::OFFSET);
        let field =
            Field { number: native, scale: scale.unwrap_or(1.0), offset: offset.unwrap_or(0.0) };
        let substitute = Substitute { message: native_message, base, field };
        self.substitutes.insert((developer, number), substitute);
    }
}

impl Plan {
    fn new(local: u8, definition: &Definition, described: &HashMap<(u8, u8), Substitute>) -> Self {
        let mut plan = Self { serial: definition.serial, ..Self::default() };
        let wanted = table::fields(definition.message);
        if wanted.is_empty() {
            return plan;
        }
        let mut fields = Vec::new();
        let mut at = 0;
        for field in &definition.fields {
            let size = usize::from(field.size);
            if wanted.contains(&field.number) {
                match table::base_type(field.base_type) {
                    Some(base) if whole(field.size, base) => {
                        plan.pieces.push((at, size));
                        fields.push([field.number, field.size, base.code]);
                    }
                    _ => plan.unreadable = true,
                }
            }
            at += size;
        }
        for field in &definition.developer_fields {
            let size = usize::from(field.size);
            if let Some(substitute) = described.get(&(field.developer, field.number))
                && substitute.message == definition.message
                && wanted.contains(&substitute.field.number)
                && whole(field.size, substitute.base)
                && !fields.iter().any(|[number, ..]| *number == substitute.field.number)
                && fields.len() < 255
            {
                plan.pieces.push((at, size));
                fields.push([substitute.field.number, field.size, substitute.base.code]);
                plan.substitutes.push(substitute.field);
            }
            at += size;
        }
        let [high, low] = definition.message.to_be_bytes();
        let message = if definition.big_endian { [high, low] } else { [low, high] };
        plan.definition.extend([0x40 | local, 0, u8::from(definition.big_endian)]);
        plan.definition.extend(message);
        // Every one of them stands in a definition that has at most 255, or was counted.
        plan.definition.push(fields.len() as u8);
        plan.definition.extend(fields.as_flattened());
        plan
    }
}

/// Whether a field of `size` bytes is one or more whole values.
fn whole(size: u8, base: BaseType) -> bool {
    size > 0 && size.is_multiple_of(base.size)
}

impl Message {
    fn raw(&self, field: Field) -> Option<&Value> {
        self.inner.fields().get(&field.number)
    }

    /// The scale and offset of a field: the profile's, or those of the developer field in its place.
    fn measure(&self, field: Field) -> Field {
        let own = self.substitutes.iter().find(|own| own.number == field.number);
        own.copied().unwrap_or(field)
    }

    /// A field that is one number, in its unit.
    pub fn number(&self, field: Field) -> Option<f64> {
        let Field { scale, offset, .. } = self.measure(field);
        numeric(self.raw(field)?).map(|raw| raw / scale - offset)
    }

    /// The first of two fields that is one number: the enhanced one, then the legacy one.
    pub fn either(&self, [enhanced, legacy]: [Field; 2]) -> Option<f64> {
        self.number(enhanced).or_else(|| self.number(legacy))
    }

    /// A field that is one number, as an integer that it fits into. Fractions are rounded.
    pub fn whole<T: TryFrom<i64>>(&self, field: Field) -> Option<T> {
        integer(self.number(field)?)
    }

    fn values(&self, field: Field) -> &[Value] {
        match self.raw(field) {
            Some(Value::Array(values)) => values,
            Some(value) => std::slice::from_ref(value),
            None => &[],
        }
    }

    /// The numbers in a field, of which there may be several, in its unit. What is invalid is left out.
    pub fn numbers(&self, field: Field) -> impl Iterator<Item = f64> {
        let Field { scale, offset, .. } = self.measure(field);
        self.values(field).iter().filter_map(numeric).map(move |raw| raw / scale - offset)
    }

    /// The bytes in a field, whatever they mean: a byte that is no valid number by itself is one too.
    pub fn bytes(&self, field: Field) -> impl Iterator<Item = u8> {
        let byte = |value: &Value| match value {
            Value::Invalid => Some(0xFF),
            value => numeric(value).and_then(integer),
        };
        self.values(field).iter().filter_map(byte)
    }

    /// A field that is text; empty text is none. At most 64 characters are kept, none of them a control character.
    pub fn text(&self, field: Field) -> Option<String> {
        let Some(Value::String(text)) = self.raw(field) else { return None };
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
