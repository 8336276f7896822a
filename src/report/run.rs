//! A run's figures, invocation by invocation, with what made them.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    config::Described,
    figures::{Block, Figures, Sources, Statistics},
    record::{Invocation, Record, Verdict},
};

/// One run.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Run {
    /// What the report calls it; no two runs of a report have the same name.
    pub name: String,
    /// The sweep that it is a point of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sweep: Option<String>,
    /// The point's number in the sweep, as its directory is called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub point: Option<String>,
    /// What the sweep chose for this point, by key of the machine.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<String, String>,
    /// What made the figures.
    pub record: Record,
    /// The processor that measured, as gem5 names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub processor: Option<String>,
    /// The number of the core that the function ran on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub core: Option<u32>,
    /// The measured invocations, in order.
    pub invocations: Vec<Measured>,
    /// All of them together: counts are added, and rates are those of the sums. The latency is the sum, too.
    pub total: Measured,
    /// How figures of the function's core vary from invocation to invocation, by figure.
    pub spread: BTreeMap<String, Spread>,
    /// What gem5 says of its processors, caches and clocks, by the object's path.
    #[serde(skip_serializing_if = "Described::is_empty")]
    pub described: Described,
    /// Which statistics of gem5 the figures of the function's core were made from, by figure.
    pub sources: Sources,
    /// What a reader of the figures should know: the record's warnings, and what was odd about the run's files.
    pub warnings: Vec<String>,
}

/// What was measured of an invocation, or of several together.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Measured {
    /// The invocation's number, from 0; none for several together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n: Option<u64>,
    /// Simulated ticks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ticks: Option<u64>,
    /// Microseconds of simulated time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_us: Option<f64>,
    /// On the function's core.
    pub core: Figures,
    /// On all cores.
    pub all: Figures,
}

/// How a figure varies.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// The least.
    pub min: f64,
    /// Half are no more; the mean of the two in the middle of an even number.
    pub median: f64,
    /// The arithmetic mean.
    pub mean: f64,
    /// The most.
    pub max: f64,
    /// The sample's standard deviation; none of a single value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deviation: Option<f64>,
}

impl Spread {
    /// How some values vary; none of no values.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let (half, count) = (values.len() / 2, values.len() as f64);
        let upper = *values.get(half)?;
        let median = match values.len() % 2 {
            0 => (values.get(half.checked_sub(1)?)? + upper) / 2.0,
            _ => upper,
        };
        let mean = values.iter().sum::<f64>() / count;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let deviation = (values.len() > 1).then(|| (squares / (count - 1.0)).sqrt());
        Some(Self { min, median, mean, max, deviation })
    }
}

/// Ticks as microseconds.
fn microseconds(ticks: u64, frequency: u64) -> Option<f64> {
    (frequency > 0).then(|| ticks as f64 * 1e6 / frequency as f64)
}

impl Run {
    /// Puts together what the record and the statistics say.
    pub fn new(name: String, record: Record, statistics: &Statistics) -> Self {
        let mut warnings = record.warnings.clone();
        if let Verdict::Bad(why) = &record.verdict {
            warnings.push(format!("the run failed: {why}"));
        }
        warnings.extend(odd(&record, statistics));
        let last = statistics.blocks.last();
        let invocations = measured(&record, statistics, &mut warnings);
        let total = match (statistics.blocks.as_slice(), invocations.len()) {
            // One block round all invocations: it is the only one that knows.
            ([block], count) if count > 1 => of_block(None, block, None),
            _ => together(&invocations),
        };
        Self {
            name,
            processor: last.map(|block| block.processor.clone()).filter(|name| !name.is_empty()),
            core: last.filter(|block| !block.processor.is_empty()).map(|block| block.number),
            spread: spread(&invocations),
            sources: statistics.blocks.iter().fold(Sources::new(), |mut sources, block| {
                for (figure, names) in &block.sources {
                    sources.entry(figure.clone()).or_default().extend(names.iter().cloned());
                }
                sources
            }),
            total,
            invocations,
            record,
            warnings,
            ..Self::default()
        }
    }

    /// Adds what gem5 says of its machine, with a warning if the processor that measured is not of the model that was asked for.
    pub fn describe(&mut self, described: Described) {
        let asked = self.record.machine.as_ref().and_then(|machine| machine.get("cpu")?.as_str());
        let model = match asked {
            Some("o3") => "O3",
            Some("minor") => "Minor",
            Some("timing") => "Timing",
            Some("atomic") => "Atomic",
            _ => "",
        };
        let (name, number) = (self.processor.as_deref(), self.core);
        if let (Some(name), Some(number)) = (name, number) {
            let paths = [format!(".{name}{number}.core"), format!(".{name}.core")];
            let core =
                described.iter().find(|(path, _)| paths.iter().any(|end| path.ends_with(end)));
            if let Some((path, kind)) = core.filter(|(_, kind)| !kind.contains(model)) {
                let asked = asked.unwrap_or_default();
                self.warnings.push(format!("`{asked}` was asked for, but `{path}` is a `{kind}`"));
            }
        }
        self.described = described;
    }

