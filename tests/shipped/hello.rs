//! `hello`: the main job.

use std::{fs, path::Path, process::Command};

use crate::{Ran, dir, image, run, sha256, vsbuild};

fn hello() -> &'static Path {
    image("hello")
}

#[test]
fn the_lockfile_has_the_hashes_of_what_is_built() {
    crate::the_lockfile_has_the_hashes_of("hello");
}

#[test]
fn the_manifest_names_every_input_and_output() {
    let text = fs::read(hello().join("manifest.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&text).unwrap();
    for name in ["disk.img", "vmlinux", "bzImage"] {
        let found = manifest["files"][name]["sha256"].as_str().unwrap();
        assert_eq!(found, sha256(&hello().join(name)));
    }
    assert!(manifest["cmdline"].as_str().unwrap().contains("root=/dev/sda"));
    let inputs = manifest["inputs"].as_array().unwrap();
    assert!(inputs.iter().any(|input| input["name"].as_str().unwrap().starts_with("containerd ")));
    assert!(inputs.len() > 100, "every package of every toolchain is an input");
}

#[test]
fn the_disk_is_clean() {
    let image = hello().join("disk.img");
    let ran = Ran::of(Command::new("e2fsck").arg("-fn").arg(image).output().unwrap());
    ran.good();
}

#[test]
fn the_guest_boots_and_its_container_speaks() {
    hello();
    let runs = dir().join("run");
    let image = dir().join("out");
    let before = sha256(&hello().join("disk.img"));
    let ran = run(&[
        "run",
        "hello",
        "--on",
        "qemu",
        "--image-dir",
        image.to_str().unwrap(),
        "--out",
        runs.to_str().unwrap(),
    ]);
    let stdout = ran.good();
    assert!(stdout.contains("output: HELLO FROM CONTAINER"), "{stdout}");
    assert_eq!(sha256(&hello().join("disk.img")), before, "the image is not written");
    let record: serde_json::Value =
        serde_json::from_slice(&fs::read(runs.join("run.json")).unwrap()).unwrap();
    assert_eq!(record["verdict"], "good");
    assert_eq!(record["files"]["disk.img"], before.as_str());
    assert!(fs::read_to_string(runs.join("console.log")).unwrap().contains("HELLO FROM CONTAINER"));
}

#[test]
fn the_guest_boots_from_partition_2_as_vswarm_u_has_it() {
    hello();
    let (image, runs) = (dir().join("out"), dir().join("run-vswarm-u"));
    let mut command = vsbuild();
    command.args(["run", "hello", "--on", "qemu", "--layout", "vswarm-u", "--image-dir"]);
    let stdout = Ran::of(command.arg(image).arg("--out").arg(&runs).output().unwrap()).good();
    assert!(stdout.contains("output: HELLO FROM CONTAINER"), "{stdout}");
    let record: serde_json::Value =
        serde_json::from_slice(&fs::read(runs.join("run.json")).unwrap()).unwrap();
    assert!(record["cmdline"].as_str().unwrap().ends_with("root=/dev/sda2 rw"), "{record}");
}

#[test]
fn a_guest_that_does_not_speak_is_a_failure() {
    hello();
    let (image, runs) = (dir().join("out"), dir().join("run-short"));
    let args = ["run", "hello", "--on", "qemu", "--timeout", "1", "--image-dir"];
    let ran = Ran::of(vsbuild().args(args).arg(image).arg("--out").arg(&runs).output().unwrap());
    let stderr = ran.bad(6);
    assert!(stderr.contains("it took too long"), "{stderr}");
}

#[test]
fn what_did_not_change_is_not_made_again() {
    hello();
    let out = dir().join("out");
    let ran = run(&["image", "hello", "--json", "--offline", "--out", out.to_str().unwrap()]);
    let result: serde_json::Value = serde_json::from_str(&ran.good()).unwrap();
    assert_eq!(result["unchanged"], true);
}

#[test]
fn a_second_build_is_the_same_for_another_user_on_another_file_system() {
    hello();
    let shm = Path::new("/dev/shm");
    let second = tempfile::Builder::new().prefix("vsbuild-hello-").tempdir_in(shm).unwrap();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    fs::set_permissions(second.path(), open).unwrap();
    let mut command = if rustix::process::geteuid().is_root() {
        // Another host name, too; only root may change it.
        let mut command = Command::new("unshare");
        command.args(["--uts", "sh", "-c", "hostname elsewhere && exec \"$@\"", "sh"]);
        command.arg(env!("CARGO_BIN_EXE_vsbuild"));
        command.current_dir(env!("CARGO_MANIFEST_DIR"));
        command.env("VSBUILD_STORE", dir().join("store"));
        command
    } else {
        vsbuild()
    };
    command.args(["verify", "hello", "--rebuild", "--scratch"]).arg(second.path());
    let stdout = Ran::of(command.output().unwrap()).good();
    assert!(stdout.contains("built twice, the same bytes"), "{stdout}");
}
