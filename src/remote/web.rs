use std::{
    io::{self, Read},
    path::Path,
    thread,
    time::Duration,
};

use reqwest::{
    StatusCode,
    blocking::{Client, RequestBuilder, Response},
    header::{CONTENT_TYPE, HeaderMap},
};

use super::{Body, Error, Name, Options};
use crate::fetch::{
    Clients, Expected, Failure, Landing, Origin, Redirects, To, Way, exchange, is_loopback,
    refusal, rest, transfer, upload,
};

/// So much of an error is read.
const LONGEST_ERROR: u64 = 8 << 10;
/// So many characters of it are shown.
const LONGEST_WORDS: usize = 200;
/// A server that does not want to be asked for longer is not asked again.
const LONGEST_REST: Duration = Duration::from_secs(10);
/// A try that brings so many bytes does not count: the line is bad, but not dead.
const PROGRESS: u64 = 1 << 20;

/// What all servers that are asked by HTTP have in common.
#[derive(Debug)]
pub(super) struct Web {
    address: String,
    clients: Clients,
    to: To,
    stall: Duration,
    pause: Duration,
}

/// A question, made anew for each try, since signatures grow old.
pub(super) type Ask<'a> = dyn Fn(&Client) -> RequestBuilder + 'a;

impl Web {
    /// Nothing is asked yet. `host` is where the server is.
    pub(super) fn new(address: String, host: &str, options: &Options) -> Self {
        let to = if is_loopback(host) { To::Here } else { To::Archive };
        let clients = Clients::new(options.of_fetch());
        Self { address, clients, to, stall: options.stall, pause: options.pause }
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// The bytes of an answer, nothing if it is that there are none. More than `limit` are an error.
    pub(super) fn get(
        &self,
        name: &dyn std::fmt::Display,
        limit: u64,
        ask: &Ask<'_>,
    ) -> Result<Option<Vec<u8>>, Error> {
        let result = self.twice(|| {
            let mut landing = Landing::memory();
            let asked = Asked { web: self, ask };
            transfer(&asked, Expected::AtMost(limit), &mut landing, &|_| ())?;
            Ok(landing.into_bytes())
        });
        self.or_absent(name, result)
    }

    /// As [`super::Remote::fetch`] has it.
    pub(super) fn fetch(
        &self,
        name: &Name,
        size: u64,
        partial: &Path,
        reached: &dyn Fn(u64),
        ask: &Ask<'_>,
    ) -> Result<bool, Error> {
        let mut landing = Landing::unhashed(partial, size)?;
        let (mut furthest, mut failed) = (landing.length(), 0);
        let result = loop {
            let asked = Asked { web: self, ask };
            let failure = match transfer(&asked, Expected::Sized(size), &mut landing, reached) {
                Ok(()) => break Ok(()),
                Err(failure) => failure,
            };
            if let Failure::Wrong { .. } = failure {
                landing.clear()?;
            }
            if landing.length() >= furthest.saturating_add(PROGRESS) {
                furthest = landing.length();
            } else {
                failed += 1;
            }
            match self.pause_after(&failure) {
                Some(pause) if failed < 2 => thread::sleep(pause),
                _ => break Err(failure),
            }
        };
        Ok(self.or_absent(name, result)?.is_some())
    }

    /// Whether the answer is that there is something.
    pub(super) fn has(&self, name: &Name, ask: &Ask<'_>) -> Result<bool, Error> {
        let result = self.twice(|| Asked { web: self, ask }.get(None).map(drop));
        Ok(self.or_absent(name, result)?.is_some())
    }

    /// Sends a body, and takes any answer that will not be another one the next time.
    pub(super) fn send(&self, body: &dyn Source, ask: &Ask<'_>) -> Result<Response, Failure> {
        self.twice(|| {
            let client = self.client(Redirects::Stay)?;
            let (reader, size) = body.open().map_err(Failure::Kept)?;
            let response = upload(ask(&client), reader, size, self.stall, &|_| ())?;
            match response.status() {
                StatusCode::NOT_IMPLEMENTED | StatusCode::INSUFFICIENT_STORAGE => Ok(response),
                status if status.is_server_error() || is_passing(status) => Err(failure(response)),
                _ => Ok(response),
            }
        })
    }

    /// What the answer to a change means.
    pub(super) fn settle(&self, name: &Name, response: Response) -> Result<Response, Error> {
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let failure = failure(response);
        let full =
            matches!(status, StatusCode::PAYLOAD_TOO_LARGE | StatusCode::INSUFFICIENT_STORAGE);
        Err(match failure {
            Failure::Missing(why)
            | Failure::Refused(why)
            | Failure::Denied(why)
            | Failure::Transient(why)
            | Failure::Busy { why, .. }
                if full || speaks_of_room(&why) =>
            {
                Error::Full { address: self.address.clone(), name: name.to_string(), why }
            }
            failure => self.error(name, failure),
        })
    }

    /// What a failure means to whoever asked.
    pub(super) fn error(&self, name: &dyn std::fmt::Display, failure: Failure) -> Error {
        let (address, name) = (self.address.clone(), name.to_string());
        match failure {
            Failure::Denied(why) => Error::Denied { address, name, why },
            Failure::Refused(why) => Error::Refused { address, name, why },
            Failure::Transient(why) | Failure::Busy { why, .. } => {
                Error::Unreachable { address, why }
            }
            Failure::Missing(why) | Failure::Other(why) | Failure::Wrong { why, .. } => {
                Error::Wrong { address, name, why }
            }
            Failure::Kept(error) => Error::Io(error),
        }
    }

    /// Tries once more after a pause if that may help.
    pub(super) fn twice<T>(
        &self,
        mut attempt: impl FnMut() -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        attempt().or_else(|failure| match self.pause_after(&failure) {
            Some(pause) => {
                thread::sleep(pause);
                attempt()
            }
            None => Err(failure),
        })
    }

    fn pause_after(&self, failure: &Failure) -> Option<Duration> {
        match failure {
            Failure::Transient(_) => Some(self.pause),
            Failure::Busy { rest, .. } => {
                Some(self.pause.max(*rest)).filter(|pause| *pause <= LONGEST_REST)
            }
            Failure::Missing(_)
            | Failure::Refused(_)
            | Failure::Denied(_)
            | Failure::Other(_)
            | Failure::Wrong { .. }
            | Failure::Kept(_) => None,
        }
    }

    fn or_absent<T>(
        &self,
        name: &dyn std::fmt::Display,
        result: Result<T, Failure>,
    ) -> Result<Option<T>, Error> {
        match result {
            Ok(found) => Ok(Some(found)),
            Err(Failure::Missing(_)) => Ok(None),
            Err(failure) => Err(self.error(name, failure)),
        }
    }

    fn client(&self, redirects: Redirects) -> Result<Client, Failure> {
        self.clients.get(Way { to: self.to, redirects })
    }
}

/// Bytes that can be read from the beginning as often as needed.
pub(super) trait Source: Sync {
    /// The bytes, and how many there are.
    fn open(&self) -> io::Result<(Box<dyn Read + Send>, u64)>;
}

impl Source for Body<'_> {
    fn open(&self) -> io::Result<(Box<dyn Read + Send>, u64)> {
        match *self {
            Body::Bytes(bytes) => {
                Ok((Box::new(io::Cursor::new(bytes.to_vec())), bytes.len() as u64))
            }
            Body::File(path) => {
                let file = fs_err::File::open(path)?;
                let size = file.metadata()?.len();
                Ok((Box::new(file.take(size)), size))
            }
        }
    }
}

