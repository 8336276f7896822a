//! What comes from outside: the lockfile, mirrors, and what is said when they do not have what a build needs.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

mod common;

use std::fs;

use common::{Ran, lab::Lab};
use vsbuild::digest::Digest;

#[test]
fn a_recipe_that_the_lockfile_does_not_cover_is_exit_code_2_and_says_vsbuild_lock() {
    let lab = Lab::new();
    lab.env.write("recipes/more.toml", "kind = \"packages\"\ninclude = [\"shell\"]\n");
    let said = lab.run(&["build", "more"]).bad(2);
    assert!(said.contains("lockfile.toml does not cover `more`"), "{said}");
    assert!(said.contains("`more` is not in the lockfile; run `vsbuild lock`"), "{said}");
    lab.env.write("recipes/tools.toml", "kind = \"packages\"\ninclude = [\"shell\", \"gcc\"]\n");
    let said = lab.run(&["build", "tools"]).bad(2);
    assert!(said.contains("with gcc") && said.contains("run `vsbuild lock`"), "{said}");
    lab.env.write("lockfile.toml", "version = 1\n[sets\n");
    let said = lab.run(&["build", "tools"]).bad(2);
    assert!(said.contains("lockfile.toml:2"), "{said}");
}

#[test]
fn without_a_mirror_it_is_said_how_to_name_one() {
    let lab = Lab::new();
    // The host's own apt may know a mirror of `debian`; nobody knows one of this archive.
    let lock = fs::read_to_string(lab.env.project().join("lockfile.toml")).unwrap();
    lab.env.write("lockfile.toml", &lock.replace("archive = \"debian\"", "archive = \"lab\""));
    let said = lab.run(&["build", "tools"]).bad(5);
    for word in
        ["shell 1.0", "no mirror is known for the archive `lab`", "VSBUILD_MIRROR_LAB", "[mirrors]"]
    {
        assert!(said.contains(word), "{word}: {said}");
    }
    let config = lab.env.path().join("config.toml");
    fs::write(&config, format!("[mirrors]\nlab = [\"file://{}\"]\n", lab.mirror().display()))
        .unwrap();
    lab.run(&["--config", config.to_str().unwrap(), "build", "tools"]).good();
}

#[test]
fn a_mirror_that_is_no_address_is_exit_code_2() {
    let lab = Lab::new();
    let mut command = lab.command(&["build", "tools"]);
    let ran = Ran::of(command.env("VSBUILD_MIRROR_DEBIAN", "somewhere").output().unwrap());
    let said = ran.bad(2);
    assert!(said.contains("VSBUILD_MIRROR_DEBIAN") && said.contains("`somewhere`"), "{said}");
}

#[test]
fn offline_only_directories_are_asked() {
    let lab = Lab::new();
    let mut command = lab.command(&["--offline", "build", "tools"]);
    let ran =
        Ran::of(command.env("VSBUILD_MIRROR_DEBIAN", "http://192.0.2.1/debian").output().unwrap());
    let said = ran.bad(5);
    assert!(said.contains("vsbuild is offline") && said.contains("without --offline"), "{said}");
    lab.run(&["--offline", "build", "tools"]).good();
    fs::remove_dir_all(lab.mirror()).unwrap();
    lab.run(&["--offline", "build", "tools"]).good();
}

#[test]
fn a_package_that_is_gone_is_named_and_what_helps_too() {
    let lab = Lab::new();
    fs::remove_file(lab.package_file("shell")).unwrap();
    // No other mirror that this host may know is asked.
    let said = lab.run(&["--offline", "build", "tools"]).bad(5);
    for word in ["shell 1.0", "shell_1.0_amd64.deb", "vsbuild lock --update", "snapshot"] {
        assert!(said.contains(word), "{word}: {said}");
    }
}

#[test]
fn a_package_with_other_bytes_is_refused() {
    let lab = Lab::new();
    let file = lab.package_file("shell");
    let good = fs::read(&file).unwrap();
    for damage in [0, good.len() / 2, good.len() - 1] {
        let mut bytes = good.clone();
        bytes[damage] ^= 1;
        fs::write(&file, bytes).unwrap();
        let said = lab.run(&["--offline", "build", "tools"]).bad(5);
        assert!(said.contains("shell_1.0_amd64.deb"), "{said}");
    }
    for length in [0, good.len() - 1] {
        fs::write(&file, &good[..length]).unwrap();
        lab.run(&["--offline", "build", "tools"]).bad(5);
    }
    fs::write(&file, [&good[..], b"more"].concat()).unwrap();
    lab.run(&["--offline", "build", "tools"]).bad(5);
    fs::write(&file, good).unwrap();
    lab.run(&["--offline", "build", "tools"]).good();
    assert!(lab.run(&["store", "verify"]).good().contains(" 0 damaged"));
}

#[test]
fn a_package_that_is_none_is_a_failed_step() {
    let mut lab = Lab::new();
    lab.text_package("odd", &[("etc/x", "x")]);
    lab.set("odd", &["odd"], &["odd"]);
    let file = lab.package_file("odd");
    let lock = fs::read_to_string(lab.env.project().join("lockfile.toml")).unwrap();
    let (good, bad) = (fs::read(&file).unwrap(), b"!<arch>\nnot a package");
    fs::write(&file, bad).unwrap();
    let lock = lock
        .replace(&Digest::of(&good).hex(), &Digest::of(bad).hex())
        .replace(&format!("size = {}", good.len()), &format!("size = {}", bad.len()));
    lab.env.write("lockfile.toml", &lock);
    lab.env.write("recipes/odd.toml", "kind = \"packages\"\ninclude = [\"odd\"]\n");
    let said = lab.run(&["build", "odd"]).bad(3);
    assert!(said.contains("cannot make odd 1.0") && said.contains("because: "), "{said}");
}
