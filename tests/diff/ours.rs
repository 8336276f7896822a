//! Images, recipes and lockfiles of our own.

use std::{collections::BTreeSet, fs, os::unix::fs::FileExt, path::PathBuf};

use serde_json::Value;

use super::{all, common::lab::Lab, json, run, with};

/// A lab with an image `tiny`, whose package has this version and text.
fn lab(version: &str, text: &str) -> Lab {
    let mut lab = Lab::new();
    lab.version = version.to_owned();
    lab.text_package("app", &[("usr/bin/app", "#!/bin/sh\n"), ("etc/app.conf", text)]);
    lab.set("root.packages", &["app"], &["app"]);
    root(&lab, "");
    lab.kernel();
    image(&lab, "", "free = \"1M\"");
    lab
}

fn root(lab: &Lab, more: &str) {
    let recipe = format!(
        "kind = \"rootfs\"\npackages = [\"app\"]\nlinks.\"/usr/sbin/init\" = \"/usr/bin/app\"\n{more}"
    );
    lab.env.write("recipes/root.toml", &recipe);
}

fn image(lab: &Lab, cmdline: &str, disk: &str) {
    let recipe = format!(
        "kind = \"image\"\nkernel = \"linux\"\nrootfs = \"root\"\ncmdline = \"{cmdline}\"\n[disk]\n{disk}\n"
    );
    lab.env.write("recipes/tiny.toml", &recipe);
}

fn out(lab: &Lab, file: &str) -> PathBuf {
    lab.env.project().join("out/tiny").join(file)
}

/// A recipe of another lab.
fn of(lab: &Lab, name: &str) -> String {
    format!("{}#{name}", lab.env.project().display())
}

/// Makes the image of another lab in this one's store.
fn make_in(lab: &Lab, other: &Lab) {
    let store = lab.env.store();
    other.run(&["image", "tiny", "--store", store.to_str().unwrap()]).good();
}

#[track_caller]
fn report(lab: &Lab, a: &str, b: &str, more: &[&str]) -> Value {
    let ran = lab.run(&[&["diff", a, b, "--json"], more].concat());
    let report = json(&ran.stdout);
    assert_eq!(ran.code, Some(if report["same"] == true { 0 } else { 4 }), "{}", ran.stderr);
    report
}

#[test]
fn of_two_images_the_input_is_told_then_the_package_then_its_files() {
    let (old, new) = (lab("1.0", "color = red\n"), lab("1.1", "color = blue\n"));
    old.run(&["image", "tiny"]).good();
    make_in(&old, &new);
    let report = report(&old, "tiny", &of(&new, "tiny"), &[]);
    let first = report["made"]["first"].as_str().unwrap();
    assert!(first.starts_with("fetch app"), "{first}");
    let steps = &report["made"]["steps"];
    assert_eq!(all(steps, "cause")[0], "input");
    let causes: BTreeSet<&str> = all(steps, "cause").into_iter().skip(1).collect();
    assert_eq!(causes, BTreeSet::from(["follows"]), "{steps:#}");
    assert_eq!(with(steps, "kind", "disk").len(), 1);
    assert_eq!(with(steps, "kind", "run").len(), 0, "the kernel is the same: {steps:#}");
    let root = &report["parts"][0];
    assert_eq!(root["name"], "rootfs");
    assert_eq!(root["packages"][0]["what"], "app:amd64");
    assert_eq!(
        (&root["packages"][0]["before"], &root["packages"][0]["after"]),
        (&"1.0".into(), &"1.1".into())
    );
    let conf = with(&root["files"], "path", "/etc/app.conf")[0];
    assert_eq!(conf["content"]["unified"], "@@ -1 +1 @@\n-color = red\n+color = blue\n");
    assert_eq!(report["parts"][1]["files"], Value::Array(Vec::new()));
    let said = old.run(&["diff", "tiny", &of(&new, "tiny")]).stdout;
    assert!(said.contains("~ fetch app 1.0 -> app 1.1: another file"), "{said}");
    let places = ["it begins with fetch app", "~ app:amd64: 1.0 -> 1.1", "+color = blue"];
    let places =
        places.map(|words| said.find(words).unwrap_or_else(|| panic!("no {words}: {said}")));
    assert!(places.is_sorted(), "{said}");
}

