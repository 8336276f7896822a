//! Who is at work in a cache, so that garbage is not collected under the hands of a push.

use std::{
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant, SystemTime},
};

use serde::{Deserialize, Serialize};

use super::{
    Cache, Error, Item,
    layout::{room, rooms},
};
use crate::{
    digest::Digest,
    remote::{self, Body},
};

/// A mark that was not renewed for so long, in seconds, is of a program that is gone.
const STALE: u64 = 30 * 60;
/// How often a mark is renewed.
const RENEW: Duration = Duration::from_secs(5 * 60);
/// How long a push waits for a collection, and how often it looks.
const PATIENCE: Duration = Duration::from_secs(10 * 60);
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How far clocks may differ, in seconds, before a mark is one from the future.
const SKEW: u64 = 5 * 60;
/// The longest mark, in bytes.
const LONGEST: u64 = 4096;

/// What somebody does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Act {
    /// Sends things. Any number may.
    Push,
    /// Removes things. Only who is alone may.
    Collect,
}

impl Act {
    fn words(self) -> &'static str {
        match self {
            Self::Push => "a push",
            Self::Collect => "a collection of garbage",
        }
    }

    fn excludes(self, other: Self) -> bool {
        self == Self::Collect || other == Self::Collect
    }
}

/// A mark's text, as JSON.
#[derive(Debug, Serialize, Deserialize)]
struct Text {
    act: Act,
    /// When it was written or renewed, in seconds since 1970.
    time: u64,
}

/// The text is no mark, or not one of now.
#[derive(Debug, thiserror::Error)]
pub enum BadMark {
    /// It does not say what is done, and since when.
    #[error("it is no mark: {0}")]
    Text(#[from] serde_json::Error),
    /// It would keep others away for too long.
    #[error("it is from {0} s in the future; is the clock of who sends it right?")]
    Future(u64),
}

/// Whether the text of a mark can be read and is not from the future, but for what clocks differ.
pub fn check_mark(text: &[u8]) -> Result<(), BadMark> {
    let text: Text = serde_json::from_slice(text)?;
    match text.time.saturating_sub(now()) {
        0..=SKEW => Ok(()),
        ahead => Err(BadMark::Future(ahead)),
    }
}

/// A mark in a cache, removed when it is dropped.
pub(super) struct Mark<'c> {
    cache: &'c Cache,
    item: Item,
    act: Act,
}

impl Cache {
    /// Marks what is about to be done. A push waits for a collection; a collection does not wait.
    ///
    /// Who writes first and then looks is seen by the other, or sees them: two that exclude each other never both go on.
    pub(super) fn mark(&self, act: Act) -> Result<Mark<'_>, Error> {
        let begun = Instant::now();
        loop {
            let mark = Mark::set(self, act)?;
            let Some(busy) = mark.in_the_way()? else { return Ok(mark) };
            if act == Act::Collect || begun.elapsed() > PATIENCE {
                return Err(busy);
            }
            drop(mark);
            thread::sleep(LOOK_EVERY);
        }
    }
}

impl<'c> Mark<'c> {
    fn set(cache: &'c Cache, act: Act) -> Result<Self, Error> {
        let id = format!("{} {:?} {:?}", std::process::id(), SystemTime::now(), thread::current());
        let item = Item::pushing(&Digest::of(id).short())?;
        let mark = Self { cache, item, act };
        mark.write()?;
        Ok(mark)
    }

    fn write(&self) -> Result<(), Error> {
        let text = Text { act: self.act, time: now() };
        let text = serde_json::to_vec(&text).map_err(std::io::Error::from)?;
        Ok(self.cache.remote.put(&self.item.name(), Body::Bytes(&text))?)
    }

    /// Does something that may take long, and renews the mark meanwhile.
    pub(super) fn while_at_work<T>(
        &self,
        work: impl FnOnce() -> Result<T, Error>,
    ) -> Result<T, Error> {
        let (end, ended) = mpsc::channel::<()>();
        thread::scope(|scope| {
            scope.spawn(move || {
                while ended.recv_timeout(RENEW) == Err(RecvTimeoutError::Timeout) {
                    // If it fails, the next time may go better, and the work itself will hear of what is wrong.
                    let _ = self.write();
                }
            });
            let result = work();
            drop(end);
            result
        })
    }

    /// Who is at work that excludes this. Marks of programs that are gone are removed by who collects.
    fn in_the_way(&self) -> Result<Option<Error>, Error> {
        let remote = &self.cache.remote;
        let marks = match remote.list(&room(rooms::PUSHING)) {
            // Nobody collects garbage where nobody can say what there is.
            Err(remote::Error::Unable { .. }) if self.act == Act::Push => return Ok(None),
            marks => marks?,
        };
        for entry in marks {
            if entry.name == self.item.name() {
                continue;
            }
            let Some(bytes) = remote.get(&entry.name, LONGEST)? else { continue };
            // One that cannot be read is as old as the cache says, and may be anything.
            let text = serde_json::from_slice(&bytes);
            let text = text
                .unwrap_or(Text { act: Act::Collect, time: entry.modified.unwrap_or_default() });
            // Clocks differ: when the place itself has seen it is the better word.
            let seconds = now().saturating_sub(entry.modified.unwrap_or(text.time));
            if seconds > STALE {
                if self.act == Act::Collect {
                    remote.remove(&entry.name)?;
                }
            } else if self.act.excludes(text.act) {
                let address = self.cache.address().to_owned();
                return Ok(Some(Error::Busy { address, act: text.act.words(), seconds }));
            }
        }
        Ok(None)
    }
}

impl Drop for Mark<'_> {
    fn drop(&mut self) {
        // One that stays is stale before long.
        let _ = self.cache.remote.remove(&self.item.name());
    }
}

/// Seconds since 1970.
pub(super) fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}
