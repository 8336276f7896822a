//! Programs and libraries for x86-64 Linux: where their code is, how its functions are called, what they ask of a CPU.
//!
//! ELF as in the System V ABI, "Object files", its AMD64 supplement, and gABI's GNU property notes. Only 64-bit, little-endian
//! files for x86-64 are read; all else is none of ours. What is damaged is left out where the rest can be read without it: a
//! file that runs may well have a strange section table.

pub mod barrier;
mod go;
pub mod sections;

use object::{
    LittleEndian as LE, SectionIndex, elf,
    read::elf::{FileHeader, ProgramHeader, SectionHeader, SectionTable, Sym},
};

pub use go::Go;

type Header = elf::FileHeader64<LE>;

/// A program, a library, or a kernel.
#[derive(Debug, Clone)]
pub struct Elf<'d> {
    /// Whether it is an executable with fixed addresses (`ET_EXEC`), as a kernel's `vmlinux` is.
    pub fixed: bool,
    /// The program that loads it (`PT_INTERP`), if it needs one.
    pub interpreter: Option<&'d [u8]>,
    /// Whether it has a dynamic section.
    pub dynamic: bool,
    /// The level of x86-64 that it cannot do without, from `GNU_PROPERTY_X86_ISA_1_NEEDED`: 1 is the baseline, 2 to 4 are
    /// x86-64-v2 to v4; 0 if it does not say.
    pub level: u8,
    /// Its code, by address.
    pub code: Vec<Code<'d>>,
    /// Where functions start, by address; each once.
    pub functions: Vec<Function<'d>>,
    /// Names that it takes from other libraries.
    pub imports: Vec<&'d [u8]>,
    /// Whether it has functions that the loader chooses when it starts (`STT_GNU_IFUNC`).
    pub chooses: bool,
    /// What made it, if that was Go.
    pub go: Option<Go<'d>>,
}

/// One executable section, or segment where there are no sections.
#[derive(Debug, Clone, Copy)]
pub struct Code<'d> {
    /// Where it is in memory.
    pub address: u64,
    /// Where it is in the file.
    pub offset: u64,
    /// The instructions.
    pub bytes: &'d [u8],
}

/// A function that is known by name, or by its record for unwinding alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Function<'d> {
    /// Its first instruction.
    pub address: u64,
    /// Its name; empty if there is none.
    pub name: &'d [u8],
}

/// Why a file that starts like ELF could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a damaged ELF file: {0}")]
pub struct BadElf(String);

impl From<object::read::Error> for BadElf {
    fn from(error: object::read::Error) -> Self {
        Self(error.to_string())
    }
}

/// The first bytes of every ELF file.
pub const MAGIC: &[u8] = b"\x7fELF";

impl<'d> Elf<'d> {
    /// Reads a file; nothing if it is no ELF file for x86-64, or one that is not to be run (an object file, a core).
    pub fn parse(data: &'d [u8]) -> Result<Option<Self>, BadElf> {
        let ours = data.starts_with(MAGIC) && data.get(4..6) == Some(&[2, 1]);
        if !ours {
            return Ok(None);
        }
        let header = Header::parse(data)?;
        let kind = header.e_type(LE);
        if header.e_machine(LE) != elf::EM_X86_64 || ![elf::ET_EXEC, elf::ET_DYN].contains(&kind) {
            return Ok(None);
        }
        let segments = header.program_headers(LE, data)?;
        let sections = header.sections(LE, data).unwrap_or_default();
        let mut elf = Self {
            fixed: kind == elf::ET_EXEC,
            interpreter: None,
            dynamic: false,
            level: 0,
            code: code(data, segments, &sections),
            functions: Vec::new(),
            imports: Vec::new(),
            chooses: false,
            go: None,
        };
        for segment in segments {
            elf.dynamic |= segment.p_type(LE) == elf::PT_DYNAMIC;
            let interpreter = segment.interpreter(LE, data).ok().flatten();
            elf.interpreter = elf.interpreter.or(interpreter);
            elf.level = elf.level.max(level(data, segment));
        }
        let memory = Memory { data, segments };
        elf.symbols(data, &sections);
        elf.unwound(&memory);
        elf.go = Go::read(data, &sections, &memory);
        if let Some(go) = &elf.go {
            elf.functions.extend(go.functions.iter().copied());
        }
        elf.settle();
        Ok(Some(elf))
    }

