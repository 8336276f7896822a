use std::cell::RefCell;

use reqwest::{
    blocking::Response,
    header::{ACCEPT, CONTENT_TYPE, HeaderMap},
};

use super::{
    ImageName, Piece, Reference, What,
    auth::{Access, Door},
    is_loopback,
};
use crate::{
    digest::Digest,
    fetch::{
        Error, Fetcher, Progress,
        client::Redirects,
        landing::Landing,
        quest::{Quest, Server, Subject},
        transfer::{Expected, Failure, Origin},
    },
};

/// Manifests may be so long (OCI distribution specification 1.1, "Pushing Manifests").
const LONGEST_MANIFEST: u64 = 4 << 20;
/// The kinds of manifests and indexes that we know what to do with.
const MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";

/// A manifest, or an index of manifests, as a registry has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The digest of `bytes`: whoever asks for it gets the same again.
    pub digest: Digest,
    /// What it is, `application/vnd.oci.image.index.v1+json`. That is not checked against what we know, but the registry
    /// and the manifest say the same.
    pub media_type: String,
    /// At most 4 MiB.
    pub bytes: Vec<u8>,
}

/// What a server said of a manifest beside its bytes.
#[derive(Debug, Default)]
pub(in crate::fetch) struct Heard {
    media_type: Option<String>,
    digest: Option<Digest>,
}

/// Something on one server of a registry.
pub(in crate::fetch) struct InRegistry<'a> {
    fetcher: &'a Fetcher,
    door: Door,
    path: String,
    what: What,
    by_tag: bool,
    heard: Option<&'a RefCell<Heard>>,
}

impl Origin for InRegistry<'_> {
    fn get(&self, range: Option<&str>) -> Result<Response, Failure> {
        let Fetcher { clients, doorman, .. } = self.fetcher;
        let client = clients.get(self.door.endpoint.way(Redirects::Follow))?;
        let url = self.door.url(&self.path);
        let response = doorman.send(clients, &self.door, range, &|| {
            let request = client.get(&url);
            match self.what {
                What::Blob | What::Tags => request,
                What::Manifest => request.header(ACCEPT, MANIFESTS),
            }
        })?;
        let end = response.url();
        let exposed = url.starts_with("https:") && end.scheme() != "https";
        if self.by_tag && exposed && !end.host_str().is_some_and(is_loopback) {
            // A digest would hold whatever the way; a tag is only as good as its way.
            return Err(Failure::Refused(format!("it sends us to {end}, which is not encrypted")));
        }
        if let Some(heard) = self.heard {
            *heard.borrow_mut() = Heard::new(response.headers());
        }
        Ok(response)
    }

    fn vouch(&self, landing: &Landing) -> Result<(), Failure> {
        let told = self.heard.and_then(|heard| heard.borrow().digest);
        let (Some(told), Some(digest)) = (told, landing.digest()) else { return Ok(()) };
        if told == digest {
            return Ok(());
        }
        let why =
            format!("its sha256 is {}, not {} as its header says", digest.short(), told.short());
        Err(Failure::Wrong { why, resumed: 0 })
    }
}

impl Heard {
    fn new(headers: &HeaderMap) -> Self {
        let text = |name: &str| headers.get(name)?.to_str().ok();
        let media_type = text(CONTENT_TYPE.as_str()).and_then(|value| value.split(';').next());
        let digest = text("docker-content-digest").and_then(|value| value.strip_prefix("sha256:"));
        Self {
            media_type: media_type.map(|value| value.trim().to_ascii_lowercase()),
            digest: digest.and_then(|hex| hex.parse().ok()),
        }
    }
}

impl Fetcher {
    /// Asks a registry for a manifest or an index: for the one that bears a tag now, or the one with a digest.
    ///
    /// Mirrors of the registry are asked first. A digest is checked; with a tag one has to believe the servers.
    pub fn manifest(
        &self,
        registry: &str,
        repository: &str,
        reference: &Reference,
    ) -> Result<Manifest, Error> {
        let image = ImageName::new(registry, repository, reference.clone())?;
        let expected = match reference {
            Reference::Tag(_) => Expected::AtMost(LONGEST_MANIFEST),
            Reference::Digest(sha256) => {
                Expected::Named { limit: LONGEST_MANIFEST, sha256: *sha256 }
            }
        };
        let heard = RefCell::default();
        let piece = Piece { what: What::Manifest, image: image.clone() };
        let quest = self.pull(piece, expected, &|_| (), Some(&heard))?;
        let mut landing = Landing::memory();
        quest.pursue(self.options(), &mut landing, |why| Error::Client { why: why.to_string() })?;
        let bytes = landing.into_bytes();
        let digest = Digest::of(&bytes);
        let media_type = media_type(&bytes, heard.into_inner().media_type)
            .map_err(|why| Error::BadManifest { image, why })?;
        Ok(Manifest { digest, media_type, bytes })
    }

    /// Everything that there is to try for something in a registry.
    pub(in crate::fetch) fn pull<'a>(
        &'a self,
        piece: Piece,
        expected: Expected,
        progress: &'a dyn Fn(Progress<'_>),
        heard: Option<&'a RefCell<Heard>>,
    ) -> Result<Quest<'a>, Error> {
        if self.options().offline {
            return Err(Error::AwayFromRegistry { piece });
        }
        let ImageName { registry, repository, reference } = &piece.image;
        let server = |endpoint| {
            let repository = repository.clone();
            let door = Door { endpoint, repository, access: Access::Pull };
            let path = piece.path();
            let url = door.url(&path);
            let by_tag = matches!(reference, Reference::Tag(_));
            let origin = InRegistry { fetcher: self, door, path, what: piece.what, by_tag, heard };
            Server::new(origin, url)
        };
        let endpoints = self.doorman.registries.to_pull_from(registry);
        let servers = endpoints.into_iter().map(server).collect();
        Ok(Quest { subject: Subject::Piece(piece), expected, progress, servers })
    }
}

/// What a manifest is, by its own field `mediaType` and by the header `Content-Type`.
fn media_type(bytes: &[u8], header: Option<String>) -> Result<String, String> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Field {
        media_type: Option<String>,
    }
    let field: Field =
        serde_json::from_slice(bytes).map_err(|error| format!("it is no JSON object ({error})"))?;
    // Servers that know nothing of manifests, such as caches, say nothing of use.
    let header = header.filter(|header| header.starts_with("application/vnd."));
    match (field.media_type, header) {
        (Some(field), Some(header)) if field != header => Err(format!(
            "the registry says that it is `{}`, it itself says `{}`",
            header.escape_debug(),
            field.escape_debug()
        )),
        (Some(known), _) | (None, Some(known)) => Ok(known),
        (None, None) => Err("neither the registry nor it itself says what it is".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_is_what_it_and_the_registry_say() {
        let (index, manifest) = (
            "application/vnd.oci.image.index.v1+json",
            "application/vnd.oci.image.manifest.v1+json",
        );
        let field = format!(r#"{{"schemaVersion": 2, "mediaType": "{index}"}}"#);
        let plain = r#"{"schemaVersion": 2}"#;
        for (text, header, expected) in [
            (field.as_str(), Some(index), Some(index)),
            (&field, Some("application/json"), Some(index)),
            (&field, None, Some(index)),
            (&field, Some(manifest), None),
            (plain, Some(manifest), Some(manifest)),
            (plain, Some("text/plain"), None),
            (plain, None, None),
            ("<html>", Some(manifest), None),
        ] {
            let found = media_type(text.as_bytes(), header.map(str::to_owned)).ok();
            assert_eq!(found.as_deref(), expected, "{text} {header:?}");
        }
    }
}
