//! What can happen to a worker, and what it can do.

use crate::media::durable_sink::{Progress, Trouble};
use crate::media::signal::VideoFormat;
use crate::model::incident::Incident;
use crate::model::input::InputSpec;
use crate::model::policy::WorkerPolicy;
use crate::model::session::{Fact, PartEnd, PartRecord};
use crate::model::shed::{Shed, WorkerLoad};
use crate::model::snapshot::{Frames, Meter, PreviewView};
use crate::model::{MonoNs, SessionId};
use crate::protocol::worker::{Refusal, Ticket};
use std::path::PathBuf;
use std::time::Duration;

/// Whom to answer: connection and command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reply {
    /// The connection.
    pub connection: u64,
    /// The command's id.
    pub id: u64,
}

/// Something happened.
#[derive(Debug)]
pub enum Event {
    /// An engine said hello.
    EngineConnected,
    /// The engine's connection closed.
    EngineGone,
    /// Command.
    Configure {
        /// Whom to answer.
        reply: Reply,
        /// The input.
        input: Box<InputSpec>,
        /// The rules.
        policy: WorkerPolicy,
    },
    /// Command.
    Start {
        /// Whom to answer.
        reply: Reply,
        /// What and where.
        ticket: Box<Ticket>,
    },
    /// Command.
    Stop {
        /// Whom to answer.
        reply: Reply,
        /// Which session.
        session: SessionId,
    },
    /// Command.
    Split {
        /// Whom to answer.
        reply: Reply,
        /// Which session.
        session: SessionId,
        /// The first keyframe at or after this begins the next part.
        at: MonoNs,
    },
    /// Command.
    Retry {
        /// Whom to answer.
        reply: Reply,
    },
    /// Command.
    Leave {
        /// Whom to answer.
        reply: Reply,
    },
    /// Command.
    ClearClip {
        /// Whom to answer.
        reply: Reply,
    },
    /// Command.
    Shed {
        /// Whom to answer.
        reply: Reply,
        /// What to do without.
        shed: Shed,
    },
    /// SIGTERM or SIGINT.
    Terminate,
    /// The source delivers this from now on.
    SourceFormat(VideoFormat),
    /// The source has no sound at all.
    SourceSilent,
    /// The source could not be opened, or failed.
    SourceFailed {
        /// Names the thing.
        reason: String,
        /// Trying again is pointless.
        permanent: bool,
    },
    /// The source came to its end.
    SourceEnded,
    /// The device of the last source has been let go of.
    SourceReleased,
    /// A separate sound device failed.
    SoundFailed,
    /// The stage failed.
    StageFailed {
        /// Why.
        reason: String,
    },
    /// A part file exists and takes data.
    PartOpened {
        /// Its number.
        part: u32,
        /// Its file name.
        file: String,
    },
    /// A part could not be opened.
    PartRefused {
        /// Its number.
        part: u32,
        /// Why.
        refusal: PartRefusal,
    },
    /// The boundary at which a part begins is decided: what comes now belongs to it.
    PartSplit {
        /// The part that begins.
        part: u32,
    },
    /// Encoder or muxer failed.
    TakeFailed {
        /// The part whose muxer it was; `None` = the encoders, and so every part.
        part: Option<u32>,
        /// Why.
        reason: String,
    },
    /// The disk is in trouble.
    PartTrouble {
        /// The part that felt it.
        part: u32,
        /// What it is.
        trouble: Trouble,
    },
    /// Everything has reached the part file.
    PartFlushed {
        /// Its number.
        part: u32,
    },
    /// The pipelines of the part are at rest.
    PartReleased {
        /// Its number.
        part: u32,
    },
    /// A part file is closed.
    PartClosed(Box<PartClosing>),
    /// The session of a start is held, or why not.
    SessionHeld {
        /// Whom to answer.
        reply: Reply,
        /// Which session.
        session: SessionId,
        /// `Err` = why it is not held.
        result: Result<(), HoldFault>,
    },
    /// The disk holds up facts, or one is lost because it has held up too many.
    FactsFailed {
        /// Why.
        trouble: Trouble,
    },
    /// A fact is on the disk, or was given up, and none is held up any more.
    FactsTaken,
    /// A pipeline does not let go.
    TeardownStuck,
    /// Room on the library's file system.
    Space {
        /// The folder it was asked for.
        dir: PathBuf,
        /// Bytes free for us.
        free_bytes: u64,
    },
    /// The room is not known.
    SpaceUnknown {
        /// The folder it was asked for.
        dir: PathBuf,
        /// Why.
        trouble: Trouble,
    },
    /// Something has changed at the path of a file that is written.
    FilePlace {
        /// Where it was created.
        path: PathBuf,
        /// What is there now.
        place: Place,
    },
    /// Time passes; this is what can be seen.
    Tick(Box<Evidence>),
}

/// Why a part could not be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PartRefusal {
    /// A file of that name is there.
    Exists,
    /// The disk said no.
    Disk(Trouble),
    /// No encoder for it works here.
    Encoder {
        /// Why.
        reason: String,
    },
    /// The pipelines could not be built.
    Pipeline {
        /// Why.
        reason: String,
    },
}