#[test]
fn what_is_not_built_is_compared_by_what_goes_into_it() {
    let (old, new) = (lab("1.0", "x\n"), lab("1.1", "x\n"));
    let report = report(&old, "tiny", &of(&new, "tiny"), &[]);
    assert!(report["made"]["first"].as_str().unwrap().starts_with("fetch app"), "{report:#}");
    assert!(report["notes"][0].as_str().unwrap().contains("is not built"), "{report:#}");
    let same = lab("1.0", "x\n");
    let ran = old.run(&["diff", "tiny", &of(&same, "tiny")]);
    assert!(ran.good().contains("are the same"));
    let dir = old.env.project();
    let refused = old.run(&["diff", "tiny", dir.to_str().unwrap()]).bad(2);
    assert!(
        refused.contains("is not built") && refused.contains("vsbuild image tiny"),
        "{refused}"
    );
}

#[test]
fn a_changed_recipe_is_told_by_the_field_that_changed() {
    let (old, new) = (lab("1.0", "x\n"), lab("1.0", "x\n"));
    root(&new, "[attributes]\n\"/etc/app.conf\" = { mode = \"0640\" }\n");
    old.run(&["image", "tiny"]).good();
    make_in(&old, &new);
    let report = report(&old, "tiny", &of(&new, "tiny"), &[]);
    assert_eq!(report["made"]["first"], "rootfs root", "{report:#}");
    let step = with(&report["made"]["steps"], "kind", "rootfs")[0];
    assert_eq!(step["cause"], "definition");
    assert_eq!(step["fields"][0]["what"], "rootfs.attributes./etc/app.conf", "{step:#}");
    let files = &report["parts"][0]["files"];
    assert_eq!(files.as_array().unwrap().len(), 1);
    assert_eq!(files[0]["fields"][0]["after"], "0640");
}

#[test]
fn a_script_that_came_out_the_same_is_no_difference_of_the_images() {
    let (old, new) = (lab("1.0", "x\n"), lab("1.0", "x\n"));
    new.env.write("kernels/source.txt", "int other;\n");
    for lab in [&old, &new] {
        lab.env.write("kernels/build.sh", "echo k > $out/bzImage; echo ELF > $out/vmlinux\n");
    }
    old.run(&["image", "tiny"]).good();
    make_in(&old, &new);
    let report = report(&old, "tiny", &of(&new, "tiny"), &[]);
    assert_eq!((&report["same"], &report["made"]["first"]), (&true.into(), &"run linux".into()));
    let said = old.run(&["diff", "tiny", &of(&new, "tiny")]).good();
    assert!(said.contains("are the same, but they were not made of the same"), "{said}");
    assert!(said.contains("but it came out the same"), "{said}");
}

#[test]
fn disks_that_are_laid_out_otherwise_and_other_command_lines_are_told() {
    let (old, new) = (lab("1.0", "x\n"), lab("1.0", "x\n"));
    image(&new, "quiet", "free = \"2M\"\nlabel = \"lab\"");
    old.run(&["image", "tiny"]).good();
    make_in(&old, &new);
    let planned = report(&old, "tiny", &of(&new, "tiny"), &[]);
    let around = all(&planned["around"], "what");
    assert!(around.contains(&"command line") && around.contains(&"disk.label"), "{around:?}");
    assert!(all(&planned["parts"][0]["files"], "path").is_empty());
    // By the directories with their manifests, where only the bytes can tell.
    let (a, b) = (old.env.project().join("out/tiny"), new.env.project().join("out/tiny"));
    let laid = report(&old, a.to_str().unwrap(), b.to_str().unwrap(), &[]);
    let around = all(&laid["around"], "what");
    assert!(
        around.contains(&"command line") && around.contains(&"size of the file system"),
        "{around:?}"
    );
    let label = with(&laid["parts"][0]["structures"], "field", "volume label");
    assert_eq!(label[0]["after"], "\"lab\"");
}

