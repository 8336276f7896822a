//! What gem5's statistics are called, from 23 to 25, with the classic caches and with Ruby.
//!
//! Found in gem5's sources: `src/cpu/base.cc`, `src/cpu/*/`, `src/cpu/pred/bpred_unit.cc`, `src/arch/x86/tlb.cc`,
//! `src/mem/cache/base.cc`, `src/mem/ruby/structures/CacheMemory.cc`, `src/python/gem5/components/`. Several names may say the
//! same: each has a rank, and the lowest that is there is taken. A name that only shows that something exists counts nothing
//! but lets what gem5 left out be zero, since gem5 prints many counts only if they are not.

use super::figures::Unit;

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Counted {
    Instructions,
    Operations,
    Cycles,
    Halted,
    Accesses(Unit),
    Misses(Unit),
}

/// A name that means something to a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Name {
    /// Simulated ticks.
    Ticks,
    /// Ticks a second.
    Frequency,
    /// Something that belongs to a core of a processor.
    Core { core: Core, counted: Counted, rank: u8, counts: bool },
    /// Something of a cache that stands beside the cores.
    Cache {
        unit: Unit,
        number: Option<u32>,
        requestor: Option<Core>,
        counted: Counted,
        rank: u8,
        counts: bool,
    },
}

/// A core: the path of its processor, up to the number, and the number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Core {
    pub(super) processor: String,
    pub(super) number: u32,
}

/// What a statistic's name means, if it means anything to a report.
pub(super) fn understand(name: &str) -> Option<Name> {
    let (path, element) = match name.split_once("::") {
        Some((path, element)) => (path, Some(element)),
        None => (name, None),
    };
    match path {
        "simTicks" => return Some(Name::Ticks),
        "simFreq" => return Some(Name::Frequency),
        _ => (),
    }
    let (object, stat) = path.rsplit_once('.')?;
    if let Some(cache) = cache(object, stat, element) {
        return Some(cache);
    }
    let (core, rest) = core(path)?;
    let (counted, rank, counts) = of_core(rest, element)?;
    Some(Name::Core { core, counted, rank, counts })
}

/// The core that a path is about, and what of it.
fn core(path: &str) -> Option<(Core, &str)> {
    let mut start = 0;
    loop {
        let end = path.get(start..)?.find('.')? + start;
        let (segment, rest) = (path.get(start..end)?, path.get(end + 1..)?);
        let (base, number) = numbered(segment);
        let inner = rest.strip_prefix("core.");
        let plain = matches!(base, "cpu" | "cpus" | "switch_cpus");
        if plain || inner.is_some() {
            let processor = path.get(..start + base.len())?.to_owned();
            let number = number.unwrap_or_default();
            return Some((Core { processor, number }, inner.unwrap_or(rest)));
        }
        start = end + 1;
    }
}

/// A segment without the digits at its end, and their value.
fn numbered(segment: &str) -> (&str, Option<u32>) {
    let base = segment.trim_end_matches(|c: char| c.is_ascii_digit());
    (base, segment.get(base.len()..).and_then(|digits| digits.parse().ok()))
}

