//! What holds for every kind of remote.

use std::{cell::RefCell, fs, thread};

use vsbuild::remote::{Body, Entry, Error, Remote};

use crate::{house, name, nginx, noise, open, real, s3};

/// A place for one test. None where its program is not installed.
pub(crate) struct Place {
    pub(crate) remote: Box<dyn Remote>,
    /// Whether it can say what it has.
    pub(crate) lists: bool,
    /// What ends with the test.
    pub(crate) keeps: Box<dyn std::any::Any + Send + Sync>,
}

fn directory() -> Option<Place> {
    let dir = tempfile::tempdir().unwrap();
    let remote = open(dir.path().join("cache").to_str().unwrap());
    Some(Place { remote, lists: true, keeps: Box::new(dir) })
}

fn registry() -> Option<Place> {
    let registry = real::Real::start()?;
    let remote = open(&format!("oci://{}/{}", registry.host, crate::REPOSITORY));
    Some(Place { remote, lists: true, keeps: Box::new(registry) })
}

macro_rules! every {
    ($($kind:ident: $start:path,)*) => { $(mod $kind {
        use super::*;
        fn start() -> Option<Place> { $start() }
        sentences!(start:
            what_was_never_put_is_absent
            what_is_put_comes_back
            what_is_put_again_is_replaced
            a_transfer_goes_on_where_it_ended
            a_length_that_is_not_the_right_one_is_an_error
            more_than_the_limit_is_an_error
            a_list_has_what_is_under_a_name
            what_is_removed_is_gone
            two_writers_at_once_leave_one_of_both
            a_file_is_sent_in_as_many_parts_as_it_takes
        );
    })* };
}
macro_rules! sentences {
    ($start:ident: $($sentence:ident)*) => { $(
        #[test]
        fn $sentence() {
            if let Some(place) = $start() {
                super::$sentence(&place);
            }
        }
    )* };
}

every! {
    in_a_directory: directory,
    on_nginx_with_dav: nginx::writable,
    on_the_house_s_own_server: house::place,
    in_an_s3_store: s3::place,
    in_a_registry: registry,
}

fn put(place: &Place, text: &str, bytes: &[u8]) {
    place.remote.put(&name(text), Body::Bytes(bytes)).unwrap();
}

fn get(place: &Place, text: &str) -> Option<Vec<u8>> {
    place.remote.get(&name(text), 1 << 20).unwrap()
}

fn what_was_never_put_is_absent(place: &Place) {
    let Place { remote, .. } = place;
    let (dir, absent) = (tempfile::tempdir().unwrap(), name("packs/ab/none"));
    for _ in 0..2 {
        assert_eq!(get(place, "packs/ab/none"), None);
        assert!(!remote.has(&absent).unwrap());
        assert!(!remote.fetch(&absent, 5, &dir.path().join("partial"), &|_| ()).unwrap());
        remote.remove(&absent).unwrap();
        // The second time there is something beside it.
        put(place, "packs/ab/other", b"x");
        put(place, "packs/ab/none-such", b"x");
    }
}

fn what_is_put_comes_back(place: &Place) {
    let dir = tempfile::tempdir().unwrap();
    let (file, partial) = (dir.path().join("file"), dir.path().join("partial"));
    let longest = format!("statements/ab/{}/{}", "0".repeat(64), "f".repeat(16));
    for (text, length) in [
        ("format", 16),
        ("packs/ab/x", 100_000),
        ("empty/one", 0),
        (longest.as_str(), 300),
        (&format!("long/{}", "n".repeat(130)), 10),
        ("-dash/-a", 20),
        ("a_b/c.d-e", 30),
    ] {
        let bytes = noise(length, usize::try_from(length).unwrap());
        put(place, text, &bytes);
        assert_eq!(get(place, text).as_deref(), Some(&bytes[..]), "{text}");
        assert!(place.remote.has(&name(text)).unwrap(), "{text}");
        let _ = fs::remove_file(&partial);
        let reached = RefCell::new(0);
        let note = |here| *reached.borrow_mut() = here;
        assert!(place.remote.fetch(&name(text), length, &partial, &note).unwrap(), "{text}");
        assert_eq!(fs::read(&partial).unwrap(), bytes, "{text}");
        assert!(length == 0 || reached.into_inner() == length, "{text}");
        fs::write(&file, &bytes).unwrap();
        let again = format!("{}-file", text.replace('n', "m"));
        place.remote.put(&name(&again), Body::File(&file)).unwrap();
        assert_eq!(get(place, &again), Some(bytes), "{again}");
    }
}

fn what_is_put_again_is_replaced(place: &Place) {
    for round in 0..3u64 {
        let bytes = noise(round, 3000 - 1000 * usize::try_from(round).unwrap());
        put(place, "pins/paper", &bytes);
        assert_eq!(get(place, "pins/paper"), Some(bytes));
    }
    put(place, "pins/paper", b"same");
    put(place, "pins/paper", b"same");
    assert_eq!(get(place, "pins/paper").as_deref(), Some(&b"same"[..]));
}

