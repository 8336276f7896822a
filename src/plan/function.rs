//! What recipes say about containers, as derivations.

use std::collections::BTreeMap;

use super::{
    Container, Fetch, FetchFrom, Function, ImageFrom, Input, Layer, OciImage, Preload,
    lower::{EPOCH, Fault, Lowering},
};
use crate::{
    lock::{LockedBlob, LockedImage},
    recipe::{self, Kind, Name, Origin, Recipe, Reference},
};

/// The registry of what no registry holds, in the names that containerd has for images.
const LOCAL: &str = "localhost";

pub(super) fn oci_image(
    lowering: &mut Lowering<'_>,
    recipe: &Recipe,
    image: &recipe::OciImage,
) -> Result<OciImage<Input>, Fault> {
    let from = match &image.origin {
        Origin::Registry(reference) => {
            let locked = lowering
                .locked_image(&recipe.name)
                .ok_or_else(|| Fault::ImageNotLocked(recipe.name.clone()))?;
            blobs(lowering, &recipe.name, reference, locked)
        }
        Origin::Layout { source, tag } => {
            let tree = lowering.directory(recipe, source)?;
            ImageFrom::Layout { tree, tag: tag.clone() }
        }
        Origin::Archive { source, tag } => {
            let (tree, path, _) = lowering.single(recipe, source)?;
            ImageFrom::Archive { tree, path, tag: tag.clone() }
        }
    };
    let format = OciImage::<Input>::FORMAT;
    Ok(OciImage { format, architecture: image.architecture.word(), from })
}

fn blobs(
    lowering: &mut Lowering<'_>,
    name: &Name,
    reference: &Reference,
    locked: &LockedImage,
) -> ImageFrom<Input> {
    let mut fetch = |what: String, blob: &LockedBlob, manifest: bool| {
        let from = FetchFrom::Registry {
            registry: reference.registry.clone(),
            repository: reference.repository.clone(),
            manifest,
        };
        let fetch = Fetch { from, size: blob.size, sha256: blob.sha256 };
        Input::Step(lowering.fetch(format!("{what} of {name}"), fetch))
    };
    let manifest = fetch("the manifest".to_owned(), &locked.manifest, true);
    let config = fetch("the configuration".to_owned(), &locked.config, false);
    let layers = locked.layers.iter().enumerate();
    let layers = layers.map(|(index, blob)| fetch(format!("layer {}", index + 1), blob, false));
    ImageFrom::Blobs { manifest, config, layers: layers.collect() }
}

pub(super) fn function(
    lowering: &mut Lowering<'_>,
    function: &recipe::Function,
) -> Result<Function<Input>, Fault> {
    let mut layers = Vec::with_capacity(function.layers.len());
    for recipe::RootfsLayer { recipe, from, at } in &function.layers {
        let tree = Input::Step(lowering.recipe(recipe)?);
        let (from, at) = (from.clone(), at.clone());
        layers.push(Layer { name: recipe.to_string(), tree, from, at });
    }
    Ok(Function {
        format: Function::<Input>::FORMAT,
        architecture: function.architecture.word(),
        layers,
        entrypoint: function.entrypoint.clone(),
        command: function.command.clone(),
        user: function.user.clone(),
        workdir: function.workdir.clone(),
        env: function.env.clone(),
        ports: function.ports.clone(),
        labels: function.labels.clone(),
        epoch: EPOCH,
        errata: super::guest::errata(&function.errata),
    })
}

pub(super) fn preload(
    lowering: &mut Lowering<'_>,
    preload: &recipe::Preload,
) -> Result<Preload<Input>, Fault> {
    let mut containers = BTreeMap::new();
    for name in &preload.functions {
        let image = Input::Step(lowering.recipe(name)?);
        containers.insert(name.to_string(), container(lowering.get(name)?, image));
    }
    Ok(Preload {
        format: Preload::<Input>::FORMAT,
        namespace: preload.namespace.clone(),
        blobs: preload.blobs,
        containers,
        epoch: EPOCH,
    })
}

fn container(recipe: &Recipe, image: Input) -> Container<Input> {
    let local = Container {
        image,
        reference: format!("{LOCAL}/{}:latest", recipe.name),
        entrypoint: None,
        command: None,
        env: BTreeMap::new(),
        invoke: recipe.invoke().map(lines),
    };
    match &recipe.kind {
        Kind::OciImage(image) => Container {
            reference: match &image.origin {
                Origin::Registry(reference) => reference.to_string(),
                Origin::Layout { .. } | Origin::Archive { .. } => local.reference,
            },
            entrypoint: image.entrypoint.clone(),
            command: image.command.clone(),
            env: image.env.clone(),
            ..local
        },
        Kind::Packages(_)
        | Kind::Build(_)
        | Kind::Kernel(_)
        | Kind::Rootfs(_)
        | Kind::Image(_)
        | Kind::Function(_)
        | Kind::Preload(_) => local,
    }
}

/// How a function is called, in the lines that the guest reads: `docs/guest.md` has their form.
fn lines(invoke: &recipe::Invoke) -> Vec<String> {
    let mut lines = vec![format!("port {}", invoke.port)];
    lines.extend(invoke.needs.iter().map(|need| format!("needs {need}")));
    let Some(method) = &invoke.method else { return lines };
    lines.push(format!("method {method}"));
    for recipe::Field { number, kind, value } in &invoke.request {
        lines.push(format!("field {number} {kind} {value}"));
    }
    lines.push(format!("reply {} {}", invoke.reply.field, invoke.reply.check));
    lines.push(format!("generator {}", invoke.generator.word()));
    lines.push(format!("lower {}", invoke.lower));
    lines.push(format!("upper {}", invoke.upper));
    lines.extend(invoke.input.iter().map(|input| format!("input {input}")));
    lines
}
