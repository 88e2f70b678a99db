//! Sizes as people write them: `"2GB"` = 2·10⁹, `"2GiB"` = 2·2³⁰ bytes.

/// What a size may look like, for messages.
pub const ALLOWED: &str = "a size such as \"500MB\", \"2GB\" or \"2GiB\"";

const UNITS: [(&str, u64); 9] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("B", 1),
];

/// `text` in bytes; `None` when it is not [`ALLOWED`] or does not fit. Decimals are allowed (`"1.5GB"`).
pub fn parse(text: &str) -> Option<u64> {
    let text = text.trim();
    let (number, unit) = UNITS.iter().find_map(|(name, unit)| Some((text.strip_suffix(name)?.trim_end(), *unit)))?;
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(unit);
    }
    let plain = number.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let value = number.parse::<f64>().ok().filter(|_| plain)? * unit as f64;
    // Beyond 2^53 a decimal could no longer be told apart from its neighbours.
    (value < 9.0e15).then_some(value as u64)
}

/// Bytes in a unit that reads well: `"5 GB"`, `"1.5 GB"`, `"512 MB"`.
pub fn format(bytes: u64) -> String {
    let (unit, size) = match bytes {
        1_000_000_000_000.. => ("TB", 1e12),
        1_000_000_000.. => ("GB", 1e9),
        1_000_000.. => ("MB", 1e6),
        1_000.. => ("KB", 1e3),
        _ => ("B", 1.0),
    };
    let value = format!("{:.1}", bytes as f64 / size);
    format!("{} {unit}", value.strip_suffix(".0").unwrap_or(&value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn decimal_and_binary_units_differ() {
        assert_eq!(parse("2GB"), Some(2_000_000_000));
        assert_eq!(parse("2GiB"), Some(2 << 30));
        assert_eq!(parse("1.5 GB"), Some(1_500_000_000));
        assert_eq!(parse("0B"), Some(0));
        for bad in ["", "2", "GB", "-1GB", "2gb", "1e3GB", "99999999999TB", "infB", "NaNB"] {
            assert_eq!(parse(bad), None, "{bad:?} was accepted");
        }
        assert_eq!(format(5_000_000_000), "5 GB");
        assert_eq!(format(1_540_000_000), "1.5 GB");
    }

    proptest! {
        #[test]
        fn any_text_is_refused_or_understood(text in "\\PC{0,20}") {
            let _ = parse(&text);
        }
    }
}
