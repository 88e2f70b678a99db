//! A disk that remembers every write and sync, and can be cut off anywhere.

use crate::support::dice::Dice;
use holdfast::media::finalise::PartStore;
use std::io::{self, IoSlice};
use std::sync::Mutex;

/// The unit in which a disk loses data.
const SECTOR: usize = 512;

/// One call, in the order of completion.
#[derive(Debug, Clone)]
pub enum Op {
    /// Bytes at an offset.
    Write { offset: usize, bytes: Vec<u8> },
    /// Everything among the first `covers` operations is on the disk.
    Sync { covers: usize },
}

/// What was done to a part.
#[derive(Debug, Clone, Default)]
pub struct WriteLog(pub Vec<Op>);

/// A [`PartStore`] in memory that keeps a [`WriteLog`].
#[derive(Debug, Default)]
pub struct LoggedStore {
    state: Mutex<(Vec<u8>, WriteLog)>,
}

impl LoggedStore {
    /// A store that already holds `bytes`.
    pub fn holding(bytes: Vec<u8>) -> Self {
        Self { state: Mutex::new((bytes, WriteLog::default())) }
    }

    /// What was done so far.
    pub fn log(&self) -> WriteLog {
        self.state.lock().expect("the store").1.clone()
    }

    /// What the file holds now.
    pub fn bytes(&self) -> Vec<u8> {
        self.state.lock().expect("the store").0.clone()
    }
}

impl PartStore for LoggedStore {
    fn write_at(&self, offset: u64, slices: &[IoSlice<'_>]) -> io::Result<()> {
        let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
        let mut state = self.state.lock().expect("the store");
        let op = Op::Write { offset: offset as usize, bytes };
        apply(&mut state.0, &op);
        state.1.0.push(op);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let covers = self.state.lock().expect("the store").1.0.len();
        self.state.lock().expect("the store").1.0.push(Op::Sync { covers });
        Ok(())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let state = self.state.lock().expect("the store");
        let from = offset as usize;
        let bytes = state.0.get(from..from + buffer.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(bytes);
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.state.lock().expect("the store").0.len() as u64)
    }

    fn reserve(&self, _offset: u64, _bytes: u64) -> io::Result<()> {
        Ok(())
    }

    fn release(&self) -> io::Result<()> {
        Ok(())
    }
}

fn apply(file: &mut Vec<u8>, op: &Op) {
    if let Op::Write { offset, bytes } = op {
        let end = offset + bytes.len();
        if file.len() < end {
            file.resize(end, 0);
        }
        file[*offset..end].copy_from_slice(bytes);
    }
}

impl WriteLog {
    /// The file after the first `ops` operations, and `extra` bytes of the next write (a kill within it).
    pub fn prefix(&self, ops: usize, extra: usize) -> Vec<u8> {
        let mut file = Vec::new();
        for op in &self.0[..ops] {
            apply(&mut file, op);
        }
        if let Some(Op::Write { offset, bytes }) = self.0.get(ops) {
            let part = bytes[..extra.min(bytes.len())].to_vec();
            apply(&mut file, &Op::Write { offset: *offset, bytes: part });
        }
        file
    }

    /// The file as a power cut after `ops` operations leaves it, and its length up to which all is certain: synced
    /// writes stay; of the others any subset of sectors, and any length not below the synced one.
    pub fn power_cut(&self, ops: usize, dice: &mut Dice) -> (Vec<u8>, Vec<u8>) {
        let synced = self.0[..ops].iter().filter_map(|op| match op {
            Op::Sync { covers } => Some(*covers),
            Op::Write { .. } => None,
        });
        let synced = synced.max().unwrap_or(0);
        let certain = self.prefix(synced, 0);
        let mut file = certain.clone();
        for op in &self.0[synced..ops] {
            let Op::Write { offset, bytes } = op else { continue };
            for (at, sector) in sectors(*offset, bytes) {
                // Half of the sectors, so that every kind of hole comes up.
                if dice.coin() {
                    apply(&mut file, &Op::Write { offset: at, bytes: sector.to_vec() });
                }
            }
        }
        if dice.coin() && file.len() > certain.len() {
            let keep = certain.len() + dice.below(file.len() - certain.len() + 1);
            file.truncate(keep);
        }
        (file, certain)
    }
}

/// `bytes` at `offset`, cut at the borders of the disk's sectors.
fn sectors(offset: usize, bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at;
        let length = (SECTOR - (offset + start) % SECTOR).min(bytes.len() - start);
        at += length;
        (length > 0).then(|| (offset + start, &bytes[start..start + length]))
    })
}
