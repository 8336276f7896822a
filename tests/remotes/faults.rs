//! Servers that are down, slow, cut off, or do not say the truth.

use std::{
    fs,
    io::Write,
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use vsbuild::remote::{Body, Error, Options, Remote};

use crate::{
    name, noise, open, open_with, options,
    real::{Line, Real},
    s3,
    server::{Answer, Server},
    server_of_files::Nginx,
};

/// Nothing listens there.
fn nobody() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// All that can be asked of a remote, and that it is said to be unreachable.
fn unreachable(remote: &dyn Remote) {
    let dir = tempfile::tempdir().unwrap();
    let x = name("packs/x");
    for error in [
        remote.get(&x, 10).map(drop).unwrap_err(),
        remote.fetch(&x, 10, &dir.path().join("partial"), &|_| ()).map(drop).unwrap_err(),
        remote.has(&x).map(drop).unwrap_err(),
        remote.put(&x, Body::Bytes(b"x")).unwrap_err(),
        remote.list(&x).map(drop).unwrap_err(),
        remote.remove(&x).unwrap_err(),
    ] {
        assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
        assert!(error.to_string().starts_with(remote.address()), "{error}");
    }
}

#[test]
fn a_server_that_is_down_is_said_to_be() {
    let host = nobody();
    unreachable(&*open(&format!("http://{host}/cache")));
    unreachable(&*open(&format!("oci://{host}/cache")));
    let endpoint = Some(format!("http://{host}"));
    unreachable(&*open_with("s3://lab-cache", &Options { endpoint, ..options() }));
}

#[test]
fn a_server_that_says_nothing_is_given_up() {
    // It takes connections, and that is all.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap();
    let options = Options { stall: Duration::from_millis(150), ..options() };
    unreachable(&*open_with(&format!("http://{host}/cache"), &options));
    let endpoint = Some(format!("http://{host}"));
    unreachable(&*open_with("s3://lab-cache", &Options { endpoint, ..options }));
}

#[test]
fn a_server_that_fails_is_asked_twice_and_no_more() {
    let server = Server::new(|_, _| Answer::new(503));
    let remote = open(&format!("http://{}", server.host));
    unreachable(&*remote);
    assert_eq!(server.requests().len(), 12);
}

#[test]
fn a_server_that_fails_once_does_no_harm() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = noise(1, 1000);
    let sent = bytes.clone();
    let server = Server::new(move |before, _| match before % 2 {
        0 => Answer::new([500, 429, 503][before / 2 % 3]),
        _ => Answer::bytes(sent.clone()),
    });
    let remote = open(&format!("http://{}", server.host));
    assert_eq!(remote.get(&name("x"), 1000).unwrap().as_ref(), Some(&bytes));
    assert!(remote.fetch(&name("x"), 1000, &dir.path().join("partial"), &|_| ()).unwrap());
    assert!(remote.has(&name("x")).unwrap());
    remote.put(&name("x"), Body::Bytes(&bytes)).unwrap();
    assert!(server.requests()[7].body == bytes);
}

/// A server that says a length and hangs up after less, from any offset.
fn cutting(bytes: Vec<u8>, at_once: usize) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = asked.clone();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            counter.fetch_add(1, Ordering::Relaxed);
            let mut request = Vec::new();
            let mut byte = [0; 1];
            while !request.ends_with(b"\r\n\r\n")
                && matches!(std::io::Read::read(&mut stream, &mut byte), Ok(1))
            {
                request.push(byte[0]);
            }
            let text = String::from_utf8_lossy(&request).to_lowercase();
            let from = text
                .split("range: bytes=")
                .nth(1)
                .and_then(|rest| rest.split('-').next()?.parse().ok());
            let from: usize = from.unwrap_or(0);
            let (left, all) = (bytes.len() - from, bytes.len());
            let status = if from == 0 { "200 OK" } else { "206 Partial Content" };
            let head = format!(
                "HTTP/1.1 {status}\r\nContent-Length: {left}\r\nContent-Range: bytes {from}-{}/{all}\r\n\r\n",
                all - 1
            );
            let _ = stream.write_all(head.as_bytes());
            let _ = stream.write_all(&bytes[from..all.min(from + at_once)]);
        }
    });
    (host, asked)
}

#[test]
fn a_transfer_that_is_cut_goes_on_as_long_as_it_moves() {
    let dir = tempfile::tempdir().unwrap();
    let partial = dir.path().join("partial");
    let bytes = noise(1, 9 << 20);
    let size = bytes.len() as u64;
    let (host, asked) = cutting(bytes.clone(), 2 << 20);
    assert!(open(&format!("http://{host}")).fetch(&name("x"), size, &partial, &|_| ()).unwrap());
    assert!(fs::read(&partial).unwrap() == bytes);
    assert_eq!(asked.load(Ordering::Relaxed), 5);
    // One that hardly moves is given up, and what came is kept.
    fs::remove_file(&partial).unwrap();
    let (host, asked) = cutting(bytes.clone(), 1000);
    let error =
        open(&format!("http://{host}")).fetch(&name("x"), size, &partial, &|_| ()).unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
    assert_eq!(asked.load(Ordering::Relaxed), 2);
    let kept = fs::read(&partial).unwrap();
    assert!(!kept.is_empty() && bytes.starts_with(&kept));
}

