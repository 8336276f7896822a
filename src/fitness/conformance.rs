//! The conformance test: what a processor answers, and how a simulator's answers compare.
//!
//! Two programs (`recipes/conformance/`) print a line a case: its name, a tab, and four hashes, eight hexadecimal digits
//! each, of the registers, the defined flags, the xmm registers and the memory that it left. One tries single
//! instructions, and a simulator can run it alone; the other tries what outlives switches and signals, which takes a kernel
//! too. `conformance/x86-instructions.answers` and `x86-state.answers` hold these lines as a real processor gave them.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Fault, Faults};

/// Hashes of the parts of a state, in the order of [`Part`].
pub type Hashes = [u32; 4];

/// A part of the machine's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// General registers.
    Registers,
    /// Flags, as far as they are defined.
    Flags,
    /// Vector registers.
    Xmm,
    /// Memory.
    Memory,
}

impl Part {
    const ALL: [Self; 4] = [Self::Registers, Self::Flags, Self::Xmm, Self::Memory];

    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Registers => "registers",
            Self::Flags => "flags",
            Self::Xmm => "xmm",
            Self::Memory => "memory",
        }
    }
}

/// One case and its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The case: mnemonic, operands, encoding in brackets, and what is special about its values.
    pub name: String,
    /// What a processor leaves.
    pub hashes: Hashes,
}

impl Answer {
    /// Reads a line of the program, if it is one with an answer.
    pub fn read(line: &str) -> Option<Self> {
        let (name, hashes) = line.split_once('\t')?;
        let mut parts = hashes.split(' ').map(|part| {
            let digits = part.len() == 8 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
            digits.then(|| u32::from_str_radix(part, 16).ok()).flatten()
        });
        let mut next = || parts.next().flatten();
        let hashes = [next()?, next()?, next()?, next()?];
        parts.next().is_none().then(|| Self { name: name.to_owned(), hashes })
    }
}

/// Answers that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("line {line} of the answers is not a case with its hashes")]
pub struct BadAnswers {
    /// Which line, from 1.
    pub line: usize,
}

/// Answers of a real processor, in the program's order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answers(Vec<Answer>);

impl Answers {
    /// Those about single instructions.
    pub fn of_instructions() -> Self {
        let text = include_str!("../../conformance/x86-instructions.answers");
        Self::parse(text).expect("a test reads the shipped answers")
    }

    /// Those about what outlives switches and signals.
    pub fn of_state() -> Self {
        let text = include_str!("../../conformance/x86-state.answers");
        Self::parse(text).expect("a test reads the shipped answers")
    }

    /// Reads what the program printed, up to its last line, `end`.
    pub fn parse(text: &str) -> Result<Self, BadAnswers> {
        let lines = text.lines().take_while(|line| *line != "end").enumerate();
        let read = lines.map(|(at, line)| Answer::read(line).ok_or(BadAnswers { line: at + 1 }));
        read.collect::<Result<_, _>>().map(Self)
    }

    /// Only the cases of one instruction.
    #[must_use]
    pub fn only(&self, name: &str) -> Self {
        Self(self.0.iter().filter(|case| instruction(&case.name) == name).cloned().collect())
    }

    /// These, and then others.
    #[must_use]
    pub fn and(mut self, others: &Self) -> Self {
        self.0.extend_from_slice(&others.0);
        self
    }

    /// How the cases went of which a machine's console tells. A line that ends with a case's name was cut short by the end of
    /// the machine, of which `why` tells.
    pub fn seen_on(&self, console: &str, why: &str) -> BTreeMap<String, Seen> {
        let told = |line: &str| {
            let line = line.trim_end_matches('\r');
            let case = |name: &str| self.0.iter().any(|answer| answer.name == name);
            let seen = match (Answer::read(line), line.split_once('\t')) {
                (Some(Answer { name, hashes }), _) => (name, Seen::Answered(hashes)),
                (None, Some((name, words))) => (name.to_owned(), Seen::Crashed(words.to_owned())),
                (None, None) => (line.to_owned(), Seen::Crashed(why.to_owned())),
            };
            case(&seen.0).then_some(seen)
        };
        console.split('\n').filter_map(told).collect()
    }

    /// Every case with its answer.
    pub fn cases(&self) -> &[Answer] {
        &self.0
    }
}

/// How a case went in a simulator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// It came to an end.
    Answered(Hashes),
    /// The simulator did not survive it; its words.
    Crashed(String),
}

/// A case that went otherwise than on a processor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Case {
    /// The case's name.
    pub name: String,
    /// What differs; nothing for a crash.
    pub differs: Vec<Part>,
    /// How the simulator ended, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crash: Option<String>,
    /// The known fault that it shows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

