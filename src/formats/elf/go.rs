//! What a Go program says of itself: its compiler, and its functions by name, stripped or not.
//!
//! Formats: `debug/buildinfo` (Go 1.18 and before), and `.gopclntab` as `debug/gosym` reads it: versions 1.16, 1.18 and 1.20.

use object::{
    LittleEndian as LE, elf,
    read::elf::{Rela, SectionHeader, SectionTable},
};

use super::{Function, Header, Memory, long, section, word};

/// A program that Go made.
#[derive(Debug, Clone)]
pub struct Go<'d> {
    /// The compiler's version, such as `go1.19.8`; empty if the program does not say.
    pub version: String,
    /// All functions, in the order of their addresses.
    pub functions: Vec<Function<'d>>,
}

/// The first four bytes of a `.gopclntab`, by the version of Go that brought them.
const SINCE_1_16: u32 = 0xffff_fffa;
const SINCE_1_18: u32 = 0xffff_fff0;
const SINCE_1_20: u32 = 0xffff_fff1;
/// More functions than any program has: a damaged count is not believed.
const MOST: u64 = 10_000_000;

impl<'d> Go<'d> {
    /// Reads what there is; nothing if the file is none of Go's.
    pub(super) fn read(
        data: &'d [u8],
        sections: &SectionTable<'d, Header>,
        memory: &Memory<'d>,
    ) -> Option<Self> {
        let info = section(data, sections, b".go.buildinfo");
        let lines = section(data, sections, b".gopclntab")
            .or_else(|| section(data, sections, b".data.rel.ro.gopclntab"));
        if info.is_none() && lines.is_none() {
            return None;
        }
        let version = info.and_then(|(_, _, info)| version(info, memory)).unwrap_or_default();
        let start = |table: (u64, &[u8])| text_start(data, sections, table);
        let functions =
            lines.and_then(|(_, address, table)| functions(table, start((address, table))));
        Some(Self { version, functions: functions.unwrap_or_default() })
    }
}

/// The compiler's version from `.go.buildinfo`.
fn version(info: &[u8], memory: &Memory<'_>) -> Option<String> {
    const INLINE: u8 = 2;
    if !info.starts_with(b"\xff Go buildinf:") {
        return None;
    }
    let text = if info.get(15)? & INLINE != 0 {
        let (length, text) = varint(info.get(32..)?)?;
        text.get(..length)?
    } else {
        let string = memory.from(long(info, 16)?)?;
        let length = usize::try_from(long(string, 8)?).ok()?;
        memory.from(long(string, 0)?)?.get(..length)?
    };
    let text = str::from_utf8(text).ok()?;
    Some(text.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').take(80).collect())
}

/// A length below 2^28, seven bits a byte, the lowest first; and what follows it.
fn varint(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0;
    for (place, byte) in bytes.iter().enumerate().take(4) {
        value |= usize::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Some((value, &bytes[place + 1..]));
        }
    }
    None
}

/// Where Go's own code starts: as the table says, as its relocation says in a program without fixed addresses, or at `.text`.
fn text_start(
    data: &[u8],
    sections: &SectionTable<'_, Header>,
    (address, table): (u64, &[u8]),
) -> u64 {
    const FIELD: u64 = 24;
    let told = long(table, FIELD as usize).unwrap_or(0);
    if told != 0 {
        return told;
    }
    let place = address.wrapping_add(FIELD);
    let relocated = sections.iter().filter_map(|it| it.rela(LE, data).ok().flatten()).find_map(
        |(entries, _)| {
            let entry = entries.iter().find(|entry| entry.r_offset(LE) == place)?;
            (entry.r_type(LE, false) == elf::R_X86_64_RELATIVE)
                .then(|| entry.r_addend(LE).cast_unsigned())
        },
    );
    relocated
        .or_else(|| section(data, sections, b".text").map(|(_, address, _)| address))
        .unwrap_or(0)
}

fn functions(table: &[u8], text: u64) -> Option<Vec<Function<'_>>> {
    let magic = word(table, 0)?;
    let at = |field: usize| usize::try_from(long(table, 8 + 8 * field)?).ok();
    let count = long(table, 8)?;
    if table.get(7) != Some(&8) || count > MOST {
        return None;
    }
    // Before 1.18 there is no start of the text in the header, and addresses are whole words.
    let (names, entries, wide) = match magic {
        SINCE_1_16 => (at(2)?, at(6)?, true),
        SINCE_1_18 | SINCE_1_20 => (at(3)?, at(7)?, false),
        _ => return None,
    };
    let names = table.get(names..)?;
    let entries = table.get(entries..)?;
    let size = if wide { 16 } else { 8 };
    let function = |index: usize| {
        let entry = index * size;
        let (address, record) = if wide {
            (long(entries, entry)?, usize::try_from(long(entries, entry + 8)?).ok()?)
        } else {
            let offset = u64::from(word(entries, entry)?);
            (text.checked_add(offset)?, word(entries, entry + 4)? as usize)
        };
        let name = word(entries, record.checked_add(if wide { 8 } else { 4 })?)?;
        let name = names.get(name as usize..)?.split(|byte| *byte == 0).next()?;
        Some(Function { address, name })
    };
    Some((0..usize::try_from(count).ok()?).map_while(function).collect())
}
