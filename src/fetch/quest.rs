use std::{
    io, thread,
    time::{Duration, Instant},
};

use super::{
    Error, Options, Piece, Progress, Tried, Try,
    landing::Landing,
    transfer::{Expected, Failure, Origin, transfer},
};
use crate::digest::Digest;

/// No wait between rounds is longer than this, unless a server asks for it.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// A round that brings so many bytes does not count as a failed one: the line is bad, but not dead.
const PROGRESS: u64 = 1 << 20;

/// One file and all that is known of the attempts to get it.
pub(super) struct Quest<'a> {
    pub(super) subject: Subject<'a>,
    pub(super) expected: Expected,
    pub(super) progress: &'a dyn Fn(Progress<'_>),
    /// The one to ask first before the others.
    pub(super) servers: Vec<Server<'a>>,
}

/// What is sought, as errors name it.
pub(super) enum Subject<'a> {
    File { archive: &'a str, path: &'a str },
    Piece(Piece),
}

/// A place to ask, and what it said.
pub(super) struct Server<'a> {
    origin: Box<dyn Origin + 'a>,
    url: String,
    said: Option<String>,
    state: State,
    /// It does not want to be asked before.
    rests_until: Option<Instant>,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Hopeful,
    Missing,
    Denied,
    Damaged,
    Hopeless,
}

impl<'a> Server<'a> {
    /// A place that nobody has asked yet. `url` is for people.
    pub(super) fn new(origin: impl Origin + 'a, url: String) -> Self {
        let origin = Box::new(origin);
        Self { origin, url, said: None, state: State::Hopeful, rests_until: None }
    }

    fn rest(&self) -> Duration {
        let left = |until: Instant| until.saturating_duration_since(Instant::now());
        self.rests_until.map_or(Duration::ZERO, left)
    }

    /// Asks; a second time at once if the beginning that did not come from here may have been wrong.
    fn ask(
        &self,
        expected: Expected,
        landing: &mut Landing,
        progress: &dyn Fn(Progress<'_>),
    ) -> Result<(), Failure> {
        let attempt = |landing: &mut Landing| {
            progress(Progress::Asked { url: &self.url, from: landing.length() });
            let reached = |length| progress(Progress::Reached(length));
            let result = transfer(&*self.origin, expected, landing, &reached);
            if let Err(Failure::Wrong { .. }) = result {
                landing.clear().map_err(Failure::Kept)?;
            }
            result
        };
        match attempt(landing) {
            Err(Failure::Wrong { resumed, .. }) if resumed > 0 => attempt(landing),
            result => result,
        }
    }

    fn note(&mut self, failure: Failure, progress: &dyn Fn(Progress<'_>)) {
        let (state, why) = match failure {
            Failure::Missing(why) => (State::Missing, why),
            Failure::Refused(why) => (State::Hopeless, why),
            Failure::Denied(why) => (State::Denied, why),
            Failure::Other(why) | Failure::Wrong { why, .. } => (State::Damaged, why),
            Failure::Transient(why) => (State::Hopeful, why),
            Failure::Busy { why, rest } => {
                self.rests_until = Instant::now().checked_add(rest);
                (State::Hopeful, why)
            }
            Failure::Kept(error) => (State::Hopeful, error.to_string()),
        };
        progress(Progress::Failed { url: &self.url, why: &why });
        self.state = state;
        self.said = Some(why);
    }
}

impl Quest<'_> {
    /// Asks one server after the other, round after round, until the bytes are there and right.
    pub(super) fn pursue(
        mut self,
        options: &Options,
        landing: &mut Landing,
        kept: impl FnOnce(io::Error) -> Error,
    ) -> Result<(), Error> {
        let mut failed = 0;
        let mut furthest = landing.length();
        loop {
            for server in &mut self.servers {
                if server.state != State::Hopeful || !server.rest().is_zero() {
                    continue;
                }
                match server.ask(self.expected, landing, self.progress) {
                    Ok(()) => return Ok(()),
                    Err(Failure::Kept(error)) => return Err(kept(error)),
                    Err(failure) => server.note(failure, self.progress),
                }
            }
            if landing.length() >= furthest.saturating_add(PROGRESS) {
                furthest = landing.length();
            } else {
                failed += 1;
            }
            let hopeful = self.servers.iter().filter(|server| server.state == State::Hopeful);
            let Some(rest) = hopeful.map(Server::rest).min() else { return Err(self.despair()) };
            if failed >= options.attempts.max(1) {
                return Err(self.despair());
            }
            let wait = wait(options.backoff, failed, self.subject.path()).max(rest);
            (self.progress)(Progress::Waiting(wait));
            thread::sleep(wait);
        }
    }

    fn despair(self) -> Error {
        let states: Vec<State> = self.servers.iter().map(|server| server.state).collect();
        let said = |server: Server<'_>| Try {
            url: server.url,
            why: server.said.unwrap_or_else(|| "not asked".to_owned()),
        };
        let tried = Tried(self.servers.into_iter().map(said).collect());
        let gone = states.iter().all(|state| *state == State::Missing);
        let any = |state| states.contains(&state);
        match self.subject {
            Subject::File { archive, path } => {
                let (archive, path) = (archive.to_owned(), path.to_owned());
                if gone {
                    let name = path.rsplit('/').next().unwrap_or_default().to_owned();
                    Error::Gone { name, archive, path, tried }
                } else {
                    Error::Failed { archive, path, tried }
                }
            }
            Subject::Piece(piece) if gone => Error::NotInRegistry { piece, tried },
            // As long as one may still deliver, to ask again is the better advice.
            Subject::Piece(piece) if any(State::Hopeful) => Error::NotPulled { piece, tried },
            Subject::Piece(piece) if any(State::Damaged) => Error::Damaged { piece, tried },
            Subject::Piece(piece) if any(State::Denied) => Error::Denied { piece, tried },
            Subject::Piece(piece) => Error::NotPulled { piece, tried },
        }
    }
}

impl Subject<'_> {
    fn path(&self) -> String {
        match self {
            Self::File { path, .. } => (*path).to_owned(),
            Self::Piece(piece) => piece.to_string(),
        }
    }
}

/// How long to wait after this many failed rounds: twice as long each time, and between half and all of that, so that
/// many transfers that failed together do not come back together. Which it is depends on the path alone.
pub(super) fn wait(first: Duration, failed: u32, path: impl AsRef<str>) -> Duration {
    let doubled = first.saturating_mul(1 << failed.saturating_sub(1).min(16));
    let jitter = Digest::of(format!("{} {failed}", path.as_ref())).as_bytes()[0];
    doubled.min(LONGEST_WAIT).mul_f64(0.5 + f64::from(jitter) / 510.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_differ() {
        let first = Duration::from_millis(100);
        for failed in 1..40 {
            let wait = wait(first, failed, "a");
            let full = first * 2u32.pow((failed - 1).min(16));
            let full = full.min(LONGEST_WAIT);
            assert!(full / 2 <= wait && wait <= full, "{failed}: {wait:?}");
        }
        assert_ne!(wait(first, 3, "a"), wait(first, 3, "b"));
        assert_eq!(wait(first, 3, "a"), wait(first, 3, "a"));
    }
}
