//! `verify`: the promise, checked.

use std::{collections::BTreeMap, process::ExitCode};

use fs_err as fs;
use serde_json::json;

use super::{
    image::{self, Made},
    rebuild::{self, Second},
};
use crate::{
    cli::{
        args::Verify,
        context::Context,
        print, print_json, printer,
        problem::{Failure, Problem},
    },
    digest::Digest,
    realise::{self, Stated},
    recipe::Name,
    trust::{self, Act, SecretKey, Statement},
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
    let key = args.attest.then(|| context.need_signing_key()).transpose()?;
    let mut attested = Vec::new();
    for name in &names {
        let made = image::make(context, name.as_str(), None, false)?;
        read(&made)?;
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
            let second = rebuild::run(context, name, args.scratch.as_deref())?;
            if let Some(key) = &key {
                attested.extend(attest(context, &second, key)?);
            }
        }
        if !context.global.json {
            let how =
                if args.rebuild { "built twice, the same bytes" } else { "as the lockfile says" };
            print(&format!("{name}: {how}"));
        }
    }
    if let Some(file) = &args.attest_out {
        // JSON lines, as the in-toto Attestation Framework has it (`spec/v1/bundle.md`).
        fs::write(file, attested.join("\n") + "\n")
            .map_err(|error| Problem::from_error(Failure::Other, &error))?;
    }
    if args.attest && !context.global.json {
        context.note(&format!("signed: {}", printer::count(attested.len(), "statement")));
    }
    if context.global.json {
        let (rebuilt, attested) = (args.rebuild, attested.len());
        print_json(&json!({ "verified": names, "rebuilt": rebuilt, "attested": attested }));
    }
    Ok(ExitCode::SUCCESS)
}

/// Signs what the second build came to, since it was the same as the first, and keeps that in the store.
fn attest(context: &Context, second: &Second, key: &SecretKey) -> Result<Vec<String>, Problem> {
    let failed = |error| context.explain(error);
    let store = context.store()?;
    let made = realise::closure(&second.plan, &second.goals, &second.store).map_err(failed)?;
    let by = key.public().id().to_string();
    let mut envelopes = Vec::new();
    for Stated { plan_key, claims, .. } in made.stated {
        let statement = Statement { plan_key, act: Act::Rebuilt, claims };
        let envelope = trust::sign(&statement, key);
        store.attest(&plan_key, &by, &envelope).map_err(|error| failed(error.into()))?;
        envelopes.push(String::from_utf8_lossy(&envelope).into_owned());
    }
    Ok(envelopes)
}

/// Reads the files of an image to the last byte: what is known of them is from when they were written.
fn read(made: &Made) -> Result<(), Problem> {
    for file in &made.files {
        let path = made.dir.join(&file.name);
        let found = fs::File::open(&path)
            .and_then(|mut from| Digest::read(&mut from))
            .map_err(|error| Problem::from_error(Failure::Other, &error))?;
        if found != file.sha256 {
            let (path, expected) = (path.display(), file.sha256);
            let message = format!("{path} is damaged: its bytes are {found}, not {expected}");
            return Err(Problem::new(Failure::Mismatch, message)
                .help(format!("remove it, and vsbuild image {} makes it again", made.name)));
        }
    }
    Ok(())
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
