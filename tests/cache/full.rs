//! Disks that are full, on the way there and on the way back.

use std::{path::Path, process::Command};

use tempfile::tempdir;

use crate::{
    common::Ran,
    skip,
    world::{Machine, origin},
};

/// Runs a script in namespaces of its own, where `$1` is a file system in memory of 8 MiB; it may grow. The words after that are a
/// command of vsbuild's, with its environment. None where that cannot be.
fn with_little_room(script: &str, room: &Path, command: &Command) -> Option<Ran> {
    std::fs::create_dir_all(room).unwrap();
    let begin = "room=$1; shift; mount -t tmpfs -o size=8m none \"$room\" || exit 99\n";
    let mut shell = Command::new("unshare");
    shell.args(["--user", "--map-root-user", "--mount", "sh", "-c"]);
    shell.arg(format!("{begin}{script}")).arg("sh").arg(room);
    shell.arg(command.get_program()).args(command.get_args());
    shell.current_dir(command.get_current_dir().unwrap()).env_clear();
    shell.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let ran = Ran::of(shell.output().unwrap());
    if ran.code == Some(99) || ran.stderr.contains("unshare failed") {
        skip("there are no namespaces for users here");
        return None;
    }
    Some(ran)
}

const GROW: &str = "mount -o remount,size=400m \"$room\" || exit 99\n";

#[test]
fn a_push_that_finds_no_room_goes_on_when_there_is_some() {
    let dir = tempdir().unwrap();
    let (room, kept) = (dir.path().join("room"), dir.path().join("kept"));
    let to = room.join("cache");
    let script = format!(
        "\"$@\"; echo code $?; ls \"$room\"/cache/statements; {GROW}\"$@\" && cp -a \"$room\"/cache {}",
        kept.display()
    );
    let origin = origin();
    let command = origin.command("tiny", to.to_str().unwrap(), &[]);
    let Some(ran) = with_little_room(&script, &room, &command) else { return };
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stdout.contains("has no room for packs/"), "{ran:?}");
    assert!(ran.stdout.contains("cache gc") && ran.stdout.contains("code 5"), "{ran:?}");
    assert!(ran.stderr.contains("cache/statements"), "nothing leads nowhere: {ran:?}");
    let machine = Machine::new();
    machine.pulls(kept.to_str().unwrap());
    machine.has_the_image();
}

#[test]
fn a_pull_that_finds_no_room_goes_on_when_there_is_some() {
    let (machine, dir) = (Machine::new(), tempdir().unwrap());
    let cache = dir.path().join("cache");
    machine.origin.copy_of_cache(&cache);
    let vsbuild = env!("CARGO_BIN_EXE_vsbuild");
    let out = dir.path().join("out");
    let script = format!(
        "\"$@\"; echo code $?; {vsbuild} store verify || exit 1; {GROW}\"$@\" && {vsbuild} store verify && \
         {vsbuild} image tiny --no-substitute --out {} --json",
        out.display()
    );
    let command = machine.pull(cache.to_str().unwrap(), &[]);
    let Some(ran) = with_little_room(&script, &machine.store_dir(), &command) else { return };
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stdout.contains("No space left on device"), "{ran:?}");
    assert!(ran.stdout.contains("code 1"), "{ran:?}");
    let disk = machine.origin.image["files"][0]["sha256"].as_str().unwrap();
    assert!(ran.stdout.contains(disk), "{ran:?}");
    let made = std::fs::read(out.join("tiny/disk.img")).unwrap();
    let first = machine.origin.image["files"][0]["path"].as_str().unwrap();
    assert!(made == std::fs::read(first).unwrap());
}
