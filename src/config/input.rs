//! One `[[input]]`: which keys belong to which kind, their defaults, and what this version can do.

use super::apply::{LATER, Reader, VIDEO_CHOICES};
use super::file::Input;
use super::problem::Problem;
use crate::model::InputId;
use crate::model::input::{AudioChoice, InputSpec, OnSignalLoss, SourceSpec, TestPattern, Transport};
use std::ops::Range;
use std::path::PathBuf;
use toml::Spanned;

/// Jitter buffer of a network input when none is given.
const RTSP_LATENCY_MS: u32 = 200;
/// Tone of the first test input; each further one is [`TONE_STEP_HZ`] higher, so that tracks can be told apart.
pub(super) const TONE_FIRST_HZ: u32 = 440;
/// See [`TONE_FIRST_HZ`].
pub(super) const TONE_STEP_HZ: u32 = 110;
/// The patterns of test inputs, in the order in which they are given out.
pub(super) const PATTERNS: [(&str, TestPattern); 4] = [
    ("bars", TestPattern::Bars),
    ("ball", TestPattern::Ball),
    ("gradient", TestPattern::Gradient),
    ("checker", TestPattern::Checker),
];
/// How an RTSP stream may travel.
const TRANSPORTS: [(&str, Transport); 3] =
    [("auto", Transport::Auto), ("tcp", Transport::Tcp), ("udp", Transport::Udp)];
/// The sound devices a test input has.
const TEST_AUDIO: [&str; 5] = ["tone", "silence", "noise", "dies", "never"];
const KINDS: &str = "use one of \"test\", \"v4l2\", \"rtsp\", \"file\"";

/// Checks one input; `index` is its place in the file.
pub(super) fn check(at: &Reader<'_>, raw: &Spanned<Input>, index: usize) -> Result<InputSpec, Problem> {
    let whole = raw.span();
    let keys = raw.get_ref();
    let missing = |key: &str, remedy: &str| at.origin.problem(&whole, key, format!("is missing; {remedy}"));

    let id_text = keys.id.as_ref().ok_or_else(|| missing("input.id", "give this input an id such as \"cam1\""))?;
    let id: InputId = id_text.get_ref().parse().map_err(|error| at.problem(id_text, "input.id", format!("{error}")))?;
    let kind = keys.kind.as_ref().ok_or_else(|| missing("input.kind", KINDS))?;
    let source = match kind.get_ref().as_str() {
        "test" => test(at, keys, index)?,
        "file" => file(keys).ok_or_else(|| missing("input.path", "name the media file to play"))?,
        "rtsp" => rtsp(at, keys, &missing)?,
        "v4l2" => v4l2(keys).ok_or_else(|| missing("input.device", "name the device, such as \"/dev/video0\""))?,
        later @ ("srt" | "http" | "mediamtx" | "screen") => {
            return Err(at.problem(kind, "input.kind", format!("\"{later}\" is {LATER}; {KINDS}")));
        }
        other => return Err(at.problem(kind, "input.kind", format!("\"{other}\" is not known; {KINDS}"))),
    };
    refuse_foreign_keys(at, keys, source.kind())?;
    let codec = keys.codec.as_ref().map(|codec| at.word("input.codec", codec, &VIDEO_CHOICES)).transpose()?;
    Ok(InputSpec {
        name: name(at, keys, &id)?,
        audio: audio(at, keys, source.kind())?,
        on_signal_loss: on_signal_loss(at, keys)?,
        codec,
        importance: importance(at, keys)?,
        armed: true,
        id,
        source,
    })
}

/// The device of an input that only one input may use, as it is written: two names of one device are found out only
/// when the second worker locks it.
pub(super) fn device_of(spec: &InputSpec) -> Option<String> {
    match &spec.source {
        SourceSpec::V4l2 { device, .. } => Some(device.clone()),
        SourceSpec::Test { .. } | SourceSpec::File { .. } | SourceSpec::Rtsp { .. } => None,
    }
}

fn test(at: &Reader<'_>, keys: &Input, index: usize) -> Result<SourceSpec, Problem> {
    let pattern = match &keys.pattern {
        Some(pattern) => at.word("input.pattern", pattern, &PATTERNS)?,
        None => PATTERNS[index % PATTERNS.len()].1,
    };
    let place = u32::try_from(index).unwrap_or(0).min(15);
    let (mut width, mut height, mut fps, mut tone_hz) = (640, 360, 30, TONE_FIRST_HZ + TONE_STEP_HZ * place);
    at.number("input.width", &keys.width, 64, 7680, &mut width)?;
    at.number("input.height", &keys.height, 64, 4320, &mut height)?;
    at.number("input.fps", &keys.fps, 1, 120, &mut fps)?;
    at.number("input.tone_hz", &keys.tone_hz, 20, 20_000, &mut tone_hz)?;
    for (key, value, number) in [("input.width", &keys.width, width), ("input.height", &keys.height, height)] {
        if let Some(value) = value
            && number % 2 != 0
        {
            return Err(at.problem(value, key, format!("{number} is odd; encoders need an even number of pixels")));
        }
    }
    Ok(SourceSpec::Test { pattern, width, height, fps, tone_hz })
}

fn file(keys: &Input) -> Option<SourceSpec> {
    let path = PathBuf::from(keys.path.as_ref()?.get_ref());
    Some(SourceSpec::File { path, repeat: keys.repeat.as_ref().is_some_and(|repeat| *repeat.get_ref()) })
}

