//! What other threads and callbacks tell the main loop. Generations mark the pipeline a notice comes from, so that a
//! late word of one that was thrown away is recognised.

use super::facts::Entry;
use super::link::LinkEvent;
use super::state::{HoldFault, PartRefusal, Place, Reply};
use super::take::Ended;
use crate::media::durable_sink::Trouble;
use crate::media::encoder::Chosen;
use crate::media::pipeline::BusEvent;
use crate::model::{MonoNs, SessionId};
use std::path::PathBuf;

/// One thing to know.
#[derive(Debug)]
pub enum Notice {
    /// A peer of the socket.
    Link(LinkEvent),
    /// SIGTERM or SIGINT.
    Terminate,
    /// The source's bus.
    Source(u64, BusEvent),
    /// The sound device's bus.
    Sound(u64, BusEvent),
    /// The source has let go of its device.
    SourceReleased(u64),
    /// The stage's bus.
    Stage(BusEvent),
    /// The preview's bus.
    Preview(u64, BusEvent),
    /// The encoders' bus.
    Encode(u64, BusEvent),
    /// The part's bus.
    Part(u64, BusEvent),
    /// The encoders of a part are known and its file was created, or not.
    SinkMade(u64, Box<Result<(Chosen, gst::Element), PartRefusal>>),
    /// The disk is in trouble.
    Trouble(u64, Trouble),
    /// The boundary at which this take begins is decided: here.
    Split(u64, MonoNs),
    /// The pipelines of the part with this number are at rest.
    TakeReleased(u32),
    /// What decodes a copied source for viewers spoke; the number is its source's.
    Viewfinder(u64, BusEvent),
    /// A part file is closed.
    TakeFinished(Box<Ended>),
    /// A fact is on the disk.
    FactWritten {
        /// Which.
        entry: Box<Entry>,
        /// None is held up now.
        all: bool,
    },
    /// Facts whose folder was removed can never be written.
    FactsGivenUp {
        /// Which.
        reason: String,
        /// None is held up now.
        all: bool,
    },
    /// The session of a start is held, or why not.
    SessionHeld(Reply, SessionId, Result<(), HoldFault>),
    /// A fact is held up by the disk, or does not fit into the queue any more.
    FactsFailed(Trouble),
    /// Free bytes of the file system of this folder, or why they are not known.
    Space(PathBuf, Result<u64, Trouble>),
    /// Something has changed at the path of the file that was created there.
    FilePlace(PathBuf, Place),
}
