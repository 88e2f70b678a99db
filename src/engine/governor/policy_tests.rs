//! The governor against what a machine can do.

use super::*;
use crate::model::shed::{FULL_BITRATE, PreviewCap};
use crate::sys::usage::Memory;
use proptest::prelude::*;

const GB: u64 = 1_000_000_000;

fn at(ms: u64) -> MonoNs {
    MonoNs(ms * 1_000_000)
}

fn ids(count: usize) -> Vec<InputId> {
    (1..=count).map(|number| format!("cam{number}").parse().expect("an id")).collect()
}

/// So many inputs, all watched at 1080p and recorded.
fn scene(count: usize) -> Scene {
    let inputs = ids(count);
    let shown = |input: &InputId| Shown { input: input.clone(), height: Some(1080), fps: Some(30.0) };
    let (shown, adjustable) = (inputs.iter().map(shown).collect(), inputs.clone());
    Scene { inputs, shown, jobs: false, adjustable, late: Vec::new(), sheds: Vec::new() }
}

/// The same, and those at these places record late.
fn late(count: usize, places: &[usize]) -> Scene {
    let scene = scene(count);
    let danger = Danger { queue_percent: 60, late_ms: 400 };
    Scene { late: places.iter().map(|place| (scene.inputs[*place].clone(), danger)).collect(), ..scene }
}

fn cpu(percent: f64) -> Load {
    with_memory(percent, Memory { total: 16 * GB, available: 12 * GB })
}

fn memory(available: u64) -> Load {
    with_memory(10.0, Memory { total: 10 * GB, available })
}

fn with_memory(percent: f64, memory: Memory) -> Load {
    Load { cpu_percent: Some(percent), pressure_percent: Some(0.0), ..Load::of_memory([memory]) }
}

/// Looks every half second; returns what was done, in words, with the time in ms.
fn run(
    governor: &mut Governor,
    ms: std::ops::Range<u64>,
    seen: impl Fn(u64, &Governor) -> (Load, Scene),
) -> Vec<(u64, String)> {
    let mut done = Vec::new();
    for now in ms.step_by(500) {
        let (load, scene) = seen(now, governor);
        governor.see(at(now), load);
        let changes = governor.step(at(now), &scene);
        let word = |taken| if taken { "+" } else { "-" };
        done.extend(
            changes.iter().map(|(_, change)| (now, format!("{}{}", word(change.taken), change.action.as_str()))),
        );
    }
    done
}

fn words(done: &[(u64, String)]) -> Vec<&str> {
    done.iter().map(|(_, word)| word.as_str()).collect()
}

fn governor() -> Governor {
    Governor::new(DegradationRules::default())
}

#[test]
fn each_level_of_the_processors_has_its_row() {
    let mut governor = governor();
    assert_eq!(run(&mut governor, 0..20_000, |_, _| (cpu(61.0), scene(4))), []);
    assert_eq!((governor.level(), governor.causes()[0].1), (LevelName::Warn, IncidentCode::CpuHigh));
    let done = run(&mut governor, 20_000..60_000, |_, _| (cpu(75.0), scene(4)));
    assert_eq!(words(&done), ["+previews_720p", "+previews_15fps", "+two_previews_off"]);
    assert_eq!(done.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [20_000, 25_000, 30_000]);
    assert_eq!(governor.level(), LevelName::Degrade);
    let off = |governor: &Governor| governor.sheds(&ids(4)).iter().map(|shed| shed.preview.off).collect::<Vec<_>>();
    assert_eq!(off(&governor), [false, false, true, true], "the least important two");
    let done = run(&mut governor, 60_000..100_000, |_, _| (cpu(90.0), scene(4)));
    assert_eq!(words(&done), ["+jobs_paused", "+previews_off"], "the recording is left alone while it keeps up");
    assert_eq!((governor.level(), off(&governor)), (LevelName::Critical, vec![true; 4]));
    assert!(governor.sheds(&ids(4)).iter().all(|shed| shed.bitrate_percent == FULL_BITRATE));
}

