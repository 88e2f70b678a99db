//! Matroska as `matroskamux streamable=true` sends it: each cluster is gathered until the next begins, gets its size
//! and a checksum, and is written reading `Void` until its bytes are on the disk.

use super::format::{Append, Commit, FRAGMENT_MAX_BYTES, Format, Opened};
use super::report::Trouble;
use crate::media::finalise::mkv::cluster::{self, CLUSTER_HEADER_BYTES, CRC_BYTES};
use crate::media::finalise::mkv::ebml::{Header, id};
use crate::media::finalise::mkv::header::from_muxer;
use crate::media::finalise::mkv::{Index, complete};
use crate::media::finalise::{FinaliseError, PartStore, Summary};
use std::borrow::Cow;
use std::io;
use std::time::Duration;

/// Ids of four bytes lie directly in the segment, those of a cluster's children are shorter.
const FIRST_LEVEL: u32 = 0x1000_0000;

/// Clusters of one part.
pub(super) struct MkvClusters {
    index: Box<Index>,
    /// What came and was not handed out: the body of the open cluster, then at most one element that is not complete.
    pending: Vec<u8>,
    /// Bytes of `pending` that are complete elements of the open cluster.
    body: usize,
    /// Whether `pending` begins in a cluster.
    open: bool,
    /// Clusters handed out, until they are in the file.
    handed_out: Vec<Cluster>,
}

/// A complete cluster by its place in the file.
struct Cluster {
    at: u64,
    /// Offset behind it and its pad.
    end: u64,
    committed: [u8; 12],
    blocks: Vec<cluster::Block>,
}

impl MkvClusters {
    /// The header of the file, once the first cluster begins.
    pub(super) fn open(head: &[u8]) -> Result<Option<Opened>, Trouble> {
        let Some((mut header, said, taken)) = from_muxer(head).map_err(refused)? else { return Ok(None) };
        header.extend(cluster::pad(header.len() as u64));
        let index = Box::new(Index::new(said, header.len() as u64));
        let format = Self { index, pending: Vec::new(), body: 0, open: false, handed_out: Vec::new() };
        Ok(Some(Opened { header, taken, format: Box::new(format) }))
    }

    /// Goes over the elements that are complete, and takes every cluster that another one ends.
    fn follow(&mut self, end: u64) -> Result<Append<'static>, Trouble> {
        let mut append = Append::default();
        while let Some(header) = Header::parse(&self.pending[self.body..]).map_err(refused)? {
            if header.id == id::CLUSTER {
                self.take_cluster(end, &mut append)?;
                self.pending.drain(..header.bytes as usize);
                self.open = true;
                continue;
            }
            let total = header.total().and_then(|total| usize::try_from(total).ok());
            let total = total.filter(|total| *total <= FRAGMENT_MAX_BYTES).ok_or_else(endless)?;
            if self.pending.len() - self.body < total {
                break;
            }
            if self.open && header.id < FIRST_LEVEL {
                self.body += total;
            } else {
                // Whatever else the muxer puts between clusters: no media.
                self.take_cluster(end, &mut append)?;
                self.pending.drain(..total);
                self.open = false;
            }
        }
        if self.pending.len() > FRAGMENT_MAX_BYTES {
            return Err(endless());
        }
        Ok(append)
    }

    /// Moves the open cluster, which is complete, into `append`; the first of them goes to `end`.
    fn take_cluster(&mut self, end: u64, append: &mut Append<'static>) -> Result<(), Trouble> {
        let rest = self.pending.split_off(self.body);
        let body = std::mem::replace(&mut self.pending, rest);
        self.body = 0;
        let read = |at: u64, buffer: &mut [u8]| {
            let at = usize::try_from(at).unwrap_or(usize::MAX);
            let bytes = body.get(at..).and_then(|rest| rest.get(..buffer.len()));
            buffer.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
            Ok(())
        };
        let mut blocks = cluster::blocks(&read, 0..body.len() as u64).map_err(refused)?.map_err(refused)?;
        if blocks.is_empty() {
            return Ok(());
        }
        let at = self.handed_out.last().map_or(end, |last| last.end);
        let content = CRC_BYTES + body.len() as u64;
        let (committed, disguised) = cluster::headers(content);
        blocks.iter_mut().for_each(|block| block.position += CRC_BYTES);
        let behind = at + CLUSTER_HEADER_BYTES + content;
        let pad = cluster::pad(behind);
        append.payloads.push(at + CLUSTER_HEADER_BYTES..behind);
        self.handed_out.push(Cluster { at, end: behind + pad.len() as u64, committed, blocks });
        append.slices.extend([disguised.to_vec(), cluster::checksum(&body), body, pad].map(Cow::Owned));
        Ok(())
    }
}

impl Format for MkvClusters {
    fn push<'a>(&mut self, end: u64, slices: &[&'a [u8]]) -> Result<Append<'a>, Trouble> {
        for slice in slices {
            self.pending.extend_from_slice(slice);
        }
        self.follow(end)
    }

    fn flush(&mut self, end: u64) -> Result<Append<'static>, Trouble> {
        let mut append = self.follow(end)?;
        if self.open {
            self.take_cluster(end, &mut append)?;
        }
        Ok(append)
    }

    fn on_appended(&mut self) -> Result<Vec<Commit>, Trouble> {
        let mut commits = Vec::new();
        for Cluster { at, end, committed, blocks } in std::mem::take(&mut self.handed_out) {
            self.index.push(at, end, &blocks);
            commits.push(Commit { at, bytes: committed.to_vec() });
        }
        Ok(commits)
    }

    fn media_time(&self) -> Duration {
        self.index.media_time()
    }

    fn video_frames(&self) -> u64 {
        self.index.video_samples()
    }

    fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    fn index_bytes(&self) -> u64 {
        self.index.cues_estimate()
    }

    fn summary(&self, bytes: u64) -> Summary {
        self.index.summary(bytes)
    }

    fn complete(&self, store: &dyn PartStore) -> Result<Summary, FinaliseError> {
        complete(store, &self.index)
    }
}

fn refused(reason: impl ToString) -> Trouble {
    Trouble::Stream(reason.to_string())
}

fn endless() -> Trouble {
    refused("a cluster does not end")
}
