//! Labs that check each other: attestations, challenges, and what CI makes of them.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

mod common;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use common::{Ran, TestEnv, lab::Lab};
use serde_json::Value;
use vsbuild::{
    cache::{FORMAT, Item},
    digest::Digest,
    trust::{self, Act, Keys, PublicKey, SecretKey, Statement},
};

/// A lab with an image `tiny` and a key of its own.
struct Site {
    lab: Lab,
    public: String,
}

impl Site {
    fn new(name: &str) -> Self {
        let mut lab = Lab::new();
        lab.text_package("app", &[("usr/bin/app", "#!/bin/sh\n")]);
        lab.set("root.packages", &["app"], &["app"]);
        lab.env.write(
            "recipes/root.toml",
            "kind = \"rootfs\"\npackages = [\"app\"]\nlinks.\"/usr/sbin/init\" = \"/usr/bin/app\"\n",
        );
        lab.kernel();
        lab.env.write(
            "recipes/tiny.toml",
            "kind = \"image\"\nkernel = \"linux\"\nrootfs = \"root\"\ncmdline = \"\"\n[disk]\nfree = \"1M\"\n",
        );
        let public = lab.run(&["key", "generate", name]).good().trim().to_owned();
        let config = lab.env.path().join("home/.config/vsbuild/config.toml");
        fs::write(config, "[sign]\nkey = \"key\"\n").unwrap();
        Self { lab, public }
    }

    fn key(&self) -> PublicKey {
        self.public.parse().unwrap()
    }

    fn secret(&self) -> SecretKey {
        let file = self.lab.env.path().join("home/.config/vsbuild/key");
        fs::read_to_string(file).unwrap().trim().parse().unwrap()
    }

    /// Builds `tiny` twice and says so, in signed statements.
    fn attest(&self) -> Vec<Vec<u8>> {
        let file = self.lab.env.path().join("attested.jsonl");
        let out = file.to_str().unwrap();
        self.lab.run(&["verify", "tiny", "--rebuild", "--attest", "--attest-out", out]).good();
        fs::read_to_string(file).unwrap().lines().map(|line| line.as_bytes().to_vec()).collect()
    }

