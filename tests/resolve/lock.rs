use std::collections::BTreeSet;

use vsbuild::{
    digest::Digest,
    fetch::{Fetcher, Mirror, Mirrors, Options, Proxies},
    formats::deb::index,
    lock::{Lock, PackageId},
    recipe::{self, Architecture, Recipes, Source},
    resolve::{Archives, Error, Keyring, SuiteFault, Trust, Universe, Unsolvable, Update, lock},
};

use crate::{gpg::Gpg, now};

const DATE: &str = "Sat, 01 Nov 2025 10:00:00 UTC";

/// A Debian archive in a directory, signed by a key of ours.
struct Archive {
    gpg: Gpg,
    directory: tempfile::TempDir,
}

/// A paragraph of an index; `more` are further fields.
fn package(name: &str, version: &str, more: &str) -> String {
    let sha256 = Digest::of(format!("{name} {version}"));
    format!(
        "Package: {name}\nVersion: {version}\nArchitecture: amd64\n{more}\
         Filename: pool/{name}_{version}.deb\nSize: 10\nSHA256: {sha256}\n\n"
    )
}

impl Archive {
    fn new() -> Option<Self> {
        let gpg = Gpg::new()?;
        gpg.key(None, "archive", "sign", "never");
        Some(Self { gpg, directory: tempfile::tempdir().unwrap() })
    }

    /// Puts a suite in place of the one that is there. `edit` changes the Release file before it is signed.
    fn publish(&self, suite: &str, index: &str, edit: impl Fn(String) -> String) {
        let suite_directory = self.directory.path().join("debian/dists").join(suite);
        let folder = suite_directory.join("main/binary-amd64");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("Packages"), index).unwrap();
        let release = format!(
            "Origin: Test\nSuite: stable\nCodename: {suite}\nDate: {DATE}\nArchitectures: all amd64\n\
             No-Support-for-Architecture-all: Packages\nComponents: updates/main\nSHA256:\n {} {} main/binary-amd64/Packages\n",
            Digest::of(index),
            index.len()
        );
        let signed = self.gpg.sign(None, "archive", &edit(release), &[]);
        std::fs::write(suite_directory.join("InRelease"), signed).unwrap();
    }

    fn fetcher(&self) -> Fetcher {
        let address = format!("file://{}/debian", self.directory.path().display());
        let mut mirrors = Mirrors::default();
        mirrors.add("debian", Mirror::parse(&address).unwrap());
        let options =
            Options { attempts: 1, offline: true, proxies: Proxies::NONE, ..Options::default() };
        Fetcher::new(mirrors, options)
    }

    fn trust(&self) -> Trust {
        let keyring = Keyring::parse(&self.gpg.export(&["archive"])).unwrap();
        Trust { keyring, now: now(), ignore_valid_until: false }
    }

    fn lock(&self, recipes: &Recipes, old: &Lock, update: &Update) -> Result<Lock, Error> {
        let fetcher = self.fetcher();
        let new = lock(recipes, old, update, &mut Archives::new(&fetcher, self.trust()))?;
        assert_eq!(Lock::parse(&new.to_text()).unwrap(), new, "a lock can be written and read");
        Ok(new)
    }

    /// What is wrong with the suite `test`.
    fn fault(&self, trust: Trust) -> SuiteFault {
        let suite = recipe::Suite::parse("debian test main").unwrap();
        let fetcher = self.fetcher();
        match Archives::new(&fetcher, trust).universe(&[suite], Architecture::Amd64) {
            Err(Error::Suite { source, .. }) => *source,
            other => panic!("{other:?}"),
        }
    }
}

/// Sets of packages by name, with what they ask for.
fn recipes(sets: &[(&str, &str)]) -> Recipes {
    let text = |(name, include): &(&str, &str)| {
        let include: Vec<String> = include.split(' ').map(|name| format!("'{name}'")).collect();
        let text = format!(
            "kind = 'packages'\narchitecture = 'amd64'\narchives = ['debian test main']\ninclude = [{}]\n",
            include.join(", ")
        );
        (Source::project(format!("recipes/{name}.toml")).unwrap(), text)
    };
    recipe::load(&sets.iter().map(text).collect()).unwrap()
}

