//! Registries of images: where they are, what they want to know of us, and how things are put there.
//!
//! Source of the protocol: OCI distribution specification 1.1.

mod auth;
mod challenge;
mod credentials;
mod name;
mod pull;
mod push;
mod shelf;

use std::{collections::BTreeMap, net::IpAddr};

pub use credentials::CredentialFiles;
pub use name::{BadImage, ImageName, Piece, Reference, What};
pub use pull::Manifest;
pub use push::Pushed;

pub(super) use auth::Doorman;

use super::client::{Redirects, To, Way};

/// What the user says of one registry.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Registry {
    /// Servers to pull from before the registry itself, in this order: `http` or `https` addresses. A path in such an
    /// address is put before the names of repositories, as `https://HOST/proxy` for `https://HOST/v2/proxy/team/name`.
    pub mirrors: Vec<String>,
    /// Where the registry is, if not at the host that its images name.
    pub server: Option<String>,
    /// To talk to the registry without encryption. With one on this machine that is done anyway.
    pub plain_http: bool,
}

/// What is known of registries, and the credentials for them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Registries {
    known: BTreeMap<String, Known>,
    credentials: CredentialFiles,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Known {
    mirrors: Vec<Endpoint>,
    server: Option<Endpoint>,
    plain_http: bool,
}

/// The text is not the address of a registry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the registry `{registry}`: `{}` is not the address of a server (https://HOST or http://HOST, without user, password and query)",
    .text.escape_debug()
)]
pub struct BadRegistry {
    /// The registry it was given for.
    pub registry: String,
    /// What is written there.
    pub text: String,
}

impl Registries {
    /// What the user says of registries by the hosts that images name (`docker.io`, `localhost:5000`), and the files
    /// with credentials.
    pub fn new(
        configured: &BTreeMap<String, Registry>,
        credentials: CredentialFiles,
    ) -> Result<Self, BadRegistry> {
        let mut known = BTreeMap::new();
        for (registry, Registry { mirrors, server, plain_http }) in configured {
            let endpoint = |text: &String| {
                Endpoint::parse(text)
                    .ok_or_else(|| BadRegistry { registry: registry.clone(), text: text.clone() })
            };
            let mirrors = mirrors.iter().map(endpoint).collect::<Result<_, _>>()?;
            let itself = |server| Endpoint { registry: Some(registry.clone()), ..server };
            let server = server.as_ref().map(endpoint).transpose()?.map(itself);
            known.insert(registry.clone(), Known { mirrors, server, plain_http: *plain_http });
        }
        Ok(Self { known, credentials })
    }

    /// The servers to pull from: mirrors first, then the registry itself.
    fn to_pull_from(&self, registry: &str) -> Vec<Endpoint> {
        let mirrors = self.known.get(registry).map(|known| known.mirrors.clone());
        let mut endpoints = mirrors.unwrap_or_default();
        let itself = self.itself(registry);
        if !endpoints.iter().any(|mirror| mirror.url("", "") == itself.url("", "")) {
            endpoints.push(itself);
        }
        endpoints
    }

    /// The registry itself. Nobody needs to encrypt what does not leave the machine.
    fn itself(&self, registry: &str) -> Endpoint {
        let known = self.known.get(registry);
        if let Some(server) = known.and_then(|known| known.server.clone()) {
            return server;
        }
        let plain = known.is_some_and(|known| known.plain_http) || is_loopback(registry);
        let scheme = if plain { "http" } else { "https" };
        Endpoint { scheme, host: registry.to_owned(), prefix: String::new(), registry: None }
    }
}

/// A server that speaks the protocol.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Endpoint {
    scheme: &'static str,
    /// With the port, if that is not the usual one.
    host: String,
    /// Goes before the names of repositories; empty or with a slash at its end.
    prefix: String,
    /// The registry that this is, if not by its host: its credentials are ours to use here.
    registry: Option<String>,
}

impl Endpoint {
    fn parse(text: &str) -> Option<Self> {
        let clean = |c: char| c.is_ascii_alphanumeric() || "-._/:[]~%".contains(c);
        let (scheme, rest) = text.split_once("://").filter(|_| text.chars().all(clean))?;
        let scheme =
            ["http", "https"].into_iter().find(|known| scheme.eq_ignore_ascii_case(known))?;
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let path = path.trim_matches('/');
        let prefix = if path.is_empty() { String::new() } else { format!("{path}/") };
        let good = !host.is_empty() && reqwest::Url::parse(text).is_ok();
        good.then(|| Self { scheme, host: host.to_ascii_lowercase(), prefix, registry: None })
    }

