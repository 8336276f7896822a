//! Finds runs on disk: in a run's directory, in a sweep's, or below.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, BufReader},
    path::{Path, PathBuf},
};

use fs_err as fs;
use serde::Deserialize;
use serde_json::Value;

use super::{
    Report, config,
    figures::{self, Statistics},
    record::{self, Record, Verdict},
    run::Run,
    stats,
};

/// How deep below a directory runs are looked for: `runs/IMAGE/FUNCTION` and one more.
const DEPTH: usize = 4;

/// Why a report could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or directory could not be read.
    #[error(transparent)]
    Disk(#[from] io::Error),
    /// A file is not what its name says.
    #[error("{path} is not what this version understands")]
    Record {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The statistics could not be read.
    #[error("{path} cannot be read")]
    Statistics {
        /// The file.
        path: PathBuf,
        /// Why.
        source: stats::Error,
    },
    /// There is no run in a directory.
    #[error("there is no run in {0}: no run.json and no sweep.json")]
    Nothing(PathBuf),
    /// A comparison needs two things of one kind.
    #[error("only two runs or two sweeps can be compared: {0}")]
    Incomparable(String),
}

/// `sweep.json`, as far as reports go.
#[derive(Debug, Deserialize)]
struct SweepFile {
    #[serde(default)]
    points: Vec<PointFile>,
}

/// A point of a sweep.
#[derive(Debug, Deserialize)]
struct PointFile {
    #[serde(default)]
    function: Option<String>,
    #[serde(default)]
    values: BTreeMap<String, Value>,
    #[serde(default)]
    command: Option<Value>,
}

/// What a directory that was given came to.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Group {
    /// What the report calls it: the directory's own name.
    pub name: String,
    /// Whether it is a sweep's.
    pub sweep: bool,
    /// The names of its runs, in order.
    pub runs: Vec<String>,
    /// Points of a sweep that have no record yet, by number.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
}

/// Reads all runs in some directories, in order. Names of directories are part of the report; of the paths to them only as much
/// as tells them apart.
///
/// # Errors
///
/// If a directory has no run in it, or a file of a run is not what it should be.
pub fn gather(dirs: &[PathBuf]) -> Result<Report, Error> {
    let mut report = Report::default();
    for (dir, name) in dirs.iter().zip(own_names(dirs)) {
        let sweep = dir.join("sweep.json").is_file();
        let (runs, missing) = if sweep {
            read_sweep(dir, &name)?
        } else {
            let mut found = Vec::new();
            find(dir, DEPTH, &mut found)?;
            (found.iter().map(|dir| run(dir)).collect::<Result<Vec<_>, _>>()?, Vec::new())
        };
        if runs.is_empty() && missing.is_empty() {
            return Err(Error::Nothing(dir.clone()));
        }
        let names = runs.iter().map(|run| run.name.clone()).collect();
        report.groups.push(Group { name, sweep, runs: names, missing });
        report.runs.extend(runs);
    }
    tell_apart(&mut report);
    Ok(report)
}

/// What directories are called: their own names, with as many of those above as it takes to tell them apart.
fn own_names(dirs: &[PathBuf]) -> Vec<String> {
    let whole = |dir: &PathBuf| fs::canonicalize(dir).unwrap_or_else(|_| dir.clone());
    let paths: Vec<Vec<String>> = dirs
        .iter()
        .map(|dir| {
            let parts = whole(dir);
            parts.iter().map(|part| part.to_string_lossy().into_owned()).collect()
        })
        .collect();
    let longest = paths.iter().map(Vec::len).max().unwrap_or_default();
    let names = |count: usize| -> Vec<String> {
        let end =
            |path: &Vec<String>| path.get(path.len().saturating_sub(count)..).map(|p| p.join("/"));
        paths.iter().filter_map(end).collect()
    };
    let apart = |names: &Vec<String>| names.iter().collect::<BTreeSet<_>>().len() == names.len();
    (1..=longest).map(names).find(apart).unwrap_or_else(|| {
        let numbered = (1..).zip(names(1)).map(|(n, name): (u64, _)| format!("{name} #{n}"));
        numbered.collect()
    })
}

