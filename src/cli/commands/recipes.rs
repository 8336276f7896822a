//! `recipes`: what can be made.

use std::process::ExitCode;

use serde_json::json;

use crate::{
    cli::{context::Context, print, print_json, problem::Problem},
    recipe::Recipe,
};

pub(in crate::cli) fn run(context: &Context) -> Result<ExitCode, Problem> {
    let (_, recipes) = context.project()?;
    let shown: Vec<&Recipe> = recipes.iter().filter(|recipe| recipe.within.is_none()).collect();
    if context.global.json {
        let list = shown.iter().map(|recipe| {
            json!({
                "name": recipe.name,
                "kind": recipe.kind.word(),
                "description": recipe.description,
                "file": recipe.file.to_string(),
            })
        });
        print_json(&list.collect::<Vec<_>>());
        return Ok(ExitCode::SUCCESS);
    }
    let width = shown.iter().map(|recipe| recipe.name.as_str().len()).max().unwrap_or(0);
    for Recipe { name, kind, description, .. } in shown {
        print(&format!("{name:width$}  {:8}  {description}", kind.word()));
    }
    Ok(ExitCode::SUCCESS)
}
