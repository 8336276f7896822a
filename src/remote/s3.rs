use std::{path::Path, time::Duration};

use reqwest::{
    StatusCode, Url,
    blocking::{Client, Response},
};
use rusty_s3::{Bucket, S3Action, UrlStyle, actions::ListObjectsV2};

use super::{
    Body, Entry, Error, Name, Options, Remote, parts, time,
    web::{Source, Web},
};
use crate::fetch::Failure;

/// Where to ask without an endpoint.
const REGION: &str = "us-east-1";
/// A signed address is good for so long: for one try, however slow.
pub(super) const GOOD_FOR: Duration = Duration::from_secs(6 * 60 * 60);
/// A page of a list has at most a thousand entries.
const LONGEST_PAGE: u64 = 16 << 20;
/// A list that goes on after so many pages goes round in circles.
const MOST_PAGES: usize = 100_000;

/// A part of a bucket of a store that speaks S3 (Amazon S3 API reference, 2006-03-01). A name is a key after the prefix.
///
/// An endpoint of one's own is asked by path, `ENDPOINT/BUCKET/KEY`; Amazon's by host, unless the bucket's name cannot
/// stand in one.
#[derive(Debug)]
pub(super) struct S3 {
    pub(super) web: Web,
    pub(super) bucket: Bucket,
    pub(super) credentials: Option<rusty_s3::Credentials>,
    /// Empty or with a slash at its end.
    prefix: String,
}

impl S3 {
    pub(super) fn new(bucket: &str, prefix: &str, options: &Options) -> Result<Self, Error> {
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        let address = format!("s3://{bucket}/{prefix}").trim_end_matches('/').to_owned();
        let unusable = |why: String| Error::Unusable { address: address.clone(), why };
        let region = options.region.as_deref().unwrap_or(REGION).to_owned();
        if !region.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            return Err(unusable(format!("`{}` is no region", region.escape_debug())));
        }
        let amazon = || format!("https://s3.{region}.amazonaws.com");
        let text = options.endpoint.clone().unwrap_or_else(amazon);
        let endpoint = endpoint(&text).ok_or_else(|| {
            // It may have a password in it, so it is not shown.
            unusable(
                "its endpoint is not the address of a server (https://HOST or http://HOST)"
                    .to_owned(),
            )
        })?;
        let label = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let by_host = options.endpoint.is_none() && bucket.bytes().all(label);
        let style = if by_host { UrlStyle::VirtualHost } else { UrlStyle::Path };
        let host = endpoint.host_str().unwrap_or_default().to_owned();
        let credentials = options.credentials.as_ref().map(|known| {
            let (key, secret) = (&known.key, known.secret.reveal());
            match &known.session {
                Some(session) => {
                    rusty_s3::Credentials::new_with_token(key, secret, session.reveal())
                }
                None => rusty_s3::Credentials::new(key, secret),
            }
        });
        let bucket = Bucket::new(endpoint, style, bucket.to_owned(), region.clone())
            .map_err(|error| unusable(error.to_string()))?;
        Ok(Self { web: Web::new(address, &host, options), bucket, credentials, prefix })
    }

    pub(super) fn key(&self, name: &Name) -> String {
        format!("{}{name}", self.prefix)
    }

    /// What the answer to a change means. `Missing` can only be the bucket.
    pub(super) fn changed(
        &self,
        name: &Name,
        response: Result<Response, Failure>,
    ) -> Result<Response, Error> {
        let response = response.map_err(|failure| self.web.error(name, failure))?;
        self.web.settle(name, response)
    }

    fn page(&self, under: &Name, after: Option<&str>) -> Result<Page, Error> {
        let prefix = self.key(under);
        let bytes = self.web.get(under, LONGEST_PAGE, &|client: &Client| {
            let mut list = self.bucket.list_objects_v2(self.credentials.as_ref());
            list.with_prefix(prefix.as_str());
            if let Some(after) = after {
                list.with_continuation_token(after.to_owned());
            }
            client.get(list.sign(GOOD_FOR))
        })?;
        let parsed = bytes.and_then(|bytes| page(&bytes, &self.prefix, under));
        parsed.ok_or_else(|| Error::Unable {
            address: self.web.address().to_owned(),
            what: "say what it has: its answer is no list of objects",
        })
    }
}

impl Remote for S3 {
    fn address(&self) -> &str {
        self.web.address()
    }

    fn get(&self, name: &Name, limit: u64) -> Result<Option<Vec<u8>>, Error> {
        let key = self.key(name);
        self.web.get(name, limit, &|client| {
            client.get(self.bucket.get_object(self.credentials.as_ref(), &key).sign(GOOD_FOR))
        })
    }

    fn fetch(
        &self,
        name: &Name,
        size: u64,
        partial: &Path,
        reached: &dyn Fn(u64),
    ) -> Result<bool, Error> {
        let key = self.key(name);
        self.web.fetch(name, size, partial, reached, &|client| {
            client.get(self.bucket.get_object(self.credentials.as_ref(), &key).sign(GOOD_FOR))
        })
    }

    fn has(&self, name: &Name) -> Result<bool, Error> {
        let key = self.key(name);
        self.web.has(name, &|client| {
            client.head(self.bucket.head_object(self.credentials.as_ref(), &key).sign(GOOD_FOR))
        })
    }

