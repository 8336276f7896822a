//! What is in an image's programs and libraries: instructions that gem5 lacks, and those that it gets wrong.
//!
//! Every executable section is disassembled from its start to its end, and taken up again wherever a function is known to
//! start, so that tables between functions cost little. A table can still look like an instruction: one finding in a library
//! of a million instructions proves nothing, shares do.

use std::collections::BTreeMap;

use iced_x86::CpuidFeature as Cpu;
use iced_x86::{
    Code, Decoder, DecoderOptions, EncodingKind, Instruction, Mnemonic, OpKind, Register,
};

use super::{Count, Faults, Memory, Pattern};
use crate::formats::elf::{self, BadElf, Elf, Function};

/// A family of instructions that gem5's x86 CPU has not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub enum Family {
    /// AVX, AVX2, AVX-512, FMA, BMI and all else that is encoded with VEX, EVEX or XOP.
    #[serde(rename = "avx")]
    Avx,
    /// AES, PCLMULQDQ, SHA.
    #[serde(rename = "crypto")]
    Crypto,
    /// Those of SSE4.1 and SSE4.2 that do nothing in gem5: it says so in its log, and goes on.
    #[serde(rename = "sse4")]
    Sse4,
    /// LZCNT, which runs as BSR; MOVBE, ADX, RDRAND, RDSEED, TSX. TZCNT is not among them: compilers write it as a faster BSF,
    /// which is how gem5 runs it.
    #[serde(rename = "other")]
    Other,
    /// Those of SSSE3 that do nothing in gem5, though its CPUID offers SSSE3.
    #[serde(rename = "ssse3")]
    Ssse3,
}

impl Family {
    /// What a person calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Avx => "AVX or BMI",
            Self::Crypto => "AES, PCLMUL or SHA",
            Self::Sse4 => "SSE4",
            Self::Other => "LZCNT, MOVBE, ADX, RDRAND or TSX",
            Self::Ssse3 => "SSSE3",
        }
    }
}

/// What one instruction is to the scan.
#[derive(Debug, Clone, Copy, Default)]
struct Class {
    lacking: Option<Family>,
    /// Vector code of the baseline: SSE and SSE2 in their own encoding.
    legacy_vector: bool,
    asks: bool,
    /// Whether some fault has a pattern for its mnemonic.
    suspect: bool,
}

/// What to look for, compiled once.
#[derive(Debug)]
pub struct Scanner {
    /// By [`Code`].
    classes: Vec<Class>,
    /// By [`Mnemonic`]: places of faults in the table, and what the instruction must look like.
    patterns: Vec<Vec<(usize, Pattern)>>,
}

/// What was found in one file.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// Instructions read.
    pub instructions: u64,
    /// Where instructions of a family are.
    pub lacking: BTreeMap<Family, Places>,
    /// Where each fault of the table is, by its place in the table.
    pub faults: BTreeMap<usize, Places>,
    /// Functions with vector code in the baseline's encoding.
    pub legacy_functions: usize,
    /// Functions with VEX or EVEX code.
    pub vex_functions: usize,
    /// Of those, the ones whose names do not say that they are one of several variants.
    pub unnamed_vex_functions: usize,
    /// Whether it asks what the CPU can do, by CPUID or through its libraries, or has the loader choose.
    pub asks: bool,
    /// [`Elf::level`].
    pub level: u8,
    /// The version of the Go compiler that made it, if it was made by one.
    pub go: Option<String>,
    /// Whether it has Go's write barrier for r8 with the short form of xchg.
    pub go_barrier: bool,
    /// Whether it names a program that loads it.
    pub dynamic: bool,
}

/// Functions that have something, by address, with how often.
#[derive(Debug, Clone, Default)]
pub struct Places {
    /// How many instructions.
    pub count: u64,
    /// By address of the function: its name if it has one, and how many instructions are in it.
    pub functions: BTreeMap<u64, (String, u64)>,
}

impl Places {
    fn add(&mut self, function: Option<&Function<'_>>) {
        self.count += 1;
        let (address, name) = function.map_or((0, &b""[..]), |it| (it.address, it.name));
        let place = self.functions.entry(address);
        place.or_insert_with(|| (String::from_utf8_lossy(name).into_owned(), 0)).1 += 1;
    }

    /// The functions with a name that does not say that it is one of several variants, or with no name.
    pub fn unguarded(&self) -> usize {
        self.functions.values().filter(|(name, _)| !is_variant(name)).count()
    }
}

