//! `export`: an artifact in one file.

use std::{collections::BTreeSet, path::PathBuf, process::ExitCode};

use serde_json::json;
use walkdir::WalkDir;

use super::image;
use crate::{
    bundle::{self, About, Goal, Packing, Piece},
    cache::{Cache, Item, Parcel},
    cli::{
        args::Export,
        context::{self, Context},
        print, print_json, printer,
        problem::{Failure, Problem},
        signer::Signer,
    },
    digest::Digest,
    path::GuestPath,
    plan::{Derivation, Plan, StepId},
    project::{self, LOCKFILE, Project, VENDOR},
    realise::{self, DISK, KERNELS},
    recipe::{Kind, Name, Recipes},
    remote::Directory,
    store::{Scratch, Store},
    trust::PublicKey,
};

/// What goes without anything that was built, or a key.
const SOURCE_ONLY: &str = "or leave outputs out, so that all is to be built: --source-only";

pub(in crate::cli) fn run(context: &Context, args: &Export) -> Result<ExitCode, Problem> {
    // It would be replaced, whatever it is: a device or a link, too.
    if args.out.symlink_metadata().is_ok_and(|meta| !meta.is_file()) {
        let what = if args.out.is_dir() { "a directory" } else { "there, and is no file" };
        let message = format!("{} is {what}", args.out.display());
        return Err(
            Problem::new(Failure::Input, message).help("--out names the archive to be made")
        );
    }
    let store = context.store()?;
    let scratch = store.scratch().map_err(|error| context.explain(error.into()))?;
    let (project, recipes) = context.project()?;
    let names: BTreeSet<Name> =
        args.names.iter().map(|name| context.name(&recipes, name)).collect::<Result<_, _>>()?;
    let goals: Vec<Name> = names.into_iter().collect();
    expected(&project, &recipes, &goals)?;
    let export = Exporting { context, store: &store, scratch: &scratch, args };
    let (frozen, plan) = export.freeze(&project, &recipes, &goals)?;
    export.compare(&plan, &goals, &project)?;
    let mut packing = Packing::new(&frozen, &store).map_err(failed)?;
    let mut files = export.inputs(&plan, &goals)?;
    let mut keys = Vec::new();
    if !args.source_only {
        let (outputs, signers) = export.outputs(&plan, &goals)?;
        files.extend(outputs);
        keys = signers;
    }
    if args.with_images {
        files.extend(export.images(&project, &goals)?);
    }
    packing.add(&files).map_err(failed)?;
    let about = about(&plan, &project, &goals, keys);
    let signers: Vec<String> = about.keys.values().map(PublicKey::to_string).collect();
    let written = {
        let gauge = context.printer.gauge("written");
        let reached = |now, total| gauge.reach(now, total);
        packing.write(about, !args.source_only, &store, &args.out, &reached).map_err(failed)?
    };
    if context.global.json {
        print_json(&json!({
            "path": args.out,
            "sha256": written.sha256,
            "size": written.size,
            "files": written.files,
            "keys": signers,
        }));
        return Ok(ExitCode::SUCCESS);
    }
    let size = printer::size(written.size);
    print(&format!("{}  {size:>11}  {}", written.sha256, args.out.display()));
    let what = match (args.source_only, signers.as_slice()) {
        (true, _) => "recipes and inputs, no outputs".to_owned(),
        (false, signers) => format!("with outputs, signed by {}", signers.join(", ")),
    };
    context.note(&format!("{}: {what}", printer::count(written.files, "file")));
    Ok(ExitCode::SUCCESS)
}

/// What a bundle that cannot be written means.
pub(super) fn failed(error: bundle::Error) -> Problem {
    let (failure, help) = match &error {
        bundle::Error::Exists(_) => (
            Failure::Input,
            Some("name another directory with --to DIR; nothing is ever written over a project"),
        ),
        bundle::Error::Shared { .. } => (
            Failure::Input,
            Some(
                "without --prune nothing is removed; vsbuild cache gc collects what no pin of it needs",
            ),
        ),
        bundle::Error::Busy(_) => (Failure::Other, Some("wait for it, or choose another name")),
        bundle::Error::Taken(_) => (Failure::Input, Some("give it another name in the project")),
        bundle::Error::LeadsOut { .. } => (
            Failure::Input,
            Some(
                "NAME/.. may lead anywhere if NAME is a link: name the target without it. A recipe can make any link\n\
                 in a root file system itself: links.\"/PATH\" = \"/TARGET\"",
            ),
        ),
        bundle::Error::Compressed { .. } => {
            (Failure::Input, Some("decompress it first: zstd -d, gunzip or unxz"))
        }
        bundle::Error::BadArchive { .. }
        | bundle::Error::NoBundle(_)
        | bundle::Error::BadManifest { .. }
        | bundle::Error::Wrong { .. } => {
            (Failure::Mismatch, Some("nothing of it was kept; get the bundle once more"))
        }
        bundle::Error::Damaged { .. } => (
            Failure::Mismatch,
            Some(
                "in the store: vsbuild store verify puts it aside, and the next build makes it again\n\
                 of an image: remove it, and vsbuild image makes it again",
            ),
        ),
        bundle::Error::Odd(_) | bundle::Error::NoTree(_) | bundle::Error::BadPath(_) => {
            (Failure::Input, None)
        }
        bundle::Error::Io(_) | bundle::Error::Cache(_) => (Failure::Other, None),
    };
    help.into_iter().fold(Problem::from_error(failure, &error), Problem::help)
}

