//! Whom a statement of a loss believes, and what it claims then.

use super::*;
use crate::model::encoding::{Container, Encoding};
use crate::model::incident::{Incident, IncidentCode};
use crate::model::session::{Fact, FactKind, Gap, JournalKind, Line, PartEnd};
use crate::model::{InputId, MonoNs, SessionId};
use jiff::Timestamp;
use std::time::Duration;

const MS: i64 = 1_000_000;
/// The session's origin, on the clock of its boot.
const ORIGIN: u64 = 7_000_000_000;

fn plan() -> Plan {
    Plan {
        id: SessionId(uuid::Uuid::nil()),
        name: "test".parse().expect("a name"),
        key: "k".into(),
        request: String::new(),
        start_at_ns: MonoNs(ORIGIN),
        boot_id: "b".into(),
        started_at: Timestamp::UNIX_EPOCH,
        inputs: Vec::new(),
        encoding: Encoding::default(),
        files: Vec::new(),
    }
}

/// A part from `from` to `to`, in ms of the session; without a begin its worker did not live to say it.
fn part(number: u32, from: Option<i64>, to: i64) -> PartRecord {
    PartRecord {
        offset_ns: from.map(|from| from * MS),
        duration_ns: u64::try_from((to - from.unwrap_or(to)) * MS).expect("ends behind its begin"),
        bytes: 1,
        ..PartRecord::new(number, "", Container::Mp4, PartEnd::WorkerDied)
    }
}

/// It lived at `at` ms of the session, and its next beat was due `window` ms later.
fn beat(at: u64, window: u64) -> Beat {
    let at = MonoNs(ORIGIN).plus(Duration::from_millis(at));
    Beat { boot_id: "b".into(), at, window: Duration::from_millis(window) }
}

fn input() -> InputId {
    "a".parse().expect("an id")
}

fn at(ms: i64, kind: JournalKind) -> Line<JournalKind> {
    Line { t_ns: ms * MS, at: Timestamp::UNIX_EPOCH, kind }
}

fn facts(kinds: Vec<FactKind>) -> InputFacts {
    let line = |(n, kind)| at(0, JournalKind::Fact { input: input(), fact: Fact { n, kind } });
    InputFacts::of(&input(), &(1..).zip(kinds).map(line).collect::<Vec<_>>())
}

/// What is said of `record`, whose file was last written to at `touched` ms by the wall clock.
fn said(record: &PartRecord, kinds: Vec<FactKind>, beat: Option<Beat>, touched: i64) -> Option<Loss> {
    let known = Evidence { facts: &facts(kinds), beat: beat.as_ref(), touched: Some(touched * MS) };
    loss(&plan(), record, known)
}

fn known(ms: u64, within: u64) -> Option<Loss> {
    Some(Loss { ms, within_ms: Some(within) })
}

#[test]
fn a_pulse_says_when_it_ended_whatever_the_wall_clock_says() {
    let record = part(1, Some(20), 5_000);
    for touched in [4_950, -86_400_000, 86_400_000] {
        assert_eq!(said(&record, vec![], Some(beat(5_250, 110)), touched), known(305, 88));
    }
    // It ended with its media: less than nothing is not missing.
    assert_eq!(said(&record, vec![], Some(beat(4_920, 110)), 0), known(0, 88));
}

/// A worker that is told to stop, or waits for its signal, lives on behind its media.
#[test]
fn nothing_is_lost_behind_a_stop_nor_where_a_gap_was_told() {
    let record = part(1, Some(20), 5_000);
    let stop = |ms| {
        let facts =
            InputFacts::of(&input(), &[at(ms, JournalKind::StopRequested), at(60_000, JournalKind::StopRequested)]);
        let beat = beat(8_000, 110);
        loss(&plan(), &record, Evidence { facts: &facts, beat: Some(&beat), touched: None })
    };
    assert_eq!((stop(4_990), stop(5_400)), (known(0, 88), known(400, 88)));
    let gap = |to: i64| FactKind::Gap(Gap { from_ns: 5_000 * MS, to_ns: to * MS, cause: "no_signal".into() });
    assert_eq!(said(&record, vec![gap(8_100)], Some(beat(8_000, 110)), 0), known(0, 88));
    assert_eq!(said(&record, vec![gap(7_000)], Some(beat(8_000, 110)), 0), known(1_055, 88));
}

#[test]
fn without_a_pulse_that_can_be_believed_the_statement_is_an_upper_bound() {
    let record = part(1, Some(20), 5_000);
    let bound = Some(Loss::at_most(600));
    assert_eq!(said(&record, vec![], None, 5_100), bound);
    assert_eq!(said(&record, vec![], Some(beat(4_800, 110)), 5_100), bound, "it stopped before the recording");
    assert_eq!(said(&record, vec![], Some(beat(5_200, 3_000)), 5_100), bound, "it beats rarely: a slow disk");
    assert_eq!(said(&record, vec![], Some(beat(5_200, 400)), 5_100), known(400, 233), "but within a fragment");
}

