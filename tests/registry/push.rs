//! Pushing to registries that misbehave.

use std::{
    cell::RefCell,
    fs,
    io::{self, Read},
    time::{Duration, Instant},
};

use vsbuild::{
    digest::Digest,
    fetch::{CredentialFiles, Error, Fetcher, Mirrors, Options, Progress, Pushed, Reference},
};

use crate::{
    REPOSITORY, anonymous,
    image::{MANIFEST, noise, push},
    options, says,
    server::{Answer, Server, sleep},
    with,
};

fn blob() -> Vec<u8> {
    noise(50, 1_000_000)
}

/// A registry without that blob; `put` answers uploads.
fn registry(put: impl Fn(usize) -> Answer + Send + Sync + 'static) -> Server {
    Server::new(move |before, request| match request.method.as_str() {
        "HEAD" => Answer::new(404),
        "POST" => Answer::new(202).header("Location", "/upload/1?state=2"),
        _ => put(before),
    })
}

#[test]
fn a_blob_is_sent_whole_to_where_the_registry_wants_it() {
    let server = registry(|_| Answer::new(201));
    assert_eq!(push(&anonymous(), &server.host, &blob()).unwrap(), Pushed::Sent);
    assert_eq!(server.asked(), ["HEAD blobs", "POST blobs/uploads/", "PUT /upload/1"]);
    let put = &server.requests()[2];
    assert_eq!(put.query, format!("state=2&digest=sha256%3A{}", Digest::of(blob())));
    assert!(put.body == blob());
    assert_eq!(server.requests()[1].header("content-length"), Some("0"));
}

#[test]
fn a_failed_upload_begins_again() {
    for fault in [Answer::nothing as fn() -> Answer, || Answer::new(500), || Answer::new(429)] {
        let server = registry(move |before| if before < 3 { fault() } else { Answer::new(201) });
        assert_eq!(push(&anonymous(), &server.host, &blob()).unwrap(), Pushed::Sent);
        assert_eq!(server.requests().len(), 6);
        assert!(server.requests()[5].body == blob());
    }
}

#[test]
fn a_registry_that_does_not_take_a_blob_is_named() {
    for (answer, said, times) in [
        ((|| Answer::new(500)) as fn() -> Answer, "500", 9),
        (|| Answer::new(404), "404", 3),
        (|| Answer::new(200), "200", 3),
        (
            || {
                let error =
                    r#"{"errors": [{"code": "DIGEST_INVALID", "message": "not \u001b that"}]}"#;
                Answer::bytes(error).status(400)
            },
            "400 Bad Request: not \\u{1b} that",
            3,
        ),
    ] {
        let server = registry(move |_| answer());
        let error = push(&anonymous(), &server.host, &blob()).unwrap_err();
        assert!(matches!(error, Error::NotPushed { .. }), "{error}");
        says(&error, &[&server.host, REPOSITORY, &Digest::of(blob()).hex(), said]);
        assert_eq!(server.requests().len(), times);
    }
}

#[test]
fn an_upload_that_does_not_move_is_given_up() {
    let server = registry(|_| sleep());
    let options = Options { stall: Duration::from_millis(300), attempts: 1, ..options() };
    let start = Instant::now();
    let error =
        push(&Fetcher::new(Mirrors::default(), options), &server.host, &blob()).unwrap_err();
    says(&error, &["timed out after 1000000 bytes"]);
    assert!(start.elapsed() < Duration::from_secs(10));
}

#[test]
fn what_cannot_be_read_is_not_pushed() {
    let server = registry(|_| Answer::new(201));
    let fetcher = anonymous();
    let (size, digest) = (blob().len() as u64, Digest::of(blob()));
    let error = |open: fn() -> io::Result<Box<dyn Read + Send>>| {
        fetcher.push_blob(&server.host, REPOSITORY, &digest, size, open, &|_| ()).unwrap_err()
    };
    for error in [
        error(|| Err(io::Error::other("lost"))),
        error(|| Ok(Box::new(io::Cursor::new(noise(50, 500_000))))),
    ] {
        assert!(matches!(error, Error::Unreadable { .. }), "{error}");
    }
    assert!(server.requests().iter().all(|request| request.method != "PUT"));
}

