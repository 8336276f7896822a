//! `Release`: the signed list of all indexes of a suite (the debian repository format, "Release files").

use std::collections::BTreeMap;

use super::control::{self, Paragraph};
use crate::{digest::Digest, path::GuestPath};

/// A `Release` file, or what is signed in an `InRelease` file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// `Debian`.
    pub origin: Option<String>,
    /// `oldstable`; changes its meaning with time.
    pub suite: Option<String>,
    /// `bookworm`; does not.
    pub codename: Option<String>,
    /// When it was made: seconds since 1970-01-01 UTC.
    pub date: i64,
    /// When it is to be believed no longer, likewise.
    pub valid_until: Option<i64>,
    /// `main`, `contrib`.
    pub components: Vec<String>,
    /// `amd64`, `all`.
    pub architectures: Vec<String>,
    /// Whether indexes are also found under `by-hash/SHA256/DIGEST`, which no update of the archive can tear.
    pub acquire_by_hash: bool,
    /// The indexes by their paths relative to the file itself: `main/binary-amd64/Packages.xz`.
    pub files: BTreeMap<String, File>,
}

/// An index in a [`Release`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct File {
    /// Digest of its bytes.
    pub sha256: Digest,
    /// Length in bytes.
    pub size: u64,
}

/// Why a `Release` file is refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The text is not UTF-8.
    #[error("the Release file is not UTF-8")]
    NotText(#[source] std::str::Utf8Error),
    /// The text is not one paragraph in the format of control files.
    #[error("the Release file is malformed")]
    Text(#[source] control::Malformed),
    /// A field is missing or has a value it cannot have.
    #[error("the Release file has no good field `{0}`")]
    Field(&'static str),
    /// A line of the list is malformed, or leads out of the archive.
    #[error("the Release file has the malformed line `{0}`")]
    File(String),
}

/// Parses a `Release` file without a signature.
pub fn parse(text: &[u8]) -> Result<Release, Error> {
    let text = std::str::from_utf8(text).map_err(Error::NotText)?;
    let paragraph = control::single(text).map_err(Error::Text)?;
    let own = |field| paragraph.get(field).map(str::to_owned);
    let words = |field| {
        paragraph.get(field).unwrap_or_default().split_whitespace().map(str::to_owned).collect()
    };
    let time = |field| match paragraph.get(field) {
        None => Ok(None),
        Some(text) => date(text).map(Some).ok_or(Error::Field(field)),
    };
    Ok(Release {
        origin: own("Origin"),
        suite: own("Suite"),
        codename: own("Codename"),
        date: time("Date")?.ok_or(Error::Field("Date"))?,
        valid_until: time("Valid-Until")?,
        components: words("Components"),
        architectures: words("Architectures"),
        acquire_by_hash: paragraph.get("Acquire-By-Hash") == Some("yes"),
        files: files(&paragraph)?,
    })
}

fn files(paragraph: &Paragraph<'_>) -> Result<BTreeMap<String, File>, Error> {
    let mut files = BTreeMap::new();
    for line in paragraph.lines("SHA256") {
        let bad = || Error::File(line.to_owned());
        let mut words = line.split_whitespace();
        let (Some(sha256), Some(size), Some(path), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(bad());
        };
        GuestPath::new(path).map_err(|_| bad())?;
        let file = File {
            sha256: sha256.parse().map_err(|_| bad())?,
            size: size.parse().map_err(|_| bad())?,
        };
        if files.insert(path.to_owned(), file).is_some_and(|old| old != file) {
            return Err(bad());
        }
    }
    if files.is_empty() { Err(Error::Field("SHA256")) } else { Ok(files) }
}

/// `Sat, 11 Jan 2025 10:12:34 UTC` in seconds since 1970; the zone is always UTC.
fn date(text: &str) -> Option<i64> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut words = text.split_whitespace();
    let weekday = words.next()?.strip_suffix(',')?;
    if weekday.len() != 3 || !weekday.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        return None;
    }
    let mut number = |range: std::ops::RangeInclusive<i64>| {
        let number: i64 = words.next()?.parse().ok()?;
        range.contains(&number).then_some(number)
    };
    let day = number(1..=31)?;
    let name = words.next()?;
    let month = MONTHS.iter().position(|month| *month == name)? as i64 + 1;
    let year: i64 = words.next()?.parse().ok().filter(|year| (1970..10_000).contains(year))?;
    let clock = words.next()?.split(':').map(|part| part.parse().ok());
    let &[hour @ 0..24, minute @ 0..60, second @ 0..=60] = &*clock.collect::<Option<Vec<i64>>>()?
    else {
        return None;
    };
    if !matches!(words.next(), Some("UTC" | "GMT" | "Z" | "+0000")) || words.next().is_some() {
        return None;
    }
    Some(((days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second)
}

/// Days from 1970-01-01 to a day of the Gregorian calendar, by years that begin in March.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let of_year = (153 * month + 2) / 5 + day - 1;
    year * 365 + year / 4 - year / 100 + year / 400 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXT: &str = "Origin: Debian\nSuite: oldstable\nCodename: bookworm\nDate: Sat, 06 Sep 2025 10:05:41 UTC\n\
        Valid-Until: Sat, 13 Sep 2025 10:05:41 UTC\nAcquire-By-Hash: yes\nArchitectures: all amd64\n\
        Components: main contrib\nMD5Sum:\n 0 1 x\nSHA256:\n \
        ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad   1484 main/binary-amd64/Packages.xz\n";

    #[test]
    fn a_release_lists_its_indexes() {
        let release = parse(TEXT.as_bytes()).unwrap();
        assert_eq!(release.codename.as_deref(), Some("bookworm"));
        assert_eq!(release.suite.as_deref(), Some("oldstable"));
        assert_eq!((release.date, release.valid_until), (1_757_153_141, Some(1_757_757_941)));
        assert_eq!(
            (&*release.components, &*release.architectures[0]),
            (&["main".into(), "contrib".into()][..], "all")
        );
        let expected = File { sha256: Digest::of("abc"), size: 1484 };
        assert_eq!(release.files, [("main/binary-amd64/Packages.xz".to_owned(), expected)].into());
        assert!(release.acquire_by_hash);
    }

    #[test]
    fn a_bad_release_is_refused() {
        for (from, to) in [
            ("Date: Sat", "Date: Sat,"),
            ("06 Sep", "06 Sept"),
            ("06 Sep", "32 Sep"),
            ("10:05:41 UTC\nV", "10:05 UTC\nV"),
            ("UTC", "CEST"),
            ("   1484", ""),
            ("1484 main", "1484 /main"),
            ("1484 main", "1484 ../main"),
            ("   1484", " -1"),
            (" ba78", " ba7"),
            ("SHA256", "SHA512"),
            ("Date", "Data"),
            ("Valid-Until: Sat, 13", "Valid-Until: 13"),
            ("Suite: oldstable", "Suite: oldstable\n\nMore: x"),
        ] {
            assert!(parse(TEXT.replacen(from, to, 1).as_bytes()).is_err(), "{to}");
        }
    }

    #[test]
    fn days_are_counted_by_the_calendar() {
        for (text, seconds) in [
            ("Thu, 01 Jan 1970 00:00:00 UTC", 0),
            ("Tue, 29 Feb 2000 23:59:59 UTC", 951_868_799),
            ("Wed, 01 Mar 2000 00:00:00 UTC", 951_868_800),
            ("Thu, 31 Dec 2099 00:00:00 UTC", 4_102_358_400),
        ] {
            assert_eq!(date(text), Some(seconds), "{text}");
        }
    }

    proptest! {
        #[test]
        fn parsing_never_panics(at in 0..400usize, with in any::<u8>(), text in "[A-Z][a-z]{2}, [0-9]{1,20} (Jan|Feb) [0-9]{1,20} [0-9:]{1,20} UTC") {
            let mut bytes = TEXT.as_bytes().to_vec();
            if let Some(byte) = bytes.get_mut(at) {
                *byte = with;
            }
            let _ = parse(&bytes);
            let _ = date(&text);
        }
    }
}