/// Words that libraries put into the names of functions that are chosen at run time.
const VARIANTS: &[&str] = &[
    "avx", "sse4", "sse42", "sse41", "ssse3", "evex", "fma", "bmi", "aesni", "vaes", "pclmul",
    "clmul", "shani", "sha_ni", "shaext", "sha1ni", "haswell", "skylake", "skx", "knl", "zen",
    "icelake", "icl", "x86_64_v", "popcnt", "adx", "rdrand", "rdseed", "erms", "rtm", "asimd",
    "westmere",
];

/// Whether a function's name says that it is one of several variants for different CPUs.
pub fn is_variant(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    VARIANTS.iter().any(|word| name.contains(word))
}

/// Functions of other libraries that say what the CPU can do.
const ASKED: &[&[u8]] = &[
    b"__cpu_model",
    b"__cpu_indicator_init",
    b"__cpu_features2",
    b"__get_cpu_features",
    b"__x86_get_cpuid_feature_leaf",
    b"__x86_get_cpu_features",
    b"getauxval",
    b"OPENSSL_ia32cap_P",
    b"_dl_x86_get_cpu_features",
    b"__builtin_cpu_supports",
    b"cpuid",
];

impl Scanner {
    /// Prepares to look for these faults, and for what gem5 lacks.
    pub fn new(faults: &Faults) -> Self {
        let all = || {
            let places = faults.faults.iter().enumerate();
            places.flat_map(|(place, fault)| fault.patterns.iter().map(move |it| (place, it)))
        };
        let of = |mnemonic: Mnemonic| -> Vec<(usize, Pattern)> {
            let name = format!("{mnemonic:?}");
            let named = all().filter(|(_, pattern)| pattern.mnemonics.contains(&name));
            named.map(|(place, pattern)| (place, pattern.clone())).collect()
        };
        let patterns: Vec<_> = Mnemonic::values().map(of).collect();
        let classes = Code::values()
            .map(|code| Class {
                lacking: lacking(code),
                legacy_vector: code.encoding() == EncodingKind::Legacy
                    && code.cpuid_features().iter().any(|it| [Cpu::SSE, Cpu::SSE2].contains(it)),
                asks: matches!(code.mnemonic(), Mnemonic::Cpuid | Mnemonic::Xgetbv),
                suspect: !patterns[code.mnemonic() as usize].is_empty(),
            })
            .collect();
        Self { classes, patterns }
    }

    /// Looks through one file; nothing if it is no program and no library for x86-64.
    pub fn scan(&self, bytes: &[u8]) -> Result<Option<Found>, BadElf> {
        let Some(elf) = Elf::parse(bytes)? else { return Ok(None) };
        let mut found = Found {
            asks: elf.chooses || elf.imports.iter().any(|name| ASKED.contains(name)),
            level: elf.level,
            go: elf.go.as_ref().map(|go| go.version.clone()),
            go_barrier: elf::barrier::find(&elf).is_some(),
            dynamic: elf.dynamic,
            ..Found::default()
        };
        for code in &elf.code {
            self.section(&elf, code, &mut found);
        }
        Ok(Some(found))
    }

    fn section(&self, elf: &Elf<'_>, code: &elf::Code<'_>, found: &mut Found) {
        let first = elf.functions.partition_point(|function| function.address < code.address);
        let mut starts = elf.functions[first..].iter().peekable();
        let mut decoder = Decoder::with_ip(64, code.bytes, code.address, DecoderOptions::NONE);
        let mut instruction = Instruction::default();
        let mut current = None;
        let (mut vex, mut legacy) = (false, false);
        loop {
            if let Some(function) = starts.next_if(|next| next.address <= decoder.ip()) {
                found.leave(current, vex, legacy);
                (vex, legacy, current) = (false, false, Some(function));
                // What stood before was no code, or it would have ended here.
                let at = function.address - code.address;
                if function.address < decoder.ip() && decoder.set_position(at as usize).is_ok() {
                    decoder.set_ip(function.address);
                }
            }
            if !decoder.can_decode() {
                break;
            }
            let position = decoder.position();
            decoder.decode_out(&mut instruction);
            found.instructions += 1;
            let class = self.classes[instruction.code() as usize];
            legacy |= class.legacy_vector;
            found.asks |= class.asks;
            if let Some(family) = class.lacking {
                vex |= family == Family::Avx;
                found.lacking.entry(family).or_default().add(current);
            }
            if class.suspect {
                let raw = &code.bytes[position..decoder.position()];
                for fault in self.faults(&instruction, raw) {
                    found.faults.entry(fault).or_default().add(current);
                }
            }
        }
        found.leave(current, vex, legacy);
    }

