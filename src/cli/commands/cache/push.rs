//! `cache push`: sends what was made here.

use std::{
    io,
    path::{Path, PathBuf},
    process::ExitCode,
};

use fs_err as fs;
use serde_json::json;

use crate::{
    cache::{Cache, Parcel, PushPlan},
    cli::{
        args::Push as Args,
        context::{self, Context},
        explain, print, print_json, printer,
        problem::{Failure, Problem},
        signer::Signer,
    },
    digest::Digest,
    path::GuestPath,
    plan::{Plan, StepId},
    realise::{self, DISK, Realised, World},
    recipe::Name,
    remote::Address,
    store::{Scratch, Store},
    tree::{Content, Draft, Inode, Kind, Meta, Node, Time, Tree},
};

pub(super) fn run(context: &Context, args: &Args) -> Result<ExitCode, Problem> {
    let store = context.store()?;
    let (project, recipes) = context.project()?;
    let names: Vec<Name> =
        args.names.iter().map(|name| context.name(&recipes, name)).collect::<Result<_, _>>()?;
    let plan = context.lower(&project, &recipes, &names, &store)?;
    let goals = context::goals(&plan, &names);
    let shared =
        realise::closure(&plan, &goals, &store).map_err(|error| super::not_made(context, error))?;
    let cache = super::at(context, &args.to)?;
    refuse_others(&args.to, &cache)?;
    let mut parcel = Parcel { trees: shared.trees.clone(), ..Parcel::default() };
    parcel.statements =
        Signer::new(context, args.key.as_deref(), &shared)?.sign(context, &shared, &store)?;
    if args.with_inputs {
        let missing: Vec<StepId> = shared
            .inputs
            .iter()
            .filter(|(input, _)| !store.has_blob(input))
            .map(|(_, id)| *id)
            .collect();
        // What was taken from others was never fetched here.
        context.realise(&plan, &missing, &store, false)?;
        parcel.inputs = shared.inputs.keys().copied().collect();
    }
    let mut disks = Vec::new();
    if args.with_images {
        for name in names.iter().filter(|name| plan.images.contains_key(*name)) {
            let disk = Disk::find(context, &project.root.join("out"), &plan, name, &store)?;
            parcel.images.insert(disk.sha256, disk.tree.digest());
            parcel.loose.push((disk.tree.clone(), [(disk.sha256, disk.path.clone())].into()));
            disks.push(disk);
        }
    }
    context.note(&format!("looking at what {} has", cache.address()));
    let sent = {
        let gauge = context.printer.gauge("sent");
        cache.push(&parcel, &store, &|now, total| gauge.reach(now, total))
    };
    let sent = sent.map_err(|error| explain::cache(&error))?;
    tell(context, cache.address(), &names, &sent);
    Ok(ExitCode::SUCCESS)
}

/// A directory with something else in it is hardly meant.
fn refuse_others(to: &Address, cache: &Cache) -> Result<(), Problem> {
    let Address::Directory(dir) = to else { return Ok(()) };
    let entries = fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok);
    // What begins with a dot is of a push that was broken off, or of the file system.
    let mut others =
        entries.filter(|entry| !entry.file_name().as_encoded_bytes().starts_with(b"."));
    if others.next().is_none() || cache.check().map_err(|error| explain::cache(&error))? {
        return Ok(());
    }
    let message = format!("{} is no cache, and it is not empty", dir.display());
    Err(Problem::new(Failure::Input, message)
        .help("name a directory of its own for the cache; it need not be there yet"))
}

fn tell(context: &Context, address: &str, names: &[Name], sent: &PushPlan) {
    let trees = sent.trees.len();
    let (packs, inputs, statements) = (sent.packs.len(), sent.inputs.len(), sent.statements.len());
    if context.global.json {
        print_json(&json!({
            "cache": address,
            "names": names,
            "bytes": sent.bytes(),
            "packed-bytes": sent.packed,
            "there": sent.there,
            "packs": packs,
            "trees": trees,
            "images": sent.images.len(),
            "inputs": inputs,
            "statements": statements,
        }));
        return;
    }
    let mut what = vec![printer::count(packs, "pack"), printer::count(trees, "tree")];
    if !sent.images.is_empty() {
        what.push(printer::count(sent.images.len(), "image"));
    }
    if inputs > 0 {
        what.push(printer::count(inputs, "input"));
    }
    what.push(printer::count(statements, "statement"));
    print(&format!(
        "sent {} as {} ({}) to {address}; {} were there",
        printer::size(sent.bytes()),
        printer::size(sent.packed),
        what.join(", "),
        printer::size(sent.there)
    ));
}

/// The disk of an image, as a tree with this one file.
struct Disk {
    sha256: Digest,
    tree: Tree,
    path: PathBuf,
    /// Where it was laid out, if it was nowhere.
    _scratch: Option<Scratch>,
}

impl Disk {
    /// The disk that `vsbuild image` made, or else one that is laid out for this.
    fn find(
        context: &Context,
        out: &Path,
        plan: &Plan,
        name: &Name,
        store: &Store,
    ) -> Result<Self, Problem> {
        let failed = |error: realise::Error| context.explain(error);
        let known = realise::known(plan, store).map_err(failed)?;
        let fetcher = context.fetcher()?;
        let world = context.world(store, &fetcher, None, false);
        let made = out.join(name.as_str());
        let image = &plan.images[name];
        if let Some(placed) = realise::placed(plan, image, &known, &world, &made).map_err(failed)?
            && let Some(disk) = placed.files.iter().find(|file| file.name == DISK)
        {
            return Self::of(made.join(DISK), &disk.sha256, None)
                .map_err(|error| failed(error.into()));
        }
        let scratch = store.scratch().map_err(|error| failed(error.into()))?;
        let (dir, disk) = lay(context, plan, name, &known, &world, scratch.path())?;
        Self::of(dir.join(DISK), &disk, Some(scratch)).map_err(|error| failed(error.into()))
    }

    fn of(path: PathBuf, sha256: &Digest, scratch: Option<Scratch>) -> io::Result<Self> {
        let content = Content::read(&mut fs::File::open(&path)?)?;
        if content.digest != *sha256 {
            let why = format!("{} was changed since it was made", path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        }
        let meta = |mode| Meta::root_owned(mode, Time::default());
        let mut draft = Draft::with_root(meta(0o755));
        let file = Inode { meta: meta(0o644), kind: Kind::File(content) };
        draft.insert(GuestPath::new(DISK).unwrap_or_default(), Node::Inode(file));
        let tree = draft.finish().map_err(io::Error::other)?;
        Ok(Self { sha256: *sha256, tree, path, _scratch: scratch })
    }
}

fn lay(
    context: &Context,
    plan: &Plan,
    name: &Name,
    known: &Realised,
    world: &World<'_>,
    dir: &Path,
) -> Result<(PathBuf, Digest), Problem> {
    context.note(&format!("laying out the disk of {name}"));
    let dir = dir.join(name.as_str());
    let placed = realise::place(plan, name.as_str(), &plan.images[name], known, world, &dir)
        .map_err(|error| context.explain(error))?;
    let disk = placed.files.iter().find(|file| file.name == DISK);
    let disk = disk.ok_or_else(|| Problem::new(Failure::Other, format!("{name} has no disk")))?;
    Ok((dir, disk.sha256))
}