fn packages(lock: &Lock, set: &str) -> Vec<String> {
    let packages = &lock.sets[&set.parse().unwrap()].packages;
    packages.iter().map(|id| format!("{} {}", id.name, id.version)).collect()
}

fn old_index() -> String {
    package("aa", "1", "Depends: cc\n")
        + &package("bb", "1", "Depends: cc\n")
        + &package("cc", "1", "")
}

fn new_index() -> String {
    old_index().replace("Version: 1", "Version: 2").replace("_1.deb", "_2.deb") + &old_index()
}

#[test]
fn a_lock_holds_all_that_a_build_needs() {
    let Some(archive) = Archive::new() else { return };
    archive.publish("test", &old_index(), |release| release);
    let recipes = recipes(&[("one", "aa")]);
    let new = archive.lock(&recipes, &Lock::default(), &Update::Missing).unwrap();
    assert_eq!(packages(&new, "one"), ["aa 1", "cc 1"]);
    let (id, package) = new.packages.first_key_value().unwrap();
    assert_eq!(id.to_string(), "aa:amd64=1");
    assert_eq!(
        (package.archive.as_str(), package.path.as_str(), package.size),
        ("debian", "pool/aa_1.deb", 10)
    );
    assert_eq!(package.sha256, Digest::of("aa 1"));
    let (id, suite) = new.suites.first_key_value().unwrap();
    assert_eq!((id.archive.as_str(), id.suite.as_str()), ("debian", "test"));
    assert_eq!((suite.date.as_str(), suite.components.len()), (DATE, 1));
    let file = archive.directory.path().join("debian/dists/test/InRelease");
    assert_eq!(suite.inrelease, Digest::of(std::fs::read(file).unwrap()));
    assert!(vsbuild::lock::cover(&new, &recipes, [&"one".parse().unwrap()]).is_ok());
}

#[test]
fn what_is_locked_stays_until_it_is_to_move() {
    let Some(archive) = Archive::new() else { return };
    archive.publish("test", &old_index(), |release| release);
    let both = recipes(&[("one", "aa"), ("two", "bb")]);
    let old = archive.lock(&both, &Lock::default(), &Update::Missing).unwrap();
    archive.publish("test", &new_index(), |release| release.replace("01 Nov", "02 Nov"));
    let only = |name: &str| Update::Only([name.to_owned()].into());
    let state = |update: &Update| {
        let new = archive.lock(&both, &old, update).unwrap();
        (packages(&new, "one").join(", "), packages(&new, "two").join(", "))
    };
    let pair = |one: &str, two: &str| (one.to_owned(), two.to_owned());
    assert_eq!(archive.lock(&both, &old, &Update::Missing).unwrap(), old);
    assert_eq!(state(&Update::All), pair("aa 2, cc 2", "bb 2, cc 2"));
    assert_eq!(state(&only("one")), pair("aa 2, cc 2", "bb 1, cc 1"));
    assert_eq!(state(&only("cc")), pair("aa 1, cc 2", "bb 1, cc 2"));
    assert_eq!(state(&only("aa")), pair("aa 2, cc 1", "bb 1, cc 1"));
    let error = archive.lock(&both, &old, &only("onee")).unwrap_err().to_string();
    assert!(error.contains("did you mean `one`?"), "{error}");
    let new = archive.lock(&both, &old, &Update::All).unwrap();
    assert_eq!(new.suites.values().next().unwrap().date, DATE.replace("01 Nov", "02 Nov"));
}

