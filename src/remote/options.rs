use std::{ffi::OsString, fmt, time::Duration};

use crate::fetch::{self, Proxies, Registries};

/// How to speak to remotes, and who we are to them.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where an S3 store is, `https://HOST[:PORT]`; Amazon's own if there is none.
    pub endpoint: Option<String>,
    /// In which region of it; `us-east-1` if there is none.
    pub region: Option<String>,
    /// Who we are to an S3 store; nobody if there are none.
    pub credentials: Option<Credentials>,
    /// What a web server is shown as `Authorization: Bearer`.
    pub token: Option<Secret>,
    /// What is known of registries, and the credentials for them.
    pub registries: Registries,
    /// Through which proxies to go, but to this machine.
    pub proxies: Proxies,
    /// How long a server may take to accept a connection.
    pub connect: Duration,
    /// How long a server may be silent, before its answer or in the middle of it.
    pub stall: Duration,
    /// How long to wait before the second try.
    pub pause: Duration,
}

/// What must not be shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// Who somebody is to an S3 store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The name of the key.
    pub key: String,
    /// The key.
    pub secret: Secret,
    /// What goes with a key that is good for a while only.
    pub session: Option<Secret>,
}

impl Secret {
    /// The text may be anything; what cannot stand in a header is refused when it is used.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            endpoint: None,
            region: None,
            credentials: None,
            token: None,
            registries: Registries::default(),
            proxies: Proxies::default(),
            connect: Duration::from_secs(3),
            stall: Duration::from_secs(10),
            pause: Duration::from_millis(300),
        }
    }
}

impl Options {
    /// What a user's environment says of S3 stores, as Amazon's own programs read it: `AWS_ENDPOINT_URL`, `AWS_REGION`
    /// or `AWS_DEFAULT_REGION`, `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN`. What is empty is
    /// not there.
    #[must_use]
    pub fn of_user(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let text =
            |name: &str| variable(name)?.into_string().ok().filter(|text| !text.trim().is_empty());
        let key = text("AWS_ACCESS_KEY_ID").zip(text("AWS_SECRET_ACCESS_KEY"));
        let session = text("AWS_SESSION_TOKEN").map(Secret);
        Self {
            endpoint: text("AWS_ENDPOINT_URL"),
            region: text("AWS_REGION").or_else(|| text("AWS_DEFAULT_REGION")),
            credentials: key.map(|(key, secret)| Credentials {
                key,
                secret: Secret(secret),
                session,
            }),
            ..Self::default()
        }
    }

    /// The same for `fetch`: every question is asked twice at most.
    pub(super) fn of_fetch(&self) -> fetch::Options {
        fetch::Options {
            attempts: 2,
            backoff: self.pause,
            connect: self.connect,
            stall: self.stall,
            proxies: self.proxies.clone(),
            registry_proxies: self.proxies.clone(),
            ..fetch::Options::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_says_who_we_are_and_nothing_shows_it() {
        let options = Options::of_user(|name| match name {
            "AWS_ACCESS_KEY_ID" => Some("lab".into()),
            "AWS_SECRET_ACCESS_KEY" | "AWS_SESSION_TOKEN" => Some("hush".into()),
            "AWS_DEFAULT_REGION" => Some("eu-west-1".into()),
            "AWS_ENDPOINT_URL" => Some(" ".into()),
            _ => None,
        });
        assert_eq!(
            (options.endpoint.as_deref(), options.region.as_deref()),
            (None, Some("eu-west-1"))
        );
        assert_eq!(options.credentials.as_ref().unwrap().secret.reveal(), "hush");
        assert!(!format!("{options:?}").contains("hush"));
    }

    #[test]
    fn half_a_key_is_none() {
        let only = |name: &str| (name == "AWS_ACCESS_KEY_ID").then(|| "lab".into());
        assert_eq!(Options::of_user(only).credentials, None);
    }
}