    /// What this server calls a repository.
    fn repository(&self, repository: &str) -> String {
        format!("{}{repository}", self.prefix)
    }

    fn url(&self, repository: &str, rest: &str) -> String {
        format!("{}://{}/v2/{}{repository}/{rest}", self.scheme, self.host, self.prefix)
    }

    /// The names under which credentials for this server are kept.
    fn accounts(&self) -> impl Iterator<Item = &str> {
        let registry = self.registry.as_deref().filter(|registry| *registry != self.host);
        registry.into_iter().chain([self.host.as_str()])
    }

    /// The way for a request to it.
    fn way(&self, redirects: Redirects) -> Way {
        let to = if is_loopback(&self.host) { To::Here } else { To::Registry };
        Way { to, redirects }
    }

    /// Whether an address is of this server.
    fn owns(&self, url: &reqwest::Url) -> bool {
        let own = reqwest::Url::parse(&format!("{}://{}/", self.scheme, self.host));
        own.is_ok_and(|own| own.origin() == url.origin())
    }
}

/// Whether a host, with or without a port, is this machine.
pub(crate) fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn urls(registries: &Registries, registry: &str) -> Vec<String> {
        let endpoints = registries.to_pull_from(registry);
        endpoints.iter().map(|endpoint| endpoint.url("team/name", "tags")).collect()
    }

    #[test]
    fn only_this_machine_is_talked_to_in_the_clear() {
        let registries = Registries::default();
        for (registry, url) in [
            ("hub.example.invalid", "https://hub.example.invalid/v2/team/name/tags"),
            ("localhost", "http://localhost/v2/team/name/tags"),
            ("localhost:5000", "http://localhost:5000/v2/team/name/tags"),
            ("127.0.0.2:5000", "http://127.0.0.2:5000/v2/team/name/tags"),
            ("localhost.example.invalid", "https://localhost.example.invalid/v2/team/name/tags"),
            ("10.0.0.1:5000", "https://10.0.0.1:5000/v2/team/name/tags"),
            ("127.0.0.1.example.invalid", "https://127.0.0.1.example.invalid/v2/team/name/tags"),
        ] {
            assert_eq!(urls(&registries, registry), [url]);
        }
        assert!(is_loopback("[::1]:5000") && is_loopback("[::1]") && !is_loopback("[::2]:5000"));
    }

    #[test]
    fn mirrors_come_before_the_registry_itself() {
        let configured = BTreeMap::from([
            (
                "docker.io".to_owned(),
                Registry {
                    mirrors: vec![
                        "https://one.example.invalid/".to_owned(),
                        "http://Two.example.invalid:5000/proxy/hub/".to_owned(),
                    ],
                    server: Some("https://api.example.invalid".to_owned()),
                    plain_http: false,
                },
            ),
            ("10.0.0.1:5000".to_owned(), Registry { plain_http: true, ..Registry::default() }),
            (
                "self.example.invalid".to_owned(),
                Registry {
                    mirrors: vec!["https://self.example.invalid".to_owned()],
                    ..Registry::default()
                },
            ),
        ]);
        let registries = Registries::new(&configured, CredentialFiles::default()).unwrap();
        assert_eq!(
            urls(&registries, "docker.io"),
            [
                "https://one.example.invalid/v2/team/name/tags",
                "http://two.example.invalid:5000/v2/proxy/hub/team/name/tags",
                "https://api.example.invalid/v2/team/name/tags",
            ]
        );
        assert_eq!(urls(&registries, "10.0.0.1:5000"), ["http://10.0.0.1:5000/v2/team/name/tags"]);
        assert_eq!(urls(&registries, "self.example.invalid").len(), 1);
    }

    #[test]
    fn what_is_no_address_of_a_registry_says_for_which_it_was_given() {
        for text in
            ["", "host", "ftp://host", "https://", "https://u:p@host", "https://h?x", "https:///x"]
        {
            let registry = Registry { mirrors: vec![text.to_owned()], ..Registry::default() };
            let configured = BTreeMap::from([("docker.io".to_owned(), registry)]);
            let error = Registries::new(&configured, CredentialFiles::default()).unwrap_err();
            assert_eq!((error.registry.as_str(), error.text.as_str()), ("docker.io", text));
        }
    }
}