/// Why a session could not be held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HoldFault {
    /// Somebody is closing it.
    Closing,
    /// The disk said no.
    Disk(Trouble),
}

/// What is found at the path of a file that is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// The file: it was there all the time, or is there again.
    Found,
    /// Nothing, or another file.
    Displaced,
    /// Not even its folder.
    Gone {
        /// Why.
        reason: String,
    },
}

/// A closed part: what is in it and until when it reached.
#[derive(Debug, Clone, PartialEq)]
pub struct PartClosing {
    /// Of which session.
    pub session: SessionId,
    /// For the manifest; `end` is what the closing began with, or `empty`.
    pub record: PartRecord,
    /// All counters of the part.
    pub frames: Frames,
    /// Media time that is safe.
    pub safe: Duration,
    /// What puts it in doubt. Its own word of that may have come when nobody listened any more.
    pub doubt: Option<Trouble>,
    /// Why it is still a fragmented MP4; the close of the session tries again.
    pub unfinalised: Option<String>,
}

/// What probes, sink and meters show at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Evidence {
    /// When the last frame came from the source that is open now.
    pub frame_at: Option<MonoNs>,
    /// When the last sound came.
    pub sound_at: Option<MonoNs>,
    /// The part being written.
    pub take: Option<TakeEvidence>,
    /// The part before it, while that is being closed.
    pub settling: Option<TakeEvidence>,
    /// Pictures that have arrived since the process began.
    pub arrived: u64,
    /// Bytes that have come over a network since the process began.
    pub received: u64,
    /// Newest meters.
    pub meters: Vec<Meter>,
    /// The preview, `None` = nobody watches.
    pub preview: Option<PreviewView>,
    /// How it keeps up.
    pub load: Option<WorkerLoad>,
    /// Nice value read back.
    pub nice: Option<i32>,
    /// Since when the disk owes an answer to a call, if it does.
    pub disk_waits_since: Option<MonoNs>,
}

/// What can be seen of a part.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TakeEvidence {
    /// How far the sink is.
    pub progress: Progress,
    /// Frames of this part.
    pub frames: Frames,
    /// Running time of its first frame.
    pub origin: Option<MonoNs>,
    /// Frames lost in full queues.
    pub overflowed: u64,
}

/// Something to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Build the stage and have encoders probed for this input; once per worker.
    Prepare(Box<InputSpec>),
    /// Open the source. `seamless` = its time continues where the last one ended.
    OpenSource {
        /// Continue the time line.
        seamless: bool,
        /// Over TCP, where the configuration leaves that open.
        by_tcp: bool,
    },
    /// Throw the source away.
    CloseSource,
    /// Throw the sound device away, keep the picture.
    CloseSound,
    /// Freeze the stage to this format.
    Freeze(VideoFormat),
    /// Create a part file and write into it.
    OpenPart {
        /// Its number.
        part: u32,
        /// Its path.
        path: PathBuf,
        /// Its first frame is the first at or after this.
        start_at: MonoNs,
        /// The part that is being written ends and this one begins at the first keyframe at or after this.
        split_at: Option<MonoNs>,
        /// What the source delivers.
        format: VideoFormat,
        /// Whether it gets a sound track.
        with_audio: bool,
        /// Session, origin and encoding.
        ticket: Box<Ticket>,
    },
    /// Write what there is until `at`, then close the part.
    ClosePart {
        /// No frame at or after this.
        at: MonoNs,
        /// Why.
        end: PartEnd,
    },
    /// Throw the pipelines of the part away as they are, then close the file.
    CutPart {
        /// Why.
        end: PartEnd,
    },
    /// The boundary is decided: the next part is the one being written, the one before it settles.
    AdvancePart,
    /// Close the next part as it is, empty, and the part being written goes on; unless its boundary is decided by now:
    /// then [`Event::PartSplit`] comes at once, before any effect behind this one is carried out.
    DropNext,
    /// Throw the pipeline of the settling part away as it is, then close the file.
    CutSettling,
    /// The session has ended: no part will need the encoders.
    ReleaseEncoders,
    /// Let nobody close the session while it is recorded ([`crate::storage::journal::hold`]), then tell.
    HoldSession {
        /// Whom to answer.
        reply: Reply,
        /// The session.
        session: SessionId,
        /// Its folder.
        dir: PathBuf,
    },
    /// Behind every fact that was to be written: the session may be closed.
    LetGoOfSession(SessionId),
    /// Append to the facts file, then report.
    WriteFact {
        /// The session.
        session: SessionId,
        /// Its folder.
        dir: PathBuf,
        /// Time since its origin.
        t_ns: i64,
        /// The fact.
        fact: Box<Fact>,
    },
    /// The meters forget that they clipped.
    ClearClip,
    /// Do without this from now on.
    Shed(Shed),
    /// Answer a command.
    Ack {
        /// Whom.
        reply: Reply,
        /// `None` = carried out or begun.
        refused: Option<Refusal>,
    },
    /// Send a status now.
    PublishStatus,
    /// Log an incident.
    Log(Incident),
    /// Leave with this code.
    Exit(u8),
}
