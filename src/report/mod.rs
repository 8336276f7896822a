//! Figures from finished runs: tables, comparisons and one page that says what was measured and how.

mod figures;
mod names;
mod record;
mod stats;

pub use figures::{Block, Figures, Misses, Sources, Statistics, Unit, read};
pub use record::{Call, Gem5, Invocation, Record, Stage, Verdict};
pub use stats::{Error, Line, Reader};
