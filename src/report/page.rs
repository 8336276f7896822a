//! The page: a report as one HTML file that needs nothing else, no script and no network.
//!
//! Each number is in a `data` element whose value is the number as the JSON has it; only its text is rounded.

use std::collections::{BTreeMap, BTreeSet};

use minijinja::{AutoEscape, Environment, Value, syntax::SyntaxConfig, value::Serde};
use serde::Serialize;

use super::{
    Report,
    chart::{grouped, short},
    compare::{Change, overall},
    metrics::{Metric, Scope},
    plots::{self, FEW, Plot},
    record::{FaultPlace, KnownFault, Stage},
    run::{Run, Spread},
};

/// A number as it is, and as it is shown.
#[derive(Debug, Clone, Serialize)]
struct Number {
    value: String,
    text: String,
}

/// A table's cell: text, or a number that may not be there.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
enum Cell {
    Text { text: String },
    Number { number: Option<Number> },
}

/// A table of figures.
#[derive(Debug, Clone, Serialize)]
struct Table {
    title: String,
    head: Vec<Head>,
    rows: Vec<Vec<Cell>>,
}

/// The head of a column.
#[derive(Debug, Clone, Serialize)]
struct Head {
    text: String,
    /// Whether there are words below, and no numbers.
    words: bool,
}

impl Table {
    fn new(title: impl Into<String>, head: &[String], rows: Vec<Vec<Cell>>) -> Self {
        let words = |column: usize| {
            rows.iter().all(|row| matches!(row.get(column), Some(Cell::Text { .. })))
        };
        let head = head.iter().enumerate();
        let head = head.map(|(column, text)| Head { text: text.clone(), words: words(column) });
        Self { title: title.into(), head: head.collect(), rows }
    }
}

