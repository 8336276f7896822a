//! Figures from a block of statistics: what was counted, and what follows from it.
//!
//! gem5's versions, processor models and memory systems name the same thing differently; `names.rs` finds it. What cannot be
//! found is not there: no figure is ever made up. Of the kernel's and the program's share, gem5 24 and 25 say nothing for X86.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    io::BufRead,
};

use serde::Serialize;

use super::{
    names::{self, Counted, Name},
    stats::{Error, Line, Reader},
};

/// What accesses and misses are counted of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// The first cache, for instructions.
    L1i,
    /// The first cache, for data.
    L1d,
    /// The second cache.
    L2,
    /// The third cache.
    L3,
    /// Branches, and their mispredictions.
    Branches,
    /// Translations of instructions' addresses.
    Itlb,
    /// Translations of data's addresses.
    Dtlb,
}

impl Unit {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 7] =
        [Self::L1i, Self::L1d, Self::L2, Self::L3, Self::Branches, Self::Itlb, Self::Dtlb];

    /// Its name in JSON and CSV.
    pub fn key(self) -> &'static str {
        match self {
            Self::L1i => "l1i",
            Self::L1d => "l1d",
            Self::L2 => "l2",
            Self::L3 => "l3",
            Self::Branches => "branches",
            Self::Itlb => "itlb",
            Self::Dtlb => "dtlb",
        }
    }
}

/// How often something was used, and in vain.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Misses {
    /// Uses: demand accesses of a cache, predicted branches. Prefetches are no demand.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accesses: Option<u64>,
    /// Those that missed, or were predicted wrongly.
    pub misses: u64,
    /// Misses per thousand instructions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mpki: Option<f64>,
}

/// What was counted on one core, or on all of them, and what follows from it.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Figures {
    /// Committed instructions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instructions: Option<u64>,
    /// Committed micro-operations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operations: Option<u64>,
    /// Cycles, those in which the core was halted included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cycles: Option<u64>,
    /// Cycles in which the core was halted; gem5 leaves them out if there were none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub halted: Option<u64>,
    /// Cycles per instruction.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpi: Option<f64>,
    /// Instructions per cycle.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipc: Option<f64>,
    /// Caches, branches and translations.
    #[serde(flatten)]
    pub units: BTreeMap<Unit, Misses>,
}

impl Figures {
    /// Computes what follows from the counts.
    fn derive(mut self) -> Self {
        let instructions = self.instructions.filter(|count| *count > 0).map(|count| count as f64);
        let cycles = self.cycles.filter(|count| *count > 0).map(|count| count as f64);
        let ratio = |above: Option<f64>, below: Option<f64>| Some(above? / below?);
        self.cpi = ratio(cycles, instructions);
        self.ipc = ratio(instructions, cycles);
        for unit in self.units.values_mut() {
            unit.mpki = instructions.map(|instructions| unit.misses as f64 * 1000.0 / instructions);
        }
        self
    }

    /// The figures of several stretches together: counts are added, all else follows. What one of them lacks, the sum lacks.
    pub fn sum<'a>(all: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut all = all.into_iter();
        let Some(first) = all.next() else { return Self::default() };
        let add = |a: Option<u64>, b: Option<u64>| a?.checked_add(b?);
        all.fold(first.clone(), |sum, more| {
            let unit = |(unit, a): (&Unit, &Misses)| {
                let b = more.units.get(unit)?;
                let misses = a.misses.checked_add(b.misses)?;
                Some((*unit, Misses { accesses: add(a.accesses, b.accesses), misses, mpki: None }))
            };
            Self {
                instructions: add(sum.instructions, more.instructions),
                operations: add(sum.operations, more.operations),
                cycles: add(sum.cycles, more.cycles),
                halted: match (sum.halted, more.halted) {
                    (None, None) => None,
                    (a, b) => a.unwrap_or_default().checked_add(b.unwrap_or_default()),
                },
                units: sum.units.iter().filter_map(unit).collect(),
                ..Self::default()
            }
        })
        .derive()
    }
}

