//! Files that are not where they belong (R-FM-13).

use super::*;
use crate::model::session::{Gap, LATE_START};

fn ends(bench: &Bench) -> Vec<(u32, PartEnd)> {
    let end = |(_, kind): &(u64, FactKind)| match kind {
        FactKind::PartClosed(record) => Some((record.part, record.end)),
        _ => None,
    };
    bench.facts.iter().filter_map(end).collect()
}

fn recording() -> Bench {
    let mut bench = Bench::new(OnSignalLoss::Split);
    bench.origin_at_growth = true;
    bench.start();
    bench.run(s(2), true);
    bench
}

#[test]
fn a_file_that_is_gone_is_followed_by_the_next_part_without_a_gap() {
    let mut bench = recording();
    bench.place(Place::Displaced);
    assert_eq!(bench.shown().1, Some(RecordingState::Stalled), "what grows is nowhere to be found");
    assert_eq!(bench.incidents(), [IncidentCode::FileDisplaced]);
    bench.tick();
    assert_eq!(bench.next, Some(2));
    bench.keyframe();
    bench.run(Duration::from_millis(500), true);
    assert_eq!(bench.shown().1, Some(RecordingState::Recording));
    bench.settle();
    assert_eq!(ends(&bench), [(1, PartEnd::Displaced)]);
    assert!(bench.state.active.is_empty(), "{:?}", bench.state.active);
    // Each file is told by its name.
    bench.place(Place::Displaced);
    assert_eq!(bench.incidents(), [IncidentCode::FileDisplaced; 2]);
    bench.tick();
    bench.keyframe();
    bench.run(s(1), true);
    bench.settle();
    bench.feed(Event::Stop { reply: REPLY, session: session() });
    bench.close_part();
    assert_eq!(ends(&bench), [(1, PartEnd::Displaced), (2, PartEnd::Displaced), (3, PartEnd::Completed)]);
    // The bench tells the origin of the first part a moment late.
    let gap = |kind: &FactKind| matches!(kind, FactKind::Gap(Gap { cause, .. }) if cause != LATE_START);
    assert!(!bench.facts.iter().any(|(_, kind)| gap(kind)), "{:?}", bench.facts);
}

#[test]
fn a_part_without_media_and_one_without_a_keyframe_are_followed_with_a_gap() {
    let mut young = Bench::new(OnSignalLoss::Split);
    young.start();
    young.place(Place::Displaced);
    assert_eq!(young.part, Some((1, Some(PartEnd::Displaced))));
    young.close_part();
    assert_eq!(young.opened, [1, 2]);

    let mut bench = recording();
    bench.place(Place::Displaced);
    bench.run(s(13), true);
    assert_eq!(bench.part, Some((1, Some(PartEnd::Displaced))));
    bench.settle();
    bench.close_part();
    assert_eq!(bench.opened, [1, 2, 3]);
}

#[test]
fn a_folder_that_is_gone_is_waited_for_and_nothing_is_thrown_away_meanwhile() {
    let gone = || Place::Gone { reason: "No such file or directory".into() };
    let mut bench = recording();
    bench.disk_refuses = Some(Trouble::Vanished("ENOENT".into()));
    bench.place(gone());
    bench.run(s(30), true);
    assert_eq!((bench.part, bench.shown().1), (Some((1, None)), Some(RecordingState::Stalled)));
    assert_eq!(bench.incidents(), [IncidentCode::StorageVanished]);
    assert!((5..=12).contains(&bench.attempts), "{} attempts", bench.attempts);
    // It is mounted again, and the file is where it was.
    bench.disk_refuses = None;
    bench.place(Place::Found);
    assert!(bench.state.active.is_empty(), "{:?}", bench.state.active);
    bench.run(s(10), true);
    assert_eq!((bench.part, bench.shown().1, bench.next), (Some((1, None)), Some(RecordingState::Recording), None));

    // Another one is in its place.
    bench.place(gone());
    bench.run(s(1), true);
    bench.keyframe();
    bench.run(s(1), true);
    bench.settle();
    assert_eq!((bench.shown().1, ends(&bench)), (Some(RecordingState::Recording), vec![(1, PartEnd::Displaced)]));
}

