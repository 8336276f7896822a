//! The table of known faults: `conformance/gem5-VERSION.toml`, and what its patterns mean.

use serde::{Deserialize, Serialize};

/// Everything that is known to be wrong in one version of gem5.
///
/// The TOML form is described at the top of `conformance/gem5-24.0.0.1.toml`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults {
    /// The version as gem5 prints it, such as `24.0.0.1`.
    pub version: String,
    /// The faults, in the order of their tables.
    pub faults: Vec<Fault>,
}

/// A table as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    version: String,
    /// The version whose faults this one has too.
    base: Option<String>,
    /// But for these.
    #[serde(default)]
    mended: Vec<String>,
    #[serde(default, rename = "fault")]
    faults: Vec<Fault>,
}

/// Something that gem5 computes otherwise than a processor does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// What it is called in reports.
    pub name: String,
    /// What gem5 does.
    pub gem5: String,
    /// What a processor does.
    pub hardware: String,
    /// For which operands it is wrong.
    pub wrong: Wrong,
    /// What comes of it.
    pub harm: Harm,
    /// Cases of the conformance test that show it; `*` stands for any text, `?` for one character.
    pub cases: Vec<String>,
    /// Instructions that have it: any of these. None if it cannot be seen in a program.
    #[serde(rename = "match")]
    pub patterns: Vec<Pattern>,
}

/// For which operands an instruction is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Wrong {
    /// All.
    Always,
    /// Some values or counts.
    Data,
}

/// What comes of a fault, from the worst down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Harm {
    /// The simulation ends.
    Crash,
    /// Wrong results or addresses.
    Values,
    /// Only flags are wrong.
    Flags,
    /// Only which NaN comes out.
    Nan,
    /// Only what a program is told of its mistakes.
    Exceptions,
}

/// What an instruction must look like; what is not said may be anything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pattern {
    /// Names of iced-x86's `Mnemonic`, such as `Xchg`.
    pub mnemonics: Vec<String>,
    /// The bytes after legacy prefixes, REX included, begin with one of these; hexadecimal, a space between two bytes.
    #[serde(default)]
    pub opcodes: Vec<String>,
    /// Where operands are.
    #[serde(default)]
    pub memory: Option<Memory>,
    /// Where the count is.
    #[serde(default)]
    pub counts: Option<Count>,
    /// Bits of the first operand, one of these.
    #[serde(default)]
    pub widths: Vec<u32>,
    /// Whether both operands are one register.
    #[serde(default)]
    pub same: Option<bool>,
    /// The first operand's register, one of these: names of iced-x86's `Register`, such as `AH`.
    #[serde(default)]
    pub first: Vec<String>,
}

/// Where operands are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Memory {
    /// One is relative to rip.
    Rip,
    /// One is in memory.
    Any,
    /// None is in memory.
    None,
}

/// Where the count of a shift or rotation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Count {
    /// In cl.
    Cl,
    /// In the instruction.
    Immediate,
}

/// A table that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum BadTable {
    /// It is not such a table.
    #[error(transparent)]
    Form(#[from] toml::de::Error),
    /// It begins with one that is not there.
    #[error("there is no table for `{0}` to begin with")]
    Base(String),
    /// It says that something was mended that was not wrong.
    #[error("`{0}` cannot be mended: the table before does not have it")]
    Mended(String),
}

/// The tables that come with vsbuild, each after the one that it begins with.
const TABLES: &[&str] = &[
    include_str!("../../conformance/gem5-24.0.0.1.toml"),
    include_str!("../../conformance/gem5-DEVELOP-FOR-25.0.toml"),
];

impl Faults {
    /// Reads a table; `before` are those that it may begin with.
    pub fn parse(text: &str, before: &[Self]) -> Result<Self, BadTable> {
        let table: Table = toml::from_str(text)?;
        let mut faults = match &table.base {
            None => Vec::new(),
            Some(base) => {
                let of_base = before.iter().find(|table| table.version == *base);
                of_base.ok_or_else(|| BadTable::Base(base.clone()))?.faults.clone()
            }
        };
        for name in table.mended {
            let at = faults.iter().position(|fault| fault.name == name);
            faults.remove(at.ok_or(BadTable::Mended(name))?);
        }
        faults.extend(table.faults);
        Ok(Self { version: table.version, faults })
    }

    /// The tables that come with vsbuild, oldest version first.
    pub fn shipped() -> Vec<Self> {
        TABLES.iter().fold(Vec::new(), |mut tables, text| {
            tables.push(Self::parse(text, &tables).expect("a test reads every table"));
            tables
        })
    }

    /// The shipped table for a version of gem5, if there is one.
    pub fn of_version(version: &str) -> Option<Self> {
        Self::shipped().into_iter().find(|table| table.version == version)
    }

