//! From an author to an evaluator, in all the ways that there are.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
    process::Command,
};

use vsbuild::{
    digest::Digest,
    plan,
    project::{self, Project},
    recipe,
    store::Store,
};

use crate::{
    common::{Ran, TestEnv, sharing},
    site::{Author, Evaluator, hashes, is_root, json},
};

/// Builds and verifies in `dir`, and compares with what the author has.
#[track_caller]
fn builds(author: &Author, there: &Evaluator, dir: &str, more: &[&str]) {
    let image = json(&there.run(dir, &[&["image", "tiny", "--json"], more].concat()).good());
    assert_eq!(hashes(&image), author.hashes());
    for file in image["files"].as_array().unwrap() {
        let path = there.work().join(file["path"].as_str().unwrap());
        assert_eq!(Digest::of(fs::read(path).unwrap()).to_string(), file["sha256"]);
    }
    let verified = there.run(dir, &[&["verify", "tiny"], more].concat()).good();
    assert!(verified.contains("tiny: as the lockfile says"), "{verified}");
    let built = json(&there.run(dir, &[&["build", "container", "--json"], more].concat()).good());
    assert_eq!(built["output"].as_str().unwrap(), author.container());
}

#[test]
fn a_bundle_of_sources_builds_the_same_bytes_without_a_network() {
    let author = Author::new();
    let bundle = author.export("source.tar", &["--source-only"]);
    for there in [Some(Evaluator::new()), Evaluator::nobody()].into_iter().flatten() {
        there.receive(&bundle);
        let said = there.run("", &["import", "artifact.tar"]);
        assert!(said.stderr.contains("no outputs in it"), "{}", said.stderr);
        assert!(said.stderr.contains("vsbuild image tiny\n"), "{}", said.stderr);
        assert!(said.stderr.contains("vsbuild verify tiny\n"), "{}", said.stderr);
        said.good();
        assert_eq!(there.names(), ["artifact", "artifact.tar"]);
        assert!(!there.work().join("artifact/vendor/packs").exists());
        builds(&author, &there, "artifact", &[]);
        assert!(there.has_run());
    }
}

#[test]
fn outputs_of_a_bundle_count_only_when_its_key_is_believed() {
    let author = Author::new();
    let bundle = author.export("artifact.tar", &[]);
    let (key, id) = author.key();
    let careful = Evaluator::new();
    careful.receive(&bundle);
    let said = careful.run("", &["import", "artifact.tar", "--to", "here/paper"]);
    assert!(said.stderr.contains("Nobody's word counts by itself"), "{}", said.stderr);
    assert!(said.stderr.contains(&id) && said.stderr.contains(&key), "{}", said.stderr);
    said.good();
    builds(&author, &careful, "here/paper", &[]);
    assert!(careful.has_run(), "it is built from its inputs");

    let stranger = careful
        .run("", &["import", "artifact.tar", "--trust-bundle-key", "0123456789abcdef"])
        .bad(2);
    assert!(stranger.contains("nothing signed by the key 0123456789abcdef"), "{stranger}");
    assert!(stranger.contains(&id), "{stranger}");
    assert_eq!(careful.names(), ["artifact.tar", "here"]);

    for there in [Some(Evaluator::new()), Evaluator::nobody()].into_iter().flatten() {
        there.receive(&bundle);
        let said = there.run("", &["import", "artifact.tar", "--trust-bundle-key", &id]);
        assert!(said.stderr.contains("nothing is left to be built"), "{}", said.stderr);
        said.good();
        builds(&author, &there, "artifact", &[]);
        assert!(!there.has_run(), "nothing is built");
    }
}

