//! Images end to end, with a kernel that is only pretended: building, comparing, and what the store keeps for them.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

mod common;

use std::{fs, os::unix::fs::MetadataExt, path::PathBuf, process::Command};

use common::lab::Lab;
use serde_json::Value;
use vsbuild::digest::Digest;

/// A lab with an image `tiny`.
fn lab() -> Lab {
    let mut lab = Lab::new();
    lab.text_package("app", &[("usr/bin/app", "#!/bin/sh\n")]);
    lab.set("root.packages", &["app"], &["app"]);
    lab.env.write(
        "recipes/root.toml",
        "kind = \"rootfs\"\npackages = [\"app\"]\nlinks.\"/usr/sbin/init\" = \"/usr/bin/app\"\n",
    );
    lab.kernel();
    image(&lab, "free = \"1M\"");
    lab
}

fn kernel(lab: &Lab, script: &str) {
    lab.env.write("kernels/build.sh", script);
}

fn image(lab: &Lab, disk: &str) {
    let recipe = format!(
        "kind = \"image\"\nkernel = \"linux\"\nrootfs = \"root\"\ncmdline = \"console=ttyS0\"\n[disk]\n{disk}\n"
    );
    lab.env.write("recipes/tiny.toml", &recipe);
}

fn out(lab: &Lab, file: &str) -> PathBuf {
    lab.env.project().join("out/tiny").join(file)
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn an_image_is_its_files_with_their_digests_and_a_manifest() {
    let lab = lab();
    let text = lab.run(&["image", "tiny"]).good();
    for (line, name) in text.lines().zip(["disk.img", "vmlinux", "bzImage", "manifest.json"]) {
        let bytes = fs::read(out(&lab, name)).unwrap();
        assert!(line.starts_with(&Digest::of(&bytes).hex()), "{line}");
        assert!(line.ends_with(out(&lab, name).to_str().unwrap()), "{line}");
    }
    let manifest = json(&fs::read_to_string(out(&lab, "manifest.json")).unwrap());
    assert_eq!(manifest["cmdline"], "console=ttyS0 root=/dev/sda rw");
    assert_eq!(manifest["inputs"].as_array().unwrap().len(), 2);
    assert!(!manifest.to_string().contains(lab.env.path().to_str().unwrap()));
    let elsewhere = lab.env.path().join("elsewhere");
    let made =
        json(&lab.run(&["build", "tiny", "--json", "-o", elsewhere.to_str().unwrap()]).good());
    assert_eq!(made["files"][0]["sha256"], manifest["files"]["disk.img"]["sha256"]);
    let other = self::lab();
    assert_eq!(
        json(&other.run(&["image", "tiny", "--json"]).good())["files"][3]["sha256"],
        made["files"][3]["sha256"],
        "in another store and project the manifest is the same too"
    );
}

#[test]
fn an_image_in_the_layout_of_vswarm_u_has_its_root_on_partition_2_and_a_place_of_its_own() {
    let lab = lab();
    lab.run(&["image", "tiny"]).good();
    let ordinary = fs::read(out(&lab, "disk.img")).unwrap();
    let dir = lab.env.project().join("out/tiny-vswarm-u");
    let layout = ["image", "tiny", "--layout", "vswarm-u"];
    let text = lab.run(&layout).good();
    assert!(text.contains(dir.join("disk.img").to_str().unwrap()), "{text}");
    assert_eq!(fs::read(out(&lab, "disk.img")).unwrap(), ordinary, "the other one stays");
    let manifest = json(&fs::read_to_string(dir.join("manifest.json")).unwrap());
    assert_eq!(manifest["root-device"], "/dev/sda2");
    assert_eq!(manifest["cmdline"], "console=ttyS0 root=/dev/sda2 rw");
    let table = Command::new("sfdisk").arg("--json").arg(dir.join("disk.img")).output().unwrap();
    let table = json(&String::from_utf8(table.stdout).unwrap())["partitiontable"].clone();
    assert_eq!(table["label"], "dos");
    let [partition] = table["partitions"].as_array().unwrap().as_slice() else {
        panic!("one partition: {table}")
    };
    assert!(partition["node"].as_str().unwrap().ends_with("disk.img2"), "{table}");
    assert_eq!((&partition["type"], &partition["start"]), (&"83".into(), &2048.into()));
    let inside = format!("{}?offset={}", dir.join("disk.img").display(), 2048 * 512);
    let check = Command::new("e2fsck").args(["-fn", &inside]).output().unwrap();
    assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stdout));
    // The file system is the same, wherever it lies.
    let whole = fs::read(dir.join("disk.img")).unwrap();
    assert!(whole[2048 * 512..].starts_with(&ordinary));
    let again = lab.run(&["image", "tiny", "--layout", "vswarm-u", "--json"]).good();
    assert_eq!(json(&again)["unchanged"], true);
    // What the lockfile promises is the recipe's own layout.
    lab.run(&["lock", "--outputs", "tiny"]).good();
    lab.run(&layout).good();
    lab.run(&["verify"]).good();
}