/// Whoever gets a bundle must be able to see that it came out right.
fn expected(project: &Project, recipes: &Recipes, goals: &[Name]) -> Result<(), Problem> {
    let is_image = |name: &&Name| {
        recipes.get(name).is_some_and(|recipe| matches!(recipe.kind, Kind::Image(_)))
    };
    let unknown = |name: &&Name| !project.lock.outputs.contains_key(*name);
    match goals.iter().filter(is_image).find(unknown) {
        None => Ok(()),
        Some(name) => Err(Problem::new(
            Failure::Input,
            format!("{LOCKFILE} has no hashes of `{name}`, so nobody could verify it"),
        )
        .help(format!("record them: vsbuild lock --outputs {name}"))),
    }
}

fn about(plan: &Plan, project: &Project, goals: &[Name], keys: Vec<PublicKey>) -> About {
    let plan_keys = plan.plan_keys();
    let goal = |name: &Name| {
        let files = project.lock.outputs.get(name).cloned().unwrap_or_default();
        (name.clone(), Goal { plan_key: plan_keys[plan.recipes[name].index()], files })
    };
    About {
        program: env!("CARGO_PKG_VERSION").to_owned(),
        goals: goals.iter().map(goal).collect(),
        keys: keys.into_iter().map(|key| (key.id(), key)).collect(),
    }
}

struct Exporting<'a> {
    context: &'a Context,
    store: &'a Store,
    scratch: &'a Scratch,
    args: &'a Export,
}

