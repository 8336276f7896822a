//! Two runs or two sweeps beside each other, with their differences.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    Report,
    gather::{Error, Group},
    metrics::{Metric, Scope},
    run::Run,
};

/// Two runs or two sweeps beside each other.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// The name of the first.
    pub a: String,
    /// The name of the second.
    pub b: String,
    /// The runs of both that belong together.
    pub pairs: Vec<Pair>,
    /// Runs of the first that have no counterpart.
    pub only_a: Vec<String>,
    /// Runs of the second that have none.
    pub only_b: Vec<String>,
}

/// Two runs of the same.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Pair {
    /// What both are: the function, and the values of a sweep's point.
    pub what: String,
    /// The name of the first.
    pub a: String,
    /// The name of the second.
    pub b: String,
    /// What made them, where it differs.
    pub parameters: Vec<Parameter>,
    /// The figures of the function's core over all invocations; of the latency the mean.
    pub figures: Vec<Change>,
}

/// A parameter that two runs do not have in common.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Parameter {
    /// Its dotted name.
    pub name: String,
    /// Its value in the first run; none where it is not set.
    pub a: Option<String>,
    /// Its value in the second.
    pub b: Option<String>,
}

/// How a figure changed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// Which figure, as in a run.
    pub figure: String,
    /// Its name for a person.
    #[serde(skip)]
    pub metric: Metric,
    /// Its value in the first run.
    pub a: f64,
    /// Its value in the second.
    pub b: f64,
    /// The second less the first.
    pub difference: f64,
    /// The difference in percent of the first; none if that is zero.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub percent: Option<f64>,
}

/// Compares the two groups of a report.
///
/// # Errors
///
/// If there are not two, or one is a sweep and the other is not.
pub fn compare(report: &Report) -> Result<Comparison, Error> {
    let incomparable = |why: &str| Error::Incomparable(why.to_owned());
    let [a, b] = report.groups.as_slice() else {
        return Err(incomparable(&format!("{} directories were given", report.groups.len())));
    };
    if a.sweep != b.sweep {
        return Err(incomparable("one is a sweep and the other is not"));
    }
    let (of_a, of_b) = (runs(report, a), runs(report, b));
    let mut comparison = Comparison {
        a: a.name.clone(),
        b: b.name.clone(),
        pairs: Vec::new(),
        only_a: Vec::new(),
        only_b: Vec::new(),
    };
    if let ([one], [other]) = (of_a.as_slice(), of_b.as_slice()) {
        comparison.pairs.push(pair(one, other));
        return Ok(comparison);
    }
    let mut others: BTreeMap<String, Vec<&Run>> = BTreeMap::new();
    for run in of_b.into_iter().rev() {
        others.entry(what(run)).or_default().push(run);
    }
    for run in of_a {
        match others.get_mut(&what(run)).and_then(Vec::pop) {
            Some(other) => comparison.pairs.push(pair(run, other)),
            None => comparison.only_a.push(run.name.clone()),
        }
    }
    comparison.only_b = others
        .into_values()
        .flat_map(|runs| runs.into_iter().rev())
        .map(|run| run.name.clone())
        .collect();
    Ok(comparison)
}

fn runs<'r>(report: &'r Report, group: &Group) -> Vec<&'r Run> {
    group.runs.iter().filter_map(|name| report.run(name)).collect()
}

/// What a run is of: the function, and the values of a sweep's point.
pub(super) fn what(run: &Run) -> String {
    let values = run.values.iter().map(|(key, value)| format!(", {key} = {value}"));
    format!("{}{}", run.record.what(), values.collect::<String>())
}

fn pair(a: &Run, b: &Run) -> Pair {
    let what_a = what(a);
    let what = if what_a == what(b) { what_a } else { format!("{what_a} and {}", what(b)) };
    Pair {
        what,
        a: a.name.clone(),
        b: b.name.clone(),
        parameters: parameters(a, b),
        figures: Metric::telling().filter_map(|metric| change(metric, a, b)).collect(),
    }
}

fn parameters(a: &Run, b: &Run) -> Vec<Parameter> {
    let (of_a, of_b) = (a.record.parameters(), b.record.parameters());
    let mut names: Vec<&String> = of_a.keys().chain(of_b.keys()).collect();
    names.sort();
    names.dedup();
    let differ = names.into_iter().filter(|name| of_a.get(*name) != of_b.get(*name));
    differ
        .map(|name| Parameter {
            name: name.clone(),
            a: of_a.get(name).cloned(),
            b: of_b.get(name).cloned(),
        })
        .collect()
}

fn change(metric: Metric, a: &Run, b: &Run) -> Option<Change> {
    let (a, b) = (overall(metric, a)?, overall(metric, b)?);
    let difference = b - a;
    let percent = (a != 0.0).then(|| difference * 100.0 / a);
    Some(Change { figure: metric.key(), metric, a, b, difference, percent })
}

/// A figure of a whole run: of the latency the mean of its invocations, of all else that of their sums.
pub(super) fn overall(metric: Metric, run: &Run) -> Option<f64> {
    match metric {
        Metric::Latency => run.spread.get(&metric.key()).map(|spread| spread.mean),
        _ => metric.of(&run.total, Scope::Core),
    }
}
