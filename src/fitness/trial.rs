//! Runs the conformance test's program in gem5, piece by piece, so that a case which ends gem5 costs only itself.

use std::{
    collections::BTreeMap,
    io::{self, BufRead, BufReader},
    ops::Range,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    sync::{
        Mutex, PoisonError,
        mpsc::{self, Receiver, RecvTimeoutError},
    },
    thread,
    time::Duration,
};

use fs_err::{self as fs, File};
use rustix::process::{Pid, Signal, kill_process_group};

use super::conformance::{Answer, Answers, Seen};
use crate::run::{gem5::last_words, tie};

/// The script that gem5 runs.
const SCRIPT: &str = include_str!("../../harness/conformance.py");
/// Cases of one process; more than a crash should cost, and enough for gem5's start not to matter.
const PIECE: usize = 800;
/// After so many crashes it is not about single instructions any more.
const CRASHES: usize = 200;

/// What to try, and how.
#[derive(Debug, Clone)]
pub struct Trial<'a> {
    /// gem5's program.
    pub gem5: &'a Path,
    /// The conformance test's program.
    pub program: &'a Path,
    /// How many gem5 run at once.
    pub jobs: usize,
    /// How long gem5 may say nothing before a case counts as one that it does not survive.
    pub patience: Duration,
}

/// What was seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tried {
    /// gem5's version, as it prints it.
    pub version: Option<String>,
    /// How each case went.
    pub seen: BTreeMap<String, Seen>,
}

impl Tried {
    fn crashes(&self) -> usize {
        self.seen.values().filter(|seen| matches!(seen, Seen::Crashed(_))).count()
    }
}

/// Why nothing can be said.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// gem5 is not there or does not start.
    #[error("cannot start `{}`", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// gem5 ended before the first case.
    #[error("gem5 did not run the test: {message}")]
    Gem5 {
        /// Its last words.
        message: String,
    },
    /// The directory of a run broke.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Trial<'_> {
    /// Tries the cases that are wanted, and tells `watch` after each piece how much has been seen.
    ///
    /// The answers are all of the program's, in its order.
    pub fn run(
        &self,
        answers: &Answers,
        wanted: &dyn Fn(&str) -> bool,
        watch: &(dyn Fn(&Tried) + Sync),
    ) -> Result<Tried, Error> {
        let dir = tempfile::tempdir()?;
        let script = dir.path().join("conformance.py");
        fs::write(&script, SCRIPT)?;
        let cases = answers.cases();
        let waiting = Mutex::new(pieces(cases, wanted).into_iter());
        let tried = Mutex::new(Tried::default());
        let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).next();
        let worker = |number: usize| {
            let run =
                Run { trial: self, script: &script, out: dir.path().join(number.to_string()) };
            while let Some(piece) = next() {
                run.piece(cases, piece, &tried)?;
                watch(&tried.lock().unwrap_or_else(PoisonError::into_inner));
            }
            Ok::<_, Error>(())
        };
        thread::scope(|scope| {
            let workers: Vec<_> =
                (0..self.jobs.max(1)).map(|number| scope.spawn(move || worker(number))).collect();
            workers
                .into_iter()
                .try_for_each(|worker| worker.join().expect("a worker does not panic"))
        })?;
        Ok(tried.into_inner().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The wanted cases as ranges, none of them too long.
fn pieces(cases: &[Answer], wanted: &dyn Fn(&str) -> bool) -> Vec<Range<usize>> {
    let mut pieces: Vec<Range<usize>> = Vec::new();
    for (at, _) in cases.iter().enumerate().filter(|(_, case)| wanted(&case.name)) {
        match pieces.last_mut() {
            Some(last) if last.end == at && last.len() < PIECE => last.end = at + 1,
            _ => pieces.push(at..at + 1),
        }
    }
    pieces
}

/// What the processes of one worker have in common.
struct Run<'a> {
    trial: &'a Trial<'a>,
    script: &'a Path,
    out: PathBuf,
}