struct Asked<'a> {
    web: &'a Web,
    ask: &'a Ask<'a>,
}

impl Origin for Asked<'_> {
    fn get(&self, range: Option<&str>) -> Result<Response, Failure> {
        let client = self.web.client(Redirects::Follow)?;
        let response = exchange((self.ask)(&client), range)?;
        let status = response.status();
        if status.is_success() || status == StatusCode::RANGE_NOT_SATISFIABLE {
            Ok(response)
        } else {
            Err(failure(response))
        }
    }
}

/// Whether a server says that it would rather be asked later.
fn is_passing(status: StatusCode) -> bool {
    matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT)
}

/// What an answer means that is not a success.
fn failure(response: Response) -> Failure {
    let (status, rest) = (response.status(), rest(response.headers()));
    let is_html = is_html(response.headers());
    let mut body = Vec::new();
    // What cannot be read says nothing.
    let _ = response.take(LONGEST_ERROR).read_to_end(&mut body);
    let words = if is_html { None } else { words(&String::from_utf8_lossy(&body)) };
    let said = words.map_or_else(|| status.to_string(), |words| format!("{status}: {words}"));
    match refusal(status, rest, said) {
        // It is not the object that is missing.
        Failure::Missing(said) if said.contains("NoSuchBucket") => Failure::Denied(said),
        failure => failure,
    }
}

fn is_html(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    kind.is_some_and(|kind| kind.contains("html"))
}

/// What an S3 store says in an error (Amazon S3 API reference, "REST error responses"), else the first line.
fn words(body: &str) -> Option<String> {
    let element = |name: &str| {
        let (_, rest) = body.split_once(&format!("<{name}>"))?;
        Some(rest.split_once("</")?.0.trim())
    };
    let text = match (element("Code"), element("Message")) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(code), None) => code.to_owned(),
        (None, _) => body.lines().next()?.trim().to_owned(),
    };
    let words: String = text.chars().take(LONGEST_WORDS).collect();
    (!words.is_empty()).then(|| words.escape_debug().to_string())
}

/// The codes with which S3 stores say that there is no room; Amazon's has always some.
fn speaks_of_room(said: &str) -> bool {
    ["QuotaExceeded", "StorageFull", "EntityTooLarge"].iter().any(|code| said.contains(code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_told_in_a_line() {
        for (body, said) in [
            ("", None),
            ("the quota of 1 GiB is reached\nmore", Some("the quota of 1 GiB is reached")),
            (
                "<?xml version=\"1.0\"?><Error><Code>NoSuchKey</Code><Message>gone</Message></Error>",
                Some("NoSuchKey: gone"),
            ),
            ("<Error><Code>AccessDenied</Code>", Some("AccessDenied")),
            ("a\u{1b}[31m", Some("a\\u{1b}[31m")),
        ] {
            assert_eq!(words(body).as_deref(), said);
        }
        assert_eq!(words(&"é".repeat(500)).unwrap().chars().count(), LONGEST_WORDS);
    }
}
