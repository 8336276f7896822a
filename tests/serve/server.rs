//! A server that ends with the test.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::client::{self, Answer};

/// Tokens that every server of these tests knows.
pub(crate) const READER: &str = "Authorization: Bearer token-of-a-reader";
pub(crate) const WRITER: &str = "Authorization: Bearer token-of-a-writer";
pub(crate) const OTHER: &str = "Authorization: Bearer token-of-another-one";
pub(crate) const ADMIN: &str = "Authorization: Bearer token-of-who-decides";

const TOKENS: &str = "\
# who may do what
reader token-of-a-reader read
ci token-of-a-writer write
other token-of-another-one write
ann token-of-who-decides admin
";

/// Where a server is to be, and with what.
pub(crate) struct Place {
    directory: TempDir,
}

pub(crate) struct Server {
    pub(crate) child: Child,
    /// Host and port.
    pub(crate) host: String,
    pub(crate) url: String,
    pub(crate) place: Place,
}

impl Place {
    pub(crate) fn new() -> Self {
        let directory = TempDir::with_prefix("vsbuild-serve-").unwrap();
        let place = Self { directory };
        place.tokens(TOKENS);
        place.configure("");
        place
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The cache.
    pub(crate) fn cache(&self) -> PathBuf {
        self.path().join("cache")
    }

    pub(crate) fn access_log(&self) -> PathBuf {
        self.path().join("access")
    }

    /// Writes the file of tokens.
    pub(crate) fn tokens(&self, text: &str) {
        let file = self.path().join("tokens");
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
    }

    /// Writes the configuration, with more lines after the first ones of `[serve]`.
    pub(crate) fn configure(&self, more: &str) {
        let (tokens, log) = (self.path().join("tokens"), self.access_log());
        let text = format!(
            "[serve]\nlisten = \"127.0.0.1:0\"\ntokens = \"{}\"\naccess-log = \"{}\"\n{more}\n",
            tokens.display(),
            log.display(),
        );
        fs::write(self.path().join("config.toml"), text).unwrap();
    }

    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vsbuild"));
        let config = self.path().join("config.toml");
        command
            .args(["--json", "--config"])
            .arg(config)
            .args(["cache", "serve"])
            .arg(self.cache())
            .current_dir(self.path())
            .env_clear()
            .env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin")
            .env("HOME", self.path());
        command
    }

    /// What it says when it does not start, and its exit code.
    pub(crate) fn refused(&self) -> (Option<i32>, String) {
        let output = self.command().output().unwrap();
        (output.status.code(), said(&output))
    }

    pub(crate) fn start(self) -> Server {
        let command = self.command();
        self.start_as(command)
    }

    /// Starts with a command that ends as [`command`](Self::command) does.
    pub(crate) fn start_as(self, mut command: Command) -> Server {
        let said = fs::File::create(self.path().join("said")).unwrap();
        let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(said).spawn();
        let mut child = spawned.unwrap();
        let stdout = child.stdout.take().unwrap();
        let first = serde_json::Deserializer::from_reader(stdout).into_iter::<Value>().next();
        let Some(Ok(listening)) = first else {
            panic!("it does not start: {}", fs::read_to_string(self.path().join("said")).unwrap());
        };
        let url = listening["listening"].as_str().unwrap().to_owned();
        let (_, host) = url.split_once("://").unwrap();
        let server = Server { child, host: host.to_owned(), url: url.clone(), place: self };
        if url.starts_with("http://") {
            // Only who answers minds signals.
            assert_eq!(server.get("/healthz").text(), "ok\n");
        }
        server
    }
}

impl Server {
    pub(crate) fn start() -> Self {
        Place::new().start()
    }

    pub(crate) fn with(configuration: &str) -> Self {
        let place = Place::new();
        place.configure(configuration);
        place.start()
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        client::ask(&self.host, "GET", path, &[], b"")
    }

    pub(crate) fn put(&self, path: &str, token: &str, body: &[u8]) -> Answer {
        client::ask(&self.host, "PUT", path, &[token], body)
    }

    pub(crate) fn delete(&self, path: &str, token: &str) -> Answer {
        client::ask(&self.host, "DELETE", path, &[token], b"")
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for its end.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(start.elapsed() < Duration::from_secs(60), "it does not end");
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Ends it and starts another one in its place.
    pub(crate) fn again(mut self) -> Self {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let empty = Place { directory: TempDir::with_prefix("vsbuild-serve-").unwrap() };
        std::mem::replace(&mut self.place, empty).start()
    }

    /// The file under a path of an URL.
    pub(crate) fn file(&self, path: &str) -> PathBuf {
        self.place.cache().join(path.trim_start_matches('/'))
    }

    /// What lies between: uploads that are not whole.
    pub(crate) fn staged(&self) -> usize {
        fs::read_dir(self.place.cache().join(".staging")).unwrap().count()
    }

    /// The value of a line of the metrics; zero if there is none yet.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let text = self.get("/metrics").text();
        let line =
            text.lines().find_map(|line| line.strip_prefix(&format!("vsbuild_cache_{name} ")));
        line.map_or(0, |value| value.parse().unwrap())
    }

    /// The lines of the access log, once one of them has `text`: they are written after the answer.
    pub(crate) fn logged(&self, text: &str) -> Vec<String> {
        wait_for(&format!("a line with {text}"), || {
            let log = fs::read_to_string(self.place.access_log()).unwrap_or_default();
            log.contains(text).then(|| log.lines().map(str::to_owned).collect())
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// All that a program said.
pub(crate) fn said(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|said| String::from_utf8_lossy(said)).concat()
}

/// Looks until there is something.
pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "{what} never came");
        thread::sleep(Duration::from_millis(20));
    }
}
