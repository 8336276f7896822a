//! What others have made is taken in place of making it, if they are believed, and only then.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

mod common;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use common::{
    Ran,
    lab::Lab,
    sharing::{key, push, push_saying, said, shared},
};
use serde_json::Value;
use vsbuild::{
    cache::Said,
    digest::Digest,
    realise::Stated,
    store::Store,
    trust::{SecretKey, sign},
};
use walkdir::WalkDir;

/// A lab with an image `tiny`, whose kernel is a script's, and with a script on top of a script.
fn lab() -> Lab {
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
        "kind = \"image\"\nkernel = \"linux\"\nrootfs = \"root\"\ncmdline = \"console=ttyS0\"\n\
         [disk]\nfree = \"1M\"\n",
    );
    lab.script("base", "echo base > $out/x\n", "");
    let input = "inputs.below = { from = \"base\", path = \"/x\" }\n";
    lab.script("top", "cat $below > $out/all; echo top >> $out/all\n", input);
    lab
}

/// A machine of somebody else's with the same project, and a store that is empty at first.
struct Other<'a> {
    lab: &'a Lab,
    dir: PathBuf,
}

impl<'a> Other<'a> {
    fn new(lab: &'a Lab, name: &str) -> Self {
        Self { lab, dir: lab.env.path().join(name) }
    }

    fn store(&self) -> PathBuf {
        self.dir.join("store")
    }

    /// vsbuild there, with or without the mirror.
    fn command(&self, mirror: bool, args: &[&str]) -> Command {
        let mut command = self.lab.command(args);
        if !mirror {
            command.env("VSBUILD_MIRROR_DEBIAN", "file:///nonexistent");
        }
        command.env("VSBUILD_STORE", self.store()).env("HOME", self.dir.join("home"));
        command
    }

    fn run(&self, args: &[&str]) -> Ran {
        Ran::of(self.command(true, args).output().unwrap())
    }

    fn run_without_mirror(&self, args: &[&str]) -> Ran {
        Ran::of(self.command(false, args).output().unwrap())
    }

    fn configure(&self, text: &str) {
        let file = self.dir.join("home/.config/vsbuild/config.toml");
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }

    /// Builds `top` with more arguments: how many steps were made, and what was said.
    #[track_caller]
    fn top(&self, more: &[&str]) -> (Value, String) {
        let ran = self.run(&[&["build", "top", "--json"], more].concat());
        let said = ran.stderr.clone();
        (json(&ran.good()), said)
    }

    /// Whether any script was run there.
    fn has_run(&self) -> bool {
        files(&self.store().join("logs")) > 0
    }
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn files(dir: &Path) -> usize {
    WalkDir::new(dir)
        .into_iter()
        .filter(|entry| entry.as_ref().unwrap().file_type().is_file())
        .count()
}

/// The options that name a cache and a key.
fn from<'a>(cache: &'a str, key: &'a str) -> [&'a str; 4] {
    ["--substituter", cache, "--trusted-key", key]
}

fn public(name: &str) -> String {
    key(name).public().to_string()
}

/// A lab that has pushed `top`, signed by `a`: the cache's directory, and what `top` came to.
fn pushed(lab: &Lab) -> (String, Value) {
    let cache = lab.env.path().join("cache");
    let (output, _) = lab.build("top");
    push(lab, "top", &cache, &key("a"));
    (cache.to_str().unwrap().to_owned(), output.into())
}

