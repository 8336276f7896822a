use std::{fmt, str::FromStr};

use crate::recipe::is_package_name;

/// A package at one version for one architecture, written `name:architecture=version` as apt does.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PackageId {
    /// Debian's name.
    pub name: String,
    /// `amd64`, `arm64` or `all`.
    pub architecture: String,
    /// Debian's version, with the epoch.
    pub version: String,
}

/// The text is not a [`PackageId`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not a package (`name:architecture=version`)", .0.escape_debug())]
pub struct NotAPackage(pub String);

impl fmt::Display for PackageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}={}", self.name, self.architecture, self.version)
    }
}

impl FromStr for PackageId {
    type Err = NotAPackage;

    fn from_str(text: &str) -> Result<Self, NotAPackage> {
        let split = || {
            let (package, version) = text.split_once('=')?;
            let (name, architecture) = package.split_once(':')?;
            let known = is_package_name(name)
                && ["amd64", "arm64", "all"].contains(&architecture)
                && is_version(version);
            let (name, architecture) = (name.to_owned(), architecture.to_owned());
            known.then(|| Self { name, architecture, version: version.to_owned() })
        };
        split().ok_or_else(|| NotAPackage(text.to_owned()))
    }
}

/// The letters of Debian Policy 5.6.12; what they mean is none of our business here.
fn is_version(version: &str) -> bool {
    !version.is_empty()
        && version.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".+-~:".contains(&byte))
}
