//! Images of containers in a lab: made from trees, taken from layouts and archives, preloaded, saved.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

mod common;

use std::{fs, path::Path, process::Command};

use common::{Ran, lab::Lab};
use serde_json::Value;
use vsbuild::digest::Digest;

/// A lab with two functions that share the layer of their runtime.
fn lab() -> Lab {
    let mut lab = Lab::new();
    lab.text_package("runtime", &[("usr/lib/runtime", "the runtime\n")]);
    lab.set("runtime.packages", &["runtime"], &["runtime"]);
    lab.env.write("recipes/runtime.toml", "kind = \"rootfs\"\npackages = [\"runtime\"]\n");
    for name in ["one", "two"] {
        lab.env.write(&format!("recipes/{name}/app"), &format!("the program {name}\n"));
        lab.script(
            &format!("{name}-app"),
            "cp $APP $out/app; chmod 755 $out/app\n",
            &format!("inputs = {{ APP = {{ source = \"{name}/app\" }} }}\n"),
        );
        lab.env.write(
            &format!("recipes/{name}.toml"),
            &format!(
                "kind = \"function\"\nlayers = [\"runtime\", {{ from = \"{name}-app\", path = \"/app\", at = \"/srv/app\" }}]\n\
                 entrypoint = [\"/srv/app\"]\nuser = \"1000:1000\"\nports = [50000]\n[env]\nB = \"2\"\nA = \"1\"\n\
                 [labels]\nkind = \"test\"\n[invoke]\nport = 50000\nreply = {{ check = \"fibonacci\" }}\n"
            ),
        );
    }
    preload(&lab, "functions = [\"one\", \"two\"]\n");
    lab
}

fn preload(lab: &Lab, keys: &str) {
    lab.env.write("recipes/loaded.toml", &format!("kind = \"preload\"\n{keys}"));
}

/// The digest of the file at `path` in a manifest of a tree.
fn digest_of(tree: &str, path: &str) -> String {
    let line = tree.lines().find(|line| line.starts_with(&format!("f /{path} ")));
    let line = line.unwrap_or_else(|| panic!("no file {path} in\n{tree}"));
    line.split(' ').find(|word| word.len() == 64).unwrap().to_owned()
}

fn blob(lab: &Lab, digest: &str) -> Vec<u8> {
    fs::read(lab.run(&["store", "path", digest]).good().trim()).unwrap()
}

#[test]
fn functions_of_one_runtime_share_its_layer() {
    let lab = lab();
    let (one, two) = (lab.tree("one"), lab.tree("two"));
    assert_eq!(digest_of(&one, "layers/000.tar"), digest_of(&two, "layers/000.tar"));
    assert_ne!(digest_of(&one, "layers/001.tar"), digest_of(&two, "layers/001.tar"));
    let config: Value = serde_json::from_slice(&blob(&lab, &digest_of(&one, "config"))).unwrap();
    assert_eq!(config["config"]["Entrypoint"], serde_json::json!(["/srv/app"]));
    assert_eq!(config["config"]["Env"], serde_json::json!(["A=1", "B=2"]));
    assert_eq!(config["config"]["User"], "1000:1000");
    assert_eq!(config["config"]["Labels"]["kind"], "test");
    assert!(config["config"]["ExposedPorts"]["50000/tcp"].is_object());
    let diff_ids: Vec<&str> = config["rootfs"]["diff_ids"]
        .as_array()
        .unwrap()
        .iter()
        .map(|id| id.as_str().unwrap())
        .collect();
    let layers = ["layers/000.tar", "layers/001.tar"];
    assert_eq!(diff_ids, layers.map(|tar| format!("sha256:{}", digest_of(&one, tar))));
}

#[test]
fn a_function_comes_out_the_same_in_another_store() {
    let (one, other) = (lab(), lab());
    assert_eq!(one.build("one").0, other.build("one").0);
    assert_eq!(one.build("loaded").0, other.build("loaded").0);
}

#[test]
fn a_saved_image_comes_back_the_same_from_a_layout_and_from_an_archive() {
    let lab = lab();
    let saved = lab.env.project().join("images/saved");
    fs::create_dir_all(saved.parent().unwrap()).unwrap();
    let text = lab.run(&["oci", "save", "one", saved.to_str().unwrap()]).good();
    let manifest: Value = {
        let index: Value =
            serde_json::from_slice(&fs::read(saved.join("index.json")).unwrap()).unwrap();
        let digest = index["manifests"][0]["digest"].as_str().unwrap().to_owned();
        assert!(text.contains(&digest), "{text}");
        let path = saved.join("blobs/sha256").join(digest.trim_start_matches("sha256:"));
        serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
    };
    assert_eq!(manifest["layers"].as_array().unwrap().len(), 2);
    let tar = lab.env.project().join("images/saved.tar");
    let packed = Command::new("tar").arg("-C").arg(&saved).arg("-cf").arg(&tar).arg(".").output();
    Ran::of(packed.unwrap()).good();
    lab.env
        .write("recipes/from-layout.toml", "kind = \"oci-image\"\nlayout = \"../images/saved\"\n");
    lab.env.write(
        "recipes/from-archive.toml",
        "kind = \"oci-image\"\narchive = \"../images/saved.tar\"\n",
    );
    let (made, _) = lab.build("one");
    assert_eq!(lab.build("from-layout").0, made);
    assert_eq!(lab.build("from-archive").0, made);
}

