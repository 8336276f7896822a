//! What is kept of what is sent, and what is left of what is not.

use std::{
    fs,
    io::{BufReader, Write},
    process::Command,
    thread,
    time::SystemTime,
};

use vsbuild::{
    cache::{FORMAT, Image, Index, Item, PACK_SIZE, Segment, Way},
    digest::Digest,
};

use crate::{
    client::{Answer, answer, ask, connect, head},
    input, noise, path,
    server::{ADMIN, OTHER, Place, Server, WRITER, wait_for},
};

fn packed(bytes: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(bytes, 3).unwrap()
}

/// Asserts that something is refused with a word, and that nothing of it stays.
#[track_caller]
fn refused(server: &Server, place: &str, body: &[u8], status: u16, word: &str) {
    let answer = server.put(place, WRITER, body);
    assert_eq!(answer.status, status, "{place}: {answer:?}");
    assert!(answer.text().contains(word), "{place}: {answer:?}");
    assert!(!server.file(place).exists(), "{place}");
    assert_eq!(server.staged(), 0, "{place}");
}

#[test]
fn nothing_is_kept_that_is_not_what_its_name_says() {
    let server = Server::start();
    let (right, wrong) = (noise(1, 3000), noise(2, 3000));
    refused(&server, &input(&right), &wrong, 422, "these bytes have the digest");
    refused(&server, &input(&right), &right[..2999], 422, "these bytes have the digest");
    let pack = packed(&right);
    let pack_path = path(&Item::Pack(Digest::of(&pack)));
    refused(&server, &pack_path, &wrong, 422, "these bytes have the digest");
    refused(&server, &path(&Item::Pack(Digest::of(&wrong))), &wrong, 422, "cannot be unpacked");
    refused(
        &server,
        &path(&Item::Pack(Digest::of(&pack[..99]))),
        &pack[..99],
        422,
        "cannot be unpacked",
    );
    refused(&server, &path(&Item::Tree(Digest::of("x"))), &packed(b"y"), 422, "the digest");
    let other = server.put("/format", WRITER, b"vsbuild-cache 2\n");
    assert_eq!((other.status, server.get("/format").text().as_str()), (422, FORMAT));
    refused(&server, "/pushing/me", b"no JSON", 422, "it is no mark");
    for elsewhere in ["/packs/ab/cd", "/other/x", "/.staging/x", "/packs/AB"] {
        let answer = server.put(elsewhere, WRITER, b"x");
        assert!([400, 404].contains(&answer.status), "{elsewhere}: {answer:?}");
    }
    assert_eq!(server.metric("uploads_refused_total{why=\"wrong\"}"), 8);
}

#[test]
fn a_bomb_is_not_unpacked_to_its_end() {
    let server = Server::start();
    // 64 GiB of zeros in a few megabytes: a frame that repeats.
    let frame = packed(&vec![0; 64 << 20]);
    let bomb: Vec<u8> = frame.iter().copied().cycle().take(frame.len() * 1024).collect();
    let place = path(&Item::Pack(Digest::of(&bomb)));
    refused(&server, &place, &bomb, 422, &format!("longer than {PACK_SIZE} bytes, unpacked"));
    let memory = fs::read_to_string(format!("/proc/{}/status", server.child.id())).unwrap();
    let peak = memory.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap().trim();
    let kib: u64 = peak.split(' ').next().unwrap().parse().unwrap();
    assert!(kib < 256 << 10, "{peak}");
}