    /// The shipped table to go by for a version of gem5: its own, else that of the newest version that is not newer than it.
    /// A development version, such as `DEVELOP-FOR-25.0`, is older than the one that it leads to. None for a version that is
    /// older than every table, or that has no number.
    pub fn nearest(version: &str) -> Option<Self> {
        let wanted = Age::of(version)?;
        let older = |table: &Self| Age::of(&table.version).is_some_and(|age| age <= wanted);
        let newest = Self::shipped().into_iter().filter(older);
        Self::of_version(version).or_else(|| newest.max_by_key(|table| Age::of(&table.version)))
    }

    /// The first fault that a case of the conformance test shows.
    pub fn of_case(&self, name: &str) -> Option<&Fault> {
        self.faults.iter().find(|fault| fault.shows_in(name))
    }
}

/// How old a version is, the oldest least.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Age {
    /// Its numbers, without zeros at the end: 24.0 and 24.0.0 are one.
    numbers: Vec<u32>,
    /// Whether it is more than what leads to it.
    released: bool,
}

impl Age {
    fn of(version: &str) -> Option<Self> {
        let start = version.find(|c: char| c.is_ascii_digit())?;
        let mut numbers: Vec<u32> =
            version[start..].split('.').map_while(|number| number.parse().ok()).collect();
        while numbers.last() == Some(&0) {
            numbers.pop();
        }
        Some(Self { numbers, released: !version.starts_with("DEVELOP") })
    }
}

impl Fault {
    /// Whether a case of the conformance test shows this fault.
    pub fn shows_in(&self, case: &str) -> bool {
        self.cases.iter().any(|pattern| fits(pattern.as_bytes(), case.as_bytes()))
    }
}

/// Whether a text fits a pattern in which `*` stands for any text and `?` for one character.
fn fits(pattern: &[u8], text: &[u8]) -> bool {
    match pattern {
        [] => text.is_empty(),
        [b'*', rest @ ..] => (0..=text.len()).any(|at| fits(rest, &text[at..])),
        [b'?', rest @ ..] => !text.is_empty() && fits(rest, &text[1..]),
        [byte, rest @ ..] => text.first() == Some(byte) && fits(rest, &text[1..]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_table_can_be_read() {
        for table in Faults::shipped() {
            assert!(!table.faults.is_empty());
            for fault in &table.faults {
                let seen = !fault.patterns.is_empty() || fault.harm == Harm::Exceptions;
                assert!(seen && !fault.cases.is_empty(), "{}", fault.name);
            }
        }
    }

    #[test]
    fn a_table_begins_with_that_of_another_version() {
        let old = Faults::of_version("24.0.0.1").unwrap();
        let new = Faults::of_version("DEVELOP-FOR-25.0").unwrap();
        assert!(new.of_case("packuswb xmm1,xmm2 [66 0f 67 ca]").is_none());
        assert!(new.of_case("xchg r8,rax [49 90]").is_some());
        assert!(new.of_case("packsswb xmm1,xmm2 [66 0f 63 ca]").is_some());
        let parse = |text: &str| Faults::parse(text, std::slice::from_ref(&old)).unwrap_err();
        let error = parse("version = \"26\"\nbase = \"25\"");
        assert_eq!(error.to_string(), "there is no table for `25` to begin with");
        let error = parse("version = \"26\"\nbase = \"24.0.0.1\"\nmended = [\"all\"]");
        assert!(matches!(error, BadTable::Mended(name) if name == "all"));
    }

    #[test]
    fn a_case_leads_to_its_fault() {
        let table = Faults::of_version("24.0.0.1").unwrap();
        let name = |case| table.of_case(case).map(|fault| fault.name.as_str());
        assert_eq!(name("xchg r8,rax [49 90]"), Some("xchg-r8-rax"));
        assert_eq!(name("xchg r9,rax [49 91]"), None);
        assert!(Faults::of_version("0.1").is_none());
    }

    #[test]
    fn a_version_without_a_table_goes_by_the_newest_that_is_older() {
        let nearest = |version| Faults::nearest(version).map(|table| table.version);
        for version in ["24.0.0.1", "24.1.0.3", "DEVELOP-FOR-24.1"] {
            assert_eq!(nearest(version).as_deref(), Some("24.0.0.1"), "{version}");
        }
        for version in ["DEVELOP-FOR-25.0", "25.0", "25.1"] {
            assert_eq!(nearest(version).as_deref(), Some("DEVELOP-FOR-25.0"), "{version}");
        }
        assert_eq!(nearest("23.1"), None);
        assert_eq!(nearest("unknown"), None);
        let ages = ["24.0", "24.0.0.1", "DEVELOP-FOR-25.0", "25.0", "25.0.0.1"].map(Age::of);
        assert!(ages.is_sorted(), "{ages:?}");
        assert_eq!(Age::of("24.0"), Age::of("24.0.0.0"));
    }

    #[test]
    fn stars_stand_for_any_text() {
        assert!(fits(b"a*c?", b"abbcd"));
        assert!(fits(b"*", b""));
        assert!(!fits(b"a?", b"a"));
    }
}
