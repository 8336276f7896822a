//! What is shown of a measurement: one list for tables, plots, CSV and comparisons.

use super::{
    chart::grouped,
    figures::{Figures, Unit},
    run::Measured,
};

/// Whose figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The core that the function runs on.
    Core,
    /// All cores.
    All,
}

/// One figure of a measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric {
    /// Simulated time from request to reply, in microseconds.
    Latency,
    /// Committed instructions.
    Instructions,
    /// Committed micro-operations.
    Operations,
    /// Cycles.
    Cycles,
    /// Cycles in which the core was halted.
    Halted,
    /// Cycles per instruction.
    Cpi,
    /// Instructions per cycle.
    Ipc,
    /// Uses of a cache, branches or translations.
    Accesses(Unit),
    /// Uses in vain.
    Misses(Unit),
    /// Uses in vain per thousand instructions.
    Mpki(Unit),
}

impl Metric {
    /// All that is counted on one core or on all, in the order in which it is shown.
    pub fn all() -> impl Iterator<Item = Self> {
        let counts = [Self::Instructions, Self::Operations, Self::Cycles, Self::Halted];
        let units = Unit::ALL.into_iter();
        counts.into_iter().chain([Self::Cpi, Self::Ipc]).chain(
            units.flat_map(|unit| [Self::Accesses(unit), Self::Misses(unit), Self::Mpki(unit)]),
        )
    }

    /// Those that tell most, for tables and comparisons: the latency and then what explains it.
    pub fn telling() -> impl Iterator<Item = Self> {
        [Self::Latency, Self::Instructions, Self::Cycles, Self::Cpi, Self::Ipc]
            .into_iter()
            .chain(Unit::ALL.map(Self::Mpki))
    }

    /// Its name in JSON and CSV; in JSON a dot is a step into an object.
    pub fn key(self) -> String {
        match self {
            Self::Latency => "latency_us".to_owned(),
            Self::Instructions => "instructions".to_owned(),
            Self::Operations => "operations".to_owned(),
            Self::Cycles => "cycles".to_owned(),
            Self::Halted => "halted".to_owned(),
            Self::Cpi => "cpi".to_owned(),
            Self::Ipc => "ipc".to_owned(),
            Self::Accesses(unit) => format!("{}.accesses", unit.key()),
            Self::Misses(unit) => format!("{}.misses", unit.key()),
            Self::Mpki(unit) => format!("{}.mpki", unit.key()),
        }
    }

    /// Its name for a person.
    pub fn title(self) -> String {
        let unit = |unit| match unit {
            Unit::L1i => "L1I",
            Unit::L1d => "L1D",
            Unit::L2 => "L2",
            Unit::L3 => "L3",
            Unit::Branches => "Branch",
            Unit::Itlb => "ITLB",
            Unit::Dtlb => "DTLB",
        };
        match self {
            Self::Latency => "Latency (µs)".to_owned(),
            Self::Instructions => "Instructions".to_owned(),
            Self::Operations => "Micro-operations".to_owned(),
            Self::Cycles => "Cycles".to_owned(),
            Self::Halted => "Halted cycles".to_owned(),
            Self::Cpi => "CPI".to_owned(),
            Self::Ipc => "IPC".to_owned(),
            Self::Accesses(Unit::Branches) => "Branches".to_owned(),
            Self::Misses(Unit::Branches) => "Mispredicted branches".to_owned(),
            Self::Accesses(of) => format!("{} accesses", unit(of)),
            Self::Misses(of) => format!("{} misses", unit(of)),
            Self::Mpki(of) => format!("{} MPKI", unit(of)),
        }
    }

    /// A value of it, with as many digits as it is worth.
    pub(super) fn show(self, value: f64) -> String {
        let digits = match self {
            Self::Cpi | Self::Ipc => 3,
            Self::Latency | Self::Mpki(_) => 2,
            _ => 0,
        };
        grouped(&format!("{value:.digits$}"))
    }

    /// Its value.
    pub fn of(self, measured: &Measured, scope: Scope) -> Option<f64> {
        let figures: &Figures = match scope {
            Scope::Core => &measured.core,
            Scope::All => &measured.all,
        };
        let whole = |count: Option<u64>| count.map(|count| count as f64);
        match self {
            Self::Latency => measured.latency_us,
            Self::Instructions => whole(figures.instructions),
            Self::Operations => whole(figures.operations),
            Self::Cycles => whole(figures.cycles),
            Self::Halted => whole(figures.halted),
            Self::Cpi => figures.cpi,
            Self::Ipc => figures.ipc,
            Self::Accesses(unit) => whole(figures.units.get(&unit)?.accesses),
            Self::Misses(unit) => whole(Some(figures.units.get(&unit)?.misses)),
            Self::Mpki(unit) => figures.units.get(&unit)?.mpki,
        }
    }
}
