use std::collections::BTreeMap;

use super::Dialect;
use crate::tree::Time;

/// What extended headers say about the next member (POSIX.1-2017, pax, "Extended Header").
#[derive(Debug, Default)]
pub(super) struct Extended {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<u64>,
    pub(super) gid: Option<u64>,
    pub(super) mtime: Option<Time>,
    pub(super) xattrs: BTreeMap<Box<[u8]>, Box<[u8]>>,
}

/// Why an extended header is refused.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Bad {
    Record(&'static str),
    UnknownKey(Vec<u8>),
}

impl Extended {
    fn set_xattr(&mut self, name: &[u8], value: &[u8]) -> Result<(), Bad> {
        match self.xattrs.insert(name.into(), value.into()) {
            None => Ok(()),
            Some(_) => Err(Bad::Record("an extended attribute is there twice")),
        }
    }
}

/// Keys that say nothing a tree keeps: other times, names of owners, and notes of the archiver.
const WITHOUT_MEANING: &[&[u8]] = &[
    b"atime",
    b"ctime",
    b"comment",
    b"uname",
    b"gname",
    b"LIBARCHIVE.creationtime",
    b"SCHILY.dev",
    b"SCHILY.ino",
    b"SCHILY.nlink",
];
const XATTR: &[u8] = b"SCHILY.xattr.";

/// Reads the records of an extended header for one member.
pub(super) fn read(mut bytes: &[u8], dialect: Dialect) -> Result<Extended, Bad> {
    let mut extended = Extended::default();
    while !bytes.is_empty() {
        let (key, value, rest) = record(bytes).ok_or(Bad::Record("a record is malformed"))?;
        bytes = rest;
        match key {
            b"path" => set(&mut extended.path, value.to_vec())?,
            b"linkpath" => set(&mut extended.link, value.to_vec())?,
            b"size" => set(&mut extended.size, decimal(value)?)?,
            b"uid" => set(&mut extended.uid, decimal(value)?)?,
            b"gid" => set(&mut extended.gid, decimal(value)?)?,
            b"mtime" => set(&mut extended.mtime, time(value)?)?,
            b"hdrcharset" if matches!(value, b"BINARY" | b"ISO-IR 10646 2000 UTF-8") => (),
            _ if WITHOUT_MEANING.contains(&key) => (),
            _ => match key.strip_prefix(XATTR) {
                Some(name) if !name.is_empty() && name.len() <= 255 => {
                    extended.set_xattr(name, value)?;
                }
                // What this would mean changes the content.
                _ if dialect == Dialect::Strict || key.starts_with(b"GNU.sparse.") => {
                    return Err(Bad::UnknownKey(key.to_vec()));
                }
                _ => (),
            },
        }
    }
    Ok(extended)
}

/// Checks a header for all members that follow: only what changes nothing may stand there.
pub(super) fn check_global(mut bytes: &[u8]) -> Result<(), Bad> {
    while !bytes.is_empty() {
        let (key, _, rest) = record(bytes).ok_or(Bad::Record("a record is malformed"))?;
        if !WITHOUT_MEANING.contains(&key) {
            return Err(Bad::UnknownKey(key.to_vec()));
        }
        bytes = rest;
    }
    Ok(())
}

/// `LENGTH KEY=VALUE\n`, where the length counts all of it. A value may hold newlines, as binary attributes do.
fn record(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let blank = bytes.iter().take(20).position(|&byte| byte == b' ')?;
    let length = usize::try_from(decimal(&bytes[..blank]).ok()?).ok()?;
    let (record, rest) = bytes.split_at_checked(length)?;
    let text = record.get(blank + 1..)?.strip_suffix(b"\n")?;
    let equals = text.iter().position(|&byte| byte == b'=')?;
    Some((&text[..equals], &text[equals + 1..], rest))
}

fn set<T>(field: &mut Option<T>, value: T) -> Result<(), Bad> {
    match field.replace(value) {
        None => Ok(()),
        Some(_) => Err(Bad::Record("a key is there twice")),
    }
}

