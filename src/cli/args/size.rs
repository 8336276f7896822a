/// A size in bytes: digits, and perhaps one of `K`, `M`, `G`, `T` for the powers of 1024.
pub(super) fn size(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|letter: char| !letter.is_ascii_digit());
    let shift = match &text[digits.len()..] {
        "" => Some(0),
        "K" => Some(10),
        "M" => Some(20),
        "G" => Some(30),
        "T" => Some(40),
        _ => None,
    };
    let number: Option<u64> = digits.parse().ok();
    let size = number.zip(shift).and_then(|(number, shift)| number.checked_mul(1 << shift));
    size.ok_or_else(|| "write bytes, or a whole number with K, M, G or T, such as 20G".to_owned())
}

/// A time in seconds: a whole number of hours (`h`), days (`d`) or weeks (`w`).
pub(super) fn seconds(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|letter: char| !letter.is_ascii_digit());
    let unit: Option<u64> = match &text[digits.len()..] {
        "h" => Some(60 * 60),
        "d" => Some(24 * 60 * 60),
        "w" => Some(7 * 24 * 60 * 60),
        _ => None,
    };
    let number: Option<u64> = digits.parse().ok();
    let time = number.zip(unit).and_then(|(number, unit)| number.checked_mul(unit));
    time.ok_or_else(|| "write a whole number with h, d or w, such as 30d".to_owned())
}

#[cfg(test)]
mod tests {
    use super::{seconds, size};

    #[test]
    fn times_have_a_unit() {
        assert_eq!(seconds("0d"), Ok(0));
        assert_eq!(seconds("12h"), Ok(43_200));
        assert_eq!(seconds("30d"), Ok(2_592_000));
        assert_eq!(seconds("2w"), Ok(1_209_600));
        for text in ["", "d", "30", "1.5d", "-1d", "30 d", "30days", "30501689197370d1w"] {
            assert!(seconds(text).is_err(), "{text}");
        }
        assert!(seconds(&format!("{}w", u64::MAX)).is_err());
    }

    #[test]
    fn sizes_are_binary_and_whole() {
        assert_eq!(size("512"), Ok(512));
        assert_eq!(size("20G"), Ok(20 << 30));
        assert_eq!(size("16777215T"), Ok(16_777_215 << 40));
        for text in ["", "G", "1.5G", "-1", "20g", "20GB", "16777216T", "\u{e9}"] {
            assert!(size(text).is_err(), "{text}");
        }
    }
}
