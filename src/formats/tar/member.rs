use std::io::{self, BufRead, BufReader, Read};

use tar::{EntryType, Header};

use super::{
    Error,
    pax::{self, Bad, Extended},
};
use crate::{
    path::GuestPath,
    tree::{Content, Device, Meta, Time},
};

const BLOCK: usize = 512;
const BUFFER: usize = 128 << 10;
/// The longest extended header or long name, in bytes: room for 16 attributes of the largest size.
const EXTENSION_MAX: u64 = 1 << 20;
const XATTR_MAX: usize = 64 << 10;
const TARGET_MAX: usize = 4095;

/// The members of an archive one by one, each checked for itself but not against the others.
#[derive(Debug)]
pub struct Members<R> {
    reader: BufReader<R>,
    /// How many bytes of the archive have been read.
    offset: u64,
    /// How many bytes of the current member's content have not been read.
    left: u64,
    /// How many bytes follow it up to the next header.
    padding: u64,
    ended: bool,
    dialect: Dialect,
}

/// How freely an archive may be spelled.
///
/// Neither lets a name leave the tree, takes what two programs read differently, or believes a size that lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// As dpkg-deb, GNU tar and this project write: anything that is not known is refused.
    Strict,
    /// As the many makers of container layers write and containerd reads: absolute names are those below the root,
    /// extended headers that are not known mean nothing, bits in the mode that say what kind of file it is are not
    /// heard, empty numbers are 0, and an archive may end without its marker.
    Layer,
}

/// Where in an archive the content of a member lies, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Where it begins.
    pub offset: u64,
    /// How long it is.
    pub size: u64,
    /// Where the next header begins.
    pub next: u64,
}

/// A member of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its path in the tree.
    pub path: GuestPath,
    /// Owner, mode, time, extended attributes. A hard link has those of its file, not these.
    pub meta: Meta,
    /// What it is.
    pub body: Body,
}

impl Member {
    /// How many bytes of it stay in memory: its path, its target, its attributes.
    pub fn text(&self) -> u64 {
        let target = match &self.body {
            Body::Symlink(target) => target.len(),
            Body::HardLink(target) => target.as_bytes().len(),
            Body::Directory
            | Body::File { .. }
            | Body::CharDevice(_)
            | Body::BlockDevice(_)
            | Body::Fifo => 0,
        };
        let xattrs = &self.meta.xattrs;
        let xattrs: usize = xattrs.iter().map(|(name, value)| name.len() + value.len()).sum();
        (self.path.as_bytes().len() + target + xattrs) as u64
    }
}

/// The kinds of member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// A directory.
    Directory,
    /// A regular file; its content follows.
    File {
        /// Length in bytes.
        size: u64,
    },
    /// A symbolic link with its target.
    Symlink(Box<[u8]>),
    /// One more name of a file earlier in the archive.
    HardLink(GuestPath),
    /// A character device.
    CharDevice(Device),
    /// A block device.
    BlockDevice(Device),
    /// A named pipe.
    Fifo,
}

impl<R: Read> Members<R> {
    /// Nothing is read yet.
    pub fn new(archive: R, dialect: Dialect) -> Self {
        let reader = BufReader::with_capacity(BUFFER, archive);
        Self { reader, offset: 0, left: 0, padding: 0, ended: false, dialect }
    }

    /// Where in the archive the unread content of the current member begins, how long it is, and where the next
    /// header begins.
    pub fn place(&self) -> Place {
        let end = self.offset + self.left;
        Place { offset: self.offset, size: self.left, next: end + self.padding }
    }

    /// Goes on to the next member, past what was not read of the current one.
    ///
    /// At the end it is made sure that nothing follows the end marker but zeros, up to the end of the reader: what a
    /// decoder says about a checksum is heard, and nothing hides there.
    pub fn next_member(&mut self) -> Result<Option<Member>, Error> {
        let mut extended: Option<Extended> = None;
        let (mut long_name, mut long_link) = (None, None);
        loop {
            let offset = self.offset + self.left + self.padding;
            let fault = |what| Error::Header { offset, what };
            let Some(header) = self.next_header()? else {
                return match (extended, long_name, long_link) {
                    (None, None, None) => Ok(None),
                    _ => Err(fault("an extended header describes no member")),
                };
            };
            let twice = fault("two extended headers of one kind describe one member");
            match header.entry_type() {
                EntryType::XHeader => {
                    let read = pax::read(&self.extension(offset)?, self.dialect);
                    if extended.replace(read.map_err(|bad| refusal(&header, bad))?).is_some() {
                        return Err(twice);
                    }
                }
                EntryType::XGlobalHeader => {
                    let read = pax::check_global(&self.extension(offset)?);
                    read.map_err(|bad| refusal(&header, bad))?;
                }
                EntryType::GNULongName => {
                    if long_name.replace(self.long_name(offset)?).is_some() {
                        return Err(twice);
                    }
                }
                EntryType::GNULongLink => {
                    if long_link.replace(self.long_name(offset)?).is_some() {
                        return Err(twice);
                    }
                }
                kind => {
                    let mut extended = extended.unwrap_or_default();
                    let both = fault("a pax and a GNU header both give a name");
                    if long_name.is_some() && extended.path.is_some()
                        || long_link.is_some() && extended.link.is_some()
                    {
                        return Err(both);
                    }
                    extended.path = extended.path.or(long_name);
                    extended.link = extended.link.or(long_link);
                    return self.member(&header, kind, extended).map(Some);
                }
            }
        }
    }