fn rtsp(at: &Reader<'_>, keys: &Input, missing: &dyn Fn(&str, &str) -> Problem) -> Result<SourceSpec, Problem> {
    let url =
        keys.url.as_ref().ok_or_else(|| missing("input.url", "give the address, such as \"rtsp://camera/stream\""))?;
    let host = url.get_ref().strip_prefix("rtsp://").unwrap_or("");
    if host.is_empty() {
        // The address itself is not repeated: it may hold a password.
        return Err(at.problem(url, "input.url", "must begin with \"rtsp://\" and name a server"));
    }
    let transport = match &keys.transport {
        Some(transport) => at.word("input.transport", transport, &TRANSPORTS)?,
        None => Transport::default(),
    };
    let mut latency_ms = RTSP_LATENCY_MS;
    at.number("input.latency_ms", &keys.latency_ms, 0, 10_000, &mut latency_ms)?;
    Ok(SourceSpec::Rtsp { url: url.get_ref().clone(), transport, latency_ms })
}

fn v4l2(keys: &Input) -> Option<SourceSpec> {
    let device = keys.device.as_ref()?.get_ref().clone();
    Some(SourceSpec::V4l2 { device, subdevice: keys.subdevice.as_ref().map(|subdevice| subdevice.get_ref().clone()) })
}

fn refuse_foreign_keys(at: &Reader<'_>, keys: &Input, kind: &str) -> Result<(), Problem> {
    fn span<T>(value: &Option<Spanned<T>>) -> Option<Range<usize>> {
        value.as_ref().map(Spanned::span)
    }
    let owners = [
        ("pattern", "test", span(&keys.pattern)),
        ("width", "test", span(&keys.width)),
        ("height", "test", span(&keys.height)),
        ("fps", "test", span(&keys.fps)),
        ("tone_hz", "test", span(&keys.tone_hz)),
        ("path", "file", span(&keys.path)),
        ("repeat", "file", span(&keys.repeat)),
        ("url", "rtsp", span(&keys.url)),
        ("transport", "rtsp", span(&keys.transport)),
        ("latency_ms", "rtsp", span(&keys.latency_ms)),
        ("device", "v4l2", span(&keys.device)),
        ("subdevice", "v4l2", span(&keys.subdevice)),
    ];
    for (key, owner, place) in &owners {
        if let Some(place) = place
            && *owner != kind
        {
            let allowed = owners.iter().filter(|(_, owner, _)| *owner == kind).map(|(key, ..)| *key);
            let allowed = allowed.collect::<Vec<_>>().join(", ");
            let message = format!("does not belong to kind \"{kind}\", which has {allowed}");
            return Err(at.origin.problem(place, &format!("input.{key}"), message));
        }
    }
    Ok(())
}

fn name(at: &Reader<'_>, keys: &Input, id: &InputId) -> Result<String, Problem> {
    let Some(name) = &keys.name else { return Ok(id.to_string()) };
    let text = name.get_ref().trim();
    if text.is_empty() || text.chars().count() > 64 || text.chars().any(char::is_control) {
        return Err(at.problem(name, "input.name", "use 1 to 64 characters without control characters"));
    }
    Ok(text.to_owned())
}

fn audio(at: &Reader<'_>, keys: &Input, kind: &str) -> Result<AudioChoice, Problem> {
    let Some(value) = &keys.audio else { return Ok(AudioChoice::Auto) };
    let refused = |message: String| Err(at.problem(value, "input.audio", message));
    match (value.get_ref(), kind) {
        (toml::Value::Boolean(false), _) => Ok(AudioChoice::Off),
        (toml::Value::String(text), _) if text == "auto" => Ok(AudioChoice::Auto),
        (toml::Value::String(text), "test") if TEST_AUDIO.contains(&text.as_str()) => {
            Ok(AudioChoice::Device(text.clone()))
        }
        (toml::Value::String(text), "test") => {
            let allowed = TEST_AUDIO.map(|name| format!("\"{name}\"")).join(", ");
            refused(format!("\"{text}\" is not known; use false, \"auto\" or one of {allowed}"))
        }
        (toml::Value::String(_), "v4l2") => refused(format!("a named audio device is {LATER}; use false or \"auto\"")),
        (toml::Value::String(_), _) => refused("its sound comes with its pictures; use false or \"auto\"".to_owned()),
        _ => refused("use false, \"auto\" or a device name".to_owned()),
    }
}

fn on_signal_loss(at: &Reader<'_>, keys: &Input) -> Result<OnSignalLoss, Problem> {
    let key = "input.on_signal_loss";
    let Some(value) = &keys.on_signal_loss else { return Ok(OnSignalLoss::Split) };
    if value.get_ref() == "slate" {
        return Err(at.problem(value, key, format!("\"slate\" is {LATER}; use \"split\" or \"stop\"")));
    }
    at.word(key, value, &[("split", OnSignalLoss::Split), ("stop", OnSignalLoss::Stop)])
}

fn importance(at: &Reader<'_>, keys: &Input) -> Result<i32, Problem> {
    let Some(value) = &keys.importance else { return Ok(0) };
    let number = i32::try_from(*value.get_ref()).ok().filter(|number| (-100..=100).contains(number));
    number.ok_or_else(|| at.problem(value, "input.importance", "use a number from -100 to 100"))
}