/// How a simulator compares with a processor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// How many cases there are.
    pub cases: usize,
    /// How many went as on a processor.
    pub agree: usize,
    /// Cases that came to an end with something else.
    pub wrong: Vec<Case>,
    /// Cases that ended the simulation.
    pub crashed: Vec<Case>,
    /// Cases that were not tried.
    pub missing: Vec<String>,
    /// Cases by instruction, only of those where one is wrong.
    pub instructions: Vec<Instruction>,
    /// Names of known faults that no case showed.
    pub not_shown: Vec<String>,
}

/// Cases of one instruction that went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Instruction {
    /// Its mnemonic, with `lock` or a repetition before it and without a size.
    pub name: String,
    /// How many cases it has.
    pub cases: usize,
    /// How many of them are wrong or crash.
    pub wrong: usize,
    /// What differs in any of them.
    pub differs: Vec<Part>,
    /// Known faults that its cases show.
    pub faults: Vec<String>,
    /// How many wrong cases show none of them.
    pub unknown: usize,
    /// The first wrong case.
    pub example: String,
}

impl Report {
    /// Compares what was seen with the answers, and names known faults.
    pub fn new(answers: &Answers, seen: &BTreeMap<String, Seen>, known: Option<&Faults>) -> Self {
        let mut report = Self {
            cases: answers.0.len(),
            agree: 0,
            wrong: Vec::new(),
            crashed: Vec::new(),
            missing: Vec::new(),
            instructions: Vec::new(),
            not_shown: Vec::new(),
        };
        for Answer { name, hashes } in &answers.0 {
            let (differs, crash) = match seen.get(name) {
                None => {
                    report.missing.push(name.clone());
                    continue;
                }
                Some(Seen::Answered(found)) if found == hashes => {
                    report.agree += 1;
                    continue;
                }
                Some(Seen::Answered(found)) => (differing(found, hashes), None),
                Some(Seen::Crashed(words)) => (Vec::new(), Some(words.clone())),
            };
            let crashed = crash.is_some();
            let fault = known.and_then(|known| known.of_case(name)).map(|fault| fault.name.clone());
            let case = Case { name: name.clone(), differs, crash, fault };
            if crashed { &mut report.crashed } else { &mut report.wrong }.push(case);
        }
        report.instructions = by_instruction(answers, &report);
        report.not_shown = not_shown(&report, known);
        report
    }

    /// Wrong cases and crashes, in this order.
    pub fn faulty(&self) -> impl Iterator<Item = &Case> {
        self.wrong.iter().chain(&self.crashed)
    }

    /// Faulty cases that show no known fault.
    pub fn unknown(&self) -> impl Iterator<Item = &Case> {
        self.faulty().filter(|case| case.fault.is_none())
    }

    /// Whether everything was tried and went as on a processor.
    pub fn is_clean(&self) -> bool {
        self.agree == self.cases
    }
}

fn differing(found: &Hashes, wanted: &Hashes) -> Vec<Part> {
    let pairs = found.iter().zip(wanted).zip(Part::ALL);
    pairs.filter(|((found, wanted), _)| found != wanted).map(|(_, part)| part).collect()
}

/// The instruction of a case, without the size that its name has where operands do not tell it.
pub fn instruction(case: &str) -> String {
    let mut words = case.split(' ');
    let mut name = words.next().unwrap_or_default().to_owned();
    if matches!(name.as_str(), "lock" | "rep" | "repe" | "repne") {
        name = format!("{name} {}", words.next().unwrap_or_default());
    }
    let name = name.trim_end_matches(';');
    let stem = name.trim_end_matches(|digit: char| digit.is_ascii_digit());
    let size = &name[stem.len()..];
    // The number at the end of these is no operand's size.
    let own = ["fxsave", "fxrstor", "endbr", "cvtsi"].contains(&stem);
    if matches!(size, "8" | "16" | "32" | "64") && !own { stem } else { name }.to_owned()
}

fn by_instruction(answers: &Answers, report: &Report) -> Vec<Instruction> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for answer in &answers.0 {
        *counts.entry(instruction(&answer.name)).or_default() += 1;
    }
    let mut rows: BTreeMap<String, Instruction> = BTreeMap::new();
    for case in report.faulty() {
        let name = instruction(&case.name);
        let row = rows.entry(name.clone()).or_insert_with(|| Instruction {
            cases: counts.get(&name).copied().unwrap_or_default(),
            name,
            wrong: 0,
            differs: Vec::new(),
            faults: Vec::new(),
            unknown: 0,
            example: case.name.clone(),
        });
        row.wrong += 1;
        row.differs.extend(&case.differs);
        match &case.fault {
            Some(fault) => row.faults.push(fault.clone()),
            None => row.unknown += 1,
        }
    }
    let mut rows: Vec<_> = rows.into_values().collect();
    for row in &mut rows {
        row.differs.sort();
        row.differs.dedup();
        row.faults.sort();
        row.faults.dedup();
    }
    rows
}

