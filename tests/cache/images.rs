//! Disks are sent only when asked, and then without their zeros.

use std::{fs, os::unix::fs::MetadataExt, path::Path, process::Command};

use tempfile::tempdir;
use vsbuild::{
    digest::Digest,
    tree::{HOLE_MIN, Hole, Tree},
};

use crate::{
    common::Ran,
    world::{LARGE, Machine, files, json, list, origin, write_key},
};

/// The sizes of all files below a directory.
fn bytes(dir: &Path) -> u64 {
    list(dir).iter().map(|file| fs::metadata(file).unwrap().len()).sum()
}

#[test]
fn a_disk_is_sent_without_its_zeros_and_comes_back_the_same() {
    let (machine, dir) = (Machine::new(), tempdir().unwrap());
    let cache = dir.path().join("cache");
    let origin = &machine.origin;
    origin.copy_of_cache(&cache);
    let before = bytes(&cache);
    let sent = origin.push("tiny", &cache, &["--with-images"]);
    assert_eq!((&sent["images"], &sent["trees"]), (&1.into(), &1.into()));
    let grown = bytes(&cache) - before;
    assert!(grown > LARGE as u64 && grown < LARGE as u64 + (2 << 20), "{grown}");
    assert_eq!(origin.push("tiny", &cache, &["--with-images"])["bytes"], 0);

    let address = cache.to_str().unwrap();
    let out = machine.path().join("images");
    let pull = machine.pull(address, &["--with-images", "--out", out.to_str().unwrap()]).output();
    let brought = json(&Ran::of(pull.unwrap()).good());
    let made = origin.image["files"].as_array().unwrap();
    assert_eq!(brought["files"].as_array().unwrap().len(), 3);
    for file in brought["files"].as_array().unwrap() {
        let path = Path::new(file["path"].as_str().unwrap());
        let same = |one: &&serde_json::Value| {
            Path::new(one["path"].as_str().unwrap()).file_name() == path.file_name()
        };
        let one = made.iter().find(same).unwrap();
        assert!(fs::read(one["path"].as_str().unwrap()).unwrap() == fs::read(path).unwrap());
        assert_eq!(file["sha256"], one["sha256"]);
    }
    let disk = fs::metadata(out.join("tiny/disk.img")).unwrap();
    assert!(disk.blocks() * 512 + (4 << 20) < disk.len(), "its zeros take no room");
    machine.is_sound();
}

#[test]
fn a_disk_that_is_not_laid_out_any_more_is_laid_out_to_be_sent() {
    let (origin, dir) = (origin(), tempdir().unwrap());
    let (cache, project) = (dir.path().join("cache"), dir.path().join("project"));
    // The same project elsewhere has no `out`.
    for part in ["recipes", "kernels", "vsbuild.toml", "lockfile.toml"] {
        fs::create_dir_all(&project).unwrap();
        crate::world::copy(&origin.lab.env.project().join(part), &project.join(part));
    }
    let mut command = origin.command(
        "tiny",
        cache.to_str().unwrap(),
        &["--with-images", "-C", project.to_str().unwrap()],
    );
    assert_eq!(json(&Ran::of(command.output().unwrap()).good())["images"], 1);
    let name = list(&cache.join("images")).pop().unwrap();
    let disk = origin.image["files"][0]["sha256"].as_str().unwrap();
    assert_eq!(name.file_name().unwrap(), disk);
    assert!(!project.join("out").exists());
}

#[test]
fn a_cache_without_the_disk_says_what_to_do() {
    let (machine, dir) = (Machine::new(), tempdir().unwrap());
    let cache = dir.path().join("cache");
    machine.origin.copy_of_cache(&cache);
    let ran = Ran::of(machine.pull(cache.to_str().unwrap(), &["--with-images"]).output().unwrap());
    let error = json(&ran.stdout);
    assert_eq!(ran.code, Some(5));
    assert!(error["error"].as_str().unwrap().contains("has not the disk of tiny"), "{error}");
    assert!(error["help"].to_string().contains("vsbuild image tiny"), "{error}");
}

