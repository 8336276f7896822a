//! A real nginx on the loopback interface.

use std::{
    fs,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;
use vsbuild::remote::{Body, Error};

use crate::{name, noise, open, sentences::Place, skip};

/// A server that ends with the test.
pub(crate) struct Nginx {
    child: Child,
    /// Host and port.
    pub(crate) host: String,
    directory: TempDir,
}

impl Nginx {
    /// One that gives the files in its root, with more directives for it. None where nginx is not installed.
    pub(crate) fn start(directives: &str) -> Option<Self> {
        let program =
            ["/usr/sbin/nginx", "/usr/bin/nginx"].into_iter().find(|path| Path::new(path).exists());
        let Some(program) = program else {
            skip("nginx is not installed");
            return None;
        };
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("root")).unwrap();
        for _ in 0..5 {
            // Somebody else may take the port in between; then another one.
            let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
            let host = free.to_string();
            let dir = directory.path().display().to_string();
            let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
                .iter()
                .map(|one| format!("{one}_temp_path {dir}/{one};\n"))
                .collect();
            let text = format!(
                "daemon off; master_process off; pid {dir}/pid; error_log {dir}/log;\n\
                 events {{}}\n\
                 http {{ access_log off; {temporary}\n\
                 server {{ listen {host}; root {dir}/root; {directives} }} }}\n"
            );
            let file = directory.path().join("nginx.conf");
            fs::write(&file, text).unwrap();
            let log = fs::File::create(directory.path().join("said")).unwrap();
            let mut child = Command::new(program)
                .arg("-c")
                .arg(&file)
                .arg("-e")
                .arg(directory.path().join("log"))
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(log)
                .spawn()
                .unwrap();
            if answers(&host, &mut child) {
                return Some(Self { child, host, directory });
            }
            let _ = child.kill();
            child.wait().unwrap();
        }
        let log = fs::read_to_string(directory.path().join("said")).unwrap();
        panic!("nginx does not start: {log}");
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.directory.path().join("root")
    }
}

impl Drop for Nginx {
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

/// One that takes files, too, as docs/remotes.md has it.
pub(crate) fn writable() -> Option<Place> {
    let directives =
        "client_max_body_size 0; location / { dav_methods PUT DELETE; create_full_put_path on; }";
    let nginx = Nginx::start(directives)?;
    let remote = open(&format!("http://{}/lab/cache", nginx.host));
    Some(Place { remote, lists: false, keeps: Box::new(nginx) })
}

#[test]
fn a_server_of_files_gives_them_and_says_what_it_cannot() {
    let Some(nginx) = Nginx::start("") else { return };
    let bytes = noise(1, 100_000);
    fs::create_dir_all(nginx.root().join("lab/packs/ab")).unwrap();
    fs::write(nginx.root().join("lab/packs/ab/x"), &bytes).unwrap();
    let remote = open(&format!("http://{}/lab/", nginx.host));
    assert_eq!(remote.get(&name("packs/ab/x"), 1 << 20).unwrap(), Some(bytes));
    assert_eq!(remote.get(&name("packs/ab/y"), 1 << 20).unwrap(), None);
    let cannot = [
        remote.put(&name("packs/ab/z"), Body::Bytes(b"x")).unwrap_err(),
        remote.remove(&name("packs/ab/x")).unwrap_err(),
        remote.list(&name("packs")).unwrap_err(),
    ];
    for error in cannot {
        assert!(matches!(error, Error::Unable { .. }), "{error}");
        assert!(error.to_string().contains("only gives files"), "{error}");
    }
    assert!(!nginx.root().join("lab/packs/ab/z").exists());
}

#[test]
fn what_is_too_large_for_a_server_finds_no_room() {
    let Some(nginx) = Nginx::start("client_max_body_size 1k; location / { dav_methods PUT; }")
    else {
        return;
    };
    let remote = open(&format!("http://{}", nginx.host));
    let error = remote.put(&name("x"), Body::Bytes(&noise(1, 5000))).unwrap_err();
    assert!(matches!(error, Error::Full { .. }), "{error}");
    remote.put(&name("x"), Body::Bytes(&noise(1, 500))).unwrap();
}
