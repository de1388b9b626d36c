//! Which field of which message means what: numbers, scales and offsets of what is read, from the profile of the FIT SDK
//! (21.218). A value is `raw / scale - offset`.
//!
//! It holds what an activity needs and nothing else; messages and fields that are not named here are passed over.

/// A field of a message.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Field {
    /// Its number in the message.
    pub number: u8,
    /// What the raw value is divided by.
    pub scale: f64,
    /// What is then taken away.
    pub offset: f64,
}

const fn plain(number: u8) -> Field {
    scaled(number, 1.0)
}

const fn scaled(number: u8, scale: f64) -> Field {
    Field { number, scale, offset: 0.0 }
}

/// Altitudes are kept in fifths of a metre above -500 m.
const fn altitude(number: u8) -> Field {
    Field { number, scale: 5.0, offset: 500.0 }
}

/// Time of the message in every message that has one, in seconds since 1989-12-31T00:00:00Z.
pub const TIMESTAMP: Field = plain(253);

/// `file_id`
pub mod file_id {
    use super::{Field, plain};
    pub const MESSAGE: u16 = 0;
    pub const TYPE: Field = plain(0);
    pub const MANUFACTURER: Field = plain(1);
    pub const PRODUCT: Field = plain(2);
    pub const SERIAL_NUMBER: Field = plain(3);
    pub const TIME_CREATED: Field = plain(4);
    pub const PRODUCT_NAME: Field = plain(8);
    pub(super) const FIELDS: &[u8] = &[0, 1, 2, 3, 4, 8];
}

/// `sport`
pub mod sport {
    use super::{Field, plain};
    pub const MESSAGE: u16 = 12;
    pub const SPORT: Field = plain(0);
    pub const SUB_SPORT: Field = plain(1);
    pub const NAME: Field = plain(3);
    pub(super) const FIELDS: &[u8] = &[0, 1, 3];
}

/// What `session` and `lap` both sum up, under numbers of their own.
#[derive(Debug, Clone, Copy)]
pub struct TotalsFields {
    pub distance: Field,
    pub calories: Field,
    /// The enhanced field, then the legacy one.
    pub avg_speed: [Field; 2],
    /// The enhanced field, then the legacy one.
    pub max_speed: [Field; 2],
    pub avg_heart_rate: Field,
    pub max_heart_rate: Field,
    pub min_heart_rate: Field,
    pub avg_cadence: Field,
    pub max_cadence: Field,
    pub avg_power: Field,
    pub max_power: Field,
    pub ascent: Field,
    pub descent: Field,
}

/// Of `session` and `lap` alike: start, elapsed seconds, timer seconds.
pub const START_TIME: Field = plain(2);
pub const ELAPSED: Field = scaled(7, 1000.0);
pub const TIMER: Field = scaled(8, 1000.0);

/// `session`
pub mod session {
    use super::{Field, TotalsFields, plain, scaled};
    pub const MESSAGE: u16 = 18;
    pub const SPORT: Field = plain(5);
    pub const SUB_SPORT: Field = plain(6);
    pub const SPORT_PROFILE_NAME: Field = plain(110);
    pub const TOTALS: TotalsFields = TotalsFields {
        distance: scaled(9, 100.0),
        calories: plain(11),
        avg_speed: [scaled(124, 1000.0), scaled(14, 1000.0)],
        max_speed: [scaled(125, 1000.0), scaled(15, 1000.0)],
        avg_heart_rate: plain(16),
        max_heart_rate: plain(17),
        min_heart_rate: plain(64),
        avg_cadence: plain(18),
        max_cadence: plain(19),
        avg_power: plain(20),
        max_power: plain(21),
        ascent: plain(22),
        descent: plain(23),
    };
    pub(super) const FIELDS: &[u8] =
        &[253, 2, 5, 6, 7, 8, 9, 11, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 64, 110, 124, 125];
}

