//! Makes a table of the files that ship inside the program: recipes, kernels, the sources of functions and of the guest
//! program, and the lockfile.

#![allow(clippy::unwrap_used, reason = "a build script says what is wrong by failing")]

#[path = "src/project/ignore.rs"]
mod ignore;

use std::{
    env,
    fmt::Write as _,
    fs,
    os::unix::{ffi::OsStrExt, fs::PermissionsExt},
    path::Path,
};

const SHIPPED: [&str; 6] = ["functions", "guest", "harness", "kernels", "lockfile.toml", "recipes"];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src/project/ignore.rs");
    let root = env::var_os("CARGO_MANIFEST_DIR").unwrap();
    let mut table = String::from("[\n");
    for top in SHIPPED {
        let path = Path::new(&root).join(top);
        if path.exists() {
            println!("cargo::rerun-if-changed={top}");
            add(&path, top, &mut table);
        }
    }
    table.push_str("]\n");
    let out = env::var_os("OUT_DIR").unwrap();
    fs::write(Path::new(&out).join("shipped.rs"), table).unwrap();
}

fn add(path: &Path, name: &str, table: &mut String) {
    let metadata = fs::symlink_metadata(path).unwrap();
    if metadata.is_file() {
        let executable = metadata.permissions().mode() & 0o100 != 0;
        let bytes = format!("include_bytes!({path:?})");
        writeln!(table, "    File {{ path: {name:?}, executable: {executable}, bytes: {bytes} }},")
            .unwrap();
        return;
    }
    assert!(metadata.is_dir(), "{}: only files and directories can ship", path.display());
    let mut entries: Vec<_> =
        fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    entries.sort();
    let has_manifest = entries.iter().any(|entry| entry == "Cargo.toml");
    for entry in entries {
        if !ignore::is_ignored(entry.as_bytes(), has_manifest) {
            let below =
                format!("{name}/{}", entry.to_str().expect("names of shipped files are text"));
            add(&path.join(&entry), &below, table);
        }
    }
}
