//! A closure of 1 GB from a cache on a web server, beside `rsync` from a daemon and `cp -a`, all on this machine; and what a second
//! image sends that shares its packages.
//!
//! nginx and rsync must be installed. Everything is made from the same seeds each time. With an argument, that is the directory
//! to work in.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a bench is a program for a person")]

use std::{
    fs,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use vsbuild::{
    cache::{Cache, Parcel},
    path::GuestPath,
    remote::{self, Directory, Options},
    store::Store,
    tree::{BlobSink, Draft, Inode, Kind, Meta, Node, Time, Tree},
};

/// Small files: 60 000 of 9 KB on average, half a GB.
const SMALL: u64 = 60_000;
/// Large ones: a dozen of 40 MB, the other half.
const LARGE: u64 = 12;
const LARGE_SIZE: usize = 40 << 20;
/// Files that the second image has besides.
const MORE: u64 = 1000;
const ROUNDS: usize = 3;

fn main() {
    let base = std::env::args().nth(1).filter(|arg| !arg.starts_with('-')).map(PathBuf::from);
    let base = base.unwrap_or_else(|| env!("CARGO_TARGET_TMPDIR").into());
    let dir = tempfile::Builder::new().prefix("vsbuild-bench-").tempdir_in(base).unwrap();
    let dir = dir.path();
    let (store, web) = (Store::open(&dir.join("store")).unwrap(), dir.join("web"));
    let first = closure(&store, 0);
    let second = closure(&store, MORE);
    let plain = dir.join("plain");
    store.export(&first, &plain).unwrap();
    let size: u64 = first.contents().map(|content| content.size).sum();
    println!("{} files, {:.2} GB", first.len(), size as f64 / 1e9);

    let cache = Cache::new(Box::new(Directory::new(&web.join("lab"))));
    let parcel = |tree: &Tree| Parcel { trees: [tree.digest()].into(), ..Parcel::default() };
    let begin = Instant::now();
    let sent = cache.push(&parcel(&first), &store, &|_, _| ()).unwrap();
    row("push into a directory", begin.elapsed(), size);
    let packed = sent.packed;
    println!("{:44} {:>8} packs, {:.2} GB", "which are", sent.packs.len(), packed as f64 / 1e9);
    let again = cache.push(&parcel(&second), &store, &|_, _| ()).unwrap();
    let share = again.packed as f64 / packed as f64 * 100.0;
    println!("{:44} {share:>8.2} % of the first", "a second image with the same packages sends");

    let nginx = nginx(dir, &web);
    let pull = best(|| pull(&format!("http://{}/lab", nginx.1), &first, &dir.join("pulled")));
    row("pull through nginx", pull, size);
    let near = best(|| pull_from(&format!("{}", web.join("lab").display()), &first, dir));
    row("pull from the directory", near, size);
    let rsync = rsync(dir, &plain);
    let source = format!("rsync://{}/plain/", rsync.1);
    let synced =
        best(|| fresh(Command::new("rsync").arg("-a").arg(source.as_str()), &dir.join("synced")));
    row("rsync -a from a daemon", synced, size);
    let copied = best(|| fresh(Command::new("cp").arg("-a").arg(&plain), &dir.join("copied")));
    row("cp -a", copied, size);
    let times = |other: Duration| other.as_secs_f64() / pull.as_secs_f64();
    println!("{:44} {:>8.2} times as fast as rsync", "pull through nginx is", times(synced));
    println!("{:44} {:>8.2} times as fast as cp", "", times(copied));
}

fn row(what: &str, time: Duration, bytes: u64) {
    let seconds = time.as_secs_f64();
    println!("{what:44} {seconds:>8.2} s {:>8.0} MB/s", bytes as f64 / 1e6 / seconds);
}

fn best(mut round: impl FnMut() -> Duration) -> Duration {
    (0..ROUNDS).map(|_| round()).min().unwrap()
}

/// A tree with the files of an image's packages, and some more.
fn closure(store: &Store, more: u64) -> Tree {
    let meta = |mode| Meta::root_owned(mode, Time::from_seconds(5));
    let mut draft = Draft::with_root(meta(0o755));
    let mut add = |path: String, bytes: Vec<u8>| {
        let path = GuestPath::new(path).unwrap();
        let content = store.put(&mut bytes.as_slice()).unwrap();
        let node = Node::Inode(Inode { meta: meta(0o644), kind: Kind::File(content) });
        draft.ensure_parents(&path, &meta(0o755));
        draft.insert(path, node);
    };
    for number in 0..SMALL + more {
        let length = 1000 + (chance(number) % 16_000) as usize;
        add(format!("usr/share/{}/{number}", number % 500), bytes(number, length));
    }
    for number in 0..LARGE {
        add(format!("usr/lib/{number}"), bytes(1 << 40 | number, LARGE_SIZE));
    }
    let tree = draft.finish().unwrap();
    store.put_tree(&tree).unwrap();
    tree
}

fn chance(seed: u64) -> u64 {
    let mut bits = seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// Bytes that compress to about half, as programs do.
fn bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut all = Vec::with_capacity(length + 16);
    let mut state = chance(seed);
    while all.len() < length {
        state = chance(state);
        all.extend_from_slice(&state.to_le_bytes());
        all.extend_from_slice(&(state & 0x0f).to_be_bytes());
    }
    all.truncate(length);
    all
}

fn pull(address: &str, tree: &Tree, to: &Path) -> Duration {
    let _ = fs::remove_dir_all(to);
    let store = Store::open(to).unwrap();
    let remote = remote::open(&address.parse().unwrap(), &Options::default()).unwrap();
    let cache = Cache::new(remote);
    settle();
    let begin = Instant::now();
    assert!(cache.pull(&tree.digest(), &store, &|_, _| ()).unwrap());
    begin.elapsed()
}

fn pull_from(address: &str, tree: &Tree, dir: &Path) -> Duration {
    pull(address, tree, &dir.join("near"))
}

fn fresh(command: &mut Command, to: &Path) -> Duration {
    let _ = fs::remove_dir_all(to);
    // The target is the last argument, and there only once.
    let mut whole = Command::new(command.get_program());
    whole.args(command.get_args()).arg(to);
    settle();
    let begin = Instant::now();
    assert!(whole.status().unwrap().success(), "{whole:?}");
    begin.elapsed()
}

/// What was written before is not written during what is timed.
fn settle() {
    assert!(Command::new("sync").status().unwrap().success());
}

/// A server that ends with the bench, and where it is.
struct Server(Child, String);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(command: &mut Command, host: String) -> Server {
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while TcpStream::connect(&host).is_err() {
        thread::sleep(Duration::from_millis(20));
    }
    Server(child, host)
}

fn free() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

fn nginx(dir: &Path, web: &Path) -> Server {
    let (host, dir, web) = (free(), dir.display(), web.display());
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|one| format!("{one}_temp_path {dir}/{one};\n"))
        .collect();
    let user = if rustix::process::geteuid().is_root() { "user root;\n" } else { "" };
    let text = format!(
        "{user}daemon off; pid {dir}/pid; error_log {dir}/log;\nevents {{}}\n\
         http {{ access_log off; sendfile on; {temporary}\nserver {{ listen {host}; root {web}; }} }}\n"
    );
    let file = format!("{dir}/nginx.conf");
    fs::write(&file, text).unwrap();
    let log = format!("{dir}/log");
    start(Command::new("/usr/sbin/nginx").args(["-c", &file, "-e", &log]), host)
}

fn rsync(dir: &Path, plain: &Path) -> Server {
    let host = free();
    let (address, port) = host.split_once(':').unwrap();
    let owner = if rustix::process::geteuid().is_root() { "uid = 0\ngid = 0\n" } else { "" };
    let text = format!(
        "use chroot = no\n{owner}address = {address}\nport = {port}\n[plain]\npath = {}\nread only = yes\n",
        plain.display()
    );
    let file = dir.join("rsyncd.conf");
    fs::write(&file, text).unwrap();
    let mut command = Command::new("rsync");
    command.args(["--daemon", "--no-detach"]).arg(format!("--config={}", file.display()));
    start(&mut command, host)
}