/// What a statistic within a core counts, its rank, and whether it counts or only shows that it could.
fn of_core(rest: &str, element: Option<&str>) -> Option<(Counted, u8, bool)> {
    use Counted::{Accesses, Cycles, Halted, Instructions, Misses, Operations};
    use Unit::{Branches, Dtlb, Itlb};

    let (object, stat) = rest.rsplit_once('.').unwrap_or(("", rest));
    let thread = object.strip_prefix("commitStats").is_some_and(|n| n.parse::<u8>().is_ok());
    let whole = matches!(element, None | Some("total" | "0"));
    let counted = match (object, stat) {
        ("", "numCycles") => (Cycles, 0),
        (_, "numInsts") if thread => (Instructions, 0),
        ("", "committedInsts") if whole => (Instructions, 1),
        ("exec_context.thread_0", "numInsts") => (Instructions, 2),
        ("thread_0", "numInsts") => (Instructions, 3),
        (_, "numOps") if thread => (Operations, 0),
        ("", "committedOps") if whole => (Operations, 1),
        ("exec_context.thread_0", "numOps") => (Operations, 2),
        ("thread_0", "numOps") => (Operations, 3),
        ("", "quiesceCycles") => (Halted, 0),
        ("exec_context.thread_0", "numIdleCycles") => (Halted, 1),
        // The o3 model counts a misprediction once, when the branch commits or would have; predictors also count others.
        ("commit", "branchMispredicts") => (Misses(Branches), 0),
        ("commit", "numCommittedDist") if element == Some("samples") => {
            return Some((Misses(Branches), 0, false));
        }
        ("branchPred", "mispredicted_0") if element == Some("total") => (Misses(Branches), 1),
        ("branchPred", "condIncorrect") => (Misses(Branches), 2),
        ("exec_context.thread_0", "numBranchMispred") => (Misses(Branches), 3),
        (_, "committedControl") if thread && element == Some("IsControl") => {
            (Accesses(Branches), 0)
        }
        ("commit", "branches") if whole => (Accesses(Branches), 1),
        ("branchPred", "committed_0") if element == Some("total") => (Accesses(Branches), 2),
        ("branchPred", "condPredicted") => (Accesses(Branches), 3),
        ("mmu.itb" | "itb", stat) => translation(Itlb, stat)?,
        ("mmu.dtb" | "dtb", stat) => translation(Dtlb, stat)?,
        _ => return None,
    };
    Some((counted.0, counted.1, true))
}

/// X86 counts reads and writes, and takes the fetch of an instruction for a write; Arm and RISC-V count them together.
fn translation(unit: Unit, stat: &str) -> Option<(Counted, u8)> {
    match stat {
        "rdAccesses" | "wrAccesses" => Some((Counted::Accesses(unit), 0)),
        "rdMisses" | "wrMisses" => Some((Counted::Misses(unit), 0)),
        "accesses" => Some((Counted::Accesses(unit), 1)),
        "misses" => Some((Counted::Misses(unit), 1)),
        _ => None,
    }
}

/// What a statistic of a cache counts.
fn cache(object: &str, stat: &str, element: Option<&str>) -> Option<Name> {
    let object = object.strip_suffix(".cache").unwrap_or(object);
    let (above, segment) = object.rsplit_once('.')?;
    let (unit, number) = cache_unit(segment)?;
    let number = number.or_else(|| number_above(above, unit));
    let (accesses, misses) = (Counted::Accesses(unit), Counted::Misses(unit));
    let (counted, rank, counts) = match stat {
        "demandMisses" | "demand_misses" | "m_demand_misses" => (misses, 0, true),
        "demandAccesses" | "demand_accesses" | "m_demand_accesses" => (accesses, 0, true),
        "overallMisses" | "overall_misses" => (misses, 1, true),
        "overallAccesses" | "overall_accesses" => (accesses, 1, true),
        "replacements" => (misses, 0, false),
        _ => return None,
    };
    let requestor = match element {
        None | Some("total") => None,
        Some(element) => Some(core(element)?.0),
    };
    Some(Name::Cache { unit, number, requestor, counted, rank, counts })
}

/// Which cache a segment names, and its number.
fn cache_unit(segment: &str) -> Option<(Unit, Option<u32>)> {
    let plain: String = segment.to_ascii_lowercase().replace(['-', '_'], "");
    let unit = |base: &str| match base.strip_suffix('s').unwrap_or(base) {
        "l1icache" | "icache" | "l1i" => Some(Unit::L1i),
        "l1dcache" | "dcache" | "l1d" => Some(Unit::L1d),
        "l2cache" | "l2" => Some(Unit::L2),
        "l3cache" | "l3" | "llc" => Some(Unit::L3),
        _ => None,
    };
    unit(&plain).map(|unit| (unit, None)).or_else(|| {
        let (base, number) = numbered(&plain);
        // `l2` and `l3` are names, not the second and third of something called `l`.
        unit(base).map(|unit| (unit, number))
    })
}

