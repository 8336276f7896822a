//! The table of known faults: `conformance/gem5-VERSION.toml`, and what its patterns mean.

use serde::{Deserialize, Serialize};

/// Everything that is known to be wrong in one version of gem5.
///
/// The TOML form is described at the top of `conformance/gem5-24.0.0.1.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Faults {
    /// The version as gem5 prints it, such as `24.0.0.1`.
    pub version: String,
    /// The faults, in the table's order.
    #[serde(default, rename = "fault")]
    pub faults: Vec<Fault>,
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
    /// Instructions that have it: any of these.
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

/// The tables that come with vsbuild.
const TABLES: &[&str] = &[include_str!("../../conformance/gem5-24.0.0.1.toml")];

impl Faults {
    /// Reads a table.
    pub fn parse(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
    }

    /// The tables that come with vsbuild, oldest version first.
    pub fn shipped() -> Vec<Self> {
        TABLES.iter().map(|text| Self::parse(text).expect("a test reads every table")).collect()
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
                assert!(!fault.patterns.is_empty() && !fault.cases.is_empty(), "{}", fault.name);
            }
        }
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
        for version in ["24.0.0.1", "24.1.0.3", "DEVELOP-FOR-25.0", "25.1"] {
            assert_eq!(nearest(version).as_deref(), Some("24.0.0.1"), "{version}");
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