#[test]
fn a_part_that_another_one_follows_has_lost_what_lies_between() {
    let record = part(1, Some(0), 5_000);
    let next = FactKind::PartStarted { part: 2, offset_ns: 6_200 * MS };
    let late = Some(beat(90_000, 110));
    assert_eq!(said(&record, vec![next.clone()], late.clone(), 0), known(1_200, 33));
    let closed = FactKind::PartClosed(part(3, Some(9_000), 10_000));
    assert_eq!(said(&record, vec![closed, next.clone()], late.clone(), 0), known(1_200, 33));
    let gap = Gap { from_ns: 5_500 * MS, to_ns: 6_200 * MS, cause: "no_signal".into() };
    assert_eq!(said(&record, vec![next, FactKind::Gap(gap)], late, 0), known(500, 33), "nothing was there to be lost");
}

#[test]
fn the_pulse_of_a_successor_says_nothing_of_who_died_before_it() {
    let died = at(5_270, JournalKind::WorkerLost { input: input(), reason: "signal: 9".into() });
    let told = |lines: &[Line<JournalKind>], beat: Option<Beat>| {
        let facts = InputFacts::of(&input(), lines);
        let known = Evidence { facts: &facts, beat: beat.as_ref(), touched: Some(5_100 * MS) };
        loss(&plan(), &part(1, Some(0), 5_000), known)
    };
    let seen = std::slice::from_ref(&died);
    assert_eq!(told(seen, Some(beat(5_200, 100))), known(250, 83), "its own");
    assert_eq!(told(seen, Some(beat(60_000, 100))), known(270, 33), "of one that found no signal");
    assert_eq!(told(seen, None), known(270, 33));
    // It died while no engine ran: the next one only found that it had.
    let found = [at(5_260, JournalKind::Adopted { epoch: 2 }), died.clone()];
    assert_eq!(told(&found, Some(beat(60_000, 100))), Some(Loss::at_most(600)));
    assert_eq!(told(&found, Some(beat(5_200, 100))), known(250, 83));
}

#[test]
fn a_part_nobody_knows_the_begin_of_is_lost_at_most_since_the_one_before() {
    let record = part(2, None, 0);
    let before = FactKind::PartClosed(part(1, Some(0), 5_000));
    assert_eq!(said(&record, vec![before.clone()], Some(beat(5_300, 110)), 0), Some(Loss::at_most(410)));
    assert_eq!(said(&record, vec![], Some(beat(5_300, 110)), 0), Some(Loss::at_most(5_410)));
    assert_eq!(said(&record, vec![before], None, 5_400), None);
    let lost = FactKind::PartClosed(PartRecord { lost: known(300, 55), ..part(1, Some(0), 5_000) });
    assert_eq!(said(&record, vec![lost], Some(beat(5_300, 110)), 0), None, "the one before has lost all of it");
}

fn fact(ms: i64, n: u64, kind: FactKind) -> Line<JournalKind> {
    at(ms, JournalKind::Fact { input: input(), fact: Fact { n, kind } })
}

fn opened(ms: i64, number: u32) -> Line<JournalKind> {
    fact(ms, u64::from(number), FactKind::PartOpened { part: number, file: String::new() })
}

fn died(ms: i64) -> Line<JournalKind> {
    at(ms, JournalKind::WorkerLost { input: input(), reason: "signal: 9".into() })
}

fn of_lines(record: &PartRecord, lines: &[Line<JournalKind>], beat: Option<Beat>) -> Option<Loss> {
    let facts = InputFacts::of(&input(), lines);
    loss(&plan(), record, Evidence { facts: &facts, beat: beat.as_ref(), touched: None })
}

/// Regression: hours without a signal before it were stated as lost.
#[test]
fn a_part_nobody_knows_the_begin_of_has_lost_nothing_from_before_it_was_opened() {
    const HOUR: i64 = 3_600_000;
    let record = part(2, None, 0);
    let quiet =
        fact(5_100, 1, FactKind::PartClosed(PartRecord { end: PartEnd::SignalLost, ..part(1, Some(0), 5_000) }));
    let (late, next) = (opened(HOUR, 2), FactKind::PartStarted { part: 3, offset_ns: (HOUR + 900) * MS });
    let own = || Some(beat(3_600_300, 110));
    assert_eq!(of_lines(&record, &[quiet.clone(), late.clone()], own()), Some(Loss::at_most(410)));
    let followed = [quiet.clone(), late.clone(), fact(HOUR + 900, 3, next)];
    assert_eq!(of_lines(&record, &followed, None), Some(Loss::at_most(900)));
    // Its successor found no signal, and its pulse went on.
    let replaced = [quiet, late.clone(), died(HOUR + 350)];
    assert_eq!(of_lines(&record, &replaced, Some(beat(7_200_000, 110))), Some(Loss::at_most(350)));
    // The first part may come late as well.
    assert_eq!(of_lines(&part(1, None, 0), &[opened(HOUR, 1)], own()), Some(Loss::at_most(410)));
    assert_eq!(of_lines(&part(1, None, 0), &[opened(-90, 1)], Some(beat(300, 110))), Some(Loss::at_most(410)));
    // One that was opened beside the part before it began behind that.
    let split = [opened(4_000, 2), fact(5_100, 3, FactKind::PartClosed(part(1, Some(0), 5_000)))];
    assert_eq!(of_lines(&record, &split, Some(beat(5_300, 110))), Some(Loss::at_most(410)));
}

