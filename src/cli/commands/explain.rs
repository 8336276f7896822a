//! `show`, `graph`, `log` and `why`: what goes into a recipe, and how that came about.

use std::process::ExitCode;

use fs_err as fs;
use serde_json::json;

use crate::{
    cli::{
        args::{Graph, GraphFormat, Named, Why},
        context::{Context, Planned},
        graph, print, print_json,
        problem::{Failure, Problem},
    },
    plan::{Derivation, Step, StepId},
    realise,
};

pub(in crate::cli) fn show(context: &Context, args: &Named) -> Result<ExitCode, Problem> {
    let store = context.store()?;
    let Planned { plan, name, .. } = context.plan(&args.name, &store)?;
    let id = plan.recipes[&name];
    let known = realise::known(&plan, &store).map_err(|error| context.explain(error))?;
    match known.derivation(&plan, id) {
        Some(derivation) if context.global.json => print_json(&json!({
            "name": name,
            "key": derivation.key().to_string(),
            "canonical": derivation.canonical(),
            "output": known.output(id),
        })),
        Some(derivation) => {
            print(&derivation.json(true));
            context.note(&format!("key {}", derivation.key()));
            if let Some(output) = known.output(id) {
                context.note(&format!("output {output}"));
            }
        }
        None if context.global.json => print_json(&json!({
            "name": name,
            "key": null,
            "derivation": serde_json::to_value(&plan.step(id).derivation).ok(),
            "output": null,
        })),
        None => {
            print(&plan.step(id).derivation.json(true));
            context.note(&format!(
                "Some inputs are not built yet, so they are named by step and there is no key: vsbuild build {name}"
            ));
        }
    }
    Ok(ExitCode::SUCCESS)
}

pub(in crate::cli) fn graph(context: &Context, args: &Graph) -> Result<ExitCode, Problem> {
    let planned = context.plan(&args.name, &context.store()?)?;
    let goals = planned.goals();
    if context.global.json {
        let steps = planned.plan.closure(goals).into_iter().map(|id| {
            let step = planned.plan.step(id);
            let needs: Vec<usize> = step.needs().into_iter().map(StepId::index).collect();
            let kind = step.derivation.kind();
            json!({ "id": id.index(), "name": step.name, "kind": kind, "needs": needs })
        });
        print_json(&steps.collect::<Vec<_>>());
        return Ok(ExitCode::SUCCESS);
    }
    print(&match args.format {
        GraphFormat::Tree => graph::tree(&planned.plan, &goals, args.all),
        GraphFormat::Dot => graph::dot(&planned.plan, &goals, args.all),
    });
    Ok(ExitCode::SUCCESS)
}

pub(in crate::cli) fn log(context: &Context, args: &Named) -> Result<ExitCode, Problem> {
    let store = context.store()?;
    let Planned { plan, name, .. } = context.plan(&args.name, &store)?;
    let known = realise::known(&plan, &store).map_err(|error| context.explain(error))?;
    let derivation = known.derivation(&plan, plan.recipes[&name]);
    let no_log =
        |why: &str| Problem::new(Failure::Other, format!("there is no log of `{name}`: {why}"));
    let derivation = derivation.ok_or_else(|| no_log("it was not built yet"))?;
    if !matches!(derivation, Derivation::Run(_)) {
        return Err(no_log("only what a script makes has one"));
    }
    let path =
        store.log_path(derivation.key().digest()).map_err(|error| context.explain(error.into()))?;
    let text = fs::read(&path).map_err(|_| no_log("it was not built here"))?;
    print(String::from_utf8_lossy(&text).trim_end());
    Ok(ExitCode::SUCCESS)
}

pub(in crate::cli) fn why(context: &Context, args: &Why) -> Result<ExitCode, Problem> {
    let store = context.store()?;
    let planned = context.plan(&args.name, &store)?;
    let known = realise::known(&planned.plan, &store).map_err(|error| context.explain(error))?;
    let output = |id: StepId| known.output(id).map(|digest| digest.hex()).unwrap_or_default();
    let is_target = |id: StepId, step: &Step| {
        let package = step.name.split(' ').next().unwrap_or_default();
        step.name == args.input || package == args.input || output(id) == args.input
    };
    let ways = planned.goals().into_iter().filter_map(|goal| planned.plan.path(goal, is_target));
    let way = ways.min_by_key(Vec::len).ok_or_else(|| {
        Problem::new(Failure::Input, format!("`{}` is no part of `{}`", args.input, args.name))
            .help(format!("vsbuild graph {} --all lists all parts", args.name))
    })?;
    let steps: Vec<&Step> = way.iter().map(|id| planned.plan.step(*id)).collect();
    if context.global.json {
        let steps =
            steps.iter().map(|step| json!({ "name": step.name, "kind": step.derivation.kind() }));
        print_json(&steps.collect::<Vec<_>>());
        return Ok(ExitCode::SUCCESS);
    }
    for (depth, step) in steps.iter().enumerate() {
        let arrow = if depth == 0 { "" } else { "needs " };
        print(&format!(
            "{:indent$}{arrow}{} ({})",
            "",
            step.name,
            step.derivation.kind(),
            indent = depth * 2
        ));
    }
    Ok(ExitCode::SUCCESS)
}
