//! Fetching from servers that misbehave, over the loopback interface.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use std::{
    cell::RefCell,
    collections::{BTreeMap, VecDeque},
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use vsbuild::{
    digest::Digest,
    fetch::{Error, Fetcher, Mirror, Mirrors, Options, Progress, Proxies, Source, Want},
};

/// What a server does with one request. When there are no more orders, it answers as it should.
#[derive(Clone, Copy)]
enum Fault {
    /// Says the whole length and hangs up after so many bytes of the body.
    Truncate(usize),
    /// This status and no more.
    Status(u16),
    /// Other bytes of the same length.
    WrongBytes,
    /// Goes on after the end, without a length.
    TooLong,
    /// A length that is not that of the file.
    OtherLength,
    /// Does not know what a range is.
    NoRange,
    /// Answers a range with another one.
    OtherRange,
    /// Falls silent after so many bytes of the body.
    Stall(usize),
    /// Sends the client to `/moved` before the path.
    Redirect,
    /// Hangs up at once.
    HangUp,
}

/// A server on the loopback interface with one file at every path.
struct Server {
    address: String,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    content: Vec<u8>,
    faults: VecDeque<Fault>,
    requests: Vec<Request>,
    served: usize,
}

#[derive(Debug, Clone, PartialEq)]
struct Request {
    path: String,
    from: Option<usize>,
}

impl Server {
    fn new(content: &[u8], faults: &[Fault]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/debian", listener.local_addr().unwrap());
        let faults = faults.iter().copied().collect();
        let state = State { content: content.to_vec(), faults, ..State::default() };
        let state = Arc::new(Mutex::new(state));
        let shared = state.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = shared.clone();
                thread::spawn(move || while serve(&stream, &state).is_some() {});
            }
        });
        Self { address, state }
    }

    fn requests(&self) -> Vec<Request> {
        self.state.lock().unwrap().requests.clone()
    }

    fn served(&self) -> usize {
        self.state.lock().unwrap().served
    }
}

/// Answers one request. None when the connection is to be closed.
fn serve(mut stream: &TcpStream, state: &Mutex<State>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|count| *count > 0)?;
        if line.trim().is_empty() {
            break;
        }
        head.push(line.trim().to_ascii_lowercase());
    }
    let path = head.first()?.split(' ').nth(1)?.to_owned();
    let from = head.iter().find_map(|line| line.strip_prefix("range: bytes="));
    let from = from.map(|range| range.trim_end_matches('-').parse::<usize>().unwrap());
    let (content, fault) = {
        let mut state = state.lock().unwrap();
        state.requests.push(Request { path: path.clone(), from });
        (state.content.clone(), state.faults.pop_front())
    };
    let size = content.len();
    let mut body = content;
    let mut status = "200 OK".to_owned();
    let mut headers = String::new();
    match (from, fault) {
        (_, Some(Fault::HangUp)) => return None,
        (_, Some(Fault::NoRange)) | (None, _) => (),
        (Some(from), _) if from >= size => "416 Range Not Satisfiable".clone_into(&mut status),
        (Some(from), fault) => {
            "206 Partial Content".clone_into(&mut status);
            let told = if matches!(fault, Some(Fault::OtherRange)) { from - 1 } else { from };
            headers = format!("Content-Range: bytes {told}-{}/{size}\r\n", size - 1);
            body.drain(..told);
        }
    }
    let mut length = Some(body.len());
    let mut cut = None;
    let mut silent = false;
    match fault {
        Some(Fault::Truncate(count)) => cut = Some(count),
        Some(Fault::Stall(count)) => (cut, silent) = (Some(count), true),
        Some(Fault::Status(code)) => {
            status = format!("{code} Whatever");
            body.clear();
            length = Some(0);
        }
        Some(Fault::WrongBytes) => body.iter_mut().for_each(|byte| *byte ^= 1),
        Some(Fault::TooLong) => {
            body.extend([0; 100_000]);
            length = None;
        }
        Some(Fault::OtherLength) => {
            body.push(0);
            length = Some(body.len());
        }
        Some(Fault::Redirect) => {
            "302 Found".clone_into(&mut status);
            headers = format!("Location: /moved{path}\r\n");
            body.clear();
            length = Some(0);
        }
        _ => (),
    }
    let length = length.map(|length| format!("Content-Length: {length}\r\n")).unwrap_or_default();
    let closes = cut.is_some() || length.is_empty();
    let connection = if closes { "Connection: close\r\n" } else { "" };
    // In one write, or the two ends would wait for each other's small packets.
    let head = format!("HTTP/1.1 {status}\r\n{headers}{length}{connection}\r\n");
    stream.write_all(head.as_bytes()).ok()?;
    body.truncate(cut.unwrap_or(body.len()));
    for piece in body.chunks(1 << 14) {
        // Counted first: the client may be done with it before this thread goes on.
        state.lock().unwrap().served += piece.len();
        stream.write_all(piece).ok()?;
    }
    if silent {
        // Until the client has lost patience.
        let _ = reader.read(&mut [0]);
    }
    (!closes).then_some(())
}

