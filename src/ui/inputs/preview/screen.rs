//! Shows frames of a ring in a `gdk::Paintable`, without copying them.
//!
//! Contract: a frame's slot is given back once the next one has been painted. Main thread only.
//!
//! Pictures are opaque, and the worker fills the fourth byte with 255, so they are what GTK calls premultiplied: the one
//! format that cairo and GL take as it is. `gtk4paintablesink` knows none of that kind on GTK 4.8; what it hands over (BGRA)
//! is converted by way of floating-point numbers at every painting, which was four fifths of what this window cost.

use crate::media::frame_ring::Frame;
use gtk::prelude::*;
use gtk::subclass::prelude::*;
use gtk::{gdk, glib};
use std::cell::RefCell;

glib::wrapper! {
    /// The last link of a preview: the newest frame.
    pub struct Screen(ObjectSubclass<imp::Screen>) @implements gdk::Paintable;
}

impl Default for Screen {
    /// A screen without a picture yet.
    fn default() -> Self {
        glib::Object::new()
    }
}

impl Screen {
    /// Shows a frame instead of the one before.
    pub fn show(&self, frame: Frame) {
        let (width, height) = (edge(frame.width()), edge(frame.height()));
        let (stride, bytes) = (frame.stride(), glib::Bytes::from_owned(frame));
        let format = gdk::MemoryFormat::B8g8r8a8Premultiplied;
        let texture = gdk::MemoryTexture::new(width, height, format, &bytes, stride);
        let before = self.imp().texture.replace(Some(texture));
        match before {
            Some(before) if (before.width(), before.height()) == (width, height) => self.invalidate_contents(),
            _ => self.invalidate_size(),
        }
    }
}

/// Of a frame; the ring bounds it far below.
fn edge(pixels: u32) -> i32 {
    i32::try_from(pixels).unwrap_or(i32::MAX)
}

mod imp {
    use super::*;

    #[derive(Default)]
    pub struct Screen {
        pub texture: RefCell<Option<gdk::MemoryTexture>>,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for Screen {
        const NAME: &'static str = "HoldfastScreen";
        type Type = super::Screen;
        type Interfaces = (gdk::Paintable,);
    }

    impl ObjectImpl for Screen {}

    impl PaintableImpl for Screen {
        fn intrinsic_width(&self) -> i32 {
            self.texture.borrow().as_ref().map_or(0, TextureExt::width)
        }

        fn intrinsic_height(&self) -> i32 {
            self.texture.borrow().as_ref().map_or(0, TextureExt::height)
        }

        fn intrinsic_aspect_ratio(&self) -> f64 {
            self.texture.borrow().as_ref().map_or(0.0, PaintableExt::intrinsic_aspect_ratio)
        }

        fn snapshot(&self, snapshot: &gdk::Snapshot, width: f64, height: f64) {
            if let Some(texture) = self.texture.borrow().as_ref() {
                texture.snapshot(snapshot, width, height);
            }
        }
    }
}
