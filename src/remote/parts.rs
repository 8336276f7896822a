//! Puts what is large into an S3 store: in parts, several at a time (Amazon S3 API reference, "CreateMultipartUpload").

use std::{
    io::{self, Read, Seek, SeekFrom},
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use reqwest::header::ETAG;
use rusty_s3::{S3Action, actions::CreateMultipartUpload};

use super::{
    Body, Error, Name,
    s3::{GOOD_FOR, S3},
    web::Source,
};

/// What is no longer is sent at once.
pub(super) const WHOLE: u64 = 32 << 20;
/// How long a part is, unless there would be too many.
const PART: u64 = 16 << 20;
/// A store takes so many parts.
const MOST: u64 = 10_000;
/// So many are sent at a time.
const AT_ONCE: u64 = 4;
/// An answer to a question about parts is shorter than this.
const LONGEST_ANSWER: u64 = 1 << 20;

/// Nobody sees anything before all of it is there. What was sent is given up if a part fails.
pub(super) fn put(s3: &S3, name: &Name, body: Body<'_>, size: u64) -> Result<(), Error> {
    let key = s3.key(name);
    let credentials = s3.credentials.as_ref();
    let begun = s3.web.send(&Body::Bytes(&[]), &|client| {
        client.post(s3.bucket.create_multipart_upload(credentials, &key).sign(GOOD_FOR))
    });
    let answer = text(s3, s3.changed(name, begun)?)?;
    let upload = CreateMultipartUpload::parse_response(&answer)
        .map_err(|_| wrong(s3, name, "it does not say how to send parts"))?;
    let result = send(s3, name, body, size, upload.upload_id())
        .and_then(|etags| complete(s3, name, upload.upload_id(), &etags));
    if result.is_err() {
        // The store forgets what is left of it sooner or later; the error that matters is the first.
        let _ = s3.web.send(&Body::Bytes(&[]), &|client| {
            let id = upload.upload_id();
            client.delete(s3.bucket.abort_multipart_upload(credentials, &key, id).sign(GOOD_FOR))
        });
    }
    result
}

/// Sends all parts, and says what the store calls them.
fn send(s3: &S3, name: &Name, body: Body<'_>, size: u64, id: &str) -> Result<Vec<String>, Error> {
    let (length, count) = cut(size);
    let etags: Vec<OnceLock<String>> = (0..count).map(|_| OnceLock::new()).collect();
    let (next, broken) = (AtomicU64::new(0), Mutex::new(None));
    thread::scope(|scope| {
        for _ in 0..AT_ONCE.min(count) {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(place) = usize::try_from(at).ok().and_then(|at| etags.get(at)) else {
                        break;
                    };
                    let start = at * length;
                    let part = Part { body, start, length: length.min(size - start) };
                    match send_one(s3, name, &part, at, id) {
                        Ok(etag) => drop(place.set(etag)),
                        Err(error) => {
                            next.store(count, Ordering::Relaxed);
                            let mut broken = broken.lock().unwrap_or_else(PoisonError::into_inner);
                            broken.get_or_insert(error);
                        }
                    }
                }
            });
        }
    });
    match broken.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(error) => Err(error),
        None => Ok(etags.into_iter().filter_map(OnceLock::into_inner).collect()),
    }
}

fn send_one(s3: &S3, name: &Name, part: &Part<'_>, at: u64, id: &str) -> Result<String, Error> {
    let key = s3.key(name);
    let number = u16::try_from(at + 1).map_err(io::Error::other)?;
    let response = s3.web.send(part, &|client| {
        let action = s3.bucket.upload_part(s3.credentials.as_ref(), &key, number, id);
        client.put(action.sign(GOOD_FOR))
    });
    let response = s3.changed(name, response)?;
    let etag = response.headers().get(ETAG).and_then(|etag| etag.to_str().ok());
    etag.map(str::to_owned).ok_or_else(|| wrong(s3, name, "a part of it has no ETag"))
}

fn complete(s3: &S3, name: &Name, id: &str, etags: &[String]) -> Result<(), Error> {
    let key = s3.key(name);
    let etags = || etags.iter().map(String::as_str);
    let action = || s3.bucket.complete_multipart_upload(s3.credentials.as_ref(), &key, id, etags());
    let body = action().body();
    let response =
        s3.web.send(&Body::Bytes(body.as_bytes()), &|client| client.post(action().sign(GOOD_FOR)));
    let answer = text(s3, s3.changed(name, response)?)?;
    // It has said that all is well before it knows.
    if answer.contains("<Error>") {
        return Err(wrong(s3, name, "it could not put the parts together"));
    }
    Ok(())
}

fn text(s3: &S3, response: reqwest::blocking::Response) -> Result<String, Error> {
    let mut text = String::new();
    let read = response.take(LONGEST_ANSWER).read_to_string(&mut text);
    let address = || super::Remote::address(s3).to_owned();
    read.map_err(|error| Error::Unreachable { address: address(), why: error.to_string() })?;
    Ok(text)
}

fn wrong(s3: &S3, name: &Name, why: &str) -> Error {
    let address = super::Remote::address(s3).to_owned();
    Error::Wrong { address, name: name.to_string(), why: why.to_owned() }
}

/// How long the parts of so many bytes are, but for the last, and how many there are.
fn cut(size: u64) -> (u64, u64) {
    let length = PART.max(size.div_ceil(MOST));
    (length, size.div_ceil(length))
}

struct Part<'a> {
    body: Body<'a>,
    start: u64,
    length: u64,
}

impl Source for Part<'_> {
    fn open(&self) -> io::Result<(Box<dyn Read + Send>, u64)> {
        let reader: Box<dyn Read + Send> = match self.body {
            Body::Bytes(bytes) => {
                let range =
                    self.start.try_into().ok().zip((self.start + self.length).try_into().ok());
                let part = range.and_then(|(start, end): (usize, usize)| bytes.get(start..end));
                Box::new(io::Cursor::new(part.unwrap_or_default().to_vec()))
            }
            Body::File(path) => {
                let mut file = fs_err::File::open(path)?;
                file.seek(SeekFrom::Start(self.start))?;
                Box::new(file.take(self.length))
            }
        };
        Ok((reader, self.length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_upload_has_too_many_parts() {
        for (size, expected) in [
            (WHOLE + 1, (PART, 3)),
            (PART * MOST, (PART, MOST)),
            (PART * MOST + 1, (PART + 1, MOST)),
        ] {
            assert_eq!(cut(size), expected);
        }
    }
}
