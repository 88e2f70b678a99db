//! The governor: does without what is not the recording while the machine cannot keep up (R-DEG). Pure but for
//! [`watch`].
//!
//! ```text
//! causes ─▶ limits with hysteresis ─▶ tracks of actions, taken in order, given back in reverse ─▶ what each input does without
//! ```
//! Contract: it only ever sheds previews and work that can wait; of a recording nothing but the bitrate, and that only
//! while this recording itself is seen to run late ([`late`]) or writes far more than it was told to ([`budget`]). What is
//! wrong here costs a preview.
//!
//! What counts as load: processors that are busy, but for what our own proofs take (they run when nobody else wants to);
//! pressure, on a machine that is busy by that measure (short waits on an idle one are only bad luck); and the recordings'
//! own queues and encoders, which count most.

pub mod action;
mod budget;
mod cause;
mod late;
mod policy;
mod track;
pub mod watch;

pub use action::Action;
pub use budget::{Budgets, Usage};
pub use policy::{Danger, Governor, Scene, Shown};
