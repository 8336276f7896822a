use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::keys::{BRANCH, CACHES, DRAM, O3};

/// The most memory that gem5's X86Board has room for below its devices.
const MOST_MEMORY: u64 = 3 << 30;

/// A machine to measure on, as its TOML says. Sizes are in `KiB`, `MiB` or `GiB`, clocks in `MHz` or `GHz`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// The processor model that measures.
    #[serde(default = "timing")]
    pub cpu: Cpu,
    /// Cores. With several, the function has the last one for itself.
    #[serde(default = "two")]
    pub cores: u32,
    /// The clock of cores and caches.
    #[serde(default = "clock")]
    pub clock: String,
    /// Memory.
    #[serde(default = "memory")]
    pub memory: String,
    /// The kind of memory: `ddr3-1600`, `ddr3-2133`, `ddr4-2400` or `lpddr3-1600`.
    #[serde(default = "dram")]
    pub dram: String,
    /// What boots and warms up.
    #[serde(default)]
    pub setup: Setup,
    /// Invocations on an atomic core, through the caches, before the measuring core takes over.
    #[serde(default = "one")]
    pub settle: u32,
    /// What the statistics are of.
    #[serde(default)]
    pub stats: Statistics,
    /// The last tick of the measurement, in picoseconds of simulated time; 0 if there is none.
    #[serde(default)]
    pub max_ticks: u64,
    /// Caches by name: `l1i`, `l1d` and perhaps `l2` for each core, perhaps `l3` for all.
    #[serde(default)]
    pub caches: BTreeMap<String, Cache>,
    /// Sizes of out-of-order cores, by the names in `harness/machine.py`.
    #[serde(default)]
    pub o3: BTreeMap<String, Parameter>,
}

/// A processor model of gem5.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cpu {
    /// An instruction a cycle, memory at once.
    Atomic,
    /// An instruction after the other, memory with time.
    Timing,
    /// In-order, with a pipeline.
    Minor,
    /// Out of order.
    O3,
}

/// What boots and warms up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Setup {
    /// KVM where it works, else atomic cores.
    #[default]
    Auto,
    /// The host's processor. Quick, but not the same twice.
    Kvm,
    /// gem5's atomic cores: the same everywhere.
    Atomic,
}

/// What the statistics are of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Statistics {
    /// Each invocation for itself.
    #[default]
    Invocation,
    /// All measured invocations together, with what is between them.
    Once,
}

/// A cache.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cache {
    /// Its size.
    pub size: String,
    /// Ways.
    #[serde(default = "ways")]
    pub assoc: u32,
    /// Cycles for tags, for data and for the way back.
    pub latency: u32,
    /// Misses under way at once.
    #[serde(default = "misses")]
    pub mshrs: u32,
}

/// A number, or the name of one of several things.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Parameter {
    /// A number.
    Number(u32),
    /// A name.
    Name(String),
}

fn timing() -> Cpu {
    Cpu::Timing
}

fn two() -> u32 {
    2
}

fn one() -> u32 {
    1
}

fn clock() -> String {
    "3GHz".to_owned()
}

fn memory() -> String {
    "2GiB".to_owned()
}

fn dram() -> String {
    "ddr4-2400".to_owned()
}

fn ways() -> u32 {
    8
}

fn misses() -> u32 {
    16
}

/// What is wrong with a machine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Mistake(String);

impl Machine {
    /// Reads a machine from its TOML. `preset = "NAME"` begins with a shipped machine, whose text `presets` gives; what
    /// stands beside it wins, key by key.
    pub fn parse(text: &str, presets: &BTreeMap<String, String>) -> Result<Self, Mistake> {
        let table = table(text)?;
        let machine = toml::Value::Table(with_preset(table, presets)?).try_into::<Self>();
        let machine = machine.map_err(|error| Mistake(error.message().to_owned()))?;
        machine.check()?;
        Ok(machine)
    }

    /// Looks for what gem5 would not take, or would take for something else.
    pub fn check(&self) -> Result<(), Mistake> {
        let memory = bytes(&self.memory).ok_or_else(|| not_a_size("memory", &self.memory))?;
        if memory > MOST_MEMORY {
            return Err(Mistake(format!("memory is {}: gem5's board takes 3GiB", self.memory)));
        }
        if self.cores == 0 {
            return Err(Mistake("cores is 0".to_owned()));
        }
        let digits = self.clock.strip_suffix("GHz").or_else(|| self.clock.strip_suffix("MHz"));
        if !digits.is_some_and(|digits| digits.parse::<f64>().is_ok_and(|clock| clock > 0.0)) {
            let clock = &self.clock;
            return Err(Mistake(format!("clock is {clock:?}: a number with MHz or GHz is needed")));
        }
        one_of("dram is", &self.dram, &DRAM)?;
        for (name, cache) in &self.caches {
            one_of("caches:", name, &CACHES)?;
            bytes(&cache.size).ok_or_else(|| not_a_size(name, &cache.size))?;
        }
        let first = ["l1i", "l1d"].iter().filter(|name| self.caches.contains_key(**name)).count();
        if !self.caches.is_empty() && first < 2 {
            return Err(Mistake("caches: l1i and l1d are both needed".to_owned()));
        }
        for (key, value) in &self.o3 {
            match (key.as_str(), value) {
                ("branch", Parameter::Name(name)) => one_of("o3.branch is", name, &BRANCH)?,
                ("branch", Parameter::Number(_)) => {
                    return Err(Mistake("o3.branch is a name".to_owned()));
                }
                (size, value) => {
                    one_of("o3:", size, &O3)?;
                    if !matches!(value, Parameter::Number(number) if *number > 0) {
                        return Err(Mistake(format!("o3.{size} is a number, and not 0")));
                    }
                }
            }
        }
        Ok(())
    }

