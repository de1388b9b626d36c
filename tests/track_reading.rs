//! What is made of TCX and GPX files: laps, pauses, identity, extensions, encodings, damage, limits; and any bytes at all.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use proptest::prelude::*;
use pulsegate::activity::{Item, Pause, Position, Sample, UnixMs};
use pulsegate::fit::{Class, FileKind, FileReport, Limits};
use pulsegate::track;

/// 2026-06-10T04:00:00Z.
const START: UnixMs = UnixMs::from_seconds(1_781_064_000);

fn read_with(bytes: &[u8], limits: &Limits) -> (FileReport, Vec<Sample>) {
    let mut samples = Vec::new();
    let mut sink = |_, item| {
        if let Item::Sample(sample) = item {
            samples.push(sample);
        }
    };
    let report = track::read(bytes, limits, &mut || true, &mut sink).unwrap();
    (report, samples)
}

fn read(bytes: impl AsRef<[u8]>) -> (FileReport, Vec<Sample>) {
    read_with(bytes.as_ref(), &Limits::default())
}

fn at(seconds: i64) -> UnixMs {
    START.plus_ms(seconds * 1000)
}

fn stamp(seconds: i64) -> String {
    at(seconds).to_string()
}

const TCX: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<TrainingCenterDatabase xmlns="http://www.garmin.com/xmlschemas/TrainingCenterDatabase/v2"
  xmlns:ns3="http://www.garmin.com/xmlschemas/ActivityExtension/v2" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
 <Activities><Activity Sport="Biking"><Id>2026-06-10T04:00:00.000Z</Id>
  <Lap StartTime="2026-06-10T04:00:00.000Z"><TotalTimeSeconds>4.5</TotalTimeSeconds><DistanceMeters>20.5</DistanceMeters>
   <MaximumSpeed>9.5</MaximumSpeed><Calories>3</Calories><AverageHeartRateBpm><Value>120</Value></AverageHeartRateBpm>
   <MaximumHeartRateBpm><Value>130</Value></MaximumHeartRateBpm><Intensity>Active</Intensity><TriggerMethod>Distance</TriggerMethod>
   <Track>
    <Trackpoint><Time>2026-06-10T04:00:00.000Z</Time><Position><LatitudeDegrees>45</LatitudeDegrees>
     <LongitudeDegrees>-90</LongitudeDegrees></Position><AltitudeMeters>123.4</AltitudeMeters><DistanceMeters>0.0</DistanceMeters>
     <HeartRateBpm xsi:type="HeartRateInBeatsPerMinute_t"><Value>118</Value></HeartRateBpm><Cadence>80</Cadence>
     <Extensions><ns3:TPX CadenceSensor="Bike"><ns3:Speed>5.25</ns3:Speed><ns3:Watts>210</ns3:Watts></ns3:TPX></Extensions>
    </Trackpoint>
    <Trackpoint><Time>2026-06-10T04:00:02.000Z</Time><DistanceMeters>10.0</DistanceMeters></Trackpoint>
   </Track>
   <Track><Trackpoint><Time>2026-06-10T04:00:10.000Z</Time></Trackpoint></Track>
  </Lap>
  <Lap StartTime="2026-06-10T04:00:12.000Z"><TotalTimeSeconds>2</TotalTimeSeconds><DistanceMeters>9.5</DistanceMeters><Calories>2</Calories>
   <AverageHeartRateBpm><Value>140</Value></AverageHeartRateBpm>
   <Track><Trackpoint><Time>2026-06-10T04:00:12.000Z</Time><HeartRateBpm><Value>0</Value></HeartRateBpm></Trackpoint></Track>
  </Lap>
  <Creator xsi:type="Device_t"><Name>Garmin Edge &amp; Söhne</Name><UnitId>3812345678</UnitId><ProductID>1036</ProductID></Creator>
 </Activity></Activities></TrainingCenterDatabase>"#;