#[test]
fn an_image_is_made_of_what_a_cache_has_and_nothing_is_run() {
    let lab = lab();
    let first = json(&lab.run(&["image", "tiny", "--json"]).good());
    let cache = lab.env.path().join("cache");
    push(&lab, "tiny", &cache, &key("a"));
    let (address, key) = (format!("file://{}", cache.display()), public("a"));
    let other = Other::new(&lab, "other");
    let out = other.dir.join("out");
    let args = ["image", "tiny", "--json", "--out", out.to_str().unwrap()];
    let args = [&args[..], &from(&address, &key)].concat();
    let second = json(&other.run_without_mirror(&args).good());
    assert_eq!((&second["made"], &second["substituted"]), (&0.into(), &2.into()));
    assert!(!other.has_run());
    for (one, two) in [0, 1, 2, 3].map(|file| (&first["files"][file], &second["files"][file])) {
        assert_eq!(one["sha256"], two["sha256"]);
        let read = |file: &Value| fs::read(file["path"].as_str().unwrap()).unwrap();
        assert_eq!(read(one), read(two));
    }
    assert_eq!(files(&cache.join("packs")), files(&cache.join("indexes")));
    let disk = first["files"][0]["sha256"].as_str().unwrap();
    for item in WalkDir::new(&cache) {
        let name = item.unwrap().file_name().to_str().unwrap().to_owned();
        assert_ne!(name, disk, "an image is never sent");
    }
    assert_eq!(json(&other.run_without_mirror(&args).good())["unchanged"], true);
    // What was believed stays with the record.
    let store = Store::open(&other.store()).unwrap();
    let plan = common::sharing::plan(&lab.env.project(), &store, "tiny");
    let known = realise_known(&plan, &store);
    let vouched: Vec<usize> = known.iter().map(|made| made.vouched.len()).collect();
    // The disk was laid out here.
    assert_eq!(vouched.iter().filter(|count| **count == 0).count(), 1, "{vouched:?}");
    let statement = known.iter().find_map(|made| made.vouched.first()).unwrap();
    assert!(store.statement(statement).unwrap().is_some());
    assert_eq!(store.verify(&|_| ()).unwrap().damaged, []);
}

/// The records of all steps of a plan that are known.
fn realise_known(plan: &vsbuild::plan::Plan, store: &Store) -> Vec<vsbuild::store::Realisation> {
    let known = vsbuild::realise::known(plan, store).unwrap();
    let keys = plan.iter().filter_map(|(id, _)| known.derivation(plan, id));
    keys.filter_map(|derivation| store.realisation(derivation.key().digest()).unwrap()).collect()
}

#[test]
fn what_is_taken_is_told_apart_from_what_is_made_when_it_is_passed_on() {
    let lab = lab();
    let (cache, output) = pushed(&lab);
    let other = Other::new(&lab, "other");
    let (taken, _) = other.top(&from(&cache, &public("a")));
    assert_eq!((&taken["output"], &taken["made"]), (&output, &0.into()));
    let own = shared(&lab.env.project(), &Store::open(&lab.env.store()).unwrap(), "top");
    let stated: Vec<&str> = own.stated.iter().map(|stated| stated.name.as_str()).collect();
    assert_eq!(stated, ["tools", "base", "top"]);
    assert_eq!(own.trees.len(), 1, "nobody who has what a script left needs what it ran in");
    assert_eq!((own.inputs.len(), own.vouched.len()), (1, 0));
    let passed_on = shared(&lab.env.project(), &Store::open(&other.store()).unwrap(), "top");
    assert_eq!(passed_on.stated, []);
    assert_eq!((passed_on.vouched.len(), passed_on.trees), (3, own.trees));
}

#[test]
fn whoever_is_not_believed_changes_nothing() {
    let lab = lab();
    let (cache, output) = pushed(&lab);
    let asked = ["--substituter", &cache];
    let nobody = Other::new(&lab, "nobody");
    let (made, note) = nobody.top(&asked);
    assert!(note.contains("no key is trusted"), "{note}");
    assert!(made["output"] == output && made["substituted"] == 0 && nobody.has_run());

    let stranger = Other::new(&lab, "stranger");
    let (made, _) = stranger.top(&from(&cache, &public("b")));
    assert!(made["output"] == output && made["substituted"] == 0 && stranger.has_run());

    let revoked = Other::new(&lab, "revoked");
    let id = key("a").public().id();
    revoked.configure(&format!("[trust]\nkeys = [\"{}\"]\nrevoked = [\"{id}\"]\n", public("a")));
    let (made, _) = revoked.top(&asked);
    assert!(made["output"] == output && made["substituted"] == 0 && revoked.has_run());

    let shy = Other::new(&lab, "shy");
    shy.configure(&format!(
        "[trust]\nkeys = [\"{}\"]\n[[caches]]\nurl = \"{cache}\"\n",
        public("a")
    ));
    let (made, _) = shy.top(&["--no-substitute"]);
    assert!(made["output"] == output && made["substituted"] == 0 && shy.has_run());
    shy.run(&["build", "top", "--no-substitute", "--substituter", &cache]).bad(2);
}

