//! Makes the outputs of a plan exist: what is there is used, the rest is built.
//!
//! First a survey: from the goals down, which outputs are known and there, and which steps must be made. Then these
//! are made, many at once, each after those it needs. A step is recorded only when its output is in the store, so a
//! kill at any moment loses the steps under way and nothing else.

mod build;
mod challenge;
mod event;
mod image;
mod lay;
mod schedule;
mod survey;

use std::{
    collections::BTreeMap,
    io,
    path::Path,
    sync::{Mutex, PoisonError},
};

pub use build::{BuildError, Failed, SPEC};
pub use challenge::{Comparison, Disagreement, Here, challenge};
pub use event::{Event, How, Watch, Work};
pub use image::{DISK, ImageFile, KERNELS, Placed, place, placed};
pub use lay::{Error as LayError, lay};

pub use crate::sandbox::Status;

use crate::{
    digest::Digest,
    fetch::{self, Fetcher, Want},
    plan::{Derivation, Fetch, FetchFrom, Plan, StepId},
    sandbox,
    store::{self, Realisation, Store},
};
use schedule::{Lane, Lanes, Task};
use survey::Survey;

/// How many files are fetched at once.
const CONNECTIONS: usize = 6;

/// All that making things needs of the world.
#[derive(Clone, Copy)]
pub struct World<'a> {
    /// Where things are and go.
    pub store: &'a Store,
    /// Where bytes come from.
    pub fetcher: &'a Fetcher,
    /// The program that becomes the sandbox: vsbuild itself.
    pub helper: &'a Path,
    /// How many steps may keep a core busy at once, and how many processes a script may run.
    pub jobs: usize,
    /// Whether the sandbox of a failed script stays.
    pub keep_failed: bool,
}

