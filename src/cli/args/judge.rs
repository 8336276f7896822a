//! Arguments of what judges runs, simulators and images.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// `report`
#[derive(Debug, Args)]
pub(in crate::cli) struct Report {
    /// Directories of runs or of sweeps, or directories with such in them.
    #[arg(required = true, value_name = "DIR")]
    pub(in crate::cli) dirs: Vec<PathBuf>,
    /// Where to put the files. The run's or sweep's own directory if there is one, else report/.
    #[arg(short, long, value_name = "DIR")]
    pub(in crate::cli) out: Option<PathBuf>,
    /// What to write. All of them, if not given.
    #[arg(long, value_enum, value_delimiter = ',')]
    pub(in crate::cli) format: Vec<ReportFormat>,
    /// Compare the second directory with the first.
    #[arg(long)]
    pub(in crate::cli) compare: bool,
}

/// Forms of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum ReportFormat {
    /// report.html: one page, which needs nothing else.
    Html,
    /// report.csv: one row an invocation.
    Csv,
    /// report.json: everything.
    Json,
}

/// `conformance`
#[derive(Debug, Args)]
pub(in crate::cli) struct Conformance {
    /// gem5's program. As the configuration says, if not given.
    #[arg(long, env = "VSBUILD_GEM5", value_name = "FILE")]
    pub(in crate::cli) gem5: Option<PathBuf>,
    /// Only cases of this instruction, such as `xchg` or `lock add`; or only those of a `switch`, or of a `signal`.
    #[arg(long, value_name = "INSTRUCTION")]
    pub(in crate::cli) only: Option<String>,
    /// Boot no kernel: leave out what registers hold after switches and signals.
    #[arg(long)]
    pub(in crate::cli) no_boot: bool,
    /// List every wrong case, not only instructions.
    #[arg(long)]
    pub(in crate::cli) all: bool,
    /// Only fail for what is not in the table of known faults of this version.
    #[arg(long)]
    pub(in crate::cli) known: bool,
    /// Seconds that one case may take.
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..))]
    pub(in crate::cli) timeout: u64,
}

/// `lint`
#[derive(Debug, Args)]
pub(in crate::cli) struct Lint {
    /// The image's recipe.
    pub(in crate::cli) name: String,
    /// For which version of gem5, such as 24.0.0.1; one without a table of faults goes by the newest before it. The newest one
    /// that anything is known of, if not given.
    #[arg(long, value_name = "VERSION")]
    pub(in crate::cli) version: Option<String>,
    /// Cores that it is to run on. As the recipe says, if not given.
    #[arg(long, value_name = "N")]
    pub(in crate::cli) cores: Option<u32>,
    /// Show every place, and not only a few of each kind.
    #[arg(long)]
    pub(in crate::cli) all: bool,
}
