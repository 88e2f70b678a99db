//! The cards of the sidebar, kept in step with the alerts by their ids.
//!
//! Contract: a refresh makes no card anew that is there, moves none that is in its place, and takes none away that has a
//! place; so what is focused stays focused and what is in sight stays in sight. No more cards than somebody wants to
//! see, [`STEP`] at first and never more than [`KEPT`]; and no more than [`PER_PASS`] of them are made or changed in one
//! go, so that the window answers between.

use super::card::Card;
use super::face::{Ask, CardFace};
use crate::model::snapshot::alert::KEPT;
use gtk::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// More than fit any screen. Further ones are there once somebody scrolls to them or asks for them.
const STEP: usize = 20;
/// Words that are set in type anew take about a millisecond per card, and as much again when the list is laid out.
const PER_PASS: usize = 2;

/// See the module. Main thread only.
pub struct Cards {
    list: gtk::Box,
    cards: Vec<Card>,
    /// Of alerts that are gone, out of sight, until others take them.
    spare: Vec<Card>,
    press: Rc<dyn Fn(Ask)>,
    /// So many are wanted.
    wanted: usize,
}

impl Cards {
    /// None yet; `press` is called with what a button asks for.
    pub fn new(press: Rc<dyn Fn(Ask)>) -> Self {
        let list = gtk::Box::builder().orientation(gtk::Orientation::Vertical).css_classes(["alert-list"]).spacing(6);
        let list = list.accessible_role(gtk::AccessibleRole::List).valign(gtk::Align::Start).build();
        Self { list, cards: Vec::new(), spare: Vec::new(), press, wanted: STEP }
    }

    /// The widget.
    pub fn widget(&self) -> &gtk::Box {
        &self.list
    }

    /// So many are shown if there are as many alerts.
    pub fn wanted(&self) -> usize {
        self.wanted
    }

    /// More are wanted. As many as alerts are kept (R-ALR-1) at most: critical ones beyond follow as those before them are
    /// acknowledged.
    pub fn want_more(&mut self) {
        self.wanted = (self.wanted + STEP).min(KEPT);
    }

    /// Whoever looks at the first ones wants no others.
    pub fn want_few(&mut self) {
        self.wanted = STEP;
    }

    /// Shows these, in this order, as many as are wanted. `false` = not all are there or as they should be, call it again.
    pub fn show(&mut self, faces: Vec<CardFace>) -> bool {
        let faces: Vec<_> = faces.into_iter().take(self.wanted).collect();
        let ids: BTreeSet<u64> = faces.iter().map(|face| face.id).collect();
        let (kept, gone): (Vec<_>, Vec<_>) = self.cards.drain(..).partition(|card| ids.contains(&card.id()));
        gone.iter().for_each(|card| card.set_visible(false));
        self.spare.extend(gone);
        let mut kept: BTreeMap<u64, Card> = kept.into_iter().map(|card| (card.id(), card)).collect();
        let (mut left, mut whole) = (PER_PASS, true);
        for face in faces {
            let known = kept.remove(&face.id);
            let card = match known {
                Some(card) if left == 0 => {
                    whole &= card.shows(&face);
                    card
                }
                Some(mut card) => {
                    left -= usize::from(card.show(face));
                    card
                }
                None if left == 0 => {
                    whole = false;
                    continue;
                }
                None => {
                    left -= 1;
                    self.make(face)
                }
            };
            self.place(&card);
            self.cards.push(card);
        }
        if whole {
            self.spare.drain(..).for_each(|card| self.list.remove(card.widget()));
        }
        whole
    }

    /// One that is there and has no alert any more, or a new one.
    fn make(&mut self, face: CardFace) -> Card {
        match self.spare.pop() {
            Some(mut card) => {
                card.show(face);
                card.set_visible(true);
                card
            }
            None => {
                let card = Card::new(face, &self.press);
                self.list.append(card.widget());
                card
            }
        }
    }

    /// Behind those that have their places already.
    fn place(&self, card: &Card) {
        let before = self.cards.last().map(|card| card.widget().clone().upcast::<gtk::Widget>());
        if card.widget().prev_sibling() != before {
            self.list.reorder_child_after(card.widget(), before.as_ref());
        }
    }

    /// Gives the first card the focus; `false` = there is none.
    pub fn focus(&self) -> bool {
        self.cards.first().is_some_and(|card| card.widget().grab_focus())
    }
}