    /// Hands the content of the current member to `take` and checks that all of it was taken.
    pub fn take_content(
        &mut self,
        path: &GuestPath,
        take: &mut dyn FnMut(&GuestPath, &mut dyn Read) -> io::Result<Content>,
    ) -> Result<Content, Error> {
        let size = self.left;
        let content =
            take(path, self).map_err(|source| Error::Content { path: path.clone(), source })?;
        if self.left > 0 || content.size != size {
            return Err(Error::member(path, "not all of its content was taken in"));
        }
        Ok(content)
    }

    /// The next header that is not all zeros; none at the end of the archive.
    fn next_header(&mut self) -> Result<Option<Header>, Error> {
        if self.ended {
            return Ok(None);
        }
        self.skip()?;
        let offset = self.offset;
        let mut header = Header::new_old();
        if self.dialect == Dialect::Layer && self.at_end()? {
            self.ended = true;
            return Ok(None);
        }
        self.fill(header.as_mut_bytes())?;
        let bytes = header.as_bytes();
        if bytes.iter().all(|&byte| byte == 0) {
            self.ended = true;
            self.only_zeros_follow()?;
            return Ok(None);
        }
        let fault = |what| Error::Header { offset, what };
        // POSIX: the sum of all bytes, those of the checksum itself as blanks.
        let sum: u32 = bytes.iter().map(|&byte| u32::from(byte)).sum();
        let field = &bytes[148..156];
        let own: u32 = field.iter().map(|&byte| u32::from(byte)).sum();
        let stated = octal(field).map_err(|_| fault("its checksum is no number"))?;
        if i64::from(sum - own + 8 * u32::from(b' ')) != stated {
            return Err(fault("its checksum is wrong"));
        }
        let size = number(&header.as_old().size).map_err(|_| fault("its size is no number"))?;
        self.set_size(u64::try_from(size).map_err(|_| fault("its size is negative"))?)
            .ok_or_else(|| fault("its size is absurd"))?;
        Ok(Some(header))
    }

    fn set_size(&mut self, size: u64) -> Option<()> {
        // No archive is so long; and so no sum of offsets can overflow.
        if size > 1 << 60 {
            return None;
        }
        self.left = size;
        self.padding = size.next_multiple_of(BLOCK as u64) - size;
        Some(())
    }

    fn member(
        &mut self,
        header: &Header,
        kind: EntryType,
        extended: Extended,
    ) -> Result<Member, Error> {
        let name = match &extended.path {
            Some(path) => path.clone(),
            None => header.path_bytes().into_owned(),
        };
        let fault = |what| Error::Member { name: name.clone(), what };
        if let Some(size) = extended.size {
            // The plain field has room for 8 GiB; only above may it be left empty.
            let fits = size < 1 << 33;
            if self.left != size && (fits || self.left != 0) {
                return Err(fault("its two headers give different sizes"));
            }
            self.set_size(size).ok_or_else(|| fault("its size is absurd"))?;
        }
        let dialect = self.dialect;
        let path = canonical(&name, kind == EntryType::Directory, dialect).map_err(fault)?;
        let link = match &extended.link {
            Some(link) => link.clone(),
            None => header.link_name_bytes().unwrap_or_default().into_owned(),
        };
        let body = body(header, kind, &link, self.left, dialect).map_err(fault)?;
        if self.left > 0 && !matches!(body, Body::File { .. }) {
            return Err(fault("it has content, but is no regular file"));
        }
        if path.is_root() && body != Body::Directory {
            return Err(fault("the root can only be a directory"));
        }
        let meta = meta(header, extended, &body, dialect).map_err(fault)?;
        Ok(Member { path, meta, body })
    }