    /// Its memory in bytes.
    pub fn memory_bytes(&self) -> u64 {
        bytes(&self.memory).unwrap_or_default()
    }
}

impl Cpu {
    /// As the harness spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Atomic => "atomic",
            Self::Timing => "timing",
            Self::Minor => "minor",
            Self::O3 => "o3",
        }
    }
}

fn table(text: &str) -> Result<toml::Table, Mistake> {
    text.parse().map_err(|error: toml::de::Error| Mistake(error.to_string().trim().to_owned()))
}

fn with_preset(
    mut given: toml::Table,
    presets: &BTreeMap<String, String>,
) -> Result<toml::Table, Mistake> {
    let Some(name) = given.remove("preset") else { return Ok(given) };
    let text = name.as_str().and_then(|name| presets.get(name)).ok_or_else(|| {
        let known: Vec<_> = presets.keys().map(String::as_str).collect();
        Mistake(format!("there is no preset {name}; there are {}", known.join(", ")))
    })?;
    let mut machine = table(text)?;
    overlay(&mut machine, given);
    Ok(machine)
}

fn overlay(below: &mut toml::Table, above: toml::Table) {
    for (key, value) in above {
        match (below.get_mut(&key), value) {
            (Some(toml::Value::Table(below)), toml::Value::Table(above)) => overlay(below, above),
            (_, value) => {
                below.insert(key, value);
            }
        }
    }
}

fn bytes(size: &str) -> Option<u64> {
    let (digits, shift) = [("KiB", 10), ("MiB", 20), ("GiB", 30)]
        .iter()
        .find_map(|(unit, shift)| Some((size.strip_suffix(unit)?, *shift)))?;
    let number: u64 = digits.parse().ok()?;
    number.checked_mul(1 << shift).filter(|bytes| *bytes > 0)
}

fn one_of(what: &str, name: &str, known: &[&str]) -> Result<(), Mistake> {
    if known.contains(&name) {
        return Ok(());
    }
    Err(Mistake(format!("{what} {name:?}, not one of {}", known.join(", "))))
}

fn not_a_size(what: &str, size: &str) -> Mistake {
    Mistake(format!("{what} is {size:?}: a number with KiB, MiB or GiB is needed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn presets() -> BTreeMap<String, String> {
        let simple = "cpu = \"timing\"\n[caches]\nl1i = { size = \"16KiB\", latency = 1 }\n\
                      l1d = { size = \"16KiB\", latency = 1 }\n";
        BTreeMap::from([("simple".to_owned(), simple.to_owned())])
    }

    #[test]
    fn a_preset_is_changed_key_by_key() {
        let text = "preset = \"simple\"\ncpu = \"o3\"\ncaches.l1d.size = \"64KiB\"\no3.rob = 96\n";
        let machine = Machine::parse(text, &presets()).unwrap();
        assert_eq!((machine.cpu, machine.cores), (Cpu::O3, 2));
        assert_eq!(machine.caches["l1d"].size, "64KiB");
        assert_eq!(machine.caches["l1d"].latency, 1);
        assert_eq!(machine.caches["l1i"].size, "16KiB");
        assert_eq!(machine.o3["rob"], Parameter::Number(96));
    }

    #[test]
    fn what_gem5_would_not_take_is_said_before() {
        let wrong = |text: &str| Machine::parse(text, &presets()).unwrap_err().to_string();
        assert!(wrong("memory = \"4GiB\"").contains("takes 3GiB"));
        assert!(wrong("memory = \"2GB\"").contains("KiB, MiB or GiB"));
        assert!(wrong("clock = \"3\"").contains("MHz or GHz"));
        assert!(wrong("cpu = \"o4\"").contains("o4"));
        assert!(wrong("core = 1").contains("core"));
        assert!(wrong("dram = \"ddr9\"").contains("lpddr3-1600"));
        assert!(wrong("o3.robs = 96").contains("\"robs\", not one of rob"));
        assert!(wrong("o3.rob = \"big\"").contains("a number"));
        assert!(wrong("o3.branch = \"oracle\"").contains("ltage"));
        assert!(wrong("o3.branch = 2").contains("a name"));
        assert!(wrong("preset = \"big\"").contains("there are simple"));
        assert!(wrong("caches.l1d = { size = \"1KiB\", latency = 1 }").contains("both"));
    }

    #[test]
    fn shipped_machines_are_machines() {
        for text in [
            include_str!("../../../harness/machines/simple.toml"),
            include_str!("../../../harness/machines/skylake.toml"),
        ] {
            Machine::parse(text, &BTreeMap::new()).unwrap();
        }
    }
}
