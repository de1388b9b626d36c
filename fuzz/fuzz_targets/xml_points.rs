//! The same within a file that is well-formed around it, so that what elements say is reached at once: one half of the
//! bytes as points of a GPX track, the other as an activity of TCX. What was read is written, and read again as the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pulsegate::activity::Item;
use pulsegate::fit::{FileReport, Limits};
use pulsegate::format::tcx::Tcx;
use pulsegate::track;

fn read(text: &str) -> (FileReport, Vec<Item>) {
    let mut items = Vec::new();
    let mut sink = |activity, item| {
        if activity == 0 {
            items.push(item);
        }
    };
    let report = track::read(text.as_bytes(), &Limits::default(), &mut || true, &mut sink)
        .expect("memory does not fail");
    (report, items)
}

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    for file in [
        format!("<gpx><trk><trkseg><trkpt lat='1' lon='2'>{text}</trkpt></trkseg></trk></gpx>"),
        format!(
            "<TrainingCenterDatabase><Activities><Activity Sport='Running'>\
             <Lap StartTime='2026-06-10T04:00:00Z'>{text}</Lap></Activity></Activities></TrainingCenterDatabase>"
        ),
    ] {
        let (report, items) = read(&file);
        let Some(activity) = report.activities.first() else { continue };
        let mut out = Vec::new();
        let mut tcx = Tcx::new(&mut out, activity).expect("it says how long it lasted");
        items.iter().for_each(|item| tcx.item(*item).expect("memory does not fail"));
        let exported = tcx.finish().expect("memory does not fail");
        let again = read(&String::from_utf8(out).expect("what is written is UTF-8")).0;
        assert!(again.reason.is_none(), "{:?}", again.reason);
        assert_eq!(again.counts.records, exported.samples);
    }
});
