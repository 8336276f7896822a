use std::{
    io::{self, Read},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use reqwest::{
    StatusCode, Url,
    blocking::{Body, RequestBuilder, Response},
    header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION},
};

use super::{
    ImageName, Piece, Reference, What,
    auth::{Access, Door, failure, said},
};
use crate::{
    digest::Digest,
    fetch::{
        Error, Fetcher, Progress, Tried, Try,
        client::Redirects,
        quest::wait,
        transfer::{Failure, exchange},
    },
};

/// How often to look how far an upload has come.
const TICK: Duration = Duration::from_millis(100);
/// An upload may take so long as long as it moves; the client's own limit would be for all of it.
const LONGEST_UPLOAD: Duration = Duration::from_secs(24 * 60 * 60);
/// Registries read a blob again when it is there, at so many bytes a second or faster.
const REREAD: u64 = 8 << 20;

/// What became of a blob that was to be pushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed {
    /// It was sent.
    Sent,
    /// The registry had it already.
    There,
}

impl Fetcher {
    /// Puts a blob into a repository, unless it is there already.
    ///
    /// `open` gives its bytes from the beginning, `size` of them; it is called again for each attempt. Only the registry
    /// itself is asked, not its mirrors.
    pub fn push_blob<R: Read + Send + 'static>(
        &self,
        registry: &str,
        repository: &str,
        digest: &Digest,
        size: u64,
        open: impl Fn() -> io::Result<R>,
        progress: &dyn Fn(Progress<'_>),
    ) -> Result<Pushed, Error> {
        let image = ImageName::new(registry, repository, Reference::Digest(*digest))?;
        let (piece, door) = self.to_push(What::Blob, image)?;
        let url = door.url(&piece.path());
        self.insist(piece, &url, progress, || {
            if self.is_there(&door, &url)? {
                return Ok(Pushed::There);
            }
            let place = self.begin(&door, digest)?;
            progress(Progress::Asked { url: &url, from: 0 });
            let upload = Upload::new(open().map_err(Failure::Kept)?, size);
            self.upload(&door, place, upload, size, progress)?;
            progress(Progress::Reached(size));
            Ok(Pushed::Sent)
        })
    }

    /// Puts a manifest or an index into a repository, under a tag or only under its digest. All that it names has to be
    /// there. Returns its digest.
    pub fn push_manifest(
        &self,
        registry: &str,
        repository: &str,
        reference: &Reference,
        media_type: &str,
        bytes: &[u8],
    ) -> Result<Digest, Error> {
        let digest = Digest::of(bytes);
        let image = ImageName::new(registry, repository, reference.clone())?;
        if *reference != Reference::Digest(digest) && matches!(reference, Reference::Digest(_)) {
            let why = format!("its sha256 is {digest}");
            return Err(Error::BadManifest { image, why });
        }
        let (piece, door) = self.to_push(What::Manifest, image)?;
        let url = door.url(&piece.path());
        self.insist(piece, &url, &|_| (), || {
            let client = self.clients.get(door.endpoint.way(Redirects::Stay))?;
            let request =
                || client.put(&url).header(CONTENT_TYPE, media_type).body(bytes.to_owned());
            let response = self.doorman.send(&self.clients, &door, None, &request)?;
            stored(response, Some(digest))
        })?;
        Ok(digest)
    }

    fn to_push(&self, what: What, image: ImageName) -> Result<(Piece, Door), Error> {
        let endpoint = self.doorman.registries.itself(&image.registry);
        let door = Door { endpoint, repository: image.repository.clone(), access: Access::Push };
        let piece = Piece { what, image };
        if self.options().offline {
            return Err(Error::AwayFromRegistry { piece });
        }
        Ok((piece, door))
    }