    /// The function that an address is in: the last one that starts at it or before it.
    pub fn function(&self, address: u64) -> Option<&Function<'d>> {
        let after = self.functions.partition_point(|function| function.address <= address);
        self.functions.get(after.checked_sub(1)?)
    }

    /// The function with this name.
    pub fn named(&self, name: &[u8]) -> Option<&Function<'d>> {
        self.functions.iter().find(|function| function.name == name)
    }

    fn symbols(&mut self, data: &'d [u8], sections: &SectionTable<'d, Header>) {
        for kind in [elf::SHT_SYMTAB, elf::SHT_DYNSYM] {
            let Ok(table) = sections.symbols(LE, data, kind) else { continue };
            for symbol in table.iter() {
                let Ok(name) = symbol.name(LE, table.strings()) else { continue };
                let function = [elf::STT_FUNC, elf::STT_GNU_IFUNC].contains(&symbol.st_type());
                self.chooses |= symbol.st_type() == elf::STT_GNU_IFUNC;
                if symbol.is_undefined(LE) {
                    if kind == elf::SHT_DYNSYM && !name.is_empty() {
                        self.imports.push(name);
                    }
                } else if function || self.fixed && symbol.st_type() == elf::STT_NOTYPE {
                    self.functions.push(Function { address: symbol.st_value(LE), name });
                }
            }
        }
    }

    /// Starts of functions from the table that is searched for unwinding (`.eh_frame_hdr`, LSB "Exception Frames"): gcc and
    /// clang write it for every function, and strip leaves it.
    fn unwound(&mut self, memory: &Memory<'d>) {
        // Version 1; a pointer that is skipped; a count of four bytes; entries of two signed words, relative to the table.
        const WRITTEN: [u8; 4] = [1, 0x1b, 0x03, 0x3b];
        let header = memory.segments.iter().find(|it| it.p_type(LE) == elf::PT_GNU_EH_FRAME);
        let Some((start, table)) =
            header.and_then(|it| Some((it.p_vaddr(LE), it.data(LE, memory.data).ok()?)))
        else {
            return;
        };
        if table.get(..4) != Some(&WRITTEN) {
            return;
        }
        let count = word(table, 8).unwrap_or(0) as usize;
        let entries = table.get(12..).unwrap_or_default().chunks_exact(8).take(count);
        self.functions.extend(entries.filter_map(|entry| {
            let relative = i64::from(word(entry, 0)?.cast_signed());
            Some(Function { address: start.checked_add_signed(relative)?, name: b"" })
        }));
    }

    /// Only what is in the code counts, each address once, by its first name.
    fn settle(&mut self) {
        let code = &self.code;
        let inside = |address: u64| code.iter().any(|it| it.contains(address));
        self.functions.retain(|function| inside(function.address));
        // A name comes before none.
        self.functions.sort_by_key(|it| (it.address, it.name.is_empty(), it.name));
        self.functions.dedup_by_key(|function| function.address);
        self.imports.sort_unstable();
        self.imports.dedup();
    }
}

impl Code<'_> {
    /// Whether an address is in it.
    pub fn contains(&self, address: u64) -> bool {
        address.checked_sub(self.address).is_some_and(|at| at < self.bytes.len() as u64)
    }
}

/// A file's bytes by the addresses that they are loaded to.
struct Memory<'d> {
    data: &'d [u8],
    segments: &'d [elf::ProgramHeader64<LE>],
}

impl<'d> Memory<'d> {
    /// The bytes from an address to the end of the segment that it is in.
    fn from(&self, address: u64) -> Option<&'d [u8]> {
        self.segments.iter().filter(|it| it.p_type(LE) == elf::PT_LOAD).find_map(|segment| {
            let at = address.checked_sub(segment.p_vaddr(LE))?;
            segment.data(LE, self.data).ok()?.get(usize::try_from(at).ok()?..)
        })
    }
}

fn code<'d>(
    data: &'d [u8],
    segments: &'d [elf::ProgramHeader64<LE>],
    sections: &SectionTable<'d, Header>,
) -> Vec<Code<'d>> {
    let executable = |section: &&elf::SectionHeader64<LE>| {
        section.sh_flags(LE).contains(elf::SHF_EXECINSTR) && section.sh_size(LE) > 0
    };
    let mut code: Vec<Code<'_>> = sections
        .iter()
        .filter(executable)
        .filter_map(|section| {
            let (offset, _) = section.file_range(LE)?;
            let bytes = section.data(LE, data).ok()?;
            Some(Code { address: section.sh_addr(LE), offset, bytes })
        })
        .collect();
    if code.is_empty() {
        let loaded = segments.iter().filter(|segment| {
            segment.p_type(LE) == elf::PT_LOAD && segment.p_flags(LE).contains(elf::PF_X)
        });
        code.extend(loaded.filter_map(|segment| {
            let bytes = segment.data(LE, data).ok()?;
            Some(Code { address: segment.p_vaddr(LE), offset: segment.p_offset(LE), bytes })
        }));
    }
    code.sort_by_key(|it| it.address);
    code
}

/// The level that a segment with GNU properties asks for.
fn level(data: &[u8], segment: &elf::ProgramHeader64<LE>) -> u8 {
    let Ok(Some(mut notes)) = segment.notes(LE, data) else { return 0 };
    let mut level = 0;
    while let Ok(Some(note)) = notes.next() {
        let Some(mut properties) = note.gnu_properties(LE) else { continue };
        while let Ok(Some(property)) = properties.next() {
            if property.pr_type() != elf::GNU_PROPERTY_X86_ISA_1_NEEDED {
                continue;
            }
            // One bit a level, the baseline first.
            let needed = property.data_u32(LE).unwrap_or(0) & 0xf;
            level = level.max(u8::try_from(32 - needed.leading_zeros()).unwrap_or(0));
        }
    }
    level
}

/// A section by name.
fn section<'d>(
    data: &'d [u8],
    sections: &SectionTable<'d, Header>,
    name: &[u8],
) -> Option<(SectionIndex, u64, &'d [u8])> {
    let (index, section) = sections.section_by_name(LE, name)?;
    Some((index, section.sh_addr(LE), section.data(LE, data).ok()?))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes(bytes.try_into().ok()?))
}

fn long(bytes: &[u8], at: usize) -> Option<u64> {
    let bytes = bytes.get(at..at.checked_add(8)?)?;
    Some(u64::from_le_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
pub(crate) mod tests;
