//! The `test` source: a device nobody has to own, which can prove that no frame was lost.

pub mod barcode;
mod digits;
mod element;
mod pattern;

pub use element::{TestFormat, TestSrc};