#[test]
fn hints_lead_to_what_is_there() {
    let server = Server::start();
    let bytes = noise(3, 5000);
    let (blob, pack) = (Digest::of(&bytes), packed(&bytes));
    let name = Digest::of(&pack);
    let index = |length| {
        let text = Index::new(vec![Segment { blob, start: 0, length }]).unwrap().encode();
        packed(text.as_bytes())
    };
    let way = |size| {
        let packs = [(name, size)].into();
        packed(Way { packs }.encode().as_bytes())
    };
    let (index_path, way_path) = (path(&Item::Index(name)), path(&Item::Way(Digest::of("tree"))));
    refused(&server, &index_path, &index(5000), 409, "send that first");
    refused(&server, &way_path, &way(pack.len() as u64), 409, "send that first");
    assert_eq!(server.put(&path(&Item::Pack(name)), WRITER, &pack).status, 201);
    refused(&server, &index_path, &index(4999), 422, "its pack has 5000");
    refused(&server, &index_path, &packed(b"no index"), 422, "line 1");
    refused(&server, &way_path, &way(1), 422, "not 1");
    assert_eq!(server.put(&index_path, WRITER, &index(5000)).status, 201);
    assert_eq!(server.put(&way_path, WRITER, &way(pack.len() as u64)).status, 201);
}

#[test]
fn an_index_is_replaced_by_an_administrator_alone_and_a_way_by_whoever_writes() {
    let server = Server::start();
    let bytes = noise(3, 5000);
    let pack = packed(&bytes);
    let name = Digest::of(&pack);
    let index = |text: &str| {
        let segment = Segment { blob: Digest::of(text), start: 0, length: 5000 };
        packed(Index::new(vec![segment]).unwrap().encode().as_bytes())
    };
    let (right, misleading) = (index("a blob"), index("another blob"));
    let (pack_path, place) = (path(&Item::Pack(name)), path(&Item::Index(name)));
    assert_eq!(server.put(&pack_path, WRITER, &pack).status, 201);
    assert_eq!(server.put(&place, WRITER, &right).status, 201);
    assert_eq!(server.put(&place, OTHER, &right).status, 200);
    let refused = server.put(&place, OTHER, &misleading);
    assert_eq!(refused.status, 409);
    assert!(refused.text().contains("has another index already"), "{refused:?}");
    assert_eq!(server.get(&place).body, right);
    assert_eq!(server.put(&place, ADMIN, &misleading).status, 200);
    // What cannot be read misleads nobody, and is mended by whoever comes.
    fs::write(server.file(&place), "damaged").unwrap();
    assert_eq!(server.put(&place, OTHER, &right).status, 200);

    let other = packed(&noise(4, 100));
    let other_name = Digest::of(&other);
    assert_eq!(server.put(&path(&Item::Pack(other_name)), WRITER, &other).status, 201);
    let place = path(&Item::Way(Digest::of("tree")));
    for (token, pack, size, status) in
        [(WRITER, name, pack.len(), 201), (OTHER, other_name, other.len(), 200)]
    {
        let way = packed(Way { packs: [(pack, size as u64)].into() }.encode().as_bytes());
        assert_eq!(server.put(&place, token, &way).status, status);
        assert_eq!(server.get(&place).body, way);
    }
}

#[test]
fn what_is_no_pin_or_no_mark_of_now_switches_no_collection_off() {
    let server = Server::start();
    let pin = path(&Item::pin("paper").unwrap());
    for text in
        ["no JSON", "[]", "{}", "{\"reason\": 1}", "{\"reason\": \"x\", \"trees\": [\"x\"]}"]
    {
        refused(&server, &pin, text.as_bytes(), 422, "it is no pin");
    }
    for text in ["{}", "{\"act\": \"rest\", \"time\": 1}", "{\"act\": \"collect\"}"] {
        refused(&server, "/pushing/me", text.as_bytes(), 422, "it is no mark");
    }
    let mark = |act: &str, time: u64| format!("{{\"act\":\"{act}\",\"time\":{time}}}").into_bytes();
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    for time in [99_999_999_999, u64::MAX, since + 3600] {
        refused(&server, "/pushing/me", &mark("collect", time), 422, "in the future");
    }
    // Clocks differ a little.
    for (time, status) in [(since, 201), (since + 60, 200), (since - 3600, 200)] {
        assert_eq!(server.put("/pushing/me", WRITER, &mark("push", time)).status, status);
    }
    assert_eq!(server.put(&pin, WRITER, b"{\"reason\": \"a paper\"}").status, 201);
}