#[test]
fn an_image_that_is_there_is_left_alone_and_one_that_was_changed_is_made_again() {
    let lab = lab();
    let first = json(&lab.run(&["image", "tiny", "--json"]).good());
    assert_eq!(first["unchanged"], false);
    let inode = fs::metadata(out(&lab, "disk.img")).unwrap().ino();
    let second = json(&lab.run(&["image", "tiny", "--json"]).good());
    assert_eq!((&second["unchanged"], &second["files"]), (&true.into(), &first["files"]));
    assert_eq!(fs::metadata(out(&lab, "disk.img")).unwrap().ino(), inode);
    for file in ["disk.img", "vmlinux", "manifest.json"] {
        fs::write(out(&lab, file), "scribbled over").unwrap();
        let third = json(&lab.run(&["image", "tiny", "--json"]).good());
        assert_eq!(third["files"], first["files"]);
        let digest = Digest::of(fs::read(out(&lab, file)).unwrap()).hex();
        let files = first["files"].as_array().unwrap();
        assert!(files.iter().any(|file| file["sha256"] == digest.as_str()), "{file}");
    }
    fs::remove_dir_all(lab.env.project().join("out")).unwrap();
    assert_eq!(json(&lab.run(&["image", "tiny", "--json"]).good())["files"], first["files"]);
}

#[test]
fn a_changed_disk_with_the_time_of_the_old_one_is_made_again() {
    let lab = lab();
    let first = json(&lab.run(&["image", "tiny", "--json"]).good());
    let disk = out(&lab, "disk.img");
    let before = fs::metadata(&disk).unwrap();
    let file = fs::File::options().write(true).open(&disk).unwrap();
    std::os::unix::fs::FileExt::write_at(&file, b"scribbled over", 4096).unwrap();
    file.set_modified(before.modified().unwrap()).unwrap();
    let now = fs::metadata(&disk).unwrap();
    let look = |meta: &fs::Metadata| (meta.len(), meta.ino(), meta.mtime(), meta.mtime_nsec());
    assert_eq!(look(&now), look(&before));
    assert_eq!(json(&lab.run(&["image", "tiny", "--json"]).good())["files"], first["files"]);
    let digest = Digest::of(fs::read(&disk).unwrap()).to_string();
    assert_eq!(first["files"][0]["sha256"], digest.as_str());
}

#[test]
fn what_lies_in_the_way_of_an_image_is_not_written_through() {
    let lab = lab();
    let mine = lab.env.path().join("mine");
    fs::write(&mine, "mine").unwrap();
    fs::create_dir_all(out(&lab, "")).unwrap();
    let files = ["disk.img", ".disk.img.partial", ".vmlinux.partial", ".bzImage.partial"];
    for file in files.iter().chain(&[".placed", ".placed.partial", "vmlinux"]) {
        std::os::unix::fs::symlink(&mine, out(&lab, file)).unwrap();
    }
    let text = lab.run(&["image", "tiny"]).good();
    assert_eq!(fs::read_to_string(&mine).unwrap(), "mine");
    let disk = Digest::of(fs::read(out(&lab, "disk.img")).unwrap()).hex();
    assert!(text.starts_with(&disk), "{text}");
    assert!(fs::symlink_metadata(out(&lab, ".placed")).unwrap().is_file());
}

#[test]
fn what_an_image_is_made_of_survives_a_collection() {
    let lab = lab();
    let first = lab.run(&["image", "tiny"]).good();
    lab.script("unwanted", "echo x > $out/x\n", "");
    let unwanted = lab.build("unwanted").0;
    let root = lab.build("root").0;
    let roots = lab.run(&["store", "roots"]).good();
    assert!(roots.starts_with("tiny@") && roots.contains("  (vsbuild image)"), "{roots}");
    assert!(lab.run(&["store", "why", &root]).good().contains(" keeps it"));
    lab.run(&["store", "gc"]).good();
    lab.run(&["store", "path", &unwanted]).bad(1);
    assert_eq!(lab.build("root"), (root, 0), "nothing had to be made");
    assert_eq!(lab.run(&["image", "tiny"]).good(), first);
    lab.run(&["store", "roots", "--remove", "tiny"]).good();
    let gone = lab.run(&["store", "gc"]).good();
    assert!(gone.contains("; 0 kept"), "{gone}");
}

#[test]
fn images_of_one_name_in_two_places_keep_their_own() {
    let lab = lab();
    lab.run(&["image", "tiny"]).good();
    let elsewhere = lab.env.path().join("elsewhere");
    lab.run(&["image", "tiny", "--out", elsewhere.to_str().unwrap()]).good();
    let roots = lab.run(&["store", "roots"]).good();
    assert_eq!(roots.lines().count(), 2, "{roots}");
    let said = lab.run(&["store", "roots", "--remove", "tiny"]).bad(2);
    let one = roots.split(' ').next().unwrap();
    assert!(said.contains(one), "{said}");
    lab.run(&["store", "roots", "--remove", one]).good();
    lab.run(&["store", "roots", "--remove", "tiny"]).good();
    assert!(lab.run(&["store", "roots"]).good().is_empty());
}

