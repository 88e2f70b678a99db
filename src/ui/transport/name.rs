//! What is said of a session's name while it is typed. Pure but for the clock; the engine reads names the same way.

use crate::model::naming::{Moment, NameFault, Template};
use crate::sys::clock::wall_now;
use crate::ui::format::fill;
use crate::ui::l10n::gettext;

/// Placeholders, for whoever looks for them.
pub(super) fn help() -> String {
    gettext("{date}, {time} and {n} become the day, the time and the next number.")
}

/// Why a name is refused.
pub(super) fn fault_words(fault: &NameFault) -> String {
    match fault {
        NameFault::Empty => gettext("A name is missing."),
        NameFault::TooLong(count) => {
            fill(&gettext("A name has at most 120 characters, this one has {count}."), &[("count", &count.to_string())])
        }
        NameFault::Forbidden(c) => fill(&gettext("A name has no {c} in it."), &[("c", &c.to_string())]),
        NameFault::Control => gettext("A name is one line of text."),
        NameFault::Unknown(_) | NameFault::Brace => help(),
    }
}

/// What a name with placeholders becomes, `None` for one without. The number is known to the engine alone.
pub(super) fn becomes(name: &str) -> Option<String> {
    let template = Template::read(name).ok()?;
    let moment = Moment::new(&wall_now().to_zoned(jiff::tz::TimeZone::system()), 1);
    let becomes = template.name(&moment).ok()?;
    let counted = if template.counts() { gettext("(number 1 or the next)") } else { String::new() };
    let said = format!("→ {becomes} {counted}");
    (becomes.as_str() != name.trim()).then(|| said.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_shown_as_what_they_become() {
        assert_eq!(becomes("keynote"), None);
        assert_eq!(becomes(""), None);
        assert_eq!(becomes("a/b"), None);
        let dated = becomes("day {date}").expect("a placeholder");
        assert!(dated.starts_with("→ day 20") && !dated.contains('{'), "{dated}");
        assert!(becomes("take {n}").expect("a placeholder").starts_with("→ take 1"));
    }
}