    fn extension(&mut self, offset: u64) -> Result<Vec<u8>, Error> {
        if self.left > EXTENSION_MAX {
            let what = "an extended header is longer than 1 MiB";
            return Err(Error::Header { offset, what });
        }
        let mut bytes = vec![0; usize::try_from(self.left).unwrap_or_default()];
        self.fill(&mut bytes)?;
        self.left = 0;
        Ok(bytes)
    }

    /// GNU ends a long name with NUL.
    fn long_name(&mut self, offset: u64) -> Result<Vec<u8>, Error> {
        let mut name = self.extension(offset)?;
        match name.pop() {
            Some(0) if !name.is_empty() => Ok(name),
            _ => Err(Error::Header { offset, what: "a long name does not end with NUL" }),
        }
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
        let offset = self.offset;
        self.reader.read_exact(bytes).map_err(|source| failure(offset, source))?;
        self.offset += bytes.len() as u64;
        Ok(())
    }

    fn at_end(&mut self) -> Result<bool, Error> {
        let came = self.reader.fill_buf().map_err(|source| failure(self.offset, source))?;
        Ok(came.is_empty())
    }

    fn skip(&mut self) -> Result<(), Error> {
        let mut left = self.left + self.padding;
        while left > 0 {
            let came = self.reader.fill_buf().map_err(|source| failure(self.offset, source))?.len();
            if came == 0 {
                return Err(Error::Truncated { offset: self.offset });
            }
            let count = usize::try_from(left).unwrap_or(usize::MAX).min(came);
            self.reader.consume(count);
            self.offset += count as u64;
            left -= count as u64;
        }
        (self.left, self.padding) = (0, 0);
        Ok(())
    }

    fn only_zeros_follow(&mut self) -> Result<(), Error> {
        loop {
            let bytes = self.reader.fill_buf().map_err(|source| failure(self.offset, source))?;
            if bytes.iter().any(|&byte| byte != 0) {
                let what = "something follows the end of the archive";
                return Err(Error::Header { offset: self.offset, what });
            }
            match bytes.len() {
                0 => return Ok(()),
                count => {
                    self.reader.consume(count);
                    self.offset += count as u64;
                }
            }
        }
    }
}

impl<R: Read> Read for Members<R> {
    /// The content of the current member; an early end of the archive is an error here too.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        if most == 0 {
            return Ok(0);
        }
        let count = self.reader.read(&mut buffer[..most])?;
        if count == 0 {
            let what = "the tar archive ends inside a member";
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, what));
        }
        self.left -= count as u64;
        self.offset += count as u64;
        Ok(count)
    }
}

/// An early end of what is read may have its reason in the reader itself; then it has words, and they are kept.
fn failure(offset: u64, source: io::Error) -> Error {
    match source.kind() {
        io::ErrorKind::UnexpectedEof if source.get_ref().is_none() => Error::Truncated { offset },
        _ => Error::Read { offset, source },
    }
}

fn refusal(header: &Header, bad: Bad) -> Error {
    let name = header.path_bytes().into_owned();
    match bad {
        Bad::Record(what) => Error::Member { name, what },
        Bad::UnknownKey(key) => Error::UnknownHeader { name, key },
    }
}

/// The strict spelling of a name has `./` before it or not; names of directories may end with a slash.
fn canonical(name: &[u8], directory: bool, dialect: Dialect) -> Result<GuestPath, &'static str> {
    let path = match name {
        b"" => return Err("it has no name"),
        b"." | b"./" => b"",
        _ => name.strip_prefix(b"./").unwrap_or(name),
    };
    let path = if directory { path.strip_suffix(b"/").unwrap_or(path) } else { path };
    let read = match dialect {
        Dialect::Strict if name.starts_with(b"/") => return Err("its name is absolute"),
        Dialect::Strict => GuestPath::new(path),
        Dialect::Layer if path.ends_with(b"/") && !directory => {
            return Err("it is no directory, but its name ends with a slash");
        }
        Dialect::Layer => GuestPath::lenient(path),
    };
    read.map_err(|bad| match path.split(|&byte| byte == b'/').any(|n| n == b"..") {
        true => "its name leads out of the tree with `..`",
        false => bad.reason,
    })
}

fn body(
    header: &Header,
    kind: EntryType,
    link: &[u8],
    size: u64,
    dialect: Dialect,
) -> Result<Body, &'static str> {
    match kind {
        EntryType::Regular | EntryType::Continuous => Ok(Body::File { size }),
        EntryType::Directory => Ok(Body::Directory),
        EntryType::Symlink if link.is_empty() => Err("it is a symbolic link without a target"),
        EntryType::Symlink if link.len() > TARGET_MAX || link.contains(&0) => {
            Err("its target is too long or contains NUL")
        }
        EntryType::Symlink => Ok(Body::Symlink(link.into())),
        EntryType::Link => canonical(link, false, dialect)
            .map(Body::HardLink)
            .map_err(|_| "it is a hard link to what is no path in the archive"),
        EntryType::Char => device(header).map(Body::CharDevice),
        EntryType::Block => device(header).map(Body::BlockDevice),
        EntryType::Fifo => Ok(Body::Fifo),
        EntryType::GNUSparse => Err("sparse members are not read"),
        _ => Err("its type is not known"),
    }
}

