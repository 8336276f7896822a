//! What is given out, and how.

use std::{
    collections::BTreeSet,
    fs::{self, Permissions},
    io::{Read, Write},
    net::TcpStream,
    os::unix::fs::PermissionsExt,
    process::Command,
};

use serde_json::Value;
use vsbuild::{cache::FORMAT, store::Store};

use crate::{
    client::{ask, connect, head, raw},
    fill, input, noise,
    server::{Place, Server, WRITER, said, wait_for},
    tree,
};

fn with_input(bytes: &[u8]) -> (Server, String) {
    let server = Server::start();
    let place = input(bytes);
    assert_eq!(server.put(&place, WRITER, bytes).status, 201);
    (server, place)
}

#[test]
fn a_file_is_given_whole_and_in_parts() {
    let bytes = noise(1, 1_000_000);
    let (server, place) = with_input(&bytes);
    assert_eq!(server.get(&place).body, bytes);
    for (range, status, part) in [
        ("bytes=0-0", 206, 0..1),
        ("bytes=999990-", 206, 999_990..1_000_000),
        ("bytes=-5", 206, 999_995..1_000_000),
        ("bytes=3-900000", 206, 3..900_001),
        ("bytes=1000000-", 416, 0..0),
        ("bytes=0-1,5-6", 200, 0..1_000_000),
    ] {
        let answer = ask(&server.host, "GET", &place, &[&format!("Range: {range}")], b"");
        assert_eq!(
            (answer.status, answer.body.as_slice()),
            (status, &bytes[part.clone()]),
            "{range}"
        );
        if status == 206 {
            let told = format!("bytes {}-{}/1000000", part.start, part.end - 1);
            assert_eq!(answer.header("content-range"), told);
        }
    }
    let head = ask(&server.host, "HEAD", &place, &[], b"");
    assert_eq!((head.status, head.header("content-length"), head.body.len()), (200, "1000000", 0));
}

#[test]
fn what_never_changes_is_said_so_and_asked_for_once() {
    let (server, place) = with_input(b"for ever");
    let answer = server.get(&place);
    assert!(answer.header("cache-control").contains("immutable"), "{answer:?}");
    let tag = answer.header("etag").to_owned();
    let again = |header: &str| ask(&server.host, "GET", &place, &[header], b"");
    assert_eq!(again(&format!("If-None-Match: \"other\", {tag}")).status, 304);
    assert_eq!(again("If-None-Match: \"other\"").status, 200);
    let both = |tag: &str| {
        let headers = [&*format!("If-Range: {tag}"), "Range: bytes=0-1"];
        ask(&server.host, "GET", &place, &headers, b"").status
    };
    assert_eq!((both(&tag), both("\"other\"")), (206, 200));
    assert!(server.get("/format").header("cache-control").contains("no-cache"));
    assert_eq!(server.get("/format").text(), FORMAT);
}

#[test]
fn a_list_has_what_is_below_a_name_and_nothing_else() {
    let (place, store) = (Place::new(), tempfile::tempdir().unwrap());
    let store = Store::open(store.path()).unwrap();
    let one = tree(&store, 1, 40, 1000);
    fill(&place.cache(), &store, &[one]);
    fs::write(place.cache().join("private"), "not of a cache").unwrap();
    let server = place.start();
    let names = |under: &str| -> BTreeSet<String> {
        let answer = server.get(&format!("/?list={under}"));
        let list: Vec<Value> = serde_json::from_slice(&answer.body).unwrap();
        list.iter()
            .map(|entry| {
                let name = entry["name"].as_str().unwrap();
                let size = fs::metadata(server.file(name)).unwrap().len();
                assert_eq!(entry["size"].as_u64(), Some(size), "{name}");
                assert!(entry["modified"].as_i64().unwrap() > 1_700_000_000);
                name.to_owned()
            })
            .collect()
    };
    assert_eq!(names("trees"), [format!("trees/{}/{one}", &one.hex()[..2])].into());
    assert_eq!(names(&format!("trees/{}", &one.hex()[..2])), names("trees"));
    assert_eq!(names("packs").len(), 1);
    assert_eq!(names("pins"), BTreeSet::new());
    assert_eq!(server.get("/?list=..%2F").status, 400);
}

#[test]
fn nothing_outside_of_a_cache_is_given_however_it_is_asked_for() {
    let place = Place::new();
    fs::create_dir(place.cache()).unwrap();
    fs::write(place.path().join("secret"), "a secret").unwrap();
    std::os::unix::fs::symlink(place.path().join("secret"), place.cache().join("link")).unwrap();
    let server = place.start();
    for asked in [
        "/../secret",
        "/packs/../../secret",
        "/%2e%2e/secret",
        "/packs/..%2f..%2fsecret",
        "//etc/passwd",
        "/link",
        "/.serve.lock",
        "/.staging",
        "/packs",
        "/PACKS/AB",
        "/secret%00",
        "/packs/ab/",
    ] {
        let answer = server.get(asked);
        assert!([400, 404].contains(&answer.status), "{asked}: {answer:?}");
        assert!(!answer.text().contains("a secret"), "{asked}");
    }
}