#[test]
fn a_new_set_takes_the_versions_of_the_others() {
    let Some(archive) = Archive::new() else { return };
    archive.publish("test", &old_index(), |release| release);
    let old = archive.lock(&recipes(&[("one", "aa")]), &Lock::default(), &Update::Missing).unwrap();
    archive.publish("test", &new_index(), |release| release);
    let both = recipes(&[("one", "aa"), ("two", "bb")]);
    let new = archive.lock(&both, &old, &Update::Missing).unwrap();
    assert_eq!(packages(&new, "two"), ["bb 2", "cc 1"]);
    let more = recipes(&[("one", "aa bb")]);
    let new = archive.lock(&more, &old, &Update::Missing).unwrap();
    assert_eq!(packages(&new, "one"), ["aa 1", "bb 2", "cc 1"]);
    archive.publish("test", &new_index().replace(&old_index(), ""), |release| release);
    let new = archive.lock(&both, &old, &Update::Missing).unwrap();
    assert_eq!(packages(&new, "one"), ["aa 1", "cc 1"], "what left the archive is still locked");
    assert_eq!(packages(&new, "two"), ["bb 2", "cc 2"]);
    let fewer = archive.lock(&recipes(&[("two", "bb")]), &new, &Update::Missing).unwrap();
    assert_eq!((fewer.sets.len(), fewer.packages.len()), (1, 2), "what nobody asks for is gone");
}

#[test]
fn nobody_is_asked_when_all_is_locked() {
    let Some(archive) = Archive::new() else { return };
    archive.publish("test", &old_index(), |release| release);
    let recipes = recipes(&[("one", "aa")]);
    let old = archive.lock(&recipes, &Lock::default(), &Update::Missing).unwrap();
    std::fs::remove_dir_all(archive.directory.path().join("debian")).unwrap();
    assert_eq!(archive.lock(&recipes, &old, &Update::Missing).unwrap(), old);
    let error = archive.lock(&recipes, &old, &Update::All).unwrap_err();
    assert!(error.to_string().contains("dists/test/InRelease"), "{error}");
}

#[test]
fn expected_outputs_stay_while_their_packages_do() {
    let Some(archive) = Archive::new() else { return };
    archive.publish("test", &old_index(), |release| release);
    let both = recipes(&[("one", "aa"), ("two", "bb")]);
    let mut old = archive.lock(&both, &Lock::default(), &Update::Missing).unwrap();
    for name in ["one", "two", "gone"] {
        let files = [("disk.img".to_owned(), Digest::of(name))].into();
        old.outputs.insert(name.parse().unwrap(), files);
    }
    archive.publish("test", &new_index(), |release| release);
    let new = archive.lock(&both, &old, &Update::Only(["one".to_owned()].into())).unwrap();
    assert_eq!(new.outputs.keys().map(|name| name.as_str()).collect::<Vec<_>>(), ["two"]);
}

#[test]
fn a_suite_must_be_what_was_asked_for() {
    let Some(archive) = Archive::new() else { return };
    let fault = |edit: &dyn Fn(String) -> String| {
        archive.publish("test", &old_index(), edit);
        archive.fault(archive.trust()).to_string()
    };
    let replace = |from: &'static str, to: &'static str| {
        fault(&move |release| {
            assert!(release.contains(from));
            release.replace(from, to)
        })
    };
    assert!(
        replace("Codename: test", "Codename: other")
            .contains("another suite there: other or stable")
    );
    assert!(
        replace("all amd64", "all arm64").contains("no packages for amd64, only for all, arm64")
    );
    assert!(replace("updates/main", "contrib").contains("no component `main`, only contrib"));
    assert!(replace("Date: Sat, 01 Nov 2025", "Date: Sun, 01 Nov 2099").contains("in the future"));
    assert!(
        replace("main/binary-amd64/Packages", "main/binary-i386/Packages")
            .contains("no usable index")
    );
    assert!(replace("SHA256:\n", "SHA256: x\n").contains("malformed"));
    let expired =
        |release: String| format!("Valid-Until: Sun, 02 Nov 2025 10:00:00 UTC\n{release}");
    assert!(fault(&expired).contains("expired"));
    let trust = Trust { ignore_valid_until: true, ..archive.trust() };
    let suite = recipe::Suite::parse("debian test main").unwrap();
    let fetcher = archive.fetcher();
    let universe = Archives::new(&fetcher, trust).universe(&[suite], Architecture::Amd64).unwrap();
    assert_eq!(universe.names().collect::<Vec<_>>(), ["aa", "bb", "cc"]);
    archive.publish("test", "Package: aa\nVersion: 1\n", |release| release);
    assert!(archive.fault(archive.trust()).to_string().contains("main/binary-amd64/Packages"));
    archive.gpg.key(None, "other", "sign", "never");
    let keyring = Keyring::parse(&archive.gpg.export(&["other"])).unwrap();
    let fault = archive.fault(Trust { keyring, ..archive.trust() }).to_string();
    assert!(fault.contains("no good signature") && fault.contains("not in the keyring"), "{fault}");
}

