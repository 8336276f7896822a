use std::io::{self, Read, Seek, SeekFrom};

use reqwest::{
    StatusCode,
    blocking::{Client, Response},
    header::{ACCEPT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, RANGE},
};

use super::{Mirror, client::describe, landing::Landing};
use crate::digest::Digest;

/// Bytes are taken from a server in pieces of this size.
const PIECE: usize = 64 << 10;

/// What is known of the bytes beforehand.
#[derive(Debug, Clone, Copy)]
pub(super) enum Expected {
    /// All there is to know.
    Exactly { size: u64, sha256: Digest },
    /// Nothing, but that longer than this is absurd.
    AtMost(u64),
}

impl Expected {
    pub(super) fn most(self) -> u64 {
        match self {
            Self::Exactly { size, .. } => size,
            Self::AtMost(limit) => limit,
        }
    }
}

/// Why a mirror did not deliver.
#[derive(Debug)]
pub(super) enum Failure {
    /// It does not have the file.
    Missing(String),
    /// It will not deliver it, however often it is asked.
    Refused(String),
    /// It may deliver another time. What has landed is good as far as anybody knows.
    Transient(String),
    /// What landed is not what was wanted, and of it the first `resumed` bytes are not from this mirror.
    Wrong { why: String, resumed: u64 },
    /// It is not the mirror's fault: what arrived could not be kept.
    Kept(io::Error),
}

/// Gets from one mirror what `landing` does not have yet, and checks all of it.
///
/// `ask` is called with the offset before each request, `reached` with the length while bytes land.
pub(super) fn transfer(
    client: impl Fn() -> Result<Client, String>,
    mirror: &Mirror,
    path: &str,
    expected: Expected,
    landing: &mut Landing,
    reached: &dyn Fn(u64),
) -> Result<(), Failure> {
    let resumed = match expected {
        Expected::Exactly { .. } => landing.length(),
        // Nothing says that the beginning of an unknown document is of the same document.
        Expected::AtMost(_) => 0,
    };
    if resumed != landing.length() {
        landing.clear().map_err(Failure::Kept)?;
    }
    let mut resumed = resumed;
    if !matches!(expected, Expected::Exactly { size, .. } if size == resumed) {
        if let Some(file) = mirror.local(path) {
            let mut file = fs_err::File::open(file).map_err(unreadable)?;
            file.seek(SeekFrom::Start(resumed)).map_err(unreadable)?;
            receive(&mut file, expected, landing, reached)?;
        } else {
            let client = client().map_err(Failure::Refused)?;
            let mut response = ask(&client, &mirror.url(path), expected, landing)?;
            resumed = landing.length();
            receive(&mut response, expected, landing, reached)?;
        }
    }
    check(expected, landing, resumed)
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
    client: &Client,
    url: &str,
    expected: Expected,
    landing: &mut Landing,
) -> Result<Response, Failure> {
    let from = landing.length();
    if from > 0 {
        let range = format!("bytes={from}-");
        let response = send(client.get(url).header(RANGE, range))?;
        match response.status() {
            StatusCode::PARTIAL_CONTENT if continues(&response, from, expected.most()) => {
                return Ok(response);
            }
            // The server knows the file, but not this part of it, or not what a part is.
            StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE => (),
            _ => return whole(response, expected, landing),
        }
    }
    whole(send(client.get(url))?, expected, landing)
}

fn send(request: reqwest::blocking::RequestBuilder) -> Result<Response, Failure> {
    let request = request.header(ACCEPT_ENCODING, "identity");
    let response = request.send().map_err(|error| {
        let why = describe(&error);
        if error.is_redirect() || error.is_builder() {
            Failure::Refused(why)
        } else {
            Failure::Transient(why)
        }
    })?;
    let status = response.status();
    let said = status.to_string();
    match status {
        StatusCode::NOT_FOUND | StatusCode::GONE => Err(Failure::Missing(said)),
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => {
            Err(Failure::Transient(said))
        }
        StatusCode::RANGE_NOT_SATISFIABLE | StatusCode::OK | StatusCode::PARTIAL_CONTENT => {
            Ok(response)
        }
        _ if status.is_server_error() => Err(Failure::Transient(said)),
        _ => Err(Failure::Refused(said)),
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
        (Some(length), Expected::Exactly { size, .. }) if length != size => {
            Err(Failure::Refused(format!("it has {length} bytes there instead of {size}")))
        }
        (Some(length), Expected::AtMost(limit)) if length > limit => {
            Err(Failure::Refused(format!("it has {length} bytes there, more than {limit}")))
        }
        _ => landing.clear().map(|()| response).map_err(Failure::Kept),
    }
}

fn receive(
    reader: &mut dyn Read,
    expected: Expected,
    landing: &mut Landing,
    reached: &dyn Fn(u64),
) -> Result<(), Failure> {
    reached(landing.length());
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
    let Expected::Exactly { size, sha256 } = expected else { return Ok(()) };
    let (length, digest) = (landing.length(), landing.digest());
    if length < size {
        Err(Failure::Transient(format!("it ended after {length} of {size} bytes")))
    } else if digest != sha256 {
        let why = format!("its sha256 is {}, not {}", digest.short(), sha256.short());
        Err(Failure::Wrong { why, resumed })
    } else {
        Ok(())
    }
}