impl Run<'_> {
    /// Tries some cases, with a new gem5 after each crash.
    fn piece(
        &self,
        cases: &[Answer],
        piece: Range<usize>,
        tried: &Mutex<Tried>,
    ) -> Result<(), Error> {
        let lock = || tried.lock().unwrap_or_else(PoisonError::into_inner);
        let mut from = piece.start;
        while from < piece.end && lock().crashes() < CRASHES {
            let heard = self.process(from..piece.end)?;
            let mut tried = lock();
            if tried.version.is_none() {
                tried.version = heard.version;
            }
            for Answer { name, hashes } in heard.answers {
                from += usize::from(cases.get(from).is_some_and(|case| case.name == name));
                tried.seen.insert(name, Seen::Answered(hashes));
            }
            if from >= piece.end {
                break;
            }
            // Before it has written a name it was not a case that gem5 failed on.
            if !heard.begun {
                return Err(Error::Gem5 { message: heard.words });
            }
            tried.seen.insert(cases[from].name.clone(), Seen::Crashed(heard.words));
            from += 1;
        }
        Ok(())
    }

    /// One gem5 on cases of a range, until it ends or falls silent.
    fn process(&self, range: Range<usize>) -> Result<Heard, Error> {
        fs::create_dir_all(&self.out)?;
        let log = self.out.join("gem5.log");
        let mut guard = Gem5(self.start(&range, File::create(&log)?)?);
        let lines = guard.0.stdout.take().map(listen);
        let mut heard = Heard::default();
        let mut silent = false;
        while let Some(line) = lines.as_ref() {
            match line.recv_timeout(self.trial.patience) {
                Ok(line) => heard.line(&line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    silent = true;
                    break;
                }
            }
        }
        if silent {
            guard.stop();
        }
        let status = guard.0.wait()?;
        heard.words = if silent {
            format!("it said nothing for {} s", self.trial.patience.as_secs())
        } else {
            let log = fs::read(&log)?;
            last_words(&String::from_utf8_lossy(&log))
                .unwrap_or_else(|| format!("it ended: {status}"))
        };
        Ok(heard)
    }

    fn start(&self, range: &Range<usize>, log: File) -> Result<Child, Error> {
        let gem5 = self.trial.gem5;
        let mut command = Command::new(gem5);
        command
            .arg("-d")
            .arg(&self.out)
            .arg(self.script)
            .arg(self.trial.program)
            .args([range.start.to_string(), range.end.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log.into_file())
            .process_group(0);
        tie(&mut command)
            .spawn()
            .map_err(|source| Error::Start { program: gem5.to_owned(), source })
    }
}

/// What one gem5 said.
#[derive(Debug, Default)]
struct Heard {
    version: Option<String>,
    answers: Vec<Answer>,
    begun: bool,
    words: String,
}

impl Heard {
    fn line(&mut self, line: &str) {
        if let Some(version) = line.strip_prefix("gem5 version ") {
            self.version = Some(version.trim().to_owned());
        } else if let Some(answer) = Answer::read(line) {
            self.begun = true;
            self.answers.push(answer);
        } else if line.contains(" [") && line.contains(']') {
            // A case's name without an answer.
            self.begun = true;
        }
    }
}

/// Lines as they come, read by a thread of their own.
fn listen(stdout: ChildStdout) -> Receiver<String> {
    let (send, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stdout).split(b'\n') {
            let Ok(line) = line else { break };
            if send.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                break;
            }
        }
    });
    lines
}

/// A running gem5, with what it started, that does not outlive its owner.
struct Gem5(Child);

impl Gem5 {
    fn stop(&mut self) {
        // It leads its group, which may be gone by now.
        let group = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw);
        let _ = group.map(|group| kill_process_group(group, Signal::KILL));
    }
}

impl Drop for Gem5 {
    fn drop(&mut self) {
        // The number of one that was waited for may be another's already.
        if matches!(self.0.try_wait(), Ok(None)) {
            self.stop();
            let _ = self.0.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cases(count: usize) -> Vec<Answer> {
        let answer = |number| Answer { name: format!("nop {number} [90]"), hashes: [0; 4] };
        (0..count).map(answer).collect()
    }

    #[test]
    fn wanted_cases_become_ranges() {
        let some = |name: &str| !name.contains(" 3 ");
        assert_eq!(pieces(&cases(5), &some), [0..3, 4..5]);
        let many = pieces(&cases(2 * PIECE + 1), &|_| true);
        assert_eq!(many, [0..PIECE, PIECE..2 * PIECE, 2 * PIECE..2 * PIECE + 1]);
    }

    #[test]
    fn gem5_says_its_version_its_answers_and_what_it_began() {
        let mut heard = Heard::default();
        heard.line("gem5 version 24.0.0.1");
        assert_eq!(heard.version.as_deref(), Some("24.0.0.1"));
        assert!(!heard.begun);
        heard.line("nop [90]");
        assert!(heard.begun && heard.answers.is_empty());
        heard.line("nop [90]\t00000001 00000002 00000003 00000004");
        assert_eq!(heard.answers[0].hashes, [1, 2, 3, 4]);
    }
}