    fn put(&self, name: &Name, body: Body<'_>) -> Result<(), Error> {
        let size = match body {
            Body::Bytes(bytes) => bytes.len() as u64,
            Body::File(path) => fs_err::metadata(path)?.len(),
        };
        if size > parts::WHOLE {
            return parts::put(self, name, body, size);
        }
        self.put_whole(name, &body)
    }

    fn list(&self, under: &Name) -> Result<Vec<Entry>, Error> {
        let (mut entries, mut after) = (Vec::new(), None);
        for _ in 0..MOST_PAGES {
            let page = self.page(under, after.as_deref())?;
            entries.extend(page.entries);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        entries.sort();
        entries.dedup_by(|one, other| one.name == other.name);
        Ok(entries)
    }

    fn remove(&self, name: &Name) -> Result<(), Error> {
        let key = self.key(name);
        let response = self.web.send(&Body::Bytes(&[]), &|client| {
            client.delete(self.bucket.delete_object(self.credentials.as_ref(), &key).sign(GOOD_FOR))
        });
        match response {
            // Amazon says 204 for what is not there, others this.
            Ok(response) if response.status() == StatusCode::NOT_FOUND => Ok(()),
            response => self.changed(name, response).map(drop),
        }
    }
}

impl S3 {
    fn put_whole(&self, name: &Name, body: &dyn Source) -> Result<(), Error> {
        let key = self.key(name);
        let response = self.web.send(body, &|client| {
            client.put(self.bucket.put_object(self.credentials.as_ref(), &key).sign(GOOD_FOR))
        });
        self.changed(name, response).map(drop)
    }
}

fn endpoint(text: &str) -> Option<Url> {
    let url = Url::parse(&format!("{}/", text.trim_end_matches('/'))).ok()?;
    let plain = url.username().is_empty() && url.password().is_none() && url.query().is_none();
    (matches!(url.scheme(), "http" | "https") && url.has_host() && plain).then_some(url)
}

/// A part of a list, and how to ask for the next.
#[derive(Debug)]
struct Page {
    entries: Vec<Entry>,
    next: Option<String>,
}

/// Keys that are no names, or not under the one asked for, are others' business.
fn page(xml: &[u8], prefix: &str, under: &Name) -> Option<Page> {
    let answer = ListObjectsV2::parse_response(std::str::from_utf8(xml).ok()?).ok()?;
    let entries = answer.contents.into_iter().filter_map(|content| {
        let name = content.key.strip_prefix(prefix)?.parse::<Name>().ok()?;
        let modified = time::seconds(&content.last_modified);
        name.is_under(under).then_some(Entry { name, size: content.size, modified })
    });
    Some(Page { entries: entries.collect(), next: answer.next_continuation_token })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn url(bucket: &str, endpoint: Option<&str>) -> Result<String, Error> {
        let endpoint = endpoint.map(str::to_owned);
        let s3 = S3::new(bucket, "a/b", &Options { endpoint, ..Options::default() })?;
        let key = s3.key(&"packs/x".parse().unwrap());
        Ok(s3.bucket.get_object(None, &key).sign(GOOD_FOR).to_string())
    }

    #[test]
    fn an_endpoint_of_ones_own_is_asked_by_path() {
        for (bucket, endpoint, expected) in [
            ("lab", None, "https://lab.s3.us-east-1.amazonaws.com/a/b/packs/x"),
            ("my.lab", None, "https://s3.us-east-1.amazonaws.com/my.lab/a/b/packs/x"),
            ("lab", Some("http://localhost:9000"), "http://localhost:9000/lab/a/b/packs/x"),
            ("lab", Some("https://host/s3/"), "https://host/s3/lab/a/b/packs/x"),
        ] {
            assert_eq!(url(bucket, endpoint).unwrap(), expected);
        }
        for endpoint in ["", "host", "ftp://host", "https://me:hush@host"] {
            let error = url("lab", Some(endpoint)).unwrap_err().to_string();
            assert!(error.contains("endpoint") && !error.contains("hush"), "{error}");
        }
    }

    #[test]
    fn a_page_has_what_is_ours_and_says_how_to_go_on() {
        let content = |key: &str| {
            format!(
                "<Contents><Key>{key}</Key><LastModified>2026-11-26T12:00:00.000Z</LastModified>\
                 <ETag>x</ETag><Size>3</Size></Contents>"
            )
        };
        let contents = ["v/packs/a", "v/packs/../b", "v/packs2/c", "packs/d", "v/packs/E"]
            .map(content)
            .join("");
        let xml = format!(
            "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{contents}\
             <NextContinuationToken>more</NextContinuationToken></ListBucketResult>"
        );
        let page = page(xml.as_bytes(), "v/", &"packs".parse().unwrap()).unwrap();
        let entry =
            Entry { name: "packs/a".parse().unwrap(), size: 3, modified: Some(1_795_694_400) };
        assert_eq!((page.entries, page.next.as_deref()), (vec![entry], Some("more")));
    }

    proptest! {
        #[test]
        fn whatever_a_store_says_is_a_page_or_none(text in "(<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">)?.{0,80}") {
            let under: Name = "a".parse().unwrap();
            if let Some(page) = page(text.as_bytes(), "", &under) {
                prop_assert!(page.entries.iter().all(|entry| entry.name.is_under(&under)));
            }
        }
    }
}
