//! `lock`: pins what floats, and records what images must be.

use std::{collections::BTreeMap, process::ExitCode, time::SystemTime};

use fs_err as fs;
use serde_json::json;

use super::image;
use crate::{
    cli::{
        args::Lock as Args,
        context::Context,
        print, print_json,
        problem::{Failure, Problem},
    },
    lock::{self, Lock},
    project::Project,
    recipe::{Kind, Name, Recipes},
    resolve::{self, Archives, Keyring, Trust, Update},
};

pub(in crate::cli) fn run(context: &Context, args: &Args) -> Result<ExitCode, Problem> {
    let (project, recipes) = context.project()?;
    let new = match &args.outputs {
        Some(images) => with_outputs(context, &project, &recipes, images)?,
        None => resolved(context, &project, &recipes, args)?,
    };
    let changes = lock::diff(&project.lock, &new);
    if new != project.lock {
        write(&project, &new)?;
    }
    let text = changes.to_string();
    if context.global.json {
        print_json(
            &json!({ "changed": new != project.lock, "changes": text.lines().collect::<Vec<_>>() }),
        );
    } else if new == project.lock {
        context.note("lockfile.toml is up to date");
    } else if !text.is_empty() {
        print(text.trim_end());
    }
    Ok(ExitCode::SUCCESS)
}

/// The lock with every package set pinned as the recipes ask.
fn resolved(
    context: &Context,
    project: &Project,
    recipes: &Recipes,
    args: &Args,
) -> Result<Lock, Problem> {
    let update = match &args.update {
        None => Update::Missing,
        Some(names) if names.is_empty() => Update::All,
        Some(names) => Update::Only(names.iter().cloned().collect()),
    };
    let fetcher = context.fetcher()?;
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let trust = Trust {
        keyring: keyring(args)?,
        now: since_1970.as_secs() as i64,
        ignore_valid_until: args.ignore_valid_until,
    };
    context.note("asking archives and registries what there is");
    resolve::lock(recipes, &project.lock, &update, &mut Archives::new(&fetcher, trust)).map_err(
        |error| {
            let failure = match &error {
                resolve::Error::Fetch(_) => Failure::Fetch,
                _ => Failure::Input,
            };
            error.hint().into_iter().fold(Problem::from_error(failure, &error), Problem::help)
        },
    )
}

fn keyring(args: &Args) -> Result<Keyring, Problem> {
    let Some(path) = &args.keyring else { return Ok(Keyring::of_host()) };
    let bytes = fs::read(path).map_err(|error| Problem::from_error(Failure::Input, &error))?;
    Keyring::parse(&bytes)
        .map_err(|error| Problem::new(Failure::Input, format!("{}: {error}", path.display())))
}

/// The lock with the hashes of images as they come out now.
fn with_outputs(
    context: &Context,
    project: &Project,
    recipes: &Recipes,
    images: &[String],
) -> Result<Lock, Problem> {
    let mut lock = project.lock.clone();
    let mut names =
        images.iter().map(|name| context.name(recipes, name)).collect::<Result<Vec<Name>, _>>()?;
    if names.is_empty() {
        names = lock.outputs.keys().cloned().collect();
    }
    if names.is_empty() {
        let images = recipes.iter().filter(|recipe| matches!(recipe.kind, Kind::Image(_)));
        let images: Vec<&str> = images.map(|recipe| recipe.name.as_str()).collect();
        let which = "which images? the lockfile has hashes of none yet";
        return Err(Problem::new(Failure::Input, which).help(match images.as_slice() {
            [] => "no recipe here makes an image: vsbuild recipes lists them".to_owned(),
            images => format!("vsbuild lock --outputs NAME, with NAME among {}", images.join(", ")),
        }));
    }
    for name in names {
        let made = image::make(context, name.as_str(), None, false)?;
        let files = made.files.iter().map(|file| (file.name.clone(), file.sha256));
        lock.outputs.insert(name, files.collect::<BTreeMap<_, _>>());
    }
    Ok(lock)
}

fn write(project: &Project, lock: &Lock) -> Result<(), Problem> {
    let path = project.root.join(crate::project::LOCKFILE);
    let partial = path.with_extension("toml.partial");
    fs::write(&partial, lock.to_text())
        .and_then(|()| fs::rename(&partial, &path))
        .map_err(|error| Problem::from_error(Failure::Other, &error))
}
