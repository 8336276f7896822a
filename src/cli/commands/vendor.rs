//! `vendor`: inputs beside the recipes, so that no mirror is needed.

use std::{collections::BTreeMap, path::PathBuf, process::ExitCode};

use serde_json::json;

use super::export::failed;
use crate::{
    bundle::{self, State},
    cli::{
        args::Vendor,
        context::Context,
        print, print_json, printer,
        problem::{Failure, Problem},
    },
    digest::Digest,
    fetch::{self, ImageName, Want, What},
    lock::{Lock, LockedBlob},
    project::{self, Project},
    recipe::Name,
};

/// How many things are named one by one.
const READABLE: usize = 20;

/// An input that the lockfile names.
struct Input {
    /// What a person calls it.
    name: String,
    want: Want,
}

pub(in crate::cli) fn run(context: &Context, args: &Vendor) -> Result<ExitCode, Problem> {
    let (project, recipes) = context.project()?;
    let goals: Vec<Name> =
        args.names.iter().map(|name| context.name(&recipes, name)).collect::<Result<_, _>>()?;
    let lock = match goals.as_slice() {
        [] => project.lock.clone(),
        goals => project.lock.only(&project::names_of(&recipes, goals)),
    };
    let inputs = inputs(&lock)?;
    let configured = configured(&project)?;
    let dir = match &args.dir {
        Some(dir) => {
            std::path::absolute(dir).map_err(|error| Problem::from_error(Failure::Other, &error))?
        }
        None => configured.clone(),
    };
    let vendor = bundle::Vendor::new(&dir);
    if args.check {
        return check(context, &vendor, &inputs);
    }
    if args.prune {
        vendor.check_alone(dir == configured).map_err(failed)?;
    }
    let _claim = vendor.claim().map_err(failed)?;
    let brought = bring(context, &vendor, &inputs)?;
    let wanted = inputs.keys().copied().collect();
    let gone = if args.prune { vendor.prune(&wanted).map_err(failed)? } else { Vec::new() };
    let bytes: u64 = inputs.values().map(|input| input.want.size).sum();
    if context.global.json {
        print_json(&json!({
            "path": dir,
            "inputs": inputs.len(),
            "size": bytes,
            "brought": brought,
            "removed": gone.len(),
        }));
        return Ok(ExitCode::SUCCESS);
    }
    print(&format!(
        "{}: {}, {}",
        dir.display(),
        printer::count(inputs.len(), "input"),
        printer::size(bytes)
    ));
    if args.prune {
        let bytes = gone.iter().map(|(_, size)| size).sum();
        context.note(&format!(
            "removed {} that the lockfile does not name, {}",
            printer::count(gone.len(), "input"),
            printer::size(bytes)
        ));
    }
    if dir != configured {
        context.note(&match dir.strip_prefix(&project.root) {
            Ok(inside) => format!(
                "builds take from it when vsbuild.toml has this line: vendor = \"{}\"",
                inside.display()
            ),
            Err(_) => "builds take from a directory inside the project only".to_owned(),
        });
    }
    Ok(ExitCode::SUCCESS)
}

fn configured(project: &Project) -> Result<PathBuf, Problem> {
    let dir = project::vendor_dir(&project.root)
        .map_err(|error| Problem::from_error(Failure::Input, &error))?;
    Ok(dir.unwrap_or_else(|| project.root.join(project::VENDOR)))
}