    /// The faults that an instruction has: their places in the table.
    fn faults(&self, instruction: &Instruction, raw: &[u8]) -> Vec<usize> {
        let patterns = &self.patterns[instruction.mnemonic() as usize];
        let fits = patterns.iter().filter(|(_, it)| fits(it, instruction, raw));
        let mut places: Vec<usize> = fits.map(|(place, _)| *place).collect();
        places.dedup();
        places
    }
}

impl Found {
    fn leave(&mut self, function: Option<&Function<'_>>, vex: bool, legacy: bool) {
        self.legacy_functions += usize::from(legacy);
        self.vex_functions += usize::from(vex);
        let named = function.is_some_and(|it| is_variant(&String::from_utf8_lossy(it.name)));
        self.unnamed_vex_functions += usize::from(vex && !named);
    }
}

/// The family that an instruction is of, if gem5 lacks it: by the decoder of gem5 24 (`src/arch/x86/isa/decoder`).
fn lacking(code: Code) -> Option<Family> {
    use Mnemonic as M;
    match code.encoding() {
        EncodingKind::Legacy => (),
        _ => return Some(Family::Avx),
    }
    let features = code.cpuid_features();
    let has = |some: &[Cpu]| features.iter().any(|it| some.contains(it));
    let mnemonic = code.mnemonic();
    if has(&[Cpu::AES, Cpu::PCLMULQDQ, Cpu::SHA]) {
        return Some(Family::Crypto);
    }
    if has(&[Cpu::LZCNT, Cpu::MOVBE, Cpu::ADX, Cpu::RDRAND, Cpu::RDSEED, Cpu::RTM]) {
        return Some(Family::Other);
    }
    let nothing = matches!(
        mnemonic,
        M::Ptest
            | M::Pcmpeqq
            | M::Movntdqa
            | M::Crc32
            | M::Roundps
            | M::Roundpd
            | M::Dpps
            | M::Dppd
            | M::Mpsadbw
            | M::Pcmpistrm
            | M::Pcmpistri
            | M::Pcmpestrm
            | M::Pcmpestri
    );
    if has(&[Cpu::SSE4_1, Cpu::SSE4_2]) && nothing {
        return Some(Family::Sse4);
    }
    if has(&[Cpu::SSSE3]) {
        let works = matches!(
            code,
            Code::Pshufb_xmm_xmmm128
                | Code::Pabsb_xmm_xmmm128
                | Code::Pabsw_xmm_xmmm128
                | Code::Pabsd_xmm_xmmm128
                | Code::Palignr_xmm_xmmm128_imm8
        );
        return (!works).then_some(Family::Ssse3);
    }
    None
}

/// Whether an instruction is as a pattern says.
fn fits(pattern: &Pattern, instruction: &Instruction, raw: &[u8]) -> bool {
    let kinds = || (0..instruction.op_count()).map(|place| instruction.op_kind(place));
    let in_memory = || kinds().any(|kind| kind == OpKind::Memory);
    let memory = match pattern.memory {
        None => true,
        Some(Memory::Rip) => instruction.is_ip_rel_memory_operand(),
        Some(Memory::Any) => in_memory(),
        Some(Memory::None) => !in_memory(),
    };
    let last = instruction.op_count().saturating_sub(1);
    let counts = match pattern.counts {
        None => true,
        Some(Count::Cl) => {
            instruction.op_kind(last) == OpKind::Register
                && instruction.op_register(last) == Register::CL
        }
        Some(Count::Immediate) => instruction.op_kind(last) == OpKind::Immediate8,
    };
    memory
        && counts
        && (pattern.widths.is_empty() || pattern.widths.contains(&width(instruction)))
        && (pattern.opcodes.is_empty() || pattern.opcodes.iter().any(|it| starts_with(raw, it)))
}

/// Bits of the first operand.
fn width(instruction: &Instruction) -> u32 {
    let bytes = match instruction.op_kind(0) {
        OpKind::Register => instruction.op_register(0).size(),
        _ => instruction.memory_size().size(),
    };
    8 * u32::try_from(bytes).unwrap_or(0)
}

/// Whether the bytes after legacy prefixes are these, given in hexadecimal with spaces between them.
fn starts_with(raw: &[u8], opcode: &str) -> bool {
    let prefix =
        |byte: &u8| matches!(byte, 0x26 | 0x2e | 0x36 | 0x3e | 0x64..=0x67 | 0xf0 | 0xf2 | 0xf3);
    let body = raw.iter().skip_while(|byte| prefix(byte));
    let wanted: Option<Vec<u8>> =
        opcode.split(' ').map(|byte| u8::from_str_radix(byte, 16).ok()).collect();
    wanted.is_some_and(|wanted| body.take(wanted.len()).eq(wanted.iter()))
}
