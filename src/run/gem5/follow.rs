//! A gem5 under way: what it and its guest say is read along, and it is stopped when nothing can come of it any more.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::{Error, Event, leg::places};
use crate::run::{Said, console, running::Running, tie};

/// How often the files are looked at.
const LOOK: Duration = Duration::from_millis(100);
/// How long a gem5 may say nothing: its heart beats every two seconds, but one checkpoint of much memory takes longer.
const SILENCE: Duration = Duration::from_secs(600);
/// How long a guest may retire no instruction, in ticks: a minute.
const NO_INSTRUCTION: u64 = 60 * 1_000_000_000_000;
/// How long the console is listened to after the kernel gave up, for the lines that say why.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// How many lines of the console are kept for messages.
const TAIL: usize = 15;

/// What a leg lets know while it is under way.
#[derive(Debug)]
pub enum Sign<'a> {
    /// The guest said something.
    Said(&'a Said),
    /// The harness told something.
    Event(&'a Event),
    /// A stage begins, or is found in the store.
    Stage(super::StageName, bool),
    /// Something that a person should know.
    Note(&'a str),
}

/// Why a leg was stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// It took longer than it may.
    TimedOut,
    /// gem5 said nothing for ten minutes.
    Silent,
    /// No core retired an instruction for a minute of simulated time.
    Stuck,
    /// The guest's kernel gave up; the line that says so.
    Panicked(String),
}

/// A leg that is over.
#[derive(Debug)]
pub(super) struct Followed {
    pub(super) said: Vec<Said>,
    pub(super) events: Vec<Event>,
    pub(super) stop: Option<Stop>,
    pub(super) status: ExitStatus,
    /// The last lines of the console that are not the guest program's.
    pub(super) last_lines: Vec<String>,
    /// All of the console.
    pub(super) console: String,
    pub(super) seconds: f64,
}

/// Starts gem5 in `dir`, where its leg lies, and follows it to its end.
pub(super) fn follow(
    program: &Path,
    dir: &Path,
    timeout: Option<Duration>,
    watch: &mut dyn FnMut(Sign<'_>),
) -> Result<Followed, Error> {
    let mut gem5 = Running(start(program, dir)?);
    let out = dir.join(places::OUT);
    let mut follower = Follower {
        console: Lines::of(out.join("board.pc.com_1.device")),
        events: Lines::of(out.join("events.jsonl")),
        said: Vec::new(),
        told: Vec::new(),
        last_lines: Vec::new(),
        begin: Instant::now(),
        heard: Instant::now(),
        lived: (0, 0),
        panicked: None,
        timeout,
    };
    let (status, stop) = loop {
        let status = gem5.0.try_wait()?;
        follower.look(watch)?;
        if let Some(status) = status {
            break (status, follower.panic());
        }
        if let Some(stop) = follower.stop() {
            gem5.stop();
            let status = gem5.0.wait()?;
            // What it said between the last look and its end.
            follower.look(watch)?;
            break (status, Some(stop));
        }
        thread::sleep(LOOK);
    };
    let Follower { console, said, told: events, last_lines, begin, .. } = follower;
    let seconds = begin.elapsed().as_secs_f64();
    let console = String::from_utf8_lossy(&console.all()).into_owned();
    Ok(Followed { said, events, stop, status, last_lines, console, seconds })
}

fn start(program: &Path, dir: &Path) -> Result<Child, Error> {
    let log = File::create(dir.join("gem5.log"))?;
    let failed = |source| Error::Start { program: program.to_owned(), source };
    let mut gem5 = Command::new(std::path::absolute(program)?);
    gem5.args(["--listener-mode=off", "--outdir", places::OUT])
        .arg(Path::new(places::HARNESS).join("run.py"))
        .arg(places::LEG)
        .current_dir(dir)
        // Nothing that a user has for Python of their own, and no order that changes from start to start.
        .env_remove("PYTHONPATH")
        .env("PYTHONHASHSEED", "0")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log);
    tie(&mut gem5).spawn().map_err(failed)
}

struct Follower {
    console: Lines,
    events: Lines,
    said: Vec<Said>,
    told: Vec<Event>,
    last_lines: Vec<String>,
    begin: Instant,
    /// When gem5 was heard last.
    heard: Instant,
    /// Tick and instructions when instructions were last seen to be retired.
    lived: (u64, u64),
    panicked: Option<(Instant, String)>,
    timeout: Option<Duration>,
}

impl Follower {
    fn look(&mut self, watch: &mut dyn FnMut(Sign<'_>)) -> io::Result<()> {
        for line in self.console.new_ones()? {
            if let Some(said) = console::read(&line) {
                watch(Sign::Said(&said));
                self.said.push(said);
                continue;
            }
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            if self.panicked.is_none() && console::is_panic(&line) {
                self.panicked = Some((Instant::now(), text.clone()));
            }
            self.last_lines.push(text);
            if self.last_lines.len() > TAIL {
                self.last_lines.remove(0);
            }
        }
        for line in self.events.new_ones()? {
            let Ok(event) = serde_json::from_slice::<Event>(&line) else { continue };
            self.heard = Instant::now();
            if event.insts != self.lived.1 {
                self.lived = (event.tick, event.insts);
            }
            watch(Sign::Event(&event));
            self.told.push(event);
        }
        Ok(())
    }

    fn stop(&self) -> Option<Stop> {
        let tick = self.told.last().map_or(0, |event| event.tick);
        let quiet = self.panicked.as_ref().is_some_and(|(when, _)| when.elapsed() > LAST_WORDS);
        if quiet {
            self.panic()
        } else if self.timeout.is_some_and(|timeout| self.begin.elapsed() > timeout) {
            Some(Stop::TimedOut)
        } else if self.heard.elapsed() > SILENCE {
            Some(Stop::Silent)
        } else if self.lived.0 > 0 && tick.saturating_sub(self.lived.0) > NO_INSTRUCTION {
            Some(Stop::Stuck)
        } else {
            None
        }
    }

    fn panic(&self) -> Option<Stop> {
        self.panicked.as_ref().map(|(_, line)| Stop::Panicked(line.clone()))
    }
}

/// The lines of a file that grows.
struct Lines {
    path: PathBuf,
    file: Option<File>,
    /// All that was read.
    text: Vec<u8>,
    /// How much of it were whole lines.
    given: usize,
}

impl Lines {
    fn of(path: PathBuf) -> Self {
        Self { path, file: None, text: Vec::new(), given: 0 }
    }

    fn new_ones(&mut self) -> io::Result<Vec<Vec<u8>>> {
        if self.file.is_none() {
            match File::open(&self.path) {
                Ok(file) => self.file = Some(file),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
                Err(error) => return Err(error),
            }
        }
        if let Some(file) = &mut self.file {
            file.read_to_end(&mut self.text)?;
        }
        let new = &self.text[self.given..];
        let Some(end) = new.iter().rposition(|byte| *byte == b'\n') else {
            return Ok(Vec::new());
        };
        let lines = new[..end].split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
        self.given += end + 1;
        Ok(lines)
    }

    /// All that the file had, the beginning of a line at its end too.
    fn all(self) -> Vec<u8> {
        self.text
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_line_is_read_when_it_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lines");
        let mut lines = Lines::of(path.clone());
        assert!(lines.new_ones().unwrap().is_empty(), "the file is not there yet");
        let mut file = File::create(path).unwrap();
        file.write_all(b"one\ntwo\nthr").unwrap();
        assert_eq!(lines.new_ones().unwrap(), [b"one", b"two"]);
        file.write_all(b"ee\n").unwrap();
        assert_eq!(lines.new_ones().unwrap(), [b"three"]);
        file.write_all(b"\nfour").unwrap();
        assert_eq!(lines.new_ones().unwrap(), [b""]);
        assert_eq!(lines.all(), b"one\ntwo\nthree\n\nfour");
    }
}
