//! `build`: makes the output of any recipe.

use std::process::ExitCode;

use serde_json::json;

use super::image;
use crate::cli::{
    args::{Build, Image},
    context::{Context, Planned},
    print, print_json,
    problem::{Failure, Problem},
};

pub(in crate::cli) fn run(context: &Context, args: &Build) -> Result<ExitCode, Problem> {
    let store = context.store()?;
    let Planned { plan, name } = context.plan(&args.name, &store)?;
    if plan.images.contains_key(&name) {
        if context.global.json {
            let Build { name, out, keep_failed } = args.clone();
            return image::run(context, &Image { name, out, layout: None, keep_failed });
        }
        let made = image::make(context, &args.name, args.out.as_deref(), args.keep_failed)?;
        print(&made.dir.display().to_string());
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(out) = args.out.as_ref().filter(|out| out.symlink_metadata().is_ok()) {
        return Err(Problem::new(Failure::Input, format!("{} is there already", out.display()))
            .help("--out names a directory that is to be made"));
    }
    let id = plan.recipes[&name];
    let realised = context.realise(&plan, &[id], &store, args.keep_failed)?;
    let output = realised.output(id).expect("it was just made");
    let failed = |error: crate::store::Error| context.explain(error.into());
    if let Some(out) = &args.out {
        let tree = store.tree(&output).map_err(failed)?;
        store.export(&tree, out).map_err(failed)?;
    }
    if context.global.json {
        let key = realised.derivation(&plan, id).map(|derivation| derivation.key().to_string());
        print_json(&json!({
            "name": name,
            "key": key,
            "output": output,
            "made": realised.made,
            "substituted": realised.substituted,
        }));
    } else {
        print(&store.tree_path(&output).display().to_string());
    }
    Ok(ExitCode::SUCCESS)
}