/// The figures of one block of statistics.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Block {
    /// Simulated ticks.
    pub ticks: Option<u64>,
    /// Ticks a second.
    pub frequency: Option<u64>,
    /// The processor that measured, as gem5 names it: `switch` for `board.processor.switch1.core`.
    pub processor: String,
    /// The number of its last core, on which the function runs.
    pub number: u32,
    /// The figures of that core, with its part of caches that cores share.
    pub core: Figures,
    /// The figures of all cores.
    pub all: Figures,
    /// Which statistics the figures of that core were made from.
    pub sources: Sources,
}

/// Which statistics figures were made from, by the figure's name.
pub type Sources = BTreeMap<String, BTreeSet<String>>;

/// All blocks of a file of statistics.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Statistics {
    /// The whole blocks, in order.
    pub blocks: Vec<Block>,
    /// Lines that were not understood.
    pub odd: u64,
    /// Whether the file ends within a block, which then is not listed.
    pub cut: bool,
}

/// Reads a file of statistics, and makes figures from each of its blocks.
///
/// # Errors
///
/// If it cannot be read.
pub fn read(input: impl BufRead) -> Result<Statistics, Error> {
    let mut reader = Reader::new(input);
    let mut statistics = Statistics::default();
    let mut counts: Option<Counts> = None;
    while let Some(line) = reader.next()? {
        match line {
            Line::Begin => {
                statistics.cut |= counts.is_some();
                counts = Some(Counts::default());
            }
            Line::Value { name, value } => {
                if let Some(counts) = &mut counts {
                    counts.put(name, value);
                }
            }
            Line::Row { .. } => (),
            Line::End => statistics.blocks.extend(counts.take().map(|counts| counts.block())),
        }
    }
    statistics.odd = reader.odd();
    statistics.cut |= counts.is_some();
    Ok(statistics)
}

/// What was found of one thing, by rank: the sum, and the names of what was added up.
#[derive(Debug, Default)]
struct Found(BTreeMap<u8, (u64, BTreeSet<String>)>);

/// What was found of one object.
type Things = BTreeMap<Counted, Found>;

/// What a block says of the things that figures are about.
#[derive(Debug, Default)]
struct Counts {
    ticks: Option<u64>,
    frequency: Option<u64>,
    /// Of each core of each processor.
    cores: BTreeMap<String, BTreeMap<u32, Things>>,
    /// Of each cache outside of cores, by number if it has one.
    caches: BTreeMap<(Unit, Option<u32>), Things>,
    /// What a cache counted for one core.
    requestors: BTreeMap<(Unit, String, u32), Things>,
}

impl Found {
    fn add(&mut self, rank: u8, value: u64, name: Option<&str>) {
        let (sum, names) = self.0.entry(rank).or_default();
        *sum = sum.saturating_add(value);
        names.extend(name.map(str::to_owned));
    }

    /// The best that is there.
    fn best(&self) -> Option<(u64, &BTreeSet<String>)> {
        self.0.values().next().map(|(sum, names)| (*sum, names))
    }
}

/// A count, if the value is one.
fn count(value: f64) -> Option<u64> {
    // 2^63 is more than gem5 can simulate in a lifetime, and keeps the conversion exact.
    (value.is_finite() && (0.0..9.2e18).contains(&value)).then(|| value.round() as u64)
}

impl Counts {
    fn put(&mut self, name: &str, value: f64) {
        let Some(value) = count(value) else { return };
        let (things, counted, rank, counts) = match names::understand(name) {
            None => return,
            Some(Name::Ticks) => return self.ticks = Some(value),
            Some(Name::Frequency) => return self.frequency = Some(value),
            Some(Name::Core { core, counted, rank, counts }) => {
                let cores = self.cores.entry(core.processor).or_default();
                (cores.entry(core.number).or_default(), counted, rank, counts)
            }
            Some(Name::Cache { unit, number, requestor, counted, rank, counts }) => {
                let things = match requestor {
                    None => self.caches.entry((unit, number)).or_default(),
                    Some(core) => {
                        self.requestors.entry((unit, core.processor, core.number)).or_default()
                    }
                };
                (things, counted, rank, counts)
            }
        };
        let (value, name) = if counts { (value, Some(name)) } else { (0, None) };
        things.entry(counted).or_default().add(rank, value, name);
    }

