//! A script in the sandbox: its root and inputs as directories, its output as a tree.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use fs_err as fs;

use super::{BuildError, Failed};
use crate::{
    digest::Digest,
    path::GuestPath,
    plan::{Run, RunInput},
    sandbox,
    store::{self, Scratch, Store},
    tree::{Time, Tree},
};

/// Where a script finds its inputs.
const INPUTS: &str = "inputs";
/// Where a script leaves its output: a directory, empty at first.
const OUT: &str = "out";
/// Where a script starts: an empty directory that it may write.
const BUILD: &str = "build";
/// The environment that every script has, besides what its recipe and its inputs say.
const ENVIRONMENT: [(&str, &str); 5] = [
    ("HOME", "/build"),
    ("LC_ALL", "C"),
    ("PATH", "/usr/sbin:/usr/bin"),
    ("TZ", "UTC"),
    ("out", "/out"),
];
/// Lines of the log that a failure shows.
const TAIL: usize = 20;

/// What may be used of this machine; in no key.
#[derive(Debug, Clone, Copy)]
pub struct Host<'a> {
    /// The program that becomes the sandbox: vsbuild itself.
    pub helper: &'a Path,
    /// How many steps may keep a core busy at once, and how many processes a script may run.
    pub jobs: usize,
    /// Whether the sandbox of a failed script stays.
    pub keep_failed: bool,
}

/// Runs a script and takes its output into the store.
///
/// Root and inputs lie in one directory below the overlay, so the sandbox shows no path of the host; what the script
/// writes, to its inputs too, goes to the overlay and is dropped, but for its output.
pub(in crate::realise) fn build(
    run: &Run<Digest>,
    host: &Host<'_>,
    log: &Path,
    store: &Store,
) -> Result<Tree, BuildError> {
    let scratch = store.scratch()?;
    let lower = scratch.path().join("root");
    store.materialise(&store.tree(&run.root)?, &lower)?;
    fs::create_dir_all(lower.join(OUT))?;
    let fixed = ENVIRONMENT.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let mut env = BTreeMap::from(fixed);
    env.insert("JOBS".to_owned(), host.jobs.to_string());
    env.insert("SOURCE_DATE_EPOCH".to_owned(), run.epoch.to_string());
    env.extend(run.env.clone());
    for (name, input) in &run.inputs {
        let path = provide(name, input, &lower, store)?;
        env.insert(name.clone(), path);
    }
    let script = env.get(Run::<Digest>::SCRIPT).cloned().unwrap_or_default();
    let overlay = scratch.path().join("overlay");
    fs::create_dir(&overlay)?;
    let spec = sandbox::Spec {
        helper: host.helper.to_owned(),
        lower,
        scratch: overlay,
        binds: Vec::new(),
        program: GuestPath::new("usr/bin/sh")?,
        args: vec![script],
        env,
        cwd: GuestPath::new(BUILD)?,
        limits: sandbox::Limits::default(),
    };
    let outcome = sandbox::run(&spec, fs::File::create(log)?.into())?;
    if !outcome.is_success() {
        let failed = Failed {
            status: outcome.status,
            network_attempts: outcome.network_attempts,
            tail: tail(log)?,
            log: log.to_owned(),
            sandbox: kept(scratch, &spec, host.keep_failed)?,
        };
        return Err(BuildError::Failed(Box::new(failed)));
    }
    let output = spec.changed(&GuestPath::new(OUT)?);
    if !output.is_dir() {
        return Err(BuildError::NoOutput);
    }
    store.import(&output, Time::from_seconds(run.epoch)).map_err(|error| match error {
        store::Error::Foreign { path, what } => {
            let below = path.strip_prefix(&output).unwrap_or(&path);
            BuildError::OddOutput { path: Path::new("$out").join(below), what }
        }
        other => other.into(),
    })
}

/// Puts an input below `lower`, and says where a script finds it.
fn provide(
    name: &str,
    input: &RunInput<Digest>,
    lower: &Path,
    store: &Store,
) -> Result<String, BuildError> {
    let guest = GuestPath::new(INPUTS)?.join(name)?;
    let host = lower.join(INPUTS).join(name);
    match input {
        RunInput::Tree { tree, path } => {
            let tree = store.tree(tree)?;
            if tree.get(path).is_none() {
                let (layer, path) = (name.to_owned(), path.clone());
                return Err(BuildError::NotInLayer { layer, path });
            }
            store.materialise(&tree, &host)?;
            Ok(guest.concat(path)?.to_string())
        }
        RunInput::Text(text) => {
            fs::create_dir_all(lower.join(INPUTS))?;
            fs::write(&host, text)?;
            Ok(guest.to_string())
        }
    }
}

/// Keeps the sandbox of a failed script, with what [`sandbox::shell`] needs to enter it.
fn kept(scratch: Scratch, spec: &sandbox::Spec, keep: bool) -> Result<Option<PathBuf>, BuildError> {
    if !keep {
        return Ok(None);
    }
    let dir = scratch.keep()?;
    // Without the script as its argument, the shell asks a person what to do.
    let spec = sandbox::Spec { args: Vec::new(), ..spec.clone() };
    let text = serde_json::to_vec_pretty(&spec).map_err(std::io::Error::from)?;
    fs::write(dir.join(super::SPEC), text)?;
    Ok(Some(dir))
}

fn tail(log: &Path) -> Result<Vec<String>, BuildError> {
    let text = fs::read(log)?;
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    Ok(lines[lines.len().saturating_sub(TAIL)..].iter().map(|line| (*line).to_owned()).collect())
}
