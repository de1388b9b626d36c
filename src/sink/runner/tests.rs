//! The runner, attempt by attempt, in virtual time.

#[cfg(test)]
mod house;

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use self::house::{CLUB, House, START_S, Scripted};
use super::{ASK_PARKED_EVERY, Runner};
use crate::buffer::{BufferError, Cursor, State};
use crate::live::SinkState;
use crate::reading::EntryId;
use crate::sink::DeliveryError;

#[tokio::test(start_paused = true)]
async fn after_an_outage_the_newest_come_first_and_the_backlog_in_order_at_its_rate() {
    let folder = tempfile::tempdir().unwrap();
    let mut house = House::new(&folder);
    house.outage(10_000).await;
    let recovered = Instant::now();
    let newest = house.attempt().await;
    assert_eq!((newest.range(), newest.begun), ((9510, 10_009), recovered));
    newest.take(Duration::ZERO).await;

    let mut pieces = Vec::new();
    for first in (10..9510).step_by(500) {
        let piece = house.attempt().await;
        assert_eq!(piece.range(), (first, first + 499));
        assert_eq!(house.board().backlog, 9510 - first);
        pieces.push(piece.begun);
        piece.take(Duration::from_millis(100)).await;
    }
    let start = pieces[0] - recovered;
    assert!(!start.is_zero() && start <= Duration::from_secs(START_S.into()), "{start:?}");
    // Half a second for 500 entries at 1000 a second: more than twice the 100 ms.
    let expected: Vec<Instant> =
        (0..19).map(|n| pieces[0] + Duration::from_millis(500) * n).collect();
    assert_eq!(pieces, expected);

    // One line again.
    let state = |state: &State| state.cursors.get(CLUB) == Some(&Cursor::at(EntryId(10_010)));
    house.state(state).await;
    assert_eq!((house.board().backlog, house.board().delivered), (0, 10_010));
}

