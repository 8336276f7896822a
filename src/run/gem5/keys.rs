//! The keys of a machine, dotted as in `caches.l2.size`. They are those of [`Machine`] itself: what is listed here is what it
//! writes when nothing is left out.

use std::collections::BTreeMap;

use toml::{Table, Value};

use super::machine::{Cache, Machine, Parameter};

/// What kind of value a key has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A text in quotes.
    Text,
    /// A number that is not negative.
    Number,
}

/// Caches that a machine may have.
pub(super) const CACHES: [&str; 4] = ["l1i", "l1d", "l2", "l3"];
/// Kinds of memory, as `harness/machine.py` knows them; a test compares.
pub(super) const DRAM: [&str; 4] = ["ddr3-1600", "ddr3-2133", "ddr4-2400", "lpddr3-1600"];
/// Predictors of branches, as `harness/machine.py` knows them; a test compares.
pub(super) const BRANCH: [&str; 9] = [
    "local",
    "tournament",
    "bimode",
    "tage",
    "ltage",
    "tage-sc-l-8k",
    "tage-sc-l-64k",
    "perceptron-8k",
    "perceptron-64k",
];
/// Sizes of out-of-order cores, as `harness/machine.py` knows them; a test compares.
pub(super) const O3: [&str; 13] = [
    "rob",
    "iq",
    "lq",
    "sq",
    "int_regs",
    "fp_regs",
    "fetch_width",
    "width",
    "fetch_buffer",
    "fetch_queue",
    "fetch_to_decode",
    "rename_to_iew",
    "iew_to_commit",
];

/// All keys of a machine, `preset` among them.
pub fn all() -> BTreeMap<String, Kind> {
    let mut keys = BTreeMap::from([("preset".to_owned(), Kind::Text)]);
    leaves("", &Table::try_from(full()).expect("a machine is a table"), &mut keys);
    keys
}

/// A machine in which nothing is left out.
fn full() -> Machine {
    let cache = Cache { size: "32KiB".to_owned(), assoc: 8, latency: 1, mshrs: 4 };
    let size = |key: &str| (key.to_owned(), Parameter::Number(1));
    let branch = ("branch".to_owned(), Parameter::Name(BRANCH[0].to_owned()));
    let machine = Machine::parse("", &BTreeMap::new()).expect("every key has a default");
    Machine {
        caches: CACHES.map(|name| (name.to_owned(), cache.clone())).into(),
        o3: O3.iter().copied().map(size).chain([branch]).collect(),
        ..machine
    }
}

fn leaves(above: &str, table: &Table, keys: &mut BTreeMap<String, Kind>) {
    for (key, value) in table {
        let key = if above.is_empty() { key.clone() } else { format!("{above}.{key}") };
        match value {
            Value::Table(below) => leaves(&key, below, keys),
            Value::String(_) => {
                keys.insert(key, Kind::Text);
            }
            _ => {
                keys.insert(key, Kind::Number);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_of_a_machine_is_there() {
        let keys = all();
        for (key, kind) in [
            ("preset", Kind::Text),
            ("cpu", Kind::Text),
            ("cores", Kind::Number),
            ("stats", Kind::Text),
            ("max_ticks", Kind::Number),
            ("caches.l2.size", Kind::Text),
            ("caches.l3.mshrs", Kind::Number),
            ("o3.rob", Kind::Number),
            ("o3.branch", Kind::Text),
        ] {
            assert_eq!(keys.get(key), Some(&kind), "{key}");
        }
        assert_eq!(keys.len(), 10 + 4 * 4 + O3.len() + 1);
        full().check().unwrap();
    }

    /// The keys of a table in a file of Python, which begins with `NAME = {` and has a key a line.
    fn python<'p>(text: &'p str, name: &str) -> Vec<&'p str> {
        let begin = format!("\n{name} = {{\n");
        let table = text.split_once(&begin).unwrap().1.split_once("\n}\n").unwrap().0;
        let key =
            |line: &'p str| line.strip_prefix("    \"")?.split_once("\": ").map(|(key, _)| key);
        table.lines().filter_map(key).collect()
    }

    #[test]
    fn the_harness_knows_the_same_names() {
        let text = include_str!("../../../harness/machine.py");
        assert_eq!(python(text, "DRAM"), DRAM);
        assert_eq!(python(text, "BRANCH"), BRANCH);
        assert_eq!(python(text, "O3"), O3);
    }
}
