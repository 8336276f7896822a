use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::recipe::{Recipes, Source, load};

const TEXT: &str = r#"# Made by `vsbuild lock`, not meant to be edited: every outside input by size and digest.
# `vsbuild lock` adds what recipes newly ask for, `vsbuild lock --update` moves on to newer versions,
# `vsbuild lock --outputs` writes down what images came to. Keep this file with the recipes.
version = 1

[[suites]]
archive = "debian"
suite = "bookworm"
architecture = "amd64"
components = ["main"]
date = "Sat, 10 Jan 2026 10:12:15 UTC"
inrelease = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

[sets."base.packages"]
architecture = "amd64"
suites = ["debian bookworm main"]
include = [
    "busybox-static",
    "runc",
]
packages = [
    "busybox-static:amd64=1:1.35.0-4+b7",
    "runc:amd64=1.1.5+ds1-1+deb12u1",
]

[packages]
"busybox-static:amd64=1:1.35.0-4+b7" = { archive = "debian", path = "pool/main/b/busybox/busybox-static_1.35.0-4+b7_amd64.deb", size = 900, sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" }
"runc:amd64=1.1.5+ds1-1+deb12u1" = { archive = "debian", path = "pool/main/r/runc/runc_1.1.5+ds1-1+deb12u1_amd64.deb", size = 2710000, sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" }

[images."redis"]
reference = "docker.io/library/redis:7"
architecture = "amd64"
index = { size = 800, sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" }
manifest = { size = 500, sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" }
config = { size = 300, sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" }
layers = [
    { size = 40000, sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
]

[outputs."hello"]
"disk.img" = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
"#;

fn lock() -> Lock {
    Lock::parse(TEXT).expect("a lockfile")
}

fn name(text: &str) -> Name {
    text.parse().expect(text)
}

fn recipes(packages: &str) -> Recipes {
    let text = format!("kind = 'rootfs'\n{packages}\n");
    let texts = [(Source::project("recipes/base.toml").expect("a path"), text)];
    load(&BTreeMap::from(texts)).expect("good recipes")
}

#[test]
fn a_lock_has_one_text() {
    assert_eq!(lock().to_text(), TEXT);
    assert_eq!(Lock::parse(&Lock::default().to_text()), Ok(Lock::default()));
}

#[test]
fn what_does_not_hold_together_is_refused() {
    for (from, to, message) in [
        (
            "version = 1",
            "version = 2",
            "this lockfile has version 2, and this vsbuild knows only 1",
        ),
        ("version = 1", "", "missing field `version`"),
        (
            "    \"runc:amd64=1.1.5",
            "    \"runc:amd64=1.1.6",
            "`runc:amd64=1.1.6+ds1-1+deb12u1` is not in the table of packages",
        ),
        (
            "    \"runc:amd64=1.1.5",
            "    \"runc=1.1.5",
            "`runc=1.1.5+ds1-1+deb12u1` is not a package (`name:architecture=version`)",
        ),
        (
            "pool/main/r/",
            "../",
            "`../runc/runc_1.1.5+ds1-1+deb12u1_amd64.deb` is not a path inside an archive",
        ),
        (
            "pool/main/r/",
            "/",
            "`/runc/runc_1.1.5+ds1-1+deb12u1_amd64.deb` is not a path inside an archive",
        ),
        (
            "pool/main/r/",
            "https://x/",
            "`https://x/runc/runc_1.1.5+ds1-1+deb12u1_amd64.deb` is not a path inside an archive",
        ),
        (
            "pool/main/r/",
            "?",
            "`?runc/runc_1.1.5+ds1-1+deb12u1_amd64.deb` is not a path inside an archive",
        ),
        ("size = 900", "size = -1", "invalid value: integer `-1`, expected u64"),
        ("size = 900, ", "", "missing field `size`"),
        (
            "size = 900",
            "seize = 900",
            "unknown field `seize`, expected one of `archive`, `path`, `size`, `sha256`",
        ),
        (
            "\"disk.img\" = \"ba",
            "\"disk.img\" = \"BA",
            "`BA7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad` is not a sha256 digest (64 lower-case hexadecimal digits)",
        ),
        ("\"disk.img\"", "\"../x\"", "`../x` is not the name of a file"),
        (
            "architecture = \"amd64\"\nsuites",
            "architecture = \"vax\"\nsuites",
            "`vax` is not an architecture",
        ),
        ("[\"debian bookworm main\"]", "[\"debian\"]", "`debian` does not name a suite"),
        ("components = [\"main\"]", "components = []", "`debian bookworm ` does not name a suite"),
        (
            "[outputs.\"hello\"]",
            "[outputs.\"Hello\"]",
            "`Hello` is not a recipe's name (lower-case letters, digits, `.`, `+`, `-`, at most 128)",
        ),
        ("    \"runc\",", "    \"RUNC\",", "`RUNC` is not a Debian package's name"),
        (
            "[packages]",
            "<<<<<<< ours\n[packages]",
            "this is an unfinished merge: take either side, then run `vsbuild lock`",
        ),
    ] {
        let text = TEXT.replacen(from, to, 1);
        assert_ne!(text, TEXT, "{from}");
        let bad = Lock::parse(&text).expect_err(to);
        assert_eq!(bad.message, message);
        assert!(bad.span.is_none_or(|span| text.get(span).is_some()), "{to}");
    }
}

#[test]
fn a_lock_covers_what_it_was_asked() {
    let base = name("base");
    let check = |packages: &str| cover(&lock(), &recipes(packages), [&base]);
    assert_eq!(check("packages = ['runc', 'busybox-static']"), Ok(()));
    assert_eq!(check(""), Ok(()), "who asks for nothing needs nothing");
    let said = |covered: Result<(), NotCovered>| covered.expect_err("stale").to_string();
    assert_eq!(
        said(check("packages = ['runc', 'strace']\narchitecture = 'arm64'")),
        "`base.packages` was locked for another recipe: for arm64 instead of amd64, with strace, \
         without busybox-static; run `vsbuild lock`"
    );
    let missing = cover(&Lock::default(), &recipes("packages = ['runc']"), [&base]);
    assert_eq!(said(missing), "`base.packages` is not in the lockfile; run `vsbuild lock`");
}

#[test]
fn a_lock_covers_the_images_it_was_asked() {
    let recipes = |text: &str| {
        let texts = [(
            Source::project("recipes/redis.toml").expect("a path"),
            format!("kind = 'oci-image'\n{text}\n"),
        )];
        load(&BTreeMap::from(texts)).expect("good recipes")
    };
    let told = |lock: &Lock, text: &str| {
        let covered = cover(lock, &recipes(text), [&name("redis")]);
        covered.map_err(|error| error.to_string()).err().unwrap_or_default()
    };
    assert_eq!(told(&lock(), "reference = 'redis:7'"), "");
    let other = told(&lock(), "reference = 'redis:8'");
    assert!(
        other.contains("docker.io/library/redis:8 instead of docker.io/library/redis:7"),
        "{other}"
    );
    let other = told(&lock(), "reference = 'redis:7'\narchitecture = 'arm64'");
    assert!(other.contains("for arm64 instead of amd64"), "{other}");
    let empty = Lock::default();
    assert!(told(&empty, "reference = 'redis:7'").contains("`redis` is not in the lockfile"));
    let request = told(&empty, "reference = 'redis:7'\non-request = true");
    assert!(request.contains("vsbuild lock --update redis"), "{request}");
}

#[test]
fn a_diff_reads_like_a_package_manager() {
    let newer = TEXT
        .replace("runc:amd64=1.1.5+ds1-1+deb12u1", "runc:amd64=1.1.6-1")
        .replace("busybox-static:amd64=1:1.35.0-4+b7", "strace:amd64=6.1-0.1")
        .replace("10 Jan", "14 Mar")
        .replacen("inrelease = \"ba", "inrelease = \"bb", 1)
        .replace("disk.img\" = \"ba", "disk.img\" = \"bc");
    let newer = Lock::parse(&newer).expect("a lockfile");
    assert_eq!(
        diff(&lock(), &newer).to_string(),
        "debian bookworm (amd64): Sat, 10 Jan 2026 10:12:15 UTC -> Sat, 14 Mar 2026 10:12:15 UTC
base.packages: 1 added, 1 removed, 1 changed
  + strace 6.1-0.1
  - busybox-static 1:1.35.0-4+b7
  ~ runc 1.1.5+ds1-1+deb12u1 -> 1.1.6-1
hello disk.img: ba7816bf8f01 -> bc7816bf8f01
"
    );
    assert!(diff(&newer, &newer).is_empty());
    let dropped = diff(&newer, &Lock::default());
    assert_eq!(dropped.sets[0].removed.len(), 2);
    assert_eq!(dropped.outputs[0].to_string(), "hello disk.img: bc7816bf8f01 -> gone");
}

#[test]
fn a_rebuilt_package_is_noticed() {
    let other = TEXT.replace("size = 900, sha256 = \"ba", "size = 900, sha256 = \"bb");
    let changes = diff(&lock(), &Lock::parse(&other).expect("a lockfile"));
    let said = "base.packages: 1 rebuilt\n  ! busybox-static 1:1.35.0-4+b7 is another file";
    assert_eq!(changes.sets[0].to_string(), said);
}

#[test]
fn a_part_of_a_lock_is_whole() {
    let lock = lock();
    let part = lock.only(&[name("base.packages"), name("redis")].into());
    assert_eq!(part, Lock { outputs: BTreeMap::new(), ..lock.clone() });
    assert_eq!(Lock::parse(&part.to_text()), Ok(part));
    assert_eq!(lock.only(&BTreeSet::new()), Lock::default());
}

proptest! {
    #[test]
    fn every_lock_survives_its_text(lock in any_lock()) {
        prop_assert_eq!(Lock::parse(&lock.to_text()), Ok(lock));
    }

    #[test]
    fn odd_texts_are_errors_and_never_panics(cut in 0..TEXT.len(), length in 0..40usize, with in "\\PC{0,8}") {
        let mut text = TEXT.to_owned();
        text.replace_range(cut..(cut + length).min(TEXT.len()), &with);
        if let Ok(lock) = Lock::parse(&text) {
            prop_assert_eq!(Lock::parse(&lock.to_text()), Ok(lock));
        }
    }
}

fn any_lock() -> impl Strategy<Value = Lock> {
    let id = ("[a-z0-9][a-z0-9+.-]{1,8}", "amd64|arm64|all", "[0-9][a-z0-9.+~:-]{0,8}")
        .prop_map(|(name, architecture, version)| PackageId { name, architecture, version });
    let package = ("[a-z-]{1,5}", "[a-z0-9+~_:%-]{1,9}(/[a-z.]{3,9})?", any::<u32>())
        .prop_filter("a word", |(archive, path, _)| {
            Suite::is_word(archive) && !path.ends_with("..")
        })
        .prop_map(|(archive, path, size)| LockedPackage {
            archive,
            path,
            size: size.into(),
            sha256: Digest::of("x"),
        });
    let name = "[a-z0-9][a-z0-9+.-]{0,8}".prop_map(|text| text.parse::<Name>().expect("a name"));
    let packages = prop::collection::btree_map(id, package, 0..6);
    let sets = prop::collection::btree_map(
        name,
        prop::collection::vec(any::<prop::sample::Index>(), 0..4),
        0..4,
    );
    (packages, sets).prop_map(|(packages, sets)| {
        let ids: Vec<PackageId> = packages.keys().cloned().collect();
        let sets = sets.into_iter().map(|(name, chosen)| {
            let packages = chosen
                .iter()
                .filter(|_| !ids.is_empty())
                .map(|index| index.get(&ids).clone())
                .collect();
            let suites = Suite::parse("debian bookworm main contrib").into_iter().collect();
            let include = ["gcc".to_owned()].into();
            (name, LockedSet { architecture: Architecture::Arm64, suites, include, packages })
        });
        Lock { sets: sets.collect(), packages, ..Lock::default() }
    })
}

#[test]
fn deep_nesting_is_an_error_and_no_overflow() {
    for text in
        [format!("version = {}", "[".repeat(100_000)), format!("{}a = 1", "a.".repeat(100_000))]
    {
        assert!(Lock::parse(&text).is_err());
    }
}
