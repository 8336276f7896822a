//! A real nginx on the loopback interface, which ends with the test. Whoever includes this file has a function `skip`.

use std::{
    fs,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::skip;

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
