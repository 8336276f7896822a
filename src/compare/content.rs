//! The bytes of one file on both sides: as text, as sections of a program, or as bytes.

use std::{collections::BTreeMap, io, ops::Range};

use super::{
    bytes,
    report::{BytesDiff, Change, ContentDiff, SectionDiff},
    text::{self, LINES_MAX, TEXT_MAX},
    volume::Volume,
};
use crate::{
    formats::elf::{
        MAGIC,
        sections::{Section, sections},
    },
    path::GuestPath,
    store::Store,
    tree::Content,
};

/// The most bytes of text diffs in one report.
const TEXTS_MAX: usize = 64 << 20;
/// The most sections of one file that are compared.
const SECTIONS_MAX: usize = 4096;
/// The section with the build id, and the bytes of a note before it.
const BUILD_ID: &[u8] = b".note.gnu.build-id";
const NOTE_HEAD: usize = 16;

/// A regular file of a volume.
#[derive(Clone, Copy)]
pub(super) struct File<'f> {
    pub(super) volume: &'f Volume,
    pub(super) path: &'f GuestPath,
    pub(super) content: &'f Content,
}

impl File<'_> {
    fn range(&self, store: &Store, range: Range<u64>) -> io::Result<Vec<u8>> {
        self.volume.bytes(store, self.path, self.content, range)
    }

    fn sections(&self, store: &Store) -> io::Result<Option<Vec<Section>>> {
        sections(self.content.size, &mut |range| self.range(store, range))
    }
}

/// Compares contents, with an eye on how much a report may hold.
pub(super) struct Comparer<'c> {
    pub(super) store: &'c Store,
    texts: usize,
}

impl<'c> Comparer<'c> {
    pub(super) fn new(store: &'c Store) -> Self {
        Self { store, texts: 0 }
    }

    /// How two files differ that are not the same.
    pub(super) fn compare(&mut self, a: File<'_>, b: File<'_>) -> io::Result<ContentDiff> {
        const HEAD: u64 = 512;
        let heads = [a.range(self.store, 0..HEAD)?, b.range(self.store, 0..HEAD)?];
        if heads.iter().all(|head| head.starts_with(MAGIC))
            && let Some(found) = self.elf(a, b)?
        {
            return Ok(found);
        }
        let mut limit = None;
        if heads.iter().all(|head| looks_like_text(head)) {
            match self.text(a, b)? {
                Ok(Some(found)) => return Ok(found),
                Ok(None) => (),
                Err(why) => limit = Some(why),
            }
        }
        let format = bytes::format(&heads[1]).or_else(|| bytes::format(&heads[0]));
        Ok(ContentDiff::Bytes(BytesDiff { format, limit, ..self.stretches(a, 0, b, 0, u64::MAX)? }))
    }

    /// By lines; nothing if it is no text, or the limit that is in the way.
    fn text(
        &mut self,
        a: File<'_>,
        b: File<'_>,
    ) -> io::Result<Result<Option<ContentDiff>, String>> {
        if a.content.size.max(b.content.size) > TEXT_MAX {
            return Ok(Err(format!("texts are compared by lines up to {TEXT_MAX} bytes")));
        }
        let all = [a.range(self.store, 0..TEXT_MAX)?, b.range(self.store, 0..TEXT_MAX)?];
        let (Some(before), Some(after)) = (text::readable(&all[0]), text::readable(&all[1])) else {
            return Ok(Ok(None));
        };
        if self.texts > TEXTS_MAX {
            return Ok(Err(format!("a report holds {TEXTS_MAX} bytes of text at most")));
        }
        let Some(found) = text::compare(before, after) else {
            return Ok(Err(format!("texts are compared by lines up to {LINES_MAX} lines")));
        };
        if let ContentDiff::Text { unified, .. } = &found {
            self.texts += unified.len();
        }
        Ok(Ok(Some(found)))
    }

    /// Two stretches of two files, at most `length` bytes.
    fn stretches(
        &self,
        a: File<'_>,
        from_a: u64,
        b: File<'_>,
        from_b: u64,
        length: u64,
    ) -> io::Result<BytesDiff> {
        let mut found = BytesDiff::default();
        a.volume.read(self.store, a.path, a.content, from_a, &mut |one| {
            b.volume.read(self.store, b.path, b.content, from_b, &mut |other| {
                found = bytes::compare(
                    &mut io::Read::take(&mut *one, length),
                    &mut io::Read::take(other, length),
                )?;
                Ok(())
            })
        })?;
        Ok(found)
    }

