//! `run.json` as a report needs it: what is not known is passed over and what is missing is left out, so that records of other
//! versions can be read too.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The record of a run, as far as reports go.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Which image.
    #[serde(default)]
    pub image: String,
    /// What it ran on: `gem5` or `qemu`.
    #[serde(default)]
    pub on: String,
    /// The key of the measurement in the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Every file that went in, by sha256.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, String>,
    /// The kernel's command line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cmdline: Option<String>,
    /// Memory of the guest in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
    /// Cores of the guest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cores: Option<u32>,
    /// Which function was called, and how.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<Call>,
    /// The simulated machine, key by key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<Value>,
    /// Which gem5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gem5: Option<Gem5>,
    /// The sha256 of the harness.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub harness: Option<String>,
    /// The simulations that the run was made of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stages: Vec<Stage>,
    /// The measured invocations.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub invocations: Vec<Invocation>,
    /// What a reader of the figures should know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// What this gem5 is known to compute wrongly and what was run has, the worst first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<KnownFault>,
    /// The command that makes the run again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// Whether the run was good.
    #[serde(default)]
    pub verdict: Verdict,
}

/// Something that a gem5 computes otherwise than a processor, and where the run has instructions of that kind.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct KnownFault {
    /// What the table of faults calls it.
    #[serde(default)]
    pub name: String,
    /// What gem5 does.
    #[serde(default)]
    pub gem5: String,
    /// What a processor does.
    #[serde(default)]
    pub hardware: String,
    /// `always`, or `data`: for some values only.
    #[serde(default)]
    pub wrong: String,
    /// What comes of it: `crash`, `values`, `flags` or `nan`.
    #[serde(default)]
    pub harm: String,
    /// Programs and libraries that have such instructions.
    #[serde(default)]
    pub places: Vec<FaultPlace>,
}

/// A program or a library.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct FaultPlace {
    /// Containers whose files it is among; none if it is the image's own, or the kernel.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub containers: Vec<String>,
    /// Its path there.
    #[serde(default)]
    pub path: String,
    /// How many such instructions it has.
    #[serde(default)]
    pub instructions: u64,
    /// The functions that they are in.
    #[serde(default)]
    pub functions: String,
}

/// How a function was called.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// Its name in the image.
    #[serde(default)]
    pub function: String,
    /// All else: `warm`, `invocations`, `input` and the like.
    #[serde(flatten)]
    pub how: BTreeMap<String, Value>,
}

/// Which gem5.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Gem5 {
    /// The sha256 of its program.
    #[serde(default)]
    pub sha256: String,
    /// What it says that it is.
    #[serde(default)]
    pub version: String,
}

/// One simulation of a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Stage {
    /// `boot`, `function` or `measure`.
    #[serde(default)]
    pub stage: String,
    /// The key of what it made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The digest of what it made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// Whether that was in the store already.
    #[serde(default)]
    pub reused: bool,
    /// Simulated ticks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticks: Option<u64>,
    /// Simulated instructions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instructions: Option<u64>,
    /// How long it took, in seconds of the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_seconds: Option<f64>,
    /// The processor model that it ended with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<String>,
}

/// A measured invocation, as the harness saw it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Invocation {
    /// Its number, from 0.
    #[serde(default)]
    pub n: u64,
    /// When it began, in ticks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begin_tick: Option<u64>,
    /// When it ended, in ticks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_tick: Option<u64>,
    /// Instructions of all cores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instructions: Option<u64>,
}

impl Invocation {
    /// How many ticks it took.
    pub fn ticks(&self) -> Option<u64> {
        self.end_tick?.checked_sub(self.begin_tick?)
    }
}

/// Whether a run was good.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It was.
    Good,
    /// It was not, and why.
    Bad(String),
    /// The record does not say.
    #[default]
    Unknown,
}

impl Record {
    /// The function that was called; the image, if it ran its own container.
    pub fn what(&self) -> &str {
        self.call.as_ref().map_or(&self.image, |call| &call.function)
    }

    /// Everything that made the figures, as dotted names with values: files, call, machine, gem5 and harness.
    ///
    /// The machine's core count and the like stay under `machine.`; keys of the store follow from all else and are not listed.
    pub fn parameters(&self) -> BTreeMap<String, String> {
        let mut all = BTreeMap::new();
        let mut put = |name: &str, value: Option<String>| {
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                all.insert(name.to_owned(), value);
            }
        };
        put("image", Some(self.image.clone()));
        put("on", Some(self.on.clone()));
        put("cmdline", self.cmdline.clone());
        put("memory", self.memory.map(|memory| memory.to_string()));
        put("cores", self.cores.map(|cores| cores.to_string()));
        put("harness", self.harness.clone());
        put("gem5.sha256", self.gem5.as_ref().map(|gem5| gem5.sha256.clone()));
        put("gem5.version", self.gem5.as_ref().map(|gem5| gem5.version.clone()));
        for (name, digest) in &self.files {
            put(&format!("files.{name}"), Some(digest.clone()));
        }
        if let Some(call) = &self.call {
            put("call.function", Some(call.function.clone()));
            for (name, value) in &call.how {
                flatten(&format!("call.{name}"), value, &mut all);
            }
        }
        if let Some(machine) = &self.machine {
            flatten("machine", machine, &mut all);
        }
        all
    }
}

/// A value's leaves with dotted names.
pub(super) fn flatten(name: &str, value: &Value, all: &mut BTreeMap<String, String>) {
    match value {
        Value::Null => (),
        Value::Object(fields) => {
            for (field, value) in fields {
                flatten(&format!("{name}.{field}"), value, all);
            }
        }
        Value::String(text) => {
            all.insert(name.to_owned(), text.clone());
        }
        other => {
            all.insert(name.to_owned(), other.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_of_another_version_can_be_read() {
        let record: Record =
            serde_json::from_str(r#"{"image": "hello", "verdict": "good"}"#).unwrap();
        assert_eq!((record.what(), &record.verdict), ("hello", &Verdict::Good));
        let text = r#"{"format": 9, "new": {}, "image": "f", "call": {"function": "aes-go", "warm": 3},
            "machine": {"cpu": "o3", "caches": {"l2": {"size": "1MiB", "assoc": 8}}}, "verdict": {"bad": "panic"}}"#;
        let record: Record = serde_json::from_str(text).unwrap();
        assert_eq!(record.what(), "aes-go");
        assert_eq!(record.verdict, Verdict::Bad("panic".to_owned()));
        let parameters = record.parameters();
        let get = |name: &str| parameters.get(name).map(String::as_str);
        assert_eq!(get("machine.caches.l2.size"), Some("1MiB"));
        assert_eq!(get("machine.caches.l2.assoc"), Some("8"));
        assert_eq!(get("call.warm"), Some("3"));
    }
}