#[test]
fn a_load_that_comes_at_once_has_shed_every_preview_in_five_seconds_and_given_all_back_in_a_minute() {
    let mut governor = governor();
    run(&mut governor, 0..10_000, |_, _| (cpu(50.0), scene(4)));
    let done = run(&mut governor, 10_000..70_000, |_, _| (cpu(100.0), scene(4)));
    let order = ["+previews_720p", "+previews_15fps", "+two_previews_off", "+jobs_paused", "+previews_off"];
    assert_eq!(words(&done), order);
    assert!(done.last().is_some_and(|(at, _)| *at <= 15_000), "{done:?}");
    let done = run(&mut governor, 70_000..200_000, |_, _| (cpu(50.0), scene(4)));
    let back = ["-previews_off", "-jobs_paused", "-two_previews_off", "-previews_15fps", "-previews_720p"];
    assert_eq!(words(&done), back);
    assert!(done.last().is_some_and(|(at, _)| *at <= 130_000), "{done:?}");
    assert_eq!((governor.level(), governor.causes()), (LevelName::Normal, Vec::new()));
}

#[test]
fn pressure_counts_on_a_busy_machine_only() {
    let pressed = |busy| Load { pressure_percent: Some(60.0), ..cpu(busy) };
    let mut governor = governor();
    assert_eq!(run(&mut governor, 0..20_000, |_, _| (pressed(40.0), scene(4))), []);
    assert_eq!(governor.level(), LevelName::Normal);
    let done = run(&mut governor, 20_000..20_500, |_, _| (pressed(65.0), scene(4)));
    assert_eq!(words(&done), ["+previews_720p"], "at the first look");
    assert_eq!(governor.level(), LevelName::Degrade);
    // Not known any more (a proof of ours runs): it does not stay as it was for as long as that.
    let unknown = Load { pressure_percent: None, ..cpu(65.0) };
    run(&mut governor, 20_500..60_000, |_, _| (unknown, scene(4)));
    assert_eq!((governor.level(), governor.taken().count()), (LevelName::Warn, 0));
}

#[test]
fn recordings_that_run_late_cost_previews_at_once_and_their_bitrate_only_in_the_end() {
    let mut governor = governor();
    run(&mut governor, 0..5000, |_, _| (cpu(30.0), scene(4)));
    let done = run(&mut governor, 5000..30_000, |_, _| (cpu(30.0), late(4, &[0, 1])));
    let order = ["previews_720p", "previews_15fps", "two_previews_off", "jobs_paused", "previews_off"];
    let bitrates =
        |governor: &Governor| governor.sheds(&ids(4)).iter().map(|shed| shed.bitrate_percent).collect::<Vec<_>>();
    let of_all: Vec<_> = done.iter().take(5).cloned().collect();
    assert_eq!(words(&of_all), order.map(|word| format!("+{word}")));
    assert_eq!((done[0].0, done[4].0), (5000, 8000), "an action a second");
    // Their own previews are off already.
    let own = ["+late_preview_off", "+late_preview_off", "+bitrate_75", "+bitrate_75", "+bitrate_50", "+bitrate_50"];
    assert_eq!(words(&done[5..]), own);
    assert_eq!((done[7].0, done[9].0), (10_000, 15_000), "late for five seconds in spite of all, and five more");
    assert_eq!((governor.level(), bitrates(&governor)), (LevelName::Critical, vec![50, 50, 100, 100]));
    let done = run(&mut governor, 30_000..100_000, |_, _| (cpu(30.0), scene(4)));
    assert_eq!(done.len(), 11, "{done:?}");
    assert!(governor.sheds(&ids(4)).iter().all(|shed| *shed == Shed::default()));
}

