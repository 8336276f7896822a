//! Who may read, write and remove.

use std::{fs, os::unix::fs::PermissionsExt};

use rustix::process::Signal;
use vsbuild::{cache::Item, digest::Digest};

use crate::{
    client::ask,
    input, key, path,
    server::{ADMIN, OTHER, Place, READER, Server, WRITER},
    statement,
};

#[test]
fn everybody_reads_who_writes_sends_and_only_an_administrator_removes() {
    let server = Server::start();
    let bytes = b"an input";
    let place = input(bytes);
    for (token, status) in [
        ("X: none", 401),
        ("Authorization: Bearer not-a-token-of-ours", 401),
        ("Authorization: Basic YW5uOmFubg==", 401),
        (READER, 403),
        (WRITER, 201),
        (OTHER, 200),
    ] {
        assert_eq!(server.put(&place, token, bytes).status, status, "{token}");
    }
    assert_eq!(server.get(&place).body, bytes);
    let wrong = ask(&server.host, "GET", &place, &["Authorization: Bearer no-such-token"], b"");
    assert_eq!((wrong.status, wrong.header("www-authenticate").is_empty()), (401, false));
    for (token, status) in [("X: none", 401), (READER, 403), (WRITER, 403), (ADMIN, 204)] {
        assert_eq!(server.delete(&place, token).status, status, "{token}");
    }
    assert_eq!(server.get(&place).status, 404);
    assert_eq!(server.delete(&place, ADMIN).status, 404);
}

#[test]
fn a_private_cache_shows_nothing_to_who_has_no_token() {
    let server = Server::with("read = \"token\"");
    for place in ["/format", "/?list=packs", "/metrics", "/"] {
        assert_eq!(server.get(place).status, 401, "{place}");
        assert_eq!(ask(&server.host, "GET", place, &[READER], b"").status, 200, "{place}");
    }
    assert_eq!(server.get("/healthz").text(), "ok\n");
    let answer = ask(&server.host, "GET", "/format", &[READER], b"");
    assert!(answer.header("cache-control").starts_with("private"), "{answer:?}");
}

#[test]
fn tokens_are_read_again_when_asked_and_wrong_ones_change_nothing() {
    let server = Server::start();
    let place = input(b"x");
    let hash = Digest::of("a-token-that-is-new");
    let reload = |text: &str, told: &str| {
        server.place.tokens(text);
        server.signal(Signal::HUP);
        server.logged(told);
    };
    reload("ci token\n", "the old tokens stay");
    assert_eq!(server.put(&place, WRITER, b"x").status, 201);
    reload(&format!("new sha256:{hash} write\n"), " reloaded");
    crate::server::wait_for("the new token", || {
        let new = server.put(&place, "Authorization: Bearer a-token-that-is-new", b"x");
        (new.status == 200).then_some(())
    });
    assert_eq!(server.put(&place, WRITER, b"x").status, 401);
}

#[test]
fn a_file_of_tokens_that_everybody_can_read_must_have_only_hashes() {
    let place = Place::new();
    let file = place.path().join("tokens");
    fs::set_permissions(&file, PermissionsExt::from_mode(0o644)).unwrap();
    let (code, said) = place.refused();
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("can be read by everybody"), "{said}");
    let hash = Digest::of("token-of-a-writer");
    place.tokens(&format!("ci sha256:{hash} write\n"));
    fs::set_permissions(&file, PermissionsExt::from_mode(0o644)).unwrap();
    let server = place.start();
    assert_eq!(server.put(&input(b"x"), WRITER, b"x").status, 201);
}

#[test]
fn statements_are_kept_of_keys_that_are_listed_and_not_of_others() {
    let (lab, gone, stranger) = (key("lab"), key("gone"), key("stranger"));
    let server = Server::with(&format!(
        "keys = [\"{}\", \"{}\"]\nrevoked = [\"{}\"]",
        lab.public(),
        gone.public(),
        gone.public().id()
    ));
    for (key, status) in [(&lab, 201), (&gone, 403), (&stranger, 403)] {
        let (place, bytes) = statement(key, "linux", "a kernel");
        assert_eq!(server.put(&place, WRITER, &bytes).status, status, "{}", key.public().name());
    }
    // It says who signed it, wherever somebody would like it to be.
    let (_, of_lab) = statement(&lab, "linux", "a kernel");
    let (of_stranger, _) = statement(&stranger, "linux", "a kernel");
    let (other_step, _) = statement(&lab, "hello", "a kernel");
    assert_eq!(server.put(&of_stranger, WRITER, &of_lab).status, 422);
    assert_eq!(server.put(&other_step, WRITER, &of_lab).status, 422);
    let mut changed = of_lab.clone();
    let last = changed.iter().rposition(u8::is_ascii_alphanumeric).unwrap();
    changed[last - 40] ^= 1;
    let (place, _) = statement(&lab, "linux", "a kernel");
    assert_eq!(server.put(&place, WRITER, &changed).status, 422);
    assert_eq!(server.get(&place).body, of_lab);
}

#[test]
fn a_key_does_not_change_its_mind_unless_an_administrator_lets_it() {
    let lab = key("lab");
    let server = Server::with(&format!("keys = [\"{}\"]", lab.public()));
    let (place, first) = statement(&lab, "linux", "a kernel");
    let (_, second) = statement(&lab, "linux", "another kernel");
    assert_eq!(server.put(&place, WRITER, &first).status, 201);
    assert_eq!(server.put(&place, OTHER, &first).status, 200);
    let refused = server.put(&place, WRITER, &second);
    assert_eq!(refused.status, 409);
    assert!(refused.text().contains("something else of this step already"), "{refused:?}");
    assert_eq!(server.get(&place).body, first);
    assert_eq!(server.put(&place, ADMIN, &second).status, 200);
    assert_eq!(server.get(&place).body, second);
}

#[test]
fn a_pin_is_replaced_by_an_administrator_alone() {
    let server = Server::start();
    let place = path(&Item::pin("paper").unwrap());
    let (paper, other) = (b"{\"reason\": \"a paper\"}", b"{\"reason\": \"another paper\"}");
    assert_eq!(server.put(&place, WRITER, paper).status, 201);
    assert_eq!(server.put(&place, OTHER, paper).status, 200);
    assert_eq!(server.put(&place, OTHER, other).status, 409);
    assert_eq!(server.get(&place).body, paper);
    assert_eq!(server.put(&place, ADMIN, other).status, 200);
}

#[test]
fn only_a_proxy_that_is_trusted_says_for_whom_it_asks() {
    for (proxies, client) in [("\"127.0.0.0/8\"", "192.0.2.7"), ("", "127.0.0.1")] {
        let server = Server::with(&format!("trusted-proxies = [{proxies}]"));
        let header = "X-Forwarded-For: 198.51.100.1, 192.0.2.7";
        ask(&server.host, "GET", "/format", &[header], b"");
        let lines = server.logged("format");
        assert!(
            lines.iter().any(|line| line.contains(&format!(" {client} - GET format 200"))),
            "{lines:?}"
        );
    }
}
