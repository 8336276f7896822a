use std::io::Read;

use reqwest::{
    Url,
    blocking::Response,
    header::{HeaderMap, LINK},
};
use serde::Deserialize;

use super::{
    ImageName, Piece, Reference, What,
    auth::{Access, Door},
    push::Despair,
};
use crate::{
    digest::Digest,
    fetch::{
        Error, Fetcher,
        client::Redirects,
        landing::Landing,
        transfer::{Expected, Failure},
    },
};

/// So many tags are asked for at a time.
const PAGE: usize = 1000;
/// A list of that many, or of more from a registry that does not count, is shorter than this.
const LONGEST_PAGE: u64 = 64 << 20;
/// A list that goes on after so many pages goes round in circles.
const MOST_PAGES: usize = 10_000;

impl Fetcher {
    /// A blob of a repository, in memory.
    pub fn blob(
        &self,
        registry: &str,
        repository: &str,
        size: u64,
        sha256: Digest,
    ) -> Result<Vec<u8>, Error> {
        let image = ImageName::new(registry, repository, Reference::Digest(sha256))?;
        let expected = Expected::Exactly { size, sha256 };
        let quest = self.pull(Piece { what: What::Blob, image }, expected, &|_| (), None)?;
        let mut landing = Landing::memory();
        quest.pursue(self.options(), &mut landing, |why| Error::Client { why: why.to_string() })?;
        Ok(landing.into_bytes())
    }

    /// All tags of a repository, sorted; none of one that is not there. Only the registry itself is asked, not its
    /// mirrors (OCI distribution specification 1.1, "Listing Tags").
    pub fn tags(&self, registry: &str, repository: &str) -> Result<Vec<String>, Error> {
        let image = ImageName::new(registry, repository, Reference::Tag("latest".to_owned()))?;
        let (piece, door) = self.to_itself(Piece { what: What::Tags, image }, Access::Pull)?;
        let mut url = format!("{}?n={PAGE}", door.url(&piece.path()));
        let mut tags = Vec::new();
        for _ in 0..MOST_PAGES {
            let page = self.insist(&url, &|_| (), || self.page(&door, &url));
            let (found, next) = match page {
                Err(Despair::Missing(_)) => (Vec::new(), None),
                Ok(page) => page,
                Err(Despair::Denied(tried)) => return Err(Error::Denied { piece, tried }),
                Err(Despair::Refused(tried) | Despair::Failed(tried)) => {
                    return Err(Error::NotPulled { piece, tried });
                }
                Err(Despair::Unreadable(source)) => {
                    return Err(Error::Client { why: source.to_string() });
                }
            };
            tags.extend(found);
            let Some(next) = next else { break };
            url = next;
        }
        tags.sort();
        tags.dedup();
        Ok(tags)
    }

    /// Deletes a manifest, and with it all tags that point to it; nothing happens if it is not there. Its blobs go when
    /// the registry next cleans up.
    pub fn delete_manifest(
        &self,
        registry: &str,
        repository: &str,
        digest: Digest,
    ) -> Result<(), Error> {
        let image = ImageName::new(registry, repository, Reference::Digest(digest))?;
        let (piece, door) =
            self.to_itself(Piece { what: What::Manifest, image }, Access::Delete)?;
        let url = door.url(&piece.path());
        let result = self.insist(&url, &|_| (), || {
            let client = self.clients.get(door.endpoint.way(Redirects::Stay))?;
            self.doorman.send(&self.clients, &door, None, &|| client.delete(&url)).map(drop)
        });
        match result {
            Ok(()) | Err(Despair::Missing(_)) => Ok(()),
            Err(Despair::Denied(tried)) => Err(Error::Denied { piece, tried }),
            Err(Despair::Refused(tried)) => Err(Error::Undeletable { piece, tried }),
            Err(Despair::Failed(tried)) => Err(Error::NotDeleted { piece, tried }),
            Err(Despair::Unreadable(source)) => Err(Error::Client { why: source.to_string() }),
        }
    }

    /// Some tags, and where there are more.
    fn page(&self, door: &Door, url: &str) -> Result<(Vec<String>, Option<String>), Failure> {
        #[derive(Deserialize)]
        struct Page {
            tags: Option<Vec<String>>,
        }
        let client = self.clients.get(door.endpoint.way(Redirects::Follow))?;
        let response = self.doorman.send(&self.clients, door, None, &|| client.get(url))?;
        let next = next(response.headers(), response.url()).filter(|next| door.endpoint.owns(next));
        let page: Page = serde_json::from_slice(&body(response)?).map_err(|error| {
            Failure::Refused(format!("it lists tags in no way we know ({error})"))
        })?;
        Ok((page.tags.unwrap_or_default(), next.map(String::from)))
    }
}

fn body(response: Response) -> Result<Vec<u8>, Failure> {
    let mut body = Vec::new();
    let read = response.take(LONGEST_PAGE).read_to_end(&mut body);
    read.map_err(|error| Failure::Transient(format!("broken off ({error})")))?;
    Ok(body)
}

/// The address in a header `Link: <ADDRESS>; rel="next"` (RFC 8288).
fn next(headers: &HeaderMap, here: &Url) -> Option<Url> {
    let links = headers.get_all(LINK).iter().filter_map(|value| value.to_str().ok());
    let next = links.filter(|link| link.contains("rel=\"next\"") || link.contains("rel=next"));
    let mut addresses = next.filter_map(|link| Some(link.split_once('<')?.1.split_once('>')?.0));
    here.join(addresses.next()?).ok()
}