#[test]
fn a_line_that_is_cut_costs_a_second_try() {
    let dir = tempfile::tempdir().unwrap();
    let partial = dir.path().join("partial");
    let Some(nginx) = Nginx::start("") else { return };
    let bytes = noise(1, 1 << 20);
    fs::write(nginx.root().join("x"), &bytes).unwrap();
    let line = Line::new(&nginx.host, vec![600_000]);
    let remote = open(&format!("http://{}", line.host));
    assert!(remote.fetch(&name("x"), 1 << 20, &partial, &|_| ()).unwrap());
    assert!(fs::read(&partial).unwrap() == bytes);
    // It did not begin again.
    assert!(line.carried() < 1_200_000, "{}", line.carried());
}

#[test]
fn a_server_that_lies_about_lengths_is_not_believed() {
    let dir = tempfile::tempdir().unwrap();
    let partial = dir.path().join("partial");
    let server = Server::new(|_, _| Answer::bytes(noise(1, 2000)));
    let remote = open(&format!("http://{}", server.host));
    for size in [1000, 3000] {
        let error = remote.fetch(&name("x"), size, &partial, &|_| ()).unwrap_err();
        assert!(matches!(error, Error::Wrong { .. }), "{error}");
        assert!(error.to_string().contains("2000"), "{error}");
    }
    assert!(remote.get(&name("x"), 1999).is_err());
}

#[test]
fn a_server_that_never_ends_is_cut_off() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
                let chunk = format!("400\r\n{}\r\n", "x".repeat(1024));
                let mut written = stream.write_all(head.as_bytes());
                while written.is_ok() {
                    written = stream.write_all(chunk.as_bytes());
                }
            });
        }
    });
    let dir = tempfile::tempdir().unwrap();
    let partial = dir.path().join("partial");
    let remote = open(&format!("http://{host}"));
    for error in [
        remote.get(&name("x"), 5000).map(drop).unwrap_err(),
        remote.list(&name("x")).map(drop).unwrap_err(),
        remote.fetch(&name("x"), 5000, &partial, &|_| ()).map(drop).unwrap_err(),
    ] {
        assert!(matches!(error, Error::Wrong { .. }), "{error}");
    }
    // What is too long has no beginning that is worth keeping.
    assert_eq!(fs::read(&partial).unwrap(), b"");
}

#[test]
fn a_damaged_blob_of_a_registry_is_refused() {
    let Some(registry) = Real::start() else { return };
    let remote = open(&format!("oci://{}/team/cache", registry.host));
    let bytes = noise(1, 5000);
    remote.put(&name("packs/x"), Body::Bytes(&bytes)).unwrap();
    let mut damaged = bytes.clone();
    damaged[100] ^= 1;
    fs::write(registry.blob(&bytes), damaged).unwrap();
    let error = remote.get(&name("packs/x"), 5000).unwrap_err();
    assert!(matches!(error, Error::Wrong { .. }), "{error}");
}

#[test]
fn a_push_to_a_store_that_is_cut_is_sent_again() {
    let store = s3::Store::start();
    let line = Line::new(&store.host, vec![10]);
    let endpoint = Some(format!("http://{}", line.host));
    let options = Options { endpoint, ..store.options("lab", "the lab's secret") };
    let remote = open_with("s3://lab-cache", &options);
    let bytes = noise(1, 100_000);
    remote.put(&name("packs/x"), Body::Bytes(&bytes)).unwrap();
    assert!(fs::read(store.bucket().join("packs/x")).unwrap() == bytes);
}

#[test]
fn a_server_without_room_says_so() {
    for status in [413, 507] {
        let server =
            Server::new(move |_, _| Answer::bytes("the quota of 1 GiB is reached").status(status));
        let endpoint = Some(format!("http://{}", server.host));
        for remote in [
            open(&format!("http://{}", server.host)),
            open_with("s3://lab-cache", &Options { endpoint, ..options() }),
        ] {
            let error = remote.put(&name("x"), Body::Bytes(b"1")).unwrap_err();
            assert!(matches!(error, Error::Full { .. }), "{error}");
            assert!(error.to_string().contains("the quota of 1 GiB"), "{error}");
        }
        assert_eq!(server.requests().len(), 2);
        let registry = Server::new(move |_, request| match request.method.as_str() {
            "HEAD" => Answer::new(404),
            _ => Answer::new(status),
        });
        let remote = open(&format!("oci://{}/x", registry.host));
        let error = remote.put(&name("x"), Body::Bytes(b"1")).unwrap_err();
        assert!(matches!(error, Error::Full { .. }), "{error}");
    }
}
