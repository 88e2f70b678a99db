//! Processes that die or stand still.

use super::{Check, Fault, GoesOn, Stage, VICTIM};
use crate::record::RECORDS_WITHIN;
use crate::support::proc::find_input;
use rustix::process::Signal;
use std::time::Duration;

const NOTHING: Duration = Duration::ZERO;
/// How long the supervisor stands still.
const STOPPED: Duration = Duration::from_secs(8);

/// A second before a death, and a new process.
const DEATH: Duration = Duration::from_secs(3);
/// Three seconds of silence before that.
const HANG: Duration = Duration::from_secs(8);

/// See the module.
pub const FAULTS: &[Fault] = &[
    Fault {
        name: "The recording process of an input dies",
        then: "a new one goes on with the next part",
        costs: (DEATH, NOTHING),
        check: Check::No,
        provoke: |stage| signal_worker(stage, Signal::KILL),
        disk: None,
        goes_on: GoesOn::Recording,
    },
    Fault {
        name: "The recording process of an input hangs",
        then: "it is killed, and a new one goes on with the next part",
        costs: (HANG, NOTHING),
        check: Check::Screen,
        provoke: |stage| signal_worker(stage, Signal::STOP),
        disk: None,
        goes_on: GoesOn::Recording,
    },
    Fault {
        name: "The supervisor dies",
        then: "the recording processes go on alone; the next supervisor takes over",
        costs: (NOTHING, NOTHING),
        check: Check::No,
        provoke: |stage| {
            let engine = stage.holdfast.engine().pid();
            stage.now();
            stage.holdfast.signal(engine, Signal::KILL);
            stage.holdfast.engine().wait(RECORDS_WITHIN);
            stage.holdfast.spawn_engine();
            Ok(())
        },
        disk: None,
        goes_on: GoesOn::Recording,
    },
    Fault {
        name: "The supervisor hangs",
        then: "the window says \"no contact\"; the recording processes go on alone",
        costs: (NOTHING, NOTHING),
        check: Check::No,
        provoke: |stage| {
            let engine = stage.holdfast.engine().pid();
            stage.now();
            stage.holdfast.signal(engine, Signal::STOP);
            // Nothing happens meanwhile: it is seen not to end.
            let ended = stage.holdfast.ended(engine, STOPPED);
            stage.holdfast.signal(engine, Signal::CONT);
            if ended { Err("the supervisor ended".to_owned()) } else { Ok(()) }
        },
        disk: None,
        goes_on: GoesOn::Recording,
    },
    Fault {
        name: "Everything is killed at once",
        then: "the next start closes the files; a new recording can begin at once",
        costs: (Duration::from_secs(1), Duration::from_secs(1)),
        check: Check::No,
        provoke: |stage| {
            let engine = stage.holdfast.engine().pid();
            let workers = super::INPUTS.map(|input| stage.holdfast.worker_pid(input));
            stage.now();
            for pid in [engine].into_iter().chain(workers) {
                stage.holdfast.signal(pid, Signal::KILL);
            }
            stage.holdfast.engine().wait(RECORDS_WITHIN);
            stage.holdfast.spawn_engine();
            Ok(())
        },
        disk: None,
        goes_on: GoesOn::Recovered,
    },
];

fn signal_worker(stage: &mut Stage, signal: Signal) -> Result<(), String> {
    let pid = stage.holdfast.worker_pid(VICTIM);
    stage.now();
    stage.holdfast.signal(pid, signal);
    stage.holdfast.wait_until("a new process", 2 * RECORDS_WITHIN, |snapshot| {
        let now = find_input(snapshot, VICTIM)["worker"]["pid"].as_u64();
        now.is_some_and(|now| now != u64::from(pid))
    });
    Ok(())
}
