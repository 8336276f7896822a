//! gem5's own description of the machine, from `config.json`.
//!
//! It is a tree of objects, each with a `path` and a `type` (`src/python/m5/SimObject.py`). A report takes the few that a reader
//! asks about, so that it does not rest on what was asked of gem5 alone.

use std::collections::BTreeMap;

use serde_json::Value;

/// What gem5 says of processors, caches and clocks, in a few words each, by the object's path.
pub type Described = BTreeMap<String, String>;

/// The deepest object that is looked at; gem5's own nest about ten deep.
const DEPTH: usize = 64;

/// Takes what a report shows from a configuration.
pub fn describe(config: &Value) -> Described {
    let mut all = Described::new();
    walk(config, DEPTH, &mut all);
    all
}

fn walk(value: &Value, depth: usize, all: &mut Described) {
    let Some(depth) = depth.checked_sub(1) else { return };
    match value {
        Value::Array(list) => list.iter().for_each(|value| walk(value, depth, all)),
        Value::Object(fields) => {
            let text = |name: &str| fields.get(name).and_then(Value::as_str);
            if let (Some(path), Some(kind)) = (text("path"), text("type"))
                && let Some(words) = words(kind, value)
            {
                all.insert(path.to_owned(), words);
            }
            fields.values().for_each(|value| walk(value, depth, all));
        }
        _ => (),
    }
}

fn words(kind: &str, object: &Value) -> Option<String> {
    let number = |name: &str| object.get(name).and_then(Value::as_u64);
    if kind.ends_with("CPU") {
        return Some(kind.to_owned());
    }
    match kind {
        "Cache" => {
            let ways = number("assoc").map_or_else(String::new, |ways| format!(", {ways} ways"));
            Some(format!("cache, {}{ways}", size(number("size")?)))
        }
        "SrcClockDomain" => {
            let clock = object.get("clock")?;
            let ticks = clock.as_u64().or_else(|| clock.as_array()?.first()?.as_u64())?;
            Some(format!("clock, {ticks} ticks a cycle"))
        }
        _ => None,
    }
}

fn size(bytes: u64) -> String {
    match bytes {
        bytes if bytes >= 1 << 20 && bytes % (1 << 20) == 0 => format!("{} MiB", bytes >> 20),
        bytes if bytes >= 1 << 10 && bytes % (1 << 10) == 0 => format!("{} KiB", bytes >> 10),
        bytes => format!("{bytes} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn processors_caches_and_clocks_are_told_of() {
        let config = json!({ "board": { "type": "X86Board", "path": "board",
            "clk_domain": { "type": "SrcClockDomain", "path": "board.clk_domain", "clock": [333] },
            "processor": { "type": "BaseProcessor", "path": "board.processor", "switch": [
                { "core": { "type": "BaseO3CPU", "path": "board.processor.switch.core", "width": 4 } }
            ] },
            "cache": { "type": "Cache", "path": "board.l2", "size": 1_048_576, "assoc": 16 },
        } });
        let wanted = [
            ("board.clk_domain", "clock, 333 ticks a cycle"),
            ("board.l2", "cache, 1 MiB, 16 ways"),
            ("board.processor.switch.core", "BaseO3CPU"),
        ];
        let wanted = wanted.map(|(path, words)| (path.to_owned(), words.to_owned()));
        assert_eq!(describe(&config), Described::from(wanted));
    }
}
