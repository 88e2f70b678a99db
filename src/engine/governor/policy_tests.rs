//! The governor against what a machine can do.

use super::*;
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
    Scene { shown: inputs.iter().map(shown).collect(), inputs, jobs: false, adjustable: true, danger: None }
}

fn cpu(percent: f64) -> Load {
    let memory = Some(Memory { total: 16 * GB, available: 12 * GB });
    Load { cpu_percent: Some(percent), pressure_percent: Some(0.0), memory }
}

fn memory(available: u64) -> Load {
    Load { memory: Some(Memory { total: 10 * GB, available }), ..cpu(10.0) }
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
        done.extend(changes.iter().map(|change| (now, format!("{}{}", word(change.taken), change.action.as_str()))));
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
}

#[test]
fn a_recording_that_runs_late_costs_previews_at_once_and_its_bitrate_only_in_the_end() {
    let mut governor = governor();
    let late = |late: bool| {
        let danger = late.then_some(Danger { queue_percent: 60, late_ms: 400 });
        (cpu(30.0), Scene { danger, ..scene(4) })
    };
    run(&mut governor, 0..5000, |_, _| late(false));
    let done = run(&mut governor, 5000..30_000, |_, _| late(true));
    let order = [
        "previews_720p",
        "previews_15fps",
        "two_previews_off",
        "jobs_paused",
        "previews_off",
        "bitrate_75",
        "bitrate_50",
    ];
    assert_eq!(words(&done), order.map(|word| format!("+{word}")));
    assert_eq!(done[0].0, 5000);
    assert_eq!(done[4].0, 8000, "an action a second");
    assert_eq!((done[5].0, done[6].0), (10_000, 15_000), "late for five seconds in spite of all, and five more");
    assert_eq!((governor.level(), governor.sheds(&ids(4))[0].bitrate_percent), (LevelName::Critical, 50));
    assert!(governor.is_helpless(at(30_000), &scene(4)));
    let done = run(&mut governor, 30_000..100_000, |_, _| late(false));
    assert_eq!(words(&done), order.iter().rev().map(|word| format!("-{word}")).collect::<Vec<_>>());
    assert!(!governor.is_helpless(at(100_000), &scene(4)) && governor.sheds(&ids(4))[0] == Shed::default());
}

#[test]
fn memory_has_rows_of_its_own_and_low_memory_one_preview() {
    let mut governor = governor();
    run(&mut governor, 0..5000, |_, _| (memory(5 * GB), scene(4)));
    assert_eq!(governor.level(), LevelName::Normal);
    let done = run(&mut governor, 5000..30_000, |_, _| (memory(GB), scene(4)));
    assert_eq!(words(&done), ["+caches_dropped", "+previews_720p", "+previews_15fps"]);
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
    let worst = Load { pressure_percent: Some(100.0), memory: Some(Memory { total: GB, available: 0 }), ..cpu(100.0) };
    // Nothing available at all is below every limit.
    let worst = Load { memory: worst.memory.map(|memory| Memory { available: 2, ..memory }), ..worst };
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

    /// A recording is touched only while it is seen to run late, and previews are gone by then.
    #[test]
    fn the_bitrate_is_the_last_thing(steps in prop::collection::vec((1u64..40, 0u8..101, any::<bool>()), 1..40)) {
        let mut governor = governor();
        let mut now = 0;
        for (pause, percent, late) in steps {
            for _ in 0..pause {
                now += 500;
                let danger = late.then_some(Danger { queue_percent: 60, late_ms: 0 });
                governor.see(at(now), cpu(f64::from(percent)));
                for change in governor.step(at(now), &Scene { danger, ..scene(4) }) {
                    prop_assert!(!(change.taken && change.action.is_of_the_recording()) || late);
                }
                let sheds = governor.sheds(&ids(4));
                prop_assert!(sheds.iter().all(|shed| shed.bitrate_percent == FULL_BITRATE || shed.preview.off));
            }
        }
    }
}