/// Why not everything could be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be fetched.
    #[error("cannot fetch {name}")]
    Fetch {
        /// What it is.
        name: String,
        /// Why not.
        source: fetch::Error,
    },
    /// A step failed.
    #[error("cannot make {name}")]
    Build {
        /// What it is.
        name: String,
        /// Why not.
        source: BuildError,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The image could not be written.
    #[error(transparent)]
    Lay(#[from] LayError),
    /// The file system cannot hold what it should.
    #[error("cannot lay out the disk of {name}")]
    Layout {
        /// The image.
        name: String,
        /// Why not.
        source: crate::formats::ext4::Error,
    },
    /// The partition table cannot hold what it should.
    #[error("cannot partition the disk of {name}")]
    Partition {
        /// The image.
        name: String,
        /// Why not.
        source: crate::formats::disk::Error,
    },
    /// The same derivation gave other bytes before.
    #[error("{name} came out as {now}, but before, from the same inputs, as {before}")]
    Differs {
        /// What it is.
        name: String,
        /// The key of its derivation.
        key: Digest,
        /// The digest recorded before.
        before: Digest,
        /// The digest now.
        now: Digest,
    },
    /// A kernel's output lacks a file.
    #[error("the output of {kernel} has no file {file}")]
    NoKernel {
        /// The kernel's recipe.
        kernel: String,
        /// The missing file.
        file: String,
    },
    /// The disk failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// The outputs of a plan, as far as they were needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Realised {
    outputs: Vec<Option<Digest>>,
    /// How many steps had to be made or fetched.
    pub made: usize,
}

impl Realised {
    /// The output of a step: the digest of a tree, or of a blob for what is fetched; none if it is not known.
    pub fn output(&self, id: StepId) -> Option<Digest> {
        self.outputs.get(id.index()).copied().flatten()
    }

    /// A step with its inputs named by content, if they are known.
    pub fn derivation(&self, plan: &Plan, id: StepId) -> Option<Derivation<Digest>> {
        survey::resolve(&plan.step(id).derivation, &self.outputs)
    }
}

/// What is known of the outputs of a plan without making anything.
pub fn known(plan: &Plan, store: &Store) -> Result<Realised, Error> {
    let goals: Vec<StepId> = plan.recipes.values().copied().collect();
    let Survey { outputs, .. } = survey::survey(plan, &goals, store)?;
    Ok(Realised { outputs, made: 0 })
}

/// Makes the outputs of `goals` exist. Disks are not among them: see [`place`].
pub fn realise(
    plan: &Plan,
    goals: &[StepId],
    world: &World<'_>,
    watch: &dyn Watch,
) -> Result<Realised, Error> {
    let Survey { outputs, missing } = survey::survey(plan, goals, world.store)?;
    let made = missing.len();
    let bytes = missing.iter().filter_map(|id| fetch_of(plan, *id)).map(|fetch| fetch.size).sum();
    watch.see(Event::Begin { steps: made, bytes });
    let tasks: BTreeMap<StepId, Task> = missing
        .iter()
        .map(|&id| {
            let after = plan.step(id).needs().intersection(&missing).copied().collect();
            (id, Task { lane: lane(plan, id), after })
        })
        .collect();
    let outputs = Mutex::new(outputs);
    schedule::run(tasks, Lanes { network: CONNECTIONS, cores: world.jobs }, |id| {
        let digest = Maker { plan, world, watch, outputs: &outputs }.make(id)?;
        outputs.lock().unwrap_or_else(PoisonError::into_inner)[id.index()] = Some(digest);
        Ok::<_, Error>(())
    })?;
    let outputs = outputs.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(Realised { outputs, made })
}

/// Enters the sandbox of a failed script, as `keep_failed` left it in `dir`; gives the exit code of the shell.
pub fn enter(dir: &Path) -> Result<u8, Error> {
    let text = fs_err::read(dir.join(SPEC))?;
    let spec = serde_json::from_slice(&text).map_err(io::Error::from)?;
    let outcome = sandbox::shell(&spec)
        .map_err(|error| Error::Build { name: dir.display().to_string(), source: error.into() })?;
    Ok(match outcome.status {
        sandbox::Status::Exited(code) => u8::try_from(code).unwrap_or(u8::MAX),
        sandbox::Status::Killed(_) | sandbox::Status::TimedOut => u8::MAX,
    })
}

/// Where the fetcher finds something.
fn source(from: &FetchFrom) -> fetch::Source {
    match from.clone() {
        FetchFrom::Archive { archive, path } => fetch::Source::Archive { archive, path },
        FetchFrom::Registry { registry, repository, manifest } => {
            let what = if manifest { fetch::What::Manifest } else { fetch::What::Blob };
            fetch::Source::Registry { registry, repository, what }
        }
    }
}

fn fetch_of(plan: &Plan, id: StepId) -> Option<&Fetch> {
    match &plan.step(id).derivation {
        Derivation::Fetch(fetch) => Some(fetch),
        Derivation::Unpack(_)
        | Derivation::Packages(_)
        | Derivation::Run(_)
        | Derivation::Rootfs(_)
        | Derivation::Disk(_)
        | Derivation::OciImage(_)
        | Derivation::Function(_)
        | Derivation::Preload(_) => None,
    }
}

fn lane(plan: &Plan, id: StepId) -> Lane {
    match plan.step(id).derivation {
        Derivation::Fetch(_) => Lane::Network,
        Derivation::Run(_) => Lane::Script,
        Derivation::Unpack(_)
        | Derivation::Packages(_)
        | Derivation::Rootfs(_)
        | Derivation::Disk(_)
        | Derivation::OciImage(_)
        | Derivation::Function(_)
        | Derivation::Preload(_) => Lane::Core,
    }
}

/// Makes one step.
struct Maker<'a> {
    plan: &'a Plan,
    world: &'a World<'a>,
    watch: &'a dyn Watch,
    outputs: &'a Mutex<Vec<Option<Digest>>>,
}