#[test]
fn credentials_do_not_go_with_an_upload_to_another_server() {
    let storage = Server::new(|_, _| Answer::new(201));
    let place = format!("http://{}/upload", storage.host);
    let registry = Server::new(move |_, request| {
        match (request.header("authorization"), request.method.as_str()) {
            (None, _) => Answer::new(401).header("WWW-Authenticate", "Basic realm=\"lab\""),
            (_, "POST") => Answer::new(202).header("Location", place.clone()),
            _ => Answer::new(404),
        }
    });
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("config.json");
    fs::write(&file, format!(r#"{{"auths": {{"{}": {{"auth": "YTpi"}}}}}}"#, registry.host))
        .unwrap();
    let fetcher = with(&[].into(), CredentialFiles::new([file]));
    push(&fetcher, &registry.host, &blob()).unwrap();
    assert_eq!(registry.requests().len(), 3, "what opened the door once opens it again");
    assert_eq!(storage.requests().len(), 1);
    assert_eq!(storage.requests()[0].header("authorization"), None);
}

#[test]
fn an_upload_is_sent_nowhere_else() {
    let other = Server::new(|_, _| Answer::new(201));
    let place = format!("http://{}/upload", other.host);
    let server = registry(move |_| Answer::new(307).header("Location", place.clone()));
    let error = push(&anonymous(), &server.host, &blob()).unwrap_err();
    says(&error, &["307"]);
    assert_eq!(other.requests(), []);
}

#[test]
fn progress_tells_how_far_an_upload_is() {
    let server = registry(|before| if before < 3 { Answer::new(500) } else { Answer::new(201) });
    let story = RefCell::new(Vec::new());
    let bytes = blob();
    let tell = |event: Progress<'_>| {
        story.borrow_mut().push(match event {
            Progress::Asked { from, .. } => format!("asked {from}"),
            Progress::Reached(length) => format!("reached {length}"),
            Progress::Failed { why, .. } => format!("failed: {why}"),
            Progress::Waiting(_) => "waiting".to_owned(),
        });
    };
    let open = || Ok(io::Cursor::new(blob()));
    let digest = Digest::of(&bytes);
    let fetcher = anonymous();
    fetcher.push_blob(&server.host, REPOSITORY, &digest, 1_000_000, open, &tell).unwrap();
    let mut story = story.into_inner();
    story.retain(|line| !line.starts_with("reached ") || line == "reached 1000000");
    story.dedup();
    assert_eq!(story.first().unwrap(), "asked 0");
    assert_eq!(story.last().unwrap(), "reached 1000000");
    assert!(story.iter().any(|line| line.starts_with("failed: 500")), "{story:?}");
}

#[test]
fn a_manifest_is_pushed_under_its_own_digest_only() {
    let server = Server::new(|_, request| {
        let digest = Digest::of(&request.body);
        Answer::new(201).header("Docker-Content-Digest", format!("sha256:{digest}"))
    });
    let fetcher = anonymous();
    let manifest = |bytes: &[u8], reference: &Reference| {
        fetcher.push_manifest(&server.host, REPOSITORY, reference, MANIFEST, bytes)
    };
    let digest = Digest::of("{}");
    assert_eq!(manifest(b"{}", &Reference::Digest(digest)).unwrap(), digest);
    assert_eq!(server.asked(), ["PUT manifests"]);
    assert_eq!(server.requests()[0].header("content-type"), Some(MANIFEST));
    let error = manifest(b"{ }", &Reference::Digest(digest)).unwrap_err();
    assert!(matches!(error, Error::BadManifest { .. }), "{error}");
    let other = Server::new(|_, _| {
        let digest = Digest::of("other");
        Answer::new(201).header("Docker-Content-Digest", format!("sha256:{digest}"))
    });
    let tag = Reference::Tag("latest".to_owned());
    let error = fetcher.push_manifest(&other.host, REPOSITORY, &tag, MANIFEST, b"{}").unwrap_err();
    says(&error, &[&Digest::of("other").hex(), &digest.hex(), &other.host]);
}
