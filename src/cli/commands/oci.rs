//! `oci`: hands images of containers out.

use std::{path::Path, process::ExitCode};

use fs_err::File;
use serde_json::json;

use crate::{
    cli::{
        args::Oci,
        context::{Context, Planned},
        print, print_json,
        problem::{Failure, Problem},
    },
    digest::Digest,
    fetch::{self, ImageName},
    formats::oci::{
        Unpacked, canonical_manifest,
        layout::{self, Packed},
        manifest::MANIFEST,
    },
    plan::Derivation,
    store::Store,
    tree::Blobs,
};

pub(in crate::cli) fn run(context: &Context, command: &Oci) -> Result<ExitCode, Problem> {
    let store = context.store()?;
    match command {
        Oci::Save { name, dir } => save(context, &store, name, dir),
        Oci::Push { name, reference } => push(context, &store, name, reference),
    }
}

/// The image that a recipe makes, made if need be.
fn image(context: &Context, store: &Store, name: &str) -> Result<Unpacked, Problem> {
    let Planned { plan, name } = context.plan(name, store)?;
    let id = plan.recipes[&name];
    if !matches!(plan.step(id).derivation, Derivation::Function(_) | Derivation::OciImage(_)) {
        let problem = format!("`{name}` is no image of a container");
        return Err(Problem::new(Failure::Input, problem)
            .help("recipes of kind function and oci-image are: vsbuild recipes lists them"));
    }
    let realised = context.realise(&plan, &[id], store, false)?;
    let output = realised.output(id).expect("it was just made");
    let tree = store.tree(&output).map_err(|error| context.explain(error.into()))?;
    Unpacked::from_tree(&tree).map_err(|error| Problem::from_error(Failure::Other, &error))
}

/// The configuration and the manifest of an image.
fn documents(image: &Unpacked, store: &Store) -> Result<(Vec<u8>, Vec<u8>), Problem> {
    let config = store
        .read(&image.config.digest)
        .map_err(|error| Problem::from_error(Failure::Other, &error))?;
    let layers: Vec<_> =
        image.layers.iter().map(|layer| (layer.tar.digest, layer.tar.size)).collect();
    let manifest = canonical_manifest(&config, &layers);
    Ok((config, manifest))
}

fn save(context: &Context, store: &Store, name: &str, dir: &Path) -> Result<ExitCode, Problem> {
    if dir.symlink_metadata().is_ok() {
        return Err(Problem::new(Failure::Input, format!("{} is there already", dir.display()))
            .help("name a directory that is to be made"));
    }
    let image = image(context, store, name)?;
    let (config, manifest) = documents(&image, store)?;
    let layers: Vec<_> = image.layers.into_iter().map(|layer| layer.tar).collect();
    let layout = layout::layout(&[Packed { name, config: &config, layers: &layers }], store)
        .map_err(|error| Problem::from_error(Failure::Other, &error))?;
    store.export(&layout, dir).map_err(|error| context.explain(error.into()))?;
    told(context, &Digest::of(manifest), &dir.display().to_string())
}

fn push(context: &Context, store: &Store, name: &str, to: &str) -> Result<ExitCode, Problem> {
    let target: ImageName =
        to.parse().map_err(|error| Problem::from_error(Failure::Input, &error))?;
    let image = image(context, store, name)?;
    let fetcher = context.fetcher()?;
    let ImageName { registry, repository, reference } = &target;
    let failed = |error: fetch::Error| {
        let problem = Problem::from_error(Failure::Fetch, &error);
        error.hint().into_iter().fold(problem, Problem::help)
    };
    let tars = image.layers.iter().map(|layer| &layer.tar);
    for content in tars.chain([&image.config]) {
        let path = store.blob_path(&content.digest);
        let open = || File::open(&path);
        let (digest, size) = (&content.digest, content.size);
        let pushed =
            fetcher.push_blob(registry, repository, digest, size, open, &|_| ()).map_err(failed)?;
        context.note(&match pushed {
            fetch::Pushed::Sent => format!("{} is sent", digest.short()),
            fetch::Pushed::There => format!("{} is there already", digest.short()),
        });
    }
    let (_, manifest) = documents(&image, store)?;
    let digest = fetcher
        .push_manifest(registry, repository, reference, MANIFEST, &manifest)
        .map_err(failed)?;
    told(context, &digest, &target.to_string())
}

/// What was handed out, and where it is now.
fn told(context: &Context, manifest: &Digest, place: &str) -> Result<ExitCode, Problem> {
    if context.global.json {
        print_json(&json!({ "manifest": format!("sha256:{manifest}"), "place": place }));
    } else {
        print(&format!("sha256:{manifest}  {place}"));
    }
    Ok(ExitCode::SUCCESS)
}