    /// Whether the run was good, or does not say.
    pub fn good(&self) -> bool {
        !matches!(self.record.verdict, Verdict::Bad(_))
    }
}

/// What is odd about the statistics.
fn odd(record: &Record, statistics: &Statistics) -> Vec<String> {
    let mut warnings = Vec::new();
    if statistics.cut {
        warnings.push("stats.txt ends within a block, which was left out".to_owned());
    }
    if statistics.odd > 0 {
        warnings.push(format!("{} lines of stats.txt were not understood", statistics.odd));
    }
    let (blocks, invocations) = (statistics.blocks.len(), record.invocations.len());
    if blocks < invocations && blocks != 1 && record.on == "gem5" {
        warnings.push(format!("stats.txt has {blocks} blocks for {invocations} invocations"));
    }
    warnings
}

/// The invocations: block i is invocation i, unless there is one block for all.
fn measured(record: &Record, statistics: &Statistics, warnings: &mut Vec<String>) -> Vec<Measured> {
    let blocks = &statistics.blocks;
    let once = blocks.len() == 1 && record.invocations.len() > 1;
    let frequency = blocks.iter().find_map(|block| block.frequency);
    if record.invocations.is_empty() {
        let numbered = (0..).zip(blocks);
        return numbered.map(|(n, block)| of_block(Some(n), block, None)).collect();
    }
    let mut differ = Vec::new();
    let of = |(place, invocation): (usize, &Invocation)| {
        let block = if once { None } else { blocks.get(place) };
        match block {
            Some(block) => {
                if let (Some(told), Some(counted)) = (invocation.ticks(), block.ticks)
                    && told != counted
                {
                    differ.push(invocation.n.to_string());
                }
                of_block(Some(invocation.n), block, invocation.ticks())
            }
            None => {
                let ticks = invocation.ticks();
                let latency_us = ticks.and_then(|ticks| microseconds(ticks, frequency?));
                let all = Figures { instructions: invocation.instructions, ..Figures::default() };
                Measured { n: Some(invocation.n), ticks, latency_us, all, core: Figures::default() }
            }
        }
    };
    let measured = record.invocations.iter().enumerate().map(of).collect();
    if !differ.is_empty() {
        warnings.push(format!(
            "run.json and stats.txt disagree on the ticks of invocation {}; run.json is believed",
            differ.join(", ")
        ));
    }
    measured
}

fn of_block(n: Option<u64>, block: &Block, ticks: Option<u64>) -> Measured {
    let ticks = ticks.or(block.ticks);
    let latency_us = ticks.zip(block.frequency).and_then(|(t, f)| microseconds(t, f));
    Measured { n, ticks, latency_us, core: block.core.clone(), all: block.all.clone() }
}

fn together(invocations: &[Measured]) -> Measured {
    if invocations.is_empty() {
        return Measured::default();
    }
    let ticks = invocations.iter().try_fold(0_u64, |sum, one| sum.checked_add(one.ticks?));
    Measured {
        n: None,
        ticks,
        latency_us: invocations.iter().map(|one| one.latency_us).sum(),
        core: Figures::sum(invocations.iter().map(|one| &one.core)),
        all: Figures::sum(invocations.iter().map(|one| &one.all)),
    }
}

/// The spread of every figure that all invocations have.
fn spread(invocations: &[Measured]) -> BTreeMap<String, Spread> {
    use super::metrics::{Metric, Scope};

    let of = |metric: Metric| {
        let values: Option<Vec<f64>> =
            invocations.iter().map(|one| metric.of(one, Scope::Core)).collect();
        Some((metric.key(), Spread::of(values?)?))
    };
    std::iter::once(Metric::Latency).chain(Metric::all()).filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_spread_is_what_textbooks_say() {
        let spread = Spread::of([4.0, 2.0, 8.0, 6.0]).unwrap();
        assert_eq!((spread.min, spread.median, spread.mean, spread.max), (2.0, 5.0, 5.0, 8.0));
        assert!((spread.deviation.unwrap() - (20.0_f64 / 3.0).sqrt()).abs() < 1e-12);
        assert_eq!(Spread::of([7.0]).unwrap().deviation, None);
        assert_eq!(Spread::of([f64::NAN]), None);
    }

    proptest! {
        #[test]
        fn a_spread_is_in_order(values in prop::collection::vec(0.0..1e12f64, 1..50)) {
            let spread = Spread::of(values).unwrap();
            prop_assert!(spread.min <= spread.median && spread.median <= spread.max);
            let slack = spread.max * 1e-9;
            prop_assert!(spread.min - slack <= spread.mean && spread.mean <= spread.max + slack);
        }
    }
}
