use std::{
    io::{self, Read},
    thread,
    time::Duration,
};

use reqwest::{
    StatusCode, Url,
    blocking::Response,
    header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION},
};

use super::{
    ImageName, Piece, Reference, What,
    auth::{Access, Door, failure, said},
};
use crate::{
    digest::Digest,
    fetch::{
        Error, Fetcher, Progress, Tried, Try, client::Redirects, quest::wait, transfer::Failure,
        upload::upload,
    },
};

/// What became of a blob that was to be pushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed {
    /// It was sent.
    Sent,
    /// The registry had it already.
    There,
}

/// Why a registry was given up.
pub(super) enum Despair {
    Missing(Tried),
    Denied(Tried),
    /// It will not do such a thing.
    Refused(Tried),
    /// It may do it another time.
    Failed(Tried),
    /// It is not the registry's fault.
    Unreadable(io::Error),
}

impl Despair {
    fn of_push(self, piece: Piece) -> Error {
        match self {
            Self::Denied(tried) => Error::Denied { piece, tried },
            Self::Missing(tried) | Self::Refused(tried) | Self::Failed(tried) => {
                Error::NotPushed { piece, tried }
            }
            Self::Unreadable(source) => Error::Unreadable { piece, source },
        }
    }
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
        self.insist(&url, progress, || {
            if self.is_there(&door, &url)? {
                return Ok(Pushed::There);
            }
            let place = self.begin(&door, digest)?;
            progress(Progress::Asked { url: &url, from: 0 });
            let reader = open().map_err(Failure::Kept)?;
            self.upload(&door, place, reader, size, progress)?;
            progress(Progress::Reached(size));
            Ok(Pushed::Sent)
        })
        .map_err(|despair| despair.of_push(piece))
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
        self.insist(&url, &|_| (), || {
            let client = self.clients.get(door.endpoint.way(Redirects::Stay))?;
            let request =
                || client.put(&url).header(CONTENT_TYPE, media_type).body(bytes.to_owned());
            let response = self.doorman.send(&self.clients, &door, None, &request)?;
            stored(response, Some(digest))
        })
        .map_err(|despair| despair.of_push(piece))?;
        Ok(digest)
    }

    fn to_push(&self, what: What, image: ImageName) -> Result<(Piece, Door), Error> {
        self.to_itself(Piece { what, image }, Access::Push)
    }

    /// The door of the registry itself, not of its mirrors.
    pub(super) fn to_itself(&self, piece: Piece, access: Access) -> Result<(Piece, Door), Error> {
        if self.options().offline {
            return Err(Error::AwayFromRegistry { piece });
        }
        let endpoint = self.doorman.registries.itself(&piece.image.registry);
        let repository = piece.image.repository.clone();
        Ok((piece, Door { endpoint, repository, access }))
    }

    /// Tries until it works or there is no more hope.
    pub(super) fn insist<T>(
        &self,
        url: &str,
        progress: &dyn Fn(Progress<'_>),
        mut attempt: impl FnMut() -> Result<T, Failure>,
    ) -> Result<T, Despair> {
        let mut failed = 0;
        loop {
            let (rest, end, why): (_, fn(Tried) -> Despair, _) = match attempt() {
                Ok(done) => return Ok(done),
                Err(Failure::Kept(source)) => return Err(Despair::Unreadable(source)),
                Err(Failure::Transient(why)) => (Some(Duration::ZERO), Despair::Failed, why),
                Err(Failure::Busy { why, rest }) => (Some(rest), Despair::Failed, why),
                Err(Failure::Denied(why)) => (None, Despair::Denied, why),
                Err(Failure::Missing(why)) => (None, Despair::Missing, why),
                Err(Failure::Refused(why) | Failure::Other(why) | Failure::Wrong { why, .. }) => {
                    (None, Despair::Refused, why)
                }
            };
            progress(Progress::Failed { url, why: &why });
            failed += 1;
            let again = rest.filter(|_| failed < self.options().attempts.max(1));
            let Some(rest) = again else {
                return Err(end(Tried(vec![Try { url: url.to_owned(), why }])));
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
        reader: R,
        size: u64,
        progress: &dyn Fn(Progress<'_>),
    ) -> Result<(), Failure> {
        let client = self.clients.get(door.endpoint.way(Redirects::Stay))?;
        let request = self.doorman.show(door, &place, client.put(place.clone()));
        let request = request.header(CONTENT_TYPE, "application/octet-stream");
        let stall = self.options().stall;
        let moved = |reached| progress(Progress::Reached(reached));
        let response = upload(request, reader, size, stall, &moved)?;
        if response.status() == StatusCode::UNAUTHORIZED {
            // What we showed was good a moment ago: it may have become too old.
            self.doorman.forget(door);
            // What follows the question mark may be a signature.
            let mut place = place;
            place.set_query(None);
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
