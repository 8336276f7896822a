//! `cache pin` and `cache unpin`: what a cache keeps for a reason.

use std::process::ExitCode;

use crate::{
    cache::{Cache, Item, Pin},
    cli::{
        args::PinCache,
        context::{Context, Planned},
        explain, printer,
        problem::{Failure, Problem},
    },
    digest::Digest,
    plan::Derivation,
    realise::{self, Shared},
    remote::Address,
};

/// Pins what a recipe came to with the recipes and the lockfile as they are now, which has to be there.
pub(super) fn pin(context: &Context, args: &PinCache) -> Result<ExitCode, Problem> {
    let cache = super::there(context, &args.address)?;
    let store = context.store()?;
    let planned = context.plan(&args.name, &store)?;
    let goals = planned.goals();
    let Planned { plan, name } = planned;
    let failed = |error| context.explain(error);
    let shared = realise::closure(&plan, &goals, &store);
    let Shared { trees, inputs, .. } = shared.map_err(|error| super::not_made(context, error))?;
    let known = realise::known(&plan, &store).map_err(failed)?;
    // A disk is no tree: what it is laid out from is.
    let tops = goals.iter().map(|id| match plan.step(*id).derivation {
        Derivation::Disk(_) => plan.images[&name].rootfs,
        _ => *id,
    });
    let tops: Vec<Digest> = tops.filter_map(|id| known.output(id)).collect();
    let lacking = lacking(&cache, &tops)?;
    if lacking > 0 {
        let count = printer::count(lacking, "tree");
        let message = format!("{} lacks {count} of {name}", cache.address());
        return Err(Problem::new(Failure::Input, message)
            .help(format!("vsbuild cache push {name} --to {}", args.address)));
    }
    let plan_keys = plan.plan_keys();
    let closure = plan.closure(goals);
    let pin = Pin {
        reason: args.reason.clone(),
        plan_keys: closure.into_iter().map(|id| plan_keys[id.index()]).collect(),
        trees,
        inputs: inputs.into_keys().collect(),
    };
    cache.pin(&called(name.as_str()), &pin).map_err(|error| explain::cache(&error))?;
    Ok(ExitCode::SUCCESS)
}

/// How many of some trees are not in a cache with all their blobs, as far as it says so.
fn lacking(cache: &Cache, trees: &[Digest]) -> Result<usize, Problem> {
    let mut lacking = 0;
    for tree in trees {
        let there = [Item::Tree(*tree), Item::Way(*tree)].iter().try_fold(true, |there, item| {
            Ok::<_, crate::remote::Error>(there && cache.remote().has(&item.name())?)
        });
        if !there.map_err(|error| explain::cache(&error.into()))? {
            lacking += 1;
        }
    }
    Ok(lacking)
}

pub(super) fn unpin(context: &Context, address: &Address, name: &str) -> Result<ExitCode, Problem> {
    let cache = super::there(context, address)?;
    if cache.unpin(&called(name)).map_err(|error| explain::cache(&error))? {
        return Ok(ExitCode::SUCCESS);
    }
    let message = format!("`{name}` is not pinned in {}", cache.address());
    Err(Problem::new(Failure::Input, message)
        .help(format!("vsbuild cache ls {address} lists the pins")))
}

/// What the pin of a recipe is called. Recipes may have a plus sign in their names, and no underscore; names in a cache are the
/// other way round.
fn called(name: &str) -> String {
    name.replace('+', "_")
}
