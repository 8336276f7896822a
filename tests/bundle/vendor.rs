//! Inputs beside the recipes: builds need no mirror any more.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use vsbuild::digest::Digest;

use crate::{
    common::Ran,
    real::Real,
    site::{Author, Evaluator, hashes, is_root, json},
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
fn what_a_kill_left_for_reading_only_is_in_nobodys_way() {
    let author = Author::new();
    let bundle = author.export("artifact.tar", &["--source-only"]);
    // Root may write to everything, and would notice nothing.
    let there = Evaluator::nobody().unwrap_or_else(Evaluator::new);
    there.receive(&bundle);
    there.run("", &["import", "artifact.tar"]).good();
    there.run("artifact", &["image", "tiny"]).good();
    let vendor = there.work().join("artifact/vendor");
    let input = vendored(&vendor).remove(0);
    let bytes = fs::read(&input).unwrap();
    let staging = vendor.join(".staging");
    let left = staging.join(input.file_name().unwrap());
    let cut = || {
        fs::remove_file(&input).unwrap();
        fs::create_dir_all(&staging).unwrap();
        fs::write(&left, &bytes[..bytes.len() / 2]).unwrap();
        fs::set_permissions(&left, PermissionsExt::from_mode(0o444)).unwrap();
        if is_root() {
            [&staging, &left].iter().for_each(|it| chown(it, Some(65534), Some(65534)).unwrap());
        }
    };
    cut();
    there.plainly("artifact", &["vendor"]).good();
    assert_eq!(fs::read(&input).unwrap(), bytes);
    let mode = fs::metadata(&input).unwrap().permissions().mode();
    assert_eq!(mode & 0o200, 0o200, "it may be written to");
    // A store that has nothing leaves it to the mirror, of which there is none here.
    cut();
    fs::remove_dir_all(there.store()).unwrap();
    let said = there.plainly("artifact", &["vendor"]).bad(5);
    assert!(!said.contains("denied"), "{said}");
}

#[test]
fn a_cache_that_others_need_is_not_pruned() {
    let author = Author::new();
    let cache = author.path("srv cache");
    let address = format!("file://{}", cache.display());
    author.run(&["cache", "push", "tiny", "--with-inputs", "--to", &address]).good();
    let files = vendored(&cache);
    assert!(!files.is_empty());
    // The lockfile of another project, which names none of it.
    let args = ["vendor", "--prune", "--dir", cache.to_str().unwrap()];
    author.lab.env.write("lockfile.toml", "version = 1\n\n[packages]\n");
    author.lab.env.write("vsbuild.toml", "shipped = false\n");
    fs::remove_dir_all(author.lab.env.project().join("recipes")).unwrap();
    fs::remove_dir_all(author.lab.env.project().join("kernels")).unwrap();
    author.lab.env.write("recipes/none.toml", "kind = \"packages\"\ninclude = [\"none\"]\n");
    let refused = author.run(&args).bad(2);
    assert!(refused.contains("the cache of others") && refused.contains("--prune"), "{refused}");
    assert_eq!(vendored(&cache), files);
    // Pins are somebody's even in the project's own directory.
    let own = author.lab.env.project().join("vendor");
    fs::create_dir_all(own.join("pins")).unwrap();
    fs::write(own.join("pins/paper"), "{\"reason\": \"paper\"}").unwrap();
    let refused = author.run(&["vendor", "--prune"]).bad(2);
    assert!(refused.contains("pins"), "{refused}");
    fs::remove_file(own.join("pins/paper")).unwrap();
    author.run(&["vendor", "--prune"]).good();
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
