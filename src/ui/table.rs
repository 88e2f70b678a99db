//! Rows of words, renewed in place: whoever reads one with a screen reader keeps it.

use gtk::prelude::*;

/// What stands in one place of a [`Table`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    /// The words.
    pub text: String,
    /// A style class; the meaning is in the words.
    pub class: &'static str,
}

impl Cell {
    /// Words of the usual style.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), class: "table-value" }
    }

    /// What a row or a column is about.
    pub fn name(text: impl Into<String>) -> Self {
        Self { text: text.into(), class: "table-name" }
    }
}

/// See the module.
#[derive(Debug, Default)]
pub struct Table {
    grid: gtk::Grid,
    /// Long words take more lines instead of more room.
    wraps: bool,
    labels: Vec<Vec<gtk::Label>>,
    shown: Vec<Vec<Cell>>,
}

impl Table {
    /// An empty one whose long words take more lines.
    pub fn wrapping() -> Self {
        Self { wraps: true, ..Self::default() }
    }

    /// Its widget.
    pub fn widget(&self) -> &gtk::Grid {
        &self.grid
    }

    /// Shows these rows and no others.
    pub fn show(&mut self, rows: Vec<Vec<Cell>>) {
        if rows == self.shown {
            return;
        }
        for (line, row) in rows.iter().enumerate() {
            if self.labels.len() == line {
                self.labels.push(Vec::new());
            }
            for column in self.labels[line].len()..row.len() {
                let label = make_label(self.wraps && column > 0);
                self.grid.attach(&label, place(column), place(line), 1, 1);
                self.labels[line].push(label);
            }
        }
        for (line, labels) in self.labels.iter().enumerate() {
            for (column, label) in labels.iter().enumerate() {
                let cell = rows.get(line).and_then(|row| row.get(column));
                label.set_visible(cell.is_some());
                if let Some(cell) = cell {
                    label.set_label(&cell.text);
                    label.set_css_classes(&[cell.class, "numeric"]);
                }
            }
        }
        self.shown = rows;
    }
}

fn make_label(wraps: bool) -> gtk::Label {
    let label = gtk::Label::builder().xalign(0.0).valign(gtk::Align::Start).build();
    if wraps {
        label.set_wrap(true);
        label.set_wrap_mode(gtk::pango::WrapMode::WordChar);
        label.set_hexpand(true);
    }
    label
}

fn place(index: usize) -> i32 {
    i32::try_from(index).unwrap_or(i32::MAX)
}
