use std::path::Path;

use reqwest::{
    StatusCode, Url,
    blocking::{Client, RequestBuilder},
};
use serde::Deserialize;

use super::{Body, Entry, Error, Name, Options, Remote, Secret, web::Web};

/// A list of everything may be so long: some million entries.
const LONGEST_LIST: u64 = 256 << 20;

/// A web server: any one for reading files, and vsbuild's own, or one that takes `PUT` and `DELETE`, for keeping them.
///
/// Vsbuild's own lists what it has: `GET BASE/?list=NAME` is answered with a JSON array of objects with `name`, `size` in
/// bytes and, if that is known, `modified` in seconds since 1970.
#[derive(Debug)]
pub(super) struct Http {
    web: Web,
    token: Option<Secret>,
}

impl Http {
    /// `url` has no slash at its end.
    pub(super) fn new(url: &str, options: &Options) -> Result<Self, Error> {
        let unusable = |why: String| Error::Unusable { address: url.to_owned(), why };
        let parsed = Url::parse(url).map_err(|error| unusable(error.to_string()))?;
        let token = options.token.clone();
        if token.iter().any(|token| !token.reveal().bytes().all(|byte| byte.is_ascii_graphic())) {
            return Err(unusable("its token has characters that no token has".to_owned()));
        }
        let host = parsed.host_str().unwrap_or_default();
        Ok(Self { web: Web::new(url.to_owned(), host, options), token })
    }

    fn url(&self, name: &Name) -> String {
        format!("{}/{name}", self.web.address())
    }

    fn shown(&self, request: RequestBuilder) -> RequestBuilder {
        self.token.iter().fold(request, |request, token| request.bearer_auth(token.reveal()))
    }

    /// Asks for a change. Who cannot say what a method is, or finds nothing to apply it to, only gives files.
    fn change(
        &self,
        name: &Name,
        body: Body<'_>,
        unable: Error,
        ask: &dyn Fn(&Client) -> RequestBuilder,
    ) -> Result<(), Error> {
        let response = self.web.send(&body, &|client| self.shown(ask(client)));
        let response = response.map_err(|failure| self.web.error(name, failure))?;
        match response.status() {
            StatusCode::NOT_FOUND
            | StatusCode::METHOD_NOT_ALLOWED
            | StatusCode::NOT_IMPLEMENTED => Err(unable),
            _ => self.web.settle(name, response).map(drop),
        }
    }

    fn unable(&self, what: &'static str) -> Error {
        Error::Unable { address: self.web.address().to_owned(), what }
    }
}

impl Remote for Http {
    fn address(&self) -> &str {
        self.web.address()
    }

    fn get(&self, name: &Name, limit: u64) -> Result<Option<Vec<u8>>, Error> {
        self.web.get(name, limit, &|client| self.shown(client.get(self.url(name))))
    }

    fn fetch(
        &self,
        name: &Name,
        size: u64,
        partial: &Path,
        reached: &dyn Fn(u64),
    ) -> Result<bool, Error> {
        let ask = |client: &Client| self.shown(client.get(self.url(name)));
        self.web.fetch(name, size, partial, reached, &ask)
    }

    fn has(&self, name: &Name) -> Result<bool, Error> {
        self.web.has(name, &|client| self.shown(client.head(self.url(name))))
    }

    fn put(&self, name: &Name, body: Body<'_>) -> Result<(), Error> {
        let unable = self.unable("be written to: it only gives files");
        self.change(name, body, unable, &|client| client.put(self.url(name)))
    }

    fn list(&self, under: &Name) -> Result<Vec<Entry>, Error> {
        let unable = || self.unable("say what it has: it only gives files");
        let url = format!("{}/?list={under}", self.web.address());
        let answer = self.web.get(under, LONGEST_LIST, &|client| self.shown(client.get(&url)));
        let bytes = match answer {
            Ok(bytes) => bytes.ok_or_else(unable)?,
            // A server of files does not show what is in a directory; ours asks for a token first.
            Err(Error::Denied { why, .. }) if self.token.is_none() && why.starts_with("403") => {
                return Err(unable());
            }
            Err(error) => return Err(error),
        };
        entries(&bytes, under).ok_or_else(unable)
    }

    fn remove(&self, name: &Name) -> Result<(), Error> {
        let unable = self.unable("remove anything: it only gives files");
        let nothing = Body::Bytes(&[]);
        match self.change(name, nothing, unable, &|client| client.delete(self.url(name))) {
            // It is the same answer if there is nothing to remove.
            Err(Error::Unable { .. }) if !self.has(name)? => Ok(()),
            result => result,
        }
    }
}

/// What a list says that it should: entries under a name. Nothing if it is none.
fn entries(json: &[u8], under: &Name) -> Option<Vec<Entry>> {
    #[derive(Deserialize)]
    struct Listed {
        name: String,
        size: u64,
        modified: Option<u64>,
    }
    let listed: Vec<Listed> = serde_json::from_slice(json).ok()?;
    let entry = |Listed { name, size, modified }| {
        let name = str::parse::<Name>(&name).ok().filter(|name| name.is_under(under))?;
        Some(Entry { name, size, modified })
    };
    let mut entries: Vec<Entry> = listed.into_iter().filter_map(entry).collect();
    entries.sort();
    entries.dedup_by(|one, other| one.name == other.name);
    Some(entries)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_list_names_nothing_that_was_not_asked_for() {
        let json = br#"[{"name":"packs/b","size":2,"modified":null},{"name":"packs/a","size":1,"modified":7},
            {"name":"packs/../x","size":1},{"name":"packs2/a","size":1},{"name":"/packs/a","size":1}]"#;
        let entries = entries(json, &"packs".parse().unwrap()).unwrap();
        let shown: Vec<_> = entries.iter().map(|entry| (entry.name.as_str(), entry.size)).collect();
        assert_eq!(shown, [("packs/a", 1), ("packs/b", 2)]);
        assert_eq!((entries[0].modified, entries[1].modified), (Some(7), None));
    }

    proptest! {
        #[test]
        fn whatever_a_server_says_is_a_list_or_none(text in ".{0,60}|\\[\\{\"name\":.{0,40}\\}\\]") {
            let under: Name = "a".parse().unwrap();
            for entry in entries(text.as_bytes(), &under).unwrap_or_default() {
                prop_assert!(entry.name.is_under(&under));
            }
        }
    }
}