/// Gives every run a name of its own: where functions are the same, with the directory, else with a number.
fn tell_apart(report: &mut Report) {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for run in &report.runs {
        *seen.entry(run.name.clone()).or_default() += 1;
    }
    let mut taken = BTreeSet::new();
    let mut runs = report.runs.iter_mut();
    for group in &mut report.groups {
        for (name, run) in group.runs.iter_mut().zip(&mut runs) {
            let again = seen.get(name).is_some_and(|count| *count > 1);
            let wanted = if again { format!("{name} ({})", group.name) } else { name.clone() };
            let numbered = (2..).map(|n: u64| format!("{wanted} #{n}"));
            let mut free = std::iter::once(wanted.clone()).chain(numbered);
            *name = free.find(|name| taken.insert(name.clone())).unwrap_or_default();
            run.name.clone_from(name);
        }
    }
}

/// The directories with a record, from `dir` down, in order of their names.
fn find(dir: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<(), Error> {
    if dir.join("run.json").is_file() {
        found.push(dir.to_owned());
        return Ok(());
    }
    let below = fs::read_dir(dir)?
        .filter_map(|entry| match entry {
            Ok(entry) if entry.file_type().is_ok_and(|kind| kind.is_dir()) => {
                Some(Ok(entry.path()))
            }
            Ok(_) => None,
            Err(error) => Some(Err(error)),
        })
        .collect::<Result<BTreeSet<_>, _>>()?;
    if depth > 0 {
        for dir in below {
            find(&dir, depth - 1, found)?;
        }
    }
    Ok(())
}

/// The run in a directory, named by its function.
fn run(dir: &Path) -> Result<Run, Error> {
    let record: Record = json(&dir.join("run.json"))?;
    let stats = dir.join("stats.txt");
    let statistics = match fs::File::open(&stats) {
        Ok(file) => figures::read(BufReader::with_capacity(1 << 18, file))
            .map_err(|source| Error::Statistics { path: stats, source })?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Statistics::default(),
        Err(error) => return Err(error.into()),
    };
    let mut run = Run::new(record.what().to_owned(), record, &statistics);
    let config = dir.join("config.json");
    if config.is_file() {
        run.describe(config::describe(&json(&config)?));
    }
    Ok(run)
}

/// The points of a sweep that have a record, and the numbers of those that have none.
fn read_sweep(dir: &Path, name: &str) -> Result<(Vec<Run>, Vec<String>), Error> {
    let file: SweepFile = json(&dir.join("sweep.json"))?;
    let (mut runs, mut missing) = (Vec::new(), Vec::new());
    for (place, point) in file.points.into_iter().enumerate() {
        let number = format!("{place:03}");
        let dir = dir.join("points").join(&number);
        let error = dir.join("error.txt");
        let mut run = if dir.join("run.json").is_file() {
            run(&dir)?
        } else if error.is_file() {
            let why = fs::read_to_string(&error)?;
            let why = why.lines().next().unwrap_or("it does not say why").to_owned();
            Run::new(String::new(), failed(&point, why), &Statistics::default())
        } else {
            missing.push(number);
            continue;
        };
        let mut values = BTreeMap::new();
        for (key, value) in &point.values {
            record::flatten(key, value, &mut values);
        }
        let what = point.function.unwrap_or_else(|| run.record.what().to_owned());
        run.name = format!("{name}/{number} {what}");
        run.sweep = Some(name.to_owned());
        run.point = Some(number);
        run.values = values;
        runs.push(run);
    }
    Ok((runs, missing))
}

/// The record of a point that ended before it could write one.
fn failed(point: &PointFile, why: String) -> Record {
    let call =
        point.function.clone().map(|function| record::Call { function, ..Default::default() });
    let words =
        |words: &[Value]| words.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" ");
    let command = point.command.as_ref().and_then(|command| match command {
        Value::String(text) => Some(text.clone()),
        Value::Array(list) => Some(words(list)),
        _ => None,
    });
    Record { call, command, verdict: Verdict::Bad(why), ..Record::default() }
}

fn json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, Error> {
    let bytes = fs::read(path)?;
    serde_json::from_slice(&bytes).map_err(|source| Error::Record { path: path.to_owned(), source })
}