    /// Tries until it works or there is no more hope.
    fn insist<T>(
        &self,
        piece: Piece,
        url: &str,
        progress: &dyn Fn(Progress<'_>),
        mut attempt: impl FnMut() -> Result<T, Failure>,
    ) -> Result<T, Error> {
        let mut failed = 0;
        loop {
            let (rest, denied, why) = match attempt() {
                Ok(done) => return Ok(done),
                Err(Failure::Kept(source)) => return Err(Error::Unreadable { piece, source }),
                Err(Failure::Transient(why)) => (Some(Duration::ZERO), false, why),
                Err(Failure::Busy { why, rest }) => (Some(rest), false, why),
                Err(Failure::Denied(why)) => (None, true, why),
                Err(
                    Failure::Missing(why)
                    | Failure::Refused(why)
                    | Failure::Other(why)
                    | Failure::Wrong { why, .. },
                ) => (None, false, why),
            };
            progress(Progress::Failed { url, why: &why });
            failed += 1;
            let again = rest.filter(|_| failed < self.options().attempts.max(1));
            let Some(rest) = again else {
                let tried = Tried(vec![Try { url: url.to_owned(), why }]);
                return Err(if denied {
                    Error::Denied { piece, tried }
                } else {
                    Error::NotPushed { piece, tried }
                });
            };
            let wait = wait(self.options().backoff, failed, url).max(rest);
            progress(Progress::Waiting(wait));
            thread::sleep(wait);
        }
    }

    fn is_there(&self, door: &Door, url: &str) -> Result<bool, Failure> {
        let client = self.clients.get(door.endpoint.way(Redirects::Follow))?;
        match self.doorman.send(&self.clients, door, None, &|| client.head(url)) {
            Ok(_) => Ok(true),
            Err(Failure::Missing(_)) => Ok(false),
            Err(failure) => Err(failure),
        }
    }

    /// Where the bytes are to go (OCI distribution specification 1.1, "POST then PUT").
    fn begin(&self, door: &Door, digest: &Digest) -> Result<Url, Failure> {
        let client = self.clients.get(door.endpoint.way(Redirects::Stay))?;
        let url = door.url("blobs/uploads/");
        let request = || client.post(&url).header(CONTENT_LENGTH, 0);
        let response = self.doorman.send(&self.clients, door, None, &request)?;
        let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
        let place = location.and_then(|location| response.url().join(location).ok());
        let Some(mut place) = place.filter(|_| response.status() == StatusCode::ACCEPTED) else {
            let status = response.status();
            return Err(Failure::Refused(format!("{status} without saying where to send it")));
        };
        place.query_pairs_mut().append_pair("digest", &format!("sha256:{digest}"));
        Ok(place)
    }

    fn upload<R: Read + Send + 'static>(
        &self,
        door: &Door,
        place: Url,
        upload: Upload<R>,
        size: u64,
        progress: &dyn Fn(Progress<'_>),
    ) -> Result<(), Failure> {
        let client = self.clients.get(door.endpoint.way(Redirects::Stay))?;
        let (sent, broken) = (upload.sent.clone(), upload.broken.clone());
        let request = client.put(place.clone());
        let request = self.doorman.show(door, &place, request);
        let request = request
            .header(CONTENT_TYPE, "application/octet-stream")
            .timeout(LONGEST_UPLOAD)
            .body(Body::sized(upload, size));
        let result = watched(request, size, &sent, self.options().stall, progress);
        if let Some(error) = broken.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Err(Failure::Kept(error));
        }
        let response = result?;
        if response.status() == StatusCode::UNAUTHORIZED {
            // What we showed was good a moment ago: it may have become too old.
            self.doorman.forget(door);
            return Err(Failure::Transient(format!("{}, to {place}", said(response))));
        }
        stored(response, None)
    }
}

/// Whether the registry says that it has got everything, and, if it says what, that this is it.
fn stored(response: Response, expected: Option<Digest>) -> Result<(), Failure> {
    if response.status() != StatusCode::CREATED {
        return Err(match failure(response) {
            // It is not what we push that is missing.
            Failure::Missing(why) => Failure::Refused(why),
            failure => failure,
        });
    }
    let told = response.headers().get("docker-content-digest").and_then(|told| told.to_str().ok());
    match (told, expected.map(|digest| format!("sha256:{digest}"))) {
        (Some(told), Some(expected)) if told.starts_with("sha256:") && told != expected => {
            Err(Failure::Refused(format!("it took it for {told}, but it is {expected}")))
        }
        _ => Ok(()),
    }
}

/// Sends an upload, and gives up when it does not move.
fn watched(
    request: RequestBuilder,
    size: u64,
    sent: &AtomicU64,
    stall: Duration,
    progress: &dyn Fn(Progress<'_>),
) -> Result<Response, Failure> {
    let (tell, told) = mpsc::channel();
    thread::spawn(move || tell.send(exchange(request, None)));
    let (mut reached, mut moved) = (0, Instant::now());
    loop {
        match told.recv_timeout(TICK) {
            Ok(result) => return result,
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                return Err(Failure::Transient("broken off".to_owned()));
            }
            Err(mpsc::RecvTimeoutError::Timeout) => (),
        }
        let now = sent.load(Ordering::Relaxed);
        if now != reached {
            (reached, moved) = (now, Instant::now());
            progress(Progress::Reached(now));
        }
        let rereads = Duration::from_secs(if now < size { 0 } else { size / REREAD });
        if moved.elapsed() > stall.saturating_add(rereads) {
            return Err(Failure::Transient(format!("timed out after {now} bytes")));
        }
    }
}

/// The bytes of an upload on their way.
struct Upload<R> {
    reader: R,
    size: u64,
    sent: Arc<AtomicU64>,
    /// Why they cannot be read, which the client would not tell.
    broken: Arc<Mutex<Option<io::Error>>>,
}

impl<R: Read> Upload<R> {
    fn new(reader: R, size: u64) -> Self {
        Self { reader, size, sent: Arc::default(), broken: Arc::default() }
    }
}

impl<R: Read> Read for Upload<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let error = match self.reader.read(buffer) {
            Ok(0) if !buffer.is_empty() && self.sent.load(Ordering::Relaxed) < self.size => {
                let sent = self.sent.load(Ordering::Relaxed);
                let why = format!("it ends after {sent} of {} bytes", self.size);
                io::Error::new(io::ErrorKind::UnexpectedEof, why)
            }
            Ok(count) => {
                self.sent.fetch_add(count as u64, Ordering::Relaxed);
                return Ok(count);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
            Err(error) => error,
        };
        let told = io::Error::new(error.kind(), error.to_string());
        *self.broken.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        Err(told)
    }
}
