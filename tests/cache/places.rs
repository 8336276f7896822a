//! Through every kind of place: what one has pushed, another makes the image of, and nothing else.

use std::{fs, process::Command};

use crate::{
    common::Ran,
    nginx::Nginx,
    real::Real,
    s3,
    world::{Machine, json, origin, public},
};

/// The image on a fresh machine, from a cache alone.
#[track_caller]
fn makes_the_image_from(address: &str, with: impl Fn(&mut Command)) {
    let (machine, key) = (Machine::new(), public("a"));
    let args = ["image", "tiny", "--json", "--substituter", address, "--trusted-key", &key];
    let mut command = machine.command(&args);
    with(&mut command);
    machine.makes_the_image(&mut command);
}

#[test]
fn through_a_directory() {
    let (machine, dir) = (Machine::new(), tempfile::tempdir().unwrap());
    let cache = dir.path().join("cache");
    let first = machine.origin.push("tiny", &cache, &[]);
    assert_eq!(
        (&first["there"], &first["inputs"], &first["images"]),
        (&0.into(), &0.into(), &0.into())
    );
    assert!(first["bytes"].as_u64().unwrap() > 40 << 20);
    assert!(!cache.join("inputs").exists() && !cache.join("images").exists());
    makes_the_image_from(cache.to_str().unwrap(), |_| ());
    // The same again sends nothing but statements.
    let again = machine.origin.push("tiny", &cache, &[]);
    assert_eq!(
        (&again["bytes"], &again["packs"], &again["trees"]),
        (&0.into(), &0.into(), &0.into())
    );
    assert_eq!(again["there"], first["bytes"].as_u64().unwrap() + (8 << 20));
    // And what was pulled is there.
    let brought = machine.pulls(cache.to_str().unwrap());
    assert_eq!(brought["substituted"], 2);
    machine.has_the_image();
    assert_eq!(machine.pulls(cache.to_str().unwrap())["substituted"], 0);
}

#[test]
fn through_a_web_server_of_plain_files() {
    let Some(nginx) = Nginx::start("") else { return };
    let origin = origin();
    origin.copy_of_cache(&nginx.root().join("lab"));
    let address = format!("http://{}/lab", nginx.host);
    makes_the_image_from(&address, |_| ());
    // It only gives files, and that is said.
    let said = Ran::of(origin.command("tiny", &address, &[]).output().unwrap());
    assert!(json(&said.stdout)["error"].as_str().unwrap().contains("only gives files"), "{said:?}");
    assert_eq!(said.code, Some(5));
    let said = Machine::new().run(&["cache", "ls", &address]).bad(5);
    assert!(said.contains("only gives files") && said.contains("help:"), "{said}");
}

#[test]
fn through_a_web_server_that_takes_files() {
    let dav =
        "client_max_body_size 0; location / { dav_methods PUT DELETE; create_full_put_path on; }";
    let Some(nginx) = Nginx::start(dav) else { return };
    let (origin, address) = (origin(), format!("http://{}/lab", nginx.host));
    let push = || json(&Ran::of(origin.command("tiny", &address, &[]).output().unwrap()).good());
    assert!(push()["packs"].as_u64().unwrap() >= 3);
    makes_the_image_from(&address, |_| ());
    // It cannot say what it has; what was pushed before is found all the same.
    assert_eq!((&push()["packs"], &push()["trees"]), (&0.into(), &0.into()));
    assert_eq!(fs::read_dir(nginx.root().join("lab/pushing")).unwrap().count(), 0);
}

#[test]
fn through_a_store_that_speaks_s3() {
    let (store, origin) = (s3::Store::start(), origin());
    let address = "s3://lab-cache/vsbuild";
    let as_who = |command: &mut Command, key: &str, secret: &str| {
        command
            .env("AWS_ENDPOINT_URL", format!("http://{}", store.host))
            .env("AWS_ACCESS_KEY_ID", key)
            .env("AWS_SECRET_ACCESS_KEY", secret);
    };
    let push = |key: &str, secret: &str| {
        let mut command = origin.command("tiny", address, &["--with-inputs"]);
        as_who(&mut command, key, secret);
        Ran::of(command.output().unwrap())
    };
    let refused = push(s3::KEY, "a wrong secret");
    assert_eq!(refused.code, Some(5), "{refused:?}");
    let error = json(&refused.stdout);
    assert!(error["error"].as_str().unwrap().contains("SignatureDoesNotMatch"), "{error}");
    assert!(error["help"].to_string().contains("AWS_ACCESS_KEY_ID"), "{error}");
    assert_eq!(fs::read_dir(store.bucket()).unwrap().count(), 0);
    let sent = json(&push(s3::KEY, s3::SECRET).good());
    assert_eq!(sent["inputs"], 2, "{sent}");
    makes_the_image_from(address, |command| as_who(command, s3::KEY, s3::SECRET));
    let machine = Machine::new();
    let mut command = machine.pull(address, &[]);
    as_who(&mut command, "nobody", s3::SECRET);
    let refused = Ran::of(command.output().unwrap());
    assert_eq!(refused.code, Some(5), "{refused:?}");
}

#[test]
fn through_a_registry() {
    let Some(registry) = Real::start() else { return };
    let (origin, address) = (origin(), format!("oci://{}/team/cache", registry.host));
    let push = || json(&Ran::of(origin.command("tiny", &address, &[]).output().unwrap()).good());
    assert!(push()["packs"].as_u64().unwrap() >= 3);
    makes_the_image_from(&address, |_| ());
    assert_eq!(push()["packs"], 0);
    let machine = Machine::new();
    let listed = json(&machine.run(&["cache", "ls", &address, "--json"]).good());
    let rooms = &listed["rooms"];
    assert_eq!(rooms["packs"]["count"], rooms["indexes"]["count"], "{listed}");
    assert_eq!(rooms["pushing"]["count"], 0, "{listed}");
}
