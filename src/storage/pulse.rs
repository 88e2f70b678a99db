//! A recording's pulse: until when it certainly lived, on the disk while it lives.
//!
//! Contract: `<input>.pulse` is one sector, overwritten in place and synced: after a power cut it holds one whole beat,
//! the last that was synced or one behind it. Times are CLOCK_MONOTONIC of the boot it names; the wall clock has no part
//! in it. What is not a whole beat is none ([`decode`]). One process writes it, while it holds the session
//! ([`super::journal::hold`]); whoever closes the session removes it. Everything here blocks on the disk.

use super::{atomic, layout};
use crate::model::session::Plan;
use crate::model::{InputId, MonoNs};
use rustix::fs::{Mode, OFlags, open};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

/// What a disk writes whole or not at all.
const SECTOR: usize = 512;
const MAGIC: &[u8; 8] = b"hfpulse1";
/// Behind the magic: CRC-32 of everything behind it.
const CHECKED_AT: usize = 12;
/// Behind time and window: length of the boot's name, then the name.
const NAME_AT: usize = 29;

/// One sign of life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beat {
    /// The boot whose time it is.
    pub boot_id: String,
    /// It lived.
    pub at: MonoNs,
    /// Had it lived on, the next beat would be on the disk this much later.
    pub window: Duration,
}

/// A beat as it lies on the disk.
pub fn encode(beat: &Beat) -> [u8; SECTOR] {
    let mut sector = [0; SECTOR];
    // A name that does not fit is cut, and read as that of another boot.
    let name = beat.boot_id.as_bytes();
    let length = u8::try_from(name.len()).unwrap_or(u8::MAX);
    let window = u64::try_from(beat.window.as_nanos()).unwrap_or(u64::MAX);
    sector[..MAGIC.len()].copy_from_slice(MAGIC);
    sector[CHECKED_AT..CHECKED_AT + 8].copy_from_slice(&beat.at.0.to_le_bytes());
    sector[CHECKED_AT + 8..CHECKED_AT + 16].copy_from_slice(&window.to_le_bytes());
    sector[NAME_AT - 1] = length;
    sector[NAME_AT..NAME_AT + usize::from(length)].copy_from_slice(&name[..usize::from(length)]);
    let crc = crc32fast::hash(&sector[CHECKED_AT..]);
    sector[MAGIC.len()..CHECKED_AT].copy_from_slice(&crc.to_le_bytes());
    sector
}

/// The beat in `sector`, `None` = there is no whole one.
pub fn decode(sector: &[u8]) -> Option<Beat> {
    let sector: &[u8; SECTOR] = sector.try_into().ok()?;
    let number = |at: usize| Some(u64::from_le_bytes(sector.get(at..at + 8)?.try_into().ok()?));
    let crc = crc32fast::hash(&sector[CHECKED_AT..]).to_le_bytes();
    if !sector.starts_with(MAGIC) || sector[MAGIC.len()..CHECKED_AT] != crc {
        return None;
    }
    let name = sector[NAME_AT..].get(..usize::from(sector[NAME_AT - 1]))?;
    Some(Beat {
        boot_id: String::from_utf8(name.to_vec()).ok()?,
        at: MonoNs(number(CHECKED_AT)?),
        window: Duration::from_nanos(number(CHECKED_AT + 8)?),
    })
}

/// A pulse that is being written.
#[derive(Debug)]
pub struct PulseFile {
    file: File,
}

impl PulseFile {
    /// Creates the pulse of `input` in the session folder `dir`, or goes on with what another worker has left, and makes
    /// its first beat: from then on a beat is one sector in place, and its sync waits for no journal of the disk.
    pub fn begin(dir: &Path, input: &InputId, first: &Beat) -> io::Result<Self> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let file = File::from(open(dir.join(layout::pulse_file(input)), flags, Mode::from_raw_mode(0o600))?);
        file.write_all_at(&encode(first), 0)?;
        file.sync_all()?;
        atomic::sync_dir(dir)?;
        Ok(Self { file })
    }

    /// Puts `beat` on the disk.
    pub fn beat(&self, beat: &Beat) -> io::Result<()> {
        self.file.write_all_at(&encode(beat), 0)?;
        self.file.sync_data()
    }
}

/// The last beat of `input` in the session of `plan` in `dir`; `None` = none is known, or it is of another boot than the
/// session.
pub(super) fn last_beat(dir: &Path, plan: &Plan, input: &InputId) -> Option<Beat> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = File::from(open(dir.join(layout::pulse_file(input)), flags, Mode::empty()).ok()?);
    let mut sector = [0; SECTOR];
    file.read_exact_at(&mut sector, 0).ok()?;
    decode(&sector).filter(|beat| beat.boot_id == plan.boot_id)
}

/// Removes the pulses of the session of `plan`: whatever they told stands in its journal.
pub(super) fn remove(dir: &Path, plan: &Plan) {
    for spec in &plan.inputs {
        // One that stays harms nobody: it is read only where a part has no end.
        let _ = std::fs::remove_file(dir.join(layout::pulse_file(&spec.id)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn beats() -> impl Strategy<Value = Beat> {
        ("[0-9a-f-]{0,36}", any::<u64>(), any::<u64>()).prop_map(|(boot_id, at, window)| Beat {
            boot_id,
            at: MonoNs(at),
            window: Duration::from_nanos(window),
        })
    }

    proptest! {
        #[test]
        fn a_beat_reads_back_and_one_that_is_damaged_anywhere_is_none(beat in beats(), bit in 0usize..8 * SECTOR) {
            let mut sector = encode(&beat);
            prop_assert_eq!(decode(&sector), Some(beat));
            sector[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(decode(&sector), None);
        }

        #[test]
        fn a_torn_beat_is_the_old_one_the_new_one_or_none(old in beats(), new in beats(), at in 0..=SECTOR) {
            let mut sector = encode(&old);
            sector[..at].copy_from_slice(&encode(&new)[..at]);
            let found = decode(&sector);
            prop_assert!(found.is_none() || found.as_ref() == Some(&old) || found.as_ref() == Some(&new), "{found:?}");
        }

        #[test]
        fn anything_else_is_none(bytes in proptest::collection::vec(any::<u8>(), 0..2 * SECTOR), name in "\\PC{0,400}") {
            prop_assert_eq!(decode(&bytes), None);
            // A name too long for its place is that of no boot.
            let long = Beat { boot_id: name.clone(), at: MonoNs(1), window: Duration::ZERO };
            let found = decode(&encode(&long)).is_some_and(|beat| beat.boot_id == name);
            prop_assert_eq!(found, name.len() <= usize::from(u8::MAX));
        }
    }
}