#[test]
fn a_word_that_leads_to_another_disk_is_found_out() {
    let (machine, dir) = (Machine::new(), tempdir().unwrap());
    let cache = dir.path().join("cache");
    machine.origin.copy_of_cache(&cache);
    machine.origin.push("tiny", &cache, &["--with-images"]);
    let image = list(&cache.join("images")).pop().unwrap();
    let tree = list(&cache.join("trees")).pop().unwrap();
    let hex = tree.file_name().unwrap().to_str().unwrap();
    let right = fs::read_to_string(&image).unwrap();
    let other = if right.contains(hex) { list(&cache.join("trees"))[0].clone() } else { tree };
    let hex = other.file_name().unwrap().to_str().unwrap();
    let out = machine.path().join("images");
    for wrong in [format!("vsbuild-image 1\n{hex}\n"), right.replace('1', "2"), String::new()] {
        fs::write(&image, wrong).unwrap();
        let more = ["--with-images", "--out", out.to_str().unwrap()];
        let ran = Ran::of(machine.pull(cache.to_str().unwrap(), &more).output().unwrap());
        assert_eq!(ran.code, Some(4), "{ran:?}");
        assert!(json(&ran.stdout)["error"].as_str().unwrap().contains("images/"), "{ran:?}");
        assert_eq!(files(&out), 0);
    }
    // The next push puts it right.
    machine.origin.push("tiny", &cache, &["--with-images"]);
    assert_eq!(fs::read_to_string(&image).unwrap(), right);
}

/// Lets what a cache says of its one disk lead to a tree of somebody's own making: as the right one, but for the line of the
/// disk, which `change` is given as SIZE, DISK and the holes.
fn forge(cache: &Path, right: &Path, change: impl Fn(u64, &str, Vec<Hole>) -> String) {
    let hex = |file: &Path| file.file_name().unwrap().to_str().unwrap().to_owned();
    let place = |kind: &str, hex: &str| cache.join(kind).join(&hex[..2]).join(hex);
    let image = list(&cache.join("images")).pop().unwrap();
    let tree = hex(right);
    let text = zstd::decode_all(&fs::read(right).unwrap()[..]).unwrap();
    let content = Tree::decode(&text).unwrap().contents().next().unwrap().clone();
    let text = String::from_utf8(text).unwrap();
    let at = text.find(&format!("{} {}", content.size, content.digest)).unwrap();
    let line = change(content.size, &content.digest.hex(), content.holes.to_vec());
    let text = format!("{}{line}\n", &text[..at]);
    let forged = Digest::of(&text).hex();
    for (kind, bytes) in [
        ("trees", zstd::encode_all(text.as_bytes(), 3).unwrap()),
        ("ways", fs::read(place("ways", &tree)).unwrap()),
    ] {
        fs::create_dir_all(place(kind, &forged).parent().unwrap()).unwrap();
        fs::write(place(kind, &forged), bytes).unwrap();
    }
    fs::write(&image, format!("vsbuild-image 1\n{forged}\n")).unwrap();
}

/// The spelling of a line with these holes.
fn line(size: u64, disk: &str, holes: &[Hole]) -> String {
    let holes = holes.iter().map(|hole| format!(" {}+{}", hole.start, hole.length));
    format!("{size} {disk}{}", holes.collect::<String>())
}

#[test]
fn who_makes_up_zeros_or_a_length_of_a_disk_changes_no_byte_of_it() {
    let (machine, dir) = (Machine::new(), tempdir().unwrap());
    let cache = dir.path().join("cache");
    machine.origin.copy_of_cache(&cache);
    machine.origin.push("tiny", &cache, &["--with-images"]);
    let image = fs::read_to_string(list(&cache.join("images")).pop().unwrap()).unwrap();
    let tree = image.lines().nth(1).unwrap();
    let right = cache.join("trees").join(&tree[..2]).join(tree);
    let out = machine.path().join("images");
    let pull = || {
        let more = ["--with-images", "--out", out.to_str().unwrap()];
        Ran::of(machine.pull(cache.to_str().unwrap(), &more).output().unwrap())
    };
    let made = fs::read(machine.origin.image["files"][0]["path"].as_str().unwrap()).unwrap();
    let disk = out.join("tiny/disk.img");
    // Zeros where the disk has noise, between two parts of the same piece.
    forge(&cache, &right, |size, disk, mut holes| {
        let (start, end) = (holes[0].start + holes[0].length, holes[1].start);
        let longest = holes.windows(2).map(|pair| (pair[0].start + pair[0].length, pair[1].start));
        let (start, end) = longest.max_by_key(|(start, end)| end - start).unwrap_or((start, end));
        assert!(end - start > 4 * HOLE_MIN);
        let hole = Hole { start: start + HOLE_MIN, length: HOLE_MIN };
        let from = usize::try_from(hole.start).unwrap();
        assert!(made[from..][..usize::try_from(HOLE_MIN).unwrap()].iter().any(|byte| *byte != 0));
        holes.push(hole);
        holes.sort_by_key(|hole| hole.start);
        line(size, disk, &holes)
    });
    let brought = json(&pull().good());
    assert!(fs::read(&disk).unwrap() == made, "it has other zeros");
    assert_eq!(brought["files"][0]["size"], made.len());
    // Another length, for one who has the bytes already.
    for length in [made.len() as u64 - (1 << 20), made.len() as u64 + (1 << 20)] {
        forge(&cache, &right, |_, disk, _| line(length, disk, &[]));
        pull().good();
        assert!(fs::read(&disk).unwrap() == made, "it has another length");
    }
    // Zeros that are nowhere.
    let length = u64::MAX / 4096 * 4096;
    fs::remove_file(&disk).unwrap();
    for hole in [Hole { start: 4096, length }, Hole { start: length, length: HOLE_MIN }] {
        forge(&cache, &right, |size, disk, _| line(size, disk, &[hole]));
        let ran = pull();
        assert_eq!(ran.code, Some(4), "{ran:?}");
        assert!(json(&ran.stdout)["error"].as_str().unwrap().contains("trees/"), "{ran:?}");
        assert!(!disk.exists());
    }
    machine.is_sound();
}

