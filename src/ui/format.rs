//! Numbers as an operator reads them from two metres away. Pure; units are international, so nothing is translated
//! but the words around them.

use crate::model::snapshot::Signal;
use crate::ui::l10n::{gettext, isolated, number};

/// What stands where a number is not known (R-TRU-3).
pub const UNKNOWN: &str = "–";

/// `00:12:31`; hours go on counting beyond 99.
pub fn media_time(ms: u64) -> String {
    let seconds = ms / 1000;
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// [`media_time`], or dashes of the same width.
pub fn media_time_or_unknown(ms: Option<u64>) -> String {
    ms.map_or_else(|| "--:--:--".to_owned(), media_time)
}

/// `20:30:55` in the operator's time zone; every language we speak writes the time of day like that.
pub fn clock(at: jiff::Timestamp) -> String {
    at.to_zoned(jiff::tz::TimeZone::system()).strftime("%H:%M:%S").to_string()
}

/// Recording time left: `2 h 14 min`, `14 min`, `50 s`; coarse on purpose, it is an estimate.
pub fn time_left(seconds: u64) -> String {
    match (seconds / 3600, seconds / 60 % 60) {
        (0, 0) => fill(&gettext("{s} s"), &[("s", &seconds.to_string())]),
        (0, minutes) => fill(&gettext("{min} min"), &[("min", &minutes.to_string())]),
        (hours, minutes) if hours < 10 => {
            fill(&gettext("{h} h {min} min"), &[("h", &hours.to_string()), ("min", &minutes.to_string())])
        }
        (hours, _) if hours < 100 => fill(&gettext("{h} h"), &[("h", &hours.to_string())]),
        (hours, _) => fill(&gettext("{d} days"), &[("d", &(hours / 24).to_string())]),
    }
}

/// `1080p60` for the usual broadcast sizes, else `640×360 · 30 fps`.
pub fn signal(signal: &Signal) -> String {
    let rate = signal.fps.map(|fps| number(fps, 2));
    let usual = signal.width * 9 == signal.height * 16 && [720, 1080, 2160].contains(&signal.height);
    let named = match (usual, rate) {
        (true, Some(rate)) => format!("{}p{rate}", signal.height),
        (true, None) => format!("{}p", signal.height),
        (false, Some(rate)) => format!("{}×{} · {rate} fps", signal.width, signal.height),
        (false, None) => format!("{}×{}", signal.width, signal.height),
    };
    isolated(&named)
}

/// `1.2 GB`: decimal, as disks are sold.
pub fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1000.0 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    format!("{} {}", number(value, usize::from(unit > 1)), UNITS[unit])
}

/// Puts values into a translated sentence; `{name}` stands for a value.
pub fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let params = values.iter().map(|&(name, value)| (name.to_owned(), isolated(value))).collect();
    crate::model::incident::fill(template, &params)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_time_counts_on_beyond_a_hundred_hours() {
        assert_eq!(media_time(751_999), "00:12:31");
        assert_eq!(media_time(360_000_000), "100:00:00");
        assert_eq!(media_time_or_unknown(None), "--:--:--");
    }

    #[test]
    fn time_left_is_coarse() {
        let cases = [(50, "50 s"), (59 * 60, "59 min"), (8040, "2 h 14 min"), (40_000, "11 h"), (900_000, "10 days")];
        for (seconds, text) in cases {
            assert_eq!(time_left(seconds), text);
        }
    }

    #[test]
    fn a_signal_is_named_as_in_broadcast() {
        let named = |width, height, fps| signal(&Signal { width, height, fps });
        assert_eq!(named(1920, 1080, Some(59.94)), "1080p59.94");
        assert_eq!(named(1280, 720, Some(30.0)), "720p30");
        assert_eq!(named(640, 360, Some(30.0)), "640×360 · 30 fps");
        assert_eq!(named(720, 576, None), "720×576");
    }

    #[test]
    fn a_value_keeps_its_sign_and_unit_on_its_own_side_where_words_run_from_the_right() {
        assert_eq!(fill("nice {n}", &[("n", "−10")]), "nice −10");
        let mirrored = crate::ui::l10n::speaking("ar-XB", || fill("nice {n}", &[("n", "−10")]));
        assert_eq!(mirrored, "nice \u{2068}−10\u{2069}");
    }

    #[test]
    fn sizes_are_said_as_disks_are_sold() {
        for (value, text) in
            [(0, "0 B"), (999, "999 B"), (12_345, "12 kB"), (1_200_000, "1.2 MB"), (3_000_000_000, "3 GB")]
        {
            assert_eq!(bytes(value), text);
        }
    }
}
