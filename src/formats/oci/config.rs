//! The config of an image: what runs in it and how, and the digests of its layers.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{
    Error,
    manifest::{DOCUMENT_MAX, LAYERS_MAX, or_default, with_algorithm},
};
use crate::digest::Digest;

/// The config of an image for Linux (image specification, config.md); what concerns builders only is left out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Config {
    /// When it was made, as RFC 3339 has it.
    pub created: Option<String>,
    /// What it runs on: `amd64`, `arm64`.
    pub architecture: String,
    /// The digests of the uncompressed layers, the lowest first.
    pub diff_ids: Vec<Digest>,
    /// Whom it runs as: a name or number of a user, and after a colon of a group; empty for root.
    pub user: String,
    /// Ports it listens on, as `50000/tcp`.
    pub ports: BTreeSet<String>,
    /// Its environment, `NAME=VALUE` each.
    pub env: Vec<String>,
    /// What runs.
    pub entrypoint: Vec<String>,
    /// Its arguments, or what runs if there is no entry point.
    pub cmd: Vec<String>,
    /// Where it runs; empty for the top.
    pub workdir: String,
    /// Notes.
    pub labels: BTreeMap<String, String>,
    /// The signal that asks it to stop.
    pub stop_signal: Option<String>,
}

#[derive(Deserialize)]
struct Raw {
    created: Option<String>,
    architecture: Option<String>,
    os: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    config: RawInner,
    rootfs: Option<RawRoot>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct RawInner {
    #[serde(deserialize_with = "or_default")]
    user: String,
    #[serde(deserialize_with = "or_default")]
    exposed_ports: BTreeMap<String, serde::de::IgnoredAny>,
    #[serde(deserialize_with = "or_default")]
    env: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    entrypoint: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    cmd: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    working_dir: String,
    #[serde(deserialize_with = "or_default")]
    labels: BTreeMap<String, String>,
    stop_signal: Option<String>,
}

#[derive(Deserialize)]
struct RawRoot {
    r#type: String,
    #[serde(default, deserialize_with = "or_default")]
    diff_ids: Vec<String>,
}

impl Config {
    /// Reads the config of an image for Linux, of OCI or Docker. Its digest is that of `bytes`.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        const WHAT: &str = "image's config";
        if bytes.len() as u64 > DOCUMENT_MAX {
            return Err(Error::LongDocument { what: WHAT, max: DOCUMENT_MAX });
        }
        let raw: Raw =
            serde_json::from_slice(bytes).map_err(|source| Error::Json { what: WHAT, source })?;
        let root = raw.rootfs.ok_or(Error::Config("it has no digests of layers"))?;
        if raw.os.as_deref() != Some("linux") {
            return Err(Error::Config("it is not for Linux"));
        }
        let architecture = raw.architecture.filter(|name| !name.is_empty());
        let architecture = architecture.ok_or(Error::Config("it has no architecture"))?;
        if root.r#type != "layers" {
            return Err(Error::Config("its file system does not consist of layers"));
        }
        if root.diff_ids.len() > LAYERS_MAX {
            return Err(Error::TooManyLayers(root.diff_ids.len()));
        }
        let digest = |text: String| {
            let digest = text.strip_prefix("sha256:").and_then(|digest| digest.parse().ok());
            digest.ok_or(Error::Digest(text))
        };
        let inner = raw.config;
        Ok(Self {
            created: raw.created,
            architecture,
            diff_ids: root.diff_ids.into_iter().map(digest).collect::<Result<_, _>>()?,
            user: inner.user,
            ports: inner.exposed_ports.into_keys().collect(),
            env: inner.env,
            entrypoint: inner.entrypoint,
            cmd: inner.cmd,
            workdir: inner.working_dir,
            labels: inner.labels,
            stop_signal: inner.stop_signal.filter(|signal| !signal.is_empty()),
        })
    }

    /// The config as we write it: compact JSON, the fields in the order of the image specification. `origins` says where
    /// each layer comes from, the lowest first; layers beyond them have none.
    ///
    /// A change of these bytes changes the digests of all images that vsbuild makes.
    pub fn to_bytes(&self, origins: &[&str]) -> Vec<u8> {
        let created = self.created.as_deref();
        let history = |at| History { created, created_by: origins.get(at).copied() };
        let some = |text: &'_ String| (!text.is_empty()).then(|| text.clone());
        super::json(&Written {
            created,
            architecture: &self.architecture,
            os: "linux",
            config: Inner {
                user: some(&self.user),
                exposed_ports: self.ports.iter().map(|port| (port.as_str(), Empty {})).collect(),
                env: &self.env,
                entrypoint: &self.entrypoint,
                cmd: &self.cmd,
                working_dir: some(&self.workdir),
                labels: &self.labels,
                stop_signal: self.stop_signal.as_deref(),
            },
            rootfs: Root {
                r#type: "layers",
                diff_ids: self.diff_ids.iter().map(|digest| Id(*digest)).collect(),
            },
            history: (0..self.diff_ids.len()).map(history).collect(),
        })
    }

    /// The command line: entry point and arguments.
    pub fn args(&self) -> impl Iterator<Item = &str> {
        self.entrypoint.iter().chain(&self.cmd).map(String::as_str)
    }
}

