//! `cache pin` and `cache unpin`: what a cache keeps for a reason.

use std::{collections::BTreeSet, process::ExitCode};

use serde_json::json;

use crate::{
    cache::{Lacking, Pin},
    cli::{
        args::PinCache,
        context::{self, Context, Planned},
        explain, print, print_json, printer,
        problem::{Failure, Problem},
    },
    digest::Digest,
    realise,
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
    let shared = shared.map_err(|error| super::not_made(context, error))?;
    let known = realise::known(&plan, &store).map_err(failed)?;
    let tops = context::tops(&plan, std::slice::from_ref(&name));
    let trees: BTreeSet<Digest> = tops.iter().filter_map(|id| known.output(*id)).collect();
    let plan_keys = plan.plan_keys();
    let steps = tops.iter().map(|id| plan_keys[id.index()]).collect();
    let closure = plan.closure(goals);
    let pin = Pin {
        reason: args.reason.clone(),
        plan_keys: closure.into_iter().map(|id| plan_keys[id.index()]).collect(),
        trees: shared.trees,
        inputs: shared.inputs.into_keys().collect(),
    };
    let called = called(name.as_str());
    let pins = cache.pins().map_err(|error| explain::cache(&error))?;
    let Lacking { trees, steps } =
        cache.pin(&called, &pin, &trees, &steps).map_err(|error| explain::cache(&error))?;
    let lacks = match (trees.len(), steps.len()) {
        (0, 0) => {
            if let Some((_, before)) = pins.iter().find(|(name, _)| *name == called) {
                context.note(&format!("in place of what was pinned for {:?}", before.reason));
            }
            if context.global.json {
                print_json(&json!({
                    "cache": cache.address(),
                    "name": called,
                    "steps": pin.plan_keys.len(),
                    "trees": pin.trees.len(),
                    "inputs": pin.inputs.len(),
                }));
            } else {
                let steps = printer::count(pin.plan_keys.len(), "step");
                print(&format!("pinned {name} with {steps} in {}", cache.address()));
            }
            return Ok(ExitCode::SUCCESS);
        }
        (0, steps) => format!("what somebody says of {}", printer::count(steps, "step")),
        (trees, _) => printer::count(trees, "tree"),
    };
    Err(Problem::new(Failure::Input, format!("{} lacks {lacks} of {name}", cache.address()))
        .help(format!("vsbuild cache push {name} --to {}", args.address)))
}

pub(super) fn unpin(context: &Context, address: &Address, name: &str) -> Result<ExitCode, Problem> {
    let cache = super::there(context, address)?;
    if cache.unpin(&called(name)).map_err(|error| explain::cache(&error))? {
        if context.global.json {
            print_json(&json!({ "cache": cache.address(), "name": called(name) }));
        }
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
