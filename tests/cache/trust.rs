//! Whose word counts for a pull.

use std::{collections::BTreeMap, fs, path::Path, process::Stdio};

use tempfile::tempdir;
use vsbuild::{digest::Digest, store::Store, trust};

use crate::{
    common::{
        Ran,
        sharing::{key, said, shared},
    },
    world::{Machine, json, list, origin, public, write_key},
};

#[test]
fn only_who_is_believed_counts() {
    let (machine, dir) = (Machine::new(), tempdir().unwrap());
    let cache = dir.path().join("cache");
    machine.origin.copy_of_cache(&cache);
    let from = cache.to_str().unwrap();
    let pull = ["cache", "pull", "tiny", "--from", from];
    let nobody = machine.run(&pull).bad(2);
    assert!(nobody.contains("no key is trusted") && nobody.contains("--trusted-key"), "{nobody}");
    let stranger = machine.run(&[&pull[..], &["--trusted-key", &public("b")]].concat()).bad(5);
    assert!(stranger.contains("has nothing that counts of"), "{stranger}");
    let id = key("a").public().id();
    machine.configure(&format!("[trust]\nkeys = [\"{}\"]\nrevoked = [\"{id}\"]\n", public("a")));
    machine.run(&pull).bad(2);
    machine.configure(&format!("[trust]\nkeys = [\"{}\"]\nneed = 2\n", public("a")));
    let few = machine.run(&pull).bad(5);
    assert!(few.contains("1 of the 2 builders"), "{few}");
    machine.configure(&format!("[[caches]]\nurl = \"{from}\"\nkeys = [\"{}\"]\n", public("a")));
    machine.run(&pull).good();
    machine.has_the_image();
}

#[test]
fn an_old_statement_in_the_place_of_another_step_counts_for_neither() {
    let (machine, dir) = (Machine::new(), tempdir().unwrap());
    let cache = dir.path().join("cache");
    machine.origin.copy_of_cache(&cache);
    let statements = list(&cache.join("statements"));
    let texts: Vec<Vec<u8>> = statements.iter().map(|file| fs::read(file).unwrap()).collect();
    for (file, text) in statements.iter().zip(texts.iter().cycle().skip(1)) {
        fs::write(file, text).unwrap();
    }
    let ran = Ran::of(machine.pull(cache.to_str().unwrap(), &[]).output().unwrap());
    assert_eq!(ran.code, Some(5), "{ran:?}");
    assert!(ran.stderr.contains("another step"), "{ran:?}");
    machine.is_sound();
    // The lab says it again.
    machine.origin.push("tiny", &cache, &[]);
    machine.pulls(cache.to_str().unwrap());
    machine.has_the_image();
}

#[test]
fn two_labs_that_disagree_are_an_alarm_and_nothing_is_taken() {
    let (machine, dir) = (Machine::new(), tempdir().unwrap());
    let cache = dir.path().join("cache");
    machine.origin.copy_of_cache(&cache);
    let env = &machine.origin.lab.env;
    let own = shared(&env.project(), &Store::open(&env.store()).unwrap(), "tiny");
    let outputs: Vec<Digest> =
        own.stated.iter().flat_map(|stated| &stated.claims).map(|claim| claim.output).collect();
    for mut stated in own.stated {
        for claim in stated.claims.iter_mut().filter(|claim| claim.name == "root") {
            claim.output = Digest::of("tampered with");
        }
        let said = said(&stated, &key("b"));
        let hex = said.plan_key.hex();
        let place = cache.join(format!("statements/{}/{hex}/{}", &hex[..2], said.by));
        fs::write(place, said.bytes).unwrap();
    }
    let more = public("b");
    let pull = machine.pull(cache.to_str().unwrap(), &["--trusted-key", &more]).output().unwrap();
    let ran = Ran::of(pull);
    let error = json(&ran.stdout);
    assert_eq!(ran.code, Some(4), "{ran:?}");
    let text = error["error"].as_str().unwrap();
    assert!(text.contains("root came out differently"), "{text}");
    for name in ["a", "b"] {
        assert!(text.contains(&format!("{name} ({})", key(name).public().id())), "{text}");
    }
    let store = Store::open(&machine.store_dir()).unwrap();
    assert!(!outputs.iter().any(|output| store.has_tree(output)));
}

#[test]
fn two_labs_that_push_at_once_are_both_heard() {
    let (second, dir) = (Machine::new(), tempdir().unwrap());
    let cache = dir.path().join("cache");
    let to = cache.to_str().unwrap();
    let origin = &second.origin;
    // Another lab builds the same from the mirror.
    let mut build = second.command(&["image", "tiny", "--json"]);
    let mirror = format!("file://{}", origin.lab.mirror().display());
    build.env("VSBUILD_MIRROR_DEBIAN", mirror).arg("--out").arg(second.path().join("made"));
    let made = json(&Ran::of(build.output().unwrap()).good());
    assert_eq!(made["files"][0]["sha256"], origin.image["files"][0]["sha256"]);
    let file = second.path().join("b.key");
    write_key(&file, &key("b"));
    let file = file.to_str().unwrap();
    let mut children: Vec<_> = (0..2)
        .flat_map(|_| {
            let args = ["cache", "push", "tiny", "--to", to, "--key", file];
            [origin.command("tiny", to, &[]), second.command(&args)]
        })
        .map(|mut command| command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
        .collect();
    for child in children.drain(..) {
        Ran::of(child.wait_with_output().unwrap()).good();
    }
    assert_eq!(list(&cache.join("pushing")), [] as [&Path; 0]);
    let third = Machine::new();
    third.configure(&format!(
        "[trust]\nkeys = [\"{}\", \"{}\"]\nneed = 2\n",
        public("a"),
        public("b")
    ));
    third.run(&["cache", "pull", "tiny", "--from", to]).good();
    third.has_the_image();
    // What was sent twice is found once, whoever sent it.
    let again = Ran::of(origin.command("tiny", to, &[]).output().unwrap()).good();
    assert_eq!(json(&again)["packs"], 0);
}

#[test]
fn what_was_attested_is_what_is_pushed() {
    let (origin, dir) = (origin(), tempdir().unwrap());
    let cache = dir.path().join("cache");
    let env = &origin.lab.env;
    let store = Store::open(&env.store()).unwrap();
    let own = shared(&env.project(), &store, "linux");
    // Another key than the other tests', since it stays in the lab's store.
    let (c, file) = (key("c"), dir.path().join("c.key"));
    write_key(&file, &c);
    let mut acts = BTreeMap::new();
    for (at, stated) in own.stated.iter().enumerate() {
        let mut claims = stated.claims.clone();
        if at == 0 {
            // This one is about an output that is not what there is today.
            claims[0].output = Digest::of("long ago");
        }
        let act = trust::Act::Rebuilt;
        let statement = trust::Statement { plan_key: stated.plan_key, act, claims };
        let bytes = trust::sign(&statement, &c);
        store.attest(&stated.plan_key, &c.public().id().to_string(), &bytes).unwrap();
        let act = if at == 0 { trust::Act::Built } else { trust::Act::Rebuilt };
        acts.insert(stated.plan_key, act);
    }
    assert!(acts.len() > 1);
    let (to, file) = (cache.to_str().unwrap(), file.to_str().unwrap());
    origin.lab.run(&["cache", "push", "linux", "--to", to, "--key", file]).good();
    let pushed = list(&cache.join("statements")).into_iter().map(|file| {
        let statement = trust::peek(&fs::read(file).unwrap()).unwrap();
        (statement.plan_key, statement.act)
    });
    assert_eq!(pushed.collect::<BTreeMap<_, _>>(), acts);
}
