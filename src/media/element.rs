//! Making and joining elements: the only place that turns a factory name into an element.

use super::error::BuildError;
use gst::prelude::*;

/// Builds `factory` as `name`.
pub fn make(factory: &str, name: &str) -> Result<gst::Element, BuildError> {
    gst::ElementFactory::make(factory).name(name).build().map_err(|_| BuildError::Missing(factory.to_owned()))
}

/// Adds `elements` to `bin` and links them in order.
pub fn chain(bin: &impl IsA<gst::Bin>, elements: &[&gst::Element]) -> Result<(), BuildError> {
    bin.add_many(elements.iter().copied())?;
    gst::Element::link_many(elements.iter().copied())?;
    Ok(())
}

/// The static pad `name` of `element`; every element used here has the pads its documentation promises.
pub fn pad(element: &impl IsA<gst::Element>, name: &str) -> Result<gst::Pad, BuildError> {
    let element = element.upcast_ref::<gst::Element>();
    element.static_pad(name).ok_or_else(|| BuildError::Refused(format!("{} has no pad {name}", element.name())))
}

/// An `audioconvert` that adds no noise of its own. Its dither turns digital silence into ±1 LSB of noise, on which
/// the AAC encoder then spends its whole bitrate (measured: 160 kbit/s instead of 24, and twice the CPU time); what
/// dither is for lies 90 dB below anything AAC keeps.
pub fn audio_convert(name: &str) -> Result<gst::Element, BuildError> {
    let convert = make("audioconvert", name)?;
    convert.set_property_from_str("dithering", "none");
    Ok(convert)
}

/// A request pad of `element` from the template `name`.
pub fn request_pad(element: &gst::Element, name: &str) -> Result<gst::Pad, BuildError> {
    element
        .request_pad_simple(name)
        .ok_or_else(|| BuildError::Refused(format!("{} gives no pad {name}", element.name())))
}

/// A capsfilter that lets only `caps` pass.
pub fn caps_filter(name: &str, caps: &gst::Caps) -> Result<gst::Element, BuildError> {
    let filter = make("capsfilter", name)?;
    filter.set_property("caps", caps);
    Ok(filter)
}

/// The first element of `ranked` whose factory exists and that really reaches READY: a factory alone says
/// nothing about the hardware behind it.
pub fn first_working(ranked: &[&str], name: &str) -> Option<gst::Element> {
    ranked.iter().filter_map(|factory| make(factory, name).ok()).find(|element| {
        let works = element.set_state(gst::State::Ready).is_ok();
        // An element that only just opened its device closes it again without waiting for data.
        let closed = element.set_state(gst::State::Null).is_ok();
        works && closed
    })
}
