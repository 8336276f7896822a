use std::{fmt, str::FromStr};

use crate::digest::Digest;

/// The name of an image: where it is and which one it is.
///
/// As text: `[HOST[:PORT]/]REPOSITORY[:TAG][@sha256:DIGEST]`. A first part without a dot, a colon and not `localhost`
/// is no host: `team/name` means `docker.io/team/name`, and `name` means `docker.io/library/name`, as everybody has it.
/// Without a tag and a digest the tag is `latest`; beside a digest a tag means nothing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ImageName {
    /// The registry's host, with its port if that is not the usual one.
    pub registry: String,
    /// The repository in it.
    pub repository: String,
    /// Which image of that repository.
    pub reference: Reference,
}

/// Which image of a repository.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reference {
    /// The one that bears this tag now.
    Tag(String),
    /// The one whose manifest has this digest.
    Digest(Digest),
}

/// The text is not the name of an image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not the name of an image: {why}", .text.escape_debug())]
pub struct BadImage {
    /// The text.
    pub text: String,
    /// What is wrong.
    pub why: String,
}

impl ImageName {
    /// Puts a name together, and checks that its parts are what they are said to be.
    pub fn new(registry: &str, repository: &str, reference: Reference) -> Result<Self, BadImage> {
        let (registry, repository) = (registry.to_owned(), repository.to_owned());
        let name = Self { registry, repository, reference };
        let text = name.to_string();
        if text.parse().as_ref() == Ok(&name) {
            return Ok(name);
        }
        let why = "the parts are not those of HOST/REPOSITORY:TAG or HOST/REPOSITORY@DIGEST";
        Err(BadImage { text, why: why.to_owned() })
    }
}

impl FromStr for ImageName {
    type Err = BadImage;

    fn from_str(text: &str) -> Result<Self, BadImage> {
        let bad = |why: &str| BadImage { text: text.to_owned(), why: why.to_owned() };
        if !text.is_ascii() {
            return Err(bad("it has other characters than those of ASCII"));
        }
        let parsed: oci_spec::distribution::Reference =
            text.parse().map_err(|why| bad(&format!("{why}")))?;
        let reference = match (parsed.digest(), parsed.tag()) {
            (Some(digest), _) => {
                let digest = digest.strip_prefix("sha256:").and_then(|hex| hex.parse().ok());
                Reference::Digest(digest.ok_or_else(|| bad("its digest is not a sha256 digest"))?)
            }
            (None, tag) => Reference::Tag(tag.unwrap_or("latest").to_owned()),
        };
        let (registry, repository) = (parsed.registry().to_owned(), parsed.repository().to_owned());
        Ok(Self { registry, repository, reference })
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { registry, repository, reference } = self;
        match reference {
            Reference::Tag(tag) => write!(f, "{registry}/{repository}:{tag}"),
            Reference::Digest(digest) => write!(f, "{registry}/{repository}@sha256:{digest}"),
        }
    }
}

impl fmt::Display for Reference {
    /// As in the address of a manifest.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => f.write_str(tag),
            Self::Digest(digest) => write!(f, "sha256:{digest}"),
        }
    }
}

/// What a repository holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// A layer or the configuration of an image.
    Blob,
    /// A manifest, or an index of manifests.
    Manifest,
    /// The list of all tags.
    Tags,
}

/// Something in a registry, as it is named to people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// What it is.
    pub what: What,
    /// Where it is; for a blob the reference is that of the blob, and for the list of tags it means nothing.
    pub image: ImageName,
}

impl Piece {
    /// The rest of its address after the repository (OCI distribution specification 1.1, "API").
    pub(super) fn path(&self) -> String {
        match self.what {
            What::Blob => format!("blobs/{}", self.image.reference),
            What::Manifest => format!("manifests/{}", self.image.reference),
            What::Tags => "tags/list".to_owned(),
        }
    }
}

impl fmt::Display for Piece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ImageName { registry, repository, reference } = &self.image;
        match self.what {
            What::Blob => write!(f, "the blob {reference} of {registry}/{repository}"),
            What::Manifest => write!(f, "the image {}", self.image),
            What::Tags => write!(f, "the list of tags of {registry}/{repository}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_everybody_reads_them() {
        let digest = Digest::of("x");
        for (text, registry, repository, reference) in [
            ("name", "docker.io", "library/name", "latest"),
            ("team/name", "docker.io", "team/name", "latest"),
            ("index.docker.io/team/name:1.2", "docker.io", "team/name", "1.2"),
            ("localhost/a/b/c", "localhost", "a/b/c", "latest"),
            ("127.0.0.1:5000/name:T_1", "127.0.0.1:5000", "name", "T_1"),
            ("host.example.invalid/a.b/c-d__e", "host.example.invalid", "a.b/c-d__e", "latest"),
            (
                &format!("host:5000/name:tag@sha256:{digest}"),
                "host:5000",
                "name",
                &format!("sha256:{digest}"),
            ),
        ] {
            let name: ImageName = text.parse().expect(text);
            assert_eq!((name.registry.as_str(), name.repository.as_str()), (registry, repository));
            assert_eq!(name.reference.to_string(), reference);
            let ImageName { registry, repository, reference } = name.clone();
            assert_eq!(ImageName::new(&registry, &repository, reference).as_ref(), Ok(&name));
            assert_eq!(name.to_string().parse(), Ok(name));
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        let sha512 = format!("host:1/name@sha512:{}", "0".repeat(128));
        for text in ["", "Name", "host:1/../x", "a b", "host:1/x:é", "host:1/x@sha256:12", &sha512]
        {
            let error = text.parse::<ImageName>().unwrap_err();
            assert_eq!(error.text, text);
        }
        let tag = || Reference::Tag("latest".to_owned());
        for (registry, repository) in
            [("team", "name"), ("docker.io", "name"), ("host:1", "x/../y"), ("host:1/x", "y")]
        {
            let name = ImageName::new(registry, repository, tag());
            assert!(name.is_err(), "{registry} {repository}");
        }
        for tag in ["", "a/b", "a b", "-a", &"a".repeat(129), "a@sha256:0", "a:b", "ä"] {
            let tag = Reference::Tag(tag.to_owned());
            assert!(ImageName::new("host:1", "x", tag.clone()).is_err(), "{tag}");
        }
    }
}
