//! One row an invocation, for spreadsheets and R.

use std::collections::BTreeSet;

use super::{
    Report,
    metrics::{Metric, Scope},
    run::{Measured, Run},
};

/// The report as CSV (RFC 4180, but with plain line feeds): a line of names and then a row an invocation.
///
/// The columns are the same for every report, and empty where gem5 said nothing; after them comes one for each key that a sweep
/// varies. `core.` is the function's core, `all.` all of them.
pub fn csv(report: &Report) -> String {
    let keys: BTreeSet<&String> = report.runs.iter().flat_map(|run| run.values.keys()).collect();
    let heads = [
        "run",
        "image",
        "function",
        "sweep",
        "point",
        "invocation",
        "ticks",
        "latency_us",
        "faults",
    ];
    let mut head: Vec<String> = heads.map(str::to_owned).to_vec();
    for scope in ["core", "all"] {
        head.extend(Metric::all().map(|metric| format!("{scope}.{}", metric.key())));
    }
    head.extend(keys.iter().map(|key| (*key).clone()));
    let mut text = line(&head);
    for run in &report.runs {
        for one in &run.invocations {
            let mut row = facts(run, one);
            for scope in [Scope::Core, Scope::All] {
                row.extend(Metric::all().map(|metric| number(metric.of(one, scope))));
            }
            row.extend(keys.iter().map(|key| run.values.get(*key).cloned().unwrap_or_default()));
            text += &line(&row);
        }
    }
    text
}

fn facts(run: &Run, one: &Measured) -> Vec<String> {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let whole = |count: Option<u64>| count.map_or_else(String::new, |count| count.to_string());
    let function = run.record.call.as_ref().map(|call| call.function.clone());
    vec![
        run.name.clone(),
        run.record.image.clone(),
        function.unwrap_or_default(),
        text(&run.sweep),
        text(&run.point),
        whole(one.n),
        whole(one.ticks),
        number(one.latency_us),
        run.record.faults.iter().map(|fault| fault.name.as_str()).collect::<Vec<_>>().join(" "),
    ]
}

fn number(value: Option<f64>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

fn line(cells: &[String]) -> String {
    let cell = |cell: &String| match cell.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", cell.replace('"', "\"\"")),
        false => cell.clone(),
    };
    cells.iter().map(cell).collect::<Vec<_>>().join(",") + "\n"
}