#[test]
fn one_late_recording_on_an_idle_machine_costs_nobody_else_anything() {
    let mut governor = governor();
    run(&mut governor, 0..5000, |_, _| (cpu(10.0), scene(3)));
    let done = run(&mut governor, 5000..60_000, |_, _| (cpu(10.0), late(3, &[1])));
    assert_eq!(words(&done), ["+late_preview_off", "+bitrate_75", "+bitrate_50"]);
    assert_eq!(done.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [5000, 10_000, 15_000]);
    let does = Shed { preview: PreviewCap { off: true, ..PreviewCap::default() }, bitrate_percent: 50 };
    assert_eq!(governor.sheds(&ids(3)), [Shed::default(), does, Shed::default()]);
    assert_eq!((governor.level(), governor.causes()[0].1), (LevelName::Critical, IncidentCode::RecordingLate));
    // The machine becomes busy: it may be what holds it up.
    let done = run(&mut governor, 60_000..70_000, |_, _| (cpu(65.0), late(3, &[1])));
    assert_eq!(words(&done).last(), Some(&"+previews_off"));
    assert_eq!(governor.sheds(&ids(3)).map_bitrate(), [100, 50, 100]);
}

#[test]
fn a_bitrate_comes_back_when_its_recording_keeps_up_however_busy_the_machine_is() {
    let mut governor = governor();
    run(&mut governor, 0..20_000, |_, _| (cpu(90.0), late(4, &[0, 2])));
    assert_eq!(governor.sheds(&ids(4)).map_bitrate(), [50, 100, 50, 100]);
    let done = run(&mut governor, 20_000..60_000, |_, _| (cpu(90.0), scene(4)));
    assert_eq!(governor.sheds(&ids(4)).map_bitrate(), [100; 4]);
    assert!(governor.sheds(&ids(4)).iter().all(|shed| shed.preview.off), "{done:?}");
}

#[test]
fn a_recording_on_the_verge_raises_the_alarm_once() {
    let mut governor = governor();
    let calm = |governor: &mut Governor, ms| run(governor, ms, |_, _| (cpu(30.0), scene(2)));
    run(&mut governor, 0..20_000, |_, _| (cpu(30.0), late(2, &[0])));
    assert!(governor.is_helpless());
    for step in 0..20 {
        let begin = 20_000 + 7000 * step;
        calm(&mut governor, begin..begin + 1000);
        assert!(governor.is_helpless(), "at {begin} ms");
        run(&mut governor, begin + 1000..begin + 7000, |_, _| (cpu(30.0), late(2, &[0])));
    }
    calm(&mut governor, 160_000..192_000);
    assert!(!governor.is_helpless());
}

#[test]
fn a_new_engine_goes_on_from_what_is_shed() {
    let off = PreviewCap { off: true, max_height: Some(720), max_fps: Some(15) };
    let all = |governor: &Governor| governor.sheds(&ids(4)).iter().all(|shed| shed.preview == off);
    for percent in [30.0, 75.0, 100.0] {
        let mut governor = governor();
        // Those that an earlier engine has left, and from then on what this one wants.
        let said = |ms, governor: &Governor| match ms {
            0..=2000 => vec![Shed { preview: off, bitrate_percent: 50 }; 4],
            _ => governor.sheds(&ids(4)),
        };
        let seen = |ms, governor: &Governor| {
            let sheds = ids(4).into_iter().zip(said(ms, governor)).collect();
            (cpu(percent), Scene { sheds, ..scene(4) })
        };
        let done = run(&mut governor, 0..2500, seen);
        assert!(done.is_empty() && all(&governor) && governor.sheds(&ids(4)).map_bitrate() == [50; 4], "{done:?}");
        run(&mut governor, 2500..30_000, seen);
        assert!(all(&governor), "the load has not been gone for long enough, if it has");
        run(&mut governor, 30_000..60_000, seen);
        assert_eq!(governor.sheds(&ids(4)).map_bitrate(), [100; 4], "nothing runs late");
        match percent as u32 {
            30 => assert_eq!(governor.taken().count(), 0),
            75 => {
                let off: Vec<bool> = governor.sheds(&ids(4)).iter().map(|shed| shed.preview.off).collect();
                assert_eq!(off, [false, false, true, true]);
            }
            _ => assert!(all(&governor)),
        }
    }
}