#[test]
fn an_index_that_was_tampered_with_is_refused() {
    let Some(archive) = Archive::new() else { return };
    archive.publish("test", &old_index(), |release| release);
    let file = archive.directory.path().join("debian/dists/test/main/binary-amd64/Packages");
    std::fs::write(file, old_index().replace("Size: 10", "Size: 11")).unwrap();
    let recipes = recipes(&[("one", "aa")]);
    let error = archive.lock(&recipes, &Lock::default(), &Update::Missing).unwrap_err().to_string();
    assert!(error.contains("its sha256 is"), "{error}");
}

/// What a universe of these paragraphs chooses, as `name version`.
fn solve(index: &str, include: &str) -> Result<Vec<String>, Unsolvable> {
    let entries = index::parse(index.as_bytes()).unwrap().into();
    let universe = Universe::new(Architecture::Amd64, [].into(), [("debian".into(), entries)]);
    let include: BTreeSet<String> = include.split(' ').map(str::to_owned).collect();
    let chosen = universe.solve(&include, &BTreeSet::new())?;
    let text = |id: &PackageId| format!("{} {}", id.name, id.version);
    Ok(chosen.keys().map(text).collect())
}

#[test]
fn dependencies_mean_what_the_policy_says() {
    let some = |name: &str, more: &str| package(name, "1", more);
    for (index, include, expected) in [
        (some("aa", "Depends: bb | cc\n") + &some("bb", "") + &some("cc", ""), "aa", "aa 1, bb 1"),
        (some("aa", "Depends: xx | cc\n") + &some("cc", ""), "aa", "aa 1, cc 1"),
        (
            some("aa", "Depends: bb (>= 2) | cc\n") + &some("bb", "") + &some("cc", ""),
            "aa",
            "aa 1, cc 1",
        ),
        (
            some("aa", "Depends: bb\n") + &some("bb", "") + &package("bb", "1:0", ""),
            "aa",
            "aa 1, bb 1:0",
        ),
        (
            some("aa", "Depends: bb (<< 1:0)\n") + &some("bb", "") + &package("bb", "1:0", ""),
            "aa",
            "aa 1, bb 1",
        ),
        (
            some("aa", "Depends: vv\n")
                + &some("zz", "Provides: vv\n")
                + &some("bb", "Provides: vv\n"),
            "aa",
            "aa 1, bb 1",
        ),
        (
            some("aa", "Depends: vv\n")
                + &some("zz", "Provides: vv\nPriority: important\n")
                + &some("bb", "Provides: vv\n"),
            "aa",
            "aa 1, zz 1",
        ),
        (
            some("aa", "Depends: vv\n") + &some("vv", "") + &some("bb", "Provides: vv\n"),
            "aa",
            "aa 1, vv 1",
        ),
        (
            some("aa", "Depends: vv (>= 2)\n")
                + &some("bb", "Provides: vv\n")
                + &some("cc", "Provides: vv (= 3)\n"),
            "aa",
            "aa 1, cc 1",
        ),
        (
            some("aa", "Pre-Depends: bb\nRecommends: cc\n") + &some("bb", "") + &some("cc", ""),
            "aa",
            "aa 1, bb 1",
        ),
        (
            some("aa", "Depends: bb:any\n") + &some("bb", "Multi-Arch: allowed\n"),
            "aa",
            "aa 1, bb 1",
        ),
        (some("aa", "Depends: bb:amd64\n") + &some("bb", ""), "aa", "aa 1, bb 1"),
        (
            some("aa", "Depends: bb:arm64 | cc\n") + &some("bb", "") + &some("cc", ""),
            "aa",
            "aa 1, cc 1",
        ),
        (
            some("aa", "Depends: bb | cc\nBreaks: bb\n") + &some("bb", "") + &some("cc", ""),
            "aa",
            "aa 1, cc 1",
        ),
        (some("aa", "Provides: vv\nConflicts: vv\n") + &some("bb", "Provides: vv\n"), "aa", "aa 1"),
        (some("aa", "Depends: bb\n") + &some("bb", "Depends: aa\n"), "aa", "aa 1, bb 1"),
        (some("aa", "Essential: yes\n") + &some("bb", ""), "bb", "bb 1"),
        (some("bb", "Provides: vv\n"), "vv", "bb 1"),
        (
            some("aa", "")
                + &some("aa", "").replace("amd64", "arm64").replace("Version: 1", "Version: 2"),
            "aa",
            "aa 1",
        ),
    ] {
        assert_eq!(solve(&index, include).unwrap().join(", "), expected, "{index}");
    }
}