#[test]
fn a_result_that_came_out_otherwise_is_refused_until_the_first_is_forgotten() {
    let lab = lab();
    lab.script("odd", "head -c 16 /dev/urandom > $out/x\n", "");
    let (first, _) = lab.build("odd");
    lab.run(&["store", "gc"]).good();
    let realisation = |output: &str, key: &str| {
        let text = format!("{{\"name\":\"odd\",\"output\":\"{output}\",\"inputs\":[]}}");
        fs::write(lab.env.store().join("realisations").join(&key[..2]).join(key), text).unwrap();
    };
    let made = json(&lab.run(&["build", "odd", "--json"]).good());
    let key = made["key"].as_str().unwrap().to_owned();
    // As if the first result had been recorded, and then its tree collected.
    let tree = lab.run(&["store", "path", made["output"].as_str().unwrap()]).good();
    fs::remove_file(tree.trim()).unwrap();
    realisation(&first, &key);
    let said = lab.run(&["build", "odd"]).bad(4);
    assert!(said.contains(&format!("vsbuild store forget {key}")), "{said}");
    lab.run(&["store", "forget", &key]).good();
    lab.build("odd");
    lab.run(&["store", "forget", &Digest::of("nothing").hex()]).bad(2);
}

#[test]
fn hashes_are_recorded_and_compared() {
    let lab = lab();
    let said = lab.run(&["verify", "tiny"]).bad(2);
    assert!(said.contains("vsbuild lock --outputs tiny"), "{said}");
    let said = lab.run(&["lock", "--outputs"]).bad(2);
    assert!(said.contains("tiny"), "{said}");
    lab.run(&["lock", "--outputs", "tiny"]).good();
    assert!(lab.run(&["verify"]).good().contains("tiny: as the lockfile says"));
    kernel(&lab, "cat $SCRIPT > $out/bzImage; echo other > $out/vmlinux\n");
    let said = lab.run(&["verify"]).bad(4);
    for word in ["tiny is not what the lockfile says", "vmlinux is", "vsbuild lock --outputs tiny"]
    {
        assert!(said.contains(word), "{word}: {said}");
    }
}

#[test]
fn a_second_build_from_the_inputs_finds_the_step_that_differs() {
    let lab = lab();
    let same = lab.run(&["verify", "tiny", "--rebuild"]).good();
    assert!(same.contains("tiny: built twice, the same bytes"), "{same}");
    kernel(&lab, "cat $SCRIPT > $out/bzImage; head -c 16 /dev/urandom > $out/vmlinux\n");
    let said = lab.run(&["verify", "tiny", "--rebuild"]).bad(4);
    assert!(said.contains("linux came out as") && said.contains("/vmlinux"), "{said}");
    kernel(&lab, "cat $SCRIPT > $out/bzImage; echo $JOBS > $out/vmlinux\n");
    let said = lab.run(&["verify", "tiny", "--rebuild"]).bad(4);
    assert!(said.contains("/vmlinux"), "the number of jobs is no input: {said}");
}

#[test]
fn a_kernel_or_disk_that_cannot_be_is_named() {
    let lab = lab();
    kernel(&lab, "echo x > $out/bzImage\n");
    let said = lab.run(&["image", "tiny"]).bad(3);
    assert!(said.contains("linux") && said.contains("vmlinux"), "{said}");
    kernel(&lab, "echo no kernel for you; exit 4\n");
    let said = lab.run(&["image", "tiny"]).bad(3);
    assert!(said.contains("the script of linux ended with exit code 4"), "{said}");
    assert!(lab.run(&["log", "linux"]).good().contains("no kernel for you"));
    kernel(&lab, "echo x > $out/bzImage; echo y > $out/vmlinux\n");
    image(&lab, "size = \"64K\"");
    let said = lab.run(&["image", "tiny"]).bad(3);
    assert!(said.contains("tiny") && said.contains("because: "), "{said}");
    assert!(!out(&lab, "disk.img").exists());
}

#[test]
fn content_that_is_gone_from_the_store_is_named_and_the_old_disk_stays() {
    let lab = lab();
    lab.run(&["image", "tiny"]).good();
    let before = fs::read(out(&lab, "disk.img")).unwrap();
    // A blob that is gone behind the store's back.
    let tree = lab.tree("root");
    let digest = tree.lines().find(|line| line.starts_with("f /usr/bin/app ")).unwrap();
    let path = lab.run(&["store", "path", digest.rsplit(' ').next().unwrap()]).good();
    fs::remove_file(path.trim()).unwrap();
    image(&lab, "free = \"2M\"");
    let said = lab.run(&["image", "tiny"]).bad(4);
    assert!(said.contains("vsbuild store verify"), "{said}");
    assert_eq!(fs::read(out(&lab, "disk.img")).unwrap(), before);
    lab.run(&["store", "verify"]).bad(4);
    lab.run(&["image", "tiny"]).good();
}
