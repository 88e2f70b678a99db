//! Just enough Rust to ask a source file what it names.
//!
//! Contract: [`Source`] keeps lines where they were; text inside comments and literals is never taken for code,
//! and a `#[cfg(test)]` item is not part of what ships.

/// A source file, taken apart.
#[derive(Debug)]
pub struct Source {
    /// Code with comments and literals blanked out.
    pub code: String,
    /// Comments with everything else blanked out.
    pub comments: String,
    /// `code` without items under `#[cfg(test)]`.
    pub shipped: String,
}

impl Source {
    /// Takes `text` apart.
    pub fn new(text: &str) -> Self {
        let (code, comments) = split(text);
        let shipped = without_tests(&code);
        Self { code, comments, shipped }
    }

    /// Every path of the shipped code that begins at the crate (`crate::…`, `holdfast::…`, `super::…` resolved
    /// against `module`), grouped imports unfolded, with its line from 1.
    pub fn crate_paths(&self, module: &[&str]) -> Vec<(usize, Vec<String>)> {
        let tokens = tokens(&self.shipped);
        let mut found = Vec::new();
        let mut at = 0;
        while at < tokens.len() {
            let (line, word) = &tokens[at];
            let continues = at > 0 && tokens[at - 1].1 == "::";
            let base: Option<Vec<String>> = match word.as_str() {
                _ if continues || tokens.get(at + 1).is_none_or(|(_, next)| next != "::") => None,
                "crate" | "holdfast" => Some(Vec::new()),
                "super" => {
                    let ups = tokens[at..].chunks(2).take_while(|pair| pair[0].1 == "super").count();
                    at += 2 * (ups - 1);
                    let above = module.len().saturating_sub(ups);
                    Some(module[..above].iter().map(|&name| name.to_owned()).collect())
                }
                _ => None,
            };
            at += 1;
            if let Some(base) = base
                && tokens.get(at).is_some_and(|(_, next)| next == "::")
            {
                at += 1;
                let mut paths = Vec::new();
                tree(&tokens, &mut at, &base, &mut paths);
                found.extend(paths.into_iter().map(|path| (*line, path)));
            }
        }
        found
    }

    /// Lines (from 1) of the shipped code that name the external crate `name` at the head of a path.
    pub fn crate_uses(&self, name: &str) -> Vec<usize> {
        let tokens = tokens(&self.shipped);
        let mut lines = Vec::new();
        for (at, (line, word)) in tokens.iter().enumerate() {
            let before = at.checked_sub(1).map_or("", |at| tokens[at].1.as_str());
            let after = tokens.get(at + 1).map_or("", |(_, next)| next.as_str());
            let imported = matches!(before, "use" | "crate") && matches!(after, ";" | "as");
            if word == name && before != "::" && (after == "::" || imported) {
                lines.push(*line);
            }
        }
        lines.dedup();
        lines
    }
}

/// Lines (from 1) of `text` that hold `needle` as whole words.
pub fn lines_with(text: &str, needle: &str) -> Vec<usize> {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let mut lines = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let mut from = 0;
        while let Some(at) = line[from..].find(needle).map(|at| at + from) {
            let before = line[..at].chars().next_back().is_some_and(word) && needle.starts_with(word);
            let after = line[at + needle.len()..].chars().next().is_some_and(word) && needle.ends_with(word);
            if !before && !after {
                lines.push(number + 1);
                break;
            }
            from = at + needle.len();
        }
    }
    lines
}

/// Reads one use-tree (or plain path) that continues `base`.
fn tree(tokens: &[(usize, String)], at: &mut usize, base: &[String], paths: &mut Vec<Vec<String>>) {
    let mut path = base.to_vec();
    while let Some((_, word)) = tokens.get(*at) {
        if word == "{" {
            *at += 1;
            while tokens.get(*at).is_some_and(|(_, word)| word != "}") {
                let before = *at;
                tree(tokens, at, &path, paths);
                // Past `as name`, a comma, or anything that is no path.
                while tokens.get(*at).is_some_and(|(_, word)| word != "," && word != "}") {
                    *at += 1;
                }
                if tokens.get(*at).is_some_and(|(_, word)| word == ",") || *at == before {
                    *at += 1;
                }
            }
            *at += 1;
            return;
        }
        if word != "self" && word != "*" {
            if !word.starts_with(|c: char| c.is_alphabetic() || c == '_') {
                break;
            }
            path.push(word.clone());
        }
        *at += 1;
        if tokens.get(*at).is_none_or(|(_, next)| next != "::") {
            break;
        }
        *at += 1;
    }
    paths.push(path);
}

/// Identifiers, `::`, and single characters of anything else, each with its line from 1.
fn tokens(code: &str) -> Vec<(usize, String)> {
    let mut tokens = Vec::new();
    for (number, line) in code.lines().enumerate() {
        let mut rest = line.trim_start();
        while let Some(first) = rest.chars().next() {
            let length = if first.is_alphanumeric() || first == '_' {
                rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len())
            } else if rest.starts_with("::") {
                2
            } else {
                first.len_utf8()
            };
            tokens.push((number + 1, rest[..length].to_owned()));
            rest = rest[length..].trim_start();
        }
    }
    tokens
}

