//! The GTK layout manager that carries out an [`Arrangement`].
//!
//! Contract: children get their cell whatever they ask for, so a long name can never push another tile away.

use super::arrangement::Arrangement;
use gtk::glib;
use gtk::prelude::*;
use gtk::subclass::prelude::*;
use std::cell::Cell;

glib::wrapper! {
    /// Places the children of a widget in equal cells, or in lines.
    pub struct GridLayout(ObjectSubclass<imp::GridLayout>) @extends gtk::LayoutManager;
}

impl Default for GridLayout {
    fn default() -> Self {
        glib::Object::new()
    }
}

impl GridLayout {
    /// Lines for a small panel, or a grid of pictures.
    pub fn set_lines(&self, lines: bool) {
        if self.imp().lines.replace(lines) != lines {
            self.layout_changed();
        }
    }
}

/// Least room the grid asks for; what is shown in it stays legible down to here.
const LEAST: (i32, i32) = (320, 180);

mod imp {
    use super::*;

    #[derive(Default)]
    pub struct GridLayout {
        pub lines: Cell<bool>,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for GridLayout {
        const NAME: &'static str = "HoldfastGridLayout";
        type Type = super::GridLayout;
        type ParentType = gtk::LayoutManager;
    }

    impl ObjectImpl for GridLayout {}

    impl LayoutManagerImpl for GridLayout {
        fn request_mode(&self, _widget: &gtk::Widget) -> gtk::SizeRequestMode {
            gtk::SizeRequestMode::ConstantSize
        }

        fn measure(&self, widget: &gtk::Widget, orientation: gtk::Orientation, _for_size: i32) -> (i32, i32, i32, i32) {
            let least = match orientation {
                gtk::Orientation::Horizontal => LEAST.0,
                _ if self.lines.get() => Arrangement::lines_height(children(widget).count()),
                _ => LEAST.1,
            };
            (least, least, -1, -1)
        }

        fn allocate(&self, widget: &gtk::Widget, width: i32, height: i32, _baseline: i32) {
            let arrangement = match self.lines.get() {
                true => Arrangement::lines(width),
                false => Arrangement::grid(children(widget).count(), width, height),
            };
            for (index, child) in children(widget).enumerate() {
                let cell = arrangement.cell(index);
                // GTK wants every widget measured before it is placed.
                child.measure(gtk::Orientation::Horizontal, -1);
                child.size_allocate(&gtk::Allocation::new(cell.x, cell.y, cell.width, cell.height), -1);
            }
        }
    }

    fn children(widget: &gtk::Widget) -> impl Iterator<Item = gtk::Widget> + use<> {
        std::iter::successors(widget.first_child(), |child| child.next_sibling()).filter(|child| child.should_layout())
    }
}
