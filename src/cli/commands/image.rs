//! `image`: the main job.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use serde_json::json;

use crate::{
    cli::{
        args::Image,
        context::Context,
        manifest, print, print_json, printer,
        problem::{Failure, Problem},
    },
    digest::Digest,
    plan::{ImagePlan, Plan},
    realise::{self, ImageFile},
    recipe::{Layout, Name},
    store::{Root, Store},
};

/// An image that is where it should be.
pub(in crate::cli) struct Made {
    pub(in crate::cli) name: Name,
    /// The directory with its files.
    pub(in crate::cli) dir: PathBuf,
    /// All files, manifest included.
    pub(in crate::cli) files: Vec<ImageFile>,
    /// The kernel's command line.
    pub(in crate::cli) cmdline: String,
    /// Whether all of it was there before.
    pub(in crate::cli) unchanged: bool,
    /// How many steps had to be made.
    pub(in crate::cli) made: usize,
    /// How many trees were brought from caches.
    pub(in crate::cli) substituted: usize,
}

pub(in crate::cli) fn run(context: &Context, args: &Image) -> Result<ExitCode, Problem> {
    let layout = args.layout.map(Layout::from);
    let made = make_laid_out(context, &args.name, layout, args.out.as_deref(), args.keep_failed)?;
    let path = |file: &ImageFile| made.dir.join(&file.name);
    if context.global.json {
        let files = made
            .files
            .iter()
            .map(|file| json!({ "path": path(file), "size": file.size, "sha256": file.sha256 }));
        print_json(&json!({
            "image": made.name,
            "unchanged": made.unchanged,
            "made": made.made,
            "substituted": made.substituted,
            "cmdline": made.cmdline,
            "files": files.collect::<Vec<_>>(),
        }));
        return Ok(ExitCode::SUCCESS);
    }
    for file in &made.files {
        print(&format!(
            "{}  {:>11}  {}",
            file.sha256,
            printer::size(file.size),
            path(file).display()
        ));
    }
    Ok(ExitCode::SUCCESS)
}

/// Makes an image, or finds that it is made, in `out`/NAME.
pub(in crate::cli) fn make(
    context: &Context,
    name: &str,
    out: Option<&Path>,
    keep_failed: bool,
) -> Result<Made, Problem> {
    make_laid_out(context, name, None, out, keep_failed)
}

/// The same, but its disk may be laid out otherwise than its recipe says; then it is made in `out`/NAME-LAYOUT, so that
/// it never takes the place of what the lockfile has hashes of.
pub(in crate::cli) fn make_laid_out(
    context: &Context,
    name: &str,
    layout: Option<Layout>,
    out: Option<&Path>,
    keep_failed: bool,
) -> Result<Made, Problem> {
    let store = context.store()?;
    let (project, recipes) = context.project()?;
    let name = context.name(&recipes, name)?;
    let (recipes, place) = match layout {
        Some(layout) => (recipes.laid_out(&name, layout), format!("{name}-{}", layout.word())),
        None => (recipes, name.to_string()),
    };
    let plan = context.lower(&project, &recipes, std::slice::from_ref(&name), &store)?;
    let Some(image) = plan.images.get(&name) else {
        return Err(Problem::new(Failure::Input, format!("`{name}` is no image"))
            .help(format!("to build it all the same: vsbuild build {name}")));
    };
    let dir = out.map_or_else(|| project.root.join("out"), Path::to_owned).join(place);
    let (fetcher, substituters) = (context.fetcher()?, context.substituters()?);
    let world = context.world(&store, &fetcher, substituters.as_ref(), keep_failed);
    let goals = [image.kernel, image.rootfs];
    let realised = realise::realise(&plan, &goals, &world, &context.printer)
        .map_err(|error| context.explain(error))?;
    let there = realise::placed(&plan, image, &realised, &world, &dir)
        .map_err(|error| context.explain(error))?;
    let unchanged = there.is_some() && realised.made + realised.substituted == 0;
    let placed = match there {
        Some(placed) => placed,
        None => realise::place(&plan, name.as_str(), image, &realised, &world, &dir)
            .map_err(|error| context.explain(error))?,
    };
    let mut files = placed.files.clone();
    files.push(manifest::write(&name, &plan, image, &realised, &placed, &dir)?);
    keep(context, &store, &name, &dir, &plan, image, &realised)?;
    let cmdline = image.cmdline.clone();
    let (made, substituted) = (realised.made, realised.substituted);
    Ok(Made { name, dir, files, cmdline, unchanged, made, substituted })
}

/// Sets the root that keeps what the image is made of.
fn keep(
    context: &Context,
    store: &Store,
    name: &Name,
    dir: &Path,
    plan: &Plan,
    image: &ImagePlan,
    realised: &realise::Realised,
) -> Result<(), Problem> {
    let keys = plan
        .closure([image.kernel, image.disk])
        .into_iter()
        .filter_map(|id| realised.derivation(plan, id))
        .map(|derivation| *derivation.key().digest());
    let trees = [image.kernel, image.rootfs].into_iter().filter_map(|id| realised.output(id));
    let root = Root {
        keys: keys.collect(),
        trees: trees.collect(),
        place: Some(dir.to_owned()),
        reason: "vsbuild image".to_owned(),
    };
    store.set_root(&root_name(name, dir), &root).map_err(|error| context.explain(error.into()))
}

/// The root of an image: two projects may have images of one name, and each keeps its own.
fn root_name(name: &Name, dir: &Path) -> String {
    let place = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
    format!("{name}@{}", Digest::of(place.as_os_str().as_encoded_bytes()).short())
}