    /// The processor that measured: the one that was switched to, if it did anything, else the one that did most.
    fn processor(&self) -> Option<(&String, &BTreeMap<u32, Things>)> {
        self.cores.iter().max_by_key(|(path, cores)| {
            let instructions =
                |things: &Things| Some(things.get(&Counted::Instructions)?.best()?.0);
            let done: u64 = cores.values().filter_map(instructions).fold(0, u64::saturating_add);
            let switched = path.rsplit('.').next().is_some_and(|name| name.starts_with("switch"));
            (switched && done > 0, done, Reverse(*path))
        })
    }

    fn block(&self) -> Block {
        let Some((path, cores)) = self.processor() else {
            return Block { ticks: self.ticks, frequency: self.frequency, ..Block::default() };
        };
        let number = cores.keys().next_back().copied().unwrap_or_default();
        let (mut core, mut all) = (Things::new(), Things::new());
        for (n, things) in cores {
            merge(&mut all, things);
            if *n == number {
                merge(&mut core, things);
            }
        }
        for ((unit, n), things) in &self.caches {
            merge(&mut all, things);
            let caches = self.caches.keys().filter(|(other, _)| other == unit).count();
            let own = cores.len() == 1 || (caches > 1 && *n == Some(number));
            if own {
                merge(&mut core, things);
            } else if caches == 1 {
                self.share(*unit, path, number, things, &mut core);
            }
        }
        // A core that committed nothing has no line for it.
        if all.contains_key(&Counted::Instructions) {
            core.entry(Counted::Instructions).or_default().0.entry(u8::MAX).or_default();
        }
        let (core, sources) = figures(&core);
        let processor = path.rsplit('.').next().unwrap_or(path).to_owned();
        let (ticks, frequency) = (self.ticks, self.frequency);
        Block { ticks, frequency, processor, number, core, all: figures(&all).0, sources }
    }

    /// Adds a core's part of a shared cache, if the cache says whose its accesses were.
    fn share(&self, unit: Unit, path: &str, number: u32, whole: &Things, core: &mut Things) {
        let told = self.requestors.keys().any(|(of, ..)| *of == unit);
        let idle = whole.values().all(|found| found.best().is_none_or(|(count, _)| count == 0));
        if told || idle {
            // What a core never did has no line.
            for counted in whole.keys() {
                core.entry(*counted).or_default().0.entry(u8::MAX).or_default();
            }
        }
        for ((of, processor, n), things) in &self.requestors {
            // Requestors are named without the system's name.
            if *of == unit && *n == number && path.ends_with(processor.as_str()) {
                merge(core, things);
            }
        }
    }
}

fn merge(into: &mut Things, from: &Things) {
    for (counted, found) in from {
        let into = into.entry(*counted).or_default();
        for (rank, (sum, names)) in &found.0 {
            let (total, all) = into.0.entry(*rank).or_default();
            *total = total.saturating_add(*sum);
            all.extend(names.iter().cloned());
        }
    }
}

fn figures(things: &Things) -> (Figures, Sources) {
    let (mut figures, mut sources) = (Figures::default(), Sources::new());
    for (counted, found) in things {
        let Some((count, names)) = found.best() else { continue };
        let name = match counted {
            Counted::Instructions => {
                figures.instructions = Some(count);
                "instructions".to_owned()
            }
            Counted::Operations => {
                figures.operations = Some(count);
                "operations".to_owned()
            }
            Counted::Cycles => {
                figures.cycles = Some(count);
                "cycles".to_owned()
            }
            Counted::Halted => {
                figures.halted = Some(count);
                "halted".to_owned()
            }
            Counted::Accesses(unit) => {
                figures.units.entry(*unit).or_default().accesses = Some(count);
                format!("{}.accesses", unit.key())
            }
            Counted::Misses(unit) => {
                figures.units.entry(*unit).or_default().misses = count;
                format!("{}.misses", unit.key())
            }
        };
        if !names.is_empty() {
            sources.insert(name, names.clone());
        }
    }
    // Accesses without a word of misses are no misses known, not none.
    figures.units.retain(|unit, _| things.contains_key(&Counted::Misses(*unit)));
    (figures.derive(), sources)
}