    fn elf(&self, a: File<'_>, b: File<'_>) -> io::Result<Option<ContentDiff>> {
        let (Some(before), Some(after)) = (a.sections(self.store)?, b.sections(self.store)?) else {
            return Ok(None);
        };
        if before.len().max(after.len()) > SECTIONS_MAX {
            return Ok(None);
        }
        // Sections do not overlap; where they do, they could be made to be read over and over.
        let inside = |all: &[Section]| {
            let lengths = all.iter().map(|it| it.in_file()).map(|range| range.end - range.start);
            lengths.fold(0, u64::saturating_add)
        };
        if inside(&before) > a.content.size || inside(&after) > b.content.size {
            return Ok(None);
        }
        // Of several sections of one name the first meets the first, and so on.
        let mut waiting: BTreeMap<&[u8], Vec<&Section>> = BTreeMap::new();
        after.iter().rev().for_each(|it| waiting.entry(&it.name).or_default().push(it));
        let mut found = Vec::new();
        let mut build_id = None;
        for old in &before {
            let new = waiting.get_mut(old.name.as_slice()).and_then(Vec::pop);
            if let (BUILD_ID, Some(new)) = (old.name.as_slice(), new) {
                build_id = self.build_id(a, old, b, new)?;
            }
            found.extend(self.section(a, old, b, new)?);
        }
        let added = after.iter().filter(|new| {
            waiting.get(new.name.as_slice()).is_some_and(|left| left.iter().any(|it| *it == *new))
        });
        found.extend(added.map(|new| SectionDiff {
            name: new.name.escape_ascii().to_string(),
            size: [None, Some(new.size)],
            count: 0,
            first: None,
            fields: Vec::new(),
        }));
        let bytes = BytesDiff { format: Some("ELF"), ..self.stretches(a, 0, b, 0, u64::MAX)? };
        Ok(Some(ContentDiff::Elf { sections: found, build_id, bytes }))
    }

    fn section(
        &self,
        a: File<'_>,
        old: &Section,
        b: File<'_>,
        new: Option<&Section>,
    ) -> io::Result<Option<SectionDiff>> {
        let name = old.name.escape_ascii().to_string();
        let Some(new) = new else {
            let size = [Some(old.size), None];
            return Ok(Some(SectionDiff { name, size, count: 0, first: None, fields: Vec::new() }));
        };
        let (one, other) = (old.in_file(), new.in_file());
        let length = (one.end - one.start).min(other.end - other.start);
        let bytes = match length {
            0 => BytesDiff::default(),
            _ => self.stretches(a, one.start, b, other.start, length)?,
        };
        let mut fields = Vec::new();
        for (what, before, after) in [
            ("address", old.address, new.address),
            ("kind", u64::from(old.kind), u64::from(new.kind)),
            ("flags", old.flags, new.flags),
        ] {
            if before != after {
                fields.push(Change::new(what, format!("{before:#x}"), format!("{after:#x}")));
            }
        }
        let same = bytes.is_same() && old.size == new.size && fields.is_empty();
        let size = [Some(old.size), Some(new.size)];
        let BytesDiff { count, first, .. } = bytes;
        Ok((!same).then_some(SectionDiff { name, size, count, first, fields }))
    }

    fn build_id(
        &self,
        a: File<'_>,
        old: &Section,
        b: File<'_>,
        new: &Section,
    ) -> io::Result<Option<Change>> {
        const MOST: u64 = 128;
        let read = |file: File<'_>, section: &Section| {
            let Range { start, end } = section.in_file();
            let note = file.range(self.store, start..end.min(start.saturating_add(MOST)))?;
            Ok::<_, io::Error>(bytes::hex(note.get(NOTE_HEAD..).unwrap_or_default()))
        };
        let (before, after) = (read(a, old)?, read(b, new)?);
        Ok((before != after).then(|| Change::new("build id", before, after)))
    }
}

/// Whether the first bytes of a file could be those of a text; a character may be cut at the end.
fn looks_like_text(head: &[u8]) -> bool {
    let whole = match std::str::from_utf8(head) {
        Err(error) if error.error_len().is_none() => &head[..error.valid_up_to()],
        Ok(_) | Err(_) => head,
    };
    text::readable(whole).is_some()
}