fn a_transfer_goes_on_where_it_ended(place: &Place) {
    let dir = tempfile::tempdir().unwrap();
    let partial = dir.path().join("partial");
    let bytes = noise(7, 300_000);
    put(place, "packs/ab/x", &bytes);
    for here in [1, 299_999, 300_000] {
        fs::write(&partial, &bytes[..here]).unwrap();
        let first = RefCell::new(None);
        let note = |reached| {
            first.borrow_mut().get_or_insert(reached);
        };
        assert!(place.remote.fetch(&name("packs/ab/x"), 300_000, &partial, &note).unwrap());
        assert!(fs::read(&partial).unwrap() == bytes);
        assert!(first.into_inner().is_none_or(|first| first >= here as u64), "{here}");
    }
    // More than all of it is nothing of it.
    fs::write(&partial, noise(8, 300_001)).unwrap();
    assert!(place.remote.fetch(&name("packs/ab/x"), 300_000, &partial, &|_| ()).unwrap());
    assert!(fs::read(&partial).unwrap() == bytes);
}

fn a_length_that_is_not_the_right_one_is_an_error(place: &Place) {
    let dir = tempfile::tempdir().unwrap();
    put(place, "packs/ab/x", &noise(1, 1000));
    for size in [999, 1001] {
        let partial = dir.path().join(size.to_string());
        let error = place.remote.fetch(&name("packs/ab/x"), size, &partial, &|_| ()).unwrap_err();
        let Error::Wrong { name, .. } = error else { panic!("{error}") };
        assert_eq!(name, "packs/ab/x");
    }
}

fn more_than_the_limit_is_an_error(place: &Place) {
    put(place, "format", &noise(1, 1000));
    assert_eq!(
        place.remote.get(&name("format"), 1000).unwrap().map(|bytes| bytes.len()),
        Some(1000)
    );
    let error = place.remote.get(&name("format"), 999).unwrap_err();
    assert!(matches!(error, Error::Wrong { .. }), "{error}");
}

fn a_list_has_what_is_under_a_name(place: &Place) {
    let listed = |text: &str| place.remote.list(&name(text));
    if !place.lists {
        assert!(matches!(listed("packs"), Err(Error::Unable { .. })));
        return;
    }
    assert_eq!(listed("packs").unwrap(), []);
    let long = format!("packs/{}", "n".repeat(130));
    for (text, length) in
        [("packs/b/y", 3), ("packs/a/x", 2), ("packs2/a", 1), ("pack", 1), (&long, 5)]
    {
        put(place, text, &noise(1, length));
    }
    let short = |entries: Vec<Entry>| -> Vec<(String, u64)> {
        entries.iter().map(|entry| (entry.name.to_string(), entry.size)).collect()
    };
    let expected = [("packs/a/x".to_owned(), 2), ("packs/b/y".to_owned(), 3), (long, 5)];
    let entries = listed("packs").unwrap();
    for entry in &entries {
        // After the test was written, and before its grandchildren read it.
        assert!(entry.modified.is_some_and(|at| (1_760_000_000..9_000_000_000).contains(&at)));
    }
    assert_eq!(short(entries), expected);
    assert_eq!(short(listed("packs/a").unwrap()), expected[..1]);
    assert_eq!(short(listed("packs/a/x").unwrap()), expected[..1]);
    assert_eq!(listed("packs/a/x/y").unwrap(), []);
    assert_eq!(listed("other").unwrap(), []);
}

fn what_is_removed_is_gone(place: &Place) {
    put(place, "packs/a/x", b"1");
    put(place, "packs/a/y", b"1");
    for _ in 0..2 {
        place.remote.remove(&name("packs/a/x")).unwrap();
        assert_eq!(get(place, "packs/a/x"), None);
        // The same bytes under another name are another thing.
        assert_eq!(get(place, "packs/a/y").as_deref(), Some(&b"1"[..]));
    }
    if place.lists {
        assert_eq!(place.remote.list(&name("packs")).unwrap().len(), 1);
    }
    put(place, "packs/a/x", b"2");
    assert_eq!(get(place, "packs/a/x").as_deref(), Some(&b"2"[..]));
}

fn two_writers_at_once_leave_one_of_both(place: &Place) {
    let versions: Vec<Vec<u8>> = (0..2).map(|seed| noise(seed + 1, 200_000)).collect();
    put(place, "pins/x", &versions[0]);
    let remote = &place.remote;
    let whole = |bytes: Vec<u8>| assert!(versions.contains(&bytes), "a mixture");
    thread::scope(|scope| {
        for version in &versions {
            scope.spawn(|| {
                for round in 0..5 {
                    remote.put(&name("pins/x"), Body::Bytes(version)).unwrap();
                    remote.put(&name(&format!("packs/{round}")), Body::Bytes(b"same")).unwrap();
                }
            });
        }
        scope.spawn(|| (0..10).for_each(|_| whole(get(place, "pins/x").unwrap())));
    });
    whole(get(place, "pins/x").unwrap());
    for round in 0..5 {
        assert_eq!(get(place, &format!("packs/{round}")).as_deref(), Some(&b"same"[..]));
    }
}

fn a_file_is_sent_in_as_many_parts_as_it_takes(place: &Place) {
    let dir = tempfile::tempdir().unwrap();
    let (file, partial) = (dir.path().join("file"), dir.path().join("partial"));
    let size = (36 << 20) + 12_345;
    let bytes = noise(3, size);
    fs::write(&file, &bytes).unwrap();
    place.remote.put(&name("packs/large"), Body::File(&file)).unwrap();
    assert!(place.remote.fetch(&name("packs/large"), size as u64, &partial, &|_| ()).unwrap());
    assert!(fs::read(&partial).unwrap() == bytes);
    fs::remove_file(&partial).unwrap();
    place.remote.put(&name("packs/large"), Body::Bytes(&bytes)).unwrap();
    assert!(place.remote.fetch(&name("packs/large"), size as u64, &partial, &|_| ()).unwrap());
    assert!(fs::read(&partial).unwrap() == bytes);
}
