use std::{collections::BTreeMap, path::Path};

use vsbuild::{
    fetch::{Apt, Fetcher, Mirrors, Options, Source, Want},
    recipe::{Architecture, Suite},
    resolve::{Archives, Keyring, Trust},
};

use crate::{now, skip};

/// The whole way, with the host's own mirrors: InRelease, index, choice, package.
#[test]
fn a_package_comes_from_the_mirrors_of_the_host() {
    let apt = Apt::read(Path::new("/"));
    let environment = std::env::vars_os();
    let environment = environment
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let mirrors = Mirrors::new(&BTreeMap::new(), environment, &apt.mirrors).unwrap();
    if mirrors.of("debian").is_empty() {
        return skip("this host knows no mirror of debian");
    }
    let fetcher = Fetcher::new(mirrors, Options { proxies: apt.proxies, ..Options::default() });
    let trust = Trust { keyring: Keyring::of_host(), now: now(), ignore_valid_until: false };
    let suite = Suite::parse("debian bookworm main").unwrap();
    let universe = match Archives::new(&fetcher, trust).universe(&[suite], Architecture::Amd64) {
        Err(vsbuild::resolve::Error::Fetch(error)) => {
            return skip(&format!("no mirror of debian can be reached: {error}"));
        }
        universe => universe.unwrap(),
    };
    let include = ["busybox-static".to_owned()].into();
    let chosen = universe.solve(&include, &[].into()).unwrap();
    let (_, package) = chosen.first_key_value().unwrap();
    let want = Want {
        source: Source::Archive { archive: package.archive.clone(), path: package.path.clone() },
        size: package.size,
        sha256: package.sha256,
    };
    let directory = tempfile::tempdir().unwrap();
    let partial = directory.path().join("package");
    fetcher.fetch(&want, &partial, &|_| ()).unwrap();
    assert_eq!(std::fs::metadata(partial).unwrap().len(), want.size);
    assert_eq!(universe.suites().len(), 1);
}