fn content() -> Vec<u8> {
    (0..100_000u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect()
}

const PATH: &str = "pool/main/g/g++/g++_1~2.deb";

fn in_archive(archive: &str, path: &str) -> Source {
    Source::Archive { archive: archive.to_owned(), path: path.to_owned() }
}

fn want() -> Want {
    let content = content();
    Want {
        source: in_archive("debian", PATH),
        size: content.len() as u64,
        sha256: Digest::of(content),
    }
}

fn options() -> Options {
    Options {
        attempts: 3,
        backoff: Duration::from_millis(2),
        connect: Duration::from_secs(5),
        stall: Duration::from_millis(300),
        proxies: Proxies::NONE,
        ..Options::default()
    }
}

fn fetcher(servers: &[&Server]) -> Fetcher {
    let mut mirrors = Mirrors::default();
    for server in servers {
        mirrors.add("debian", Mirror::parse(&server.address).unwrap());
    }
    Fetcher::new(mirrors, options())
}

struct Place {
    _directory: tempfile::TempDir,
    partial: PathBuf,
}

fn place() -> Place {
    let directory = tempfile::tempdir().unwrap();
    let partial = directory.path().join("x.partial");
    Place { _directory: directory, partial }
}

fn fetch(fetcher: &Fetcher, partial: &Path) -> Result<(), Error> {
    let result = fetcher.fetch(&want(), partial, &|_| ());
    if result.is_ok() {
        assert_eq!(std::fs::read(partial).unwrap(), content());
    }
    result
}

#[test]
fn a_file_is_fetched_once_and_whole() {
    let server = Server::new(&content(), &[]);
    let place = place();
    let fetcher = fetcher(&[&server]);
    fetch(&fetcher, &place.partial).unwrap();
    let path = "/debian/pool/main/g/g%2b%2b/g%2b%2b_1~2.deb".to_owned();
    assert_eq!(server.requests(), [Request { path, from: None }]);
    fetch(&fetcher, &place.partial).unwrap();
    assert_eq!(server.requests().len(), 1, "what is there already is only checked");
}

#[test]
fn a_broken_transfer_goes_on_where_it_was() {
    let server = Server::new(&content(), &[Fault::Truncate(150_000), Fault::Truncate(90_000)]);
    let place = place();
    fetch(&fetcher(&[&server]), &place.partial).unwrap();
    let from: Vec<_> = server.requests().iter().map(|request| request.from).collect();
    assert_eq!(from, [None, Some(150_000), Some(240_000)]);
    assert_eq!(server.served(), content().len(), "no byte is sent twice");
}

#[test]
fn what_an_earlier_run_left_is_the_beginning() {
    let server = Server::new(&content(), &[]);
    let place = place();
    std::fs::write(&place.partial, &content()[..399_000]).unwrap();
    fetch(&fetcher(&[&server]), &place.partial).unwrap();
    assert_eq!(server.served(), 1000);
}

#[test]
fn a_failed_fetch_leaves_a_beginning_for_the_next() {
    let broken = Server::new(&content(), &[Fault::Truncate(100_000); 3]);
    let place = place();
    let error = fetch(&fetcher(&[&broken]), &place.partial).unwrap_err();
    assert!(matches!(error, Error::Failed { .. }), "{error}");
    assert_eq!(std::fs::metadata(&place.partial).unwrap().len(), 300_000);
    let good = Server::new(&content(), &[]);
    fetch(&fetcher(&[&good]), &place.partial).unwrap();
    assert_eq!(good.served(), 100_000);
}

#[test]
fn a_server_without_ranges_begins_anew() {
    for fault in [Fault::NoRange, Fault::OtherRange] {
        let server = Server::new(&content(), &[fault]);
        let place = place();
        std::fs::write(&place.partial, &content()[..1000]).unwrap();
        fetch(&fetcher(&[&server]), &place.partial).unwrap();
    }
}

#[test]
fn a_wrong_beginning_costs_one_more_request() {
    let server = Server::new(&content(), &[]);
    let place = place();
    std::fs::write(&place.partial, vec![7; 1000]).unwrap();
    fetch(&fetcher(&[&server]), &place.partial).unwrap();
    let from: Vec<_> = server.requests().iter().map(|request| request.from).collect();
    assert_eq!(from, [Some(1000), None]);
}

#[test]
fn more_than_the_file_is_no_beginning() {
    for length in [content().len(), content().len() + 1] {
        let server = Server::new(&content(), &[]);
        let place = place();
        std::fs::write(&place.partial, vec![7; length]).unwrap();
        let result = fetch(&fetcher(&[&server]), &place.partial);
        result.unwrap();
    }
}

#[test]
fn errors_of_a_moment_are_tried_again() {
    for fault in [
        Fault::Status(500),
        Fault::Status(503),
        Fault::Status(429),
        Fault::HangUp,
        Fault::Stall(10),
        Fault::Truncate(0),
    ] {
        let server = Server::new(&content(), &[fault, fault]);
        fetch(&fetcher(&[&server]), &place().partial).unwrap();
        assert_eq!(server.requests().len(), 3);
    }
}

#[test]
fn a_silent_server_is_given_up() {
    let server = Server::new(&content(), &[Fault::Stall(5); 9]);
    let start = Instant::now();
    let error = fetch(&fetcher(&[&server]), &place().partial).unwrap_err().to_string();
    assert!(error.contains("timed out after 15 bytes"), "{error}");
    assert!(start.elapsed() < Duration::from_secs(10));
}

#[test]
fn wrong_bytes_are_never_kept() {
    for fault in [Fault::WrongBytes, Fault::TooLong, Fault::OtherLength, Fault::Status(403)] {
        let bad = Server::new(&content(), &[fault; 9]);
        let place = place();
        let error = fetch(&fetcher(&[&bad]), &place.partial).unwrap_err();
        assert!(matches!(error, Error::Failed { .. }), "{error}");
        assert!(!place.partial.exists());
        assert_eq!(bad.requests().len(), 1, "it would only lie again");
        let good = Server::new(&content(), &[]);
        let bad = Server::new(&content(), &[fault; 9]);
        fetch(&fetcher(&[&bad, &good]), &place.partial).unwrap();
    }
}

#[test]
fn too_long_a_body_is_not_read_to_its_end() {
    let server = Server::new(&vec![0; 50 << 20], &[Fault::TooLong]);
    let want = Want { size: 1000, ..want() };
    let place = place();
    fetcher(&[&server]).fetch(&want, &place.partial, &|_| ()).unwrap_err();
    assert!(server.served() < 40 << 20, "{} bytes", server.served());
}

#[test]
fn another_mirror_helps_at_once() {
    let missing = Server::new(&content(), &[Fault::Status(404); 9]);
    let good = Server::new(&content(), &[Fault::Truncate(1000)]);
    fetch(&fetcher(&[&missing, &good]), &place().partial).unwrap();
    assert_eq!(missing.requests().len(), 1, "a mirror without the file is not asked twice");
    assert_eq!(good.served(), content().len());
}

#[test]
fn a_redirect_is_followed() {
    let server = Server::new(&content(), &[Fault::Redirect, Fault::Redirect]);
    fetch(&fetcher(&[&server]), &place().partial).unwrap();
    assert!(server.requests()[2].path.starts_with("/moved/moved/debian/"));
    let circle = Server::new(&content(), &[Fault::Redirect; 99]);
    let error = fetch(&fetcher(&[&circle]), &place().partial).unwrap_err().to_string();
    assert!(error.contains("redirected"), "{error}");
    assert!(circle.requests().len() < 20);
}

#[test]
fn what_is_gone_says_where_it_was_sought_and_what_helps() {
    let one = Server::new(&content(), &[Fault::Status(404); 9]);
    let two = Server::new(&content(), &[Fault::Status(410); 9]);
    let error = fetch(&fetcher(&[&one, &two]), &place().partial).unwrap_err();
    assert!(matches!(&error, Error::Gone { name, .. } if name == "g++_1~2.deb"));
    let text = error.to_string();
    for part in [&one.address, &two.address, "404", "410", "pool/main/g/g++/g++_1~2.deb"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let hint = error.hint().unwrap();
    for part in ["another mirror", "snapshot", "cache", "lock --update", "VSBUILD_MIRROR_DEBIAN"] {
        assert!(hint.contains(part), "{part} in {hint}");
    }
}

#[test]
fn a_file_that_some_mirror_may_have_is_not_gone() {
    let missing = Server::new(&content(), &[Fault::Status(404); 9]);
    let down = Server::new(&content(), &[Fault::Status(500); 9]);
    let error = fetch(&fetcher(&[&missing, &down]), &place().partial).unwrap_err();
    assert!(matches!(error, Error::Failed { .. }), "{error}");
    assert_eq!((missing.requests().len(), down.requests().len()), (1, 3));
}

#[test]
fn a_server_that_is_not_there_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://user:secret@{}/debian", listener.local_addr().unwrap());
    drop(listener);
    let mut mirrors = Mirrors::default();
    mirrors.add("debian", Mirror::parse(&address).unwrap());
    let error = fetch(&Fetcher::new(mirrors, options()), &place().partial).unwrap_err().to_string();
    assert!(error.contains("no connection") && error.contains("refused"), "{error}");
    assert!(!error.contains("secret"), "{error}");
}

#[test]
fn an_archive_without_a_mirror_says_how_to_name_one() {
    let want = Want { source: in_archive("debian-ports", PATH), ..want() };
    let error = fetcher(&[]).fetch(&want, &place().partial, &|_| ()).unwrap_err();
    assert!(matches!(error, Error::NoMirror { .. }));
    let hint = error.hint().unwrap();
    assert!(
        hint.contains("VSBUILD_MIRROR_DEBIAN_PORTS=") && hint.contains("debian-ports = ["),
        "{hint}"
    );
}

#[test]
fn offline_asks_no_server_but_reads_directories() {
    let server = Server::new(&content(), &[]);
    let mut mirrors = Mirrors::default();
    mirrors.add("debian", Mirror::parse(&server.address).unwrap());
    let offline = || Options { offline: true, ..options() };
    let error = fetch(&Fetcher::new(mirrors.clone(), offline()), &place().partial).unwrap_err();
    assert!(matches!(error, Error::Offline { .. }), "{error}");
    assert_eq!(server.requests(), []);
    let copy = tempfile::tempdir().unwrap();
    let file = copy.path().join("debian").join(PATH);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(file, content()).unwrap();
    mirrors
        .add("debian", Mirror::parse(&format!("file://{}/debian", copy.path().display())).unwrap());
    let place = place();
    std::fs::write(&place.partial, &content()[..1000]).unwrap();
    fetch(&Fetcher::new(mirrors, offline()), &place.partial).unwrap();
}

#[test]
fn a_path_cannot_leave_the_archive() {
    let server = Server::new(&content(), &[]);
    let want = Want { source: in_archive("debian", "pool/../../x"), ..want() };
    let error = fetcher(&[&server]).fetch(&want, &place().partial, &|_| ()).unwrap_err();
    assert!(matches!(error, Error::BadPath { .. }));
    assert_eq!(server.requests(), []);
}

#[test]
fn progress_tells_the_whole_story() {
    let server = Server::new(&content(), &[Fault::Truncate(1000)]);
    let story = RefCell::new(Vec::new());
    let tell = |event: Progress<'_>| {
        story.borrow_mut().push(match event {
            Progress::Asked { from, .. } => format!("asked {from}"),
            Progress::Reached(length) => format!("reached {length}"),
            Progress::Failed { why, .. } => format!("failed: {why}"),
            Progress::Waiting(_) => "waiting".to_owned(),
        });
    };
    fetcher(&[&server]).fetch(&want(), &place().partial, &tell).unwrap();
    let story = story.into_inner();
    assert_eq!(&story[..3], ["asked 0", "reached 0", "reached 1000"]);
    assert!(story[3].starts_with("failed: broken off"), "{}", story[3]);
    assert_eq!(&story[4..7], ["waiting", "asked 1000", "reached 1000"]);
    assert_eq!(story.last().unwrap(), "reached 400000");
}

