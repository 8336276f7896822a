//! Errata: a program that was changed does what it did, on this processor and under QEMU.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use vsbuild::{
    fitness::{Faults, Scanner},
    formats::elf::{Elf, barrier},
};

/// Builds the program with Debian's Go, 1.19: the last ones with this barrier are those before 1.21.
fn build(dir: &Path, flags: &[&str]) -> PathBuf {
    let program = dir.join("collect");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/errata/collect.go");
    let status = Command::new("go")
        .args(["build", "-trimpath", "-o"])
        .arg(&program)
        .args(flags)
        .arg(source)
        .env("CGO_ENABLED", "0")
        .env("GOCACHE", dir.join("cache"))
        .env("GO111MODULE", "off")
        .status();
    assert!(status.expect("Go is installed: ci/install").success());
    program
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_go_program_with_the_long_exchange_collects_as_before() {
    let dir = tempfile::tempdir().unwrap();
    for flags in [&["-ldflags=-s -w"][..], &["-buildmode=pie"]] {
        let program = build(dir.path(), flags);
        let before = fs::read(&program).unwrap();
        let mut after = before.clone();
        let elf = Elf::parse(&before).unwrap().unwrap();
        let place = usize::try_from(barrier::find(&elf).unwrap()).unwrap();
        assert!(elf.go.unwrap().version.starts_with("go1.1"));
        assert!(barrier::lengthen(&mut after).unwrap());
        let differing: Vec<usize> =
            (0..before.len()).filter(|at| before[*at] != after[*at]).collect();
        assert!(!differing.is_empty());
        assert!(differing.iter().all(|at| (place..place + 12).contains(at)));
        assert!(!barrier::lengthen(&mut after).unwrap(), "once is enough");

        let scanner = Scanner::new(&Faults::of_version("24.0.0.1").unwrap());
        assert!(scanner.scan(&before).unwrap().unwrap().go_barrier);
        assert!(!scanner.scan(&after).unwrap().unwrap().go_barrier);

        let changed = dir.path().join("changed");
        fs::write(&changed, &after).unwrap();
        fs::set_permissions(&changed, fs::Permissions::from_mode(0o755)).unwrap();
        if let Some(keep) = std::env::var_os("VSBUILD_KEEP_ERRATA") {
            fs::copy(&program, Path::new(&keep).join("before")).unwrap();
            fs::copy(&changed, Path::new(&keep).join("after")).unwrap();
        }
        const GOOD: &str = "wrong 0 collected true\n";
        for program in [&program, &changed] {
            assert_eq!(run(Command::new(program).env("GOGC", "10")), GOOD);
            assert_eq!(run(Command::new("qemu-x86_64").arg(program)), GOOD);
        }
    }
}
