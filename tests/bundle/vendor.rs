//! Inputs beside the recipes: builds need no mirror any more.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use vsbuild::digest::Digest;

use crate::{
    common::Ran,
    real::Real,
    site::{Author, hashes, json},
};

fn vendored(dir: &Path) -> Vec<PathBuf> {
    let files = walkdir::WalkDir::new(dir.join("inputs")).sort_by_file_name().into_iter().flatten();
    files.filter(|entry| entry.file_type().is_file()).map(walkdir::DirEntry::into_path).collect()
}

/// vsbuild without a mirror, with a new store.
fn afterwards(author: &Author, args: &[&str]) -> Command {
    let mut command = author.lab.command(args);
    command.env("VSBUILD_MIRROR_DEBIAN", "file:///nonexistent");
    command.env("VSBUILD_STORE", author.path("another store"));
    command
}

#[test]
fn what_is_vendored_builds_when_the_mirrors_are_gone() {
    let author = Author::new();
    let expected = author.hashes();
    let vendor = author.lab.env.project().join("vendor");
    let said = author.run(&["vendor"]).good();
    assert!(said.contains("3 inputs"), "{said}");
    let files = vendored(&vendor);
    assert_eq!(files.len(), 3);
    for file in &files {
        let digest = Digest::of(fs::read(file).unwrap()).to_string();
        assert!(file.ends_with(&digest) && file.parent().unwrap().ends_with(&digest[..2]));
    }
    assert_eq!(fs::read_to_string(vendor.join("format")).unwrap(), "vsbuild-cache 1\n");
    assert!(author.run(&["vendor", "--check"]).good().contains("3 inputs there, and right"));
    fs::remove_dir_all(author.lab.mirror()).unwrap();
    for more in [&["--offline"][..], &["--no-substitute"], &[]] {
        let out = author.path("out");
        let args = ["image", "tiny", "--json", "--out", out.to_str().unwrap()];
        let ran = Ran::of(afterwards(&author, &[&args, more].concat()).output().unwrap());
        assert_eq!(hashes(&json(&ran.good())), expected);
        fs::remove_dir_all(author.path("another store")).unwrap();
        fs::remove_dir_all(out).unwrap();
    }
    fs::remove_dir_all(&vendor).unwrap();
    let gone = Ran::of(afterwards(&author, &["image", "tiny"]).output().unwrap());
    gone.bad(5);
}

#[test]
fn only_what_lacks_or_is_damaged_is_brought() {
    let author = Author::new();
    let vendor = author.lab.env.project().join("vendor");
    let first = json(&author.run(&["vendor", "tiny", "--json"]).good());
    assert_eq!((&first["inputs"], &first["brought"]), (&2.into(), &2.into()));
    let all = json(&author.run(&["vendor", "--json"]).good());
    assert_eq!((&all["inputs"], &all["brought"]), (&3.into(), &1.into()));
    let files = vendored(&vendor);
    fs::remove_file(&files[0]).unwrap();
    let mut bytes = fs::read(&files[1]).unwrap();
    bytes[20] ^= 1;
    fs::write(&files[1], &bytes).unwrap();
    let wrong = author.run(&["vendor", "--check"]).bad(4);
    assert!(wrong.contains("2 of 3 inputs"), "{wrong}");
    assert!(wrong.contains("is lacking") && wrong.contains("is damaged"), "{wrong}");
    assert!(wrong.contains(":amd64=1.0"), "they are named: {wrong}");
    // What is damaged is not taken by a build either.
    fs::remove_file(&files[2]).unwrap();
    let gone = Ran::of(afterwards(&author, &["build", "tools"]).output().unwrap());
    assert_eq!(gone.code, Some(5), "{gone:?}");
    fs::remove_dir_all(author.lab.env.store()).unwrap();
    let again = json(&author.run(&["vendor", "--json"]).good());
    assert_eq!(again["brought"], 3, "from the mirror, as the store has nothing");
    author.run(&["vendor", "--check"]).good();
    assert_eq!(json(&author.run(&["vendor", "--json"]).good())["brought"], 0);
}

