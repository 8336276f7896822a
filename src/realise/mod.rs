//! Makes the outputs of a plan exist: what is there is used, what others have made is taken, the rest is built.
//!
//! First a survey: from the goals down, which outputs are known and there, and which steps must be made. Where there are
//! caches, these are asked about what is not known, and what is believed is recorded, with who says so; then what is known
//! but not here is brought, from the goals down. What remains must be made: steps are made, many at once, each after those it needs. A step is recorded only when its output is in the store, so a
//! kill at any moment loses the steps under way and nothing else.

mod build;
mod challenge;
mod event;
mod image;
mod lay;
mod schedule;
mod share;
mod substitute;
mod survey;
mod take;

use std::{
    collections::BTreeMap,
    io,
    path::Path,
    sync::{Mutex, PoisonError},
};

pub use build::{BuildError, Failed, Host, SPEC};
pub use challenge::{Comparison, Disagreement, Here, challenge};
pub use event::{Event, How, Watch, Work};
pub use image::{DISK, ImageFile, KERNELS, Placed, place, placed};
pub use lay::{Error as LayError, lay};
pub use share::{Shared, Stated, closure};
pub use take::{Inputs, Taken, take, take_inputs};

pub use crate::sandbox::Status;

use crate::{
    cache::{self, Answers, Substituters},
    digest::Digest,
    fetch::{self, Fetcher, Want},
    plan::{Derivation, Fetch, FetchFrom, Input, Plan, StepId},
    sandbox,
    store::{self, Realisation, Store},
    trust::Who,
};
use schedule::{Lane, Lanes, Task};
use substitute::Others;
use survey::Survey;
use take::Begun;

/// How many files are fetched at once.
const CONNECTIONS: usize = 6;

/// All that making things needs of the world.
#[derive(Clone, Copy)]
pub struct World<'a> {
    /// Where things are and go.
    pub store: &'a Store,
    /// Where bytes come from.
    pub fetcher: &'a Fetcher,
    /// Who may have made things already, and whom to believe; none if all is to be made here.
    pub substituters: Option<&'a Substituters>,
    /// What may be used of this machine.
    pub host: Host<'a>,
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
    /// Those who are trusted do not agree, and it is not for this program to choose.
    #[error("{name} came out differently for those who are trusted:{}", list(.sides))]
    Disagree {
        /// What it is.
        name: String,
        /// The key of its derivation.
        key: Digest,
        /// Who says that it came to what.
        sides: BTreeMap<Digest, Vec<Who>>,
    },
    /// Something cannot be shared that was never made.
    #[error("{name} is not made yet")]
    NotMade {
        /// What it is.
        name: String,
    },
    /// What others sent could not be taken in.
    #[error(transparent)]
    Cache(#[from] cache::Error),
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

fn list(sides: &BTreeMap<Digest, Vec<Who>>) -> String {
    let side = |(output, who): (&Digest, &Vec<Who>)| {
        let who: Vec<String> = who.iter().map(Who::to_string).collect();
        format!("\n  {output} for {}", who.join(" and "))
    };
    sides.iter().map(side).collect()
}

/// The outputs of a plan, as far as they were needed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Realised {
    outputs: Vec<Option<Digest>>,
    /// How many steps had to be made or fetched.
    pub made: usize,
    /// How many trees were brought from caches, in place of these and all that is below.
    pub substituted: usize,
    /// What others say of steps that were not known.
    answers: Answers,
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
    Ok(Realised { outputs, ..Realised::default() })
}