#[test]
fn offline_nobody_is_asked() {
    let lab = lab();
    let (cache, _) = pushed(&lab);
    let other = Other::new(&lab, "other");
    let key = public("a");
    let args = [&["build", "top", "--offline"][..], &from(&cache, &key)].concat();
    other.run_without_mirror(&args).bad(5);
}

#[test]
fn a_cache_of_the_configuration_has_keys_of_its_own() {
    let lab = lab();
    let (cache, output) = pushed(&lab);
    let other = Other::new(&lab, "other");
    other.configure(&format!(
        "[[caches]]\nurl = \"{cache}/elsewhere\"\npriority = -1\n\
         [[caches]]\nurl = \"{cache}\"\nkeys = [\"{}\"]\n",
        public("a")
    ));
    let (taken, _) = other.top(&[]);
    assert!(taken["output"] == output && taken["made"] == 0 && !other.has_run());
}

/// Pushes `top` with these statements, and lets somebody build it who trusts `a`; nothing may be taken.
#[track_caller]
fn not_taken(what: &str, say: impl Fn(&Stated) -> Vec<Said>) -> String {
    let lab = lab();
    let (output, _) = lab.build("top");
    let cache = lab.env.path().join("cache");
    push_saying(&lab, "top", &cache, say);
    let other = Other::new(&lab, "other");
    let (made, note) = other.top(&from(cache.to_str().unwrap(), &public("a")));
    assert_eq!(made["substituted"], 0, "{what}: {note}");
    assert!(made["output"] == output && other.has_run(), "{what}: {note}");
    note
}

#[test]
fn statements_that_are_forged_or_out_of_place_do_not_count() {
    let a = key("a");
    let forged =
        |stated: &Stated| vec![Said { by: key("a").public().id(), ..said(stated, &key("b")) }];
    not_taken("signed by b under the name of a", forged);
    let changed = not_taken("changed", |stated| {
        let mut said = said(stated, &a);
        let text = String::from_utf8(said.bytes).unwrap();
        let at = text.find("\"sig\":\"").unwrap() + 7;
        let other = if text.as_bytes()[at] == b'A' { "B" } else { "A" };
        said.bytes = format!("{}{other}{}", &text[..at], &text[at + 1..]).into_bytes();
        vec![said]
    });
    assert!(changed.contains("the signature of a"), "{changed}");
    let replayed = not_taken("of another step", |stated| {
        let plan_key = Digest::of("another step");
        vec![Said { plan_key: stated.plan_key, ..said(&Stated { plan_key, ..stated.clone() }, &a) }]
    });
    assert!(replayed.contains("another step"), "{replayed}");
    not_taken("of inputs that there were once", |stated| {
        let mut stale = stated.clone();
        for claim in &mut stale.claims {
            claim.key = Digest::of(claim.key.hex());
        }
        vec![said(&stale, &a)]
    });
    not_taken("nothing like it", |stated| vec![Said { bytes: b"{}".to_vec(), ..said(stated, &a) }]);
}

/// Changes every file of one kind in a cache, and lets somebody build `top`.
#[track_caller]
fn still_made(kind: &str, change: impl Fn(&Path)) {
    let lab = lab();
    let (cache, output) = pushed(&lab);
    let mut changed = 0;
    for entry in WalkDir::new(Path::new(&cache).join(kind)) {
        let entry = entry.unwrap();
        if entry.file_type().is_file() {
            change(entry.path());
            changed += 1;
        }
    }
    assert!(changed > 0, "there are no {kind}");
    let other = Other::new(&lab, "other");
    let (made, note) = other.top(&from(&cache, &public("a")));
    assert!(made["output"] == output && other.has_run(), "{kind}: {note}");
    let store = Store::open(&other.store()).unwrap();
    assert_eq!(store.verify(&|_| ()).unwrap().damaged, [], "{kind}");
}