/// A server of vsbuild's own that ends with the test.
struct Served(std::process::Child, String);

impl Served {
    fn start(machine: &Machine, cache: &Path, tokens: &Path) -> Self {
        let public = crate::world::public("a");
        let args = ["cache", "serve", cache.to_str().unwrap(), "--listen", "127.0.0.1:0", "--json"];
        let more = ["--tokens", tokens.to_str().unwrap(), "--key", &public];
        let mut command: Command = machine.command(&[&args[..], &more].concat());
        let log = fs::File::create(machine.path().join("said")).unwrap();
        let mut child = command.stdout(std::process::Stdio::piped()).stderr(log).spawn().unwrap();
        let mut said = std::io::BufReader::new(child.stdout.take().unwrap());
        let mut text = String::new();
        while !text.trim_end().ends_with('}') {
            let read = std::io::BufRead::read_line(&mut said, &mut text).unwrap();
            assert!(read > 0, "{}", fs::read_to_string(machine.path().join("said")).unwrap());
        }
        Self(child, json(&text)["listening"].as_str().unwrap().to_owned())
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_server_of_our_own_takes_disks_and_looks_where_they_lead() {
    let (machine, dir) = (Machine::new(), tempdir().unwrap());
    let (cache, tokens) = (dir.path().join("cache"), dir.path().join("tokens"));
    write_key(&tokens, &crate::common::sharing::key("a"));
    fs::write(&tokens, "lab a-token-that-is-long-enough-for-it write\n").unwrap();
    let served = Served::start(&machine, &cache, &tokens);
    let address = served.1.clone();
    fs::write(dir.path().join("token"), "a-token-that-is-long-enough-for-it\n").unwrap();
    let config = dir.path().join("config.toml");
    fs::write(&config, format!("[[caches]]\nurl = \"{address}\"\ntoken-file = \"token\"\n"))
        .unwrap();
    let more = ["--with-images", "--config", config.to_str().unwrap()];
    let ran = Ran::of(machine.origin.command("tiny", &address, &more).output().unwrap());
    assert_eq!(json(&ran.good())["images"], 1);
    // What leads elsewhere is not taken.
    let image = list(&cache.join("images")).pop().unwrap();
    let hex = |file: &Path| file.file_name().unwrap().to_str().unwrap().to_owned();
    let right = fs::read_to_string(&image).unwrap();
    let other = list(&cache.join("trees")).into_iter().map(|tree| hex(&tree));
    let other = other.into_iter().find(|tree| !right.contains(tree)).unwrap();
    let name = format!("images/{}/{}", &hex(&image)[..2], hex(&image));
    let absent = Digest::of("absent").hex();
    for (text, status) in [
        (right.clone(), "200"),
        (format!("vsbuild-image 1\n{other}\n"), "422"),
        (format!("vsbuild-image 1\n{absent}\n"), "409"),
        ("vsbuild-image 2\n".to_owned(), "422"),
    ] {
        let put = Command::new("curl")
            .args(["-s", "-o", "/dev/null", "-w", "%{http_code}", "-X", "PUT", "--data-binary"])
            .args([&text, "-H", "Authorization: Bearer a-token-that-is-long-enough-for-it"])
            .arg(format!("{address}/{name}"))
            .output()
            .expect("curl is installed");
        assert_eq!(String::from_utf8_lossy(&put.stdout), status, "{text}");
    }
    assert_eq!(fs::read_to_string(&image).unwrap(), right);
}
