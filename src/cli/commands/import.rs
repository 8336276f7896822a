//! `import`: an artifact becomes a project that builds without a network.

use std::{
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::ExitCode,
};

use fs_err as fs;
use serde_json::json;

use super::export::failed;
use crate::{
    bundle::{self, About, Manifest},
    cache::{Source, Substituters},
    cli::{
        args::Import,
        context::{self, Context},
        print, print_json, printer,
        problem::{Failure, Problem},
    },
    plan::Plan,
    project::{Project, VENDOR},
    realise::{self, Taken},
    recipe::{self, Name},
    remote::Directory,
    store::Store,
    trust::{KeyId, PublicKey},
};

pub(in crate::cli) fn run(context: &Context, args: &Import) -> Result<ExitCode, Problem> {
    let dir = match &args.to {
        Some(dir) => dir.clone(),
        None => PathBuf::from(args.bundle.file_stem().unwrap_or(args.bundle.as_os_str())),
    };
    replaceable(&dir)?;
    let trusted = trusted(&bundle::look(&args.bundle).map_err(failed)?.about, &args.trusted)?;
    let manifest = {
        let gauge = context.printer.gauge("unpacked");
        let reached = |now, total| gauge.reach(now, total);
        bundle::unpack(&args.bundle, &dir, &reached).map_err(failed)?
    };
    let about = &manifest.about;
    let store = context.store()?;
    let goals: Vec<Name> = about.goals.keys().cloned().collect();
    let plan = plan(context, &dir, about, &goals, &store)?;
    let mut taken = None;
    if !trusted.is_empty() {
        taken = Some(take(context, &dir, trusted, &plan, &goals, &store)?);
    }
    if context.global.json {
        print_json(&json!({
            "project": dir,
            "recipes": goals,
            "files": manifest.files.contents().count(),
            "size": manifest.size(),
            "keys": about.keys.values().map(PublicKey::to_string).collect::<Vec<_>>(),
            "taken": taken.as_ref().is_some_and(Vec::is_empty),
        }));
        return Ok(ExitCode::SUCCESS);
    }
    tell(context, &dir, &manifest, taken.as_deref());
    Ok(ExitCode::SUCCESS)
}

/// What is unpacked takes the place of an empty directory, which must be one that can be replaced: told before all is unpacked.
fn replaceable(dir: &Path) -> Result<(), Problem> {
    let Ok(real) = fs::canonicalize(dir) else { return Ok(()) };
    let device = |path: &Path| fs::metadata(path).map(|meta| meta.dev()).ok();
    let what = if std::env::current_dir().is_ok_and(|here| here == real) {
        "the directory that you are in"
    } else if real.parent().is_none_or(|above| device(above) != device(&real)) {
        "where a file system is mounted"
    } else {
        return Ok(());
    };
    let message = format!("{} is {what}, which cannot be replaced", dir.display());
    Err(Problem::new(Failure::Input, message)
        .help("name a directory that is not there yet, such as one in it: --to DIR/artifact"))
}

/// The keys of the bundle that are believed.
fn trusted(about: &About, ids: &[KeyId]) -> Result<Vec<PublicKey>, Problem> {
    let key = |id: &KeyId| {
        about.keys.get(id).cloned().ok_or_else(|| {
            let problem = Problem::new(
                Failure::Input,
                format!("the bundle has nothing signed by the key {id}"),
            );
            let known = about.keys.values().map(|key| format!("{} ({})", key.id(), key.name()));
            match known.collect::<Vec<_>>().as_slice() {
                [] => problem.help("nothing in it is signed; all is to be built"),
                known => problem.help(format!("there are {}", known.join(", "))),
            }
        })
    };
    ids.iter().map(key).collect()
}

/// The plan of what was unpacked. That of another vsbuild may be another one, which is said.
fn plan(
    context: &Context,
    dir: &Path,
    about: &About,
    goals: &[Name],
    store: &Store,
) -> Result<Plan, Problem> {
    let project =
        Project::read(dir).map_err(|error| Problem::from_error(Failure::Input, &error))?;
    let recipes = recipe::load(&project.texts)
        .map_err(|problems| Problem::in_recipes(problems, project.texts.clone()))?;
    let plan = context.lower(&project, &recipes, goals, store)?;
    let keys = plan.plan_keys();
    for (name, goal) in &about.goals {
        if keys[plan.recipes[name].index()] != goal.plan_key {
            context.note(&format!(
                "{name} is planned otherwise here, by vsbuild {}, than where the bundle was made, by {}: its outputs cannot be \
                 taken, and what is built may differ",
                env!("CARGO_PKG_VERSION"),
                about.program
            ));
        }
    }
    Ok(plan)
}

/// Takes what the bundle has of outputs, on the word of some of its keys and of those that are trusted anyway. Gives the names
/// of what it does not have, or what is not believed.
fn take(
    context: &Context,
    dir: &Path,
    trusted: Vec<PublicKey>,
    plan: &Plan,
    goals: &[Name],
    store: &Store,
) -> Result<Vec<String>, Problem> {
    let vendor = dir.join(VENDOR);
    let vendor = std::path::absolute(&vendor)
        .map_err(|error| Problem::from_error(Failure::Other, &error))?;
    let mut policy = context.policy();
    policy.keys = policy.keys.with(trusted);
    let source = Source { remote: Box::new(Directory::new(&vendor)), inputs: true };
    let from = Substituters::new(vec![source], policy);
    let tops = context::tops(plan, goals);
    let Taken { missing, .. } = realise::take(plan, &tops, &from, store, &context.printer)
        .map_err(|error| context.explain(error))?;
    let lacking = tops.iter().filter(|id| missing.contains(id));
    Ok(lacking.map(|id| plan.step(*id).name.clone()).collect())
}

/// What there is now, whom it takes to believe, and how to go on.
fn tell(context: &Context, dir: &Path, manifest: &Manifest, taken: Option<&[String]>) {
    let about = &manifest.about;
    let files = printer::count(manifest.files.contents().count(), "file");
    print(&format!("{}: {files}, all as the manifest says", dir.display()));
    match taken {
        Some([]) => {
            context.note("The outputs are taken as they were signed; nothing is left to be built.")
        }
        Some(missing) => context.note(&format!(
            "To be built, since the bundle does not have it or too few vouch for it: {}",
            missing.join(", ")
        )),
        None if about.keys.is_empty() => {
            context.note("There are no outputs in it: everything is built from its inputs.");
        }
        None => {
            context.note("Nobody's word counts by itself: everything is built from its inputs. There are outputs in it, signed by");
            for key in about.keys.values() {
                context.note(&format!("  {}  {}", key.id(), key.name()));
            }
            context.note("--trust-bundle-key ID takes them instead; with what is unpacked, in its directory:");
            for key in about.keys.values() {
                context.note(&format!("  --substituter {VENDOR} --trusted-key {key}"));
            }
        }
    }
    context.note(&format!("Now, without a network:\n  cd {}", dir.display()));
    for (name, goal) in &about.goals {
        if goal.files.is_empty() {
            context.note(&format!("  vsbuild build {name}"));
        } else {
            context.note(&format!("  vsbuild image {name}\n  vsbuild verify {name}"));
        }
    }
}
