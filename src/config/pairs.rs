//! Values that are fine alone and impossible together. Checked once file and environment have been laid over each
//! other, because either may change one of a pair.

use super::Config;
use super::problem::{Mark, Problem};
use crate::model::InputId;
use crate::model::encoding::{AudioCodec, Container, VideoChoice};
use std::collections::BTreeMap;

/// Where the values of such pairs stand; the document that spoke last.
#[derive(Debug, Default)]
pub(super) struct Marks {
    pub container: Option<Mark>,
    pub codec: Option<Mark>,
    pub audio_codec: Option<Mark>,
    /// The `codec` of each input, or where the input begins.
    pub inputs: BTreeMap<InputId, Mark>,
}

/// The first pair of `config` that cannot be.
pub(super) fn check(config: &Config, marks: &Marks) -> Result<(), Problem> {
    let encoding = &config.encoding;
    if (encoding.container, encoding.audio_codec) == (Container::Mp4, AudioCodec::Pcm) {
        let message = "\"pcm\" cannot be written to container \"mp4\"; use \"aac\" or \"opus\", or container \"mkv\"";
        return Err(blame(&[marks.audio_codec.as_ref(), marks.container.as_ref()], message));
    }
    for input in &config.inputs {
        if input.video_choice(encoding.codec) == VideoChoice::Copy && !input.source.arrives_encoded() {
            let said = if input.codec.is_some() { "" } else { " (recording.codec)" };
            let message = format!(
                "\"copy\"{said} is for inputs that arrive encoded (kind \"rtsp\"); use \"h264\" or \"h265\" for \
                 \"{}\" (kind \"{}\")",
                input.id,
                input.source.kind()
            );
            return Err(blame(&[marks.inputs.get(&input.id), marks.codec.as_ref()], &message));
        }
    }
    Ok(())
}

/// A problem with the first value that stands anywhere.
fn blame(marks: &[Option<&Mark>], message: &str) -> Problem {
    match marks.iter().flatten().next() {
        Some(mark) => mark.problem(message),
        None => Problem { place: "the defaults".to_owned(), line: None, key: None, message: message.to_owned() },
    }
}