#[test]
fn a_tcx_file_is_an_activity_with_its_laps_pauses_and_points() {
    let (report, samples) = read(TCX);
    assert_eq!((report.result, report.reason), (Class::Decoded, None));
    let activity = &report.activities[0];
    assert_eq!((activity.sport, activity.sub_sport, activity.start), (Some(2), Some(0), START));
    let totals = &activity.totals;
    assert_eq!(
        (totals.elapsed_s, totals.timer_s, totals.distance_m),
        (Some(14.0), Some(6.5), Some(30.0))
    );
    assert_eq!(
        (totals.calories_kcal, totals.avg_hr_bpm, totals.max_hr_bpm),
        (Some(5), Some(126), Some(130))
    );
    assert_eq!(totals.max_speed_mps, Some(9.5));
    assert_eq!(activity.pauses, [Pause { from: at(2), to: at(10) }]);
    let laps: Vec<_> =
        activity.laps.iter().map(|lap| (lap.start, lap.totals.elapsed_s, lap.trigger)).collect();
    assert_eq!(laps, [(at(0), Some(12.0), Some(2)), (at(12), Some(2.0), None)]);
    let origin = &activity.origin;
    assert_eq!(
        (origin.serial, origin.product, origin.created),
        (Some(3_812_345_678), Some(1036), Some(START))
    );
    assert_eq!(origin.product_name.as_deref(), Some("Garmin Edge & Söhne"));
    assert_eq!(
        (report.counts.records, report.counts.hr_samples, report.counts.hr_sum),
        (4, 2, 118.0)
    );
    let expected = Sample {
        at: Some(START),
        heart_rate_bpm: Some(118),
        position: Some(Position { lat: 1 << 29, lon: -(1 << 30) }),
        altitude_m: Some(123.4),
        speed_mps: Some(5.25),
        distance_m: Some(0.0),
        cadence_rpm: Some(80.0),
        power_w: Some(210),
        ..Sample::default()
    };
    assert_eq!(samples[0], expected);
    assert_eq!(samples[3].heart_rate_bpm, Some(0));
}

fn gpx(points: &str) -> String {
    format!(
        r#"<gpx version="1.1" creator="StravaGPX" xmlns="http://www.topografix.com/GPX/1/1"
  xmlns:gpxtpx="http://www.garmin.com/xmlschemas/TrackPointExtension/v1"><metadata><time>2020-01-01T00:00:00Z</time></metadata>
  <trk><name>Morning</name><type>running</type><trkseg>{points}</trkseg></trk></gpx>"#
    )
}

fn point(seconds: i64, extensions: &str) -> String {
    format!(
        "<trkpt lat='45.0' lon='-90.0'><ele>10.5</ele><time>{}</time><extensions>{extensions}</extensions></trkpt>",
        stamp(seconds)
    )
}

#[test]
fn a_gpx_track_is_an_activity_whatever_prefix_its_extensions_have() {
    let extensions = [
        "<power>200</power><gpxtpx:TrackPointExtension><gpxtpx:atemp>-2.0</gpxtpx:atemp><gpxtpx:hr>120</gpxtpx:hr><gpxtpx:cad>85</gpxtpx:cad></gpxtpx:TrackPointExtension>",
        "<ns3:TrackPointExtension><ns3:atemp>-2</ns3:atemp><ns3:hr>120</ns3:hr><ns3:cad>85</ns3:cad></ns3:TrackPointExtension><pwr:PowerInWatts>200</pwr:PowerInWatts>",
        "<gpxdata:hr>120</gpxdata:hr><gpxdata:cadence>85</gpxdata:cadence><gpxdata:temp>-2</gpxdata:temp><watts>200</watts>",
        "<heartrate>120</heartrate><cadence>85</cadence><temp>-2</temp><power>200</power>",
    ];
    for extension in extensions {
        let (report, samples) = read(gpx(&point(0, extension)));
        assert_eq!(report.result, Class::Decoded, "{:?}", report.reason);
        let expected = Sample {
            at: Some(START),
            heart_rate_bpm: Some(120),
            position: Some(Position { lat: 1 << 29, lon: -(1 << 30) }),
            altitude_m: Some(10.5),
            cadence_rpm: Some(85.0),
            power_w: Some(200),
            temperature_c: Some(-2),
            ..Sample::default()
        };
        assert_eq!(samples, [expected], "{extension}");
    }
}

