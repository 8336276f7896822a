//! A real nginx that gives files, and one that takes them.

use std::fs;

use vsbuild::remote::{Body, Error};

use crate::{name, noise, open, sentences::Place, server_of_files::Nginx};

/// One that takes files, too, as docs/remotes.md has it.
pub(crate) fn writable() -> Option<Place> {
    let directives =
        "client_max_body_size 0; location / { dav_methods PUT DELETE; create_full_put_path on; }";
    let nginx = Nginx::start(directives)?;
    let remote = open(&format!("http://{}/lab/cache", nginx.host));
    Some(Place { remote, lists: false, keeps: Box::new(nginx) })
}

#[test]
fn a_server_of_files_gives_them_and_says_what_it_cannot() {
    let Some(nginx) = Nginx::start("") else { return };
    let bytes = noise(1, 100_000);
    fs::create_dir_all(nginx.root().join("lab/packs/ab")).unwrap();
    fs::write(nginx.root().join("lab/packs/ab/x"), &bytes).unwrap();
    let remote = open(&format!("http://{}/lab/", nginx.host));
    assert_eq!(remote.get(&name("packs/ab/x"), 1 << 20).unwrap(), Some(bytes));
    assert_eq!(remote.get(&name("packs/ab/y"), 1 << 20).unwrap(), None);
    let cannot = [
        remote.put(&name("packs/ab/z"), Body::Bytes(b"x")).unwrap_err(),
        remote.remove(&name("packs/ab/x")).unwrap_err(),
        remote.list(&name("packs")).unwrap_err(),
    ];
    for error in cannot {
        assert!(matches!(error, Error::Unable { .. }), "{error}");
        assert!(error.to_string().contains("only gives files"), "{error}");
    }
    assert!(!nginx.root().join("lab/packs/ab/z").exists());
}

#[test]
fn what_is_too_large_for_a_server_finds_no_room() {
    let Some(nginx) = Nginx::start("client_max_body_size 1k; location / { dav_methods PUT; }")
    else {
        return;
    };
    let remote = open(&format!("http://{}", nginx.host));
    let error = remote.put(&name("x"), Body::Bytes(&noise(1, 5000))).unwrap_err();
    assert!(matches!(error, Error::Full { .. }), "{error}");
    remote.put(&name("x"), Body::Bytes(&noise(1, 500))).unwrap();
}