#[test]
fn the_policy_of_the_evaluator_holds_for_a_bundle_too() {
    let author = Author::new();
    let bundle = author.export("artifact.tar", &[]);
    let (key, id) = author.key();
    let there = Evaluator::new();
    there.receive(&bundle);
    let configuration = there.work().join("config.toml");
    fs::write(&configuration, format!("[trust]\nrevoked = [\"{id}\"]\n")).unwrap();
    let config = configuration.to_str().unwrap();
    let args = ["import", "artifact.tar", "--trust-bundle-key", &id, "--config", config];
    let said = there.run("", &args);
    assert!(said.stderr.contains("To be built"), "{}", said.stderr);
    said.good();
    builds(&author, &there, "artifact", &["--config", config]);
    assert!(there.has_run());
    let two = Evaluator::new();
    two.receive(&bundle);
    fs::write(&configuration, format!("[trust]\nneed = 2\nkeys = [\"{key}\"]\n")).unwrap();
    let said = two.run("", &args);
    assert!(said.stderr.contains("1 of the 2 builders"), "{}", said.stderr);
    said.good();
}

#[test]
fn a_bundle_that_is_only_unpacked_with_tar_is_a_project_and_a_cache() {
    let author = Author::new();
    let bundle = author.export("artifact.tar", &[]);
    let key = author.key().0;
    let there = Evaluator::new();
    there.receive(&bundle);
    let tar = Command::new("tar").arg("-xf").arg(&bundle).current_dir(there.work()).output();
    Ran::of(tar.unwrap()).good();
    let readme = fs::read_to_string(there.work().join("artifact/README")).unwrap();
    assert!(readme.lines().count() <= 10, "{readme}");
    for hash in author.hashes() {
        assert!(readme.contains(&hash), "{readme}");
    }
    assert!(readme.contains(&format!("--substituter vendor --trusted-key {key}")), "{readme}");
    let from = ["--substituter", "vendor", "--trusted-key", &key];
    builds(&author, &there, "artifact", &from);
    assert!(!there.has_run());
    let other = Evaluator::new();
    let tar = Command::new("tar").arg("-xf").arg(&bundle).current_dir(other.work()).output();
    Ran::of(tar.unwrap()).good();
    builds(&author, &other, "artifact", &["--offline"]);
    assert!(other.has_run());
    let stored = other.run("artifact", &["verify", "tiny", "--rebuild"]).good();
    assert!(stored.contains("built twice, the same bytes"), "{stored}");
}

#[test]
fn what_is_imported_can_be_exported_again_as_the_same_bundle() {
    let author = Author::new();
    let first = author.export("artifact.tar", &["--source-only"]);
    let there = Evaluator::new();
    there.receive(&first);
    there.run("", &["import", "artifact.tar"]).good();
    let args = ["export", "tiny", "container", "-o", "../again.tar", "--source-only"];
    there.run("artifact", &args).good();
    assert!(fs::read(first).unwrap() == fs::read(there.work().join("again.tar")).unwrap());
    // What others built is passed on as they signed it, once their key is known.
    let outputs = author.export("outputs.tar", &[]);
    let (key, id) = author.key();
    let next = Evaluator::new();
    next.receive(&outputs);
    next.run("", &["import", "artifact.tar", "--trust-bundle-key", &id]).good();
    let args = ["export", "tiny", "container", "-o", "../again.tar"];
    next.run("artifact", &[&args[..], &["--trusted-key", &key]].concat()).good();
    assert!(fs::read(outputs).unwrap() == fs::read(next.work().join("again.tar")).unwrap());
}

#[test]
fn images_go_along_if_that_is_asked_for() {
    let author = Author::new();
    let bundle = author.export("artifact.tar", &["--with-images"]);
    let there = Evaluator::new();
    there.receive(&bundle);
    there.run("", &["import", "artifact.tar"]).good();
    let out = there.work().join("artifact/out/tiny");
    for (file, hash) in
        ["disk.img", "vmlinux", "bzImage", "manifest.json"].iter().zip(author.hashes())
    {
        assert_eq!(Digest::of(fs::read(out.join(file)).unwrap()).to_string(), hash, "{file}");
    }
    let blocks = fs::metadata(out.join("disk.img")).unwrap().blocks();
    let length = fs::metadata(out.join("disk.img")).unwrap().len();
    assert!(blocks * 512 < length, "zeros take no room: {blocks} blocks of {length} bytes");
    builds(&author, &there, "artifact", &[]);
}