#[test]
fn what_the_lockfile_does_not_name_any_more_is_pruned() {
    let mut author = Author::new();
    author.run(&["vendor"]).good();
    let vendor = author.lab.env.project().join("vendor");
    let before = vendored(&vendor);
    author.lab.text_package("unused", &[("usr/share/unused", "another text\n")]);
    author.run(&["vendor"]).good();
    assert_eq!(vendored(&vendor).len(), 4, "without --prune all stays");
    let said = author.run(&["vendor", "--prune"]);
    assert!(said.stderr.contains("removed 1 input"), "{}", said.stderr);
    said.good();
    let after = vendored(&vendor);
    assert_eq!(after.len(), 3);
    assert_eq!(after.iter().filter(|file| before.contains(file)).count(), 2);
    author.run(&["vendor", "tiny", "--prune"]).bad(2);
}

#[test]
fn another_directory_is_used_when_the_settings_name_it() {
    let author = Author::new();
    let third = author.lab.env.project().join("third-party");
    let said = author.run(&["vendor", "--dir", third.to_str().unwrap()]);
    assert!(said.stderr.contains("vendor = \"third-party\""), "{}", said.stderr);
    said.good();
    let unknown = Ran::of(afterwards(&author, &["build", "tools"]).output().unwrap());
    unknown.bad(5);
    author.lab.env.write("vsbuild.toml", "shipped = false\nvendor = \"third-party\"\n");
    Ran::of(afterwards(&author, &["build", "tools"]).output().unwrap()).good();
    assert_eq!(json(&author.run(&["vendor", "--json"]).good())["brought"], 0);
    for wrong in ["/etc", "../other", ""] {
        author.lab.env.write("vsbuild.toml", &format!("shipped = false\nvendor = \"{wrong}\"\n"));
        let refused = author.run(&["build", "tools"]).bad(2);
        assert!(refused.contains("a directory inside the project"), "{refused}");
    }
}

#[test]
fn a_killed_vendor_goes_on_where_it_was() {
    let author = Author::new();
    let vendor = author.lab.env.project().join("vendor");
    fs::remove_dir_all(author.lab.env.store()).unwrap();
    for wait in 0..20 {
        let mut child = author.lab.command(&["vendor"]);
        let mut child = child.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        thread::sleep(Duration::from_millis(wait * 3));
        child.kill().unwrap();
        child.wait().unwrap();
        for file in vendored(&vendor) {
            let digest = Digest::of(fs::read(&file).unwrap()).to_string();
            assert!(file.ends_with(digest), "what has its name is whole");
        }
    }
    author.run(&["vendor"]).good();
    author.run(&["vendor", "--check"]).good();
}

#[test]
fn what_a_registry_had_is_vendored_and_exported_too() {
    let Some(registry) = Real::start() else { return };
    let author = Author::new();
    let reference = format!("{}/team/name:1", registry.host);
    author.run(&["oci", "push", "function", &reference]).good();
    let recipe = format!("kind = \"oci-image\"\nreference = \"{reference}\"\n");
    author.lab.env.write("recipes/pulled.toml", &recipe);
    author.run(&["lock"]).good();
    let expected = author.lab.build("pulled").0;
    let vendored = json(&author.run(&["vendor", "--json"]).good());
    assert_eq!(vendored["inputs"], 3 + 3, "a manifest, a configuration, a layer");
    let bundle = author.path("pulled.tar");
    author.run(&["export", "pulled", "-o", bundle.to_str().unwrap(), "--source-only"]).good();
    drop(registry);
    let ran = Ran::of(afterwards(&author, &["build", "pulled", "--json"]).output().unwrap());
    assert_eq!(json(&ran.good())["output"].as_str().unwrap(), expected);
    let there = crate::site::Evaluator::new();
    there.receive(&bundle);
    there.run("", &["import", "artifact.tar"]).good();
    let built = json(&there.run("artifact", &["build", "pulled", "--json"]).good());
    assert_eq!(built["output"].as_str().unwrap(), expected);
}
