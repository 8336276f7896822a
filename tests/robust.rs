//! The same result whatever happens to the program and wherever it runs: kills, company, users, damage.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

mod common;

use std::{
    fs,
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use common::{Ran, lab::Lab};

/// How often a build is killed.
const KILLS: u32 = 60;

/// A lab with several steps of every kind: two scripts, a package set, a root file system of both.
fn lab() -> Lab {
    let mut lab = Lab::new();
    lab.text_package("app", &[("usr/bin/app", "#!/bin/sh\n"), ("etc/app.conf", "mode = app\n")]);
    lab.set("root.packages", &["app"], &["app"]);
    let mark = format!("env = {{ MARK = \"{}\" }}\n", lab.env.path().display());
    lab.script(
        "below",
        "i=0; while [ $i -lt 200 ]; do echo $i > $out/$i; i=$((i+1)); done; sleep 0.2; ln $out/1 $out/one\n",
        &mark,
    );
    lab.script(
        "top",
        "cat $below/* | sort > $out/all; ln -s all $out/link; chmod 755 $out/all\n",
        "inputs.below = { from = \"below\" }\n",
    );
    lab.env.write(
        "recipes/root.toml",
        "kind = \"rootfs\"\npackages = [\"app\"]\nlayers = [{ from = \"top\", at = \"/opt\" }]\n\
         users.alice = { uid = 1001 }\nfiles.\"/etc/motd\" = { text = \"hello\\n\" }\n",
    );
    lab
}

/// The processes whose command line, working directory or environment says that they belong to this lab.
fn processes_of(lab: &Lab) -> Vec<String> {
    let dir = lab.env.path();
    let name = dir.to_str().unwrap();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let path = entry.path();
        let command = fs::read(path.join("cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        let environment = fs::read(path.join("environ")).unwrap_or_default();
        let cwd = fs::read_link(path.join("cwd")).unwrap_or_default();
        let has = |text: &[u8]| text.windows(name.len()).any(|part| part == name.as_bytes());
        if command.contains(name) || cwd.starts_with(dir) || has(&environment) {
            found.push(format!("{}: {command}", path.display()));
        }
    }
    found
}

#[track_caller]
fn nobody_is_left(lab: &Lab) {
    let patience = Instant::now() + Duration::from_secs(20);
    loop {
        let left = processes_of(lab);
        if left.is_empty() {
            return;
        }
        assert!(Instant::now() < patience, "still there: {left:?}");
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_build_that_is_killed_at_any_moment_leaves_a_store_that_works() {
    let expected = lab().build("root").0;
    let lab = lab();
    let whole = {
        let begun = Instant::now();
        let other = self::lab();
        other.build("root");
        begun.elapsed()
    };
    let mut killed = 0;
    for attempt in 0.. {
        let mut child = lab
            .command(&["build", "root"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Moments spread over the whole build, in an order that is not that of time.
        thread::sleep(whole * (attempt * 37 % KILLS) / KILLS);
        child.kill().unwrap();
        if child.wait().unwrap().success() {
            // Begin anew, so that there is something to kill.
            fs::remove_dir_all(lab.env.store()).unwrap();
            continue;
        }
        killed += 1;
        if killed % 10 == 0 {
            let verified = lab.run(&["store", "verify"]);
            assert!(verified.stdout.contains(" 0 damaged"), "{}", verified.stdout);
        }
        if killed == KILLS {
            break;
        }
    }
    nobody_is_left(&lab);
    assert_eq!(lab.build("root").0, expected);
    assert!(lab.run(&["store", "verify"]).good().contains(" 0 damaged"));
    nobody_is_left(&lab);
    let scratch: Vec<_> = fs::read_dir(lab.env.store().join("scratch")).unwrap().collect();
    assert!(scratch.is_empty(), "what the killed left is cleared: {scratch:?}");
}

#[test]
fn an_interrupt_ends_the_script_too() {
    let lab = Lab::new();
    let mark = format!("env = {{ MARK = \"{}\" }}\n", lab.env.path().display());
    lab.script("long", "sleep 1000; true\n", &mark);
    for signal in ["-INT", "-TERM"] {
        let mut child = lab.command(&["build", "long"]).stderr(Stdio::null()).spawn().unwrap();
        let patience = Instant::now() + Duration::from_secs(20);
        while !processes_of(&lab).iter().any(|process| process.contains("sleep 1000")) {
            assert!(Instant::now() < patience, "the script does not begin");
            thread::sleep(Duration::from_millis(20));
        }
        Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
        assert!(!child.wait().unwrap().success());
        nobody_is_left(&lab);
    }
}

#[test]
fn two_builds_at_once_share_the_work() {
    let lab = Lab::new();
    lab.script(
        "slow",
        "echo begun; head -c 16 /dev/urandom | od -x; sleep 2; echo done > $out/x\n",
        "",
    );
    let start = || {
        let mut command = lab.command(&["build", "slow", "--json"]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let children = [start(), start(), start()];
    let ran = children.map(|child| Ran::of(child.wait_with_output().unwrap()));
    let waited = ran.iter().filter(|ran| ran.stderr.contains("slow: waiting for vsbuild")).count();
    assert_eq!(waited, 2, "one builds, two wait: {ran:#?}");
    let outputs: Vec<serde_json::Value> =
        ran.map(|ran| serde_json::from_str(&ran.good()).unwrap()).into();
    assert!(outputs.iter().all(|one| one["output"] == outputs[0]["output"]), "{outputs:?}");
    assert_eq!(lab.run(&["log", "slow"]).good().matches("begun").count(), 1);
}

#[test]
fn a_flipped_bit_in_the_store_is_found_and_healed_by_the_next_build() {
    let lab = lab();
    let expected = lab.build("root").0;
    let tree = lab.tree("root");
    let blobs: Vec<&str> = tree
        .lines()
        .filter(|line| line.starts_with("f /opt/all ") || line.starts_with("f /usr/bin/app "))
        .map(|line| line.rsplit(' ').next().unwrap())
        .collect();
    assert_eq!(blobs.len(), 2);
    for digest in blobs {
        let path = PathBuf::from(lab.run(&["store", "path", digest]).good().trim());
        let mut bytes = fs::read(&path).unwrap();
        bytes[3] ^= 0x10;
        fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
        fs::write(&path, bytes).unwrap();
        let verified = lab.run(&["store", "verify"]);
        assert_eq!(verified.code, Some(4), "{verified:?}");
        assert!(verified.stdout.contains(digest), "{}", verified.stdout);
        assert!(verified.stderr.contains("the next build makes it again"), "{}", verified.stderr);
        assert_eq!(lab.build("root").0, expected);
        assert!(lab.run(&["store", "verify"]).good().contains(" 0 damaged"));
    }
    assert_eq!(lab.output_file("root", "/etc/app.conf"), "mode = app\n");
}

#[test]
fn what_no_root_needs_is_removed_and_can_be_made_again() {
    let lab = lab();
    let expected = lab.build("root").0;
    assert!(lab.run(&["store", "ls"]).good().contains("trees"));
    let objects: serde_json::Value =
        serde_json::from_str(&lab.run(&["store", "ls", "--json"]).good()).unwrap();
    let count = objects.as_array().unwrap().len();
    let dry = lab.run(&["store", "gc", "--dry-run"]).good();
    assert!(dry.starts_with(&format!("would remove {count} objects")), "{dry}");
    assert_eq!(lab.build("root"), (expected.clone(), 0), "nothing went");
    let said = lab.run(&["store", "why", &expected]).bad(1);
    assert!(said.contains("no root keeps"), "{said}");
    let gone = lab.run(&["store", "gc"]).good();
    assert!(
        gone.starts_with(&format!("removed {count} objects")) && gone.contains("; 0 kept"),
        "{gone}"
    );
    assert!(lab.run(&["store", "roots"]).good().is_empty());
    lab.run(&["store", "roots", "--remove", "nope"]).bad(2);
    lab.run(&["store", "path", &expected]).bad(1);
    lab.run(&["store", "path", "nonsense"]).bad(2);
    assert_eq!(lab.build("root").0, expected);
}

/// The same command by another program with other words before it, under a umask that lets nobody in.
fn masked(command: &Command, before: &[&str]) -> Command {
    let words = ["sh", "-c", "umask 077; exec \"$@\"", "sh"];
    let mut words = before.iter().copied().chain(words);
    let mut other = Command::new(words.next().unwrap());
    other.args(words).arg(command.get_program()).args(command.get_args()).env_clear();
    other.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    other.current_dir(command.get_current_dir().unwrap());
    other
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().unwrap();
    id.stdout == b"0\n"
}

fn output(ran: Ran) -> String {
    let value: serde_json::Value = serde_json::from_str(&ran.good()).unwrap();
    value["output"].as_str().unwrap().to_owned()
}

#[test]
fn user_umask_time_zone_language_home_and_file_system_change_nothing() {
    let lab = lab();
    let expected = lab.build("root").0;
    let strange = |program: &Path, store: &Path, home: &Path| {
        let mut command = Command::new(program);
        command
            .args(["build", "root", "--json", "--jobs", "7"])
            .current_dir(lab.env.project())
            .env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin")
            .env("VSBUILD_MIRROR_DEBIAN", format!("file://{}", lab.mirror().display()))
            .env("VSBUILD_STORE", store)
            .env("HOME", home)
            .env("TZ", "Asia/Kathmandu")
            .env("LC_ALL", "tr_TR.UTF-8")
            .env("LANG", "tr_TR.UTF-8")
            .env("USER", "somebody-else")
            .env("SOURCE_DATE_EPOCH", "1")
            .env("TMPDIR", "/nonexistent");
        command
    };
    let memory = Path::new("/dev/shm");
    let place =
        if memory.is_dir() { memory.to_owned() } else { env!("CARGO_TARGET_TMPDIR").into() };
    let there = tempfile::Builder::new().prefix("vsbuild test ü ").tempdir_in(place).unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_vsbuild"));
    let command = strange(program, &there.path().join("a store"), there.path());
    let ran = Ran::of(masked(&command, &[]).output().unwrap());
    assert_eq!(output(ran), expected, "under another umask");
    if !is_root() {
        return;
    }
    // Whoever is not root must be let in to read the project and the mirror.
    open(lab.env.path());
    let home = there.path().join("home of nobody");
    fs::create_dir(&home).unwrap();
    open(there.path());
    chown(&home, Some(65534), Some(65534)).unwrap();
    let program = home.join("vsbuild");
    fs::copy(env!("CARGO_BIN_EXE_vsbuild"), &program).unwrap();
    let command = strange(&program, &home.join("store"), &home);
    let nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    let ran = Ran::of(masked(&command, &nobody).output().unwrap());
    assert_eq!(output(ran), expected, "as an ordinary user");
}

fn open(dir: &Path) {
    fs::set_permissions(dir, PermissionsExt::from_mode(0o755)).unwrap();
}
