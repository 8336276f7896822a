//! The program beside a registry: pushes a function, locks it by tag, pulls it by digest.

use std::{fs, path::PathBuf};

use crate::{
    common::lab::Lab,
    real::{Real, skopeo},
};

/// A lab with a function `made`.
fn lab() -> Lab {
    let lab = Lab::new();
    function(&lab, "the first");
    lab
}

fn function(lab: &Lab, text: &str) {
    lab.env.write("recipes/app/app", text);
    lab.script(
        "app",
        "mkdir $out/srv; cp $APP $out/srv/app\n",
        "inputs = { APP = { source = \"app/app\" } }\n",
    );
    lab.env.write(
        "recipes/made.toml",
        "kind = \"function\"\nlayers = [\"app\"]\nentrypoint = [\"/srv/app\"]\n",
    );
}

/// A recipe `pulled` for what bears a tag in the registry.
fn pulled(lab: &Lab, host: &str, tag: &str) {
    let recipe = format!("kind = \"oci-image\"\nreference = \"{host}/team/name:{tag}\"\n");
    lab.env.write("recipes/pulled.toml", &recipe);
}

fn push(lab: &Lab, host: &str, tag: &str) -> String {
    lab.run(&["oci", "push", "made", &format!("{host}/team/name:{tag}")]).good()
}

fn lockfile(lab: &Lab) -> String {
    fs::read_to_string(lab.env.project().join("lockfile.toml")).unwrap()
}

/// Only what is locked of images: the mirrors of packages have no indexes here.
fn lock(lab: &Lab, args: &[&str]) -> String {
    lab.run(&[&["lock"], args].concat()).good()
}

#[test]
fn what_was_pushed_comes_back_the_same_although_its_tag_moves_on() {
    let Some(registry) = Real::start() else { return };
    let (lab, host) = (lab(), registry.host.clone());
    let made = lab.build("made").0;
    push(&lab, &host, "1");
    pulled(&lab, &host, "1");
    let refused = lab.run(&["build", "pulled"]).bad(2);
    assert!(refused.contains("run `vsbuild lock`"), "{refused}");
    lock(&lab, &[]);
    let locked = lockfile(&lab);
    assert!(locked.contains(&format!("reference = \"{host}/team/name:1\"")), "{locked}");
    assert_eq!(lab.build("pulled").0, made, "what was made and what was pulled are one tree");

    function(&lab, "the second");
    push(&lab, &host, "1");
    lock(&lab, &[]);
    assert_eq!(lockfile(&lab), locked, "a lock stays as it is");
    fs::remove_dir_all(lab.env.store()).unwrap();
    assert_eq!(lab.build("pulled").0, made, "what is locked is pulled by digest");

    let changes = lock(&lab, &["--update", "pulled"]);
    assert!(changes.contains("pulled: "), "{changes}");
    let second = lab.build("pulled").0;
    assert_ne!(second, made);
    assert_eq!(second, lab.build("made").0);
}

#[test]
fn what_skopeo_pushed_compressed_is_the_same_image() {
    let Some(registry) = Real::start() else { return };
    let (lab, host) = (lab(), registry.host.clone());
    let saved = lab.env.path().join("saved");
    lab.run(&["oci", "save", "made", saved.to_str().unwrap()]).good();
    let (from, to) = (format!("oci:{}", saved.display()), format!("docker://{host}/team/name:zip"));
    let copied = skopeo(&[
        "copy",
        "--insecure-policy",
        "--dest-tls-verify=false",
        "--dest-compress",
        &from,
        &to,
    ]);
    if copied.is_none() {
        return;
    }
    pulled(&lab, &host, "zip");
    lock(&lab, &[]);
    assert_eq!(lab.build("pulled").0, lab.build("made").0);
}

#[test]
fn a_blob_that_is_gone_or_damaged_stops_the_build_and_leaves_the_store_whole() {
    let Some(registry) = Real::start() else { return };
    let (lab, host) = (lab(), registry.host.clone());
    push(&lab, &host, "1");
    pulled(&lab, &host, "1");
    lock(&lab, &[]);
    let layer = layer(&lab);
    let blob = registry.blob_called(&layer);
    let whole = fs::read(&blob).unwrap();
    fs::remove_dir_all(lab.env.store()).unwrap();

    let mut damaged = whole.clone();
    damaged[0] ^= 1;
    fs::write(&blob, &damaged).unwrap();
    let stderr = lab.run(&["build", "pulled"]).bad(5);
    assert!(stderr.contains(&layer[..12]) || stderr.contains("team/name"), "{stderr}");
    fs::remove_file(&blob).unwrap();
    let stderr = lab.run(&["build", "pulled"]).bad(5);
    assert!(stderr.contains("team/name"), "{stderr}");
    lab.run(&["store", "verify"]).good();

    fs::write(&blob, &whole).unwrap();
    lab.build("pulled");
}

/// The digest of the only layer in the lockfile.
fn layer(lab: &Lab) -> String {
    let text = lockfile(lab);
    let layers = text.split("layers = [").nth(1).unwrap();
    layers.split("sha256 = \"").nth(1).unwrap()[..64].to_owned()
}

#[test]
fn a_registry_that_wants_to_know_who_asks_is_told_so_from_the_files_of_docker() {
    let users = |dir: &std::path::Path| -> PathBuf {
        let made = std::process::Command::new("htpasswd").args(["-Bbn", "me", "secret"]).output();
        fs::write(dir.join("users"), made.expect("htpasswd is installed").stdout).unwrap();
        dir.join("users")
    };
    let Some(registry) = Real::start_with(|dir| {
        format!("auth: {{htpasswd: {{realm: lab, path: {}}}}}\n", users(dir).display())
    }) else {
        return;
    };
    let (lab, host) = (lab(), registry.host.clone());
    let target = format!("{host}/team/name:1");
    let stderr = lab.run(&["oci", "push", "made", &target]).bad(5);
    assert!(stderr.contains(&host), "{stderr}");
    let config = |password: &str| {
        // The base64 of `me:PASSWORD`, as `docker login` writes it.
        let auth = match password {
            "secret" => "bWU6c2VjcmV0",
            _ => "bWU6d3Jvbmc=",
        };
        let path = lab.env.path().join("home/.docker/config.json");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, format!("{{\"auths\": {{\"{host}\": {{\"auth\": \"{auth}\"}}}}}}"))
            .unwrap();
        path
    };
    let wrong = config("wrong");
    let stderr = lab.run(&["oci", "push", "made", &target]).bad(5);
    assert!(stderr.contains(wrong.to_str().unwrap()), "{stderr}");
    config("secret");
    lab.run(&["oci", "push", "made", &target]).good();
    pulled(&lab, &host, "1");
    lock(&lab, &[]);
    assert_eq!(lab.build("pulled").0, lab.build("made").0);
}