/// `lap`
pub mod lap {
    use super::{Field, TotalsFields, plain, scaled};
    pub const MESSAGE: u16 = 19;
    pub const TRIGGER: Field = plain(24);
    pub const TOTALS: TotalsFields = TotalsFields {
        distance: scaled(9, 100.0),
        calories: plain(11),
        avg_speed: [scaled(110, 1000.0), scaled(13, 1000.0)],
        max_speed: [scaled(111, 1000.0), scaled(14, 1000.0)],
        avg_heart_rate: plain(15),
        max_heart_rate: plain(16),
        min_heart_rate: plain(63),
        avg_cadence: plain(17),
        max_cadence: plain(18),
        avg_power: plain(19),
        max_power: plain(20),
        ascent: plain(21),
        descent: plain(22),
    };
    pub(super) const FIELDS: &[u8] =
        &[253, 2, 7, 8, 9, 11, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 24, 63, 110, 111];
}

/// `record`
pub mod record {
    use super::{Field, altitude, plain, scaled};
    pub const MESSAGE: u16 = 20;
    pub const POSITION_LAT: Field = plain(0);
    pub const POSITION_LONG: Field = plain(1);
    pub const ALTITUDE: [Field; 2] = [altitude(78), altitude(2)];
    pub const HEART_RATE: Field = plain(3);
    pub const CADENCE: Field = plain(4);
    pub const DISTANCE: Field = scaled(5, 100.0);
    pub const SPEED: [Field; 2] = [scaled(73, 1000.0), scaled(6, 1000.0)];
    pub const POWER: Field = plain(7);
    /// Three bytes: speed in 12 bits, distance in 12 bits that wrap around; low bits first.
    pub const COMPRESSED_SPEED_DISTANCE: Field = plain(8);
    /// Units of a metre per second in the speed of [`COMPRESSED_SPEED_DISTANCE`].
    pub const COMPRESSED_SPEED_SCALE: f64 = 100.0;
    /// Units of a metre in the distance of [`COMPRESSED_SPEED_DISTANCE`].
    pub const COMPRESSED_DISTANCE_SCALE: f64 = 16.0;
    pub const TEMPERATURE: Field = plain(13);
    pub const CALORIES: Field = plain(33);
    pub const FRACTIONAL_CADENCE: Field = scaled(53, 128.0);
    /// Without the time stamp, which the scan has read.
    pub(super) const FIELDS: &[u8] = &[0, 1, 2, 3, 4, 5, 6, 7, 8, 13, 33, 53, 73, 78];
}

/// `event`
pub mod event {
    use super::{Field, plain};
    pub const MESSAGE: u16 = 21;
    pub const EVENT: Field = plain(0);
    pub const EVENT_TYPE: Field = plain(1);
    /// `event` of the timer.
    pub const TIMER: u8 = 0;
    /// `event_type` of a start.
    pub const START: u8 = 0;
    /// `event_type` of every kind of stop: stop, stop_all, stop_disable, stop_disable_all.
    pub const STOPS: [u8; 4] = [1, 4, 8, 9];
    pub(super) const FIELDS: &[u8] = &[0, 1];
}

/// `device_info`
pub mod device_info {
    use super::{Field, plain};
    pub const MESSAGE: u16 = 23;
    pub const DEVICE_INDEX: Field = plain(0);
    pub const MANUFACTURER: Field = plain(2);
    pub const SERIAL_NUMBER: Field = plain(3);
    pub const PRODUCT: Field = plain(4);
    /// In hundredths, as [`Device`](crate::activity::Device) keeps it.
    pub const SOFTWARE_VERSION: Field = plain(5);
    pub const SOURCE_TYPE: Field = plain(25);
    pub const PRODUCT_NAME: Field = plain(27);
    pub const BATTERY_LEVEL: Field = plain(32);
    pub(super) const FIELDS: &[u8] = &[0, 2, 3, 4, 5, 25, 27, 32];
}

/// `activity`
pub mod activity {
    use super::{Field, plain};
    pub const MESSAGE: u16 = 34;
    /// Time of the message as the clock on the wall had it.
    pub const LOCAL_TIMESTAMP: Field = plain(5);
    pub(super) const FIELDS: &[u8] = &[253, 5];
}

/// `hrv`
pub mod hrv {
    use super::{Field, plain};
    pub const MESSAGE: u16 = 78;
    /// RR intervals in 1/1000 s.
    pub const TIME: Field = plain(0);
    pub(super) const FIELDS: &[u8] = &[0];
}

