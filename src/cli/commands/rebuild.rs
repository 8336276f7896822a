//! `verify --rebuild`: everything of ours a second time, with everything else changed, and where the first difference is.

use std::{
    io,
    os::unix::{
        fs::{MetadataExt, PermissionsExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
};

use fs_err as fs;
use walkdir::WalkDir;

use crate::{
    cli::{
        context::Context,
        problem::{Failure, Problem},
    },
    plan::{Derivation, Plan, StepId},
    project::VENDOR,
    realise::{self, Realised},
    recipe::Name,
    store::{Scratch, Store},
    tree::{self, Change, Tree},
};

/// Whom root builds as the second time: nobody.
const NOBODY: u32 = 65534;
/// What a copy of a project leaves out.
const LEFT_OUT: [&str; 5] = [".git", "out", "runs", "target", VENDOR];

/// A recipe that was built a second time, elsewhere.
pub(super) struct Second {
    pub(super) plan: Plan,
    pub(super) goals: Vec<StepId>,
    pub(super) store: Store,
    /// What is known after the second build, all of it, or as far as it came.
    pub(super) realised: Realised,
    status: ExitStatus,
    /// Where it is; the first store must stay open, or else another program sweeps its scratch space.
    _elsewhere: (Elsewhere, Scratch, Store),
}

/// Builds `name`, which is built, once more in another store, and compares step by step.
pub(super) fn run(
    context: &Context,
    name: &Name,
    scratch: Option<&Path>,
) -> Result<Second, Problem> {
    let store = context.store()?;
    let second = second(context, name, scratch)?;
    let first = realise::known(&second.plan, &store).map_err(|error| context.explain(error))?;
    let same = Same {
        plan: &second.plan,
        first: (&store, &first),
        second: (&second.store, &second.realised),
    };
    if let Some(difference) = same.first_difference(context)? {
        return Err(difference);
    }
    second.whole(name)
}

/// Builds `name` in another store, from the same fetched files and nothing else.
pub(super) fn second(
    context: &Context,
    name: &Name,
    scratch: Option<&Path>,
) -> Result<Second, Problem> {
    let store = context.store()?;
    let planned = context.plan(name.as_str(), &store)?;
    let goals = planned.goals();
    let failed = |error: io::Error| Problem::from_error(Failure::Other, &error);
    let own = store.scratch().map_err(|error| context.explain(error.into()))?;
    let parent = scratch.unwrap_or(own.path());
    let elsewhere = tempfile::Builder::new().prefix("second build ").tempdir_in(parent);
    let elsewhere = Elsewhere::new(elsewhere.map_err(failed)?.keep());
    let other = Store::open(&elsewhere.store()).map_err(|error| context.explain(error.into()))?;
    seed(context, &planned.plan, &goals, &store, &other)?;
    drop(other);
    let what = if planned.plan.images.contains_key(name) { "image" } else { "build" };
    let status = elsewhere.build(context, what, name).map_err(failed)?;
    let other = Store::open(&elsewhere.store()).map_err(|error| context.explain(error.into()))?;
    let plan = planned.plan;
    let realised = realise::known(&plan, &other).map_err(|error| context.explain(error))?;
    Ok(Second { plan, goals, store: other, realised, status, _elsewhere: (elsewhere, own, store) })
}

impl Second {
    /// The same, if the build ended well.
    pub(super) fn whole(self, name: &Name) -> Result<Self, Problem> {
        if self.status.success() {
            return Ok(self);
        }
        let message = format!("the second build of `{name}` failed; what it said stands above");
        Err(Problem::new(Failure::Build, message))
    }
}

/// Gives the second store the fetched files of the first, so that both start from the same inputs.
fn seed(
    context: &Context,
    plan: &Plan,
    goals: &[StepId],
    from: &Store,
    to: &Store,
) -> Result<(), Problem> {
    let failed = |error: crate::store::Error| context.explain(error.into());
    let (fetcher, substituters) = (context.fetcher()?, context.substituters()?);
    for id in plan.closure(goals.iter().copied()) {
        let Derivation::Fetch(fetch) = &plan.step(id).derivation else { continue };
        if !from.has_blob(&fetch.sha256) {
            // What is made of it was here, so it is not; collections remove what was only fetched.
            let world = context.world(from, &fetcher, substituters.as_ref(), false);
            realise::realise(plan, &[id], &world, &context.printer)
                .map_err(|error| context.explain(error))?;
        }
        let partial = to.partial(&fetch.sha256).map_err(failed)?;
        fs::copy(from.blob_path(&fetch.sha256), &partial)
            .map_err(|error| Problem::from_error(Failure::Other, &error))?;
        to.adopt(&partial, &fetch.sha256).map_err(failed)?;
    }
    Ok(())
}

/// A place for the second build, removed in the end.
struct Elsewhere(PathBuf);

impl Elsewhere {
    fn new(dir: PathBuf) -> Self {
        Self(dir)
    }

    fn store(&self) -> PathBuf {
        self.0.join("a store whose path is longer")
    }

    /// The same command again, with everything else changed that could have an influence but must not: project, store,
    /// home and working directory, user (where this is root), umask, locale, time zone, number of jobs, environment.
    fn build(&self, context: &Context, what: &str, name: &Name) -> io::Result<ExitStatus> {
        let (project, home) = (self.0.join("project"), self.0.join("home"));
        let (root, _) =
            context.project().map_err(|problem| io::Error::other(problem.to_string()))?;
        copy(&root.root, &project)?;
        fs::create_dir_all(&home)?;
        let helper = self.0.join("vsbuild");
        fs::copy(context.helper(), &helper)?;
        let mut command = Command::new(&helper);
        command
            .args([
                "--offline",
                "--no-substitute",
                "--jobs",
                &(context.jobs() + 1).to_string(),
                "--store",
            ])
            .arg(self.store())
            .arg("--project")
            .arg(&project)
            .args([what, name.as_str(), "--out"])
            .arg(home.join("out"))
            .current_dir(&home)
            .env_clear()
            .env("PATH", "/nonexistent")
            .env("HOME", &home)
            .env("USER", "somebody-else")
            .env("HOSTNAME", "another-host")
            .env("LC_ALL", "tr_TR.UTF-8")
            .env("TZ", "Asia/Kathmandu")
            .env("SOURCE_DATE_EPOCH", "1")
            .stdout(io::stderr());
        if rustix::process::geteuid().is_root() {
            if !has_nobody()? {
                context
                    .note("the second build runs as root too, since there is no other user here");
            } else if is_open(&self.0) {
                hand_over(&self.0)?;
                command.uid(NOBODY).gid(NOBODY);
            } else {
                let dir = self.0.display();
                context.note(&format!(
                    "the second build runs as root too, since others cannot enter {dir}"
                ));
            }
        }
        // The umask goes to the child; nothing is written here until it is set back.
        let umask = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
        let child = command.spawn();
        rustix::process::umask(umask);
        child?.wait()
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        // What stays behind takes room, but harms nothing.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Copies what a project has, without what is made of it.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let wanted = |entry: &walkdir::DirEntry| {
        entry.depth() == 0 || !LEFT_OUT.iter().any(|name| entry.file_name() == *name)
    };
    for entry in WalkDir::new(from).into_iter().filter_entry(wanted) {
        let entry = entry?;
        let place = to.join(entry.path().strip_prefix(from).unwrap_or(entry.path()));
        if entry.file_type().is_dir() {
            fs::create_dir_all(&place)?;
        } else if entry.file_type().is_symlink() {
            fs_err::os::unix::fs::symlink(fs::read_link(entry.path())?, &place)?;
        } else if entry.file_type().is_file() {
            fs::copy(entry.path(), &place)?;
        }
    }
    Ok(())
}

/// Whether there is the user that root would build as: in a namespace of one user there is not.
fn has_nobody() -> io::Result<bool> {
    // Lines of first user here, first user outside, how many (user_namespaces(7)).
    let map = fs::read_to_string("/proc/self/uid_map")?;
    let covers = |line: &str| {
        let mut words = line.split_whitespace().map(|word| word.parse::<u32>().ok());
        let (first, count) = (words.next()??, words.nth(1)??);
        Some((first..first.saturating_add(count)).contains(&NOBODY))
    };
    Ok(map.lines().any(|line| covers(line) == Some(true)))
}

/// Whether others can come to a directory.
fn is_open(dir: &Path) -> bool {
    let open =
        |dir: &Path| fs::metadata(dir).is_ok_and(|meta| meta.permissions().mode() & 0o001 != 0);
    dir.ancestors().skip(1).all(open)
}

/// Gives all that is in a directory to nobody.
fn hand_over(dir: &Path) -> io::Result<()> {
    for entry in WalkDir::new(dir) {
        let entry = entry?;
        if !entry.file_type().is_symlink() && entry.metadata()?.uid() != NOBODY {
            chown(entry.path(), Some(NOBODY), Some(NOBODY))?;
        }
    }
    Ok(())
}

/// Two builds of one plan.
struct Same<'a> {
    plan: &'a Plan,
    first: (&'a Store, &'a Realised),
    second: (&'a Store, &'a Realised),
}

impl Same<'_> {
    /// The first step, inputs before what is made of them, whose outputs differ though its inputs agree.
    fn first_difference(&self, context: &Context) -> Result<Option<Problem>, Problem> {
        for (id, step) in self.plan.iter() {
            let outputs = (self.first.1.output(id), self.second.1.output(id));
            let (Some(first), Some(second)) = outputs else { continue };
            if first == second {
                continue;
            }
            let mut message =
                format!("{} came out as {first} and, a second time, as {second}", step.name);
            if !matches!(step.derivation, Derivation::Disk(_)) {
                let tree = |store: &Store, digest| store.tree(digest);
                let trees = tree(self.first.0, &first)
                    .and_then(|one| Ok((one, tree(self.second.0, &second)?)));
                let (one, other) = trees.map_err(|error| context.explain(error.into()))?;
                message += &describe(&one, &other);
            }
            return Ok(Some(Problem::new(Failure::Mismatch, message)));
        }
        Ok(None)
    }
}

/// The first paths at which two trees differ.
fn describe(one: &Tree, other: &Tree) -> String {
    const READABLE: usize = 5;
    let differences = tree::diff(one, other);
    let mut text = String::new();
    for difference in differences.iter().take(READABLE) {
        let how = match &difference.change {
            Change::Added => "only in the second".to_owned(),
            Change::Removed => "only in the first".to_owned(),
            Change::Changed(fields) => fields.join(", "),
        };
        text += &format!("\n       {}: {how}", difference.path);
    }
    if differences.len() > READABLE {
        text += &format!("\n       and {} more paths", differences.len() - READABLE);
    }
    text
}
