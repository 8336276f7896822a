//! The outer shell of a Debian package: the plain subset of `ar` that deb(5) allows.
//!
//! No symbol tables, no long names: a name has at most 15 bytes and stands in its header. Every header field is
//! checked, since dpkg, apt and GNU ar read sloppy headers each in their own way, and a file that two programs read
//! differently is how a bad package hides.

use std::io::{self, Read};

const MAGIC: &[u8; 8] = b"!<arch>\n";
const HEADER: usize = 60;

/// An ar archive that is read once, front to back. As a reader it gives the bytes of the current member.
#[derive(Debug)]
pub struct Archive<R> {
    reader: R,
    /// How many bytes of the archive have been read.
    offset: u64,
    /// How many bytes of the current member have not been read.
    left: u64,
    padded: bool,
}

/// A member as its header describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its name: printable ASCII without blanks and slashes.
    pub name: String,
    /// Length of its content in bytes.
    pub size: u64,
}

/// Why bytes are not an ar archive.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The first bytes are others than every ar archive has.
    #[error("it does not begin like an ar archive")]
    Magic,
    /// A header is not as deb(5) wants it.
    #[error("ar header at byte {offset}: {what}")]
    Header {
        /// Where the header begins.
        offset: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// The archive ends inside a header or a member.
    #[error("the ar archive ends early, at byte {offset}")]
    Truncated {
        /// How long it is.
        offset: u64,
    },
    /// The bytes could not be had.
    #[error("the ar archive cannot be read at byte {offset}")]
    Read {
        /// Where.
        offset: u64,
        /// Why.
        source: io::Error,
    },
}

impl<R: Read> Archive<R> {
    /// Reads the magic number.
    pub fn open(reader: R) -> Result<Self, Error> {
        let mut archive = Self { reader, offset: 0, left: 0, padded: false };
        let mut magic = [0; MAGIC.len()];
        match archive.fill(&mut magic)? {
            8 if magic == *MAGIC => Ok(archive),
            8 => Err(Error::Magic),
            _ => Err(Error::Truncated { offset: archive.offset }),
        }
    }

    /// Goes on to the next member, past what was not read of the current one; none at the end.
    pub fn next_member(&mut self) -> Result<Option<Member>, Error> {
        self.skip()?;
        let offset = self.offset;
        let mut header = [0; HEADER];
        match self.fill(&mut header)? {
            0 => return Ok(None),
            HEADER => (),
            _ => return Err(Error::Truncated { offset: self.offset }),
        }
        let member = read_header(&header).map_err(|what| Error::Header { offset, what })?;
        self.left = member.size;
        self.padded = member.size % 2 == 1;
        Ok(Some(member))
    }

    fn skip(&mut self) -> Result<(), Error> {
        let mut rest = self.reader.by_ref().take(self.left);
        let skipped = io::copy(&mut rest, &mut io::sink())
            .map_err(|source| Error::Read { offset: self.offset, source })?;
        self.offset += skipped;
        self.left -= skipped;
        let mut padding = [b'\n'];
        if self.left > 0 || (self.padded && self.fill(&mut padding)? == 0) {
            return Err(Error::Truncated { offset: self.offset });
        }
        if padding != [b'\n'] {
            let what = "the member before it is not padded with a newline";
            return Err(Error::Header { offset: self.offset, what });
        }
        self.padded = false;
        Ok(())
    }

    /// Reads until `buffer` is full or the archive ends; says how much came.
    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.reader.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
                Err(source) => return Err(Error::Read { offset: self.offset, source }),
            }
        }
        self.offset += filled as u64;
        Ok(filled)
    }
}

impl<R: Read> Read for Archive<R> {
    /// The bytes of the current member; an early end of the archive is an error here too.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        if most == 0 {
            return Ok(0);
        }
        let count = self.reader.read(&mut buffer[..most])?;
        if count == 0 {
            let what = "the ar archive ends inside a member";
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, what));
        }
        self.left -= count as u64;
        self.offset += count as u64;
        Ok(count)
    }
}

fn read_header(header: &[u8; HEADER]) -> Result<Member, &'static str> {
    if header[58..] != *b"`\n" {
        return Err("it does not end as a header does");
    }
    let name = field(&header[..16]).ok_or("the name is not padded with blanks")?;
    // Both ways of writing are in use: dpkg's without a slash, and GNU's with one at the end.
    let name = name.strip_suffix(b"/").unwrap_or(name);
    if name.is_empty() || !name.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'/') {
        return Err("the name is empty, a GNU extension, or has other than printable characters");
    }
    for (range, radix) in [(16..28, 10), (28..34, 10), (34..40, 10), (40..48, 8)] {
        number(&header[range], radix).ok_or("the time, owner, group or mode is no number")?;
    }
    let size = number(&header[48..58], 10).ok_or("the size is no number")?;
    Ok(Member { name: name.iter().copied().map(char::from).collect(), size })
}

