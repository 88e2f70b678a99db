//! Names of sessions as people write them: text, and placeholders for date, time and a number.
//!
//! Contract: pure, and one way for everybody: the window asks while the operator types, the engine when it begins a
//! session. What is refused is refused by a [`NameFault`], which has words. A name never leads out of the library: the
//! folder gets its slug ([`SessionName::slug`]), the session keeps the name.

use super::id::{SESSION_NAME_MAX_CHARS, SessionName};
use jiff::Zoned;
use std::fmt;

/// What a session is called that nobody names.
pub const DEFAULT_TEMPLATE: &str = "Session {date} {time}";
/// Higher numbers in the names of folders are not ours.
const LAST_NUMBER: u32 = 999_999;
/// Every placeholder, with an example of what it becomes.
pub const PLACEHOLDERS: [(&str, &str); 3] = [("date", "2026-11-21"), ("time", "20.30.15"), ("n", "3")];

/// Why a name, or a template of one, is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameFault {
    /// Nothing but blanks.
    #[error("a session needs a name of 1 to 120 characters")]
    Empty,
    /// More characters than that, with what the placeholders become.
    #[error("a name has at most 120 characters, this one has {0}")]
    TooLong(usize),
    /// A slash or backslash: names are no paths.
    #[error("a name may not hold {0}")]
    Forbidden(char),
    /// A control character or a line break.
    #[error("a name is one line of text without control characters")]
    Control,
    /// A placeholder that does not exist.
    #[error("there is no {{{0}}}; use {{date}}, {{time}} or {{n}}, and {{{{ for a brace")]
    Unknown(String),
    /// A brace that opens or closes nothing.
    #[error("a brace stands alone; write {{{{ or }}}} for one")]
    Brace,
}

impl NameFault {
    /// The same with the name it is about, as it was asked for.
    pub fn about(&self, asked: Option<&str>) -> String {
        let shortened = |name: &str| name.chars().take(SESSION_NAME_MAX_CHARS).collect::<String>();
        asked.map_or_else(|| self.to_string(), |name| format!("{:?}: {self}", shortened(name)))
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Date,
    Time,
    Number,
}

/// A name with placeholders; an ordinary name is one without any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Piece>);

/// What placeholders become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    date: String,
    time: String,
    n: u32,
}

impl Moment {
    /// A moment in the operator's own time, and the number `{n}` stands for.
    pub fn new(now: &Zoned, n: u32) -> Self {
        Self { date: now.strftime("%Y-%m-%d").to_string(), time: now.strftime("%H.%M.%S").to_string(), n }
    }

    /// The same with another number.
    pub fn numbered(&self, n: u32) -> Self {
        Self { n, ..self.clone() }
    }
}

impl Template {
    /// What somebody calls a session: what is no template by the rules of [`Self::strict`] is meant as it stands, but for
    /// the placeholders there are. What placeholders become is one line without slashes and nearly always as long as it
    /// is now, so what can be wrong with it is found here.
    pub fn read(text: &str) -> Result<Self, NameFault> {
        let text = text.trim();
        if text.is_empty() {
            return Err(NameFault::Empty);
        }
        if text.chars().any(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')) {
            return Err(NameFault::Control);
        }
        if let Some(path) = text.chars().find(|c| matches!(c, '/' | '\\')) {
            return Err(NameFault::Forbidden(path));
        }
        let template = Self(pieces(text).unwrap_or_else(|_| literal(text)));
        // Date and time are always as long as here.
        let [date, time] = ["2026-11-21", "20.30.15"].map(str::to_owned);
        template.name(&Moment { date, time, n: 1 })?;
        Ok(template)
    }

    /// The same of a configuration, where an unknown placeholder and a brace that stands alone are mistakes.
    pub fn strict(text: &str) -> Result<Self, NameFault> {
        let template = Self::read(text)?;
        pieces(text.trim())?;
        Ok(template)
    }

    /// Whether its name depends on how many there were before.
    pub fn counts(&self) -> bool {
        self.0.contains(&Piece::Number)
    }

    /// The name at `moment`.
    pub fn name(&self, moment: &Moment) -> Result<SessionName, NameFault> {
        let text = self.text(moment);
        match text.chars().count() {
            count if count > SESSION_NAME_MAX_CHARS => Err(NameFault::TooLong(count)),
            _ => text.parse().map_err(|_| NameFault::Empty),
        }
    }