fn decimal(text: &[u8]) -> Result<u64, Bad> {
    let bad = Bad::Record("a number is malformed");
    if text.is_empty() || text.len() > 20 {
        return Err(bad);
    }
    let digits = text.iter().try_fold(0u64, |number, &digit| {
        let digit = char::from(digit).to_digit(10)?;
        number.checked_mul(10)?.checked_add(digit.into())
    });
    digits.ok_or(bad)
}

/// Seconds with a fraction, as `-1.5`; digits beyond nanoseconds are cut off, towards the past as POSIX has it.
fn time(text: &[u8]) -> Result<Time, Bad> {
    let bad = || Bad::Record("a time is malformed");
    let (negative, text) = match text.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let mut pieces = text.splitn(2, |&byte| byte == b'.');
    let whole = i64::try_from(decimal(pieces.next().unwrap_or_default())?).map_err(|_| bad())?;
    let fraction = pieces.next().unwrap_or_default();
    if !fraction.iter().all(u8::is_ascii_digit) {
        return Err(bad());
    }
    let digits = fraction.iter().map(|digit| u32::from(digit - b'0'));
    let nanos = digits.chain(std::iter::repeat(0)).take(9).fold(0, |all, digit| all * 10 + digit);
    let cut = fraction.iter().skip(9).any(|&digit| digit != b'0');
    if !negative {
        return Ok(Time { seconds: whole, nanos });
    }
    let nanos = nanos + u32::from(cut);
    match nanos {
        0 => Ok(Time { seconds: -whole, nanos: 0 }),
        _ => Ok(Time { seconds: -whole - 1, nanos: 1_000_000_000 - nanos }),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_have_fractions_and_signs() {
        let at = |seconds, nanos| Ok(Time { seconds, nanos });
        assert_eq!(time(b"12"), at(12, 0));
        assert_eq!(time(b"1.5"), at(1, 500_000_000));
        assert_eq!(time(b"1.0000000019"), at(1, 1));
        assert_eq!(time(b"-1.5"), at(-2, 500_000_000));
        assert_eq!(time(b"-0.0000000001"), at(-1, 999_999_999));
        assert_eq!(time(b"-3"), at(-3, 0));
        for bad in ["", "-", ".5", "1.x", "+1", "1e3", " 1", "99999999999999999999", "--1"] {
            assert!(time(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_binary_attribute_may_hold_newlines() {
        let extended =
            read(b"35 SCHILY.xattr.user.a=\n1 path=x\n2\n5 a=\n", Dialect::Strict).unwrap_err();
        assert_eq!(extended, Bad::UnknownKey(b"a".to_vec()));
        let extended =
            read(b"35 SCHILY.xattr.user.a=\n1 path=x\n2\n9 path=y\n", Dialect::Strict).unwrap();
        assert_eq!(*extended.xattrs[&b"user.a"[..]], *b"\n1 path=x\n2");
        assert_eq!(extended.path.unwrap(), b"y");
    }

    #[test]
    fn malformed_and_unknown_records_are_refused() {
        for bad in [
            "9 path=y",
            "8 path=y\n",
            "11 path=y\n",
            "path=y\n",
            "09 pathy\n",
            "9 path=y\n9 path=z\n",
            "22 GNU.sparse.major=1\n",
            "17 SCHILY.xattr.=",
            "99999999999999999999999 path=y\n",
            "10 size=-1\n",
            "20 hdrcharset=LATIN\n",
        ] {
            assert!(read(bad.as_bytes(), Dialect::Strict).is_err(), "{bad}");
        }
        assert!(check_global(b"14 comment=x\n").is_err(), "the length is wrong");
        assert!(check_global(b"12 comment=\n").is_ok());
        assert!(check_global(b"9 path=y\n").is_err());
    }

    proptest! {
        #[test]
        fn reading_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..80), text in "[0-9]{1,3} (size|mtime|path|uid)=[-0-9.]{0,9}\n") {
            let _ = read(&bytes, Dialect::Strict);
            let _ = read(text.as_bytes(), Dialect::Layer);
        }
    }
}
