use serde::{Deserialize, Serialize};

/// One thing that the harness told in `events.jsonl`. The events are listed in `harness/course.py` and `harness/run.py`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// What happened: `heartbeat`, `booted`, `warm`, `work-begins`, …
    pub event: String,
    /// Simulated time in ticks: picoseconds.
    pub tick: u64,
    /// Instructions that all cores have committed since this start of gem5.
    pub insts: u64,
    /// Host seconds since this start of gem5.
    pub host: f64,
    /// The number of an invocation, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n: Option<u64>,
    /// An exit code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<u64>,
    /// The model that goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<String>,
    /// Why gem5 stopped where it should not have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
}
