//! Processes that stand still instead of dying: seen, replaced, and nobody else's file is touched (R-SUP-4, PEERS #13).

use crate::record::{LIVE_WITHIN, RECORDS_WITHIN, REPLACED_WITHIN, start, wait_media};
use crate::support::evidence::{assert_no_frame_missing, manifest, parts};
use crate::support::inject::Injected;
use crate::support::loss::monotonic;
use crate::support::proc::{Holdfast, find_input, rounds, test_inputs};
use crate::support::truth::Watch;
use rustix::process::Signal;
use serde_json::Value;
use std::time::Duration;

const INPUTS: [&str; 4] = ["cam1", "cam2", "cam3", "cam4"];
/// A worker that stands still is seen, and another one begun, within this; promised are 4 s.
const SEEN_WITHIN: Duration = Duration::from_secs(6);
/// Until that one records, where the proof is made (6 s are promised). In CI how long a start takes is a matter of the
/// machine: [`LIVE_WITHIN`], as anywhere.
const AGAIN_WITHIN: Duration = Duration::from_secs(10);
/// Nothing is called recording for longer without a byte (2 s are promised).
const LIE: Duration = Duration::from_millis(2500);
/// For how long a worker says nothing although it writes: longer than one may be silent, and than is waited for its file.
const MUTE: Duration = Duration::from_secs(8);

/// The recording of `input` in `snapshot`.
fn recording<'a>(snapshot: &'a Value, input: &str) -> &'a Value {
    &find_input(snapshot, input)["recording"]
}

fn since_boot() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::new(now.tv_sec.cast_unsigned(), u32::try_from(now.tv_nsec).expect("nanoseconds"))
}

/// When process `pid` began, since boot; the kernel counts in hundredths of a second.
fn began(pid: u32) -> Duration {
    let ticks = holdfast::sys::process::usage_of(pid).expect("it runs").started;
    Duration::from_millis(ticks * 1000 / rustix::param::clock_ticks_per_second())
}

#[test]
fn a_worker_that_stands_still_is_replaced_and_the_others_are_untouched() {
    let mut holdfast = Holdfast::new(&test_inputs(4, "auto"));
    holdfast.spawn_engine();
    holdfast.wait_live(LIVE_WITHIN);
    start(&holdfast, &INPUTS);
    for input in INPUTS {
        wait_media(&holdfast, input, Duration::from_secs(2));
    }
    let session = holdfast.session();
    let watch = Watch::start(holdfast.socket(), session.clone(), &INPUTS);
    let victims = &INPUTS[..rounds(2, 4) as usize];
    let mut stopped = Vec::new();
    for victim in victims {
        let (at, boot) = (monotonic(), since_boot());
        holdfast.signal(holdfast.worker_pid(victim), Signal::STOP);
        holdfast.wait_until("the next part", REPLACED_WITHIN, |snapshot| {
            let recording = recording(snapshot, victim);
            recording["part"] == 2 && recording["state"] == "recording"
        });
        stopped.push((at, began(holdfast.worker_pid(victim)).saturating_sub(boot)));
    }
    let media = |input| recording(&holdfast.status(), input)["media_ms"].as_u64().unwrap_or(0);
    for input in INPUTS {
        wait_media(&holdfast, input, Duration::from_millis(media(input) + 700));
    }
    let seen = watch.stop();
    holdfast.cli_ok(&["record", "stop"]);

    for (victim, (at, another)) in victims.iter().zip(stopped) {
        let told = seen.told_after(victim, at).unwrap_or_else(|| panic!("{victim} was called recording throughout"));
        let again = seen.recording_after(victim, told).expect("it records again");
        let (told, again, lie) = (told - at, again - at, seen.lie(victim));
        let times =
            format!("seen {told:?} after SIGSTOP, replaced {another:?}, recording again {again:?}; lie {lie:?}");
        println!("{victim}: {times}");
        let within = [another + LIVE_WITHIN, AGAIN_WITHIN][rounds(0, 1) as usize];
        assert!(told <= SEEN_WITHIN && another <= SEEN_WITHIN && again <= within, "{victim}: {times}");
        assert!(lie <= LIE, "{victim} was called recording {lie:?} without a byte");
    }
    let manifest = manifest(&session);
    for input in INPUTS {
        let parts = parts(&manifest, input);
        assert_eq!(parts.len(), if victims.contains(&input) { 2 } else { 1 }, "{input}: {manifest:#}");
        for part in parts {
            assert_no_frame_missing(&session.join(part["file"].as_str().expect("a name")));
        }
    }
}

#[test]
fn a_worker_that_only_fails_to_report_while_its_file_grows_is_not_killed() {
    let mut holdfast = Holdfast::new(&test_inputs(1, "auto"));
    holdfast.spawn_engine();
    holdfast.wait_live(LIVE_WITHIN);
    start(&holdfast, &["cam1"]);
    wait_media(&holdfast, "cam1", Duration::from_secs(2));
    let (pid, session) = (holdfast.worker_pid("cam1"), holdfast.session());
    let watch = Watch::start(holdfast.socket(), session.clone(), &["cam1"]);
    // The one thread that talks and decides is held up each time it would wait for something, and no other.
    let held_up = format!("poll,ppoll,epoll_wait:delay_enter={}", MUTE.as_micros());
    let Some(mute) = Injected::into_thread(pid, &held_up) else { return };
    let began = monotonic();
    holdfast.wait_until("it is silent", MUTE, |snapshot| {
        let input = find_input(snapshot, "cam1");
        input["recording"]["state"] == "stalled" && input["detail_code"] == "worker_silent"
    });
    holdfast.wait_until("it has been silent for long", 2 * MUTE, |_| monotonic() - began >= MUTE);
    drop(mute);
    holdfast.wait_until("it reports again", MUTE + RECORDS_WITHIN, |snapshot| {
        recording(snapshot, "cam1")["state"] == "recording"
    });
    assert_eq!(holdfast.worker_pid("cam1"), pid, "it was replaced although it recorded");
    let seen = watch.stop();
    holdfast.cli_ok(&["record", "stop"]);
    println!("lie {:?}", seen.lie("cam1"));

    let manifest = manifest(&session);
    let parts = parts(&manifest, "cam1");
    assert_eq!(parts.len(), 1, "{manifest:#}");
    assert_no_frame_missing(&session.join("cam1.mp4"));
    let alerts = holdfast.api("GET", "/api/v1/alerts", &[], None).expect("alerts").body.to_string();
    assert!(!alerts.contains("worker_died"), "{alerts}");
}