/// The number of the core, cluster or first controller in which a cache is. Banks of a shared cache have numbers too: not these.
fn number_above(above: &str, unit: Unit) -> Option<u32> {
    above.rsplit('.').find_map(|segment| {
        let (base, number) = numbered(segment);
        let private = base.starts_with("cpu") || base.starts_with("core") || base == "switch_cpus";
        (private || matches!(unit, Unit::L1i | Unit::L1d)).then_some(number).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str) -> Option<(String, u32, Counted, u8)> {
        match understand(name)? {
            Name::Core { core, counted, rank, .. } => {
                Some((core.processor, core.number, counted, rank))
            }
            _ => None,
        }
    }

    #[test]
    fn cores_are_found_wherever_they_are() {
        let instructions = |processor: &str, number, rank| {
            Some((processor.to_owned(), number, Counted::Instructions, rank))
        };
        for (name, wanted) in [
            (
                "board.processor.switch1.core.commitStats0.numInsts",
                instructions("board.processor.switch", 1, 0),
            ),
            (
                "board.processor.cores.core.commitStats0.numInsts",
                instructions("board.processor.cores", 0, 0),
            ),
            (
                "board.processor.detailed07.core.thread_0.numInsts",
                instructions("board.processor.detailed", 7, 3),
            ),
            ("system.cpu.committedInsts", instructions("system.cpu", 0, 1)),
            (
                "system.switch_cpus3.exec_context.thread_0.numInsts",
                instructions("system.switch_cpus", 3, 2),
            ),
            (
                "system.cpu_cluster.cpus1.commitStats0.numInsts",
                instructions("system.cpu_cluster.cpus", 1, 0),
            ),
            ("simInsts", None),
            ("board.processor.switch1.core.commitStats0.numIntInsts", None),
            ("board.processor.switch1.core", None),
        ] {
            assert_eq!(of(name), wanted, "{name}");
        }
    }

    #[test]
    fn caches_are_found_wherever_they_are() {
        let misses = |unit, number| Some((unit, number));
        for (name, wanted) in [
            ("board.cache_hierarchy.l1i-cache-0.demandMisses::total", misses(Unit::L1i, Some(0))),
            ("board.cache_hierarchy.l2-cache-1.demandMisses::total", misses(Unit::L2, Some(1))),
            (
                "board.cache_hierarchy.l2-cache-1.cache.demandMisses::total",
                misses(Unit::L2, Some(1)),
            ),
            ("board.cache_hierarchy.l1dcaches.overallMisses::total", misses(Unit::L1d, None)),
            ("board.cache_hierarchy.l3-cache.demandMisses::total", misses(Unit::L3, None)),
            ("system.cpu1.icache.demandMisses::total", misses(Unit::L1i, Some(1))),
            ("system.cpu1.l2cache.demandMisses::total", misses(Unit::L2, Some(1))),
            ("system.l2.demandMisses::total", misses(Unit::L2, None)),
            ("b.ruby_system.l1_controllers1.L1Icache.m_demand_misses", misses(Unit::L1i, Some(1))),
            ("b.ruby_system.l2_controllers1.L2cache.m_demand_misses", misses(Unit::L2, None)),
            ("board.cache_hierarchy.l2-cache-1.prefetcher.demandMshrMisses", None),
            ("board.cache_hierarchy.iptw-cache-0.demandMisses::total", None),
            ("board.cache_hierarchy.l2buses0.demandMisses::total", None),
        ] {
            let found = understand(name).and_then(|name| match name {
                Name::Cache { unit, number, .. } => Some((unit, number)),
                _ => None,
            });
            assert_eq!(found, wanted, "{name}");
        }
    }

    #[test]
    fn a_shared_cache_counts_each_requestor() {
        let name = "board.cache_hierarchy.l3-cache.demandMisses::processor.switch1.core.data";
        let Some(Name::Cache { requestor: Some(core), .. }) = understand(name) else {
            panic!("the requestor is a core")
        };
        assert_eq!((core.processor.as_str(), core.number), ("processor.switch", 1));
        let prefetcher =
            "board.cache_hierarchy.l3-cache.demandMisses::cache_hierarchy.l2-cache-1.prefetcher";
        assert_eq!(understand(prefetcher), None);
    }
}
