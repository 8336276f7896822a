//! `export`: an artifact in one file.

use std::{collections::BTreeSet, path::PathBuf, process::ExitCode};

use serde_json::json;
use walkdir::WalkDir;

use super::image;
use crate::{
    bundle::{self, About, Goal, Packing},
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
    realise::{self, DISK, Shared},
    recipe::{Kind, Name, Recipes},
    remote::Directory,
    store::{Scratch, Store},
    trust::PublicKey,
};

/// What goes without anything that was built, or a key.
const SOURCE_ONLY: &str = "or leave outputs out, so that all is to be built: --source-only";

/// Files of a bundle by path, with where their bytes are.
type Files = Vec<(GuestPath, PathBuf)>;

pub(in crate::cli) fn run(context: &Context, args: &Export) -> Result<ExitCode, Problem> {
    if args.out.is_dir() {
        let message = format!("{} is a directory", args.out.display());
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
    let mut packing = Packing::new(&frozen, &store).map_err(failed)?;
    let mut files = export.inputs(&plan, &goals)?;
    let mut keys = Vec::new();
    if !args.source_only {
        let (outputs, signers) = export.outputs(&plan, &goals, &project)?;
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
        bundle::Error::Busy(_) => (Failure::Other, Some("wait for it, or choose another name")),
        bundle::Error::Taken(_) => (Failure::Input, Some("give it another name in the project")),
        bundle::Error::LeadsOut { .. } => (
            Failure::Input,
            Some(
                "a recipe can make such a link in a root file system itself:\n\
                 links.\"/PATH\" = \"/TARGET\"",
            ),
        ),
        bundle::Error::BadArchive { .. }
        | bundle::Error::NoBundle(_)
        | bundle::Error::BadManifest { .. }
        | bundle::Error::Wrong { .. } => {
            (Failure::Mismatch, Some("nothing of it was kept; get the bundle once more"))
        }
        bundle::Error::Damaged { .. } => (
            Failure::Mismatch,
            Some("vsbuild store verify puts aside what is damaged; the next build makes it again"),
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
    fn inputs(&self, plan: &Plan, goals: &[Name]) -> Result<Files, Problem> {
        let closure = plan.closure(context::goals(plan, goals)).into_iter();
        let fetched = closure.filter_map(|id| match &plan.step(id).derivation {
            Derivation::Fetch(fetch) => Some((id, fetch.sha256)),
            _ => None,
        });
        let (ids, inputs): (Vec<StepId>, BTreeSet<Digest>) = fetched.unzip();
        self.context.realise(plan, &ids, self.store, false)?;
        let file =
            |sha256: &Digest| (of_cache(&Item::Input(*sha256)), self.store.blob_path(sha256));
        let mut files: Files = inputs.iter().map(file).collect();
        // A cache has it, whether it has anything else or not.
        let format = self.scratch.path().join("format");
        fs_err::write(&format, crate::cache::FORMAT)
            .map_err(|error| Problem::from_error(Failure::Other, &error))?;
        files.push((of_cache(&Item::Format), format));
        Ok(files)
    }

    /// What was made, in the form of a cache, and who says so.
    fn outputs(
        &self,
        plan: &Plan,
        goals: &[Name],
        project: &Project,
    ) -> Result<(Files, Vec<PublicKey>), Problem> {
        let shared = realise::closure(plan, &context::goals(plan, goals), self.store);
        let shared = shared.map_err(|error| {
            let problem = self.context.explain(error);
            let make = goals.iter().map(|name| match plan.images.contains_key(name) {
                true => format!("vsbuild image {name}"),
                false => format!("vsbuild build {name}"),
            });
            make.fold(problem, Problem::help).help(SOURCE_ONLY)
        })?;
        self.compare(&shared, project)?;
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
        let mut files = Files::new();
        for entry in WalkDir::new(&dir) {
            let entry = entry.map_err(|error| Problem::from_error(Failure::Other, &error))?;
            let name = entry.path().strip_prefix(&dir).ok().and_then(|path| path.to_str());
            let item = name.and_then(|name| Item::of(&name.parse().ok()?));
            match item {
                Some(Item::Format | Item::Pushing(_)) | None => (),
                Some(item) => files.push((of_cache(&item), entry.into_path())),
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

    /// Nobody could verify what the lockfile has other hashes of.
    fn compare(&self, shared: &Shared, project: &Project) -> Result<(), Problem> {
        for (name, found) in &shared.disks {
            let expected = project.lock.outputs.iter().find(|(image, _)| image.as_str() == name);
            let expected = expected.and_then(|(_, files)| files.get(DISK));
            if let Some(expected) = expected.filter(|expected| *expected != found) {
                let message = format!(
                    "the disk of {name} is {found} here, not {expected}, as the lockfile says"
                );
                return Err(Problem::new(Failure::Mismatch, message)
                    .help(format!("where it begins: vsbuild verify {name} --rebuild"))
                    .help(format!(
                        "if a recipe was changed on purpose: vsbuild lock --outputs {name}"
                    )));
            }
        }
        Ok(())
    }

    /// The files of the images, laid out if need be.
    fn images(&self, project: &Project, goals: &[Name]) -> Result<Files, Problem> {
        let mut files = Files::new();
        for name in goals.iter().filter(|name| project.lock.outputs.contains_key(*name)) {
            let made = image::make(self.context, name.as_str(), None, false)?;
            for file in made.files {
                let path = GuestPath::new(format!("out/{name}/{}", file.name));
                let path = path.map_err(|error| Problem::from_error(Failure::Other, &error))?;
                files.push((path, made.dir.join(file.name)));
            }
        }
        Ok(files)
    }
}

/// Where something of a cache is in a bundle.
fn of_cache(item: &Item) -> GuestPath {
    GuestPath::new(format!("{VENDOR}/{}", item.name())).expect("names of a cache are short paths")
}