#[test]
fn what_is_no_request_of_ours_is_refused_and_hurts_nobody() {
    let (server, place) = (Server::with("[serve.limits]\nheaders = 1"), input(b"x"));
    assert_eq!(server.put(&place, WRITER, b"x").status, 201);
    for (method, status) in [("POST", 405), ("OPTIONS", 405), ("PATCH", 405)] {
        let answer = ask(&server.host, method, &place, &["Content-Length: 0"], b"");
        assert_eq!(answer.status, status, "{method}");
    }
    let long = format!("X: {}", "x".repeat(40_000));
    assert_eq!(ask(&server.host, "GET", &place, &[&long], b"").status, 431);
    for garbage in [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        b"GET\r\n\r\n".to_vec(),
        b"PUT / HTTP/1.1\r\nContent-Length: 9999999999999999999999\r\n\r\n".to_vec(),
        b"GET / HTTP/1.1\r\nTransfer-Encoding: x\r\nContent-Length: 3\r\n\r\nabc".to_vec(),
        noise(7, 5000),
    ] {
        let answer = raw(&server.host, &garbage, false);
        assert!(answer.is_none_or(|answer| answer.status >= 400));
    }
    // Who says nothing more is not waited for.
    drop(raw(&server.host, &head("GET", &place, &[]).as_bytes()[..20], false));
    assert_eq!(server.get(&place).body, b"x");
}

#[test]
fn a_list_that_cannot_be_whole_breaks_off() {
    let place = Place::new();
    let closed = place.cache().join("pins");
    fs::create_dir_all(&closed).unwrap();
    fs::set_permissions(&closed, Permissions::from_mode(0o000)).unwrap();
    // Even root is to be kept out.
    let serve = place.command();
    let mut command = Command::new("setpriv");
    if rustix::process::geteuid().is_root() {
        command.args(["--inh-caps=-all", "--bounding-set=-all"]);
    }
    command.arg(serve.get_program()).args(serve.get_args()).current_dir(place.path());
    command.env_clear().env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin").env("HOME", place.path());
    let server = place.start_as(command);
    let all = |under: &str| {
        let mut stream = connect(&server.host);
        stream.write_all(head("GET", &format!("/?list={under}"), &[]).as_bytes()).unwrap();
        let mut said = Vec::new();
        // A connection may also break as an error.
        let _ = stream.read_to_end(&mut said);
        said.ends_with(b"\r\n0\r\n\r\n")
    };
    assert!(!all("pins") && !all(""));
    assert!(all("packs") && all("format"));
    server.logged("fault: a list breaks off");
    // The program's own client does not take it for a cache without pins.
    let mut listed = Command::new(env!("CARGO_BIN_EXE_vsbuild"));
    listed.args(["cache", "ls", &server.url]).env("HOME", server.place.path());
    let listed = listed.current_dir(server.place.path()).output().unwrap();
    assert_eq!(listed.status.code(), Some(5), "{}", said(&listed));
    fs::set_permissions(&closed, Permissions::from_mode(0o755)).unwrap();
    assert!(all("pins") && all(""));
}

#[test]
fn who_takes_a_list_slowly_does_not_keep_others_from_theirs() {
    let place = Place::new();
    let pins = place.cache().join("pins");
    fs::create_dir_all(&pins).unwrap();
    // More than all buffers between here and there.
    for number in 0..40_000 {
        fs::write(pins.join(format!("{number:0>200}")), "").unwrap();
    }
    place.configure("[serve.limits]\nstall = 1");
    let server = place.start();
    let asked = head("GET", "/?list=pins", &[]);
    let mut slow: Vec<(TcpStream, Vec<u8>)> = (0..8)
        .map(|_| {
            let mut stream = connect(&server.host);
            // Else the system would take most of the list for us.
            rustix::net::sockopt::set_socket_recv_buffer_size(&stream, 64 << 10).unwrap();
            stream.write_all(asked.as_bytes()).unwrap();
            (stream, Vec::new())
        })
        .collect();
    let mut others = |status: u16| {
        wait_for(&format!("a list with {status}"), || {
            for (stream, taken) in &mut slow {
                let mut some = [0; 1000];
                let read = stream.read(&mut some).unwrap_or(0);
                taken.extend_from_slice(&some[..read]);
            }
            (server.get("/?list=pushing").status == status).then_some(())
        });
    };
    others(503);
    others(200);
    let whole = slow.into_iter().filter_map(|(mut stream, mut taken)| {
        let _ = stream.read_to_end(&mut taken);
        assert!(taken.starts_with(b"HTTP/1.1 200"));
        taken.ends_with(b"\r\n0\r\n\r\n").then_some(taken.len())
    });
    // Whose turn had not come yet may have been fast enough at last.
    let whole: Vec<usize> = whole.collect();
    assert!(whole.len() < 8, "{whole:?} bytes are whole");
}
