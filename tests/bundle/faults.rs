//! Kills, full disks and company: a bundle or a project is whole, or is not there.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::{
    common::Ran,
    site::{Author, Evaluator},
    skip,
};

/// How often something is killed.
const KILLS: u32 = 40;

/// Kills a command at moments spread over the whole time that it takes, and looks at what is left each time.
fn killed(mut command: impl FnMut() -> Command, whole: Duration, look: impl Fn(bool)) {
    let quiet = |command: &mut Command| -> Child {
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    for attempt in 0..KILLS {
        let mut child = quiet(&mut command());
        thread::sleep(whole * (attempt * 37 % KILLS) / KILLS);
        child.kill().unwrap();
        look(child.wait().unwrap().success());
    }
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_killed_export_leaves_no_bundle_or_a_whole_one() {
    let author = Author::new();
    let bundle = author.export("artifact.tar", &[]);
    let expected = fs::read(&bundle).unwrap();
    let dir = author.path("out");
    fs::create_dir(&dir).unwrap();
    let out = dir.join("artifact.tar");
    let args = ["export", "tiny", "container", "-o", out.to_str().unwrap()];
    let begun = Instant::now();
    author.run(&args).good();
    let whole = begun.elapsed();
    fs::remove_file(&out).unwrap();
    killed(
        || author.lab.command(&args),
        whole,
        |_| {
            if out.exists() {
                assert!(fs::read(&out).unwrap() == expected, "what has the name is whole");
                fs::remove_file(&out).unwrap();
            }
            let left = names(&dir);
            assert!(left.is_empty() || left == [".artifact.tar.partial"], "{left:?}");
        },
    );
    author.run(&args).good();
    assert!(fs::read(&out).unwrap() == expected);
    assert_eq!(names(&dir), ["artifact.tar"], "what the killed left is cleared away");
    assert!(author.run(&["store", "verify"]).good().contains(" 0 damaged"));
}

#[test]
fn a_killed_import_leaves_no_project_or_a_whole_one() {
    let author = Author::new();
    let bundle = author.export("artifact.tar", &[]);
    let there = Evaluator::new();
    there.receive(&bundle);
    let dir = there.work().join("artifact");
    let command = || {
        let mut command = author.lab.command(&["import", "artifact.tar"]);
        command.current_dir(there.work()).env("VSBUILD_STORE", there.store());
        command
    };
    let begun = Instant::now();
    Ran::of(command().output().unwrap()).good();
    let whole = begun.elapsed();
    let files = |dir: &Path| walkdir::WalkDir::new(dir).into_iter().count();
    let expected = files(&dir);
    fs::remove_dir_all(&dir).unwrap();
    killed(command, whole, |_| {
        if dir.exists() {
            assert_eq!(files(&dir), expected, "what has the name is whole");
            fs::remove_dir_all(&dir).unwrap();
        }
        let left: Vec<String> =
            there.names().into_iter().filter(|name| name != "artifact.tar").collect();
        assert!(left.is_empty() || left == [".artifact.partial"], "{left:?}");
    });
    // Something else of the killed is in the way of nobody.
    fs::create_dir_all(there.work().join(".artifact.partial/recipes/deep")).unwrap();
    fs::write(there.work().join(".artifact.partial/recipes/deep/file"), "left").unwrap();
    Ran::of(command().output().unwrap()).good();
    assert_eq!(files(&dir), expected);
    assert_eq!(there.names(), ["artifact", "artifact.tar"]);
}

#[test]
fn two_that_import_to_one_place_do_not_mix() {
    let author = Author::new();
    let bundle = author.export("artifact.tar", &["--source-only"]);
    let there = Evaluator::new();
    there.receive(&bundle);
    let start = || {
        let mut command = author.lab.command(&["import", "artifact.tar"]);
        command.current_dir(there.work()).env("VSBUILD_STORE", there.store());
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let children: Vec<Child> = (0..6).map(|_| start()).collect();
    let ran: Vec<Ran> =
        children.into_iter().map(|child| Ran::of(child.wait_with_output().unwrap())).collect();
    assert_eq!(ran.iter().filter(|ran| ran.code == Some(0)).count(), 1, "{ran:#?}");
    for ran in ran.iter().filter(|ran| ran.code != Some(0)) {
        let said = &ran.stderr;
        assert!(
            said.contains("another program is writing") || said.contains("is there already"),
            "{said}"
        );
    }
    there.run("artifact", &["image", "tiny"]).good();
}

#[test]
fn what_has_the_name_of_something_half_made_is_not_written_through() {
    let author = Author::new();
    let dir = author.path("out");
    fs::create_dir(&dir).unwrap();
    let (out, target) = (dir.join("artifact.tar"), author.path("target"));
    let args = ["export", "tiny", "--source-only", "-o", out.to_str().unwrap()];
    let partial = dir.join(".artifact.tar.partial");
    // Whether the target is there or not: a link is not followed, and nobody waits for it.
    for there in [false, true] {
        if there {
            fs::write(&target, "mine").unwrap();
        }
        std::os::unix::fs::symlink(&target, &partial).unwrap();
        let said = author.run(&args).bad(1);
        assert!(said.contains(".artifact.tar.partial"), "{said}");
        assert_eq!(target.exists(), there);
        fs::remove_file(&partial).unwrap();
    }
    assert_eq!(fs::read_to_string(&target).unwrap(), "mine");
    author.run(&args).good();
    let to = dir.join("artifact");
    let args = ["import", out.to_str().unwrap(), "--to", to.to_str().unwrap()];
    fs::write(dir.join(".artifact.partial"), "mine").unwrap();
    let said = author.run(&args).bad(1);
    assert!(said.contains(".artifact.partial"), "{said}");
    assert_eq!(fs::read_to_string(dir.join(".artifact.partial")).unwrap(), "mine");
    fs::remove_file(dir.join(".artifact.partial")).unwrap();
    author.run(&args).good();
}

#[test]
fn what_is_unpacked_is_flushed_before_it_has_its_name() {
    let author = Author::new();
    let bundle = author.export("artifact.tar", &["--source-only"]);
    let to = author.path("artifact");
    let import =
        author.lab.command(&["import", bundle.to_str().unwrap(), "--to", to.to_str().unwrap()]);
    let log = author.path("calls");
    let mut traced = Command::new("strace");
    traced.args(["-f", "-e", "trace=syncfs,fsync,rename,renameat,renameat2", "-o"]).arg(&log);
    traced.arg(import.get_program()).args(import.get_args()).env_clear();
    traced.envs(import.get_envs().filter_map(|(name, value)| Some((name, value?))));
    traced.current_dir(import.get_current_dir().unwrap());
    match traced.output() {
        Ok(output) if output.status.success() => (),
        _ => return skip("calls cannot be traced here"),
    }
    let calls = fs::read_to_string(log).unwrap();
    let named = calls.lines().position(|line| line.contains("/.artifact.partial\"")).unwrap();
    let before = calls.lines().take(named).filter(|line| line.contains(" syncfs(")).count();
    let after = calls.lines().skip(named).filter(|line| line.contains(" fsync(")).count();
    assert!(before == 1 && after >= 1, "{calls}");
}

/// Runs a command with a small disk at `disk`, and then lists what is on it.
fn on_a_small_disk(disk: &Path, size: &str, command: &Command) -> Option<(Ran, String)> {
    let script = "mount -t tmpfs -o size=\"$1\" none \"$2\" || exit 97; disk=$2; shift 2; \"$@\"; code=$?; \
                  echo; echo ON THE DISK; ls -A \"$disk\"; exit $code";
    let mut small = Command::new("unshare");
    small.args(["-rm", "sh", "-c", script, "sh", size]).arg(disk);
    small.arg(command.get_program()).args(command.get_args()).env_clear();
    small.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    small.current_dir(command.get_current_dir().unwrap());
    let ran = Ran::of(small.output().unwrap());
    if ran.code == Some(97) {
        skip("no file system can be mounted here");
        return None;
    }
    let left = ran.stdout.split("ON THE DISK\n").nth(1).unwrap().to_owned();
    Some((ran, left))
}

#[test]
fn a_full_disk_is_a_clear_error_and_leaves_nothing() {
    let author = Author::new();
    let bundle = author.export("artifact.tar", &[]);
    let disk = author.path("small disk");
    fs::create_dir(&disk).unwrap();
    let out = disk.join("artifact.tar");
    let export = author.lab.command(&["export", "tiny", "-o", out.to_str().unwrap()]);
    let Some((ran, left)) = on_a_small_disk(&disk, "300k", &export) else { return };
    assert!(
        ran.stderr.contains("small disk") && ran.stderr.contains("No space left"),
        "{}",
        ran.stderr
    );
    ran.bad(1);
    assert_eq!(left, "");
    let to = disk.join("artifact");
    let import =
        author.lab.command(&["import", bundle.to_str().unwrap(), "--to", to.to_str().unwrap()]);
    let (ran, left) = on_a_small_disk(&disk, "300k", &import).unwrap();
    assert!(
        ran.stderr.contains("small disk") && ran.stderr.contains("No space left"),
        "{}",
        ran.stderr
    );
    ran.bad(1);
    assert_eq!(left, "");
    let (ran, left) = on_a_small_disk(&disk, "30m", &import).unwrap();
    ran.good();
    assert_eq!(left, "artifact\n");
}