/// What stands before the padding.
fn field(bytes: &[u8]) -> Option<&[u8]> {
    let end = bytes.iter().position(|&byte| byte == b' ').unwrap_or(bytes.len());
    let (text, padding) = bytes.split_at(end);
    padding.iter().all(|&byte| byte == b' ').then_some(text)
}

fn number(bytes: &[u8], radix: u32) -> Option<u64> {
    let text = std::str::from_utf8(field(bytes)?).ok()?;
    // `from_str_radix` would take a sign.
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { u64::from_str_radix(text, radix).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn header(name: &str, size: impl std::fmt::Display) -> String {
        format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{size:<10}`\n", 1_700_000_000, 0, 0, "100644")
    }

    fn archive(members: &[(&str, &str)]) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        for (name, content) in members {
            bytes.extend(header(name, content.len()).bytes());
            bytes.extend(content.bytes());
            bytes.extend(vec![b'\n'; content.len() % 2]);
        }
        bytes
    }

    fn read_all(bytes: &[u8]) -> Result<Vec<(String, String)>, Error> {
        let mut archive = Archive::open(bytes)?;
        let mut found = Vec::new();
        while let Some(member) = archive.next_member()? {
            let mut content = String::new();
            let read = archive.read_to_string(&mut content);
            read.map_err(|source| Error::Read { offset: archive.offset, source })?;
            assert_eq!(content.len() as u64, member.size);
            found.push((member.name, content));
        }
        Ok(found)
    }

    #[test]
    fn members_come_in_order_with_their_content() {
        let bytes = archive(&[("debian-binary", "2.0\n"), ("odd/", "abc"), ("empty", "")]);
        let found = read_all(&bytes).unwrap();
        let expected = [("debian-binary", "2.0\n"), ("odd", "abc"), ("empty", "")];
        assert_eq!(found, expected.map(|(name, text)| (name.to_owned(), text.to_owned())));
    }

    #[test]
    fn what_was_not_read_is_skipped() {
        let bytes = archive(&[("a", "abc"), ("b", "de")]);
        let mut archive = Archive::open(&*bytes).unwrap();
        assert_eq!(archive.next_member().unwrap().map(|member| member.size), Some(3));
        assert_eq!(archive.next_member().unwrap().map(|member| member.name), Some("b".to_owned()));
        assert_eq!(archive.next_member().unwrap(), None);
    }

    #[test]
    fn an_archive_that_ends_early_is_refused() {
        let bytes = archive(&[("a", "abc"), ("b", "de")]);
        let ends = [MAGIC.len(), MAGIC.len() + HEADER + 4, bytes.len()];
        for cut in 0..bytes.len() {
            assert_eq!(read_all(&bytes[..cut]).is_ok(), ends.contains(&cut), "cut at {cut}");
        }
    }

    #[test]
    fn sloppy_headers_are_refused() {
        let good = header("a", 0);
        assert!(read_all(&[MAGIC, good.as_bytes()].concat()).is_ok());
        for bad in [
            header("a", "-1"),
            header("a", "+1"),
            header("a", ""),
            header("a", "0x1"),
            header("", 0),
            header("//", 0),
            header("#1/20", 0),
            header("a b", 0),
            header("\u{7f}", 0),
            good.replace("100644", "100684"),
            good.replace("170", "17a"),
            good.replace('`', "'"),
        ] {
            let bytes = [MAGIC, bad.as_bytes()].concat();
            assert!(matches!(read_all(&bytes), Err(Error::Header { .. })), "{bad}");
        }
        assert!(matches!(read_all(b"!<thin>\n"), Err(Error::Magic)));
        let mut unpadded = archive(&[("a", "b"), ("c", "")]);
        unpadded[MAGIC.len() + HEADER + 1] = 0;
        assert!(matches!(read_all(&unpadded), Err(Error::Header { .. })));
    }

    proptest! {
        #[test]
        fn reading_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..300), at in 0..200usize, with in any::<u8>()) {
            let _ = read_all(&bytes);
            let mut bytes = archive(&[("a", "abc"), ("b", "de")]);
            if let Some(byte) = bytes.get_mut(at) {
                *byte = with;
            }
            if let Err(error) = read_all(&bytes) {
                prop_assert!(!error.to_string().is_empty());
            }
        }
    }
}