#[test]
fn many_files_are_fetched_at_a_time() {
    let server = Server::new(&content(), &[]);
    let directory = tempfile::tempdir().unwrap();
    let mut wants: Vec<(Want, PathBuf)> = (0..20)
        .map(|n| {
            let source = in_archive("debian", &format!("pool/{n}.deb"));
            let partial = directory.path().join(n.to_string());
            (Want { source, ..want() }, partial)
        })
        .collect();
    wants[7].0.sha256 = Digest::of("something else");
    let reached = Mutex::new(BTreeMap::new());
    let results = fetcher(&[&server]).fetch_all(&wants, &|at, event| {
        if let Progress::Reached(length) = event {
            reached.lock().unwrap().insert(at, length);
        }
    });
    let failed: Vec<usize> =
        (0..20).filter(|at| results.get(*at).is_none_or(Result::is_err)).collect();
    assert_eq!(failed, [7]);
    assert!(reached.into_inner().unwrap().values().all(|length| *length == 400_000));
}

#[test]
fn documents_have_a_limit_and_are_never_resumed() {
    let server = Server::new(&content(), &[Fault::Truncate(1000)]);
    let fetcher = fetcher(&[&server]);
    assert_eq!(fetcher.document("debian", "dists/x/InRelease", 400_000).unwrap(), content());
    assert!(server.requests().iter().all(|request| request.from.is_none()));
    for faults in [&[][..], &[Fault::TooLong]] {
        server.state.lock().unwrap().faults.extend(faults);
        let error = fetcher.document("debian", "dists/x/InRelease", 399_999).unwrap_err();
        assert!(error.to_string().contains("399999"), "{error}");
    }
}

#[test]
fn an_index_is_verified() {
    let server = Server::new(&content(), &[Fault::Truncate(1000)]);
    let fetcher = fetcher(&[&server]);
    let Want { size, sha256, .. } = want();
    assert_eq!(fetcher.verified("debian", "x", size, sha256).unwrap(), content());
    assert_eq!(server.served(), content().len());
    let error = fetcher.verified("debian", "x", size, Digest::of("")).unwrap_err().to_string();
    assert!(error.contains("its sha256 is"), "{error}");
    assert!(fetcher.verified("debian", "x", size - 1, sha256).is_err());
}