#[test]
fn a_cache_that_lost_or_damaged_what_it_had_only_costs_a_build() {
    for kind in ["packs", "indexes", "ways", "trees"] {
        still_made(kind, |file| fs::remove_file(file).unwrap());
        still_made(kind, |file| {
            let mut bytes = fs::read(file).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 0x10;
            fs::write(file, bytes).unwrap();
        });
        still_made(kind, |file| fs::write(file, "short").unwrap());
    }
    still_made("statements", |file| fs::write(file, "short").unwrap());
}

#[test]
fn a_cache_that_is_not_there_or_none_is_passed_over() {
    let lab = lab();
    let (_, output) = pushed(&lab);
    let dir = lab.env.path().join("no cache");
    fs::create_dir(&dir).unwrap();
    let other = Other::new(&lab, "other");
    assert_eq!(other.top(&from(dir.to_str().unwrap(), &public("a"))).0["output"], output);
    fs::write(dir.join("format"), "vsbuild-cache 99\n").unwrap();
    let another = Other::new(&lab, "another");
    let (made, note) = another.top(&from(dir.to_str().unwrap(), &public("a")));
    assert_eq!(made["output"], output);
    assert_eq!(note.matches("vsbuild-cache 99").count(), 1, "it is told once: {note}");
    // Nobody listens there.
    let third = Other::new(&lab, "third");
    let (made, note) = third.top(&from("http://127.0.0.1:9/cache", &public("a")));
    assert_eq!(made["output"], output);
    assert_eq!(note.matches("127.0.0.1:9").count(), 1, "it is told once: {note}");
}

#[test]
fn two_of_two_must_agree_where_two_are_needed() {
    let lab = lab();
    let (cache, output) = pushed(&lab);
    let trust =
        |need| format!("[trust]\nkeys = [\"{}\", \"{}\"]\n{need}", public("a"), public("b"));
    let asked = ["--substituter", &cache];
    let one = Other::new(&lab, "one");
    one.configure(&trust("need = 2\n"));
    let (made, note) = one.top(&asked);
    assert!(made["output"] == output && made["substituted"] == 0 && one.has_run());
    assert_eq!(note.matches("1 of the 2 builders").count(), 1, "{note}");
    push(&lab, "top", Path::new(&cache), &key("b"));
    let two = Other::new(&lab, "two");
    two.configure(&trust("need = 2\n"));
    let (taken, _) = two.top(&asked);
    assert!(taken["output"] == output && taken["made"] == 0 && !two.has_run());
    push(&lab, "base", Path::new(&cache), &key("a"));
    let three = Other::new(&lab, "three");
    three.configure(&trust("[trust.recipes.top]\nneed = 3\n"));
    let (made, note) = three.top(&asked);
    assert!(made["output"] == output && three.has_run());
    assert!(note.contains("top is made here: 2 of the 3"), "{note}");
    let log = three.run(&["log", "base"]);
    assert_ne!(log.code, Some(0), "only what too few vouch for is made");
}

/// What `key` says of each step, but that `name` came to something else.
fn lie(name: &'static str, key: SecretKey) -> impl Fn(&Stated) -> Vec<Said> {
    move |stated| {
        let mut stated = stated.clone();
        for claim in stated.claims.iter_mut().filter(|claim| claim.name == name) {
            claim.output = Digest::of("a lie");
        }
        vec![said(&stated, &key)]
    }
}

#[test]
fn two_that_are_trusted_and_disagree_are_an_alarm_with_both_names() {
    let lab = lab();
    let (cache, _) = pushed(&lab);
    push_saying(&lab, "top", Path::new(&cache), lie("base", key("lab-b")));
    let other = Other::new(&lab, "other");
    let (a, b) = (public("a"), public("lab-b"));
    let args = ["build", "top", "--substituter", &cache, "--trusted-key", &a, "--trusted-key", &b];
    let alarm = other.run(&args).bad(4);
    let names = [key("a"), key("lab-b")]
        .map(|key| format!("{} ({})", key.public().name(), key.public().id()));
    assert!(alarm.contains("base came out differently"), "{alarm}");
    assert!(names.iter().all(|name| alarm.contains(name)), "{alarm}");
    assert!(!other.has_run(), "the alarm comes before any work");
    let again = other.run(&args).bad(4);
    assert!(again.contains("base came out differently"), "an alarm does not go away: {again}");
}

