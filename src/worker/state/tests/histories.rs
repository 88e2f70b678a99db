//! Any order of events, splits at every phase among them: what holds whatever happens.

use super::*;
use std::collections::BTreeSet;

impl Bench {
    /// A part that has nothing to do with the one that is written.
    fn beside(&self) -> Option<u32> {
        self.next.filter(|_| !self.decided).or(self.settling.last().map(|(part, _)| *part))
    }

    /// Parts are opened once and closed once, in this order; nothing is told after the end.
    fn check_facts(&self) -> Result<(), TestCaseError> {
        let (mut opened, mut closed, mut over) = (BTreeSet::new(), BTreeSet::new(), false);
        for (_, kind) in &self.facts {
            prop_assert!(!over, "a fact after the end: {:?}", kind);
            match kind {
                FactKind::PartOpened { part, .. } => prop_assert!(opened.insert(*part), "part {part} opened twice"),
                FactKind::PartClosed(record) | FactKind::PartUnfinished(record) => {
                    prop_assert!(opened.contains(&record.part), "part {} was never opened", record.part);
                    prop_assert!(closed.insert(record.part), "part {} closed twice", record.part);
                }
                FactKind::Done { .. } => over = true,
                FactKind::PartStarted { .. } | FactKind::Gap(_) | FactKind::Incident(_) => {}
            }
        }
        let Some(recording) = &self.state.recording else { return Ok(()) };
        prop_assert!(
            recording.next.is_none() || recording.settling.is_none(),
            "two parts beside the one that is written"
        );
        for part in opened.difference(&closed) {
            let open = self.part.is_some_and(|(open, _)| open == *part);
            prop_assert!(!over || recording.left_behind.contains(part) || !open, "part {part} is open at the end");
            let beside = recording.is_beside(*part) || recording.left_behind.contains(part);
            prop_assert!(open || beside || over, "nobody knows of part {part}");
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]
    #[test]
    fn any_order_of_events_keeps_the_promises(ops in prop::collection::vec(0u8..31, 1..60), slow_files: bool) {
        let mut bench = Bench::new(OnSignalLoss::Split);
        bench.slow_files = slow_files;
        bench.origin_at_growth = true;
        for op in ops {
            match op {
                14 => bench.ask_split(),
                22 => bench.silent_keyframe(),
                23 if bench.beside().is_some() => {
                    let part = bench.beside().expect("just seen");
                    bench.feed(Event::PartTrouble { part, trouble: Trouble::Write("EIO".into()) });
                }
                15 => bench.keyframe(),
                16 => bench.settle(),
                17 => bench.file_ready(),
                18 if bench.next.is_some() => {
                    bench.feed(Event::TakeFailed { part: bench.next, reason: "beside".into() });
                }
                19 if !bench.settling.is_empty() => {
                    let part = bench.settling.last().map(|(part, _)| *part);
                    bench.feed(Event::TakeFailed { part, reason: "the old one".into() });
                }
                20 if bench.creating.is_some() && bench.creating == bench.next => {
                    let part = bench.creating.take().expect("just seen");
                    bench.next = None;
                    bench.feed(Event::PartRefused { part, refusal: PartRefusal::Exists });
                }
                21 => bench.run(s(1), true),
                25 if bench.part.is_some() => {
                    bench.feed(Event::PartTrouble { part: bench.number(), trouble: Trouble::ReadOnly("EROFS".into()) });
                }
                26 => bench.disk_refuses = Some(Trouble::Vanished("ENOENT".into())),
                27 => bench.disk_refuses = None,
                28 => bench.disk_waits_since = bench.disk_waits_since.xor(Some(bench.now)),
                29 if bench.part.is_some() => bench.place(Place::Displaced),
                30 if bench.part.is_some() => bench.place(Place::Found),
                // Everybody stands still.
                24 => bench.now = bench.now.plus(s(40)),
                0 => bench.start(),
                1 => bench.feed(Event::Stop { reply: REPLY, session: session() }),
                2 => bench.frames = !bench.frames,
                3 => bench.run(s(4), false),
                4 => bench.run(s(2), true),
                5 => bench.close_part(),
                6 if bench.part.is_some() => bench.feed(Event::TakeFailed { part: None, reason: "poison".into() }),
                7 if bench.part.is_some() => bench.feed(Event::PartTrouble { part: bench.number(), trouble: Trouble::DiskFull }),
                8 => bench.feed(Event::SourceFailed { reason: "gone".into(), permanent: false }),
                9 => bench.feed(Event::SourceFormat(format())),
                10 => bench.feed(Event::EngineGone),
                11 => bench.feed(Event::EngineConnected),
                12 => bench.feed(Event::Retry { reply: REPLY }),
                13 => bench.feed(Event::SourceEnded),
                _ => bench.tick(),
            }
            // Part numbers and fact numbers are never reused.
            prop_assert!(bench.opened.windows(2).all(|pair| pair[0] < pair[1]), "{:?}", bench.opened);
            let numbers: BTreeSet<u64> = bench.facts.iter().map(|(n, _)| *n).collect();
            prop_assert_eq!(numbers.len(), bench.facts.len());
            bench.check_facts()?;
            // "recording" is never shown without a part that is being written.
            if bench.shown().1 == Some(RecordingState::Recording) {
                prop_assert!(bench.part.is_some_and(|(_, end)| end.is_none()));
            }
        }
        (bench.disk_refuses, bench.disk_waits_since) = (None, None);
        // Whatever happened, asked to leave it leaves as soon as its file is closed.
        bench.feed(Event::Terminate);
        for _ in 0..6 {
            bench.close_part();
            bench.settle();
            bench.run(s(20), false);
        }
        bench.check_facts()?;
        let told = bench.facts.iter().any(|(_, kind)| matches!(kind, FactKind::Done { .. }));
        prop_assert!(!told || bench.exit.is_some());
        prop_assert!(bench.exit.is_some() || bench.part.is_some_and(|(_, end)| end.is_none()));
    }
}

proptest! {
    #[test]
    fn backoff_stays_in_its_bounds(attempt in 1u32..200, seed: u64) {
        let longest = s(1).saturating_mul(1u32.checked_shl(attempt - 1).unwrap_or(u32::MAX)).min(s(60));
        let pause = backoff(attempt, s(1), s(60), seed);
        prop_assert!(pause <= longest.max(s(1)) && pause >= longest / 11);
    }
}