fn not_shown(report: &Report, known: Option<&Faults>) -> Vec<String> {
    let faults = known.map(|known| known.faults.as_slice()).unwrap_or_default();
    let shown =
        |fault: &&Fault| report.faulty().any(|case| case.fault.as_ref() == Some(&fault.name));
    faults.iter().filter(|fault| !shown(fault)).map(|fault| fault.name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWERS: &str = "add al,cl [00 c8]\t00000001 00000002 00000003 00000004\n\
        xchg r8,rax [49 90]\t0000000a 00000002 00000003 00000004\n\
        sar64 [rbx],cl [48 d3 3b] a count 0\t0000000b 00000002 00000003 00000004\n\
        hlt [f4]\t0000000c 00000002 00000003 00000004\nend\n";

    fn seen(cases: &[(&str, Seen)]) -> BTreeMap<String, Seen> {
        cases.iter().map(|(name, seen)| ((*name).to_owned(), seen.clone())).collect()
    }

    #[test]
    fn the_shipped_answers_can_be_read() {
        let state = Answers::of_state();
        assert_eq!(state.only("switch").cases().len() + state.only("signal").cases().len(), 18);
        let answers = Answers::of_instructions().and(&state);
        assert!(answers.cases().len() > 10_000);
        let has = |name: &str| answers.cases().iter().any(|answer| answer.name == name);
        assert!(has("xchg r8,rax [49 90]") && has("xchg r8d,eax [41 90]"));
    }

    #[test]
    fn a_console_tells_what_cases_came_to() {
        let answers = Answers::parse(ANSWERS).unwrap();
        let console = "kernel: up\r\nadd al,cl [00 c8]\t00000001 00000002 00000003 00000004\r\n\
            xchg r8,rax [49 90]\tended by signal 0b\r\nnop [90]\t00000001 00000002 00000003 00000004\r\nhlt [f4]";
        let seen = answers.seen_on(console, "the kernel panicked");
        assert_eq!(seen.len(), 3);
        assert_eq!(seen["add al,cl [00 c8]"], Seen::Answered([1, 2, 3, 4]));
        assert_eq!(seen["xchg r8,rax [49 90]"], Seen::Crashed("ended by signal 0b".to_owned()));
        assert_eq!(seen["hlt [f4]"], Seen::Crashed("the kernel panicked".to_owned()));
    }

    #[test]
    fn answers_with_a_broken_line_are_refused() {
        let broken = ANSWERS.replace("0000000a", "a");
        assert_eq!(Answers::parse(&broken).unwrap_err().line, 2);
    }

    #[test]
    fn what_differs_crashes_and_lacks_is_told_apart() {
        let answers = Answers::parse(ANSWERS).unwrap();
        let seen = seen(&[
            ("add al,cl [00 c8]", Seen::Answered([1, 2, 3, 4])),
            ("xchg r8,rax [49 90]", Seen::Answered([9, 2, 3, 5])),
            ("hlt [f4]", Seen::Crashed("panic".to_owned())),
        ]);
        let known = Faults::of_version("24.0.0.1").unwrap();
        let report = Report::new(&answers, &seen, Some(&known));
        assert_eq!((report.cases, report.agree), (4, 1));
        assert_eq!(report.wrong[0].differs, [Part::Registers, Part::Memory]);
        assert_eq!(report.wrong[0].fault.as_deref(), Some("xchg-r8-rax"));
        assert_eq!(report.crashed[0].crash.as_deref(), Some("panic"));
        assert_eq!(report.missing, ["sar64 [rbx],cl [48 d3 3b] a count 0"]);
        assert_eq!(report.unknown().count(), 1);
        assert!(!report.is_clean());
        let names: Vec<_> = report.instructions.iter().map(|row| row.name.as_str()).collect();
        assert_eq!(names, ["hlt", "xchg"]);
        assert!(!report.not_shown.contains(&"xchg-r8-rax".to_owned()));
    }

    #[test]
    fn cases_are_counted_by_mnemonic() {
        assert_eq!(instruction("add8 [rbx],0x5a [80 03 5a]"), "add");
        assert_eq!(instruction("lock bts16 [rbx],9 [..]"), "lock bts");
        assert_eq!(instruction("cmpxchg16b [rbx] [..]"), "cmpxchg16b");
        assert_eq!(instruction("fxsave64; fxrstor64 [rbx]"), "fxsave64");
        assert_eq!(instruction("rep movs64 [f3 48 a5] 5 up"), "rep movs");
    }
}
