//! Runs the points of a sweep as processes of this machine, several at once.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    io,
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{Command, ExitStatus},
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use fs_err::{self as fs, File};
use rustix::fs::{FlockOperation, flock};

use super::{
    Directory, Error, News, Plan, State,
    directory::{self, lock_file},
    state,
};
use crate::run::tie;

/// In a point's directory: locked as long as a process runs the point. The process itself holds it, as its standard input,
/// so that a point is never run twice at once, whatever became of who started it.
pub(super) const LOCK: &str = ".lock";
/// How often a point that an orphaned process still runs is asked for.
const ASK_EVERY: Duration = Duration::from_millis(200);
/// Lines of the log that are repeated in `error.txt`.
const LAST_WORDS: usize = 12;

/// Runs all points that are not done, `jobs` at once, each as `program` with the words of its command line. Returns when
/// every point is done or has failed.
///
/// The first points of all functions are run before others of the same function, which share the set-up with them. What a
/// point's process says goes to `log.txt` in the point's directory, and to `error.txt` if it leaves no record.
///
/// # Errors
///
/// If the program does not start or files cannot be written. That points fail is no error.
pub fn run(
    directory: &Directory,
    program: &Path,
    jobs: usize,
    watch: &(dyn Fn(News) + Sync),
) -> Result<(), Error> {
    let _lock = directory.lock()?;
    let pool = Pool::new(directory.plan(), (0..directory.plan().points.len()).collect());
    let worker = || {
        while let Some(number) = pool.take() {
            let result = run_point(directory, program, number, watch);
            // Told before others may begin, so that what is told is in the order of what happened.
            if let Ok(state) = &result {
                watch(News::Ended(number, state.clone()));
            }
            pool.ended(number, result.is_err());
            result?;
        }
        Ok::<_, Error>(())
    };
    let workers = jobs.clamp(1, directory.plan().points.len().max(1));
    thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(worker)).collect();
        let results = workers.into_iter().map(|worker| worker.join().expect("no worker panics"));
        // All have ended before the first error is told.
        results.collect::<Vec<_>>().into_iter().collect()
    })
}

/// The points that are still to be given to a worker.
struct Pool<'p> {
    plan: &'p Plan,
    queue: Mutex<Queue>,
    changed: Condvar,
}

struct Queue {
    waiting: Vec<usize>,
    /// Points that have not ended and that others of their function wait for.
    leaders: BTreeSet<usize>,
}

impl<'p> Pool<'p> {
    fn new(plan: &'p Plan, numbers: Vec<usize>) -> Self {
        let leaders: BTreeSet<usize> = plan.leaders(&numbers).into_iter().collect();
        let (first, rest): (Vec<_>, Vec<_>) =
            numbers.into_iter().partition(|number| leaders.contains(number));
        let queue = Queue { waiting: [first, rest].concat(), leaders };
        Self { plan, queue: Mutex::new(queue), changed: Condvar::new() }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next point to run; waits for it if those that are left have to.
    fn take(&self) -> Option<usize> {
        let mut queue = self.queue();
        while !queue.waiting.is_empty() {
            let ready = |number: &usize| {
                queue.leaders.contains(number)
                    || !queue.leaders.iter().any(|leader| self.same_function(*leader, *number))
            };
            if let Some(place) = queue.waiting.iter().position(ready) {
                return Some(queue.waiting.remove(place));
            }
            queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        None
    }

    fn same_function(&self, one: usize, other: usize) -> bool {
        let function = |number: usize| self.plan.points.get(number).map(|point| &point.function);
        function(one) == function(other)
    }

    /// A point has ended. After an error nothing more is begun.
    fn ended(&self, number: usize, stop: bool) {
        let mut queue = self.queue();
        queue.leaders.remove(&number);
        if stop {
            queue.waiting.clear();
        }
        self.changed.notify_all();
    }
}

fn run_point(
    directory: &Directory,
    program: &Path,
    number: usize,
    watch: &(dyn Fn(News) + Sync),
) -> Result<State, Error> {
    let dir = directory.point(number);
    if state::state(&dir, None) == State::Done {
        return Ok(State::Done);
    }
    let lock = hold(&dir)?;
    if state::state(&dir, None) == State::Done {
        return Ok(State::Done);
    }
    for name in ["run.json", "error.txt"] {
        match fs::remove_file(dir.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            Ok(()) | Err(_) => (),
        }
    }
    watch(News::Began(number));
    let log = File::create(dir.join("log.txt"))?;
    let words = directory.plan().points.get(number).map(|point| point.command.as_slice());
    let words = words.and_then(<[String]>::split_first).map_or(&[][..], |(_, rest)| rest);
    let status = {
        let mut command = Command::new(program);
        command.args(words.iter().map(OsStr::new));
        command
            .stdin(lock.into_file())
            .stdout(log.try_clone()?.into_file())
            .stderr(log.into_file());
        let start = |source| Error::Start { program: program.to_owned(), source };
        let mut child = tie(&mut command).spawn().map_err(start)?;
        // The command holds the lock until it is dropped.
        drop(command);
        child.wait()?
    };
    let ended = state::state(&dir, None);
    if ended == State::Waiting {
        directory::write(&dir.join("error.txt"), last_words(&dir, status).as_bytes())?;
        return Ok(state::state(&dir, None));
    }
    Ok(ended)
}

/// Takes a point's lock. Only an orphan of an earlier call can have it, and that will end.
fn hold(dir: &Path) -> Result<File, Error> {
    let file = lock_file(&dir.join(LOCK))?;
    loop {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(file),
            Err(rustix::io::Errno::WOULDBLOCK) => thread::sleep(ASK_EVERY),
            Err(error) => return Err(io::Error::from(error).into()),
        }
    }
}

/// Why a point has no record: how its process ended, and what it said last.
fn last_words(dir: &Path, status: ExitStatus) -> String {
    let how = match (status.code(), status.signal()) {
        (Some(0), _) => "it ended well and left no record".to_owned(),
        (Some(code), _) => format!("it ended with code {code} and left no record"),
        (None, Some(signal)) => format!("it was killed by signal {signal}"),
        (None, None) => "nobody knows how it ended".to_owned(),
    };
    let log = fs::read(dir.join("log.txt")).unwrap_or_default();
    let log = String::from_utf8_lossy(&log);
    let lines: Vec<&str> = log.lines().collect();
    let last = lines.get(lines.len().saturating_sub(LAST_WORDS)..).unwrap_or_default();
    // The error itself is worth more than the code, if the program said it.
    let error = last.iter().find(|line| line.starts_with("error: "));
    let first =
        error.map_or(how.clone(), |line| format!("{} ({how})", line.trim_start_matches("error: ")));
    format!("{first}\n\n{}\n", last.join("\n"))
}
