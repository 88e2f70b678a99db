//! The machine against what can happen to it: named cases, then any order of events.

use super::*;
use crate::media::durable_sink::{Progress, Trouble};
use crate::media::signal::VideoFormat;
use crate::model::encoding::Encoding;
use crate::model::input::{AudioChoice, OnSignalLoss, SourceSpec, TestPattern};
use crate::model::session::{FactKind, PartEnd, PartRecord};
use crate::model::snapshot::{Frames, InputState, RecordingState};
use crate::protocol::worker::Ticket;
use bench::Bench;
use proptest::prelude::*;

const REPLY: Reply = Reply { connection: 1, id: 1 };
const MS: u64 = 1_000_000;

fn format() -> VideoFormat {
    VideoFormat {
        width: 640,
        height: 360,
        pixels: "I420".into(),
        coding: None,
        rate: Some(gst::Fraction::new_raw(30, 1)),
    }
}

fn input(on_signal_loss: OnSignalLoss) -> InputSpec {
    InputSpec {
        id: "cam1".parse().expect("an id"),
        name: "Camera".into(),
        source: SourceSpec::Test { pattern: TestPattern::Ball, width: 640, height: 360, fps: 30, tone_hz: 440 },
        audio: AudioChoice::Off,
        on_signal_loss,
        codec: None,
        importance: 0,
        armed: true,
    }
}

fn session() -> SessionId {
    SessionId(uuid::uuid!("01934f5e-0000-7000-8000-000000007f3a"))
}

fn ticket(start_at_ns: MonoNs) -> Ticket {
    Ticket {
        session: session(),
        dir: "/library/session".into(),
        start_at_ns,
        boot_id: "boot".into(),
        first_part: 1,
        first_fact: 1,
        encoding: Encoding::default(),
        trace_id: String::new(),
    }
}

/// This is found at the path of the file of that name.
fn placed(file: &str, place: Place) -> Event {
    Event::FilePlace { path: PathBuf::from("/library/session").join(file), place }
}

/// So much room is left for the session.
fn space(free_bytes: u64) -> Event {
    Event::Space { dir: "/library/session".into(), free_bytes }
}

/// It is not known how much.
fn no_space_known(trouble: Trouble) -> Event {
    Event::SpaceUnknown { dir: "/library/session".into(), trouble }
}

mod bench;
mod disk;
mod displaced;
mod histories;
mod long;
mod opening;
mod parts;
mod shed;
mod source;
mod split;
mod stall;

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn recording_is_shown_only_while_the_file_grows() {
    let mut bench = Bench::new(OnSignalLoss::Split);
    bench.start();
    assert_eq!(bench.shown(), (InputState::Live, Some(RecordingState::Starting)));
    bench.run(s(1), true);
    assert_eq!(bench.shown().1, Some(RecordingState::Recording));
    bench.run(Duration::from_millis(2100), false);
    assert_eq!(bench.shown().1, Some(RecordingState::Stalled));
    bench.run(s(1), true);
    assert_eq!(bench.shown().1, Some(RecordingState::Recording));
}

#[test]
fn a_stall_becomes_an_incident_and_then_the_next_part() {
    let mut bench = Bench::new(OnSignalLoss::Split);
    bench.start();
    bench.run(s(1), true);
    bench.run(s(11), false);
    assert_eq!(bench.incidents(), [IncidentCode::RecordingStalled]);
    bench.run(s(20), false);
    assert_eq!(bench.part, Some((1, Some(PartEnd::Stalled))));
    bench.close_part();
    assert_eq!(bench.opened, [1, 2]);
    bench.run(s(1), true);
    assert_eq!(bench.shown().1, Some(RecordingState::Recording));
}

#[test]
fn a_lost_signal_closes_the_part_and_the_next_begins_when_it_returns() {
    let mut bench = Bench::new(OnSignalLoss::Split);
    bench.start();
    bench.run(s(2), true);
    bench.frames = false;
    bench.run(s(3), false);
    assert_eq!(bench.part, Some((1, Some(PartEnd::SignalLost))));
    bench.close_part();
    assert_eq!(bench.shown(), (InputState::NoSignal, Some(RecordingState::Stalled)));
    assert_eq!(bench.opened, [1]);
    bench.frames = true;
    bench.feed(Event::SourceFormat(format()));
    bench.run(s(1), true);
    assert_eq!(bench.opened, [1, 2]);
    assert_eq!(bench.shown(), (InputState::Live, Some(RecordingState::Recording)));
}

#[test]
fn a_lost_signal_ends_the_recording_when_asked_to() {
    let mut bench = Bench::new(OnSignalLoss::Stop);
    bench.start();
    bench.run(s(2), true);
    bench.frames = false;
    bench.run(s(3), false);
    bench.close_part();
    assert_eq!(bench.shown().1, Some(RecordingState::Done));
}

#[test]
fn a_full_disk_ends_the_recording_with_its_name() {
    let mut bench = Bench::new(OnSignalLoss::Split);
    bench.start();
    bench.run(s(2), true);
    bench.feed(Event::PartTrouble { part: bench.number(), trouble: Trouble::DiskFull });
    bench.close_part();
    assert_eq!(bench.shown().1, Some(RecordingState::Failed));
    assert_eq!(bench.incidents(), [IncidentCode::DiskFull]);
}

#[test]
fn a_failing_sync_is_told_and_recording_goes_on() {
    let mut bench = Bench::new(OnSignalLoss::Split);
    bench.start();
    bench.run(s(1), true);
    bench.feed(Event::PartTrouble { part: bench.number(), trouble: Trouble::Sync("EIO".into()) });
    bench.run(s(1), true);
    assert_eq!(bench.shown().1, Some(RecordingState::Recording));
    assert_eq!(bench.incidents(), [IncidentCode::SyncFailed]);
}

#[test]
fn a_recording_worker_outlives_its_engine_and_an_idle_one_does_not() {
    let mut bench = Bench::new(OnSignalLoss::Split);
    bench.start();
    bench.feed(Event::EngineGone);
    bench.run(s(90), true);
    assert_eq!((bench.exit, bench.shown().1), (None, Some(RecordingState::Recording)));
    bench.feed(Event::Terminate);
    assert_eq!(bench.exit, None, "it left before its file was closed");
    bench.close_part();
    assert_eq!(bench.exit, Some(0));

    let mut idle = Bench::new(OnSignalLoss::Split);
    idle.feed(Event::EngineGone);
    idle.run(s(61), false);
    assert_eq!(idle.exit, Some(0));
}

#[test]
fn a_worker_that_was_stopped_itself_does_not_blame_the_source() {
    let mut bench = Bench::new(OnSignalLoss::Split);
    bench.start();
    bench.run(s(1), true);
    let before = bench.now;
    bench.now = bench.now.plus(s(30));
    let take = TakeEvidence::default();
    let old = Evidence { frame_at: Some(before), take: Some(take), ..Evidence::default() };
    let look = || Event::Tick(Box::new(old.clone()));
    bench.feed(look());
    // No frame can have come so soon.
    bench.now = bench.now.plus(Duration::from_millis(100));
    bench.feed(look());
    assert_eq!((bench.incidents(), bench.shown().0), (Vec::new(), InputState::Live));
    // From here on it is the source's own silence.
    for _ in 0..15 {
        bench.now = bench.now.plus(Duration::from_millis(100));
        bench.feed(look());
    }
    assert_eq!((bench.incidents(), bench.shown().0), (vec![IncidentCode::NoSignal], InputState::NoSignal));
}
