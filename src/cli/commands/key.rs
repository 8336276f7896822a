//! `key`: who signs here.

use std::{io, path::Path, process::ExitCode};

use serde_json::json;

use crate::{
    cli::{
        args::Key as Args,
        context::Context,
        keys, print, print_json,
        problem::{Failure, Problem},
    },
    trust::{PublicKey, SecretKey},
};

pub(in crate::cli) fn run(context: &Context, args: &Args) -> Result<ExitCode, Problem> {
    match args {
        Args::Generate { name, out } => {
            let file = out.clone().unwrap_or_else(keys::default_file);
            generate(context, name, &file)
        }
        Args::Public { file } => {
            let file = file.clone().unwrap_or_else(|| context.key_file());
            show(context, &keys::read(&file)?.public(), &file);
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn generate(context: &Context, name: &str, file: &Path) -> Result<ExitCode, Problem> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| Problem::from_error(Failure::Other, &error))?;
    let key = SecretKey::from_seed(name, &seed)
        .map_err(|error| Problem::from_error(Failure::Input, &error))?;
    keys::write(&key, file).map_err(|error| {
        let problem = Problem::from_error(Failure::Input, &error);
        if error.kind() == io::ErrorKind::AlreadyExists {
            problem.help(
                "a key that is there stays; name another file with --out, or remove this one yourself",
            )
        } else {
            problem
        }
    })?;
    show(context, &key.public(), file);
    context.note(&format!(
        "The secret key is in {}. Others put the line above into `keys` of [trust].",
        file.display()
    ));
    if context.key_file() != file {
        context.note(&format!(
            "To sign with it, name it in {}:\n[sign]\nkey = \"{}\"",
            context.config_file().display(),
            std::path::absolute(file).unwrap_or_else(|_| file.to_owned()).display()
        ));
    }
    Ok(ExitCode::SUCCESS)
}

fn show(context: &Context, key: &PublicKey, file: &Path) {
    if context.global.json {
        let (public, id, name) = (key.to_string(), key.id(), key.name());
        print_json(&json!({ "name": name, "id": id, "public": public, "file": file }));
    } else {
        print(&key.to_string());
    }
}
