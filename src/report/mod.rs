//! Figures from finished runs: tables, comparisons and one page that says what was measured and how.
//!
//! A run's directory holds `run.json`, the record, `stats.txt`, gem5's statistics, and `config.json`, its description of the machine. What comes out follows from them and from
//! nothing else: no clock, no host, no order in which things were found. The JSON is the report; CSV and the page show what it
//! says.

mod chart;
mod compare;
mod config;
mod csv;
mod figures;
mod gather;
mod metrics;
mod names;
mod page;
mod plots;
mod record;
mod run;
mod stats;
mod text;

use serde::Serialize;

pub use compare::{Change, Comparison, Pair, Parameter, compare};
pub use config::{Described, describe};
pub use csv::csv;
pub use figures::{Block, Figures, Misses, Sources, Statistics, Unit, read};
pub use gather::{Error, Group, gather};
pub use metrics::{Metric, Scope};
pub use page::html;
pub use record::{Call, FaultPlace, Gem5, Invocation, KnownFault, Record, Stage, Verdict};
pub use run::{Measured, Run, Spread};
pub use stats::{Error as StatisticsError, Line, Reader};
pub use text::text;

/// The version of the JSON. New fields do not change it; a field that goes or means something else does.
const FORMAT: u32 = 1;

/// All that a report says: `docs/reports.md` describes its JSON.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The version of this form.
    pub format: u32,
    /// The directories that were given.
    pub groups: Vec<Group>,
    /// Their runs.
    pub runs: Vec<Run>,
    /// The two groups beside each other, if that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comparison: Option<Comparison>,
}

impl Default for Report {
    fn default() -> Self {
        Self { format: FORMAT, groups: Vec::new(), runs: Vec::new(), comparison: None }
    }
}

impl Report {
    /// The run of a name.
    pub fn run(&self, name: &str) -> Option<&Run> {
        self.runs.iter().find(|run| run.name == name)
    }
}