#[test]
fn gpx_segments_have_pauses_between_them_and_tracks_are_activities() {
    let first = format!("{}{}</trkseg><trkseg>{}", point(0, ""), point(5, ""), point(60, ""));
    let both = gpx(&first)
        .replace("</trk>", &format!("</trk><trk><trkseg>{}</trkseg></trk>", point(900, "")));
    let (report, samples) = read(both);
    let [first, second] = &report.activities[..] else { panic!("{report:?}") };
    assert_eq!(first.pauses, [Pause { from: at(5), to: at(60) }]);
    assert_eq!((first.totals.elapsed_s, first.totals.timer_s), (Some(60.0), Some(5.0)));
    assert_eq!(
        (first.sport, first.totals.avg_hr_bpm, first.totals.distance_m),
        (Some(1), None, None)
    );
    assert!(first.quality.synthesised);
    assert_eq!((second.index, second.start, second.sport), (1, at(900), None));
    assert_eq!(samples.len(), 4);
}

#[test]
fn the_same_ride_is_the_same_activity_in_whatever_file_it_stands() {
    let ride = point(900, "<hr>100</hr>");
    let alone = read(gpx(&ride)).0.activities[0].clone();
    let again = read(gpx(&ride).replace("Morning", "Evening")).0.activities[0].clone();
    assert_eq!(alone.id, again.id);
    let beside =
        gpx(&point(0, "")).replace("</trk>", &format!("</trk><trk><trkseg>{ride}</trkseg></trk>"));
    assert_eq!(read(beside).0.activities[1].id, alone.id);
    let other = read(gpx(&point(900, "<hr>101</hr>"))).0.activities[0].clone();
    assert_ne!(other.id, alone.id);
}

#[test]
fn what_has_no_time_is_no_activity() {
    let line = gpx("<trkpt lat='1' lon='2'/><trkpt lat='1' lon='3'/>");
    for file in [
        line.as_str(),
        "<gpx><rte><rtept lat='1' lon='2'/></rte></gpx>",
        "<TrainingCenterDatabase><Courses><Course><Name>x</Name></Course></Courses></TrainingCenterDatabase>",
    ] {
        let (report, samples) = read(file);
        assert_eq!(
            (report.result, report.kind),
            (Class::NotAnActivity, FileKind::Course),
            "{file}"
        );
        assert!(samples.is_empty() && report.reason.is_some());
    }
    assert_eq!(read("<gpx/>").0.kind, FileKind::Empty);
}

#[test]
fn the_local_time_is_learned_from_stamps_that_tell_it() {
    let (report, _) =
        read(gpx("<trkpt lat='1' lon='2'><time>2026-06-10T06:00:00+02:00</time></trkpt>"));
    assert_eq!(
        (report.activities[0].start, report.activities[0].utc_offset_min),
        (START, Some(120))
    );
}

#[test]
fn utf_16_and_latin_1_are_read_as_utf_8_is() {
    let utf8 = read(TCX).0;
    let utf16: Vec<u8> = TCX.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let latin1: Vec<u8> = TCX
        .replace("UTF-8", "ISO-8859-1")
        .chars()
        .map(|letter| u8::try_from(letter).unwrap())
        .collect();
    for bytes in
        [[b"\xFF\xFE", &utf16[..]].concat(), latin1, [b"\xEF\xBB\xBF", TCX.as_bytes()].concat()]
    {
        assert_eq!(read(bytes).0, utf8);
    }
    let (report, _) = read("<?xml version='1.0' encoding='EBCDIC-US'?><gpx/>");
    assert_eq!(report.result, Class::Rejected);
    assert!(report.reason.unwrap().contains("save it as UTF-8"));
}

