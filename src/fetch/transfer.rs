use std::{
    io::{self, Read, Seek, SeekFrom},
    path::PathBuf,
    time::{Duration, Instant},
};

use reqwest::{
    StatusCode,
    blocking::{RequestBuilder, Response},
    header::{ACCEPT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, RANGE},
};

use super::{busy, client::describe, landing::Landing};
use crate::digest::Digest;

/// Bytes are taken from a server in pieces of this size.
const PIECE: usize = 64 << 10;
/// A server that wants to be left alone for longer is given up.
const LONGEST_REST: Duration = Duration::from_secs(5 * 60);
/// So long a server may take to come into its stride.
const START: Duration = Duration::from_secs(30);
/// From then on a server that on average delivers fewer bytes a second is as good as one that does not answer: without this,
/// a byte now and then would keep us for as long as it likes.
const SLOWEST: u64 = 1 << 10;

/// What is known of the bytes beforehand.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Expected {
    /// All there is to know.
    Exactly { size: u64, sha256: Digest },
    /// The length; whoever asks looks at the bytes.
    Sized(u64),
    /// The digest, and that longer than this is absurd.
    Named { limit: u64, sha256: Digest },
    /// Nothing, but that longer than this is absurd.
    AtMost(u64),
}

impl Expected {
    pub(crate) fn most(self) -> u64 {
        match self {
            Self::Exactly { size, .. } | Self::Sized(size) => size,
            Self::Named { limit, .. } | Self::AtMost(limit) => limit,
        }
    }
}

/// A place that may have the bytes.
pub(crate) trait Origin {
    /// The file with them, if the place is a directory of this machine.
    fn file(&self) -> Option<PathBuf> {
        None
    }

    /// Asks a server for all of them, or for the rest if `range` says which.
    fn get(&self, range: Option<&str>) -> Result<Response, Failure>;

    /// Whether what has landed is what the place itself says that it is.
    fn vouch(&self, _landing: &Landing) -> Result<(), Failure> {
        Ok(())
    }
}

/// Why a place did not deliver.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It does not have the file.
    Missing(String),
    /// It will not deliver it, however often it is asked.
    Refused(String),
    /// It will not deliver it to us.
    Denied(String),
    /// It has something else there, as its length shows. What has landed is good as far as anybody knows.
    Other(String),
    /// It may deliver another time. What has landed is good as far as anybody knows.
    Transient(String),
    /// As before, but it said how long not to ask.
    Busy { why: String, rest: Duration },
    /// What landed is not what was wanted, and of it the first `resumed` bytes are not from this mirror.
    Wrong { why: String, resumed: u64 },
    /// It is not the mirror's fault: what arrived could not be kept.
    Kept(io::Error),
}

/// Gets from one place what `landing` does not have yet, and checks all of it. `reached` is called with the length while
/// bytes land.
pub(crate) fn transfer(
    origin: &dyn Origin,
    expected: Expected,
    landing: &mut Landing,
    reached: &dyn Fn(u64),
) -> Result<(), Failure> {
    let mut resumed = match expected {
        Expected::Exactly { .. } | Expected::Sized(_) => landing.length(),
        // Nothing says that the beginning of an unknown document is of the same document.
        Expected::Named { .. } | Expected::AtMost(_) => 0,
    };
    if resumed != landing.length() {
        landing.clear().map_err(Failure::Kept)?;
    }
    if !matches!(expected, Expected::Exactly { size, .. } | Expected::Sized(size) if size == resumed)
    {
        if let Some(file) = origin.file() {
            let mut file = fs_err::File::open(file).map_err(unreadable)?;
            file.seek(SeekFrom::Start(resumed)).map_err(unreadable)?;
            receive(&mut file, expected, landing, reached, Instant::now())?;
        } else {
            let mut response = ask(origin, expected, landing)?;
            resumed = landing.length();
            receive(&mut response, expected, landing, reached, Instant::now())?;
        }
    }
    check(expected, landing, resumed)?;
    origin.vouch(landing)
}