    fn challenge(&self, cache: &Path, by: &[&Self], more: &[&str]) -> Ran {
        let mut args = vec!["challenge", cache.to_str().unwrap(), "tiny"];
        by.iter().for_each(|site| args.extend(["--trusted-key", site.public.as_str()]));
        args.extend(more);
        self.lab.run(&args)
    }
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Where a cache has what a key says of a step.
fn place(cache: &Path, envelope: &[u8], by: &PublicKey) -> PathBuf {
    let plan_key = trust::peek(envelope).unwrap().plan_key;
    cache.join(Item::Statement { plan_key, by: by.id() }.name().as_str())
}

/// Puts statements into a cache that is a directory.
fn publish(cache: &Path, envelopes: &[Vec<u8>], by: &PublicKey) {
    fs::create_dir_all(cache).unwrap();
    fs::write(cache.join("format"), FORMAT).unwrap();
    for envelope in envelopes {
        let place = place(cache, envelope, by);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::write(place, envelope).unwrap();
    }
}

/// The same statements as if `root` had come out otherwise, and the disk had been made of that.
fn otherwise(envelopes: &[Vec<u8>], key: &SecretKey) -> Vec<Vec<u8>> {
    let keys = Keys::new([key.public()], []);
    let other = |envelope: &Vec<u8>| {
        let mut statement: Statement = trust::open(envelope, &keys).unwrap().statement;
        for claim in &mut statement.claims {
            match claim.name.as_str() {
                "root" => claim.output = Digest::of("another root"),
                "tiny" => claim.key = Digest::of("a disk of another root"),
                _ => (),
            }
        }
        trust::sign(&statement, key)
    };
    envelopes.iter().map(other).collect()
}

#[test]
fn a_rebuild_is_attested_for_every_step_and_kept_in_the_store() {
    let a = Site::new("lab-a");
    let envelopes = a.attest();
    let keys = Keys::new([a.key()], []);
    let mut names = Vec::new();
    for envelope in &envelopes {
        let opened = trust::open(envelope, &keys).unwrap();
        assert_eq!((opened.by, opened.statement.act), (a.key().id(), Act::Rebuilt));
        names.extend(opened.statement.claims.into_iter().map(|claim| claim.name));
        let kept = place(&a.lab.env.store(), envelope, &a.key());
        let kept = kept.to_str().unwrap().replace("/statements/", "/attested/");
        assert_eq!(fs::read(kept).unwrap(), *envelope);
    }
    for name in ["linux", "root", "tiny", "tools", "shell 1.0"] {
        assert!(names.iter().any(|found| found.starts_with(name)), "{name}: {names:?}");
    }
    // Another lab with the key of the first would say the same, byte for byte.
    let b = Site::new("lab-b");
    let said: Vec<Statement> =
        b.attest().iter().map(|envelope| trust::peek(envelope).unwrap()).collect();
    let again: Vec<Vec<u8>> =
        said.iter().map(|statement| trust::sign(statement, &a.secret())).collect();
    assert_eq!(again, envelopes);
}

#[test]
fn without_a_key_nothing_is_attested_and_nothing_is_built_for_it() {
    let a = Site::new("lab-a");
    fs::remove_dir_all(a.lab.env.path().join("home/.config/vsbuild")).unwrap();
    let said = a.lab.run(&["verify", "tiny", "--rebuild", "--attest"]).bad(2);
    assert!(said.contains("vsbuild key generate"), "{said}");
    assert!(!a.lab.env.project().join("out").exists());
    a.lab.run(&["verify", "tiny", "--attest"]).bad(2);
}

#[test]
fn labs_that_got_the_same_find_no_difference() {
    let (a, b, c) = (Site::new("lab-a"), Site::new("lab-b"), Site::new("lab-c"));
    let cache = a.lab.env.path().join("cache");
    publish(&cache, &a.attest(), &a.key());
    publish(&cache, &b.attest(), &b.key());
    // The third has built nothing yet, and hears only what the others say.
    let found = json(&c.challenge(&cache, &[&a, &b], &["--json"]).good());
    assert_eq!(found["same"], true);
    let only_there = found["recipes"][0]["only-there"].as_array().unwrap();
    assert!(only_there.iter().any(|name| name == "linux"), "{found}");
    let text = c.challenge(&cache, &[&a, &b], &["--rebuild"]).good();
    assert!(text.contains("tiny: nothing differs") && text.contains("the same: "), "{text}");
    assert!(!text.contains("only"), "{text}");
    c.lab.run(&["image", "tiny"]).good();
    let found = json(&c.challenge(&cache, &[&a, &b], &["--json"]).good());
    let same = found["recipes"][0]["same"].as_array().unwrap();
    for name in ["linux", "root", "tiny", "tools"] {
        assert!(same.iter().any(|found| found == name), "{name}: {found}");
    }
}

#[test]
fn the_first_step_that_differs_is_named_with_who_says_what() {
    let (a, b, c) = (Site::new("lab-a"), Site::new("lab-b"), Site::new("lab-c"));
    let cache = a.lab.env.path().join("cache");
    let envelopes = a.attest();
    publish(&cache, &otherwise(&envelopes, &a.secret()), &a.key());
    c.lab.run(&["image", "tiny"]).good();
    let Ran { code, stdout, .. } = c.challenge(&cache, &[&a], &[]);
    assert_eq!(code, Some(4), "{stdout}");
    assert!(stdout.contains("it begins with root"), "{stdout}");
    let line = |word: &str| stdout.lines().find(|line| line.contains(word)).unwrap_or_default();
    assert!(line(&Digest::of("another root").hex()).contains("lab-a ("), "{stdout}");
    assert!(line("this machine").len() > 64, "{stdout}");
    assert_eq!(line("other inputs").trim(), "made of other inputs: tiny");

    // With another lab on its side, both are named, and a program is told as much.
    publish(&cache, &b.attest(), &b.key());
    let ran = c.challenge(&cache, &[&a, &b], &["--json"]);
    assert_eq!(ran.code, Some(4));
    let found = json(&ran.stdout);
    let difference = &found["recipes"][0]["differences"][0];
    assert_eq!((&found["same"], &difference["step"]), (&false.into(), &"root".into()));
    let sides = difference["sides"].as_array().unwrap();
    let who = |side: &Value| side["who"].as_array().unwrap().len();
    let mut counts: Vec<usize> = sides.iter().map(who).collect();
    counts.sort_unstable();
    assert_eq!(counts, [1, 2], "{difference}");

    // Who is not trusted is not heard.
    c.challenge(&cache, &[&b], &[]).good();
}

#[test]
fn a_statement_that_was_changed_or_moved_is_a_difference() {
    let (a, c) = (Site::new("lab-a"), Site::new("lab-c"));
    let cache = a.lab.env.path().join("cache");
    let envelopes = a.attest();
    publish(&cache, &envelopes, &a.key());
    let one = place(&cache, &envelopes[0], &a.key());
    let changed = String::from_utf8(envelopes[0].clone()).unwrap();
    let at = changed.find("\"payload\":\"").unwrap() + 40;
    let letter = if changed.as_bytes()[at] == b'A' { "B" } else { "A" };
    let changed = format!("{}{letter}{}", &changed[..at], &changed[at + 1..]);
    for (bytes, why) in [
        (changed.as_bytes(), "the signature of lab-a"),
        (envelopes[1].as_slice(), "another step"),
        (b"nonsense".as_slice(), "no signed statement"),
    ] {
        fs::write(&one, bytes).unwrap();
        let Ran { code, stdout, .. } = c.challenge(&cache, &[&a], &[]);
        assert_eq!(code, Some(4), "{stdout}");
        assert!(stdout.contains("does not count") && stdout.contains(why), "{why}: {stdout}");
    }
}

#[test]
fn a_cache_that_is_not_there_or_nobody_to_believe_is_an_error() {
    let (a, c) = (Site::new("lab-a"), Site::new("lab-c"));
    let cache = a.lab.env.path().join("cache");
    let said = c.challenge(&cache, &[&a], &[]).bad(5);
    assert!(said.contains("there is no cache at"), "{said}");
    publish(&cache, &[], &a.key());
    let said = c.challenge(&cache, &[], &[]).bad(2);
    assert!(said.contains("--trusted-key"), "{said}");
    let text = c.challenge(&cache, &[&a], &[]).good();
    assert!(text.contains("nobody who is trusted says anything"), "{text}");
    let cache = cache.to_str().unwrap();
    let said = c.lab.run(&["challenge", cache, "--trusted-key", &a.public]).bad(2);
    assert!(said.contains("no hashes of images"), "{said}");
    c.lab.run(&["challenge", cache, "nowhere", "--trusted-key", &a.public]).bad(2);
    c.lab.run(&["challenge", "ftp://host/x", "--trusted-key", &a.public]).bad(2);
}

fn ci(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("ci/lab").join(path)
}

/// Runs the script as a CI would: its exit code, and its report.
fn verify_sh(site: &Site, task: &str, variables: &[(&str, &str)]) -> (Option<i32>, String) {
    let report = site.lab.env.path().join("report.md");
    let mut command = Command::new(ci("verify.sh"));
    let of_vsbuild = site.lab.command(&[]);
    command.arg(task).current_dir(site.lab.env.project()).env_clear();
    for (name, value) in of_vsbuild.get_envs() {
        command.env(name, value.unwrap());
    }
    command
        .env("VSBUILD", env!("CARGO_BIN_EXE_vsbuild"))
        .env("VSBUILD_REPORT", &report)
        .envs(variables.iter().copied());
    let ran = Ran::of(command.output().unwrap());
    (ran.code, fs::read_to_string(report).unwrap_or_default() + "\n---\n" + &ran.stderr)
}

#[test]
fn the_ci_script_checks_the_lockfile_and_the_cache_and_reports_the_first_difference() {
    let (a, c) = (Site::new("lab-a"), Site::new("lab-c"));
    let cache = a.lab.env.path().join("cache");
    let envelopes = a.attest();
    publish(&cache, &envelopes, &a.key());
    c.lab.run(&["lock", "--outputs", "tiny"]).good();
    let cache_url = format!("file://{}", cache.display());
    let with = [("VSBUILD_CACHE", cache_url.as_str()), ("VSBUILD_TRUSTED", a.public.as_str())];

    let (code, report) = verify_sh(&c, "check", &with);
    assert_eq!(code, Some(0), "{report}");
    assert!(report.contains("**Yes.**") && report.contains("none of which differs"), "{report}");

    publish(&cache, &otherwise(&envelopes, &a.secret()), &a.key());
    let (code, report) = verify_sh(&c, "check", &with);
    assert_eq!(code, Some(4), "{report}");
    assert!(report.contains("first difference") && report.contains("begins with root"), "{report}");

    // What the lockfile promises matters, with a cache or without.
    c.lab.env.write("kernels/build.sh", "cat $SCRIPT > $out/bzImage; echo other > $out/vmlinux\n");
    let (code, report) = verify_sh(&c, "check", &[]);
    assert_eq!(code, Some(4), "{report}");
    assert!(report.contains("**No**") && report.contains("vmlinux is"), "{report}");
    assert_eq!(verify_sh(&c, "other", &[]).0, Some(2));
}

#[test]
fn the_templates_of_ci_are_yaml_and_call_the_script() {
    let env = TestEnv::new();
    let parse = |file: &str| {
        let program =
            "import json, sys, yaml; json.dump(yaml.safe_load(open(sys.argv[1])), sys.stdout)";
        let output = Command::new("/usr/bin/python3")
            .args(["-c", program])
            .arg(ci(file))
            .current_dir(env.path())
            .output()
            .expect("python3-yaml is installed");
        assert!(output.status.success(), "{file}: {}", String::from_utf8_lossy(&output.stderr));
        json(&String::from_utf8(output.stdout).unwrap())
    };
    let github = parse("github.yml");
    let steps = github["jobs"]["verify"]["steps"].as_array().unwrap();
    let runs = |step: &Value, what: &str| step["run"].as_str() == Some(what);
    let check = steps.iter().find(|step| runs(step, "ci/lab/verify.sh check")).unwrap();
    let push = steps.iter().find(|step| runs(step, "ci/lab/verify.sh push")).unwrap();
    assert!(push["env"]["VSBUILD_SECRET"].is_string());
    assert!(check["env"]["VSBUILD_SECRET"].is_null(), "a pull request sees no secret");
    assert_eq!(push["if"], "github.event_name == 'push'");
    let gitlab = parse("gitlab.yml");
    assert_eq!(gitlab["vsbuild-verify"]["script"][0], "ci/lab/verify.sh check");
    assert_eq!(gitlab["vsbuild-push"]["script"][0], "ci/lab/verify.sh push");
    let rule = gitlab["vsbuild-push"]["rules"][0]["if"].as_str().unwrap();
    assert!(rule.contains("$CI_DEFAULT_BRANCH"), "{rule}");
}
