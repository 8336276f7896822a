//! Running it: certificates, logs, metrics, garbage, an end.

use std::{
    fs,
    io::{BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, SystemTime},
};

use rustix::process::Signal;
use vsbuild::{cache::Item, digest::Digest, store::Store};

use crate::{
    client::{answer, ask, connect, head},
    fill, input, noise, path,
    server::{Place, READER, Server, WRITER, said, wait_for},
    skip, tree,
};

#[test]
fn one_server_has_a_directory_and_another_one_is_told_so() {
    let place = Place::new();
    let mut again = place.command();
    let _server = place.start();
    let output = again.output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("is served already"), "{}", said(&output));
}

#[test]
fn what_is_no_cache_or_has_a_wrong_configuration_is_not_served() {
    let place = Place::new();
    fs::create_dir(place.cache()).unwrap();
    fs::write(place.cache().join("format"), "something else\n").unwrap();
    let (code, said) = place.refused();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("is no cache of this version"), "{said}");
    for (configuration, word) in [
        ("keys = [\"lab\"]", "no public key"),
        ("listne = 1", "listne"),
        ("[serve.tls]\ncertificate = \"none.pem\"\nkey = \"none.pem\"", "none.pem"),
    ] {
        let place = Place::new();
        place.configure(configuration);
        let (code, said) = place.refused();
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(word), "{configuration}: {said}");
    }
}

#[test]
fn requests_under_way_end_when_it_stops_and_new_ones_are_not_let_in() {
    let mut server = Server::start();
    let bytes = noise(1, 1_000_000);
    let mut sender = connect(&server.host);
    let length = format!("Content-Length: {}", bytes.len());
    sender.write_all(head("PUT", &input(&bytes), &[WRITER, &length]).as_bytes()).unwrap();
    sender.write_all(&bytes[..500_000]).unwrap();
    wait_for("the upload", || (server.staged() == 1).then_some(()));
    server.signal(Signal::TERM);
    wait_for("the closed door", || TcpStream::connect(&server.host).is_err().then_some(()));
    sender.write_all(&bytes[500_000..]).unwrap();
    assert_eq!(answer(&mut BufReader::new(sender), false).unwrap().status, 201);
    assert!(server.ended().success());
    assert_eq!(fs::read(server.file(&input(&bytes))).unwrap(), bytes);
}

#[test]
fn who_takes_too_long_does_not_keep_it_from_stopping() {
    let mut server = Server::with("[serve.limits]\ngrace = 1");
    let mut sender = connect(&server.host);
    sender.write_all(head("PUT", &input(b"x"), &[WRITER, "Content-Length: 9"]).as_bytes()).unwrap();
    wait_for("the upload", || (server.staged() == 1).then_some(()));
    server.signal(Signal::INT);
    assert!(server.ended().success());
}

#[test]
fn too_many_clients_are_told_to_come_again() {
    let server = Server::with("[serve.limits]\nconnections = 2");
    let inside: Vec<TcpStream> = (0..2)
        .map(|_| {
            let mut stream = connect(&server.host);
            stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
            let mut word = [0; 12];
            stream.read_exact(&mut word).unwrap();
            assert_eq!(&word, b"HTTP/1.1 200");
            stream
        })
        .collect();
    let away = server.get("/healthz");
    assert_eq!((away.status, away.header("retry-after")), (503, "2"), "{away:?}");
    drop(inside);
    wait_for("a seat", || (server.get("/healthz").status == 200).then_some(()));
    assert!(server.metric("connections_refused_total") >= 1);
}

#[test]
fn metrics_are_what_prometheus_reads() {
    let server = Server::start();
    server.put(&input(b"some"), WRITER, b"some");
    server.put(&input(b"some"), READER, b"some");
    server.get(&input(b"some"));
    server.get(&input(b"none"));
    server.logged(&input(b"none")[1..]);
    let answer = server.get("/metrics");
    assert!(answer.header("content-type").starts_with("text/plain; version=0.0.4"), "{answer:?}");
    let text = answer.text();
    let mut told = Vec::new();
    // Each value stands below its help and its type, and is a number.
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            told.push(rest.split(' ').next().unwrap().to_owned());
        } else if !line.starts_with("# HELP ") {
            let (name, value) = line.rsplit_once(' ').unwrap();
            value.parse::<u64>().unwrap();
            assert_eq!(told.last().unwrap(), name.split('{').next().unwrap(), "{line}");
        }
    }
    for line in [
        "requests_total{method=\"PUT\",status=\"201\"} 1",
        "requests_total{method=\"GET\",status=\"404\"} 1",
        "uploads_refused_total{why=\"denied\"} 1",
        "objects{kind=\"inputs\"} 1",
        "kept_bytes{kind=\"inputs\"} 4",
        "received_bytes_total 4",
    ] {
        assert!(text.contains(&format!("vsbuild_cache_{line}\n")), "{line}\n{text}");
    }
}