impl Exporting<'_> {
    fn store_failed(&self, error: crate::store::Error) -> Problem {
        self.context.explain(error.into())
    }

    /// The project with what the goals need and nothing else, which is made sure to come to the same plan.
    fn freeze(
        &self,
        project: &Project,
        recipes: &Recipes,
        goals: &[Name],
    ) -> Result<(crate::tree::Tree, Plan), Problem> {
        let wrong = |error: &project::Error| Problem::from_error(Failure::Input, error);
        let plan = self.context.lower(project, recipes, goals, self.store)?;
        let needed = crate::plan::needed_sources(recipes, goals);
        let sources =
            project::sources(project, &needed, self.store).map_err(|error| wrong(&error))?;
        let frozen = project::freeze(project, recipes, goals, &sources, self.store)
            .map_err(|error| wrong(&error))?;
        let dir = self.scratch.path().join("project");
        self.store.export(&frozen, &dir).map_err(|error| self.store_failed(error))?;
        let copy = Project::read(&dir).map_err(|error| wrong(&error))?;
        let loaded = crate::recipe::load(&copy.texts)
            .map_err(|problems| Problem::in_recipes(problems, copy.texts.clone()))?;
        let again = self.context.lower(&copy, &loaded, goals, self.store)?;
        let keys = |plan: &Plan| -> Vec<Digest> {
            let keys = plan.plan_keys();
            context::goals(plan, goals).iter().map(|id| keys[id.index()]).collect()
        };
        if keys(&plan) != keys(&again) {
            let message =
                "what is copied of the project comes to another plan than the project itself";
            return Err(Problem::new(Failure::Other, message).help(
                "a directory that recipes name has files in the project and others inside vsbuild; keep both apart",
            ));
        }
        Ok((frozen, plan))
    }

    /// All inputs, brought if they are not here.
    fn inputs(&self, plan: &Plan, goals: &[Name]) -> Result<Vec<Piece>, Problem> {
        let closure = plan.closure(context::goals(plan, goals)).into_iter();
        let fetched = closure.filter_map(|id| match &plan.step(id).derivation {
            Derivation::Fetch(fetch) => Some((id, fetch.sha256)),
            _ => None,
        });
        let (ids, inputs): (Vec<StepId>, BTreeSet<Digest>) = fetched.unzip();
        self.context.realise(plan, &ids, self.store, false)?;
        let file = |sha256: &Digest| of_cache(&Item::Input(*sha256), self.store.blob_path(sha256));
        let mut files: Vec<Piece> = inputs.iter().map(file).collect();
        // A cache has it, whether it has anything else or not.
        let format = self.scratch.path().join("format");
        fs_err::write(&format, crate::cache::FORMAT)
            .map_err(|error| Problem::from_error(Failure::Other, &error))?;
        files.push(of_cache(&Item::Format, format));
        Ok(files)
    }

    /// What was made, in the form of a cache, and who says so.
    fn outputs(
        &self,
        plan: &Plan,
        goals: &[Name],
    ) -> Result<(Vec<Piece>, Vec<PublicKey>), Problem> {
        let shared = realise::closure(plan, &context::goals(plan, goals), self.store);
        let shared = shared.map_err(|error| {
            let problem = self.context.explain(error);
            let make = goals.iter().map(|name| match plan.images.contains_key(name) {
                true => format!("vsbuild image {name}"),
                false => format!("vsbuild build {name}"),
            });
            make.fold(problem, Problem::help).help(SOURCE_ONLY)
        })?;
        let signer = Signer::new(self.context, self.args.key.as_deref(), &shared);
        let signer = signer.map_err(|problem| problem.help(SOURCE_ONLY))?;
        let statements = signer.sign(self.context, &shared, self.store)?;
        let keys = signer.signers(&statements);
        let dir = self.scratch.path().join("cache");
        let cache = Cache::new(Box::new(Directory::new(&dir)));
        let trees = self.tops(plan, goals)?;
        let parcel = Parcel { trees, statements, ..Parcel::default() };
        let sent = cache.push(&parcel, self.store, &|_, _| ());
        sent.map_err(|error| self.context.explain(error.into()))?;
        let mut files = Vec::new();
        for entry in WalkDir::new(&dir) {
            let entry = entry.map_err(|error| Problem::from_error(Failure::Other, &error))?;
            let name = entry.path().strip_prefix(&dir).ok().and_then(|path| path.to_str());
            let item = name.and_then(|name| Item::of(&name.parse().ok()?));
            match item {
                Some(Item::Format | Item::Pushing(_)) | None => (),
                Some(item) => files.push(of_cache(&item, entry.into_path())),
            }
        }
        Ok((files, keys))
    }

    /// The trees of the goals alone. What they are made of may be here or not, and a bundle must not depend on that; whoever has
    /// the goals does not need it, and makes it of the inputs if he wants to look into it.
    fn tops(&self, plan: &Plan, goals: &[Name]) -> Result<BTreeSet<Digest>, Problem> {
        let known =
            realise::known(plan, self.store).map_err(|error| self.context.explain(error))?;
        Ok(context::tops(plan, goals).into_iter().filter_map(|id| known.output(id)).collect())
    }

    /// Nobody could verify what the lockfile has other hashes of: disks and kernels, as far as they are known here.
    fn compare(&self, plan: &Plan, goals: &[Name], project: &Project) -> Result<(), Problem> {
        let known =
            realise::known(plan, self.store).map_err(|error| self.context.explain(error))?;
        for name in goals {
            let Some(image) = plan.images.get(name) else { continue };
            if let Some(disk) = known.output(image.disk) {
                as_locked(project, name, DISK, &disk)?;
            }
            let kernel = known.output(image.kernel).filter(|tree| self.store.has_tree(tree));
            let Some(kernel) = kernel else { continue };
            let kernel = self.store.tree(&kernel).map_err(|error| self.store_failed(error))?;
            for file in KERNELS {
                let path = GuestPath::new(file).expect("a kernel's file has a short name");
                if let Some(content) = kernel.content(&path) {
                    as_locked(project, name, file, &content.digest)?;
                }
            }
        }
        Ok(())
    }

    /// The files of the images, laid out if need be.
    fn images(&self, project: &Project, goals: &[Name]) -> Result<Vec<Piece>, Problem> {
        let mut files = Vec::new();
        for name in goals.iter().filter(|name| project.lock.outputs.contains_key(*name)) {
            let made = image::make(self.context, name.as_str(), None, false)?;
            for file in made.files {
                as_locked(project, name, &file.name, &file.sha256)?;
                let path = GuestPath::new(format!("out/{name}/{}", file.name));
                let path = path.map_err(|error| Problem::from_error(Failure::Other, &error))?;
                let place = made.dir.join(file.name);
                files.push(Piece { path, place, sha256: Some(file.sha256) });
            }
        }
        Ok(files)
    }
}

/// Refuses a file of an image of which the lockfile has another hash.
fn as_locked(project: &Project, name: &Name, file: &str, found: &Digest) -> Result<(), Problem> {
    let expected = project.lock.outputs.get(name).and_then(|files| files.get(file));
    let Some(expected) = expected.filter(|expected| *expected != found) else { return Ok(()) };
    let message = format!("{file} of {name} is {found} here, not {expected}, as the lockfile says");
    Err(Problem::new(Failure::Mismatch, message)
        .help(format!("where it begins: vsbuild verify {name} --rebuild"))
        .help(format!("if a recipe was changed on purpose: vsbuild lock --outputs {name}")))
}

/// Something of a cache, for its place in a bundle.
fn of_cache(item: &Item, place: PathBuf) -> Piece {
    let path = format!("{VENDOR}/{}", item.name());
    let path = GuestPath::new(path).expect("names of a cache are short paths");
    let sha256 = match item {
        Item::Input(sha256) | Item::Pack(sha256) => Some(*sha256),
        _ => None,
    };
    Piece { path, place, sha256 }
}
