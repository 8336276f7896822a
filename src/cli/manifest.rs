//! `manifest.json`: every input and output of an image by digest.

use std::path::Path;

use fs_err as fs;
use serde_json::{Value, json};

use super::problem::{Failure, Problem};
use crate::{
    digest::Digest,
    plan::{Derivation, Fetch, FetchFrom, ImagePlan, Plan},
    realise::{ImageFile, Placed, Realised},
    recipe::Name,
};

/// Version of the manifest's form.
const FORMAT: u32 = 1;
/// Its name in an image's directory.
const NAME: &str = "manifest.json";

/// Writes the manifest beside the files it is about. It says nothing of the host: the same image has the same manifest.
pub(super) fn write(
    name: &Name,
    plan: &Plan,
    image: &ImagePlan,
    realised: &Realised,
    placed: &Placed,
    dir: &Path,
) -> Result<ImageFile, Problem> {
    let mut inputs = Vec::new();
    let mut steps = Vec::new();
    for id in plan.closure([image.kernel, image.disk]) {
        let step = plan.step(id);
        if let Derivation::Fetch(fetch) = &step.derivation {
            inputs.push(input(&step.name, fetch));
        } else if let Some(derivation) = realised.derivation(plan, id) {
            steps.push(json!({
                "name": step.name,
                "kind": derivation.kind(),
                "key": derivation.key().to_string(),
                "output": realised.output(id),
            }));
        }
    }
    let file =
        |file: &ImageFile| (file.name.clone(), json!({ "size": file.size, "sha256": file.sha256 }));
    let manifest = json!({
        "vsbuild-manifest": FORMAT,
        "image": name,
        "cmdline": image.cmdline,
        "root-device": image.root_device,
        "files": Value::Object(placed.files.iter().map(file).collect()),
        "inputs": inputs,
        "steps": steps,
    });
    let text = serde_json::to_string_pretty(&manifest).expect("a manifest is plain data") + "\n";
    let path = dir.join(NAME);
    if fs::read(&path).ok().as_deref() != Some(text.as_bytes()) {
        let partial = dir.join(format!(".{NAME}.partial"));
        fs::write(&partial, &text)
            .and_then(|()| fs::rename(&partial, &path))
            .map_err(|error| Problem::from_error(Failure::Other, &error))?;
    }
    Ok(ImageFile { name: NAME.to_owned(), size: text.len() as u64, sha256: Digest::of(&text) })
}

fn input(name: &str, fetch: &Fetch) -> Value {
    let Fetch { from, size, sha256 } = fetch;
    match from {
        FetchFrom::Archive { archive, path } => json!({
            "name": name, "archive": archive, "path": path, "size": size, "sha256": sha256,
        }),
        FetchFrom::Registry { registry, repository, manifest: _ } => json!({
            "name": name, "registry": registry, "repository": repository, "size": size, "sha256": sha256,
        }),
    }
}