    fn text(&self, moment: &Moment) -> String {
        let piece = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Date => moment.date.clone(),
            Piece::Time => moment.time.clone(),
            Piece::Number => moment.n.to_string(),
        };
        self.0.iter().map(piece).collect()
    }

    /// The number of the next session by this template: one more than the highest that folders with these `slugs` have.
    /// Where a folder's name is too short to tell numbers apart, one more than there are of it.
    pub fn next_number<'a>(&self, moment: &Moment, slugs: impl Iterator<Item = &'a str>) -> u32 {
        let slug = |n| self.name(&moment.numbered(n)).map(|name| name.slug());
        // Whatever differs between two numbers of one digit is the number.
        let (Ok(seven), Ok(eight)) = (slug(7), slug(8)) else { return 1 };
        let Some(place) = seven.bytes().zip(eight.bytes()).position(|(a, b)| a != b) else {
            let same = slugs.filter(|slug| *slug == seven).count();
            return u32::try_from(same).unwrap_or(u32::MAX).saturating_add(1);
        };
        let (before, behind) = (&seven[..place], &seven[place + 1..]);
        let number = |slug: &str| {
            let digits = slug.strip_prefix(before)?.strip_suffix(behind)?;
            let number = digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse::<u32>().ok())??;
            // Nobody counts so far; soon there would be no numbers left.
            (number <= LAST_NUMBER).then_some(number)
        };
        slugs.filter_map(number).max().unwrap_or(0).saturating_add(1)
    }
}

impl Default for Template {
    /// [`DEFAULT_TEMPLATE`].
    fn default() -> Self {
        let text = |text: &str| Piece::Text(text.to_owned());
        Self(vec![text("Session "), Piece::Date, text(" "), Piece::Time])
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|piece| match piece {
            Piece::Text(text) => f.write_str(&text.replace('{', "{{").replace('}', "}}")),
            Piece::Date => f.write_str("{date}"),
            Piece::Time => f.write_str("{time}"),
            Piece::Number => f.write_str("{n}"),
        })
    }
}

/// Text and placeholders of a template; a doubled brace is one.
fn pieces(text: &str) -> Result<Vec<Piece>, NameFault> {
    let mut pieces = Vec::new();
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '{' | '}' if rest.next_if_eq(&c).is_some() => add(&mut pieces, c),
            '}' => return Err(NameFault::Brace),
            '{' => {
                let word: String = std::iter::from_fn(|| rest.next_if(|c| !matches!(c, '{' | '}'))).collect();
                if rest.next() != Some('}') {
                    return Err(NameFault::Brace);
                }
                pieces.push(placeholder(&word).ok_or(NameFault::Unknown(word))?);
            }
            c => add(&mut pieces, c),
        }
    }
    Ok(pieces)
}

/// The same of text in which braces mean nothing but around a placeholder.
fn literal(text: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let word = rest.strip_prefix('{').and_then(|rest| rest.split_once('}'));
        match word.and_then(|(word, behind)| Some((placeholder(word)?, behind))) {
            Some((piece, behind)) => {
                pieces.push(piece);
                rest = behind;
            }
            None => {
                add(&mut pieces, c);
                rest = &rest[c.len_utf8()..];
            }
        }
    }
    pieces
}

fn add(pieces: &mut Vec<Piece>, c: char) {
    match pieces.last_mut() {
        Some(Piece::Text(text)) => text.push(c),
        _ => pieces.push(Piece::Text(c.to_string())),
    }
}

