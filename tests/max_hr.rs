//! A highest heart rate that is exceeded: raised when the session has ended, once, by one step, until somebody decides.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

#[path = "support/house.rs"]
mod house;
#[path = "support/buffer.rs"]
mod support;

use house::{House, script};
use pulsegate::athlete::{Athlete, AthleteId, MaxHr, MaxHrOrigin};
use pulsegate::roster::desk;
use pulsegate::roster::{Decision, Edit};
use support::crash_image;

fn known(house: &House, who: AthleteId) -> Athlete {
    Athlete::clone(house.roster.people().athlete(who).unwrap())
}

fn max(house: &House, who: AthleteId) -> (u16, MaxHrOrigin) {
    let MaxHr { bpm, origin } = known(house, who).profile.max_hr.unwrap();
    (bpm, origin)
}

fn decide(house: &House, decision: Decision) {
    let edit = Edit { raised_max_hr: Some(decision), ..Edit::default() };
    desk::edit(&house.roster, "Aino", &edit, &house.moment()).unwrap();
}

#[tokio::test]
async fn an_exceeded_maximum_is_raised_by_one_step_until_somebody_decides_and_the_past_stays() {
    let folder = tempfile::tempdir().unwrap();
    let (live, again) = (folder.path().join("live"), folder.path().join("again"));
    std::fs::create_dir(&live).unwrap();
    let script = script();
    let mut house = House::open(&live, 7, &script).await;
    let aino = house.athlete("Aino", Some("v1"));
    house.assign(1, "Aino");
    // 29 seconds are a strap that rubs.
    house.pass(25, &[(1, 215)]).await;
    house.pass(200, &[]).await;
    assert_eq!(max(&house, aino), (190, MaxHrOrigin::Given));
    house.pass(60, &[(1, 215)]).await;
    assert_eq!(max(&house, aino), (190, MaxHrOrigin::Given), "not before the session has ended");
    house.pass(200, &[]).await;
    assert_eq!(max(&house, aino), (200, MaxHrOrigin::Exceeded));
    let raised = known(&house, aino).profile.max_hr_raised.unwrap();
    assert_eq!((raised.from.bpm, raised.open), (190, true));
    // What was recorded was computed with the old one.
    let session = house.kept().pop().unwrap().session.unwrap();
    assert_eq!(session.effort.of_max.map(|max| max.bpm), Some(190));
    // Once more, and not a step further.
    house.pass(60, &[(1, 225)]).await;
    house.pass(200, &[]).await;
    assert_eq!(max(&house, aino), (200, MaxHrOrigin::Exceeded));

    decide(&house, Decision::Reject);
    assert_eq!(max(&house, aino), (190, MaxHrOrigin::Given));
    // The whole log is read again after a crash: what was decided stays.
    house.settle().await;
    crash_image(&live, &again);
    house.close().await;
    let mut house = House::open(&again, 7, &script).await;
    house.pass(5, &[]).await;
    assert_eq!(max(&house, aino), (190, MaxHrOrigin::Given));
    house.pass(60, &[(1, 195)]).await;
    house.pass(200, &[]).await;
    assert_eq!(max(&house, aino), (195, MaxHrOrigin::Exceeded));
    decide(&house, Decision::Confirm);
    assert_eq!(max(&house, aino), (195, MaxHrOrigin::Given));
    // Confirmed, it is the one that the next step counts from.
    house.pass(60, &[(1, 210)]).await;
    house.pass(200, &[]).await;
    assert_eq!(max(&house, aino), (205, MaxHrOrigin::Exceeded));
    house.close().await;
}

#[tokio::test]
async fn a_maximum_by_age_that_is_rejected_is_by_age_again_and_nothing_else_can_be_decided() {
    let folder = tempfile::tempdir().unwrap();
    let mut house = House::open(folder.path(), 7, &script()).await;
    let edit =
        Edit { display_name: Some("Aino".to_owned()), birth_year: Some(1986), ..Edit::default() };
    let aino = desk::add(&house.roster, &edit, &house.moment()).unwrap().athlete.id;
    house.assign(1, "Aino");
    let decide_now = |house: &House| {
        let edit = Edit { raised_max_hr: Some(Decision::Confirm), ..Edit::default() };
        desk::edit(&house.roster, "Aino", &edit, &house.moment())
    };
    let refused = decide_now(&house).unwrap_err().to_string();
    assert!(refused.contains("nothing to confirm"), "{refused}");
    // 211 − 0.64 × 40 are 185.
    house.pass(60, &[(1, 188)]).await;
    house.pass(200, &[]).await;
    assert_eq!(max(&house, aino), (188, MaxHrOrigin::Exceeded));
    decide(&house, Decision::Reject);
    assert_eq!(known(&house, aino).profile.max_hr, None);
    assert!(decide_now(&house).is_err());
    house.close().await;
}