fn unreadable(error: io::Error) -> Failure {
    if error.kind() == io::ErrorKind::NotFound {
        Failure::Missing("there is no such file".to_owned())
    } else {
        Failure::Refused(error.to_string())
    }
}

/// Asks for what is missing. Clears what has landed if the answer begins at the beginning.
fn ask(
    origin: &dyn Origin,
    expected: Expected,
    landing: &mut Landing,
) -> Result<Response, Failure> {
    let from = landing.length();
    if from > 0 {
        let response = origin.get(Some(&format!("bytes={from}-")))?;
        match response.status() {
            StatusCode::PARTIAL_CONTENT if continues(&response, from, expected.most()) => {
                return Ok(response);
            }
            // The server knows the file, but not this part of it, or not what a part is.
            StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE => (),
            _ => return whole(response, expected, landing),
        }
    }
    whole(origin.get(None)?, expected, landing)
}

/// Sends a request for bytes as they are, and takes any answer.
pub(crate) fn exchange(request: RequestBuilder, range: Option<&str>) -> Result<Response, Failure> {
    let mut request = request.header(ACCEPT_ENCODING, "identity");
    if let Some(range) = range {
        request = request.header(RANGE, range);
    }
    request.send().map_err(|error| {
        let why = describe(&error);
        if error.is_redirect() || error.is_builder() {
            Failure::Refused(why)
        } else {
            Failure::Transient(why)
        }
    })
}

/// Takes an answer with bytes, or one that says that there are no such ones.
pub(crate) fn judge(response: Response) -> Result<Response, Failure> {
    match response.status() {
        StatusCode::RANGE_NOT_SATISFIABLE | StatusCode::OK | StatusCode::PARTIAL_CONTENT => {
            Ok(response)
        }
        status => Err(refusal(status, busy::rest(response.headers()), status.to_string())),
    }
}

/// What it means that a server did not do as it was asked. `said` is that in its own words, and `rest` how long it does
/// not want to be asked.
pub(crate) fn refusal(status: StatusCode, rest: Option<Duration>, said: String) -> Failure {
    let busy = status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error();
    match (status, rest) {
        (StatusCode::NOT_FOUND | StatusCode::GONE, _) => Failure::Missing(said),
        (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, _) => Failure::Denied(said),
        (_, Some(rest)) if busy && rest <= LONGEST_REST => Failure::Busy { why: said, rest },
        (_, Some(rest)) if busy => {
            let seconds = rest.as_secs();
            Failure::Refused(format!("{said}, and not to be asked again for {seconds} seconds"))
        }
        (StatusCode::REQUEST_TIMEOUT, _) => Failure::Transient(said),
        _ if busy => Failure::Transient(said),
        _ => Failure::Refused(said),
    }
}

/// Whether this is the rest of a file of `size` bytes from `from` on (RFC 9110, 14.4).
fn continues(response: &Response, from: u64, size: u64) -> bool {
    let parse = || {
        let range = response.headers().get(CONTENT_RANGE)?.to_str().ok()?;
        let (range, total) = range.strip_prefix("bytes ")?.split_once('/')?;
        let (first, last) = range.split_once('-')?;
        let all = total == "*" || total.parse() == Ok(size);
        Some(all && first.parse() == Ok(from) && last.parse::<u64>().ok()?.checked_add(1)? == size)
    };
    parse() == Some(true)
}