#[test]
fn the_loss_of_the_part_before_is_that_of_another_worker_or_all_of_it() {
    let record = part(2, None, 0);
    let lost = FactKind::PartClosed(PartRecord { lost: known(300, 33), ..part(1, Some(0), 5_000) });
    let told = |opened_at, more: Option<Line<JournalKind>>| {
        let lines = [opened(opened_at, 2), fact(9_000, 5, lost.clone()), died(5_300)];
        of_lines(&record, &lines.into_iter().chain(more).collect::<Vec<_>>(), Some(beat(8_300, 110)))
    };
    assert_eq!(told(8_000, None), Some(Loss::at_most(410)), "its own worker opened it later");
    assert_eq!(told(5_200, None), None, "one worker died with both");
    let next = fact(9_500, 3, FactKind::PartStarted { part: 3, offset_ns: 9_500 * MS });
    assert_eq!(told(8_000, Some(next)), None, "what the one before lost reaches to the part behind this one");
}

/// Regression: hours in which a replacement found no camera were stated as lost.
#[test]
fn nothing_is_lost_while_there_is_no_signal() {
    const HOUR: i64 = 3_600_000;
    let record = part(1, Some(20), 5_000);
    let dark = |ms, code| fact(ms, 7, FactKind::Incident(Incident::new(code)));
    let next = |n| [opened(HOUR, 2), fact(HOUR, n, FactKind::PartStarted { part: 2, offset_ns: HOUR * MS })];
    let told = |lines: &[&[Line<JournalKind>]]| of_lines(&record, &lines.concat(), None);
    // Its successor said when it found none, and maybe died as well before it came.
    for code in [IncidentCode::NoSignal, IncidentCode::SourceUnreachable, IncidentCode::SourceMisconfigured] {
        assert_eq!(told(&[&[died(5_300), dark(5_900, code)], &next(9)]), Some(Loss::at_most(900)), "{code:?}");
    }
    assert_eq!(told(&[&[died(5_300), dark(5_900, IncidentCode::AudioLost)], &next(9)]), known(3_595_000, 33));
    // It lost its signal itself and died while it closed the file.
    let late = [dark(5_700, IncidentCode::NoSignal), died(HOUR - 1_000)];
    assert_eq!(told(&[&late]), Some(Loss::at_most(700)));
    assert_eq!(told(&[&late, &next(9)]), Some(Loss::at_most(1_700)));
    // Its successor died as well, and the camera may have come back before the next one; or nobody saw when it died.
    let again = [died(5_300), dark(5_900, IncidentCode::NoSignal), died(9_000)];
    assert_eq!(told(&[&again, &next(9)]), Some(Loss::at_most(900 + 3_591_000)));
    let unseen =
        [died(5_300), dark(5_900, IncidentCode::NoSignal), at(8_000, JournalKind::Adopted { epoch: 2 }), died(9_000)];
    assert_eq!(told(&[&unseen, &next(9)]), known(3_595_000, 33));
    // A gap that was told says more, and what lies in both counts once.
    let gap = Gap { from_ns: 5_400 * MS, to_ns: HOUR * MS, cause: "no_signal".into() };
    let gap = fact(HOUR, 8, FactKind::Gap(gap));
    assert_eq!(told(&[&[died(5_300), dark(5_900, IncidentCode::NoSignal), gap], &next(9)]), known(400, 33));
    // One that came back before was there to be lost.
    let early = [dark(1_000, IncidentCode::NoSignal), opened(2_000, 1)];
    assert_eq!(told(&[&early, &[died(5_300)], &next(9)]), known(3_595_000, 33));
}

/// Its file was touched when it was made, before its first picture: that bounds nothing.
#[test]
fn what_a_part_without_media_lost_is_never_told_by_its_file() {
    let record = PartRecord { end: PartEnd::Empty, ..part(2, Some(5_000), 5_000) };
    let told = |beat| said(&record, vec![], beat, 4_900);
    assert_eq!(told(None), None);
    assert_eq!(told(Some(beat(6_200, 110))), known(1_255, 88));
    assert_eq!(told(Some(beat(5_800, 2_000))), Some(Loss::at_most(2_800)), "a disk that syncs slowly");
    assert_eq!(told(Some(beat(4_000, 110))), None, "not its own");
    let unseen = [at(7_000, JournalKind::Adopted { epoch: 2 }), died(7_500)];
    assert_eq!(of_lines(&record, &unseen, Some(beat(6_200, 2_000))), Some(Loss::at_most(3_200)));
}
