//! Rows of words, renewed in place: whoever reads one with a screen reader keeps it.

use crate::ui::l10n::isolated;
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
        Self { text: isolated(&text.into()), class: "table-value" }
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
    /// Long words take more lines instead of more room, names from so many letters on.
    wraps: Option<i32>,
    labels: Vec<Vec<gtk::Label>>,
    shown: Vec<Vec<Cell>>,
}

impl Table {
    /// An empty one whose long words take more lines; names (the first column) do from `name_chars` letters on.
    pub fn wrapping(name_chars: i32) -> Self {
        Self { wraps: Some(name_chars), ..Self::default() }
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
                let label = make_label(self.wraps, column);
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

fn make_label(wraps: Option<i32>, column: usize) -> gtk::Label {
    let label = gtk::Label::builder().xalign(0.0).valign(gtk::Align::Start).build();
    if let Some(name_chars) = wraps {
        label.set_wrap(true);
        label.set_wrap_mode(gtk::pango::WrapMode::WordChar);
        if column == 0 {
            label.set_max_width_chars(name_chars);
        } else {
            label.set_hexpand(true);
        }
    }
    label
}

fn place(index: usize) -> i32 {
    i32::try_from(index).unwrap_or(i32::MAX)
}
