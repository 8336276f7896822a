//! `sbom`: what is in it, for those who must know.

use std::{
    ffi::OsString,
    io::{self, Write},
    path::Path,
    process::ExitCode,
};

use fs_err as fs;
use serde_json::json;

use super::image;
use crate::{
    bill::{self, Kind, Subject},
    cli::{
        args::{Sbom, SbomFormat},
        context::{Context, Planned},
        print, print_json, printer,
        problem::{Failure, Problem},
    },
    digest::Digest,
    plan::{Derivation, StepId},
    realise::KERNELS,
};

pub(in crate::cli) fn run(context: &Context, args: &Sbom) -> Result<ExitCode, Problem> {
    let store = context.store()?;
    let planned = context.plan(&args.name, &store)?;
    let Planned { plan, name } = &planned;
    let image = plan.images.get(name);
    let step = plan.recipes[name];
    // An image is named by the hashes of its files, so these must be known.
    let files: Vec<(String, Digest)> = match image {
        Some(_) => {
            let made = image::make(context, name.as_str(), None, false)?;
            let parts = made.files.into_iter().map(|file| (file.name, file.sha256));
            parts
                .filter(|(name, _)| name.ends_with(".img") || KERNELS.contains(&name.as_str()))
                .collect()
        }
        None => Vec::new(),
    };
    let mut goals: Vec<StepId> = match image {
        Some(image) => vec![image.kernel, image.rootfs],
        None => vec![step],
    };
    // What packages say of themselves is in their trees, which may be gone where only the goals were kept.
    let closure = plan.closure(goals.iter().copied()).into_iter();
    let looked_into = closure.filter(|id| match plan.step(*id).derivation {
        Derivation::Unpack(_) | Derivation::Function(_) | Derivation::OciImage(_) => true,
        Derivation::Fetch(_)
        | Derivation::Packages(_)
        | Derivation::Run(_)
        | Derivation::Rootfs(_)
        | Derivation::Disk(_)
        | Derivation::Preload(_) => false,
    });
    let inside = bill::inside(plan, &goals);
    goals = looked_into.chain(inside).collect();
    let realised = context.realise(plan, &goals, &store, false)?;
    let subject = Subject { name: name.as_str(), step, image, files: &files };
    let bill = bill::gather(plan, &subject, &|id| realised.output(id), &store)
        .map_err(|error| Problem::from_error(Failure::Other, &error))?;
    let text = match args.format {
        SbomFormat::Spdx => bill::spdx(&bill),
        SbomFormat::Cyclonedx => bill::cyclonedx(&bill),
    };
    let Some(out) = &args.out else {
        print(text.trim_end());
        return Ok(ExitCode::SUCCESS);
    };
    write(out, &text).map_err(|error| Problem::from_error(Failure::Other, &error))?;
    let packages = bill.components.values().filter(|it| it.kind == Kind::Package && it.inside);
    let packages = packages.count();
    let sha256 = Digest::of(&text);
    if context.global.json {
        print_json(&json!({
            "path": out,
            "sha256": sha256,
            "packages": packages,
            "components": bill.components.len(),
            "files": bill.files.len(),
        }));
    } else {
        print(&format!("{sha256}  {}", out.display()));
        context.note(&format!(
            "{} in {name}, {} that it was made from, {} of no package",
            printer::count(packages, "package"),
            printer::count(bill.components.len() - packages, "more thing"),
            printer::count(bill.files.len(), "file")
        ));
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes a file, which then has all of the text, or is what it was. What is no file, such as a pipe, is written to.
fn write(out: &Path, text: &str) -> io::Result<()> {
    if out.symlink_metadata().is_ok_and(|meta| !meta.is_file()) {
        return fs::write(out, text);
    }
    let mut name = OsString::from(".");
    name.push(out.file_name().unwrap_or_default());
    name.push(".partial");
    let partial = out.with_file_name(name);
    match fs::remove_file(&partial) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => (),
    }
    let written = fs::File::options()
        .write(true)
        .create_new(true)
        .open(&partial)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .and_then(|()| fs::rename(&partial, out));
    if written.is_err() {
        // It takes room, and the disk may be full.
        let _ = fs::remove_file(&partial);
    }
    written
}
