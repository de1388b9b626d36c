//! `device_data`: what recorded, and what else took part.

use serde::Serialize;

use crate::activity::{Activity, Device};

/// Polar, as numbered in the FIT profile.
const POLAR: u16 = 123;
/// A heart-rate strap, as numbered in the FIT profile for what is connected by Bluetooth LE, and by ANT+.
const STRAP: [u8; 2] = [1, 120];

/// Terra's `DeviceData`.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct DeviceData {
    #[serde(flatten)]
    device: OtherDevice,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    other_devices: Vec<OtherDevice>,
}

/// Terra's `OtherDeviceData`.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct OtherDevice {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    manufacturer: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    serial_number: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    software_version: Option<String>,
    /// Terra's `DeviceDataType`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    data_provided: Vec<&'static str>,
}

impl DeviceData {
    /// The devices of an activity. The strap comes first where we recorded (`Workout::effort`), else whatever recorded.
    pub(super) fn of(activity: &Activity, ours: Recorded) -> Option<Self> {
        let is_strap = |device: &&Device| device.device_type.is_some_and(|t| STRAP.contains(&t));
        let strap = activity.devices.iter().find(is_strap);
        let recorder = activity.devices.iter().find(|device| device.index == 0);
        let main = match ours {
            Recorded::ByUs => strap.or(recorder),
            Recorded::ByDevice => recorder,
        };
        let others = activity.devices.iter().filter(|device| main != Some(*device));
        let other_devices: Vec<_> = others.map(OtherDevice::of).collect();
        let mut device = match main {
            Some(device) => OtherDevice::of(device),
            None => OtherDevice::of(&origin(activity)),
        };
        device.data_provided = data_provided(activity);
        let is_known = device.name.is_some() || device.manufacturer.is_some();
        (is_known || !other_devices.is_empty()).then_some(Self { device, other_devices })
    }
}

/// Who recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Recorded {
    /// This box, from a strap.
    ByUs,
    /// The device that made the file.
    ByDevice,
}

fn origin(activity: &Activity) -> Device {
    Device {
        manufacturer: activity.origin.manufacturer,
        serial: activity.origin.serial,
        product_name: activity.origin.product_name.clone(),
        ..Device::default()
    }
}

impl OtherDevice {
    fn of(device: &Device) -> Self {
        let serial = device.serial.filter(|serial| *serial != 0);
        // Polar prints ids in hex.
        let serial_number = serial.map(|serial| match device.manufacturer {
            Some(POLAR) => format!("{serial:08X}"),
            _ => serial.to_string(),
        });
        Self {
            name: device.product_name.clone(),
            manufacturer: device.manufacturer.and_then(manufacturer),
            serial_number,
            software_version: device
                .software_version
                .map(|version| format!("{}.{:02}", version / 100, version % 100)),
            data_provided: Vec::new(),
        }
    }
}

/// Makers, as numbered in the FIT profile. 255, "development", is nobody's name.
fn manufacturer(number: u16) -> Option<&'static str> {
    Some(match number {
        1 => "Garmin",
        9 => "SRM",
        23 => "Suunto",
        32 => "Wahoo Fitness",
        38 => "Osynce",
        41 => "Shimano",
        69 => "Stages Cycling",
        89 => "Tacx",
        POLAR => "Polar",
        258 => "Lezyne",
        260 => "Zwift",
        263 => "Favero Electronics",
        265 => "Strava",
        267 => "Bryton",
        289 => "Hammerhead",
        294 => "COROS",
        _ => return None,
    })
}

fn data_provided(activity: &Activity) -> Vec<&'static str> {
    let totals = &activity.totals;
    let has_rate = activity.counts.hr_samples > 0 || totals.avg_hr_bpm.is_some();
    [
        (has_rate, "HEART_RATE"),
        (totals.calories_kcal.is_some(), "CALORIES"),
        (totals.distance_m.is_some(), "DISTANCE"),
        (totals.avg_speed_mps.is_some(), "SPEED"),
        (totals.avg_cadence_rpm.is_some(), "CADENCE"),
    ]
    .into_iter()
    .filter_map(|(is_there, name)| is_there.then_some(name))
    .collect()
}
