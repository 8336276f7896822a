//! The sections of any little-endian ELF file, 32 or 64 bits, for whatever machine: enough to say which of them differ.
//!
//! Only the header, the section table and the names are read, so that a file need not be in memory.

use std::{io, ops::Range};

use super::super::source::{le16, le32, le64};

/// The most bytes of a table of names that are read.
const NAMES_MAX: u64 = 4 << 20;
/// The most sections: the number in the header has 16 bits.
const SECTIONS_MAX: u64 = 0xffff;
/// A section that takes nothing of the file.
const NOBITS: u32 = 8;

/// One section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// Its name, such as `.text`.
    pub name: Vec<u8>,
    /// What it holds (`sh_type`).
    pub kind: u32,
    /// `sh_flags`.
    pub flags: u64,
    /// Where it is in memory.
    pub address: u64,
    /// Where it is in the file.
    pub offset: u64,
    /// How long it is in memory, and in the file if it is there.
    pub size: u64,
}

impl Section {
    /// What it takes of the file.
    pub fn in_file(&self) -> Range<u64> {
        let size = if self.kind == NOBITS { 0 } else { self.size };
        self.offset..self.offset.saturating_add(size)
    }
}

/// Reads the section table by means of `fetch`, which gives a range of the file; nothing if the file is none that is read here,
/// or has no table, or one that is damaged.
pub fn sections(
    size: u64,
    fetch: &mut dyn FnMut(Range<u64>) -> io::Result<Vec<u8>>,
) -> io::Result<Option<Vec<Section>>> {
    if size < 64 {
        return Ok(None);
    }
    let header = fetch(0..64)?;
    let wide = match header.get(..6) {
        Some([0x7f, b'E', b'L', b'F', 2, 1]) => true,
        Some([0x7f, b'E', b'L', b'F', 1, 1]) => false,
        _ => return Ok(None),
    };
    let (start, at) = match wide {
        true => (le64(&header, 0x28), 0x3a),
        false => (u64::from(le32(&header, 0x20)), 0x2e),
    };
    let entry = u64::from(le16(&header, at));
    let count = u64::from(le16(&header, at + 2));
    let names = usize::from(le16(&header, at + 4));
    let end = start.saturating_add(entry * count);
    if count == 0 || count > SECTIONS_MAX || entry != if wide { 64 } else { 40 } || end > size {
        return Ok(None);
    }
    let table = fetch(start..end)?;
    let mut found: Vec<(u32, Section)> =
        table.chunks_exact(entry as usize).map(|entry| section(entry, wide)).collect();
    let Some(range) = found.get(names).map(|(_, names)| names.in_file()) else { return Ok(None) };
    if range.end > size || range.end - range.start > NAMES_MAX {
        return Ok(None);
    }
    let names = fetch(range)?;
    for (at, section) in &mut found {
        let name = names.get(*at as usize..).unwrap_or_default();
        section.name = name.split(|byte| *byte == 0).next().unwrap_or_default().to_vec();
    }
    // The first is none: it is there so that 0 can mean nothing.
    let found: Vec<Section> = found.into_iter().skip(1).map(|(_, section)| section).collect();
    let inside = |it: &Section| it.kind == NOBITS || it.size == 0 || it.in_file().end <= size;
    Ok(found.iter().all(inside).then_some(found))
}

/// A section with the place of its name.
fn section(entry: &[u8], wide: bool) -> (u32, Section) {
    let word = |index: usize| match wide {
        true => le64(entry, 8 + 8 * index),
        false => u64::from(le32(entry, 8 + 4 * index)),
    };
    let section = Section {
        name: Vec::new(),
        kind: le32(entry, 4),
        flags: word(0),
        address: word(1),
        offset: word(2),
        size: word(3),
    };
    (le32(entry, 0), section)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A file with `.text` and the names.
    fn file() -> Vec<u8> {
        let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
        bytes.resize(64, 0);
        bytes[0x28] = 128;
        bytes[0x3a] = 64;
        bytes[0x3c] = 3;
        bytes[0x3e] = 2;
        bytes.extend(b"code\0.text\0.names\0");
        bytes.resize(128 + 3 * 64, 0);
        for (index, name, offset, size) in [(1, 1, 64, 4), (2, 7, 68, 14)] {
            let at = 128 + index * 64;
            bytes[at] = name;
            bytes[at + 4] = 1;
            bytes[at + 24] = offset;
            bytes[at + 32] = size;
        }
        bytes
    }

    fn read(bytes: &[u8]) -> io::Result<Option<Vec<Section>>> {
        sections(bytes.len() as u64, &mut |range| {
            let range = range.start as usize..range.end as usize;
            bytes.get(range).map(<[u8]>::to_vec).ok_or(io::ErrorKind::UnexpectedEof.into())
        })
    }

    #[test]
    fn sections_have_their_names_and_places() {
        let found = read(&file()).expect("memory does not fail").expect("an ELF file");
        let found: Vec<_> = found.iter().map(|it| (it.name.as_slice(), it.in_file())).collect();
        assert_eq!(found, [(&b".text"[..], 64..68), (b".names", 68..82)]);
        assert_eq!(read(&[0; 100]).expect("memory does not fail"), None);
    }

    #[test]
    fn a_file_whose_sections_are_not_all_in_it_is_damaged() {
        for far in [82 + 128 + 3 * 64, 1 << 63, u64::MAX] {
            let mut bytes = file();
            bytes[128 + 64 + 24..128 + 64 + 32].copy_from_slice(&u64::to_le_bytes(far));
            assert_eq!(read(&bytes).expect("memory does not fail"), None, "{far}");
            // What takes nothing of the file may be said to be anywhere.
            bytes[128 + 64 + 4] = NOBITS as u8;
            assert!(read(&bytes).expect("memory does not fail").is_some(), "{far}");
        }
    }

    proptest! {
        #[test]
        fn no_damage_asks_for_what_is_not_there(spots in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
            let mut bytes = file();
            for (spot, with) in spots {
                let at = spot.index(bytes.len());
                bytes[at] = with;
            }
            prop_assert!(read(&bytes).is_ok());
        }
    }
}