#[test]
fn what_is_made_here_counts_as_one_that_may_disagree() {
    let lab = lab();
    lab.build("top");
    let cache = lab.env.path().join("cache");
    push_saying(&lab, "top", &cache, lie("base", key("a")));
    let other = Other::new(&lab, "other");
    other.configure(&format!("[trust]\nkeys = [\"{}\"]\nneed = 2\n", public("a")));
    let alarm = other.run(&["build", "top", "--substituter", cache.to_str().unwrap()]).bad(4);
    let id = key("a").public().id();
    assert!(alarm.contains("base came out differently"), "{alarm}");
    assert!(alarm.contains("this machine") && alarm.contains(&format!("a ({id})")), "{alarm}");
}

#[test]
fn who_is_trusted_alone_and_lies_is_found_out_by_a_build() {
    let lab = lab();
    lab.build("top");
    let cache = lab.env.path().join("cache");
    push_saying(&lab, "top", &cache, lie("top", key("a")));
    let other = Other::new(&lab, "other");
    let key = public("a");
    let args = [&["build", "top"][..], &from(cache.to_str().unwrap(), &key)].concat();
    let alarm = other.run(&args).bad(4);
    let names = [format!("a ({})", self::key("a").public().id()), "this machine".to_owned()];
    assert!(alarm.contains("top came out differently"), "{alarm}");
    assert!(names.iter().all(|name| alarm.contains(name)), "{alarm}");
    // What was taken stays what is believed until somebody says otherwise.
    let differs = other.run(&["build", "top", "--no-substitute"]).bad(4);
    assert!(differs.contains("top came out as") && differs.contains("store forget"), "{differs}");
}

#[test]
fn a_package_needs_as_many_as_the_strictest_step_that_it_goes_into() {
    let lab = lab();
    let (cache, poison) = pushed(&lab);
    let (output, _) = lab.build("root");
    // Of the package in `root`, the one that is trusted says that it is another tree that the cache has.
    let poison: Digest = poison.as_str().unwrap().parse().unwrap();
    push_saying(&lab, "root", Path::new(&cache), |stated| {
        let mut stated = stated.clone();
        stated.claims.retain(|claim| claim.name == "app 1.0");
        stated.claims.iter_mut().for_each(|claim| claim.output = poison);
        if stated.claims.is_empty() { Vec::new() } else { vec![said(&stated, &key("a"))] }
    });
    let build = |name: &str, rule: &str| {
        let other = Other::new(&lab, name);
        let keys = public("a");
        other.configure(&format!("[trust]\nkeys = [\"{keys}\"]\n{rule}"));
        let args = ["build", "root", "--json", "--substituter", &cache];
        let ran = other.run(&args);
        (ran.code, ran.stdout, ran.stderr)
    };
    let who = format!("a ({})", key("a").public().id());
    let (code, made, note) = build("trusting", "[trust.recipes.tools]\nneed = 2\n");
    assert_eq!(code, Some(0), "{note}");
    assert_ne!(json(&made)["output"], output, "a rule for another recipe does not matter here");
    let b = public("b");
    for (name, rule) in [("two", "need = 2"), ("others", &format!("keys = [\"{b}\"]"))] {
        let rule = format!("[trust.recipes.root]\n{rule}\n");
        let (code, alarm, note) = build(name, &rule);
        // It is made here, and so it is found out who lied.
        assert_eq!(code, Some(4), "{note}");
        assert!(note.contains("app 1.0 is made here"), "{note}");
        assert!(alarm.contains("app 1.0 came out differently"), "{alarm}");
        assert!(alarm.contains("this machine") && alarm.contains(&who), "{alarm}");
    }
}

