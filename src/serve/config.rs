use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    str::FromStr,
};

use serde::{Deserialize, Deserializer, de};

use super::Network;

/// How a cache is served: the table `[serve]` of a configuration file. All of it is optional. Files are taken from the directory
/// of the configuration file.
///
/// ```toml
/// [serve]
/// listen = "0.0.0.0:8470"
/// read = "anyone"                          # or "token"
/// tokens = "/etc/vsbuild/tokens"           # lines NAME TOKEN read|write|admin
/// keys = ["lab-a:BASE64"]                  # whose statements are kept
/// revoked = ["0123456789abcdef"]           # whose are not, whoever lists them
/// trusted-proxies = ["127.0.0.1"]          # whose X-Forwarded-For is believed
/// access-log = "/var/log/vsbuild/access"   # standard error, if not given
///
/// [serve.tls]
/// certificate = "/etc/vsbuild/cert.pem"
/// key = "/etc/vsbuild/key.pem"
///
/// [serve.quota]
/// total = "500 GiB"
/// token = "50 GiB"                         # each token's, if it has none of its own
/// tokens = { ci = "200 GiB" }
///
/// [serve.limits]
/// upload = "16 GiB"                        # the longest input
/// connections = 1024
/// headers = 10                             # seconds that a request's headers may take
/// stall = 30                               # seconds without a byte
/// grace = 30                               # seconds that requests have to end at a stop
///
/// [serve.gc]
/// every = 24                               # hours
/// older-than = 90                          # days
/// max-size = "400 GiB"                     # older things go earlier, so that not more stays
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Config {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Who may read.
    pub read: Reading,
    /// The file of tokens.
    pub tokens: Option<PathBuf>,
    /// Public keys, `NAME:BASE64`, whose statements are kept.
    pub keys: Vec<String>,
    /// Keys or their ids whose statements are not kept.
    pub revoked: Vec<String>,
    /// Proxies that say who asks.
    pub trusted_proxies: Vec<Network>,
    /// Where a line a request goes.
    pub access_log: Option<PathBuf>,
    /// Certificate and key; plain HTTP without.
    pub tls: Option<Tls>,
    /// How much is kept.
    pub quota: Quota,
    /// What a client may ask of the server.
    pub limits: Limits,
    /// When garbage is collected; never if not given.
    pub gc: Option<Gc>,
}

/// Who may read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reading {
    /// Whoever asks.
    #[default]
    Anyone,
    /// Who shows a token.
    Token,
}

/// Files for TLS, in PEM.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The certificate, and those between it and the authority.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// How many bytes are kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Quota {
    /// In all.
    pub total: Option<Size>,
    /// Of one token that has no quota of its own.
    pub token: Option<Size>,
    /// Of a token, by its name.
    pub tokens: BTreeMap<String, Size>,
}

impl Config {
    /// All files that it names.
    pub fn files_mut(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let tls = self.tls.iter_mut().flat_map(|tls| [&mut tls.certificate, &mut tls.key]);
        self.tokens.iter_mut().chain(&mut self.access_log).chain(tls)
    }
}

impl Quota {
    /// How much a token may bring.
    pub(super) fn of(&self, token: &str) -> Option<u64> {
        self.tokens.get(token).or(self.token.as_ref()).map(|size| size.0)
    }
}

/// What a client may ask of the server.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// The longest input.
    pub upload: Size,
    /// Connections at once.
    pub connections: usize,
    /// Seconds that the headers of a request may take.
    pub headers: u64,
    /// Seconds without a byte, after which a client is given up.
    pub stall: u64,
    /// Seconds that requests have to end when the server stops.
    pub grace: u64,
}

/// When garbage is collected, and which.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Gc {
    /// Hours between two collections.
    pub every: u64,
    /// Days that what nobody pinned stays.
    pub older_than: u64,
    /// If more than this would stay, older statements go earlier, and what only they lead to.
    #[serde(default)]
    pub max_size: Option<Size>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8470)),
            read: Reading::default(),
            tokens: None,
            keys: Vec::new(),
            revoked: Vec::new(),
            trusted_proxies: Vec::new(),
            access_log: None,
            tls: None,
            quota: Quota::default(),
            limits: Limits::default(),
            gc: None,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { upload: Size(16 << 30), connections: 1024, headers: 10, stall: 30, grace: 30 }
    }
}

/// A number of bytes: `4096`, `"500 MB"`, `"16 GiB"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

/// The text is no size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no size such as 500 MB or 16 GiB")]
pub struct BadSize(String);

impl FromStr for Size {
    type Err = BadSize;

    fn from_str(text: &str) -> Result<Self, BadSize> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let unit = match unit.trim_start() {
            "" | "B" => Some(1),
            "kB" => Some(1000),
            "MB" => Some(1_000_000),
            "GB" => Some(1_000_000_000),
            "TB" => Some(1_000_000_000_000),
            "KiB" => Some(1 << 10),
            "MiB" => Some(1 << 20),
            "GiB" => Some(1 << 30),
            "TiB" => Some(1 << 40),
            _ => None,
        };
        let size = number.parse::<u64>().ok().zip(unit).and_then(|(n, unit)| n.checked_mul(unit));
        size.map(Self).ok_or_else(|| BadSize(text.to_owned()))
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(u64),
            Text(String),
        }
        match Written::deserialize(deserializer)? {
            Written::Number(bytes) => Ok(Self(bytes)),
            Written::Text(text) => text.parse().map_err(de::Error::custom),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_is_understood() {
        let example: String = include_str!("config.rs")
            .lines()
            .skip_while(|line| *line != "/// ```toml")
            .skip(1)
            .take_while(|line| *line != "/// ```")
            .map(|line| line.trim_start_matches("///").to_owned() + "\n")
            .collect();
        let mut file: BTreeMap<String, Config> = toml::from_str(&example).unwrap();
        let config = file.remove("serve").unwrap();
        assert_eq!(config.quota.of("ci"), Some(200 << 30));
        assert_eq!(config.quota.of("other"), Some(50 << 30));
        assert_eq!(config.limits, Limits::default());
    }

    #[test]
    fn sizes_have_units() {
        for (text, size) in [
            ("0", Some(0)),
            ("12", Some(12)),
            ("5 MB", Some(5_000_000)),
            ("5MiB", Some(5 << 20)),
            ("", None),
            ("MB", None),
            ("-1", None),
            ("1.5 GB", None),
            ("99999999 TiB", None),
        ] {
            assert_eq!(text.parse::<Size>().ok(), size.map(Size), "{text}");
        }
    }
}