/// The same project and store, with everything else changed.
fn strange(author: &Author, out: &Path, before: &[&str], more: &[&str]) -> Command {
    let mut words: Vec<&str> = before.to_vec();
    words.extend(["sh", "-c", "umask 077; exec \"$@\"", "sh"]);
    let mut command = Command::new(words[0]);
    command
        .args(&words[1..])
        .arg(env!("CARGO_BIN_EXE_vsbuild"))
        .args(["export", "container", "tiny", "tiny", "--jobs", "7", "-C"])
        .arg(author.lab.env.project())
        .arg("-o")
        .arg(out)
        .arg("--key")
        .arg(author.path("home/.config/vsbuild/key"))
        .args(more)
        .current_dir("/")
        .env_clear()
        .env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin")
        .env("HOME", author.path("elsewhere"))
        .env("TZ", "Asia/Kathmandu")
        .env("LC_ALL", "tr_TR.UTF-8")
        .env("USER", "somebody-else")
        .env("SOURCE_DATE_EPOCH", "1")
        .env("VSBUILD_MIRROR_DEBIAN", "file:///nonexistent")
        .env("VSBUILD_STORE", author.lab.env.store());
    command
}

#[test]
fn a_bundle_is_the_same_bytes_whoever_writes_it_and_whenever_and_where() {
    let author = Author::new();
    for (name, more) in [("source", &["--source-only"][..]), ("outputs", &[])] {
        let bundle = fs::read(author.export(&format!("{name}.tar"), more)).unwrap();
        assert_eq!(fs::read(author.export(&format!("{name}-again.tar"), more)).unwrap(), bundle);
        let key: &[&str] = if more.is_empty() { &[] } else { &["--source-only"] };
        // The clock of another time, where that can be.
        let clock: &[&str] = if Path::new("/usr/bin/faketime").exists() {
            &["faketime", "2031-01-01 00:00:00"]
        } else {
            &["env"]
        };
        let out = author.path(&format!("{name}-strange.tar"));
        let mut command = strange(&author, &out, clock, &[]);
        if !key.is_empty() {
            command = strange_source(&author, &out, clock);
        }
        Ran::of(command.output().unwrap()).good();
        assert!(
            fs::read(&out).unwrap() == bundle,
            "{name}: under another umask, in another directory"
        );
    }
    // Files of a project that another user has, with another umask, are the same.
    let bundle = fs::read(author.export("before.tar", &[])).unwrap();
    for entry in walkdir::WalkDir::new(author.lab.env.project()) {
        let entry = entry.unwrap();
        if entry.file_type().is_file() {
            fs::set_permissions(entry.path(), PermissionsExt::from_mode(0o600)).unwrap();
            if is_root() {
                std::os::unix::fs::chown(entry.path(), Some(1), Some(1)).unwrap();
            }
            fs::File::open(entry.path()).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
        }
    }
    assert!(fs::read(author.export("after.tar", &[])).unwrap() == bundle);
    fs::remove_dir_all(author.lab.env.store()).unwrap();
    author.run(&["image", "tiny"]).good();
    author.run(&["build", "container"]).good();
    assert!(fs::read(author.export("anew.tar", &[])).unwrap() == bundle, "from another store");
}

