use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, OnceLock},
};

use vsbuild::{
    formats::deb::index::{self, Entry},
    recipe::Architecture,
    resolve::Universe,
};

use crate::{skip, stdout};

/// The host's apt, made to see only `debian bookworm main` and an empty system.
struct Apt {
    universe: Universe,
    directory: tempfile::TempDir,
    architecture: Architecture,
}

fn apt() -> Option<&'static Apt> {
    static APT: OnceLock<Option<Apt>> = OnceLock::new();
    let apt = APT.get_or_init(Apt::find).as_ref();
    if apt.is_none() {
        skip("this host has no apt with the lists of debian bookworm main");
    }
    apt
}

impl Apt {
    fn find() -> Option<Self> {
        let word = stdout("dpkg", &["--print-architecture"])?;
        let architecture = Architecture::from_word(word.trim())?;
        let filter = format!("Architecture: {architecture}");
        let targets = stdout(
            "apt-get",
            &[
                "indextargets",
                "--format",
                "$(FILENAME) $(REPO_URI)",
                "Created-By: Packages",
                "Codename: bookworm",
                "Component: main",
                &filter,
            ],
        )?;
        let target =
            targets.lines().find(|line| line.trim_end_matches('/').ends_with("/debian"))?;
        let (file, uri) = target.split_once(' ')?;
        let text = stdout("/usr/lib/apt/apt-helper", &["cat-file", file])?;
        let entries: Arc<[Entry]> = index::parse(text.as_bytes()).unwrap().into();
        let universe = Universe::new(architecture, BTreeMap::new(), [("debian".into(), entries)]);
        let directory = tempfile::tempdir().unwrap();
        let source = format!("deb {uri} bookworm main\n");
        std::fs::write(directory.path().join("sources.list"), source).unwrap();
        std::fs::write(directory.path().join("status"), "").unwrap();
        std::fs::create_dir_all(directory.path().join("archives/partial")).unwrap();
        Some(Self { universe, directory, architecture })
    }

    /// What apt would install, as `name=version`; none if it cannot.
    fn install(&self, names: &[&str]) -> Option<BTreeSet<String>> {
        let here = |name: &str| self.directory.path().join(name).display().to_string();
        let settings = [
            format!("Dir::Etc::SourceList={}", here("sources.list")),
            "Dir::Etc::SourceParts=/dev/null".to_owned(),
            "Dir::Etc::Preferences=/dev/null".to_owned(),
            "Dir::Etc::PreferencesParts=/dev/null".to_owned(),
            format!("Dir::State::status={}", here("status")),
            format!("Dir::Cache={}", here("")),
            "Dir::Cache::pkgcache=pkgcache.bin".to_owned(),
            "Dir::Cache::srcpkgcache=srcpkgcache.bin".to_owned(),
            format!("APT::Architecture={}", self.architecture),
            format!("APT::Architectures={}", self.architecture),
        ];
        let mut arguments = vec!["-s", "install", "--no-install-recommends"];
        for setting in &settings {
            arguments.extend(["-o", setting]);
        }
        arguments.extend(names);
        let plan = stdout("apt-get", &arguments)?;
        let installed = plan.lines().filter_map(|line| {
            let (name, rest) = line.strip_prefix("Inst ")?.split_once(" (")?;
            Some(format!("{name}={}", rest.split(' ').next()?))
        });
        Some(installed.collect())
    }

    /// What we would install; the explanation if that is nothing.
    fn solve(&self, names: &[&str]) -> Result<BTreeSet<String>, String> {
        let include = names.iter().map(|&name| name.to_owned()).collect();
        let chosen = self.universe.solve(&include, &BTreeSet::new());
        let chosen = chosen.map_err(|error| error.to_string())?;
        Ok(chosen.keys().map(|id| format!("{}={}", id.name, id.version)).collect())
    }

    /// How the two lists differ, `-` for what only apt has, `+` for what only we have.
    fn difference(&self, names: &[&str]) -> Vec<String> {
        let ours = self.solve(names);
        match (self.install(names), ours) {
            (Some(apt), Ok(ours)) => {
                let fewer = apt.difference(&ours).map(|id| format!("-{id}"));
                fewer.chain(ours.difference(&apt).map(|id| format!("+{id}"))).collect()
            }
            (None, Err(_)) => Vec::new(),
            (None, Ok(_)) => vec!["only apt fails".to_owned()],
            (Some(_), Err(why)) => vec![format!("only we fail: {why}")],
        }
    }
}

#[test]
fn the_list_is_that_of_apt() {
    let Some(apt) = apt() else { return };
    let sets = [
        &["busybox-static", "containerd", "runc"][..],
        &["bc", "bison", "flex", "gcc", "libelf-dev", "make"],
        &["iproute2", "python3", "python3-grpcio"],
        &["nodejs"],
        &["golang-go"],
        &["librust-libc-dev", "rustc-web"],
        &["default-jre-headless"],
        &["postgresql"],
        &["systemd"],
        // In these it depends on the order of the walk which alternatives are there already.
        &["gstreamer1.0-plugins-bad-apps", "libjson-hyper-perl", "pydevd"],
        // Neither finds the second.
        &["python3-distutils-extra", "x-terminal-emulator-that-is-not-there"],
    ];
    std::thread::scope(|scope| {
        for names in sets {
            scope.spawn(move || assert_eq!(apt.difference(names), [""; 0], "{names:?}"));
        }
    });
    assert!(apt.solve(sets[1]).unwrap().len() > 50);
}