/// Makes the outputs of `goals` exist. Disks are not among them: see [`place`].
pub fn realise(
    plan: &Plan,
    goals: &[StepId],
    world: &World<'_>,
    watch: &dyn Watch,
) -> Result<Realised, Error> {
    let Begun { outputs, missing, substituted, others } =
        take::begin(plan, goals, world.store, world.substituters, watch)?;
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
    let lanes = Lanes { network: CONNECTIONS, cores: world.host.jobs };
    let maker = Maker { plan, world, watch, others: others.as_ref(), outputs: &outputs };
    schedule::run(tasks, lanes, |id| {
        let digest = maker.make(id)?;
        outputs.lock().unwrap_or_else(PoisonError::into_inner)[id.index()] = Some(digest);
        Ok::<_, Error>(())
    })?;
    let answers = others.map(Others::into_answers).unwrap_or_default();
    let outputs = outputs.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(Realised { outputs, made, substituted, answers })
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

/// Whether builders say what such a step came to: whatever is fetched has its digest for a name, and a package goes with
/// what is made of it.
fn is_stated(derivation: &Derivation<Input>) -> bool {
    match derivation {
        Derivation::Fetch(_) | Derivation::Unpack(_) => false,
        Derivation::Packages(_)
        | Derivation::Run(_)
        | Derivation::Rootfs(_)
        | Derivation::Disk(_)
        | Derivation::OciImage(_)
        | Derivation::Function(_)
        | Derivation::Preload(_) => true,
    }
}

/// The packages that a step is made of.
fn packages(plan: &Plan, id: StepId) -> impl Iterator<Item = StepId> + '_ {
    let needs = plan.step(id).needs().into_iter();
    needs.filter(|need| matches!(plan.step(*need).derivation, Derivation::Unpack(_)))
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
    others: Option<&'a Others<'a>>,
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
        let partial = store.partial(&fetch.sha256)?;
        if let Some(others) = self.others
            && others.input(id, fetch, &partial)?
        {
            store.adopt(&partial, &fetch.sha256)?;
            return Ok((fetch.sha256, How::Substituted));
        }
        let source = source(&fetch.from);
        let want = Want { source, size: fetch.size, sha256: fetch.sha256 };
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
        let World { store, host, .. } = *self.world;
        let key = derivation.key();
        let key = key.digest();
        let _lease = store.lease(key, &mut |pid| self.watch.see(Event::Waiting { id, pid }))?;
        let recorded = || Ok::<_, Error>(store.realisation(key)?.map(|made| made.output));
        match (recorded()?, self.others) {
            (Some(output), _) if store.has_tree(&output) => return Ok((output, How::Found)),
            // Its key was not known when others were asked, since it has an input that was made only now.
            (None, Some(others)) => {
                if let Some(output) = others.take(id, derivation)?
                    && others.pull_one(id, &output)?
                {
                    return Ok((output, How::Substituted));
                }
            }
            (Some(_) | None, _) => (),
        }
        let result = match derivation {
            Derivation::Unpack(unpack) => build::unpack(unpack, store),
            Derivation::Packages(packages) => build::packages(packages, store),
            Derivation::Rootfs(rootfs) => build::rootfs(rootfs, store),
            Derivation::OciImage(image) => build::oci_image(image, store),
            Derivation::Function(function) => build::function(function, store),
            Derivation::Preload(preload) => build::preload(preload, store),
            Derivation::Run(run) => build::run(run, &host, &store.log_path(key)?, store),
            Derivation::Fetch(_) | Derivation::Disk(_) => {
                unreachable!("files are fetched and disks are placed, neither is built")
            }
        };
        let tree = result.map_err(|source| Error::Build { name: name.to_owned(), source })?;
        let output = store.put_tree(&tree)?;
        // What is recorded may be what others say, and then it is told who they are.
        if let Some(others) = self.others {
            others.object(name, key, &output)?;
        }
        if let Some(before) = recorded()?.filter(|before| *before != output) {
            let (name, key) = (name.to_owned(), *key);
            return Err(Error::Differs { name, key, before, now: output });
        }
        let inputs = derivation.inputs().into_iter().copied().collect();
        let name = name.to_owned();
        store.record(key, &Realisation { name, output, inputs, vouched: Vec::new() })?;
        Ok((output, How::Made))
    }
}