#[test]
fn what_one_input_did_without_is_not_asked_of_the_others() {
    let mut governor = governor();
    let does = Shed { preview: PreviewCap { off: true, ..PreviewCap::default() }, bitrate_percent: 75 };
    let sheds: Vec<Shed> = vec![Shed::default(), does, Shed::default()];
    let said = Scene { sheds: ids(3).into_iter().zip(sheds.clone()).collect(), ..scene(3) };
    run(&mut governor, 0..2500, |_, _| (cpu(20.0), said.clone()));
    assert_eq!(governor.sheds(&ids(3)), sheds);
    // The same words again are an echo.
    run(&mut governor, 2500..60_000, |_, _| (cpu(20.0), said.clone()));
    assert_eq!(governor.sheds(&ids(3)), [Shed::default(); 3]);
}

#[test]
fn with_few_inputs_the_first_keeps_its_preview_until_the_machine_is_at_its_limit() {
    for count in [1, 2] {
        let mut governor = governor();
        run(&mut governor, 0..30_000, |_, _| (cpu(75.0), scene(count)));
        let off: Vec<bool> = governor.sheds(&ids(count)).iter().map(|shed| shed.preview.off).collect();
        assert_eq!(off, [false, true][..count]);
        run(&mut governor, 30_000..60_000, |_, _| (cpu(90.0), scene(count)));
        assert!(governor.sheds(&ids(count)).iter().all(|shed| shed.preview.off));
    }
}

#[test]
fn any_limit_can_be_set() {
    let rules = DegradationRules { low_memory: u64::MAX, ..DegradationRules::default() };
    let mut governor = Governor::new(rules);
    run(&mut governor, 0..5000, |_, _| (memory(9 * GB), scene(2)));
    assert!(governor.causes().iter().any(|(_, code)| *code == IncidentCode::LowMemoryMode));
}

/// Bitrates in short.
trait Bitrates {
    fn map_bitrate(&self) -> Vec<u8>;
}

impl Bitrates for Vec<Shed> {
    fn map_bitrate(&self) -> Vec<u8> {
        self.iter().map(|shed| shed.bitrate_percent).collect()
    }
}

#[test]
fn memory_has_rows_of_its_own_and_low_memory_one_preview() {
    let mut governor = governor();
    run(&mut governor, 0..5000, |_, _| (memory(5 * GB), scene(4)));
    assert_eq!(governor.level(), LevelName::Normal);
    let done = run(&mut governor, 5000..30_000, |_, _| (memory(GB), scene(4)));
    assert_eq!(words(&done), ["+caches_dropped", "+previews_720p", "+previews_15fps"]);
    assert_eq!(done[0].0, done[1].0, "caches of this process are no reason to wait");
    assert_eq!(governor.causes(), [(LevelName::Degrade, IncidentCode::MemoryHigh)]);
    let done = run(&mut governor, 30_000..60_000, |_, _| (memory(GB / 5), scene(4)));
    assert_eq!(words(&done), ["+one_preview_off", "+previews_off", "+jobs_paused"]);
    let done = run(&mut governor, 60_000..61_000, |_, _| (memory(140_000_000), scene(4)));
    assert_eq!(words(&done), ["+caches_dropped", "+one_preview"]);
    // Hysteresis: 10 % above where it began.
    run(&mut governor, 61_000..120_000, |_, _| (memory(160_000_000), scene(4)));
    assert!(governor.causes().iter().any(|(_, code)| *code == IncidentCode::LowMemoryMode));
    run(&mut governor, 120_000..300_000, |_, _| (memory(5 * GB), scene(4)));
    assert_eq!((governor.level(), governor.taken().count()), (LevelName::Normal, 0));
}

#[test]
fn one_preview_is_the_most_important_one() {
    let mut governor = governor();
    run(&mut governor, 0..10_000, |_, _| (memory(100_000_000), scene(3)));
    let sheds = governor.sheds(&ids(3));
    // Memory is also short by its share.
    assert!(sheds[1].preview.off && sheds[2].preview.off && !sheds[0].preview.off, "{sheds:?}");
}

#[test]
fn what_nobody_watches_is_skipped_at_once_and_holds_for_whoever_comes() {
    let mut governor = governor();
    let unseen = Scene { shown: Vec::new(), ..scene(4) };
    run(&mut governor, 0..3000, |_, _| (cpu(20.0), unseen.clone()));
    let done = run(&mut governor, 3000..3500, |_, _| (cpu(95.0), unseen.clone()));
    assert_eq!(done.len(), 5, "{done:?}");
    assert!(governor.sheds(&ids(4)).iter().all(|shed| shed.preview.off));
}