#[test]
fn a_tree_that_is_too_long_for_a_disk_is_not_read_for_one() {
    let server = Server::start();
    let image = |tree: Digest| Image { tree }.encode();
    let place = path(&Item::Image(Digest::of("disk")));
    let trees = [vec![b'x'; 17 << 20], b"no manifest".to_vec()];
    let [long, other] = trees.map(|manifest| {
        let tree = Digest::of(&manifest);
        let stored = server.put(&path(&Item::Tree(tree)), WRITER, &packed(&manifest));
        assert_eq!(stored.status, 201);
        tree
    });
    refused(&server, &place, image(long).as_bytes(), 422, "longer than 16777216 bytes");
    refused(&server, &place, image(other).as_bytes(), 422, "cannot be read");
    refused(&server, &place, image(Digest::of("x")).as_bytes(), 409, "send that first");
}

/// The beginning of an upload: the head that promises `length` bytes, and some of them.
fn begin(
    server: &Server,
    place: &str,
    length: usize,
    bytes: &[u8],
) -> BufReader<std::net::TcpStream> {
    let mut stream = connect(&server.host);
    let head = head("PUT", place, &[WRITER, &format!("Content-Length: {length}")]);
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(bytes).unwrap();
    BufReader::new(stream)
}

#[test]
fn what_is_cut_leaves_nothing() {
    let server = Server::start();
    let bytes = noise(4, 2_000_000);
    let place = input(&bytes);
    let sender = begin(&server, &place, bytes.len(), &bytes[..1_000_000]);
    wait_for("the upload", || (server.staged() == 1).then_some(()));
    drop(sender);
    wait_for("its end", || (server.staged() == 0).then_some(()));
    assert_eq!(server.get(&place).status, 404);
    let lines = server.logged(" PUT ");
    assert!(lines.iter().any(|line| line.contains(" ci PUT inputs/")), "{lines:?}");
}

#[test]
fn a_server_that_was_killed_forgets_what_was_not_whole() {
    let server = Server::start();
    let (whole, half) = (noise(5, 300_000), noise(6, 2_000_000));
    assert_eq!(server.put(&input(&whole), WRITER, &whole).status, 201);
    let _sender = begin(&server, &input(&half), half.len(), &half[..1_500_000]);
    wait_for("the upload", || (server.staged() == 1).then_some(()));
    let server = server.again();
    assert_eq!(server.staged(), 0);
    assert_eq!(server.get(&input(&whole)).body, whole);
    assert_eq!(server.get(&input(&half)).status, 404);
    assert_eq!(server.metric("kept_bytes{kind=\"inputs\"}"), 300_000);
    assert_eq!(server.put(&input(&half), WRITER, &half).status, 201);
}

#[test]
fn who_sends_nothing_for_a_while_is_given_up() {
    let server = Server::with("[serve.limits]\nstall = 1");
    let place = input(b"never whole");
    let mut sender = begin(&server, &place, 100, b"some");
    let told = answer(&mut sender, false).unwrap();
    assert_eq!((told.status, told.header("connection")), (408, "close"), "{told:?}");
    wait_for("its end", || (server.staged() == 0).then_some(()));
}

