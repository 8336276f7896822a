//! `verify`: the promise, checked.

use std::{collections::BTreeMap, process::ExitCode};

use serde_json::json;

use super::{
    image::{self, Made},
    rebuild,
};
use crate::{
    cli::{
        args::Verify,
        context::Context,
        print, print_json,
        problem::{Failure, Problem},
    },
    digest::Digest,
    recipe::Name,
};

pub(in crate::cli) fn run(context: &Context, args: &Verify) -> Result<ExitCode, Problem> {
    let (project, recipes) = context.project()?;
    let names: Vec<Name> = match &args.name {
        Some(name) => vec![context.name(&recipes, name)?],
        None => project.lock.outputs.keys().cloned().collect(),
    };
    if names.is_empty() {
        return Err(Problem::new(
            Failure::Input,
            "the lockfile has no hashes of images to compare with",
        )
        .help("record them: vsbuild lock --outputs NAME"));
    }
    for name in &names {
        let made = image::make(context, name.as_str(), None, false)?;
        match project.lock.outputs.get(name) {
            Some(expected) => compare(&made, expected)?,
            None if args.rebuild => (),
            None => {
                return Err(Problem::new(
                    Failure::Input,
                    format!("the lockfile has no hashes of `{name}`"),
                )
                .help(format!("record them: vsbuild lock --outputs {name}")));
            }
        }
        if args.rebuild {
            rebuild::run(context, name, args.scratch.as_deref())?;
        }
        if !context.global.json {
            let how =
                if args.rebuild { "built twice, the same bytes" } else { "as the lockfile says" };
            print(&format!("{name}: {how}"));
        }
    }
    if context.global.json {
        print_json(&json!({ "verified": names, "rebuilt": args.rebuild }));
    }
    Ok(ExitCode::SUCCESS)
}

/// Compares the files of an image with the hashes of the lockfile.
fn compare(made: &Made, expected: &BTreeMap<String, Digest>) -> Result<(), Problem> {
    let differing: Vec<String> = expected
        .iter()
        .filter_map(|(name, expected)| {
            let found = made.files.iter().find(|file| file.name == *name);
            match found {
                Some(file) if file.sha256 == *expected => None,
                Some(file) => Some(format!("{name} is {}, not {expected}", file.sha256)),
                None => Some(format!("{name} is not there")),
            }
        })
        .collect();
    if differing.is_empty() {
        return Ok(());
    }
    let message = format!(
        "{} is not what the lockfile says:\n       {}",
        made.name,
        differing.join("\n       ")
    );
    Err(Problem::new(Failure::Mismatch, message)
        .help(format!("where it begins: vsbuild verify {} --rebuild", made.name))
        .help(format!("if a recipe was changed on purpose: vsbuild lock --outputs {}", made.name)))
}
