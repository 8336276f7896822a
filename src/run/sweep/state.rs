use std::{collections::BTreeMap, path::Path};

use fs_err as fs;
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use super::{Directory, directory::lock_file};

/// Where a point is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It has a good result.
    Done,
    /// It is being run.
    Running,
    /// It was run, and this is what went wrong.
    Failed(String),
    /// It is still to be run.
    Waiting,
}

/// A point as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Its number.
    pub number: usize,
    /// Where it is.
    pub state: State,
    /// Its place in a queue of Slurm's, if it has one.
    pub seat: Option<Seat>,
}

/// A point's place in a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seat {
    /// Slurm's name for the task, such as `17_3`.
    pub task: String,
    /// Slurm's word for its state, such as `PENDING`.
    pub word: String,
    /// Why it is so, in Slurm's words.
    pub reason: String,
}

impl Seat {
    /// Whether it waits for its turn.
    pub(super) fn waits(&self) -> bool {
        let words = ["PENDING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "RESV_DEL_HOLD"];
        words.contains(&self.word.as_str())
    }

    /// Whether it has a node.
    pub(super) fn runs(&self) -> bool {
        let words = [
            "RUNNING",
            "COMPLETING",
            "CONFIGURING",
            "SUSPENDED",
            "STOPPED",
            "SIGNALING",
            "STAGE_OUT",
        ];
        words.contains(&self.word.as_str())
    }

    /// Whether it ended in a way that the user did not ask for.
    fn failed(&self) -> bool {
        !self.waits() && !self.runs() && !["COMPLETED", "CANCELLED"].contains(&self.word.as_str())
    }
}

/// How many points are where.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// With a good result.
    pub done: usize,
    /// Being run.
    pub running: usize,
    /// With a bad end.
    pub failed: usize,
    /// Still to be run.
    pub waiting: usize,
}

impl Counts {
    /// Counts points.
    pub fn of(standings: &[Standing]) -> Self {
        let mut counts = Self::default();
        for standing in standings {
            let count = match standing.state {
                State::Done => &mut counts.done,
                State::Running => &mut counts.running,
                State::Failed(_) => &mut counts.failed,
                State::Waiting => &mut counts.waiting,
            };
            *count += 1;
        }
        counts
    }
}

/// Looks at all points: at what lies in their directories, and at their places in queues.
pub fn survey(directory: &Directory, seats: &BTreeMap<usize, Seat>) -> Vec<Standing> {
    let standing = |number| {
        let seat = seats.get(&number);
        let state = state(&directory.point(number), seat);
        let keep = !matches!(state, State::Done);
        Standing { number, state, seat: seat.filter(|_| keep).cloned() }
    };
    (0..directory.plan().points.len()).map(standing).collect()
}

/// The part of `run.json` that says whether it went well.
#[derive(Deserialize)]
struct Judged {
    verdict: Judgement,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Judgement {
    Good,
    Bad(String),
}

/// Where the point with the directory `dir` is.
pub(super) fn state(dir: &Path, seat: Option<&Seat>) -> State {
    let judgement = judgement(dir);
    if let Some(Judgement::Good) = judgement {
        return State::Done;
    }
    if seat.is_some_and(Seat::runs) || is_held(dir) {
        return State::Running;
    }
    if seat.is_some_and(Seat::waits) {
        return State::Waiting;
    }
    if let Some(Judgement::Bad(why)) = judgement {
        return State::Failed(why);
    }
    if let Ok(text) = fs::read_to_string(dir.join("error.txt")) {
        let line = text.lines().find(|line| !line.trim().is_empty());
        return State::Failed(line.unwrap_or("it does not say why").trim().to_owned());
    }
    match seat {
        Some(seat) if seat.failed() => State::Failed(format!("Slurm says {}", seat.word)),
        Some(_) | None => State::Waiting,
    }
}

/// What the record says. A record that was not written to its end says nothing.
fn judgement(dir: &Path) -> Option<Judgement> {
    let text = fs::read_to_string(dir.join("run.json")).ok()?;
    serde_json::from_str::<Judged>(&text).ok().map(|judged| judged.verdict)
}

/// Whether a process of this machine runs the point: it has the point's lock.
fn is_held(dir: &Path) -> bool {
    let path = dir.join(super::local::LOCK);
    // To look must not leave files where no point was run.
    path.exists()
        && lock_file(&path).is_ok_and(|file| {
            flock(&file, FlockOperation::NonBlockingLockShared)
                == Err(rustix::io::Errno::WOULDBLOCK)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seat(word: &str) -> Seat {
        Seat { task: "1_0".to_owned(), word: word.to_owned(), reason: "None".to_owned() }
    }

    #[test]
    fn a_point_is_what_lies_in_its_directory_and_where_it_is_in_the_queue() {
        let dir = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
        let state = |word: Option<&str>| state(dir.path(), word.map(seat).as_ref());
        let failed = |why: &str| State::Failed(why.to_owned());
        assert_eq!(state(None), State::Waiting);
        assert_eq!(state(Some("PENDING")), State::Waiting);
        assert_eq!(state(Some("RUNNING")), State::Running);
        assert_eq!(state(Some("CANCELLED")), State::Waiting);
        assert_eq!(state(Some("TIMEOUT")), failed("Slurm says TIMEOUT"));
        put("error.txt", "\nexit code 1\nmore\n");
        assert_eq!(state(None), failed("exit code 1"));
        put("run.json", "{\"image\": \"f\", \"verdict\": {\"bad\": \"Kernel panic\"}}");
        assert_eq!(state(None), failed("Kernel panic"));
        assert_eq!(state(Some("PENDING")), State::Waiting, "it will be tried again");
        put("run.json", "{\"image\": \"f\", \"verdict\": \"go");
        assert_eq!(state(None), failed("exit code 1"));
        put("run.json", "{\"image\": \"f\", \"verdict\": \"good\"}");
        assert_eq!(state(None), State::Done);
        assert_eq!(state(Some("COMPLETING")), State::Done);
    }
}