#[test]
fn an_image_is_its_own_disk_until_somebody_touches_that() {
    let lab = lab("1.0", "x\n");
    lab.run(&["image", "tiny"]).good();
    let disk = out(&lab, "disk.img");
    let path = disk.to_str().unwrap();
    let same = report(&lab, "tiny", path, &[]);
    assert_eq!(same["same"], true, "{same:#}");
    let file = fs::OpenOptions::new().write(true).open(&disk).unwrap();
    file.write_all_at(b"scribble", 1024 + 0x88).unwrap();
    let other = report(&lab, "tiny", path, &[]);
    assert_eq!(other["parts"][0]["structures"][0]["field"], "directory of the last mount");
    run("debugfs", &["-w", "-R", "rm /etc/app.conf", path]);
    let other = report(&lab, path, "tiny", &[]);
    let file = with(&other["parts"][0]["files"], "path", "/etc/app.conf")[0];
    assert_eq!(file["change"], "added");
    assert!(
        other["parts"][0]["structures"].as_array().unwrap().is_empty(),
        "the files tell enough"
    );
    let other = report(&lab, path, "tiny", &["--structures"]);
    assert!(!with(&other["parts"][0]["structures"], "structure", "inode bitmap").is_empty());
}

#[test]
fn manifests_tell_which_step_came_out_otherwise_though_its_inputs_agree() {
    let labs = [lab("1.0", "x\n"), lab("1.0", "x\n")];
    for lab in &labs {
        // The number of an inode is of the machine, and not of the recipe.
        let script = "stat -c %i%Z $SCRIPT > $out/bzImage; echo ELF > $out/vmlinux; sleep 1\n";
        lab.env.write("kernels/build.sh", script);
        lab.run(&["image", "tiny"]).good();
    }
    let manifests = labs.each_ref().map(|lab| out(lab, "manifest.json").display().to_string());
    let report = report(&labs[0], &manifests[0], &manifests[1], &[]);
    assert_eq!(report["made"]["first"], "run linux", "{report:#}");
    let step = with(&report["made"]["steps"], "kind", "run")[0];
    assert_eq!(step["cause"], "unfaithful");
    assert_eq!(step["key"][0], step["key"][1]);
    let said = labs[0].run(&["diff", &manifests[0], &manifests[1]]).stdout;
    assert!(said.contains("! run linux: the same inputs came to something else"), "{said}");
}

#[test]
fn trees_and_keys_of_the_store_are_compared_by_their_digests() {
    let lab = lab("1.0", "x\n");
    lab.script("one", "echo 1 > $out/x\n", "");
    lab.script("two", "echo 2 > $out/x\n", "");
    let trees = ["one", "two"].map(|name| lab.build(name).0);
    let key = json(&lab.run(&["show", "two", "--json"]).good())["key"].as_str().unwrap().to_owned();
    let by_tree = report(&lab, &trees[0], &format!("sha256:{}", trees[1]), &[]);
    assert_eq!(by_tree["parts"][0]["files"][0]["content"]["unified"], "@@ -1 +1 @@\n-1\n+2\n");
    assert_eq!(report(&lab, &trees[0], &key, &[])["parts"], by_tree["parts"]);
    assert_eq!(report(&lab, "two", &key, &[])["same"], true);
    let made = lab.env.path().join("made");
    lab.run(&["build", "one", "-o", made.to_str().unwrap()]).good();
    let report = report(&lab, "one", made.to_str().unwrap(), &["--ignore", "owner,time,mode"]);
    assert_eq!(report["same"], true, "{report:#}");
}