#[derive(Debug, Serialize)]
struct Warning {
    /// Its words; every other piece is code.
    pieces: Vec<String>,
    /// Which runs say so; none if all do.
    runs: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Pair {
    what: String,
    figures: Table,
    parameters: Vec<[String; 3]>,
}

#[derive(Debug, Serialize)]
struct Compared {
    a: String,
    b: String,
    pairs: Vec<Pair>,
    only_a: Vec<String>,
    only_b: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Made {
    name: String,
    key: Option<String>,
    command: Option<String>,
}

#[derive(Debug, Serialize)]
struct Page<'a> {
    version: &'a str,
    title: String,
    subtitle: String,
    warnings: Vec<Warning>,
    comparison: Option<Compared>,
    plots: Vec<Plot>,
    results: Vec<Table>,
    invocations: Vec<Table>,
    unlisted: bool,
    common: BTreeMap<String, String>,
    differing: Option<Table>,
    made: Vec<Made>,
    stages: Vec<Table>,
    described: Vec<(String, &'a super::Described)>,
    faults: Vec<Table>,
    sources: BTreeMap<String, Vec<String>>,
    missing: Vec<String>,
}

/// The report as a page.
pub fn html(report: &Report) -> String {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    environment.set_syntax(syntax.expect("the delimiters are those of Jinja"));
    let page = Value::from(Serde(page(report)));
    let style = include_str!("page.css");
    let context = minijinja::context! { page, style };
    environment
        .render_str(include_str!("page.html"), context)
        .expect("the template uses only what a page has")
}

fn page(report: &Report) -> Page<'_> {
    let (common, differing) = parameters(&report.runs);
    let few = report.runs.len() <= FEW;
    let runs = report.runs.as_slice();
    Page {
        version: env!("CARGO_PKG_VERSION"),
        title: title(report),
        subtitle: subtitle(report, &common),
        warnings: warnings(runs),
        comparison: compared(report),
        plots: plots::plots(report),
        results: if few { runs.iter().map(portrait).collect() } else { vec![overview(runs)] },
        invocations: if few { runs.iter().map(invocations).collect() } else { Vec::new() },
        unlisted: !few,
        common,
        differing,
        made: runs.iter().map(made).collect(),
        stages: if few { runs.iter().filter_map(stages).collect() } else { Vec::new() },
        described: described(runs),
        faults: faults(runs),
        sources: sources(runs),
        missing: missing(report),
    }
}

fn title(report: &Report) -> String {
    if let Some(comparison) = &report.comparison {
        return format!("{} and {}", comparison.a, comparison.b);
    }
    let name = |name: &str| match report.run(name) {
        Some(run) if run.record.call.is_some() && !run.record.image.is_empty() => {
            format!("{name} in {}", run.record.image)
        }
        _ => name.to_owned(),
    };
    let words: Vec<String> = report
        .groups
        .iter()
        .map(|group| match group.runs.as_slice() {
            [only] if !group.sweep => name(only),
            _ => group.name.clone(),
        })
        .collect();
    words.join(", ")
}

/// In a line, what all runs have in common.
fn subtitle(report: &Report, common: &BTreeMap<String, String>) -> String {
    let get = |name: &str| common.get(name).cloned();
    let counted = |name: &str, one: &str, more: &str| {
        get(name)
            .map(|count| if count == "1" { format!("1 {one}") } else { format!("{count} {more}") })
    };
    let simulator = match get("gem5.version") {
        Some(version) => Some(format!("gem5 {version}")),
        None => get("on"),
    };
    let warm = get("call.warm").map(|warm| format!("{warm} to warm up"));
    let parts = [
        (report.runs.len() > 1).then(|| format!("{} runs", report.runs.len())),
        simulator,
        get("machine.cpu"),
        counted("cores", "core", "cores").or_else(|| counted("machine.cores", "core", "cores")),
        get("machine.clock"),
        warm,
        counted("call.invocations", "invocation", "invocations"),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" · ")
}

/// All warnings, each once, with the runs that it is about.
fn warnings(runs: &[Run]) -> Vec<Warning> {
    let mut all: Vec<(&String, Vec<String>)> = Vec::new();
    for run in runs {
        for text in &run.warnings {
            match all.iter_mut().find(|(known, _)| *known == text) {
                Some((_, names)) => names.push(run.name.clone()),
                None => all.push((text, vec![run.name.clone()])),
            }
        }
    }
    let warning = |(text, names): (&String, Vec<String>)| Warning {
        pieces: text.split('`').map(str::to_owned).collect(),
        runs: if names.len() == runs.len() { Vec::new() } else { names },
    };
    all.into_iter().map(warning).collect()
}

fn number(metric: Metric, value: f64) -> Number {
    Number { value: value.to_string(), text: metric.show(value) }
}

fn text(text: impl Into<String>) -> Cell {
    Cell::Text { text: text.into() }
}

fn figure(metric: Metric, value: Option<f64>) -> Cell {
    Cell::Number { number: value.map(|value| number(metric, value)) }
}

/// Something that was counted, and is no figure of a function.
fn plain(value: Option<f64>) -> Cell {
    let number = |value: f64| Number { value: value.to_string(), text: short(value) };
    Cell::Number { number: value.map(number) }
}

/// All figures of a run, one below the other.
fn portrait(run: &Run) -> Table {
    let core = run.core.map_or_else(|| "core".to_owned(), |core| format!("core {core}"));
    let core = format!("{core}, total");
    let heads = ["figure", &core, "mean", "median", "min", "max", "std. dev.", "all cores, total"];
    let metrics = std::iter::once(Metric::Latency).chain(Metric::all());
    let rows = metrics.filter_map(|metric| {
        let (own, all) = (metric.of(&run.total, Scope::Core), metric.of(&run.total, Scope::All));
        let spread = run.spread.get(&metric.key());
        own.or(all).or(spread.map(|spread| spread.mean))?;
        let of = |get: fn(&Spread) -> f64| figure(metric, spread.map(get));
        let deviation = spread.and_then(|spread| spread.deviation);
        let all = if metric == Metric::Latency { None } else { all };
        Some(vec![
            text(metric.title()),
            figure(metric, own),
            of(|spread| spread.mean),
            of(|spread| spread.median),
            of(|spread| spread.min),
            of(|spread| spread.max),
            figure(metric, deviation),
            figure(metric, all),
        ])
    });
    Table::new(&run.name, &heads.map(str::to_owned), rows.collect())
}

/// The metrics that any of some runs has.
fn there(runs: &[Run]) -> Vec<Metric> {
    Metric::telling()
        .filter(|metric| runs.iter().any(|run| overall(*metric, run).is_some()))
        .collect()
}

/// One row a run.
fn overview(runs: &[Run]) -> Table {
    let keys: BTreeSet<&String> = runs.iter().flat_map(|run| run.values.keys()).collect();
    let metrics = there(runs);
    let mut head = vec!["run".to_owned()];
    head.extend(keys.iter().map(|key| (*key).clone()));
    head.extend(metrics.iter().map(|metric| metric.title()));
    let row = |run: &Run| {
        let name = if run.good() { run.name.clone() } else { format!("{} (failed)", run.name) };
        let values = keys.iter().map(|key| text(run.values.get(*key).map_or("", String::as_str)));
        let figures = metrics.iter().map(|metric| figure(*metric, overall(*metric, run)));
        std::iter::once(text(name)).chain(values).chain(figures).collect()
    };
    Table::new("", &head, runs.iter().map(row).collect())
}

/// One row an invocation.
fn invocations(run: &Run) -> Table {
    let has =
        |metric: &Metric| run.invocations.iter().any(|one| metric.of(one, Scope::Core).is_some());
    let metrics: Vec<Metric> = Metric::telling().filter(has).collect();
    let mut head = vec!["invocation".to_owned()];
    head.extend(metrics.iter().map(|metric| metric.title()));
    let row = |(place, one): (usize, &super::run::Measured)| {
        let n = one.n.map_or_else(|| place.to_string(), |n| n.to_string());
        let figures = metrics.iter().map(|metric| figure(*metric, metric.of(one, Scope::Core)));
        std::iter::once(text(n)).chain(figures).collect()
    };
    let rows = run.invocations.iter().enumerate().map(row).collect();
    Table::new(&run.name, &head, rows)
}

fn compared(report: &Report) -> Option<Compared> {
    let comparison = report.comparison.as_ref()?;
    let (a, b) = match comparison.pairs.as_slice() {
        [only] => (only.a.clone(), only.b.clone()),
        _ => (comparison.a.clone(), comparison.b.clone()),
    };
    let head = ["figure", &a, &b, "difference", "%"].map(str::to_owned).to_vec();
    let row = |change: &Change| {
        let Change { metric, a, b, difference, percent, .. } = change;
        let mut difference = number(*metric, *difference);
        let plus = |value: f64, number: &mut Number| {
            if value > 0.0 && number.text.contains(|c: char| ('1'..='9').contains(&c)) {
                number.text.insert(0, '+');
            }
        };
        plus(change.difference, &mut difference);
        let percent = percent.map(|percent| {
            let shown = grouped(&format!("{percent:.1}"));
            let mut number = Number { value: percent.to_string(), text: shown };
            plus(percent, &mut number);
            number
        });
        vec![
            text(metric.title()),
            figure(*metric, Some(*a)),
            figure(*metric, Some(*b)),
            Cell::Number { number: Some(difference) },
            Cell::Number { number: percent },
        ]
    };
    let pair = |pair: &super::compare::Pair| Pair {
        what: pair.what.clone(),
        figures: Table::new("", &head, pair.figures.iter().map(row).collect()),
        parameters: pair
            .parameters
            .iter()
            .map(|parameter| {
                let value =
                    |value: &Option<String>| value.clone().unwrap_or_else(|| "–".to_owned());
                [parameter.name.clone(), value(&parameter.a), value(&parameter.b)]
            })
            .collect(),
    };
    let pairs = comparison.pairs.iter().map(pair).collect();
    let (only_a, only_b) = (comparison.only_a.clone(), comparison.only_b.clone());
    Some(Compared { a, b, pairs, only_a, only_b })
}

/// The parameters that all runs have in common, and a table of the others.
fn parameters(runs: &[Run]) -> (BTreeMap<String, String>, Option<Table>) {
    // A point that failed before it had a record says nothing of what made it.
    let runs: Vec<&Run> = runs.iter().filter(|run| !run.record.on.is_empty()).collect();
    let all: Vec<_> = runs.iter().map(|run| run.record.parameters()).collect();
    let names: BTreeSet<&String> = all.iter().flat_map(|one| one.keys()).collect();
    let (mut common, mut differing) = (BTreeMap::new(), Vec::new());
    for name in names {
        let first = all.first().and_then(|one| one.get(name));
        match first {
            Some(value) if all.iter().all(|one| one.get(name) == Some(value)) => {
                common.insert(name.clone(), value.clone());
            }
            _ => differing.push(name.clone()),
        }
    }
    if differing.is_empty() {
        return (common, None);
    }
    let row = |(run, one): (&&Run, &BTreeMap<String, String>)| {
        let values = differing.iter().map(|name| text(one.get(name).map_or("–", String::as_str)));
        std::iter::once(text(run.name.clone())).chain(values).collect()
    };
    let rows = runs.iter().zip(&all).map(row).collect();
    let head: Vec<String> = std::iter::once("run".to_owned()).chain(differing.clone()).collect();
    (common, Some(Table::new("", &head, rows)))
}

fn made(run: &Run) -> Made {
    let Run { name, record, .. } = run;
    Made { name: name.clone(), key: record.key.clone(), command: record.command.clone() }
}

/// The simulations that a run was made of.
fn stages(run: &Run) -> Option<Table> {
    let heads =
        ["stage", "processor", "from the store", "ticks", "instructions", "host seconds", "output"];
    let row = |stage: &Stage| {
        vec![
            text(stage.stage.clone()),
            text(stage.cpu.clone().unwrap_or_default()),
            text(if stage.reused { "yes" } else { "no" }),
            plain(stage.ticks.map(|ticks| ticks as f64)),
            plain(stage.instructions.map(|instructions| instructions as f64)),
            plain(stage.host_seconds),
            text(stage.output.clone().unwrap_or_default()),
        ]
    };
    let rows: Vec<_> = run.record.stages.iter().map(row).collect();
    (!rows.is_empty()).then(|| Table::new(&run.name, &heads.map(str::to_owned), rows))
}

/// What gem5 says of its machine: once, if it is the same for all runs, and not at all for many runs that differ.
fn described(runs: &[Run]) -> Vec<(String, &super::Described)> {
    let mut told = runs.iter().filter(|run| !run.described.is_empty());
    match told.next() {
        None => Vec::new(),
        Some(first) if told.all(|run| run.described == first.described) => {
            vec![(String::new(), &first.described)]
        }
        Some(_) if runs.len() > FEW => Vec::new(),
        Some(_) => runs.iter().map(|run| (run.name.clone(), &run.described)).collect(),
    }
}

/// What gem5 is known to compute wrongly: once, if it is the same for all runs.
fn faults(runs: &[Run]) -> Vec<Table> {
    let mut told: Vec<(Vec<&str>, &[KnownFault])> = Vec::new();
    for run in runs.iter().filter(|run| !run.record.faults.is_empty()) {
        match told.iter_mut().find(|(_, faults)| *faults == run.record.faults.as_slice()) {
            Some((names, _)) => names.push(&run.name),
            None => told.push((vec![&run.name], &run.record.faults)),
        }
    }
    let head = ["fault", "gem5", "a processor", "comes to", "where"].map(str::to_owned);
    let table = |(names, faults): (Vec<&str>, &[KnownFault])| {
        let title = if names.len() == runs.len() { String::new() } else { names.join(", ") };
        let row = |fault: &KnownFault| {
            let when = if fault.wrong == "data" { ", for some values" } else { "" };
            vec![
                text(fault.name.clone()),
                text(fault.gem5.clone()),
                text(fault.hardware.clone()),
                text(format!("{}{when}", harm(&fault.harm))),
                text(places(&fault.places)),
            ]
        };
        Table::new(title, &head, faults.iter().map(row).collect())
    };
    told.into_iter().map(table).collect()
}

/// What comes of a fault.
fn harm(word: &str) -> &str {
    match word {
        "crash" => "the simulation ends",
        "values" => "wrong results or addresses",
        "flags" => "wrong flags",
        "nan" => "another NaN",
        other => other,
    }
}

/// A few files that have a fault, and how many more there are.
fn places(places: &[FaultPlace]) -> String {
    const SHOWN: usize = 5;
    let place = |place: &FaultPlace| match place.containers.as_slice() {
        [] => format!("{} ({})", place.path, place.functions),
        containers => format!("{}: /{} ({})", containers.join(", "), place.path, place.functions),
    };
    let shown: Vec<String> = places.iter().take(SHOWN).map(place).collect();
    let more = places.len() - shown.len();
    match more {
        0 => shown.join("; "),
        _ => format!("{}; and {more} more", shown.join("; ")),
    }
}

/// Which statistics of gem5 the figures were made from.
fn sources(runs: &[Run]) -> BTreeMap<String, Vec<String>> {
    let mut all: BTreeMap<String, BTreeSet<&String>> = BTreeMap::new();
    for (figure, names) in runs.iter().flat_map(|run| &run.sources) {
        all.entry(figure.clone()).or_default().extend(names);
    }
    all.into_iter().map(|(figure, names)| (figure, names.into_iter().cloned().collect())).collect()
}

/// Points of sweeps that have no record.
fn missing(report: &Report) -> Vec<String> {
    let of = |group: &super::Group| {
        group.missing.iter().map(|point| format!("{}/{point}", group.name)).collect::<Vec<_>>()
    };
    report.groups.iter().flat_map(of).collect()
}
