//! A store that speaks S3, with right and with wrong keys.

use vsbuild::remote::{Body, Credentials, Error, Options, Remote, Secret};

pub(crate) use crate::store_of_objects::{KEY, SECRET, Store};
use crate::{
    name, noise, open_with, options,
    sentences::Place,
    server::{Answer, Server},
};

impl Store {
    pub(crate) fn options(&self, key: &str, secret: &str) -> Options {
        let secret = Secret::new(secret);
        let credentials = Credentials { key: key.to_owned(), secret, session: None };
        let endpoint = Some(format!("http://{}", self.host));
        Options { endpoint, credentials: Some(credentials), ..options() }
    }

    fn open(&self, address: &str) -> Box<dyn Remote> {
        open_with(address, &self.options(KEY, SECRET))
    }
}

pub(crate) fn place() -> Option<Place> {
    let store = Store::start();
    let remote = store.open("s3://lab-cache/vsbuild");
    Some(Place { remote, lists: true, keeps: Box::new(store) })
}

#[test]
fn a_wrong_key_is_refused_and_not_shown() {
    let store = Store::start();
    store.open("s3://lab-cache").put(&name("x"), Body::Bytes(b"1")).unwrap();
    let anonymous = Options { credentials: None, ..store.options(KEY, SECRET) };
    for (options, said) in [
        (store.options(KEY, "a wrong secret"), "SignatureDoesNotMatch"),
        (store.options("nobody", SECRET), "NotSignedUp"),
        (anonymous, "AccessDenied"),
    ] {
        let remote = open_with("s3://lab-cache", &options);
        let x = name("x");
        let dir = tempfile::tempdir().unwrap();
        for error in [
            remote.get(&x, 10).unwrap_err(),
            remote.fetch(&x, 1, &dir.path().join("partial"), &|_| ()).map(drop).unwrap_err(),
            remote.put(&x, Body::Bytes(b"2")).unwrap_err(),
            remote.put(&x, Body::Bytes(&vec![0; 33 << 20])).unwrap_err(),
            remote.list(&x).map(drop).unwrap_err(),
            remote.remove(&x).unwrap_err(),
        ] {
            let text = error.to_string();
            assert!(matches!(error, Error::Denied { .. }), "{text}");
            assert!(text.contains("s3://lab-cache") && text.contains(said), "{text}");
            assert!(!text.contains("secret") && !text.contains("Signature="), "{text}");
        }
        // There is no room for words in the answer to this one.
        assert!(matches!(remote.has(&x), Err(Error::Denied { .. })));
    }
    assert_eq!(store.open("s3://lab-cache").get(&name("x"), 10).unwrap().unwrap(), b"1");
}

#[test]
fn a_bucket_that_is_not_there_is_no_empty_one() {
    let store = Store::start();
    let error = store.open("s3://other-cache").list(&name("x")).unwrap_err();
    assert!(error.to_string().contains("NoSuchBucket"), "{error}");
    // s3s-fs itself tells it from an object that is not there in lists only.
    let server = Server::new(|_, _| {
        let body = "<Error><Code>NoSuchBucket</Code><Message>no such bucket</Message></Error>";
        Answer::bytes(body).status(404)
    });
    let endpoint = Some(format!("http://{}", server.host));
    let remote = open_with("s3://other-cache", &Options { endpoint, ..options() });
    for error in [
        remote.get(&name("x"), 10).unwrap_err(),
        remote.put(&name("x"), Body::Bytes(b"1")).unwrap_err(),
    ] {
        assert!(matches!(error, Error::Denied { .. }), "{error}");
        assert!(error.to_string().contains("NoSuchBucket"), "{error}");
    }
}

#[test]
fn a_long_list_is_read_page_by_page() {
    let store = Store::start();
    let dir = store.bucket().join("v/packs");
    std::fs::create_dir_all(&dir).unwrap();
    for at in 0..2345 {
        std::fs::write(dir.join(format!("{at:04}")), b"x").unwrap();
    }
    let entries = store.open("s3://lab-cache/v").list(&name("packs")).unwrap();
    assert_eq!(entries.len(), 2345);
    assert_eq!(entries[2344].name, name("packs/2344"));
}

#[test]
fn keys_of_others_are_passed_over() {
    let store = Store::start();
    let remote = store.open("s3://lab-cache/v");
    std::fs::create_dir_all(store.bucket().join("v/packs")).unwrap();
    std::fs::write(store.bucket().join("v/packs/Not Ours"), b"x").unwrap();
    std::fs::write(store.bucket().join("other"), b"x").unwrap();
    remote.put(&name("packs/a"), Body::Bytes(&noise(1, 10))).unwrap();
    let entries = remote.list(&name("packs")).unwrap();
    assert_eq!(entries.iter().map(|entry| entry.name.as_str()).collect::<Vec<_>>(), ["packs/a"]);
    assert_eq!(remote.get(&name("other"), 10).unwrap(), None);
}
