use std::{fmt, path::PathBuf, str::FromStr};

use reqwest::Url;

use crate::fetch::{ImageName, Reference};

/// Where a remote is.
///
/// As text: `file:///DIRECTORY` or the path of a directory, `http://HOST[:PORT]/PATH` or `https://…`,
/// `s3://BUCKET[/PREFIX]`, `oci://REGISTRY/REPOSITORY`. There are no secrets in it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize)]
#[serde(try_from = "String")]
pub enum Address {
    /// A directory, perhaps a relative one.
    Directory(PathBuf),
    /// A web server: `http` or `https`, a host and a path, without a slash at its end.
    Web(String),
    /// A bucket of an S3 store.
    Bucket {
        /// Its name.
        bucket: String,
        /// What all keys begin with: parts with `/` between them, or nothing.
        prefix: String,
    },
    /// A repository of a registry.
    Repository {
        /// The registry's host, with its port if that is not the usual one.
        registry: String,
        /// The repository in it.
        repository: String,
    },
}

/// The text is not the address of a remote.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not the address of a cache: {why}", .text.escape_debug())]
pub struct BadAddress {
    /// The text, unless there could be a password in it.
    pub text: String,
    /// What is wrong.
    pub why: String,
}

const KNOWN: &str = "a directory, file:///DIRECTORY, http://HOST/PATH, https://HOST/PATH, s3://BUCKET/PREFIX and \
    oci://REGISTRY/REPOSITORY are known";

impl FromStr for Address {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        let bad = |why: &str| BadAddress { text: text.to_owned(), why: why.to_owned() };
        let Some((scheme, rest)) = text.split_once("://") else {
            let first = text.split('/').next().unwrap_or_default();
            if first.is_empty() && !text.starts_with('/') {
                return Err(bad("it is empty"));
            } else if first.contains(':') {
                return Err(bad(&format!("{KNOWN}; write ./{text} for a directory of that name")));
            } else if text.contains('\0') {
                return Err(bad("no path has a byte 0 in it"));
            }
            return Ok(Self::Directory(text.into()));
        };
        match scheme.to_ascii_lowercase().as_str() {
            "file" => match rest.strip_prefix("localhost").unwrap_or(rest) {
                path if path.starts_with('/') && !path.contains('\0') => {
                    Ok(Self::Directory(path.into()))
                }
                _ => Err(bad("a file address has a whole path: file:///DIRECTORY")),
            },
            "http" | "https" => web(text),
            "s3" => bucket(rest).ok_or_else(|| {
                bad("it has to be s3://BUCKET or s3://BUCKET/PREFIX, of letters, digits, `.`, `-` and `_`")
            }),
            "oci" => repository(rest).map_err(|why| bad(&why)),
            _ => Err(bad(KNOWN)),
        }
    }
}

fn web(text: &str) -> Result<Address, BadAddress> {
    let bad = |text: &str, why: &str| BadAddress { text: text.to_owned(), why: why.to_owned() };
    let mut url = Url::parse(text).map_err(|error| bad(text, &error.to_string()))?;
    if !url.username().is_empty() || url.password().is_some() {
        // Neither can fail for an address with a host.
        let _ = url.set_password(None);
        let _ = url.set_username("");
        return Err(bad(url.as_str(), "no user and password in it; give a token in a file"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(bad(text, "an address has no `?` and no `#`"));
    }
    Ok(Address::Web(url.as_str().trim_end_matches('/').to_owned()))
}

fn bucket(rest: &str) -> Option<Address> {
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let prefix = prefix.trim_end_matches('/');
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    let good = |part: &str| !part.is_empty() && !part.starts_with('.') && part.bytes().all(plain);
    let fits = (3..=63).contains(&bucket.len()) && good(bucket);
    let leads = prefix.is_empty() || prefix.len() <= 512 && prefix.split('/').all(good);
    (fits && leads)
        .then(|| Address::Bucket { bucket: bucket.to_owned(), prefix: prefix.to_owned() })
}

fn repository(rest: &str) -> Result<Address, String> {
    let (registry, repository) = rest
        .trim_end_matches('/')
        .split_once('/')
        .ok_or("it has to be oci://REGISTRY/REPOSITORY")?;
    let tag = Reference::Tag("latest".to_owned());
    let name = ImageName::new(registry, repository, tag).map_err(|error| error.why)?;
    Ok(Address::Repository { registry: name.registry, repository: name.repository })
}

impl TryFrom<String> for Address {
    type Error = BadAddress;

    fn try_from(text: String) -> Result<Self, BadAddress> {
        text.parse()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(path) if path.is_absolute() => write!(f, "file://{}", path.display()),
            Self::Directory(path) => write!(f, "{}", path.display()),
            Self::Web(url) => f.write_str(url),
            Self::Bucket { bucket, prefix } if prefix.is_empty() => write!(f, "s3://{bucket}"),
            Self::Bucket { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
            Self::Repository { registry, repository } => write!(f, "oci://{registry}/{repository}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_kind_of_address_is_known_by_its_beginning() {
        for (text, shown) in [
            ("/srv/cache", "file:///srv/cache"),
            ("cache", "cache"),
            ("./a:b", "./a:b"),
            ("file:///srv/cache", "file:///srv/cache"),
            ("file://localhost/srv", "file:///srv"),
            ("HTTP://Lab.example.invalid:80/a/b/", "http://lab.example.invalid/a/b"),
            ("https://lab.example.invalid", "https://lab.example.invalid"),
            ("s3://lab-cache", "s3://lab-cache"),
            ("s3://lab-cache/vsbuild/v1/", "s3://lab-cache/vsbuild/v1"),
            ("oci://localhost:5000/team/cache", "oci://localhost:5000/team/cache"),
        ] {
            let address: Address = text.parse().expect(text);
            assert_eq!(address.to_string(), shown);
            assert_eq!(shown.parse::<Address>().as_ref(), Ok(&address), "{shown}");
        }
    }

    #[test]
    fn what_is_no_address_says_why() {
        for (text, why) in [
            ("", "empty"),
            ("s3:bucket", "./s3:bucket"),
            ("localhost:5000/x", "are known"),
            ("ftp://host/x", "are known"),
            ("file://host/x", "file:///DIRECTORY"),
            ("http://", "host"),
            ("https://host/x?y", "`?`"),
            ("s3://", "BUCKET"),
            ("s3://ab", "BUCKET"),
            ("s3://bucket/../x", "BUCKET"),
            ("s3://bucket/a//b", "BUCKET"),
            ("oci://host", "REPOSITORY"),
            ("oci://host/Upper", "REPOSITORY"),
            ("oci://host:5000/name:tag", "REPOSITORY"),
        ] {
            let error = text.parse::<Address>().unwrap_err();
            assert!(error.to_string().contains(why), "{error}");
        }
    }

    #[test]
    fn a_password_in_an_address_is_refused_and_not_shown() {
        let error = "https://me:hush@host/x".parse::<Address>().unwrap_err().to_string();
        assert!(error.contains("https://host/x") && !error.contains("hush"), "{error}");
    }

    proptest! {
        #[test]
        fn an_address_reads_back_as_itself(text in "(|/|file:///|https?://|s3://|oci://).{0,40}") {
            if let Ok(address) = text.parse::<Address>() {
                prop_assert_eq!(address.to_string().parse::<Address>(), Ok(address));
            }
        }
    }
}
