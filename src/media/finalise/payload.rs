//! The digest of what was recorded, whatever has been made of the file around it.
//!
//! The payload of a part is the body of every fragment (`mdat`, cluster) in the order of the file. It is the same
//! bytes before and after finalising, so that what the writer saw and what the disk gives back can be compared.

use super::{PartStore, mkv, mp4};
use std::io;

/// Bytes read at once.
const STEP_BYTES: u64 = 1024 * 1024;

/// Computes the digest of the payload of `store` again, as [`crate::media::durable_sink::Finished::payload`] states
/// it: every complete fragment, finalised or not, committed or not. `None` = no fragment is there. Needs 1 MiB and the
/// places of the fragments, reads the whole file and blocks on the disk.
pub fn payload_blake3(store: &dyn PartStore) -> io::Result<Option<blake3::Hash>> {
    let places = if mkv::is_ours(store)? { mkv::payloads(store)? } else { mp4::payloads(store)? };
    if places.is_empty() {
        return Ok(None);
    }
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; STEP_BYTES as usize];
    for place in places {
        let mut at = place.start;
        while at < place.end {
            let length = (place.end - at).min(STEP_BYTES);
            let step = &mut buffer[..length as usize];
            store.read_at(at, step)?;
            hasher.update(step);
            at += length;
        }
    }
    Ok(Some(hasher.finalize()))
}