/// All that a lockfile names, each once.
fn inputs(lock: &Lock) -> Result<BTreeMap<Digest, Input>, Problem> {
    let mut inputs = BTreeMap::new();
    for (id, package) in &lock.packages {
        let source =
            fetch::Source::Archive { archive: package.archive.clone(), path: package.path.clone() };
        let want = Want { source, size: package.size, sha256: package.sha256 };
        inputs.insert(package.sha256, Input { name: id.to_string(), want });
    }
    for (name, image) in &lock.images {
        let reference: ImageName =
            image.reference.parse().map_err(|error| Problem::from_error(Failure::Input, &error))?;
        for LockedBlob { size, sha256 } in image.blobs() {
            let what = if *sha256 == image.manifest.sha256 { What::Manifest } else { What::Blob };
            let source = fetch::Source::Registry {
                registry: reference.registry.clone(),
                repository: reference.repository.clone(),
                what,
            };
            let want = Want { source, size: *size, sha256: *sha256 };
            let name = format!("{name} ({})", sha256.short());
            inputs.insert(*sha256, Input { name, want });
        }
    }
    Ok(inputs)
}

/// Brings what lacks or is damaged, from the store or from where it is kept; gives how many that were.
fn bring(
    context: &Context,
    vendor: &bundle::Vendor,
    inputs: &BTreeMap<Digest, Input>,
) -> Result<usize, Problem> {
    let store = context.store()?;
    let (mut brought, mut wants, mut names) = (0, Vec::new(), Vec::new());
    for (sha256, input) in inputs {
        match vendor.state(sha256).map_err(failed)? {
            State::Whole => continue,
            State::Damaged(_) => {
                context.note(&format!("{} is damaged, and comes anew", input.name))
            }
            State::Lacking => (),
        }
        brought += 1;
        if store.has_blob(sha256) {
            match vendor.copy(sha256, &store.blob_path(sha256)) {
                Ok(()) => continue,
                // What is damaged in the store is fetched.
                Err(bundle::Error::Damaged { .. }) => (),
                Err(error) => return Err(failed(error)),
            }
        }
        names.push(&input.name);
        wants.push((input.want.clone(), vendor.partial(sha256).map_err(failed)?));
    }
    if !wants.is_empty() {
        let bytes = wants.iter().map(|(want, _)| want.size).sum();
        let count = printer::count(wants.len(), "input");
        context.note(&format!("fetching {count}, {}", printer::size(bytes)));
    }
    let failures = |at: usize, event: fetch::Progress<'_>| {
        if let fetch::Progress::Failed { url, why } = event {
            context.note(&format!("{}: {url}: {why}", names[at]));
        }
    };
    let results = context.fetcher()?.fetch_all(&wants, &failures);
    for (((want, _), result), name) in wants.iter().zip(results).zip(&names) {
        result.map_err(|error| {
            let problem = Problem::from_error(Failure::Fetch, &error);
            let problem = error.hint().into_iter().fold(problem, Problem::help);
            problem.help(format!("it is {name}; what came before it stays: vsbuild vendor goes on"))
        })?;
        vendor.keep(&want.sha256).map_err(failed)?;
    }
    Ok(brought)
}

/// Reads all of it, and names what is not as it should be.
fn check(
    context: &Context,
    vendor: &bundle::Vendor,
    inputs: &BTreeMap<Digest, Input>,
) -> Result<ExitCode, Problem> {
    let mut wrong = Vec::new();
    for (sha256, input) in inputs {
        match vendor.state(sha256).map_err(failed)? {
            State::Whole => (),
            State::Lacking => wrong.push(format!("{} is lacking", input.name)),
            State::Damaged(found) => {
                wrong.push(format!("{} is damaged: {found}, not {sha256}", input.name));
            }
        }
    }
    if wrong.is_empty() {
        if context.global.json {
            print_json(&json!({ "inputs": inputs.len(), "wrong": wrong }));
        } else {
            print(&format!("{} there, and right", printer::count(inputs.len(), "input")));
        }
        return Ok(ExitCode::SUCCESS);
    }
    let shown = printer::first(wrong.iter(), READABLE);
    let (of, all) = (wrong.len(), printer::count(inputs.len(), "input"));
    let message =
        format!("{of} of {all} are not as they should be:\n       {}", shown.join("\n       "));
    Err(Problem::new(Failure::Mismatch, message).help("vsbuild vendor brings what lacks"))
}
