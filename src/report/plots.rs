//! Which charts a report has.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{
    Report,
    chart::{Bars, Lines, STYLES, Series, swatch},
    compare::{Comparison, overall},
    figures::Unit,
    metrics::{Metric, Scope},
    run::Run,
};

/// As many runs have their invocations drawn and listed; of more, a page would say nothing.
pub(super) const FEW: usize = 4;

/// A chart with its words.
#[derive(Debug, Serialize)]
pub(super) struct Plot {
    title: String,
    svg: String,
    legend: Vec<Entry>,
}

/// A series in a legend.
#[derive(Debug, Serialize)]
struct Entry {
    swatch: String,
    name: String,
}

impl Plot {
    fn new(title: String, svg: Option<String>, series: &[Series]) -> Option<Self> {
        let entry = |(style, series): (usize, &Series)| Entry {
            swatch: swatch(style),
            name: series.name.clone(),
        };
        let legend = match series {
            [_] => Vec::new(),
            several => several.iter().enumerate().map(entry).collect(),
        };
        Some(Self { title, svg: svg?, legend })
    }
}

/// The metrics that tell most in a plot.
fn plotted() -> impl Iterator<Item = Metric> {
    [Metric::Latency, Metric::Cpi]
        .into_iter()
        .chain([Unit::L1i, Unit::L1d, Unit::L2, Unit::L3, Unit::Branches].map(Metric::Mpki))
}

/// The charts of a report.
pub(super) fn plots(report: &Report) -> Vec<Plot> {
    let runs: Vec<&Run> = report.runs.iter().filter(|run| !run.invocations.is_empty()).collect();
    match &report.comparison {
        Some(comparison) if comparison.pairs.len() > 1 => return beside(report, comparison),
        _ => (),
    }
    if runs.len() <= FEW {
        let mut plots = invocations(&runs);
        plots.extend(misses(&runs));
        return plots;
    }
    match axis(&runs) {
        Some(key) => along(&runs, &key),
        None => bars(&runs),
    }
}

/// Lines over invocations, one for each run.
fn invocations(runs: &[&Run]) -> Vec<Plot> {
    let most = runs.iter().map(|run| run.invocations.len()).max().unwrap_or_default();
    if most < 2 {
        return Vec::new();
    }
    let numbers = runs.iter().max_by_key(|run| run.invocations.len());
    let name =
        |(place, n): (usize, Option<u64>)| n.map_or_else(|| place.to_string(), |n| n.to_string());
    let places: Vec<String> = numbers
        .map(|run| run.invocations.iter().map(|one| one.n).enumerate().map(name).collect())
        .unwrap_or_default();
    let plot = |metric: Metric| {
        let series: Vec<Series> = runs
            .iter()
            .map(|run| Series {
                name: run.name.clone(),
                values: run.invocations.iter().map(|one| metric.of(one, Scope::Core)).collect(),
            })
            .collect();
        let title = format!("{} of each invocation", metric.title());
        let axis = "invocation".to_owned();
        let lines = Lines { title: title.clone(), axis, places: places.clone(), series };
        Plot::new(title, lines.svg(), &lines.series)
    };
    [Metric::Latency, Metric::Cpi, Metric::Instructions].into_iter().filter_map(plot).collect()
}

/// Bars of all misses per thousand instructions, one for each run.
fn misses(runs: &[&Run]) -> Option<Plot> {
    let there = |metric: &Metric| runs.iter().any(|run| overall(*metric, run).is_some());
    let metrics: Vec<Metric> = Unit::ALL.map(Metric::Mpki).into_iter().filter(there).collect();
    let series: Vec<Series> = runs
        .iter()
        .map(|run| Series {
            name: run.name.clone(),
            values: metrics.iter().map(|metric| overall(*metric, run)).collect(),
        })
        .collect();
    let title = "Misses per thousand instructions".to_owned();
    let name = |metric: &Metric| metric.title().replace(" MPKI", "");
    let bars = Bars { title: title.clone(), places: metrics.iter().map(name).collect(), series };
    Plot::new(title, bars.svg(), &bars.series)
}

/// The key of a sweep that goes on the horizontal axis: the one with most values.
fn axis(runs: &[&Run]) -> Option<String> {
    let mut values: BTreeMap<&String, BTreeSet<&String>> = BTreeMap::new();
    for run in runs {
        for (key, value) in &run.values {
            values.entry(key).or_default().insert(value);
        }
    }
    let several = values.into_iter().filter(|(_, values)| values.len() > 1);
    // Of keys with as many values, the first by name.
    several.rev().max_by_key(|(_, values)| values.len()).map(|(key, _)| key.clone())
}

