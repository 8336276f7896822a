use std::{collections::BTreeMap, path::PathBuf};

use serde::Serialize;

use super::machine::{Cache, Parameter, Statistics};

/// Version of the JSON, as `harness/leg.py` has it.
const FORMAT: u32 = 2;

/// One start of gem5: what `harness/leg.py` reads. Paths are relative to the directory that gem5 is started in, so that
/// nothing of the host gets into what gem5 writes about itself.
#[derive(Debug, Clone, Serialize)]
pub struct Leg {
    pub(super) format: u32,
    pub(super) isa: &'static str,
    pub(super) kernel: &'static str,
    pub(super) disk: &'static str,
    /// The kernel's command line.
    pub cmdline: String,
    /// What the guest is told when it asks.
    pub words: String,
    /// A checkpoint to begin with.
    pub restore: Option<PathBuf>,
    pub(super) checkpoint: Option<PathBuf>,
    pub(super) until: Until,
    /// Cores.
    pub cores: u32,
    /// Clock of cores and caches.
    pub clock: String,
    /// Memory.
    pub memory: String,
    /// Kind of memory.
    pub dram: String,
    /// The model that begins.
    pub start: &'static str,
    /// The model that measures.
    pub measure: Option<&'static str>,
    /// Caches by name.
    pub caches: BTreeMap<String, Cache>,
    /// Sizes of out-of-order cores.
    pub o3: BTreeMap<String, Parameter>,
    /// What the statistics are of.
    pub stats: Statistics,
    /// How many invocations are measured.
    pub invocations: u64,
    /// The last tick.
    pub max_ticks: u64,
}

/// Where a leg ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Until {
    /// containerd is ready.
    Booted,
    /// The function is warm.
    Warm,
    /// The guest has ended.
    End,
}

/// Where gem5 finds things, and puts them, in the directory that it is started in.
pub(super) mod places {
    pub(in super::super) const LEG: &str = "leg.json";
    pub(in super::super) const KERNEL: &str = "vmlinux";
    pub(in super::super) const DISK: &str = "disk.img";
    pub(in super::super) const HARNESS: &str = "harness";
    pub(in super::super) const BEFORE: &str = "before";
    pub(in super::super) const OUT: &str = "out";
    pub(in super::super) const CHECKPOINT: &str = "checkpoint";
}

impl Leg {
    /// Where it ends.
    pub fn until(&self) -> Until {
        self.until
    }

    /// A leg that ends where `until` says; whatever else it has is to be set.
    pub fn new(until: Until) -> Self {
        let checkpoint = PathBuf::from(places::OUT).join(places::CHECKPOINT);
        Self {
            format: FORMAT,
            isa: "x86",
            kernel: places::KERNEL,
            disk: places::DISK,
            cmdline: String::new(),
            words: String::new(),
            restore: None,
            checkpoint: (until != Until::End).then_some(checkpoint),
            until,
            cores: 1,
            clock: String::new(),
            memory: String::new(),
            dram: String::new(),
            start: "atomic",
            measure: None,
            caches: BTreeMap::new(),
            o3: BTreeMap::new(),
            stats: Statistics::Invocation,
            invocations: 0,
            max_ticks: 0,
        }
    }
}