fn whole(
    response: Response,
    expected: Expected,
    landing: &mut Landing,
) -> Result<Response, Failure> {
    if response.status() != StatusCode::OK {
        return Err(Failure::Refused(format!("{} without being asked for it", response.status())));
    }
    let length = response.headers().get(CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    match (length, expected) {
        (Some(length), Expected::Exactly { size, .. } | Expected::Sized(size))
            if length != size =>
        {
            Err(Failure::Other(format!("it has {length} bytes there instead of {size}")))
        }
        (Some(length), Expected::Named { limit, .. } | Expected::AtMost(limit))
            if length > limit =>
        {
            Err(Failure::Other(format!("it has {length} bytes there, more than {limit}")))
        }
        _ => landing.clear().map(|()| response).map_err(Failure::Kept),
    }
}

/// Takes what a place delivers since `since`.
fn receive(
    reader: &mut dyn Read,
    expected: Expected,
    landing: &mut Landing,
    reached: &dyn Fn(u64),
    since: Instant,
) -> Result<(), Failure> {
    reached(landing.length());
    let begun = landing.length();
    let mut piece = vec![0; PIECE];
    loop {
        let count = match reader.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Failure::Transient(broken_off(&error, landing.length()))),
        };
        if landing.length() + count as u64 > expected.most() {
            let most = expected.most();
            return Err(Failure::Wrong {
                why: format!("it goes on after {most} bytes"),
                resumed: 0,
            });
        }
        landing.append(piece.get(..count).unwrap_or_default()).map_err(Failure::Kept)?;
        reached(landing.length());
        let late = since.elapsed().saturating_sub(START).as_secs();
        if landing.length() - begun < late.saturating_mul(SLOWEST) {
            let at = landing.length();
            return Err(Failure::Transient(format!("slower than 1 KiB a second after {at} bytes")));
        }
    }
}

fn broken_off(error: &io::Error, at: u64) -> String {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<reqwest::Error>());
    let why = match inner {
        Some(inner) => describe(inner),
        None if error.kind() == io::ErrorKind::TimedOut => "timed out".to_owned(),
        None => format!("broken off ({error})"),
    };
    format!("{why} after {at} bytes")
}

fn check(expected: Expected, landing: &Landing, resumed: u64) -> Result<(), Failure> {
    let (length, digest) = (landing.length(), landing.digest());
    match expected {
        Expected::Exactly { size, .. } | Expected::Sized(size) if length < size => {
            Err(Failure::Transient(format!("it ended after {length} of {size} bytes")))
        }
        Expected::Exactly { sha256, .. } | Expected::Named { sha256, .. }
            if digest != Some(sha256) =>
        {
            let digest = digest.map(|digest| digest.short()).unwrap_or_default();
            let why = format!("its sha256 is {digest}, not {}", sha256.short());
            Err(Failure::Wrong { why, resumed })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Delivers one byte at a time.
    struct Trickle<'b>(&'b [u8]);

    impl Read for Trickle<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let most = buffer.len().min(1);
            self.0.read(buffer.get_mut(..most).unwrap_or_default())
        }
    }

    /// What of so many bytes lands that began to come `seconds` ago, and how that ends.
    fn received(mut from: impl Read, seconds: u64) -> (u64, Result<(), Failure>) {
        let since = Instant::now().checked_sub(Duration::from_secs(seconds)).unwrap();
        let mut landing = Landing::memory();
        let ended = receive(&mut from, Expected::AtMost(1 << 20), &mut landing, &|_| (), since);
        (landing.length(), ended)
    }

    #[test]
    fn a_server_that_trickles_may_deliver_another_time() {
        let bytes = vec![7; 100_000];
        let (landed, ended) = received(Trickle(&bytes), 60);
        let Err(Failure::Transient(why)) = ended else { panic!("{ended:?}") };
        assert!(why.contains("slower than 1 KiB a second after 1 bytes"), "{why}");
        assert_eq!(landed, 1, "what has landed is good");
    }

    #[test]
    fn a_server_that_is_slow_but_not_so_slow_is_waited_for() {
        let bytes = vec![7; 100_000];
        let (landed, ended) = received(&bytes[..], 60);
        assert!(ended.is_ok() && landed == 100_000, "{landed}: {ended:?}");
        // At the beginning nothing is too slow.
        let (landed, ended) = received(Trickle(&bytes[..5000]), 1);
        assert!(ended.is_ok() && landed == 5000, "{landed}: {ended:?}");
    }
}