#[test]
fn a_disk_is_compared_with_what_others_say_of_it() {
    let lab = lab();
    lab.run(&["image", "tiny"]).good();
    let cache = lab.env.path().join("cache");
    push_saying(&lab, "tiny", &cache, lie("tiny", key("a")));
    let other = Other::new(&lab, "other");
    let (out, key) = (other.dir.join("out"), public("a"));
    let args = ["image", "tiny", "--out", out.to_str().unwrap()];
    let args = [&args[..], &from(cache.to_str().unwrap(), &key)].concat();
    let alarm = other.run_without_mirror(&args).bad(4);
    let names = [format!("a ({})", self::key("a").public().id()), "this machine".to_owned()];
    assert!(alarm.contains("tiny came out differently"), "{alarm}");
    assert!(names.iter().all(|name| alarm.contains(name)), "{alarm}");
    assert!(!out.join("tiny/disk.img").exists());
}

#[test]
fn an_input_is_taken_from_a_cache_that_has_inputs_before_it_is_asked_for_elsewhere() {
    let lab = lab();
    let (cache, output) = pushed(&lab);
    let other = Other::new(&lab, "other");
    other.configure(&format!("[[caches]]\nurl = \"{cache}\"\ninputs = true\n"));
    let made = json(&other.run_without_mirror(&["build", "top", "--json"]).good());
    assert!(made["output"] == output && other.has_run());
    // A wrong one is noticed, and a mirror has it.
    for entry in WalkDir::new(Path::new(&cache).join("inputs")) {
        let entry = entry.unwrap();
        if entry.file_type().is_file() {
            let mut bytes = fs::read(entry.path()).unwrap();
            bytes[100] ^= 1;
            fs::write(entry.path(), bytes).unwrap();
        }
    }
    let third = Other::new(&lab, "third");
    third.configure(&format!("[[caches]]\nurl = \"{cache}\"\ninputs = true\n"));
    assert_eq!(third.top(&[]).0["output"], output);
}

#[test]
fn an_input_that_comes_out_the_same_makes_nothing_again_that_was_taken() {
    let lab = lab();
    let (cache, output) = pushed(&lab);
    let other = Other::new(&lab, "other");
    other.top(&from(&cache, &public("a")));
    lab.script("base", "# Another script.\necho base > $out/x\n", "");
    let (made, _) = other.top(&from(&cache, &public("a")));
    assert_eq!(made["output"], output);
    assert!(other.run(&["log", "base"]).code == Some(0));
    assert_ne!(other.run(&["log", "top"]).code, Some(0), "top was never run here");
}

#[test]
fn two_programs_may_take_the_same_at_once() {
    let lab = lab();
    let (cache, output) = pushed(&lab);
    let (other, key) = (Other::new(&lab, "other"), public("a"));
    let args = [&["build", "top", "--json"][..], &from(&cache, &key)].concat();
    let children: Vec<_> = (0..4)
        .map(|_| {
            let mut command = other.command(false, &args);
            command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
            command.spawn().unwrap()
        })
        .collect();
    for child in children {
        let ran = Ran::of(child.wait_with_output().unwrap());
        assert_eq!(json(&ran.good())["output"], output);
    }
    assert!(!other.has_run());
}

#[test]
fn a_statement_says_the_same_however_often_it_is_signed() {
    // What is pushed twice is one object.
    let lab = lab();
    lab.build("top");
    let own = shared(&lab.env.project(), &Store::open(&lab.env.store()).unwrap(), "top");
    let first = &own.stated[0];
    assert_eq!(said(first, &key("a")), said(first, &key("a")));
    let statement = |claims: Vec<_>| vsbuild::trust::Statement {
        plan_key: first.plan_key,
        act: vsbuild::trust::Act::Built,
        claims,
    };
    let turned: Vec<_> = first.claims.iter().rev().cloned().collect();
    let (one, two) = (statement(first.claims.clone()), statement(turned));
    assert_eq!(sign(&one, &key("a")), sign(&two, &key("a")));
}
