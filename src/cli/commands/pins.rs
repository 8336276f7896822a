//! `store pin` and `store unpin`: what is kept for a reason of the user's.

use std::{collections::BTreeMap, process::ExitCode};

use crate::{
    cli::{
        args::Pin,
        context::{Context, Planned},
        print, print_json,
        problem::{Failure, Problem},
    },
    plan::Derivation,
    realise,
    store::{PIN, Root, Store},
};

pub(super) fn pin(context: &Context, store: &Store, args: &Pin) -> Result<ExitCode, Problem> {
    match (&args.name, &args.reason) {
        (Some(name), Some(reason)) => set(context, store, name, reason),
        _ => list(context, store),
    }
}

/// Pins what `name` came to with the recipes and the lockfile as they are now.
fn set(context: &Context, store: &Store, name: &str, reason: &str) -> Result<ExitCode, Problem> {
    let planned = context.plan(name, store)?;
    let goals = planned.goals();
    let Planned { plan, name } = planned;
    let known = realise::known(&plan, store).map_err(|error| context.explain(error))?;
    // A disk is no object: what it is laid out from is.
    let tree_of = |id| match &plan.step(id).derivation {
        Derivation::Disk(_) => plan.images.get(&name).map(|image| image.rootfs),
        _ => Some(id),
    };
    let trees = goals.iter().filter_map(|id| tree_of(*id));
    let trees: Option<_> =
        trees.map(|id| known.output(id).filter(|tree| store.has_tree(tree))).collect();
    let Some(trees) = trees else {
        let make = if plan.images.contains_key(&name) { "image" } else { "build" };
        return Err(Problem::new(Failure::Input, format!("`{name}` is not made yet"))
            .help(format!("vsbuild {make} {name}")));
    };
    let keys = plan.closure(goals).into_iter().filter_map(|id| known.derivation(&plan, id));
    let keys = keys.map(|derivation| *derivation.key().digest()).collect();
    let root = Root { keys, trees, place: None, reason: reason.to_owned() };
    store
        .set_root(&format!("{PIN}{name}"), &root)
        .map_err(|error| context.explain(error.into()))?;
    Ok(ExitCode::SUCCESS)
}

fn list(context: &Context, store: &Store) -> Result<ExitCode, Problem> {
    let roots = store.roots().map_err(|error| context.explain(error.into()))?;
    let pins: BTreeMap<&str, &Root> =
        roots.iter().filter_map(|(name, root)| Some((name.strip_prefix(PIN)?, root))).collect();
    if context.global.json {
        print_json(&pins);
        return Ok(ExitCode::SUCCESS);
    }
    for (name, root) in pins {
        print(&format!("{name}  ({})", root.reason));
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn unpin(context: &Context, store: &Store, name: &str) -> Result<ExitCode, Problem> {
    let removed = store.remove_root(&format!("{PIN}{name}"));
    match removed.map_err(|error| context.explain(error.into()))? {
        true => Ok(ExitCode::SUCCESS),
        false => Err(Problem::new(Failure::Input, format!("`{name}` is not pinned"))
            .help("vsbuild store pin lists the pins")),
    }
}