#[test]
fn the_log_has_a_line_a_request_without_secrets_and_can_be_moved_away() {
    let server = Server::start();
    server.put(&input(b"some"), WRITER, b"some");
    let lines = server.logged(" PUT ");
    let line = lines.iter().find(|line| line.contains(" PUT ")).unwrap();
    let words: Vec<&str> = line.split(' ').collect();
    let [time, client, name, method, asked, status, bytes, milliseconds] = words[..] else {
        panic!("{line}");
    };
    assert!(time.len() == 24 && time.ends_with('Z'), "{line}");
    assert_eq!([client, name, method, status, bytes], ["127.0.0.1", "ci", "PUT", "201", "4"]);
    assert_eq!(asked, &input(b"some")[1..]);
    milliseconds.parse::<u64>().unwrap();
    assert!(lines.iter().all(|line| !line.contains("token-of")), "{lines:?}");

    let moved = server.place.path().join("access.1");
    fs::rename(server.place.access_log(), &moved).unwrap();
    server.signal(Signal::HUP);
    server.logged("reloaded");
    server.get("/?list=pins");
    server.logged("list=pins");
    assert!(!fs::read_to_string(&moved).unwrap().contains("list=pins"));
}

/// Certificate and key for this machine, with a name that tells them apart.
fn certify(dir: &Path, name: &str) {
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
        ])
        .args(["-days", "2", "-subj", &format!("/CN={name}")])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .args(["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "cert.pem"])
        .current_dir(dir)
        .output()
        .expect("openssl is installed");
    assert!(made.status.success(), "{made:?}");
}

/// The certificate's name as a client sees it, if it believes `authority`, and whether its request was answered.
fn seen(server: &Server, authority: &Path) -> (String, bool) {
    let mut client = Command::new("openssl")
        .args(["s_client", "-connect", &server.host, "-verify_return_error", "-CAfile"])
        .arg(authority)
        .args(["-ign_eof"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let asked = head("GET", "/healthz", &[]);
    client.stdin.take().unwrap().write_all(asked.as_bytes()).unwrap();
    let said = String::from_utf8_lossy(&client.wait_with_output().unwrap().stdout).into_owned();
    let name = said.lines().find_map(|line| line.trim().strip_prefix("subject="));
    let name = name.unwrap_or_default().replace(' ', "").replace("CN=", "");
    (name, said.lines().any(|line| line == "ok"))
}

#[test]
fn it_speaks_tls_and_takes_a_new_certificate_without_an_end() {
    let place = Place::new();
    certify(place.path(), "first");
    let files = ["cert.pem", "key.pem"].map(|file| place.path().join(file).display().to_string());
    place
        .configure(&format!("[serve.tls]\ncertificate = \"{}\"\nkey = \"{}\"", files[0], files[1]));
    let server = place.start();
    assert!(server.url.starts_with("https://127.0.0.1:"), "{}", server.url);
    let first = server.place.path().join("first.pem");
    fs::copy(&files[0], &first).unwrap();
    assert_eq!(seen(&server, &first), ("first".to_owned(), true));

    fs::write(&files[1], "no key").unwrap();
    server.signal(Signal::HUP);
    server.logged("the old certificate stays");
    assert_eq!(seen(&server, &first).0, "first");
    certify(server.place.path(), "second");
    server.signal(Signal::HUP);
    wait_for("the new certificate", || {
        let new = seen(&server, Path::new(&files[0]));
        (new == ("second".to_owned(), true)).then_some(())
    });

    // The program's own client believes it, where the system does.
    let listed = |authority: &Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vsbuild"));
        command.args(["cache", "ls", &server.url]).current_dir(server.place.path());
        command.env("SSL_CERT_FILE", authority).env("HOME", server.place.path());
        let output = command.output().unwrap();
        (output.status.code(), said(&output))
    };
    let (code, refused) = listed(&first);
    assert!(code == Some(5) && refused.contains("certificate"), "{refused}");
    let (code, there) = listed(Path::new(&files[0]));
    assert_eq!(code, Some(0), "{there}");
}

#[test]
fn garbage_is_collected_but_not_what_is_pinned_or_young() {
    let (place, dir) = (Place::new(), tempfile::tempdir().unwrap());
    let store = Store::open(dir.path()).unwrap();
    let [old, kept, young] = [1, 2, 3].map(|seed| tree(&store, seed, 4, 200_000));
    fill(&place.cache(), &store, &[old, kept]);
    let pin = vsbuild::cache::Pin {
        reason: "a paper".to_owned(),
        trees: [kept].into(),
        ..vsbuild::cache::Pin::default()
    };
    let cache =
        vsbuild::cache::Cache::new(Box::new(vsbuild::remote::Directory::new(&place.cache())));
    let pinned = cache.pin("paper", &pin, &[kept].into(), &[].into()).unwrap();
    assert_eq!(pinned, vsbuild::cache::Lacking::default());
    let year = SystemTime::now() - Duration::from_secs(365 * 86400);
    for entry in walkdir::WalkDir::new(place.cache()) {
        let entry = entry.unwrap();
        if entry.file_type().is_file() {
            fs::File::options().write(true).open(entry.path()).unwrap().set_modified(year).unwrap();
        }
    }
    fill(&place.cache(), &store, &[young]);
    place.configure("[serve.gc]\nevery = 24\nolder-than = 90");
    let server = place.start();
    let lines = server.logged(" collected ");
    let there = |tree: &Digest| server.get(&path(&Item::Tree(*tree))).status;
    assert_eq!([old, kept, young].map(|tree| there(&tree)), [404, 200, 200], "{lines:?}");
    let back = tempfile::tempdir().unwrap();
    let back = Store::open(back.path()).unwrap();
    for tree in [kept, young] {
        assert!(cache.pull(&tree, &back, &|_, _| ()).unwrap());
    }
    assert!(server.metric("collected_bytes_total") > 0);
}

#[test]
fn a_collection_that_meets_a_push_says_when_it_tries_again() {
    let place = Place::new();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    fs::create_dir_all(place.cache().join("pushing")).unwrap();
    let mark = format!("{{\"act\":\"push\",\"time\":{now}}}");
    fs::write(place.cache().join("pushing/somebody"), mark).unwrap();
    place.configure("[serve.gc]\nevery = 24\nolder-than = 90");
    let server = place.start();
    let lines = server.logged("nothing collected");
    let line = lines.iter().find(|line| line.contains("nothing collected")).unwrap();
    assert!(line.contains("a push began") && line.ends_with("again in 10 minutes"), "{line}");
}

#[test]
fn odd_characters_hurt_nobody_and_are_seen_in_the_log() {
    let server = Server::start();
    for odd in ["\u{e9}", "\u{9b}31m", "\u{202e}", "'\\"] {
        for length in 290..300 {
            let path = format!("/{}{odd}", "a".repeat(length));
            let answer = ask(&server.host, "GET", &path, &[], b"");
            assert!([400, 404].contains(&answer.status), "{path}: {answer:?}");
        }
    }
    server.get("/?list=packs&\u{9b}31m");
    let lines = server.logged(r"?list=packs&\u{9b}31m 200 ");
    assert!(lines.iter().all(|line| line.bytes().all(|byte| (b' '..=b'~').contains(&byte))));
    // Nobody is thought to be inside who is not: this one alone.
    wait_for("their ends", || (server.metric("connections") == 1).then_some(()));
}

#[test]
fn who_does_not_read_the_log_does_not_keep_it_from_stopping() {
    let place = Place::new();
    let made = Command::new("mkfifo").arg(place.access_log()).status().unwrap();
    assert!(made.success());
    // There is a reader, who never reads.
    let pipe = fs::File::options().read(true).write(true).open(place.access_log()).unwrap();
    let mut server = place.start();
    let mut asking = connect(&server.host);
    let mut answers = asking.try_clone().unwrap();
    let heard = thread::spawn(move || std::io::copy(&mut answers, &mut std::io::sink()));
    let one = format!("GET /?{} HTTP/1.1\r\nHost: cache\r\n\r\n", "x".repeat(250));
    asking.write_all(one.repeat(6000).as_bytes()).unwrap();
    wait_for("a full log", || (server.metric("log_lines_lost_total") > 0).then_some(()));
    asking.shutdown(std::net::Shutdown::Both).unwrap();
    // Hung up on in the middle, it may well be broken off.
    let _ = heard.join().unwrap();
    server.signal(Signal::HUP);
    assert_eq!(server.get("/healthz").text(), "ok\n");
    server.signal(Signal::TERM);
    assert!(server.ended().success());
    drop(pipe);
}

#[test]
fn files_are_taken_from_the_directory_of_the_configuration() {
    let place = Place::new();
    certify(place.path(), "here");
    let configuration = "[serve]\nlisten = \"127.0.0.1:0\"\ntokens = \"tokens\"\n\
        access-log = \"access\"\n[serve.tls]\ncertificate = \"cert.pem\"\nkey = \"key.pem\"\n";
    fs::write(place.path().join("config.toml"), configuration).unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let mut command = place.command();
    command.current_dir(elsewhere.path());
    let server = place.start_as(command);
    let authority = server.place.path().join("cert.pem");
    assert_eq!(seen(&server, &authority), ("here".to_owned(), true));
    server.logged("healthz");
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
}

#[test]
fn a_browser_is_told_what_it_is() {
    let server = Server::start();
    let answer = ask(&server.host, "GET", "/", &[], b"");
    assert!(answer.text().contains("a cache of vsbuild"), "{answer:?}");
    if Command::new("curl").arg("--version").output().is_err() {
        skip("curl is not installed");
        return;
    }
    let curl = Command::new("curl").args(["-sf", &format!("{}/healthz", server.url)]).output();
    assert_eq!(curl.unwrap().stdout, b"ok\n");
}