fn strange_source(author: &Author, out: &Path, before: &[&str]) -> Command {
    let whole = strange(author, out, before, &["--source-only"]);
    let mut command = Command::new(whole.get_program());
    let mut skip = 0;
    for word in whole.get_args() {
        if word == "--key" {
            skip = 2;
        }
        if skip > 0 {
            skip -= 1;
        } else {
            command.arg(word);
        }
    }
    command.env_clear().current_dir("/");
    command.envs(whole.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command
}

#[test]
fn a_bundle_has_what_its_recipes_need_and_nothing_else() {
    let author = Author::new();
    let bundle = author.export("artifact.tar", &[]);
    let listed = Command::new("tar").arg("-tf").arg(&bundle).output().unwrap();
    let listed = Ran::of(listed).good();
    let lines: Vec<&str> = listed.lines().collect();
    assert_eq!(lines[..2], ["artifact/", "artifact/MANIFEST"]);
    for there in [
        "artifact/README",
        "artifact/lockfile.toml",
        "artifact/vsbuild.toml",
        "artifact/recipes/tiny.toml",
        "artifact/recipes/root.toml",
        "artifact/recipes/base.toml",
        "artifact/recipes/files/empty/",
        "artifact/recipes/files/etc/issue",
        "artifact/kernels/x.config",
        "artifact/images/saved/index.json",
        "artifact/vendor/format",
    ] {
        assert!(lines.contains(&there), "no {there} in\n{listed}");
    }
    for absent in
        ["recipes/other.toml", "recipes/function.toml", "unused", "/out/", "pushing", ".staging"]
    {
        assert!(!listed.contains(absent), "{absent} in\n{listed}");
    }
    let count = |room: &str| {
        lines.iter().filter(|line| line.contains(room) && !line.ends_with('/')).count()
    };
    assert_eq!(count("/vendor/inputs/"), 2, "the packages `shell` and `app`: {listed}");
    assert!(count("/vendor/statements/") > 3 && count("/vendor/packs/") == 1, "{listed}");
    let contents: BTreeMap<String, Vec<u8>> = members(&bundle);
    let lockfile = String::from_utf8(contents["artifact/lockfile.toml"].clone()).unwrap();
    assert!(!lockfile.contains("unused") && lockfile.contains("[outputs.\"tiny\"]"), "{lockfile}");
}

pub(crate) fn members(bundle: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut archive = tar::Archive::new(fs::File::open(bundle).unwrap());
    let files = archive.entries().unwrap().map(Result::unwrap);
    files
        .filter(|entry| entry.header().entry_type().is_file())
        .map(|mut entry| {
            let mut bytes = Vec::new();
            std::io::Read::read_to_end(&mut entry, &mut bytes).unwrap();
            (entry.path().unwrap().to_str().unwrap().to_owned(), bytes)
        })
        .collect()
}

#[test]
fn no_secret_and_nothing_of_the_host_is_in_a_bundle() {
    const SECRET: &str = "hunter2-hunter2";
    let author = Author::new();
    author.configure(&format!(
        "[mirrors]\ndebian = [\"file://{}\", \"http://me:{SECRET}@mirror.{SECRET}.example/debian\"]\n\
         [registries.\"{SECRET}.example\"]\nserver = \"https://{SECRET}.example\"\n\
         [[caches]]\nurl = \"http://127.0.0.1:9/{SECRET}\"\ntoken-file = \"token\"\n",
        author.lab.mirror().display()
    ));
    fs::write(author.path("home/.config/vsbuild/token"), SECRET).unwrap();
    author.lab.env.write("vsbuild.toml", &format!("# {SECRET}\nshipped = false\n"));
    author.lab.env.write(
        "recipes/next-paper.toml",
        &format!("# {SECRET}\nkind = \"packages\"\ninclude = [\"{SECRET}\"]\n"),
    );
    author.lab.env.write(".env", &format!("TOKEN={SECRET}\n"));
    author.lab.env.write(".git/config", &format!("url = https://me:{SECRET}@host\n"));
    author.lab.env.write("recipes/files/.git/config", SECRET);
    author.lab.env.write("notes.txt", SECRET);
    let out = author.path("artifact.tar");
    let mut command = author.lab.command(&[
        "export",
        "tiny",
        "container",
        "-o",
        out.to_str().unwrap(),
        "--no-substitute",
    ]);
    command
        .env("VSBUILD_MIRROR_OTHER", format!("http://{SECRET}@mirror/other"))
        .env("AWS_SECRET_ACCESS_KEY", SECRET);
    Ran::of(command.output().unwrap()).good();
    let secret = fs::read_to_string(author.path("home/.config/vsbuild/key")).unwrap();
    let secret = secret.trim().rsplit(':').next().unwrap();
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let dir = author.lab.env.path().to_str().unwrap();
    let mut texts = vec![fs::read(&out).unwrap()];
    let packs = members(&out).into_iter().filter(|(name, _)| {
        ["/packs/", "/trees/", "/indexes/", "/ways/"].iter().any(|room| name.contains(room))
    });
    texts.extend(packs.map(|(_, bytes)| zstd::decode_all(&*bytes).unwrap()));
    assert!(texts.len() > 4);
    for text in texts {
        for word in [SECRET, secret, dir, "127.0.0.1:9", &host] {
            let found = text.windows(word.len()).any(|part| part == word.as_bytes());
            // A short name of a host may be a part of anything.
            assert!(!found || (word == host && word.len() < 6), "{word} is in the bundle");
        }
    }
}

#[test]
fn what_cannot_be_exported_is_said_before_anything_is_written() {
    let author = Author::new();
    let out = author.path("artifact.tar");
    let export = |name: &str, more: &[&str]| {
        let args = ["export", name, "-o", out.to_str().unwrap()];
        author.run(&[&args, more].concat())
    };
    let unknown = export("tinny", &[]).bad(2);
    assert!(unknown.contains("did you mean `tiny`?"), "{unknown}");
    author.run(&["export", "tiny"]).bad(2);
    export("tiny", &["--source-only", "--with-images"]).bad(2);
    fs::remove_file(author.path("home/.config/vsbuild/config.toml")).unwrap();
    let (key, aside) = (author.path("home/.config/vsbuild/key"), author.path("key aside"));
    fs::rename(&key, &aside).unwrap();
    let unsigned = export("tiny", &[]).bad(2);
    fs::rename(&aside, &key).unwrap();
    assert!(
        unsigned.contains("no key to sign") && unsigned.contains("--source-only"),
        "{unsigned}"
    );
    author.configure("");
    author.lab.env.write("recipes/app/app", "another program\n");
    author.lab.env.write(
        "recipes/late.toml",
        "kind = \"function\"\nlayers = [\"app\"]\nentrypoint = [\"/srv/app\"]\n",
    );
    let unmade = export("late", &[]).bad(2);
    assert!(unmade.contains("not made yet") && unmade.contains("vsbuild build late"), "{unmade}");
    author.lab.env.write(
        "recipes/second.toml",
        "kind = \"image\"\nkernel = \"linux\"\nrootfs = \"root\"\ncmdline = \"\"\n[disk]\nfree = \"2M\"\n",
    );
    let unlocked = export("second", &[]).bad(2);
    assert!(unlocked.contains("vsbuild lock --outputs second"), "{unlocked}");
    let lockfile = author.lab.env.project().join("lockfile.toml");
    let text = fs::read_to_string(&lockfile).unwrap();
    let disk = author.hashes()[0].clone();
    fs::write(&lockfile, text.replace(&disk, &Digest::of("another").to_string())).unwrap();
    let differs = export("tiny", &[]).bad(4);
    assert!(differs.contains("as the lockfile says"), "{differs}");
    fs::write(&lockfile, text).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", author.lab.env.project().join("recipes/files/out"))
        .unwrap();
    let leads_out = export("tiny", &["--source-only"]).bad(2);
    assert!(
        leads_out.contains("leads out of the project, or may: to `/etc/passwd`"),
        "{leads_out}"
    );
    assert!(!out.exists());
    let left: Vec<_> = fs::read_dir(author.lab.env.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert!(!left.iter().any(|name| name.to_str().unwrap().contains("partial")), "{left:?}");
}

#[test]
fn a_kernel_that_is_not_the_lockfiles_is_not_exported() {
    let author = Author::new();
    author
        .lab
        .env
        .write("kernels/build.sh", "cat $SCRIPT > $out/bzImage; echo new > $out/vmlinux\n");
    let before = author.lab.env.project().join("lockfile.toml");
    let lockfile = fs::read_to_string(&before).unwrap();
    author.run(&["image", "tiny"]).good();
    assert_eq!(fs::read_to_string(&before).unwrap(), lockfile);
    let out = author.path("artifact.tar");
    for more in [&[][..], &["--source-only"]] {
        let args = ["export", "tiny", "-o", out.to_str().unwrap()];
        let said = author.run(&[&args, more].concat()).bad(4);
        assert!(said.contains("vmlinux of tiny is"), "{said}");
        assert!(said.contains("vsbuild lock --outputs tiny"), "{said}");
    }
    assert!(!out.exists());
    author.run(&["lock", "--outputs", "tiny"]).good();
    author.run(&["export", "tiny", "-o", out.to_str().unwrap()]).good();
}

#[test]
fn the_files_of_an_image_are_read_and_not_believed() {
    let author = Author::new();
    author.run(&["image", "tiny"]).good();
    let dir = author.lab.env.project().join("out/tiny");
    let mut disk = fs::read(dir.join("disk.img")).unwrap();
    let last = disk.len() - 1;
    disk[last] ^= 1;
    fs::write(dir.join("disk.img"), &disk).unwrap();
    // A stamp that says of the changed disk that nobody changed it.
    let mut stamp = json(&fs::read_to_string(dir.join(".placed")).unwrap());
    let now = fs::metadata(dir.join("disk.img")).unwrap();
    let changed = now.ctime() * 1_000_000_000 + now.ctime_nsec();
    stamp["files"][0][1] = serde_json::json!([now.len(), now.ino(), changed]);
    fs::write(dir.join(".placed"), stamp.to_string()).unwrap();
    let unchanged = json(&author.run(&["image", "tiny", "--json"]).good());
    assert_eq!(unchanged["unchanged"], true, "the stamp is believed by what makes images");
    for args in [&["verify", "tiny"][..], &["verify", "tiny", "--rebuild"]] {
        let said = author.run(args).bad(4);
        assert!(said.contains("disk.img is damaged") && said.contains("remove it"), "{said}");
    }
    let out = author.path("artifact.tar");
    let args = ["export", "tiny", "--with-images", "-o", out.to_str().unwrap()];
    let said = author.run(&args).bad(4);
    assert!(said.contains("disk.img is damaged") && said.contains("remove it"), "{said}");
    assert!(!out.exists());
    fs::remove_file(dir.join("disk.img")).unwrap();
    author.run(&["verify", "tiny"]).good();
    author.run(&args).good();
}

#[test]
fn an_input_that_is_damaged_in_the_store_is_not_exported() {
    let author = Author::new();
    let hex = Digest::of(fs::read(author.lab.package_file("app")).unwrap()).hex();
    let blob = author.lab.env.store().join("blobs").join(&hex[..2]).join(&hex);
    let mut bytes = fs::read(&blob).unwrap();
    bytes[20] ^= 1;
    fs::remove_file(&blob).unwrap();
    fs::write(&blob, bytes).unwrap();
    let out = author.path("artifact.tar");
    let said = author.run(&["export", "tiny", "--source-only", "-o", out.to_str().unwrap()]).bad(4);
    assert!(said.contains(&hex) && said.contains("vsbuild store verify"), "{said}");
    assert!(!out.exists());
}

#[test]
fn an_archive_takes_the_place_of_files_only() {
    let author = Author::new();
    let (pipe, file, link) = (author.path("pipe"), author.path("file"), author.path("link"));
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    fs::write(&file, "mine").unwrap();
    std::os::unix::fs::symlink(&file, &link).unwrap();
    for out in [&pipe, &link, &author.path("")] {
        let args = ["export", "tiny", "--source-only", "-o", out.to_str().unwrap()];
        author.run(&args).bad(2);
    }
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert!(!fs::symlink_metadata(&pipe).unwrap().is_file());
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
    author.run(&["export", "tiny", "--source-only", "-o", file.to_str().unwrap()]).good();
}

#[test]
fn a_directory_that_somebody_is_in_is_not_replaced() {
    let author = Author::new();
    let bundle = author.export("artifact.tar", &["--source-only"]);
    let there = Evaluator::new();
    there.receive(&bundle);
    fs::create_dir_all(there.work().join("here")).unwrap();
    for to in [".", "./", "../here"] {
        let said = there.run("here", &["import", "../artifact.tar", "--to", to]).bad(2);
        assert!(said.contains("the directory that you are in"), "{said}");
    }
    there.run("", &["import", "artifact.tar", "--to", "here"]).good();
    there.run("here", &["image", "tiny"]).good();
}

/// What is copied of a project that extends an image which ships: its plan keys there and here, and the copy.
#[test]
fn what_comes_with_vsbuild_becomes_a_part_of_the_bundle() {
    let env = TestEnv::new();
    let (mine, copy) = (env.path().join("mine"), env.path().join("copy"));
    env.run(&["init", mine.to_str().unwrap(), "--extends", "functions"]).good();
    let store = Store::open(&env.store()).unwrap();
    let goals = ["my-functions".parse().unwrap()];
    let project = Project::read(&mine).unwrap();
    let recipes = recipe::load(&project.texts).unwrap();
    let needed = plan::needed_sources(&recipes, &goals);
    let sources = project::sources(&project, &needed, &store).unwrap();
    let frozen = project::freeze(&project, &recipes, &goals, &sources, &store).unwrap();
    store.export(&frozen, &copy).unwrap();
    for name in ["recipes/my-functions.toml", "recipes/functions.toml", "guest/Cargo.toml"] {
        assert!(copy.join(name).is_file(), "{name}");
    }
    assert!(!copy.join("recipes/hello.toml").exists(), "what is not needed is left out");
    let keys = |dir: &Path| sharing::plan(dir, &store, "my-functions").plan_keys();
    let sorted = |mut keys: Vec<Digest>| {
        keys.sort();
        keys
    };
    assert_eq!(sorted(keys(&copy)), sorted(keys(&mine)));
}

#[test]
fn what_was_attested_is_in_the_bundle_as_it_was_signed() {
    let author = Author::new();
    author.run(&["verify", "tiny", "--rebuild", "--attest"]).good();
    let contents = members(&author.export("artifact.tar", &[]));
    let statements =
        contents.iter().filter(|(name, _)| name.contains("/statements/") && !name.ends_with('/'));
    let acts: Vec<String> = statements
        .map(|(_, bytes)| {
            let envelope = json(&String::from_utf8(bytes.clone()).unwrap());
            let payload = base64::Engine::decode(
                &base64::engine::general_purpose::STANDARD,
                envelope["payload"].as_str().unwrap(),
            );
            let statement = json(&String::from_utf8(payload.unwrap()).unwrap());
            let act = &statement["predicate"]["buildDefinition"]["internalParameters"]["act"];
            act.as_str().unwrap().to_owned()
        })
        .collect();
    assert!(acts.iter().any(|act| act == "rebuilt"), "{acts:?}");
    assert!(acts.iter().any(|act| act == "built"), "the container was built once: {acts:?}");
}

#[test]
fn another_project_is_never_written_over() {
    let author = Author::new();
    let bundle = author.export("artifact.tar", &["--source-only"]);
    let there = Evaluator::new();
    there.receive(&bundle);
    let dir = there.work().join("mine");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("lockfile.toml"), "version = 1\n").unwrap();
    let refused = there.run("", &["import", "artifact.tar", "--to", "mine"]).bad(2);
    assert!(refused.contains("is there already") && refused.contains("--to DIR"), "{refused}");
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 1);
    fs::remove_file(dir.join("lockfile.toml")).unwrap();
    there.run("", &["import", "artifact.tar", "--to", "mine"]).good();
    there.run("", &["import", "artifact.tar", "--to", "mine"]).bad(2);
    there.run("", &["import", "absent.tar"]).bad(1);
    assert_eq!(there.names(), ["artifact.tar", "mine"]);
}

#[test]
fn results_are_json_if_asked() {
    let author = Author::new();
    let out = author.path("artifact.tar");
    let exported =
        json(&author.run(&["export", "tiny", "-o", out.to_str().unwrap(), "--json"]).good());
    let bytes = fs::read(&out).unwrap();
    assert_eq!(exported["sha256"], Digest::of(&bytes).to_string());
    assert_eq!(exported["size"], bytes.len());
    let there = Evaluator::new();
    there.receive(&out);
    let imported = json(&there.run("", &["import", "artifact.tar", "--json"]).good());
    assert_eq!(imported["recipes"], serde_json::json!(["tiny"]));
    assert_eq!(imported["keys"], exported["keys"]);
    assert_eq!(imported["taken"], false);
}
