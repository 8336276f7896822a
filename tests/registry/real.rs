//! Debian's docker-registry on the loopback interface.

use std::{
    fs,
    io::{self, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;
use vsbuild::digest::Digest;

use crate::skip;

/// A registry that ends with the test.
pub(crate) struct Real {
    child: Child,
    /// Host and port, as images name them.
    pub(crate) host: String,
    directory: TempDir,
}

impl Real {
    /// One that lets everybody in. None where docker-registry is not installed.
    pub(crate) fn start() -> Option<Self> {
        Self::start_with(|_| String::new())
    }

    /// One with more configuration, which may name files in the directory that is given.
    pub(crate) fn start_with(configuration: impl FnOnce(&Path) -> String) -> Option<Self> {
        let version = Command::new("docker-registry").arg("--version").output();
        if version.is_err() {
            skip("docker-registry is not installed");
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        let more = configuration(directory.path());
        for _ in 0..5 {
            // Somebody else may take the port in between; then another one.
            let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
            let host = free.to_string();
            let text = format!(
                "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\n\
                 storage: {{filesystem: {{rootdirectory: {}}}, delete: {{enabled: true}}}}\n\
                 http: {{addr: '{host}', secret: test}}\n{more}",
                directory.path().join("storage").display()
            );
            let file = directory.path().join("config.yml");
            fs::write(&file, text).unwrap();
            let log = fs::File::create(directory.path().join("log")).unwrap();
            let mut child = Command::new("docker-registry")
                .arg("serve")
                .arg(&file)
                .stdin(Stdio::null())
                .stdout(log.try_clone().unwrap())
                .stderr(log)
                .spawn()
                .unwrap();
            if answers(&host, &mut child) {
                return Some(Self { child, host, directory });
            }
            let _ = child.kill();
            child.wait().unwrap();
        }
        let log = fs::read_to_string(directory.path().join("log")).unwrap();
        panic!("docker-registry does not start: {log}");
    }

    /// The file that holds a blob's bytes.
    pub(crate) fn blob(&self, bytes: &[u8]) -> PathBuf {
        self.blob_called(&Digest::of(bytes).hex())
    }

    /// The same by the blob's digest.
    pub(crate) fn blob_called(&self, hex: &str) -> PathBuf {
        let blobs = self.directory.path().join("storage/docker/registry/v2/blobs/sha256");
        blobs.join(&hex[..2]).join(hex).join("data")
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn answers(host: &str, child: &mut Child) -> bool {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(30) {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        if TcpStream::connect(host).is_ok() {
            // It may be that of somebody else.
            thread::sleep(Duration::from_millis(20));
            return child.try_wait().unwrap().is_none();
        }
        thread::sleep(Duration::from_millis(10));
    }
    false
}

/// skopeo with these arguments. None where it is not installed.
pub(crate) fn skopeo(arguments: &[&str]) -> Option<Vec<u8>> {
    let output = match Command::new("skopeo").args(arguments).output() {
        Ok(output) => output,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            skip("skopeo is not installed");
            return None;
        }
        Err(error) => panic!("skopeo: {error}"),
    };
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "skopeo {arguments:?}: {said}");
    Some(output.stdout)
}

/// A line to a server that is cut now and then.
pub(crate) struct Line {
    pub(crate) host: String,
    carried: Arc<AtomicUsize>,
}

impl Line {
    /// The first connections are cut after so many bytes towards us, later ones are not.
    pub(crate) fn new(to: &str, cuts: Vec<usize>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let carried = Arc::new(AtomicUsize::new(0));
        let (to, counter) = (to.to_owned(), carried.clone());
        let cuts = Mutex::new(cuts.into_iter());
        thread::spawn(move || {
            for near in listener.incoming().flatten() {
                let far = TcpStream::connect(&to).unwrap();
                let limit = cuts.lock().unwrap().next().unwrap_or(usize::MAX);
                let counter = counter.clone();
                let (mut from, mut out) = (near.try_clone().unwrap(), far.try_clone().unwrap());
                thread::spawn(move || {
                    let _ = io::copy(&mut from, &mut out);
                    let _ = out.shutdown(Shutdown::Write);
                });
                thread::spawn(move || carry(&far, &near, limit, &counter));
            }
        });
        Self { host, carried }
    }

    /// How many bytes came through.
    pub(crate) fn carried(&self) -> usize {
        self.carried.load(Ordering::Relaxed)
    }
}

fn carry(mut from: &TcpStream, mut to: &TcpStream, mut left: usize, carried: &AtomicUsize) {
    let mut piece = vec![0; 1 << 14];
    while let Ok(count @ 1..) = from.read(&mut piece) {
        let count = count.min(left);
        carried.fetch_add(count, Ordering::Relaxed);
        left -= count;
        if to.write_all(&piece[..count]).is_err() || left == 0 {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