/// Blanks every item under `#[cfg(test)]` or `#[test]`, to its closing brace or semicolon.
fn without_tests(code: &str) -> String {
    let mut out = code.to_owned();
    for marker in ["#[cfg(test)]", "#[cfg(all(test,", "#[test]"] {
        while let Some(start) = out.find(marker) {
            let mut depth = 0usize;
            let mut end = out.len();
            for (offset, c) in out[start + marker.len()..].char_indices() {
                match c {
                    '{' => depth += 1,
                    '}' => depth = depth.saturating_sub(1),
                    _ => {}
                }
                if depth == 0 && (c == '}' || c == ';') {
                    end = start + marker.len() + offset + 1;
                    break;
                }
            }
            let blank: String = out[start..end].chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect();
            out.replace_range(start..end, &blank);
        }
    }
    out
}

/// Code and comments of `text`, each with the other (and literals) blanked out.
fn split(text: &str) -> (String, String) {
    let chars: Vec<char> = text.chars().collect();
    let (mut code, mut comments) = (String::new(), String::new());
    let blank = |c: char| if c == '\n' { '\n' } else { ' ' };
    let mut at = 0;
    while at < chars.len() {
        let (length, kind) = piece(&chars[at..], at.checked_sub(1).map(|before| chars[before]));
        for &c in &chars[at..at + length] {
            code.push(if kind == Kind::Code { c } else { blank(c) });
            comments.push(if kind == Kind::Comment { c } else { blank(c) });
        }
        at += length;
    }
    (code, comments)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Code,
    Comment,
    Literal,
}

/// Length and kind of the piece `chars` begins with.
fn piece(chars: &[char], before: Option<char>) -> (usize, Kind) {
    let next = |n: usize| chars.get(n).copied().unwrap_or(' ');
    let in_word = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
    match chars[0] {
        '/' if next(1) == '/' => (chars.iter().position(|&c| c == '\n').unwrap_or(chars.len()), Kind::Comment),
        '/' if next(1) == '*' => (block_comment(chars), Kind::Comment),
        '"' => (string(chars), Kind::Literal),
        'r' if !in_word || before == Some('b') => {
            let hashes = chars[1..].iter().take_while(|&&c| c == '#').count();
            if next(1 + hashes) == '"' { (raw_string(chars, hashes), Kind::Literal) } else { (1, Kind::Code) }
        }
        '\'' if next(1) == '\\' => {
            let end = chars.iter().skip(3).position(|&c| c == '\'').map_or(chars.len(), |at| at + 4);
            (end, Kind::Literal)
        }
        '\'' if next(2) == '\'' => (3, Kind::Literal),
        _ => (1, Kind::Code),
    }
}

fn block_comment(chars: &[char]) -> usize {
    let (mut depth, mut at) = (0usize, 0);
    while at < chars.len() {
        match (chars[at], chars.get(at + 1)) {
            ('/', Some('*')) => (depth, at) = (depth + 1, at + 2),
            ('*', Some('/')) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    chars.len()
}

fn string(chars: &[char]) -> usize {
    let mut at = 1;
    while at < chars.len() && chars[at] != '"' {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(chars.len())
}

fn raw_string(chars: &[char], hashes: usize) -> usize {
    let mut at = hashes + 2;
    while at < chars.len() {
        if chars[at] == '"' && chars[at + 1..].iter().take_while(|&&c| c == '#').count() >= hashes {
            return at + 1 + hashes;
        }
        at += 1;
    }
    chars.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(text: &str, module: &[&str]) -> Vec<String> {
        Source::new(text).crate_paths(module).into_iter().map(|(_, path)| path.join("::")).collect()
    }

    #[test]
    fn imports_are_found_in_every_form() {
        assert_eq!(paths("use crate::a::B;", &[]), ["a::B"]);
        assert_eq!(paths("use crate::{a::{self, B as C}, d::*, e};", &[]), ["a", "a::B", "d", "e"]);
        assert_eq!(paths("let x = crate::a::f::<u8>(holdfast::b::C);", &[]), ["a::f", "b::C"]);
        assert_eq!(paths("use super::super::b::C;", &["a", "x"]), ["b::C"]);
        assert_eq!(paths("use super::y::C; pub(crate) fn f() {}", &["a", "x"]), ["a::y::C"]);
        assert_eq!(paths("#[derive(X)]\nuse crate::{\n    a::b,\n    c,\n};\n", &[]), ["a::b", "c"]);
    }

    #[test]
    fn comments_literals_and_tests_are_no_code() {
        let text = "// crate::a\n/* crate::b /* x */ */ \"crate::c\" r#\"crate::\"d\"# '\"' b'\\'' fn f<'a>() {}\n\
                    #[cfg(test)]\nmod tests {\n use crate::e; }\nuse crate::g;";
        assert_eq!(paths(text, &[]), ["g"]);
        assert_eq!(Source::new(text).crate_paths(&[])[0].0, 6, "lines stay where they were");
        assert!(Source::new("// x TODO y").comments.contains("TODO"));
    }

    #[test]
    fn crates_are_found_at_the_head_of_a_path_only() {
        let uses = |text: &str| Source::new(text).crate_uses("gst").len();
        assert_eq!(uses("use gst::prelude::*;"), 1);
        assert_eq!(uses("fn f(x: &gst::Buffer) {}"), 1);
        assert_eq!(uses("use gst;"), 1);
        assert_eq!(uses("use crate::media::gst::x; let gst = 1; gst_app::y(gst);"), 0);
    }

    #[test]
    fn whole_words_only() {
        assert_eq!(lines_with("an unsafe_code b\nunsafe {", "unsafe"), [2]);
        assert_eq!(lines_with("x.unwrap_or(1)\nx.unwrap()", ".unwrap()"), [2]);
    }
}