#[test]
fn a_layout_whose_bytes_are_not_what_they_are_called_is_refused() {
    let lab = lab();
    let saved = lab.env.project().join("images/saved");
    fs::create_dir_all(saved.parent().unwrap()).unwrap();
    lab.run(&["oci", "save", "one", saved.to_str().unwrap()]).good();
    let largest =
        fs::read_dir(saved.join("blobs/sha256")).unwrap().map(|entry| entry.unwrap().path());
    let largest = largest.max_by_key(|path| fs::metadata(path).unwrap().len()).unwrap();
    let mut bytes = fs::read(&largest).unwrap();
    bytes[600] ^= 1;
    fs::remove_file(&largest).unwrap();
    fs::write(&largest, bytes).unwrap();
    lab.env.write("recipes/bad.toml", "kind = \"oci-image\"\nlayout = \"../images/saved\"\n");
    let stderr = lab.run(&["build", "bad"]).bad(3);
    let name = largest.file_name().unwrap().to_str().unwrap();
    assert!(stderr.contains(name), "{stderr}");
}

#[test]
fn a_preload_has_the_state_and_the_list_of_functions() {
    let lab = lab();
    let tree = lab.tree("loaded");
    for path in [
        "var/lib/containerd/io.containerd.metadata.v1.bolt/meta.db",
        "var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/metadata.db",
        "etc/vsbuild/functions/one.json",
    ] {
        digest_of(&tree, path);
    }
    let conf =
        String::from_utf8(blob(&lab, &digest_of(&tree, "etc/vsbuild/functions/one.conf"))).unwrap();
    for line in [
        "image localhost/one:latest",
        "spec /etc/vsbuild/functions/one.json",
        "port 50000",
        "method /helloworld.Greeter/SayHello",
        "field 1 string {input}",
        "reply 1 fibonacci",
    ] {
        assert!(conf.lines().any(|found| found == line), "{line} is not in\n{conf}");
    }
    let one = lab.tree("one");
    let layer = digest_of(&one, "layers/001.tar");
    assert!(tree.contains(&format!("blobs/sha256/{layer} ")), "the layers' blobs are there");
    preload(&lab, "functions = [\"one\", \"two\"]\nblobs = false\n");
    let without = lab.tree("loaded");
    assert!(
        !without.contains(&format!("blobs/sha256/{layer} ")),
        "they are left out if the recipe says so"
    );
    assert!(without.contains("/fs/srv/app "), "what is unpacked stays");
}

#[test]
fn how_an_image_came_is_not_in_the_preload() {
    let lab = lab();
    let saved = lab.env.project().join("images/saved");
    fs::create_dir_all(saved.parent().unwrap()).unwrap();
    lab.run(&["oci", "save", "one", saved.to_str().unwrap()]).good();
    let layout = |name: &str| {
        lab.env.write(
            &format!("recipes/{name}.toml"),
            "kind = \"oci-image\"\nlayout = \"../images/saved\"\n[invoke]\nport = 50000\n",
        );
        preload(&lab, &format!("functions = [\"{name}\"]\n"));
        lab.tree("loaded")
    };
    let state = |tree: &str| -> Vec<String> {
        let lines = tree.lines().filter(|line| line.contains(" /var/lib/containerd/"));
        lines.map(str::to_owned).collect()
    };
    let came = layout("came");
    assert!(!state(&came).is_empty());
    preload(&lab, "functions = [\"one\"]\n");
    let made = lab.tree("loaded");
    // Only the image's name is another, and so the database that holds it.
    let other = |line: &String| !line.contains("meta.db");
    let (came, made) = (state(&came), state(&made));
    assert!(came.iter().filter(|line| other(line)).eq(made.iter().filter(|line| other(line))));
}

#[test]
fn a_blob_of_an_image_is_where_its_digest_says() {
    let lab = lab();
    let tree = lab.tree("one");
    let tar = digest_of(&tree, "layers/001.tar");
    assert_eq!(Digest::of(blob(&lab, &tar)).hex(), tar);
    let listed = Command::new("tar").arg("-tvf").arg(path_of(&lab, &tar)).output().unwrap();
    let listed = Ran::of(listed).good();
    assert!(listed.contains("srv/app"), "{listed}");
}

fn path_of(lab: &Lab, digest: &str) -> std::path::PathBuf {
    Path::new(lab.run(&["store", "path", digest]).good().trim()).to_owned()
}