#[test]
fn what_is_found_of_files_nobody_writes_is_no_matter() {
    let mut bench = recording();
    bench.feed(placed("cam1.part7.mp4", Place::Displaced));
    bench.feed(Event::Stop { reply: REPLY, session: session() });
    bench.close_part();
    bench.place(Place::Displaced);
    assert_eq!((bench.incidents(), bench.opened), (vec![], vec![1]));
}

#[test]
fn a_file_that_is_gone_before_it_is_known_is_not_forgotten() {
    let mut bench = Bench::new(OnSignalLoss::Split);
    bench.before_opened = Some(placed("cam1.mp4", Place::Displaced));
    bench.start();
    assert_eq!(
        (bench.part, bench.incidents()),
        (Some((1, Some(PartEnd::Displaced))), vec![IncidentCode::FileDisplaced])
    );
    bench.close_part();
    bench.run(s(1), true);
    assert_eq!((bench.shown().1, bench.opened), (Some(RecordingState::Recording), vec![1, 2]));
    assert!(bench.state.active.is_empty(), "{:?}", bench.state.active);
}

#[test]
fn a_file_is_missed_until_it_is_found_itself() {
    let named = |part: u32, place| placed(&format!("cam1.part{part}.mp4"), place);
    let missed = |bench: &Bench| bench.state.active.contains_key(&IncidentCode::FileDisplaced);
    let mut bench = recording();
    bench.ask_split();
    bench.run(s(1), true);
    bench.ask_split();
    bench.tick();
    assert_eq!(bench.next, Some(2));
    bench.feed(named(2, Place::Displaced));
    bench.keyframe();
    bench.run(s(1), true);
    assert!(missed(&bench), "it grows, but nobody can find it");

    let mut both = recording();
    both.run(s(3), true);
    both.ask_split();
    both.tick();
    both.feed(named(1, Place::Displaced));
    both.feed(named(2, Place::Displaced));
    both.feed(named(1, Place::Found));
    assert!(missed(&both), "another one is missed still");
    both.feed(named(2, Place::Found));
    assert!(!missed(&both));
}

/// What is written meanwhile is in a file that nobody can find, or of which nothing becomes safe.
#[test]
fn a_next_part_that_fails_by_itself_is_followed_at_once_where_there_is_nothing_to_be_spared() {
    let write = || Trouble::Write("EIO".into());
    let needed: [fn(&mut Bench); 2] = [
        |bench| bench.place(Place::Displaced),
        |bench| bench.feed(Event::PartTrouble { part: 1, trouble: Trouble::Sync("EIO".into()) }),
    ];
    for need in needed {
        let mut bench = recording();
        need(&mut bench);
        bench.tick();
        assert_eq!(bench.next, Some(2));
        bench.feed(Event::PartTrouble { part: 2, trouble: write() });
        bench.settle();
        bench.run(s(2), true);
        assert_eq!((bench.part, bench.next), (Some((1, None)), Some(3)));
        // One failure after the other is tried more and more slowly.
        for _ in 0..600 {
            if let Some(part) = bench.next {
                bench.feed(Event::PartTrouble { part, trouble: write() });
                bench.settle();
            }
            bench.run(Duration::from_millis(500), true);
        }
        assert!((8..=70).contains(&bench.opened.len()), "{} parts in five minutes", bench.opened.len());
        assert_eq!(bench.part, Some((1, None)), "what is there is written on");
    }

    let mut wanted = recording();
    wanted.run(s(2), true);
    wanted.ask_split();
    wanted.tick();
    wanted.feed(Event::PartTrouble { part: 2, trouble: write() });
    wanted.settle();
    wanted.run(s(20), true);
    assert_eq!(wanted.opened, [1, 2], "one that is a matter of taste can wait");
}