#[test]
fn lockfiles_are_compared_by_what_they_pin() {
    let (old, new) = (lab("1.0", "x\n"), lab("1.1", "x\n"));
    let mut new = new;
    new.text_package("more", &[("etc/more", "x\n")]);
    new.set("root.packages", &["app"], &["app", "more"]);
    let path = new.env.project().join("lockfile.toml");
    let report = report(&old, "lockfile.toml", path.to_str().unwrap(), &[]);
    let lock = &report["lock"];
    let app = with(lock, "what", "app:amd64")[0];
    assert_eq!(
        (&app["of"], &app["before"], &app["after"]),
        (&"root.packages".into(), &"1.0".into(), &"1.1".into())
    );
    let more = with(lock, "what", "more:amd64")[0];
    assert_eq!((&more["before"], &more["after"]), (&Value::Null, &"1.1".into()));
    let said = old.run(&["diff", "lockfile.toml", path.to_str().unwrap()]).stdout;
    assert!(said.contains("~ package root.packages: app:amd64: 1.0 -> 1.1"), "{said}");
    old.run(&["diff", "lockfile.toml", "lockfile.toml"]).good();
    let refused = old.run(&["diff", "lockfile.toml", "tiny"]).bad(2);
    assert!(
        refused.contains("lockfile.toml (a lockfile) cannot be compared with tiny (an image)"),
        "{refused}"
    );
    old.env.write("other/lockfile.toml", "version = 1\nsets = 3\n");
    let refused = old.run(&["diff", "lockfile.toml", "other/lockfile.toml"]).bad(2);
    assert!(refused.contains("other/lockfile.toml"), "{refused}");
}

#[test]
fn a_recipe_is_what_the_manifest_of_its_image_says() {
    let (lab, unbuilt) = (lab("1.0", "x\n"), self::lab("1.0", "x\n"));
    lab.run(&["image", "tiny"]).good();
    let out = out(&lab, "").display().to_string();
    let report = report(&lab, "tiny", &out, &[]);
    assert_eq!((&report["same"], &report["made"]["first"]), (&true.into(), &Value::Null));
    assert_eq!(report["made"]["steps"], Value::Array(Vec::new()), "{report:#}");
    let report = self::report(&unbuilt, "tiny", &out, &[]);
    assert_eq!((&report["same"], &report["made"]["first"]), (&true.into(), &Value::Null));
    let note = report["notes"][0].as_str().unwrap();
    assert!(note.contains("is not built") && note.contains("not even that is known"), "{note}");
    let other = self::lab("1.1", "x\n");
    let report = self::report(&other, "tiny", &out, &[]);
    assert!(report["made"]["first"].as_str().unwrap().starts_with("fetch app"), "{report:#}");
}

#[test]
fn an_image_meets_a_tree_of_the_store_with_its_root_file_system() {
    let lab = lab("1.0", "x\n");
    lab.run(&["image", "tiny"]).good();
    let (root, _) = lab.build("root");
    root_of(&lab, "tiny", &root);
    root_of(&lab, &root, "tiny");
    let (kernel, _) = lab.build("linux");
    let report = report(&lab, &kernel, "tiny", &[]);
    let files = &report["parts"][0]["files"];
    assert_eq!(with(files, "path", "/vmlinux")[0]["change"], "removed", "{report:#}");
    assert_eq!(with(files, "path", "/etc/app.conf")[0]["change"], "added");
}

/// An image and its root file system, which are the same but for the kernel.
#[track_caller]
fn root_of(lab: &Lab, a: &str, b: &str) {
    let report = report(lab, a, b, &[]);
    assert_eq!((&report["same"], &report["around"]), (&true.into(), &Value::Array(Vec::new())));
    assert!(report["parts"][0]["paths"].as_u64().unwrap() > 2, "{report:#}");
    let note = report["notes"][0].as_str().unwrap();
    assert!(note.contains("the kernel of tiny was not compared"), "{note}");
}
