//! `cache pull`: brings what others have made, and makes nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Read, Seek, SeekFrom},
    path::Path,
    process::ExitCode,
};

use fs_err as fs;
use serde_json::{Value, json};

use crate::{
    cache::{Cache, Source, Substituters},
    cli::{
        args::Pull as Args,
        context::{self, Context},
        explain, print, print_json, printer,
        problem::{Failure, Problem},
    },
    digest::Digest,
    path::GuestPath,
    plan::{Plan, StepId},
    realise::{self, DISK, Inputs, KERNELS, Realised, Taken},
    recipe::Name,
    store::Store,
    tree::Content,
};

/// How many names of steps are told.
const READABLE: usize = 8;

pub(super) fn run(context: &Context, args: &Args) -> Result<ExitCode, Problem> {
    let store = context.store()?;
    let (project, recipes) = context.project()?;
    let names: Vec<Name> =
        args.names.iter().map(|name| context.name(&recipes, name)).collect::<Result<_, _>>()?;
    let plan = context.lower(&project, &recipes, &names, &store)?;
    let goals = context::tops(&plan, &names);
    let cache = super::there(context, &args.from)?;
    let from = substituters(context, args)?;
    let failed = |error| context.explain(error);
    let Taken { realised, missing } =
        realise::take(&plan, &goals, &from, &store, &context.printer).map_err(failed)?;
    if !missing.is_empty() {
        return Err(lacking(cache.address(), &plan, &goals, &missing, &realised));
    }
    let mut brought = 0;
    if args.with_inputs {
        let Inputs { brought: count, lacking } =
            realise::take_inputs(&plan, &goals, &from, &store, &context.printer).map_err(failed)?;
        brought = count;
        if !lacking.is_empty() {
            let names = readable(lacking.iter().map(|id| plan.step(*id).name.as_str()));
            let count = printer::count(lacking.len(), "input");
            let message = format!("{} lacks {count}: {names}", cache.address());
            return Err(Problem::new(Failure::Fetch, message).help(
                "who has them sends them: vsbuild cache push NAME --to ADDRESS --with-inputs",
            ));
        }
    }
    let mut files = Vec::new();
    if args.with_images {
        let out = args.out.clone().unwrap_or_else(|| project.root.join("out"));
        for name in names.iter().filter(|name| plan.images.contains_key(*name)) {
            let image = Image {
                context,
                cache: &cache,
                plan: &plan,
                name,
                realised: &realised,
                store: &store,
            };
            files.extend(image.bring(&out.join(name.as_str()))?);
        }
    }
    let substituted = realised.substituted;
    if context.global.json {
        print_json(&json!({
            "cache": cache.address(),
            "names": names,
            "substituted": substituted,
            "inputs": brought,
            "files": files,
        }));
        return Ok(ExitCode::SUCCESS);
    }
    let mut what = vec![printer::count(substituted, "tree")];
    if args.with_inputs {
        what.push(printer::count(brought, "input"));
    }
    print(&format!("brought {} from {}", what.join(" and "), cache.address()));
    for file in files {
        if let Some(path) = file["path"].as_str() {
            print(path);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The one cache to ask, with whom to believe.
fn substituters(context: &Context, args: &Args) -> Result<Substituters, Problem> {
    let mut policy = context.policy();
    let remote = context.remote(&args.from)?;
    let address = remote.address().to_owned();
    policy.need_at.extend(context.need_of(&args.from).map(|need| (address.clone(), need)));
    policy.at.insert(address.clone(), context.keys_of(&args.from));
    if policy.keys_at(&address).is_empty() {
        let message = "no key is trusted, so that nothing that the cache says of outputs counts";
        return Err(Problem::new(Failure::Input, message)
            .help("--trusted-key KEY, or `keys` of [trust] in the configuration file"));
    }
    let from = Substituters::new(vec![Source { remote, inputs: true }], policy);
    Ok(match context.global.jobs {
        Some(jobs) => from.at_once(jobs),
        None => from,
    })
}

/// What to say of what is not there: the first steps that somebody would have to make.
fn lacking(
    address: &str,
    plan: &Plan,
    goals: &[StepId],
    missing: &BTreeSet<StepId>,
    realised: &Realised,
) -> Problem {
    // Steps whose outputs are not known are those of which nobody who is trusted says anything.
    let unknown = missing.iter().filter(|id| realised.output(**id).is_none());
    let recipes: BTreeMap<StepId, &Name> =
        plan.recipes.iter().map(|(name, id)| (*id, name)).collect();
    let mut names: Vec<&str> =
        unknown.filter_map(|id| recipes.get(id)).map(|name| name.as_str()).collect();
    let why = if names.is_empty() {
        let gone = goals.iter().filter(|id| missing.contains(*id));
        names.extend(gone.map(|id| plan.step(*id).name.as_str()));
        "has not all that it says it has of"
    } else {
        "has nothing that counts of"
    };
    let message = format!("{address} {why} {}", readable(names.into_iter()));
    Problem::new(Failure::Fetch, message)
        .help("vsbuild image or build takes what is there and makes the rest")
        .help("statements count by keys: `--trusted-key`, or [trust] of the configuration file")
}

fn readable<'n>(names: impl ExactSizeIterator<Item = &'n str>) -> String {
    printer::first(names, READABLE).join(", ")
}

/// An image that is brought as it was sent.
struct Image<'a> {
    context: &'a Context,
    cache: &'a Cache,
    plan: &'a Plan,
    name: &'a Name,
    realised: &'a Realised,
    store: &'a Store,
}

impl Image<'_> {
    /// Writes disk and kernel into a directory.
    fn bring(&self, dir: &Path) -> Result<Vec<Value>, Problem> {
        let failed = |error| self.context.explain(realise::Error::Io(error));
        let disk = self.disk()?;
        fs::create_dir_all(dir).map_err(failed)?;
        let mut files = vec![(DISK, self.blob(&disk)?)];
        let kernel = self.realised.output(self.plan.images[self.name].kernel);
        let kernel = kernel.map(|tree| self.store.tree(&tree)).transpose();
        let kernel = kernel.map_err(|error| self.context.explain(error.into()))?;
        for name in KERNELS {
            let path = GuestPath::new(name).unwrap_or_default();
            files.extend(
                kernel.iter().filter_map(|tree| Some((name, tree.content(&path)?.clone()))),
            );
        }
        let mut told = Vec::new();
        for (name, content) in files {
            copy(self.store, &content, &dir.join(name)).map_err(failed)?;
            let (size, sha256) = (content.size, content.digest);
            told.push(json!({ "path": dir.join(name), "size": size, "sha256": sha256 }));
        }
        Ok(told)
    }

    /// What the disk is, as those say who are believed.
    fn disk(&self) -> Result<Digest, Problem> {
        let derivation = self.realised.derivation(self.plan, self.plan.images[self.name].disk);
        let recorded = derivation.map(|disk| self.store.realisation(disk.key().digest()));
        let recorded = recorded.transpose().map_err(|error| self.context.explain(error.into()))?;
        recorded.flatten().map(|made| made.output).ok_or_else(|| {
            let message = format!("nobody who counts says what the disk of {} is", self.name);
            Problem::new(Failure::Fetch, message)
                .help(format!("lay it out here: vsbuild image {}", self.name))
        })
    }

    /// Brings the disk into the store, from where the next collection of garbage removes it.
    fn blob(&self, disk: &Digest) -> Result<Content, Problem> {
        let wrong = |error| explain::cache(&error);
        let tree = self.cache.image(disk).map_err(wrong)?.ok_or_else(|| {
            let message = format!("{} has not the disk of {}", self.cache.address(), self.name);
            Problem::new(Failure::Fetch, message)
                .help("disks are sent only by `vsbuild cache push --with-images`")
                .help(format!("lay it out here: vsbuild image {}", self.name))
        })?;
        let gauge = self.context.printer.gauge("disk");
        let reached = |now, total| gauge.reach(now, total);
        self.cache.pull(&tree.digest(), self.store, &reached).map_err(wrong)?;
        // Nobody signed the tree: how long the disk is and where its zeros are, only its bytes say.
        let read = self.store.blob_file(disk).and_then(|mut file| Content::read(&mut file));
        let content = read.map_err(|error| self.context.explain(realise::Error::Io(error)))?;
        if content.digest == *disk {
            return Ok(content);
        }
        let message = format!("the disk {disk} is damaged in the store: it is {}", content.digest);
        Err(Problem::new(Failure::Mismatch, message)
            .help("vsbuild store verify finds what else is damaged"))
    }
}

/// Copies a blob without its zeros; the copy appears whole.
fn copy(store: &Store, content: &Content, to: &Path) -> io::Result<()> {
    let dir = to.parent().unwrap_or(Path::new("."));
    let mut from = store.blob_file(&content.digest)?;
    let mut file = tempfile::NamedTempFile::new_in(dir)?;
    file.as_file().set_len(content.size)?;
    for (start, length) in content.data() {
        from.seek(SeekFrom::Start(start))?;
        file.seek(SeekFrom::Start(start))?;
        io::copy(&mut (&mut from).take(length), file.as_file_mut())?;
    }
    let readable = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    file.as_file().set_permissions(readable)?;
    file.persist(to).map(drop).map_err(|error| error.error)
}