impl Maker<'_> {
    fn make(&self, id: StepId) -> Result<Digest, Error> {
        let step = self.plan.step(id);
        let derivation = {
            let outputs = self.outputs.lock().unwrap_or_else(PoisonError::into_inner);
            survey::resolve(&step.derivation, &outputs)
        };
        let derivation = derivation.expect("a step is made after all that it needs");
        let work = match &derivation {
            Derivation::Fetch(_) => Work::Fetch,
            Derivation::Unpack(_) | Derivation::OciImage(_) => Work::Unpack,
            Derivation::Run(_) => Work::Build,
            Derivation::Packages(_)
            | Derivation::Rootfs(_)
            | Derivation::Disk(_)
            | Derivation::Function(_)
            | Derivation::Preload(_) => Work::Merge,
        };
        self.watch.see(Event::Start { id, work, name: &step.name });
        let (digest, how) = match &derivation {
            Derivation::Fetch(fetch) => self.fetch(id, &step.name, fetch)?,
            other => self.build(id, &step.name, other)?,
        };
        self.watch.see(Event::Done { id, how });
        Ok(digest)
    }

    fn fetch(&self, id: StepId, name: &str, fetch: &Fetch) -> Result<(Digest, How), Error> {
        let store = self.world.store;
        let _lease =
            store.lease(&fetch.sha256, &mut |pid| self.watch.see(Event::Waiting { id, pid }))?;
        if store.has_blob(&fetch.sha256) {
            return Ok((fetch.sha256, How::Found));
        }
        let source = source(&fetch.from);
        let want = Want { source, size: fetch.size, sha256: fetch.sha256 };
        let partial = store.partial(&fetch.sha256)?;
        let progress = |event: fetch::Progress<'_>| match event {
            fetch::Progress::Asked { from: now, .. } | fetch::Progress::Reached(now) => {
                self.watch.see(Event::Bytes { id, now });
            }
            fetch::Progress::Failed { url, why } => {
                self.watch.see(Event::Retry { id, why: format!("{url}: {why}") });
            }
            fetch::Progress::Waiting(_) => (),
        };
        self.world
            .fetcher
            .fetch(&want, &partial, &progress)
            .map_err(|source| Error::Fetch { name: name.to_owned(), source })?;
        store.adopt(&partial, &fetch.sha256)?;
        Ok((fetch.sha256, How::Made))
    }

    fn build(
        &self,
        id: StepId,
        name: &str,
        derivation: &Derivation<Digest>,
    ) -> Result<(Digest, How), Error> {
        let World { store, helper, jobs, keep_failed, .. } = *self.world;
        let key = derivation.key();
        let key = key.digest();
        let _lease = store.lease(key, &mut |pid| self.watch.see(Event::Waiting { id, pid }))?;
        let before = store.realisation(key)?.map(|made| made.output);
        if let Some(output) = before.filter(|output| store.has_tree(output)) {
            return Ok((output, How::Found));
        }
        let result = match derivation {
            Derivation::Unpack(unpack) => build::unpack(unpack, store),
            Derivation::Packages(packages) => build::packages(packages, store),
            Derivation::Rootfs(rootfs) => build::rootfs(rootfs, store),
            Derivation::OciImage(image) => build::oci_image(image, store),
            Derivation::Function(function) => build::function(function, store),
            Derivation::Preload(preload) => build::preload(preload, store),
            Derivation::Run(run) => {
                let host = build::Host { helper, jobs, keep_failed };
                build::run(run, &host, &store.log_path(key)?, store)
            }
            Derivation::Fetch(_) | Derivation::Disk(_) => {
                unreachable!("files are fetched and disks are placed, neither is built")
            }
        };
        let tree = result.map_err(|source| Error::Build { name: name.to_owned(), source })?;
        let output = store.put_tree(&tree)?;
        if let Some(before) = before.filter(|before| *before != output) {
            let (name, key) = (name.to_owned(), *key);
            return Err(Error::Differs { name, key, before, now: output });
        }
        let inputs = derivation.inputs().into_iter().copied().collect();
        store.record(key, &Realisation { name: name.to_owned(), output, inputs })?;
        Ok((output, How::Made))
    }
}