fn meta(
    header: &Header,
    extended: Extended,
    body: &Body,
    dialect: Dialect,
) -> Result<Meta, &'static str> {
    let old = header.as_old();
    let number = |field: &[u8]| match dialect {
        Dialect::Layer if field.iter().all(|byte| matches!(byte, 0 | b' ')) => Ok(0),
        Dialect::Layer | Dialect::Strict => number(field),
    };
    let owner = |field: &[u8], extended: Option<u64>| {
        let id = match extended {
            Some(id) => id,
            None => u64::try_from(number(field)?).map_err(|_| "its owner is negative")?,
        };
        // The last number is the kernel's "no change", and nobody's.
        let id = u32::try_from(id).ok().filter(|id| *id != u32::MAX);
        id.ok_or("its owner has a number that Linux does not know")
    };
    let mtime = match extended.mtime {
        Some(mtime) => mtime,
        None => Time::from_seconds(number(&old.mtime)?),
    };
    if extended.xattrs.values().any(|value| value.len() > XATTR_MAX) {
        return Err("an extended attribute is longer than 64 KiB");
    }
    Ok(Meta {
        mode: match dialect {
            Dialect::Strict => mode(octal(&old.mode)?, body)?,
            Dialect::Layer => (number(&old.mode)? & 0o7777) as u16,
        },
        uid: owner(&old.uid, extended.uid)?,
        gid: owner(&old.gid, extended.gid)?,
        mtime,
        xattrs: extended.xattrs,
    })
}

/// Permission bits. Some archivers add the kind of file; then it must be the right one.
fn mode(mode: i64, body: &Body) -> Result<u16, &'static str> {
    let kind = match body {
        Body::Directory => 0o040_000,
        Body::File { .. } | Body::HardLink(_) => 0o100_000,
        Body::Symlink(_) => 0o120_000,
        Body::CharDevice(_) => 0o020_000,
        Body::BlockDevice(_) => 0o060_000,
        Body::Fifo => 0o010_000,
    };
    match mode & !0o7777 {
        0 => u16::try_from(mode).map_err(|_| "its mode is negative"),
        bits if bits == kind => Ok((mode & 0o7777) as u16),
        _ => Err("its mode has more than permission bits"),
    }
}

fn device(header: &Header) -> Result<Device, &'static str> {
    let fields = match (header.as_ustar(), header.as_gnu()) {
        (Some(ustar), _) => (&ustar.dev_major, &ustar.dev_minor),
        (None, Some(gnu)) => (&gnu.dev_major, &gnu.dev_minor),
        (None, None) => return Err("it is a device without a number"),
    };
    let (major, minor) = (number(fields.0)?, number(fields.1)?);
    if !(0..1 << 12).contains(&major) || !(0..1 << 20).contains(&minor) {
        return Err("Linux has no such device number");
    }
    Ok(Device { major: major as u32, minor: minor as u32 })
}

/// A number in octal, or in GNU's and star's base 256: the top bit set, then big-endian in two's complement.
fn number(field: &[u8]) -> Result<i64, &'static str> {
    const BAD: &str = "a field of its header is no number";
    let (&first, rest) = field.split_first().ok_or(BAD)?;
    if first & 0x80 == 0 {
        return octal(field);
    }
    // The marker bit is the sign bit's place; bit 6 is the sign.
    let top = i64::from((first << 1).cast_signed() >> 1);
    rest.iter()
        .try_fold(top, |number, &byte| Some(number.checked_mul(256)? | i64::from(byte)))
        .ok_or("a number in its header is absurd")
}

/// Octal digits, blanks before them, blanks or NULs after them, nothing else.
fn octal(field: &[u8]) -> Result<i64, &'static str> {
    const BAD: &str = "a field of its header is no number";
    let start = field.iter().position(|&byte| byte != b' ').unwrap_or(field.len());
    let text = &field[start..];
    let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let (digits, padding) = text.split_at(end);
    if digits.is_empty() || !padding.iter().all(|byte| matches!(byte, 0 | b' ')) {
        return Err(BAD);
    }
    let digit = |byte: u8| char::from(byte).to_digit(8).map(i64::from);
    digits.iter().try_fold(0, |number, &byte| Some(number * 8 + digit(byte)?)).ok_or(BAD)
}
