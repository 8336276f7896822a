use std::time::Duration;

use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};

/// How long a server does not want to be asked (RFC 9110, 10.2.3). It may say a number of seconds, or a time, which is
/// taken by the server's own clock.
pub(crate) fn rest(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| Some(headers.get(name)?.to_str().ok()?.trim());
    let wanted = text(RETRY_AFTER)?;
    if let Ok(seconds) = wanted.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let (until, now) = (seconds(wanted)?, seconds(text(DATE)?)?);
    Some(Duration::from_secs(until.saturating_sub(now)))
}

/// A time in the only form in which it may be sent (RFC 9110, 5.6.7), `Sun, 06 Nov 1994 08:49:37 GMT`, in seconds from
/// some point in the past.
fn seconds(text: &str) -> Option<u64> {
    const MONTHS: [(&str, u64); 12] = [
        ("Jan", 306),
        ("Feb", 337),
        ("Mar", 0),
        ("Apr", 31),
        ("May", 61),
        ("Jun", 92),
        ("Jul", 122),
        ("Aug", 153),
        ("Sep", 184),
        ("Oct", 214),
        ("Nov", 245),
        ("Dec", 275),
    ];
    let (_, text) = text.split_once(", ")?;
    let [day, month, year, time, "GMT"] = text.split(' ').collect::<Vec<_>>()[..] else {
        return None;
    };
    let (_, before) = MONTHS.iter().find(|(name, _)| *name == month)?;
    let year: u64 = year.parse().ok().filter(|year| (1..10_000).contains(year))?;
    // Years that begin in March have their leap day, if any, at their end.
    let year = if *before >= 306 { year - 1 } else { year };
    let day: u64 = day.parse().ok().filter(|day| *day <= 31)?;
    let days = year * 365 + year / 4 - year / 100 + year / 400 + before + day;
    let mut time = time.split(':').map(|part| part.parse().ok().filter(|part| *part <= 60));
    let (hours, minutes, seconds): (u64, u64, u64) = (time.next()??, time.next()??, time.next()??);
    Some(((days * 24 + hours) * 60 + minutes) * 60 + seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_seconds() {
        for (from, to, expected) in [
            ("Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:50:07 GMT", 30),
            ("Wed, 28 Feb 2024 23:59:59 GMT", "Fri, 01 Mar 2024 00:00:00 GMT", 86_401),
            ("Tue, 28 Feb 2023 23:59:59 GMT", "Wed, 01 Mar 2023 00:00:00 GMT", 1),
            ("Sun, 31 Dec 2023 23:59:00 GMT", "Mon, 01 Jan 2024 00:01:00 GMT", 120),
            ("Thu, 01 Jan 1970 00:00:00 GMT", "Fri, 13 Feb 2009 23:31:30 GMT", 1_234_567_890),
        ] {
            assert_eq!(seconds(to).unwrap() - seconds(from).unwrap(), expected, "{to}");
        }
        for text in [
            "",
            "now",
            "Sun, 06 Nov 1994",
            "Sun, 06 Xyz 1994 08:49:37 GMT",
            "Sun, 6 Nov 0 0:0:0 GMT",
        ] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }

    #[test]
    fn a_server_says_how_long_it_rests() {
        let rest = |values: &[(reqwest::header::HeaderName, &str)]| {
            let value = |(name, value): &(_, &str)| (Clone::clone(name), value.parse().unwrap());
            rest(&values.iter().map(value).collect())
        };
        let (now, later) = ("Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:47 GMT");
        assert_eq!(rest(&[(RETRY_AFTER, "7")]), Some(Duration::from_secs(7)));
        assert_eq!(rest(&[(RETRY_AFTER, later), (DATE, now)]), Some(Duration::from_secs(10)));
        assert_eq!(rest(&[(RETRY_AFTER, now), (DATE, later)]), Some(Duration::ZERO));
        assert_eq!(rest(&[(RETRY_AFTER, later)]), None);
        assert_eq!(rest(&[(RETRY_AFTER, "-1")]), None);
        assert_eq!(rest(&[]), None);
    }
}
