//! The most telling figures as a table of plain text.

use super::{
    Report,
    compare::{Comparison, overall},
    metrics::Metric,
    run::Run,
};

/// One line a run; or one line a figure, for two runs that are compared, and one a pair for more.
pub fn text(report: &Report) -> String {
    match &report.comparison {
        Some(comparison) => differences(comparison),
        None => overview(&report.runs),
    }
}

fn overview(runs: &[Run]) -> String {
    let there = |metric: &Metric| runs.iter().any(|run| overall(*metric, run).is_some());
    let metrics: Vec<Metric> = Metric::telling().filter(there).collect();
    let head = std::iter::once("run".to_owned()).chain(metrics.iter().map(|metric| metric.title()));
    let row = |run: &Run| {
        let name = if run.good() { run.name.clone() } else { format!("{} (failed)", run.name) };
        let value = |metric: &Metric| {
            overall(*metric, run).map_or_else(|| "-".to_owned(), |value| plain(*metric, value))
        };
        std::iter::once(name).chain(metrics.iter().map(value)).collect()
    };
    table(std::iter::once(head.collect()).chain(runs.iter().map(row)).collect())
}

fn differences(comparison: &Comparison) -> String {
    let percent =
        |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |p| format!("{p:+.1} %"));
    match comparison.pairs.as_slice() {
        [pair] => {
            let head = ["figure", &pair.a, &pair.b, "difference"].map(str::to_owned).to_vec();
            let rows = pair.figures.iter().map(|change| {
                vec![
                    change.metric.title(),
                    plain(change.metric, change.a),
                    plain(change.metric, change.b),
                    percent(change.percent),
                ]
            });
            table(std::iter::once(head).chain(rows).collect())
        }
        pairs => {
            let metrics: Vec<Metric> = Metric::telling()
                .filter(|metric| {
                    pairs
                        .iter()
                        .flat_map(|pair| &pair.figures)
                        .any(|change| change.metric == *metric)
                })
                .collect();
            let head = std::iter::once(format!("{} to {}", comparison.a, comparison.b));
            let head = head.chain(metrics.iter().map(|metric| metric.title())).collect();
            let rows = pairs.iter().map(|pair| {
                let of = |metric: &Metric| {
                    let change = pair.figures.iter().find(|change| change.metric == *metric);
                    percent(change.and_then(|change| change.percent))
                };
                std::iter::once(pair.what.clone()).chain(metrics.iter().map(of)).collect()
            });
            table(std::iter::once(head).chain(rows).collect())
        }
    }
}

/// A number in characters that every terminal has.
fn plain(metric: Metric, value: f64) -> String {
    metric.show(value).replace('\u{202f}', " ").replace('\u{2212}', "-")
}

/// Columns side by side: the first to the left, the others to the right.
fn table(rows: Vec<Vec<String>>) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max()
    };
    let widths: Vec<usize> = (0..columns).filter_map(width).collect();
    let line = |row: &Vec<String>| {
        let cells =
            row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| match column {
                0 => format!("{cell:<width$}"),
                _ => format!("{cell:>width$}"),
            });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}
