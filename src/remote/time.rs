/// A time as S3 stores tell it (RFC 3339 in UTC: `2026-11-26T12:00:00.000Z`) in seconds since 1970; fractions are cut
/// off. Nothing for other forms and for earlier times.
pub(super) fn seconds(text: &str) -> Option<u64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let whole = time.split('.').next()?;
    let [year, month, day] = three(date, '-')?;
    let [hour, minute, second] = three(whole, ':')?;
    let good = (1970..10_000).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60;
    // Years that begin in March have their leap day, if any, at their end.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1;
    // From the first of March of the year 0.
    let days = days.checked_sub(719_468)?;
    good.then_some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

fn three(text: &str, between: char) -> Option<[u64; 3]> {
    let number = |part: &str| part.parse().ok().filter(|number| *number < 10_000);
    let numbers: Vec<u64> = text.split(between).map(number).collect::<Option<_>>()?;
    numbers.try_into().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_are_counted_from_1970() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2009-02-13T23:31:30.999Z", Some(1_234_567_890)),
            ("2024-02-29T00:00:00.000Z", Some(1_709_164_800)),
            ("2024-03-01T00:00:00Z", Some(1_709_251_200)),
            ("2026-11-26T12:00:00.000Z", Some(1_795_694_400)),
            ("1969-12-31T23:59:59Z", None),
            ("2026-13-01T00:00:00Z", None),
            ("2026-00-01T00:00:00Z", None),
            ("2026-11-26T12:00:00+01:00", None),
            ("", None),
        ] {
            assert_eq!(seconds(text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_too_odd(text in "[0-9:.TZ-]{0,30}") {
            let _ = seconds(&text);
        }
    }
}
