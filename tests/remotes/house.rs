//! The protocol of vsbuild's own server, as `src/remote/http.rs` speaks it, over a directory.

use std::sync::Mutex;

use vsbuild::remote::{Body, Directory, Error, Name, Options, Remote, Secret};

use crate::{
    name, open_with, options,
    sentences::Place,
    server::{Answer, Request, Server},
};

const TOKEN: &str = "lab-token-1";

/// Reads are for everybody, writes for who has the token.
pub(crate) fn serve(directory: Directory) -> Server {
    // One at a time: what is under test is the client.
    let directory = Mutex::new(directory);
    Server::new(move |_, request| answer(&directory.lock().unwrap(), request))
}

fn answer(directory: &Directory, request: &Request) -> Answer {
    let bearer = format!("Bearer {TOKEN}");
    let known = request.header("authorization") == Some(bearer.as_str());
    if !known && (request.method == "PUT" || request.method == "DELETE") {
        return Answer::bytes("a token is needed for this\n").status(401);
    }
    if let Some(under) = request.query.strip_prefix("list=") {
        return list(directory, &name(under));
    }
    let Ok(name) = request.path.trim_start_matches('/').parse::<Name>() else {
        return Answer::new(400);
    };
    match request.method.as_str() {
        "PUT" => {
            directory.put(&name, Body::Bytes(&request.body)).unwrap();
            Answer::new(201)
        }
        "DELETE" => {
            directory.remove(&name).unwrap();
            Answer::new(204)
        }
        _ => read(directory, &name, request),
    }
}

fn read(directory: &Directory, name: &Name, request: &Request) -> Answer {
    let Some(bytes) = directory.get(name, 1 << 30).unwrap() else { return Answer::new(404) };
    let range =
        request.header("range").and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-'));
    let Some(from) = range.map(|from| from.parse::<usize>().unwrap()) else {
        return Answer::bytes(bytes);
    };
    if from >= bytes.len() {
        return Answer::new(416);
    }
    let all = bytes.len();
    Answer::bytes(&bytes[from..])
        .status(206)
        .header("Content-Range", format!("bytes {from}-{}/{all}", all - 1))
}

fn list(directory: &Directory, under: &Name) -> Answer {
    let entries = directory.list(under).unwrap();
    let entries: Vec<_> = entries
        .iter()
        .map(|entry| {
            serde_json::json!({
                "name": entry.name.as_str(), "size": entry.size, "modified": entry.modified,
            })
        })
        .collect();
    Answer::bytes(serde_json::to_vec(&entries).unwrap())
}

fn with(token: &str) -> Options {
    Options { token: Some(Secret::new(token)), ..options() }
}

pub(crate) fn place() -> Option<Place> {
    let dir = tempfile::tempdir().unwrap();
    let server = serve(Directory::new(dir.path()));
    let remote = open_with(&format!("http://{}", server.host), &with(TOKEN));
    Some(Place { remote, lists: true, keeps: Box::new((server, dir)) })
}

#[test]
fn only_who_has_the_token_writes() {
    let dir = tempfile::tempdir().unwrap();
    let server = serve(Directory::new(dir.path()));
    let address = format!("http://{}", server.host);
    let owner = open_with(&address, &with(TOKEN));
    owner.put(&name("x"), Body::Bytes(b"1")).unwrap();
    for options in [options(), with("another-token")] {
        let remote = open_with(&address, &options);
        for error in [
            remote.put(&name("x"), Body::Bytes(b"2")).unwrap_err(),
            remote.remove(&name("x")).unwrap_err(),
        ] {
            assert!(matches!(error, Error::Denied { .. }), "{error}");
            assert!(error.to_string().contains("a token is needed"), "{error}");
            assert!(!error.to_string().contains("another-token"), "{error}");
        }
        assert_eq!(remote.get(&name("x"), 10).unwrap().as_deref(), Some(&b"1"[..]));
    }
}

#[test]
fn a_token_that_cannot_be_one_is_refused_before_it_is_sent() {
    let address = "http://127.0.0.1:1".parse().unwrap();
    let error = vsbuild::remote::open(&address, &with("two\nlines")).unwrap_err();
    assert!(matches!(error, Error::Unusable { .. }) && !error.to_string().contains("lines"));
}