#[test]
fn two_who_send_the_same_at_once_leave_it_once() {
    let server = Server::start();
    let bytes = noise(8, 3_000_000);
    let place = input(&bytes);
    let statuses: Vec<u16> = thread::scope(|scope| {
        let send = || server.put(&place, WRITER, &bytes).status;
        let senders: Vec<_> = (0..6).map(|_| scope.spawn(send)).collect();
        senders.into_iter().map(|sender| sender.join().unwrap()).collect()
    });
    assert!(statuses.iter().all(|status| [200, 201].contains(status)), "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 1, "{statuses:?}");
    assert_eq!(server.get(&place).body, bytes);
    assert_eq!(server.metric("objects{kind=\"inputs\"}"), 1);
    assert_eq!(server.metric("kept_bytes{kind=\"inputs\"}"), 3_000_000);
}

fn sent(server: &Server, token: &str, seed: u64, length: usize) -> Answer {
    let bytes = noise(seed, length);
    server.put(&input(&bytes), token, &bytes)
}

#[test]
fn quotas_hold_for_all_and_for_each_and_room_comes_back() {
    let server = Server::with(
        "[serve.quota]\ntotal = \"1 MB\"\ntoken = \"300 kB\"\ntokens = { ann = \"900 kB\" }",
    );
    assert_eq!(sent(&server, WRITER, 1, 250_000).status, 201);
    let full = sent(&server, WRITER, 2, 60_000);
    assert_eq!(full.status, 507);
    assert!(full.text().contains("the quota of the token ci"), "{full:?}");
    assert_eq!(sent(&server, OTHER, 2, 60_000).status, 201);
    // What somebody else brought already is still theirs.
    assert_eq!(sent(&server, OTHER, 1, 250_000).status, 507);
    assert_eq!(sent(&server, ADMIN, 3, 650_000).status, 201);
    let full = sent(&server, OTHER, 4, 100_000);
    assert!(full.text().contains("the quota of this cache"), "{full:?}");
    assert_eq!(server.delete(&input(&noise(1, 250_000)), ADMIN).status, 204);
    assert_eq!(sent(&server, OTHER, 4, 100_000).status, 201);
    // Whose is what, another server knows as well.
    let server = server.again();
    assert_eq!(sent(&server, OTHER, 5, 150_000).status, 507);
    assert_eq!(sent(&server, WRITER, 5, 150_000).status, 201);
}

#[test]
fn who_does_not_say_how_much_comes_gets_no_more_than_others() {
    let server = Server::with("[serve.limits]\nupload = 100000\n[serve.quota]\ntotal = \"10 MB\"");
    let chunked = |bytes: &[u8]| {
        let place = input(bytes);
        let mut stream = connect(&server.host);
        let head = head("PUT", &place, &[WRITER, "Transfer-Encoding: chunked"]);
        stream.write_all(head.as_bytes()).unwrap();
        for piece in bytes.chunks(10_000) {
            // Refused early, it is told so at the end.
            let _ = write!(stream, "{:x}\r\n", piece.len());
            let _ = stream.write_all(piece);
            let _ = write!(stream, "\r\n");
        }
        let _ = write!(stream, "0\r\n\r\n");
        (answer(&mut BufReader::new(stream), false).unwrap().status, place)
    };
    let (status, place) = chunked(&noise(1, 100_000));
    assert_eq!((status, server.get(&place).body.len()), (201, 100_000));
    assert_eq!(chunked(&noise(2, 100_001)).0, 413);
    assert_eq!(sent(&server, WRITER, 3, 100_001).status, 413);
    assert_eq!(server.staged(), 0);
}

#[test]
fn who_asks_first_whether_it_may_send_hears_no_before_it_sends() {
    let server = Server::start();
    let headers = ["Expect: 100-continue", "Content-Length: 5000"];
    let mut stream = connect(&server.host);
    stream.write_all(head("PUT", &input(b"x"), &headers).as_bytes()).unwrap();
    assert_eq!(answer(&mut BufReader::new(stream), false).unwrap().status, 401);
    let encoded = ask(&server.host, "PUT", &input(b"x"), &[WRITER, "Content-Encoding: gzip"], b"x");
    assert_eq!(encoded.status, 400);
}

#[test]
fn a_full_disk_is_told_and_what_was_there_stays() {
    let place = Place::new();
    let cache = place.cache();
    fs::create_dir(&cache).unwrap();
    let serve = place.command();
    // A disk of its own, which only the server sees.
    let script = format!("mount -t tmpfs -o size=2m none {} && exec \"$@\"", cache.display());
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", &script, "sh"]);
    command.arg(serve.get_program()).args(serve.get_args()).current_dir(place.path());
    command.env_clear().env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin").env("HOME", place.path());
    let server = place.start_as(command);
    assert_eq!(sent(&server, WRITER, 1, 900_000).status, 201);
    let full = sent(&server, WRITER, 2, 3_000_000);
    assert_eq!(full.status, 507);
    assert!(full.text().contains("the disk is full"), "{full:?}");
    assert_eq!(server.get(&input(&noise(1, 900_000))).body.len(), 900_000);
    assert_eq!(sent(&server, WRITER, 3, 500_000).status, 201);
}
