use std::fmt::Write;

use super::About;
use crate::trust::PublicKey;

/// What a bundle says to whoever unpacked it.
pub(super) fn readme(about: &About, with_outputs: bool) -> String {
    let names: Vec<&str> = about.goals.keys().map(|name| name.as_str()).collect();
    let image = about.goals.iter().find(|(_, goal)| !goal.files.is_empty());
    let first = names.first().copied().unwrap_or("NAME");
    let (build, name) = match image {
        Some((name, _)) => ("image", name.as_str()),
        None => ("build", first),
    };
    let mut text = format!(
        "This directory builds {} with vsbuild {}, without a network. All inputs are in vendor/, by sha256.\n",
        names.join(", "),
        about.program
    );
    // Writing to a String cannot fail.
    let _ = writeln!(text, "  vsbuild {build} {name}     builds it from its inputs, here");
    if image.is_some() {
        let _ = writeln!(
            text,
            "  vsbuild verify {name}    compares it with the hashes below, which are those of lockfile.toml"
        );
    }
    let keys: Vec<&PublicKey> = about.keys.values().collect();
    if let Some(key) = keys.first().filter(|_| with_outputs) {
        let _ = writeln!(
            text,
            "To take what was built elsewhere instead, if you trust who signed it:\n  \
             vsbuild {build} {name} --substituter vendor --trusted-key {key}"
        );
    }
    text.push_str("MANIFEST names everything here by sha256; `vsbuild import` checks all of it.");
    text.push_str(if image.is_some() { " Expected files:\n" } else { "\n" });
    for (name, goal) in &about.goals {
        for (file, sha256) in &goal.files {
            let _ = writeln!(text, "{sha256}  {name}/{file}");
        }
    }
    text
}
