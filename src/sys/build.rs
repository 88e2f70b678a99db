//! Which build of the program this process runs, for the hello between processes.
//!
//! Contract: two builds that differ in one instruction have different names (the linker's build id, a hash of what it
//! linked), also while the file of one was replaced by the other: what is read is the program that runs. Where a linker
//! leaves no id the version alone has to do.

use rustix::io::pread;
use std::fs::File;
use std::io;
use std::sync::OnceLock;

const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Type of a program header that holds notes (`elf.h`).
const PT_NOTE: u32 = 4;
/// Type of the note with the build id.
const NT_GNU_BUILD_ID: u32 = 3;
/// Program headers of an executable: a dozen.
const MOST_HEADERS: u16 = 64;
/// Notes of an executable: some hundred bytes.
const MOST_NOTE_BYTES: u64 = 16 << 10;
/// So much of the id is told: enough to tell builds apart, and still readable.
const TOLD_BYTES: usize = 8;

/// Names the program, as `0.1.0+a51654cbb0883879`. Reads two kilobytes of the executable, once.
pub fn id() -> &'static str {
    static ID: OnceLock<String> = OnceLock::new();
    ID.get_or_init(|| match File::open("/proc/self/exe").and_then(|program| gnu_id(&program)) {
        Ok(Some(id)) => {
            let hex: String = id.iter().take(TOLD_BYTES).map(|byte| format!("{byte:02x}")).collect();
            format!("{VERSION}+{hex}")
        }
        _ => VERSION.to_owned(),
    })
}

/// The build id in a 64-bit ELF file of this machine's byte order.
fn gnu_id(program: &File) -> io::Result<Option<Vec<u8>>> {
    let head = read(program, 0, 64)?;
    if head[..5] != *b"\x7fELF\x02" {
        return Ok(None);
    }
    let (at, size, count) = (long(&head, 32), short(&head, 54), short(&head, 56).min(MOST_HEADERS));
    for n in 0..u64::from(count) {
        let header = read(program, at.saturating_add(n * u64::from(size)), 56)?;
        if word(&header, 0) != PT_NOTE {
            continue;
        }
        let length = long(&header, 32).min(MOST_NOTE_BYTES);
        let notes = read(program, long(&header, 8), usize::try_from(length).unwrap_or(0))?;
        if let Some(id) = find_id(&notes) {
            return Ok(Some(id.to_owned()));
        }
    }
    Ok(None)
}

/// Notes: length of the name, length of the text, type; name and text padded to four bytes each.
fn find_id(mut notes: &[u8]) -> Option<&[u8]> {
    while notes.len() >= 12 {
        let padded = |length: u32| usize::try_from(length).ok()?.checked_next_multiple_of(4);
        let (name, text) = (padded(word(notes, 0))?, padded(word(notes, 4))?);
        let body = notes.get(12..)?;
        let found = body.get(name..name.checked_add(text)?)?;
        if word(notes, 8) == NT_GNU_BUILD_ID && body.starts_with(b"GNU\0") {
            return found.get(..usize::try_from(word(notes, 4)).ok()?);
        }
        notes = body.get(name + text..)?;
    }
    None
}

fn read(program: &File, at: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    let count = pread(program, bytes.as_mut_slice(), at)?;
    if count == length { Ok(bytes) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

fn part<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes.get(at..at + N).and_then(|part| part.try_into().ok()).unwrap_or([0; N])
}

fn short(bytes: &[u8], at: usize) -> u16 {
    u16::from_ne_bytes(part(bytes, at))
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(part(bytes, at))
}

fn long(bytes: &[u8], at: usize) -> u64 {
    u64::from_ne_bytes(part(bytes, at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_program_names_its_build() {
        let id = id();
        assert!(id.starts_with(VERSION) && id.len() == VERSION.len() + 1 + 2 * TOLD_BYTES, "{id}");
    }

    #[test]
    fn notes_that_are_cut_or_lie_about_their_length_are_no_id() {
        let mut notes = Vec::new();
        for (name, text, kind) in [(&b"GNU\0"[..], &[9u8; 4][..], 1u32), (b"GNU\0", &[7; 20], NT_GNU_BUILD_ID)] {
            for number in [name.len() as u32, text.len() as u32, kind] {
                notes.extend(number.to_ne_bytes());
            }
            notes.extend_from_slice(name);
            notes.extend_from_slice(text);
        }
        assert_eq!(find_id(&notes), Some(&[7u8; 20][..]));
        for cut in 0..notes.len() {
            assert_eq!(find_id(&notes[..cut]), None, "cut at {cut}");
        }
        notes[4..8].copy_from_slice(&u32::MAX.to_ne_bytes());
        assert_eq!(find_id(&notes), None);
    }
}