#[test]
fn a_file_that_was_cut_short_gives_what_stands_before_the_cut() {
    for cut in [TCX.find("<Track>\n").unwrap() + 500, TCX.len() - 30] {
        let (report, samples) = read(&TCX[..cut]);
        assert_eq!(report.result, Class::Salvaged);
        assert!(report.quality.broken_at.is_some() && report.reason.unwrap().contains("at byte"));
        assert_eq!(report.activities.len(), 1);
        assert_eq!(report.counts.records, samples.len() as u64);
    }
    let torn = gpx(&format!("{}<trkpt></wrong>", point(0, "")));
    assert_eq!((read(&torn).0.result, read(&torn).1.len()), (Class::Salvaged, 1));
    for nothing in ["", "   ", "<html><body/></html>", "{\"a\":1}", "<gpx", "\u{0}\u{1}"] {
        let report = read(nothing).0;
        assert_eq!(report.result, Class::Rejected, "{nothing:?}");
        assert!(report.reason.is_some());
    }
}

#[test]
fn entities_are_not_expanded_and_nothing_is_fetched() {
    let bomb = format!(
        r#"<!DOCTYPE gpx [<!ENTITY a "123"><!ENTITY b "&a;&a;"><!ENTITY x SYSTEM "file:///etc/passwd">]>{}"#,
        gpx(&point(0, "<hr>&b;</hr><power>&x;</power><cad>&#56;&#x35;</cad>"))
    );
    let (report, samples) = read(bomb);
    assert_eq!(report.result, Class::Decoded, "{:?}", report.reason);
    let sample = samples[0];
    assert_eq!(
        (sample.heart_rate_bpm, sample.power_w, sample.cadence_rpm),
        (None, None, Some(85.0))
    );
    assert_eq!(report.activities[0].origin.product_name.as_deref(), Some("StravaGPX"));
}

#[test]
fn every_excess_is_told_and_what_came_before_it_is_kept() {
    let deep = gpx(&(point(0, "") + &"<a>".repeat(5000)));
    let long_text = gpx(&(point(0, "") + "<name>" + &"x".repeat(1 << 20) + "</name>"));
    let long_tag = gpx(&format!("{}<trkpt lat='{}'/>", point(0, ""), "1".repeat(1 << 20)));
    let comment = gpx(&format!("{}<!--{}-->", point(0, ""), "x".repeat(1 << 20)));
    let many = gpx(&(0..50).map(|second| point(second, "")).collect::<String>());
    let limits = Limits { messages: 20, ..Limits::default() };
    let small = Limits { bytes: 30_000, ..Limits::default() };
    let large = gpx(&(0..5000).map(|second| point(second, "")).collect::<String>());
    for (file, limits, reason) in [
        (deep, Limits::default(), "64 deep"),
        (long_text, Limits::default(), "longer than 65536 bytes"),
        (long_tag, Limits::default(), "longer than 65536 bytes"),
        (comment, Limits::default(), "longer than 65536 bytes"),
        (many, limits, "more than 20 points"),
        (large, small, "larger than 30000 bytes"),
    ] {
        let (report, samples) = read_with(file.as_bytes(), &limits);
        assert_eq!(report.result, Class::Salvaged);
        assert!(report.reason.as_ref().unwrap().contains(reason), "{:?}", report.reason);
        assert!(!samples.is_empty());
    }
}

#[test]
fn a_deadline_ends_the_reading() {
    let report =
        track::read(TCX.as_bytes(), &Limits::default(), &mut || false, &mut |_, _| {}).unwrap();
    assert_eq!(report.result, Class::Rejected);
    assert!(report.reason.unwrap().contains("longer than is allowed"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_bytes_bring_it_down(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        read(bytes);
    }

    #[test]
    fn no_change_to_a_good_file_brings_it_down(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
        cut in any::<prop::sample::Index>(),
        is_tcx in any::<bool>(),
    ) {
        let mut bytes = if is_tcx { TCX.to_owned() } else { gpx(&point(0, "<hr>1</hr>")) }.into_bytes();
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        bytes.truncate(cut.index(bytes.len()) + 1);
        let (report, samples) = read(bytes);
        prop_assert_eq!(report.counts.records, samples.len() as u64);
    }
}