#[test]
fn what_has_no_answer_is_explained() {
    let some = |name: &str, more: &str| package(name, "1", more);
    let why = |index: &str, include: &str| solve(index, include).unwrap_err().to_string();
    let conflict = some("aa", "Depends: bb\n") + &some("bb", "Conflicts: cc\n") + &some("cc", "");
    let text = why(&conflict, "aa cc");
    assert!(["aa", "bb", "cc"].iter().all(|name| text.contains(name)), "{text}");
    let text =
        why(&some("aa", "Depends: bb (>= 2)\n").replace("Depends: bb", "Depends: dd | bb"), "aa");
    assert!(text.contains("aa 1") && text.contains("bb (>= 2)") && text.contains("dd"), "{text}");
    let text = why(&(some("bb", "Provides: vv\n") + &some("cc", "Provides: vv\n")), "vv");
    assert!(text.contains("choose one") && text.ends_with("bb, cc"), "{text}");
    let text = why(&(some("containerd", "") + &some("runc", "")), "contianerd");
    assert_eq!(text, "there is no package `contianerd`; did you mean containerd?");
    assert_eq!(why("", "aa"), "there is no package `aa`");
    let text = why(&(some("aa", "Depends: bb:any\n") + &some("bb", "")), "aa");
    assert!(text.contains("bb :any"), "{text}");
}

#[test]
fn the_newest_of_several_suites_wins() {
    let one = index::parse((package("aa", "1", "") + &package("bb", "3", "")).as_bytes()).unwrap();
    let two = index::parse((package("aa", "2", "") + &package("bb", "3", "")).as_bytes()).unwrap();
    let indexes = [("debian".into(), one.into()), ("debian-security".into(), two.into())];
    let universe = Universe::new(Architecture::Amd64, [].into(), indexes);
    let include = ["aa".to_owned(), "bb".to_owned()].into();
    let chosen = universe.solve(&include, &BTreeSet::new()).unwrap();
    let found: Vec<String> =
        chosen.iter().map(|(id, package)| format!("{id} {}", package.archive)).collect();
    assert_eq!(found, ["aa:amd64=2 debian-security", "bb:amd64=3 debian"]);
    let preferred = [chosen.keys().next().unwrap().clone()]
        .map(|id| PackageId { version: "1".to_owned(), ..id });
    let chosen = universe.solve(&include, &preferred.into()).unwrap();
    assert_eq!(chosen.keys().next().unwrap().version, "1");
}