/// Lines along a sweep's axis: one for each function and choice of the other keys; a chart for each function if those are many.
fn along(runs: &[&Run], key: &str) -> Vec<Plot> {
    let mut places: Vec<String> = Vec::new();
    for value in runs.iter().filter_map(|run| run.values.get(key)) {
        if !places.contains(value) {
            places.push(value.clone());
        }
    }
    let lines: BTreeSet<String> = runs.iter().map(|run| others(run, key, true)).collect();
    let functions: BTreeSet<&str> = runs.iter().map(|run| run.record.what()).collect();
    if lines.len() <= STYLES || functions.len() == 1 {
        let plot = |metric| line_plot(runs, key, &places, metric, None);
        return plotted().filter_map(plot).collect();
    }
    let plot = |function: &&str| {
        let runs: Vec<&Run> =
            runs.iter().copied().filter(|run| run.record.what() == *function).collect();
        let metrics = [Metric::Latency, Metric::Cpi, Metric::Mpki(Unit::L2)].into_iter();
        let plot = |metric| line_plot(&runs, key, &places, metric, Some(function));
        metrics.filter_map(plot).collect::<Vec<_>>()
    };
    functions.iter().flat_map(plot).collect()
}

/// What tells a run's line from others.
fn others(run: &Run, key: &str, function: bool) -> String {
    let values = run.values.iter().filter(|(other, _)| *other != key);
    let values = values.map(|(key, value)| format!("{key} = {value}"));
    let function = function.then(|| run.record.what().to_owned());
    function.into_iter().chain(values).collect::<Vec<_>>().join(", ")
}

fn line_plot(
    runs: &[&Run],
    key: &str,
    places: &[String],
    metric: Metric,
    function: Option<&str>,
) -> Option<Plot> {
    let mut lines: Vec<Series> = Vec::new();
    for run in runs {
        let name = others(run, key, function.is_none());
        let place = run.values.get(key).and_then(|value| places.iter().position(|p| p == value));
        let series = match lines.iter_mut().find(|series| series.name == name) {
            Some(series) => series,
            None => {
                lines.push(Series { name, values: vec![None; places.len()] });
                lines.last_mut()?
            }
        };
        if let Some(value) = place.and_then(|place| series.values.get_mut(place)) {
            *value = overall(metric, run);
        }
    }
    let title = match function {
        Some(function) => format!("{function}: {}", metric.title()),
        None => metric.title(),
    };
    let chart = Lines {
        title: title.clone(),
        axis: key.to_owned(),
        places: places.to_vec(),
        series: lines,
    };
    Plot::new(title, chart.svg(), &chart.series)
}

/// Bars, one for each run, for runs that have no axis in common.
fn bars(runs: &[&Run]) -> Vec<Plot> {
    let places: Vec<String> = runs.iter().map(|run| run.name.clone()).collect();
    let plot = |metric: Metric| {
        let values = runs.iter().map(|run| overall(metric, run)).collect();
        let series = vec![Series { name: String::new(), values }];
        let bars = Bars { title: metric.title(), places: places.clone(), series };
        Plot::new(metric.title(), bars.svg(), &bars.series)
    };
    plotted().filter_map(plot).collect()
}

/// Bars of two, one pair for each thing that is compared.
fn beside(report: &Report, comparison: &Comparison) -> Vec<Plot> {
    let plot = |metric: Metric| {
        let values = |names: &mut dyn Iterator<Item = &String>| {
            names.map(|name| overall(metric, report.run(name)?)).collect::<Vec<_>>()
        };
        let pairs = &comparison.pairs;
        let series = vec![
            Series {
                name: comparison.a.clone(),
                values: values(&mut pairs.iter().map(|pair| &pair.a)),
            },
            Series {
                name: comparison.b.clone(),
                values: values(&mut pairs.iter().map(|pair| &pair.b)),
            },
        ];
        let places = pairs.iter().map(|pair| pair.what.clone()).collect();
        let bars = Bars { title: metric.title(), places, series };
        Plot::new(metric.title(), bars.svg(), &bars.series)
    };
    plotted().filter_map(plot).collect()
}