/// `hr`: heart rates that a strap kept under water and handed over later.
pub mod hr {
    use super::{Field, plain, scaled};
    pub const MESSAGE: u16 = 132;
    pub const FRACTIONAL_TIMESTAMP: Field = scaled(0, 32768.0);
    pub const FILTERED_BPM: Field = plain(6);
    /// The strap's own clock in 1/1024 s, kept raw.
    pub const EVENT_TIMESTAMP: Field = plain(9);
    /// The low 12 bits of the strap's clock, packed two in three bytes.
    pub const EVENT_TIMESTAMP_12: Field = plain(10);
    pub(super) const FIELDS: &[u8] = &[253, 0, 6, 9, 10];
}

/// `field_description`: what a developer field means.
pub mod field_description {
    use super::{Field, plain};
    pub const MESSAGE: u16 = 206;
    pub const DEVELOPER_DATA_INDEX: Field = plain(0);
    pub const FIELD_DEFINITION_NUMBER: Field = plain(1);
    pub const FIT_BASE_TYPE: Field = plain(2);
    pub const SCALE: Field = plain(6);
    pub const OFFSET: Field = plain(7);
    pub const NATIVE_MESG_NUM: Field = plain(14);
    pub const NATIVE_FIELD_NUM: Field = plain(15);
    pub(super) const FIELDS: &[u8] = &[0, 1, 2, 6, 7, 14, 15];
}

/// The fields that are read of a message; none of a message that is not read.
pub fn fields(message: u16) -> &'static [u8] {
    match message {
        file_id::MESSAGE => file_id::FIELDS,
        sport::MESSAGE => sport::FIELDS,
        session::MESSAGE => session::FIELDS,
        lap::MESSAGE => lap::FIELDS,
        record::MESSAGE => record::FIELDS,
        event::MESSAGE => event::FIELDS,
        device_info::MESSAGE => device_info::FIELDS,
        activity::MESSAGE => activity::FIELDS,
        hrv::MESSAGE => hrv::FIELDS,
        hr::MESSAGE => hr::FIELDS,
        field_description::MESSAGE => field_description::FIELDS,
        _ => &[],
    }
}

/// A base type as files have it: its code, and the bytes of one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BaseType {
    /// The code with bit 7 where it belongs.
    pub code: u8,
    /// Bytes of one value.
    pub size: u8,
}

/// The base type of a code. The number is in the low five bits; some encoders forget bit 7, which only says that bytes
/// have an order. `None` for numbers that nothing is known of.
pub fn base_type(code: u8) -> Option<BaseType> {
    let (code, size) = match code & 0x1F {
        0 => (0x00, 1),
        1 => (0x01, 1),
        2 => (0x02, 1),
        3 => (0x83, 2),
        4 => (0x84, 2),
        5 => (0x85, 4),
        6 => (0x86, 4),
        7 => (0x07, 1),
        8 => (0x88, 4),
        9 => (0x89, 8),
        10 => (0x0A, 1),
        11 => (0x8B, 2),
        12 => (0x8C, 4),
        13 => (0x0D, 1),
        14 => (0x8E, 8),
        15 => (0x8F, 8),
        16 => (0x90, 8),
        _ => return None,
    };
    Some(BaseType { code, size })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_types_are_known_with_and_without_their_highest_bit() {
        assert_eq!(base_type(0x86), base_type(0x06));
        assert_eq!(base_type(0x84), Some(BaseType { code: 0x84, size: 2 }));
        assert_eq!(base_type(0x33), None);
    }

    #[test]
    fn every_field_of_the_totals_is_asked_for() {
        for (message, totals) in [(session::MESSAGE, session::TOTALS), (lap::MESSAGE, lap::TOTALS)]
        {
            let TotalsFields { avg_speed: [a, b], max_speed: [c, d], .. } = totals;
            for field in [
                totals.distance,
                totals.calories,
                totals.avg_heart_rate,
                totals.max_heart_rate,
                totals.min_heart_rate,
                totals.avg_cadence,
                totals.max_cadence,
                totals.avg_power,
                totals.max_power,
                totals.ascent,
                totals.descent,
                a,
                b,
                c,
                d,
                START_TIME,
                ELAPSED,
                TIMER,
            ] {
                assert!(fields(message).contains(&field.number), "{message} {field:?}");
            }
        }
    }
}
