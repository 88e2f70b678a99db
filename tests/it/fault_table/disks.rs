//! Disks that fill up, stop, fail or go, and files that are taken away.

use super::{Check, Fault, GoesOn, INPUTS, Stage, VICTIM};
use crate::record::RECORDS_WITHIN;
use crate::support::disk::Disk;
use crate::support::inject::{Filler, Injected};
use std::path::PathBuf;
use std::time::Duration;

const NOTHING: Duration = Duration::ZERO;
/// How long a disk takes nothing.
const FROZEN: Duration = Duration::from_secs(20);
/// How long a disk is unplugged, and what that may cost.
const AWAY: Duration = Duration::from_secs(6);
const BACK: Duration = Duration::from_secs(8);
/// What the disk refused: a fragment, the one behind it, and the time until the next part begins.
const REFUSED: Duration = Duration::from_secs(2);

/// See the module.
pub const FAULTS: &[Fault] = &[
    Fault {
        name: "The disk fills up",
        then: "every file is closed, whole and playable",
        costs: (REFUSED, REFUSED),
        check: Check::No,
        provoke: |stage| {
            stage.now();
            stage.disk()?.resize("60m");
            Ok(())
        },
        disk: Some(|library| Disk::tmpfs(library, "200m")),
        goes_on: GoesOn::Closed,
    },
    Fault {
        name: "The quota on the disk is used up",
        then: "every file is closed, whole and playable",
        costs: (REFUSED, REFUSED),
        check: Check::No,
        provoke: use_up_the_quota,
        disk: Some(|library| Disk::btrfs_with_quota(library, "60M")),
        goes_on: GoesOn::Closed,
    },
    Fault {
        name: "The disk refuses a write",
        then: "the part is closed; the recording goes on in the next part",
        costs: (REFUSED, NOTHING),
        check: Check::No,
        provoke: refuse_a_write,
        disk: None,
        goes_on: GoesOn::Recording,
    },
    Fault {
        name: "The disk does not answer for 20 s",
        then: "\"the disk does not answer\"; what is recorded waits in memory and is written afterwards",
        costs: (NOTHING, NOTHING),
        check: Check::No,
        provoke: |stage| {
            stage.disk()?.freeze();
            stage.now();
            stage.pass(FROZEN);
            stage.disk()?.thaw();
            Ok(())
        },
        disk: Some(Disk::ext4),
        goes_on: GoesOn::Recording,
    },
    Fault {
        name: "The disk becomes read-only",
        then: "an alert; the next part is tried again and again",
        costs: (REFUSED, REFUSED),
        check: Check::No,
        provoke: |stage| {
            stage.now();
            stage.disk()?.break_read_only();
            Ok(())
        },
        disk: Some(Disk::ext4),
        goes_on: GoesOn::Waiting,
    },
    Fault {
        name: "The disk is unplugged for 6 s",
        then: "an alert; the recording goes on in the next part once the disk is back",
        costs: (BACK, BACK),
        check: Check::No,
        provoke: |stage| {
            stage.disk()?.unplug();
            stage.now();
            stage.pass(AWAY);
            stage.disk()?.plug_in();
            Ok(())
        },
        disk: Some(Disk::ext4),
        goes_on: GoesOn::Recording,
    },
    Fault {
        name: "The file being recorded is removed",
        then: "an alert; the recording goes on in the next part",
        costs: (NOTHING, NOTHING),
        check: Check::Api,
        provoke: |stage| take_away(stage, false),
        disk: None,
        goes_on: GoesOn::Recording,
    },
    Fault {
        name: "The file being recorded is replaced",
        then: "an alert; the recording goes on in the next part, the other file is left alone",
        costs: (NOTHING, NOTHING),
        check: Check::No,
        provoke: |stage| take_away(stage, true),
        disk: None,
        goes_on: GoesOn::Recording,
    },
];

impl Stage {
    fn disk(&mut self) -> Result<&mut Disk, String> {
        self.disk.as_mut().ok_or_else(|| "there is no disk".to_owned())
    }

    fn file(&self) -> PathBuf {
        self.session.join(format!("{VICTIM}.mp4"))
    }

    /// Waits until the victim records its next part.
    fn wait_next_part(&self) {
        self.holdfast.wait_until("the next part", 2 * RECORDS_WITHIN, |snapshot| {
            let recording = Self::recording(snapshot, VICTIM);
            recording["part"].as_u64().is_some_and(|part| part > 1) && recording["state"] == "recording"
        });
    }
}

/// The file goes from its path; what is written into it before that is seen is kept under another name, to be counted.
fn take_away(stage: &mut Stage, replace: bool) -> Result<(), String> {
    let failed = |error: std::io::Error| error.to_string();
    let (path, kept) = (stage.file(), stage.holdfast.root().join("kept.mp4"));
    std::fs::hard_link(&path, &kept).map_err(failed)?;
    stage.elsewhere.push(kept);
    stage.now();
    std::fs::remove_file(&path).map_err(failed)?;
    if replace {
        std::fs::write(&path, "somebody else's").map_err(failed)?;
    }
    stage.wait_next_part();
    let left = std::fs::read(&path).ok();
    let wanted = replace.then(|| b"somebody else's".to_vec());
    if left == wanted { Ok(()) } else { panic!("somebody else's file was touched: {left:?}") }
}

/// Somebody else uses the quota up; later there is room again, or the index of a file might never find any.
fn use_up_the_quota(stage: &mut Stage) -> Result<(), String> {
    stage.now();
    let filler = Filler::fill(&stage.holdfast.library());
    stage.holdfast.wait_until("both say so", RECORDS_WITHIN, |snapshot| {
        INPUTS.iter().all(|input| Stage::recording(snapshot, input)["state"] != "recording")
    });
    drop(filler);
    stage.disk()?.limit("400M");
    Ok(())
}

/// Every write into the victim's file fails from here on, and no other.
fn refuse_a_write(stage: &mut Stage) -> Result<(), String> {
    let (pid, file) = (stage.holdfast.worker_pid(VICTIM), stage.file());
    stage.now();
    let refused = Injected::into_files(pid, "write,writev,pwrite64,pwritev,pwritev2:error=EIO", &[file]);
    let refused = refused.ok_or("there is no strace to refuse a write with")?;
    stage.wait_next_part();
    drop(refused);
    Ok(())
}