#[tokio::test(start_paused = true)]
async fn newer_entries_never_wait_for_more_than_one_piece_and_the_backlog_keeps_its_share() {
    let folder = tempfile::tempdir().unwrap();
    let mut house = House::new(&folder);
    house.outage(6000).await;
    house.attempt().await.take(Duration::from_millis(100)).await;
    let mut before: Option<Instant> = None;
    for first in (10..5510).step_by(500) {
        let piece = house.attempt().await;
        assert_eq!(piece.range(), (first, first + 499));
        if let Some(before) = before {
            // Two seconds of delivering, two for the others.
            assert_eq!(piece.begun - before, Duration::from_secs(4));
        }
        before = Some(piece.begun);
        house.append(1).await;
        piece.take(Duration::from_secs(2)).await;
        let answered = Instant::now();
        let newer = house.attempt().await;
        assert_eq!(newer.begun, answered);
        assert_eq!(newer.ids.len(), 1);
        newer.take(Duration::from_millis(10)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_far_side_too_slow_for_the_newest_alone_still_gets_the_backlog() {
    let folder = tempfile::tempdir().unwrap();
    let mut house = House::new(&folder);
    house.outage(3000).await;
    let mut pieces = 0;
    for _ in 0..20 {
        let attempt = house.attempt().await;
        house.append(20).await;
        pieces += usize::from(attempt.ids[0] < 2510);
        attempt.take(Duration::from_secs(3)).await;
    }
    assert_eq!(pieces, 5, "all of them");
}

#[tokio::test(start_paused = true)]
async fn a_second_outage_during_a_drain_puts_more_behind() {
    let folder = tempfile::tempdir().unwrap();
    let mut house = House::new(&folder);
    house.outage(4000).await;
    house.attempt().await.take(Duration::ZERO).await;
    let piece = house.attempt().await;
    assert_eq!(piece.range(), (10, 509));
    house.append(5000).await;
    piece.fail();
    let piece = house.attempt().await;
    assert_eq!(piece.range(), (10, 509));
    piece.take(Duration::ZERO).await;
    let newest = house.attempt().await;
    assert_eq!(newest.range(), (8510, 9009));
    newest.take(Duration::ZERO).await;
    let mut next = 510;
    while next < 8510 {
        // Between the two lies what was newest after the first outage.
        next = if next == 3510 { 4010 } else { next };
        let piece = house.attempt().await;
        assert_eq!(piece.range().0, next);
        next = piece.range().1 + 1;
        piece.take(Duration::ZERO).await;
    }
    let whole = |state: &State| state.cursors.get(CLUB) == Some(&Cursor::at(EntryId(9010)));
    house.state(whole).await;
}

#[tokio::test(start_paused = true)]
async fn a_drain_that_was_cut_short_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let mut house = House::new(&folder);
    house.outage(6000).await;
    house.attempt().await.take(Duration::ZERO).await;
    for _ in 0..3 {
        house.attempt().await.take(Duration::ZERO).await;
    }
    let cut_short = house.attempt().await;
    assert_eq!(cut_short.range(), (1510, 2009));
    house.kill().await;

    let mut house = House::new(&folder);
    house.append(5).await;
    house.run();
    let newest = house.attempt().await;
    assert_eq!(newest.range(), (6010, 6014));
    newest.take(Duration::ZERO).await;
    for first in (1510..5510).step_by(500) {
        let piece = house.attempt().await;
        assert_eq!(piece.range(), (first, first + 499));
        piece.take(Duration::ZERO).await;
    }
    let whole = |state: &State| state.cursors.get(CLUB) == Some(&Cursor::at(EntryId(6015)));
    house.state(whole).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_for_good_is_set_aside_and_delivered_again_when_requeued() {
    let folder = tempfile::tempdir().unwrap();
    let mut house = House::new(&folder);
    house.append(10).await;
    house.run();
    house.attempt().await.reject(&[3, 5]);
    let kept = |wanted| {
        move |state: &State| state.letters.get(CLUB).is_some_and(|l| (l.kept, l.requeued) == wanted)
    };
    let state = house.state(kept((2, 0))).await;
    assert_eq!(state.letters.len(), 1);
    let letters = house.context.buffer.letters(0, 10).await.unwrap();
    assert_eq!((letters.len(), letters[0].reason.as_str()), (1, "too old"));
    assert_eq!((house.board().delivered, house.board().rejected), (8, 2));

    assert_eq!(house.context.buffer.requeue(Some(CLUB)).await.unwrap(), 2);
    let again = house.attempt().await;
    assert_eq!(again.ids, [3, 5]);
    again.fail();
    let again = house.attempt().await;
    assert_eq!(again.ids, [3, 5], "like any other delivery");
    again.reject(&[5]);
    house.state(kept((1, 0))).await;
    // And the same number once more.
    assert_eq!(house.context.buffer.requeue(None).await.unwrap(), 1);
    let again = house.attempt().await;
    assert_eq!(again.ids, [5]);
    again.take(Duration::ZERO).await;
    house.state(kept((0, 0))).await;
    assert_eq!(house.context.buffer.letters(0, 10).await.unwrap(), []);
}

#[tokio::test(start_paused = true)]
async fn a_rewound_sink_gets_everything_from_there_on_once_more() {
    let folder = tempfile::tempdir().unwrap();
    let mut house = House::new(&folder);
    house.append(100).await;
    house.run();
    house.attempt().await.take(Duration::ZERO).await;
    let idle = |state: &State| state.cursors.get(CLUB) == Some(&Cursor::at(EntryId(100)));
    house.state(idle).await;
    // While it is idle.
    house.context.buffer.rewind(CLUB, EntryId(40)).await.unwrap();
    let again = house.attempt().await;
    assert_eq!(again.range(), (40, 99));
    // And while a delivery is under way, which is finished first, however long that takes.
    house.context.buffer.rewind(CLUB, EntryId(7)).await.unwrap();
    again.fail();
    let again = house.attempt().await;
    assert_eq!(again.range(), (40, 99));
    again.take(Duration::ZERO).await;
    let again = house.attempt().await;
    assert_eq!(again.range(), (7, 39));
    again.take(Duration::ZERO).await;
    house.state(idle).await;
}

#[tokio::test(start_paused = true)]
async fn a_far_side_that_refuses_us_is_asked_again_after_an_hour_and_stopping_waits_for_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut house = House::new(&folder);
    house.append(1).await;
    house.run();
    for _ in 0..3 {
        let attempt = house.attempt().await;
        let refused = Instant::now();
        attempt.answer.send(Err(DeliveryError::halt("no such user"))).unwrap();
        let next = house.attempt().await;
        let pause = next.begun - refused;
        assert!(pause <= ASK_PARKED_EVERY && pause >= ASK_PARKED_EVERY / 2, "{pause:?}");
        assert_eq!(house.board().state, SinkState::Parked { reason: "no such user".into() });
        house.append(1).await;
        next.take(Duration::ZERO).await;
    }
    let attempt = house.attempt().await;
    assert_eq!(house.board().state, SinkState::Ok);
    let refused = Instant::now();
    attempt.answer.send(Err(DeliveryError::halt("no such user"))).unwrap();
    house.context.stop.cancel();
    house.tasks.join_next().await.unwrap().unwrap().unwrap();
    assert_eq!(Instant::now(), refused);
}

#[tokio::test(start_paused = true)]
async fn a_buffer_that_cannot_be_read_is_waited_for_and_only_a_closed_one_is_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::new(&folder);
    let (tell, _attempts) = mpsc::unbounded_channel();
    let mut runner = Runner::new(CLUB.to_owned(), Scripted(tell), house.context.clone());
    let mut pauses = Vec::new();
    for _ in 0..10 {
        let before = Instant::now();
        let reason = "EIO".to_owned();
        runner.wait_out(BufferError::Unavailable { reason }).await.unwrap();
        pauses.push(before.elapsed());
    }
    let SinkState::Retrying { reason } = house.board().state else { panic!("not shown") };
    assert!(reason.contains("EIO"), "{reason}");
    assert!(pauses[0] >= Duration::from_millis(500) && pauses[9] <= Duration::from_secs(30));
    assert!(pauses[9] >= Duration::from_secs(15), "{pauses:?}");
    let end = runner.wait_out(BufferError::Closed).await;
    assert!(matches!(end, Err(BufferError::Closed)));
}
