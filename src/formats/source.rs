//! Bytes that can be read at any place: a disk, a part of one, or bytes in memory.

use std::io;

/// What a reader of disks reads from. Nothing is believed of it: a place that is not there is an error of kind `UnexpectedEof`.
pub trait Source {
    /// Length in bytes.
    fn size(&self) -> u64;

    /// Fills `into` with the bytes from `at` on, all of them or an error.
    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<()>;

    /// Where the next byte may be that is not zero, at `at` or after it; the end if there is none. A source that does not
    /// know of holes says `at`.
    fn data_from(&self, at: u64) -> io::Result<u64> {
        Ok(at.min(self.size()))
    }
}

impl Source for [u8] {
    fn size(&self) -> u64 {
        self.len() as u64
    }

    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<()> {
        let found = usize::try_from(at)
            .ok()
            .and_then(|start| self.get(start..start.checked_add(into.len())?))
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        into.copy_from_slice(found);
        Ok(())
    }
}

impl<S: Source + ?Sized> Source for &S {
    fn size(&self) -> u64 {
        (**self).size()
    }

    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<()> {
        (**self).read_at(at, into)
    }

    fn data_from(&self, at: u64) -> io::Result<u64> {
        (**self).data_from(at)
    }
}

/// A stretch of a source, such as a partition.
#[derive(Clone, Copy)]
pub struct Part<'s> {
    /// The whole.
    pub source: &'s dyn Source,
    /// Where the stretch begins in it, in bytes.
    pub start: u64,
    /// How long it is, in bytes.
    pub length: u64,
}

impl Source for Part<'_> {
    fn size(&self) -> u64 {
        self.length
    }

    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<()> {
        let end = at.checked_add(into.len() as u64).ok_or(io::ErrorKind::UnexpectedEof)?;
        if end > self.length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let start = self.start.checked_add(at).ok_or(io::ErrorKind::UnexpectedEof)?;
        self.source.read_at(start, into)
    }

    fn data_from(&self, at: u64) -> io::Result<u64> {
        let found = self.source.data_from(self.start.saturating_add(at))?;
        Ok(found.saturating_sub(self.start).min(self.length))
    }
}

/// A little-endian number of 16 bits; zero beyond the end, as a reader of structures of a checked length wants it.
pub(super) fn le16(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..at + 2).map_or(0, |found| u16::from_le_bytes([found[0], found[1]]))
}

/// A little-endian number of 32 bits, likewise.
pub(super) fn le32(bytes: &[u8], at: usize) -> u32 {
    u32::from(le16(bytes, at)) | u32::from(le16(bytes, at + 2)) << 16
}

/// A little-endian number of 64 bits, likewise.
pub(super) fn le64(bytes: &[u8], at: usize) -> u64 {
    u64::from(le32(bytes, at)) | u64::from(le32(bytes, at + 4)) << 32
}