fn placeholder(word: &str) -> Option<Piece> {
    match word {
        "date" => Some(Piece::Date),
        "time" => Some(Piece::Time),
        "n" => Some(Piece::Number),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn moment(n: u32) -> Moment {
        let now: Zoned = "2026-11-21T20:30:15[UTC]".parse().expect("a time");
        Moment::new(&now, n)
    }

    fn named(text: &str, n: u32) -> Result<String, NameFault> {
        Ok(Template::read(text)?.name(&moment(n))?.as_str().to_owned())
    }

    #[test]
    fn placeholders_become_what_they_say() {
        assert_eq!(named(" keynote ", 1), Ok("keynote".into()));
        assert_eq!(named("{date} {time} take {n}", 12), Ok("2026-11-21 20.30.15 take 12".into()));
        assert_eq!(named("{{n}} {n}", 2), Ok("{n} 2".into()));
        assert_eq!(Template::default(), Template::read(DEFAULT_TEMPLATE).expect("it reads"));
        assert_eq!(Template::default().to_string(), DEFAULT_TEMPLATE);
        for (word, example) in PLACEHOLDERS {
            assert_eq!(named(&format!("{{{word}}}"), 3), Ok(example.to_owned()));
        }
    }

    #[test]
    fn braces_of_a_name_that_is_no_template_are_text() {
        let table = [
            ("Team {A}", "Team {A}"),
            ("a } b", "a } b"),
            ("{", "{"),
            ("{nr} {n}", "{nr} 3"),
            ("{{A} {n}", "{{A} 3"),
            ("{da{te} {date}", "{da{te} 2026-11-21"),
        ];
        for (text, name) in table {
            assert_eq!(named(text, 3), Ok(name.to_owned()), "{text:?}");
        }
    }

    #[test]
    fn each_refusal_says_what_is_wrong() {
        let long = "x".repeat(SESSION_NAME_MAX_CHARS);
        assert!(named(&long, 1).is_ok());
        let table = [
            ("  ", NameFault::Empty),
            (&*format!("{long}y"), NameFault::TooLong(121)),
            // What a placeholder becomes counts.
            (&*format!("{}{{date}}", &long[..115]), NameFault::TooLong(125)),
            ("../up", NameFault::Forbidden('/')),
            ("a\\b", NameFault::Forbidden('\\')),
            ("a\nb", NameFault::Control),
            ("a\u{2028}b", NameFault::Control),
        ];
        for (text, fault) in table {
            assert_eq!(named(text, 1), Err(fault.clone()), "{text:?}");
            assert!(!fault.to_string().is_empty());
        }
        let mistakes = [
            ("take {nr}", NameFault::Unknown("nr".into())),
            ("take {n", NameFault::Brace),
            ("take n}", NameFault::Brace),
            ("{da{te}", NameFault::Brace),
            ("a/b", NameFault::Forbidden('/')),
        ];
        for (text, fault) in mistakes {
            assert_eq!(Template::strict(text), Err(fault), "{text:?}");
        }
        assert_eq!(Template::strict(" {date} {{x}} "), Template::read("{date} {{x}}"));
        let words = NameFault::Unknown("nr".into()).to_string();
        assert_eq!(words, "there is no {nr}; use {date}, {time} or {n}, and {{ for a brace");
    }

    #[test]
    fn the_next_number_follows_the_highest_that_is_there() {
        let next = |text: &str, slugs: &[&str]| {
            let template = Template::read(text).expect("a template");
            template.next_number(&moment(1), slugs.iter().copied())
        };
        assert_eq!(next("take {n}", &[]), 1);
        assert_eq!(next("take {n}", &["take-2", "take-10", "take-x", "take-3-b", "other-99"]), 11);
        assert_eq!(next("{n}. take", &["4-take", "4.-take"]), 5);
        // Every day counts anew.
        assert_eq!(next("{date} {n}", &["2026-11-20-8", "2026-11-21-2"]), 3);
        assert_eq!(next("take {n}", &["take-99999999999"]), 1, "no number of ours");
        assert_eq!(next("take {n}", &["take-4294967295", "take-999999", "take-1000000"]), 1_000_000);
        // The number does not fit into a folder's name.
        let long = "a".repeat(60) + "{n}";
        let slug = "a".repeat(40);
        assert_eq!(next(&long, &[&slug, &slug]), 3);
    }

    proptest! {
        #[test]
        fn what_is_accepted_is_a_name_and_reads_back(text in "\\PC{0,40}", n in 0u32..100_000) {
            if let Ok(template) = Template::read(&text) {
                prop_assert_eq!(Template::read(&template.to_string()), Ok(template.clone()));
                if let Ok(name) = template.name(&moment(n)) {
                    let slug = name.slug();
                    let next = template.next_number(&moment(1), std::iter::once(slug.as_str()));
                    prop_assert!(!template.counts() || next > n || slug.len() >= 38, "{} after {}", next, name);
                }
            }
        }
    }
}