#[test]
fn nothing_is_done_before_the_means_are_whole() {
    let mut governor = governor();
    assert_eq!(run(&mut governor, 0..2000, |_, _| (cpu(100.0), scene(4))), []);
    assert!(!governor.is_settled(at(1900)) && governor.is_settled(at(2000)));
}

#[test]
fn limits_of_a_hundred_are_never_passed() {
    let rules = DegradationRules {
        cpu_warn_percent: 100,
        cpu_degrade_percent: 100,
        cpu_critical_percent: 100,
        memory_warn_percent: 100,
        memory_degrade_percent: 100,
        memory_critical_percent: 100,
        pressure_percent: 100,
        low_memory: 1,
        ..DegradationRules::default()
    };
    let mut governor = Governor::new(rules);
    // Nothing available at all is below every limit.
    let memory = Memory { total: GB, available: 2 };
    let worst = Load { pressure_percent: Some(100.0), ..with_memory(100.0, memory) };
    assert_eq!(run(&mut governor, 0..60_000, |_, _| (worst, scene(4))), []);
    assert_eq!(governor.level(), LevelName::Normal);
}

proptest! {
    // An hour is 7200 looks.
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Previews cost what they cost, programs beside come and go: whatever the two are, an hour of one load sees few changes.
    #[test]
    fn an_hour_of_one_load_does_not_flap(others in 0.0f64..100.0, each in 0.5f64..8.0) {
        let mut governor = governor();
        let load = |_: u64, governor: &Governor| {
            let sheds = governor.sheds(&ids(4));
            let preview = |shed: &Shed| match shed.preview {
                PreviewCap { off: true, .. } => 0.0,
                PreviewCap { max_fps: Some(_), .. } => each / 2.0,
                PreviewCap { max_height: Some(_), .. } => each * 0.8,
                _ => each,
            };
            let shown: f64 = sheds.iter().map(preview).sum();
            (cpu((others + shown).min(100.0)), scene(4))
        };
        let done = run(&mut governor, 0..3_600_000, load);
        prop_assert!(done.len() <= 60, "{} changes in an hour", done.len());
        let late = done.iter().filter(|(at, _)| *at > 1_800_000).count();
        prop_assert!(late <= 16, "{} changes in the second half hour", late);
    }

    /// A recording is touched only while it is itself seen to run late, its preview is gone by then, and where all were
    /// asked to make room all previews are. It comes back when it has kept up for long enough, whatever the machine does.
    #[test]
    fn the_bitrate_is_the_last_thing_and_the_first_to_come_back(
        steps in prop::collection::vec((1u64..40, 0u8..101, prop::sample::subsequence(vec![0, 1, 2, 3], 0..=4)), 1..40),
        percent in 0u8..101,
    ) {
        let mut governor = governor();
        let mut now = 0;
        for (pause, percent, places) in steps {
            for _ in 0..pause {
                now += 500;
                governor.see(at(now), cpu(f64::from(percent)));
                let scene = late(4, &places);
                for (input, change) in governor.step(at(now), &scene) {
                    let of_the_recording = matches!(change.action, Action::BitrateLower | Action::BitrateHalf);
                    if !(change.taken && of_the_recording) {
                        continue;
                    }
                    prop_assert!(scene.late.iter().any(|(late, _)| Some(late) == input.as_ref()));
                    let all_off = governor.sheds(&ids(4)).iter().all(|shed| shed.preview.off);
                    prop_assert!(all_off || (places.len() == 1 && percent <= 60));
                }
                let sheds = governor.sheds(&ids(4));
                prop_assert!(sheds.iter().all(|shed| shed.bitrate_percent == FULL_BITRATE || shed.preview.off));
            }
        }
        // The longest patience there is, and some.
        run(&mut governor, now + 500..now + 920_000, |_, _| (cpu(f64::from(percent)), scene(4)));
        prop_assert!(governor.sheds(&ids(4)).iter().all(|shed| shed.bitrate_percent == FULL_BITRATE));
    }
}
