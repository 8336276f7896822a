//! Runs as text for a person.

use std::time::Duration;

use super::printer;
use crate::run::{Latencies, Latency, Outcome, Record, Said, Stage, Verdict};

/// One thing that the guest said, as a few words.
pub(super) fn sentence(said: &Said) -> String {
    let stage = said.stage.name();
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    match said.stage {
        Stage::Output | Stage::Log | Stage::Error => format!("{stage}: {}", text(&said.text)),
        Stage::FunctionNetwork => {
            format!("{stage}: {} at {}", text(&said.name), text(&said.address))
        }
        Stage::FunctionPinned => format!(
            "{stage}: {} has core {}, the rest {}",
            text(&said.name),
            text(&said.cores),
            text(&said.rest)
        ),
        Stage::Invocation => {
            let (request, reply) = (text(&said.request), text(&said.reply));
            format!("wrong reply: `{request}` was answered with `{reply}`")
        }
        Stage::Invoked => format!(
            "{stage}: {} times, {} wrong",
            said.invocations.unwrap_or_default(),
            said.failed.unwrap_or_default()
        ),
        Stage::Init
        | Stage::Entropy
        | Stage::Mounted
        | Stage::Network
        | Stage::ContainerdStarted
        | Stage::ContainerdReady
        | Stage::ContainerStarted
        | Stage::ContainerExited
        | Stage::FunctionStarting
        | Stage::FunctionStarted
        | Stage::FunctionReady
        | Stage::WarmStarted
        | Stage::WarmEnded
        | Stage::FunctionStopped
        | Stage::ContainerdStopped
        | Stage::Exit => {
            let name = said.name.as_ref().map_or_else(String::new, |name| format!(": {name}"));
            let code = said.code.map_or_else(String::new, |code| format!(" with code {code}"));
            format!("{stage}{name}{code}")
        }
    }
}

/// The stages with their times, as a table, and what the container printed.
pub(super) fn stages(outcome: &Outcome) -> String {
    let mut lines = vec!["stage                 guest time      since before".to_owned()];
    let mut before = 0;
    let quiet = [Stage::Output, Stage::Log, Stage::Error, Stage::Invocation];
    for said in outcome.said.iter().filter(|said| !quiet.contains(&said.stage)) {
        let seconds = |us: u64| Duration::from_micros(us).as_secs_f64();
        let since = seconds(said.uptime_us.saturating_sub(before));
        lines.push(format!(
            "{:20}{:>10.3} s  {since:>12.3} s",
            said.stage.name(),
            seconds(said.uptime_us)
        ));
        before = said.uptime_us;
    }
    let output = outcome.output().map(|line| format!("output: {line}"));
    lines.extend(output);
    lines.join("\n")
}

/// One line a run, with latencies in guest time.
pub(super) fn table(records: &[Record]) -> String {
    let heads = ["function", "replies", "ready after", "min", "median", "p99", "max"];
    let mut rows = vec![heads.map(str::to_owned)];
    rows.extend(records.iter().map(row));
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<usize> = (0..heads.len()).filter_map(width).collect();
    let line = |row: &[String; 7]| {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| {
            let width = *width;
            if column < 2 { format!("{cell:width$}") } else { format!("{cell:>width$}") }
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn row(record: &Record) -> [String; 7] {
    let outcome = &record.outcome;
    let invoked = outcome.last(Stage::Invoked);
    let replies = match (&record.verdict, invoked) {
        (Verdict::Good, Some(said)) => format!("{} right", said.invocations.unwrap_or_default()),
        (Verdict::Bad(_), Some(said)) if said.failed.unwrap_or_default() > 0 => {
            format!("{} wrong", said.failed.unwrap_or_default())
        }
        _ => "failed".to_owned(),
    };
    let ready = outcome
        .last(Stage::FunctionReady)
        .map_or_else(dash, |said| printer::duration(Duration::from_micros(said.uptime_us)));
    let latencies = match invoked.and_then(|said| said.latency_ns) {
        Some(Latency::All(Latencies { min, median, p99, max, .. })) => {
            [min, median, p99, max].map(latency)
        }
        Some(Latency::One(_)) | None => std::array::from_fn(|_| dash()),
    };
    let [min, median, p99, max] = latencies;
    let name = record.call.as_ref().map_or_else(dash, |call| call.function.clone());
    [name, replies, ready, min, median, p99, max]
}

fn dash() -> String {
    "-".to_owned()
}

/// A short time for a person: `830 ns`, `12.3 us`, `4.56 ms`, `1.23 s`.
fn latency(nanoseconds: u64) -> String {
    let value = nanoseconds as f64;
    match nanoseconds {
        0..1_000 => format!("{nanoseconds} ns"),
        1_000..1_000_000 => format!("{:.1} us", value / 1e3),
        1_000_000..1_000_000_000 => format!("{:.2} ms", value / 1e6),
        _ => format!("{:.2} s", value / 1e9),
    }
}

/// What is said of a good run.
pub(super) fn praise(record: &Record) -> String {
    let took = printer::duration(Duration::from_secs_f64(record.outcome.host_seconds));
    let what = match &record.call {
        Some(call) => format!("{} replied rightly every time", call.function),
        None => "the container ran and said what it should".to_owned(),
    };
    format!("good: {what} ({took} on this host)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_have_the_unit_that_fits() {
        let words = [999, 1_500, 2_340_000, 3_210_000_000].map(latency);
        assert_eq!(words, ["999 ns", "1.5 us", "2.34 ms", "3.21 s"]);
    }
}