#[derive(Serialize)]
struct Written<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<&'a str>,
    architecture: &'a str,
    os: &'a str,
    config: Inner<'a>,
    rootfs: Root,
    history: Vec<History<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Inner<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    exposed_ports: BTreeMap<&'a str, Empty>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    env: &'a [String],
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    entrypoint: &'a [String],
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    cmd: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    working_dir: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    labels: &'a BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stop_signal: Option<&'a str>,
}

#[derive(Serialize)]
struct Empty {}

#[derive(Serialize)]
struct Root {
    r#type: &'static str,
    diff_ids: Vec<Id>,
}

#[derive(Serialize)]
struct Id(#[serde(serialize_with = "with_algorithm")] Digest);

#[derive(Serialize)]
struct History<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_by: Option<&'a str>,
}

/// Seconds since 1970 as RFC 3339 has them, in UTC: `2024-02-29T12:00:00Z`. Years above 9999 become that one's end.
pub fn timestamp(seconds: i64) -> String {
    const LAST: i64 = 253_402_300_799;
    let seconds = seconds.min(LAST);
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Years that begin in March: the leap day is the last one, and every 400 of them have as many days.
    let day = days + 719_468;
    let (era, day) = (day.div_euclid(146_097), day.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + 400 * era + i64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn digest(of: &str) -> Digest {
        Digest::of(of)
    }

    fn whole() -> Config {
        let text = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect();
        Config {
            created: Some(timestamp(1_700_000_000)),
            architecture: "amd64".to_owned(),
            diff_ids: vec![digest("a"), digest("b")],
            user: "65534:65534".to_owned(),
            ports: ["50000/tcp".to_owned()].into(),
            env: text(&["PATH=/bin", "X=1"]),
            entrypoint: text(&["/server"]),
            cmd: text(&["--port", "50000"]),
            workdir: "/srv".to_owned(),
            labels: BTreeMap::from([("k".to_owned(), "v".to_owned())]),
            stop_signal: Some("SIGINT".to_owned()),
        }
    }

    #[test]
    fn a_config_is_written_in_one_way() {
        let text = String::from_utf8(whole().to_bytes(&["base", "program"])).unwrap();
        let (a, b) = (digest("a"), digest("b"));
        let expected = format!(
            "{{\"created\":\"2023-11-14T22:13:20Z\",\"architecture\":\"amd64\",\"os\":\"linux\",\
             \"config\":{{\"User\":\"65534:65534\",\"ExposedPorts\":{{\"50000/tcp\":{{}}}},\
             \"Env\":[\"PATH=/bin\",\"X=1\"],\"Entrypoint\":[\"/server\"],\"Cmd\":[\"--port\",\"50000\"],\
             \"WorkingDir\":\"/srv\",\"Labels\":{{\"k\":\"v\"}},\"StopSignal\":\"SIGINT\"}},\
             \"rootfs\":{{\"type\":\"layers\",\"diff_ids\":[\"sha256:{a}\",\"sha256:{b}\"]}},\
             \"history\":[{{\"created\":\"2023-11-14T22:13:20Z\",\"created_by\":\"base\"}},\
             {{\"created\":\"2023-11-14T22:13:20Z\",\"created_by\":\"program\"}}]}}"
        );
        assert_eq!(text, expected);
        assert_eq!(Config::parse(text.as_bytes()).unwrap(), whole());
        let least = Config { architecture: "arm64".to_owned(), ..Config::default() };
        let bytes = least.to_bytes(&[]);
        let expected = "{\"architecture\":\"arm64\",\"os\":\"linux\",\"config\":{},\
                        \"rootfs\":{\"type\":\"layers\",\"diff_ids\":[]},\"history\":[]}";
        assert_eq!(String::from_utf8(bytes.clone()).unwrap(), expected);
        assert_eq!(Config::parse(&bytes).unwrap(), least);
    }

    #[test]
    fn a_config_of_docker_is_read() {
        let id = digest("a");
        let text = format!(
            "{{\"architecture\":\"amd64\",\"config\":{{\"Hostname\":\"\",\"AttachStdin\":false,\
             \"ExposedPorts\":null,\"Env\":[\"A=b\"],\"Cmd\":null,\"Image\":\"x\",\"Volumes\":{{\"/v\":{{}}}},\
             \"WorkingDir\":\"\",\"Entrypoint\":[\"sh\"],\"OnBuild\":null,\"Labels\":null,\"StopSignal\":\"\"}},\
             \"container\":\"x\",\"container_config\":{{\"Cmd\":[\"y\"]}},\"docker_version\":\"20.10\",\
             \"created\":\"2020-01-01T00:00:00.5Z\",\"history\":[{{\"empty_layer\":true}}],\"os\":\"linux\",\
             \"rootfs\":{{\"type\":\"layers\",\"diff_ids\":[\"sha256:{id}\"]}}}}"
        );
        let config = Config::parse(text.as_bytes()).unwrap();
        assert_eq!(config.args().collect::<Vec<_>>(), ["sh"]);
        assert_eq!((config.diff_ids, config.env), (vec![id], vec!["A=b".to_owned()]));
        assert_eq!(config.stop_signal, None);
    }

    #[test]
    fn a_config_without_meaning_is_refused() {
        let told = |text: &str| Config::parse(text.as_bytes()).unwrap_err().to_string();
        assert!(told("{").contains("malformed"));
        assert!(told("{}").contains("no digests of layers"));
        let root = "\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"sha256:x\"]}";
        assert!(told(&format!("{{\"os\":\"windows\",{root}}}")).contains("not for Linux"));
        assert!(told(&format!("{{\"os\":\"linux\",{root}}}")).contains("no architecture"));
        let long = " ".repeat(DOCUMENT_MAX as usize + 1);
        assert!(told(&long).contains("longer than"));
        let good = format!("{{\"os\":\"linux\",\"architecture\":\"amd64\",{root}}}");
        assert!(told(&good).contains("`sha256:x` is no sha256 digest"));
        assert!(
            told(&good.replace("\"layers\"", "\"zfs\"")).contains("does not consist of layers")
        );
    }

    #[test]
    fn timestamps_are_those_of_the_calendar() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_251_199, "2024-02-29T23:59:59Z"),
            (1_709_251_200, "2024-03-01T00:00:00Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (253_402_300_799, "9999-12-31T23:59:59Z"),
            (i64::MAX, "9999-12-31T23:59:59Z"),
            (-1, "1969-12-31T23:59:59Z"),
        ] {
            assert_eq!(timestamp(seconds), text);
        }
    }

    proptest! {
        #[test]
        fn reading_never_panics(places in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4), noise in prop::collection::vec(any::<u8>(), 0..60)) {
            let mut bytes = whole().to_bytes(&["a"]);
            for (at, with) in places {
                *at.get_mut(&mut bytes) = with;
            }
            let _ = Config::parse(&bytes);
            let _ = Config::parse(&noise);
        }

        #[test]
        fn what_is_written_reads_back_the_same(user in "\\PC{0,9}", env in prop::collection::vec("\\PC{0,9}", 0..3), label in "\\PC{0,9}") {
            let labels = BTreeMap::from([(label.clone(), label)]);
            let config = Config { user, env, labels, ..whole() };
            prop_assert_eq!(Config::parse(&config.to_bytes(&[])).unwrap(), config);
        }
    }
}
