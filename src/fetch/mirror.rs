use std::{collections::BTreeMap, fmt, path::PathBuf};

/// The base address of a copy of an archive: an `http`, `https` or `file` URL without a slash at its end.
///
/// Equal addresses are equal mirrors. `Display` leaves out user and password.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mirror(String);

/// The text is not the address of a mirror.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: `{}` is not a mirror of `{archive}` (an http, https or file URL)", .text.escape_debug())]
pub struct BadMirror {
    /// Of which archive.
    pub archive: String,
    /// Where it is written.
    pub place: String,
    /// What is written there.
    pub text: String,
}

impl Mirror {
    /// Takes an address with one of the schemes that we can fetch from; none for all else.
    pub fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once(':')?;
        let scheme = scheme.to_ascii_lowercase();
        let clean =
            text.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#\"<>\\".contains(&byte));
        let good = match scheme.as_str() {
            "http" | "https" => rest
                .strip_prefix("//")
                .is_some_and(|rest| !rest.starts_with('/') && !rest.is_empty()),
            "file" => rest.starts_with('/') && file_path(rest).is_some(),
            _ => false,
        };
        (clean && good).then(|| Self(format!("{scheme}:{}", rest.trim_end_matches('/'))))
    }

    /// The archive that a mirror holds by custom: the last part of its path, as in `http://host/debian`. A snapshot's
    /// time stamp (`…/debian/20250520T000000Z`) is not a name.
    pub fn archive(&self) -> Option<&str> {
        let (_, rest) = self.0.split_once(':')?;
        let mut parts = rest.trim_start_matches('/').split('/').filter(|part| !part.is_empty());
        if !self.is_local() {
            parts.next();
        }
        parts.rfind(|part| !is_time_stamp(part))
    }

    /// Whether this is a directory of this machine.
    pub fn is_local(&self) -> bool {
        self.0.starts_with("file:")
    }

    /// The file that holds `path`, if this is a directory of this machine.
    pub(super) fn local(&self, path: &str) -> Option<PathBuf> {
        Some(file_path(self.0.strip_prefix("file:")?)?.join(path))
    }

    /// The address of `path`, with what is special in URLs escaped. So is `+`, as apt does: some servers take it for
    /// a space.
    pub(super) fn url(&self, path: &str) -> String {
        let mut url = format!("{}/", self.0);
        for byte in path.bytes() {
            if byte.is_ascii_alphanumeric() || b"/-._~:=@,!".contains(&byte) {
                url.push(char::from(byte));
            } else {
                url.push_str(&format!("%{byte:02X}"));
            }
        }
        url
    }

    /// The address of `path` for people: as [`Display`](fmt::Display), without user and password.
    pub(super) fn shown(&self, path: &str) -> String {
        format!("{self}/{path}")
    }
}

impl fmt::Display for Mirror {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((scheme, rest)) = self.0.split_once("://") else { return f.write_str(&self.0) };
        let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
        write!(f, "{scheme}://{host}{path}")
    }
}

impl fmt::Debug for Mirror {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The path in what follows `file:`, which may name this machine as `//localhost`.
fn file_path(rest: &str) -> Option<PathBuf> {
    let path = match rest.strip_prefix("//") {
        None => rest,
        Some(rest) => rest.strip_prefix("localhost").unwrap_or(rest),
    };
    path.starts_with('/').then(|| PathBuf::from(path))
}

/// As in `20250520T000000Z`.
fn is_time_stamp(part: &str) -> bool {
    part.len() == 16
        && part.bytes().enumerate().all(|(at, byte)| match at {
            8 => byte == b'T',
            15 => byte == b'Z',
            _ => byte.is_ascii_digit(),
        })
}

/// Which servers hold which archive, the one to ask first before the others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mirrors(BTreeMap<String, Vec<Mirror>>);

const VARIABLE: &str = "VSBUILD_MIRROR_";

impl Mirrors {
    /// All mirrors: first those of the user's configuration by archive, then those of the environment
    /// (`VSBUILD_MIRROR_DEBIAN_SECURITY`, addresses apart by white space; other variables are passed over), then those
    /// of the host's apt.
    pub fn new(
        configured: &BTreeMap<String, Vec<String>>,
        environment: impl IntoIterator<Item = (String, String)>,
        apt: &[Mirror],
    ) -> Result<Self, BadMirror> {
        let mut mirrors = Self::default();
        for (archive, texts) in configured {
            for text in texts {
                mirrors.add_text(archive, "the configuration", text)?;
            }
        }
        let environment: BTreeMap<String, String> = environment.into_iter().collect();
        for (variable, value) in &environment {
            let Some(archive) = archive_of_variable(variable) else { continue };
            for text in value.split_ascii_whitespace() {
                mirrors.add_text(&archive, variable, text)?;
            }
        }
        for mirror in apt {
            if let Some(archive) = mirror.archive() {
                mirrors.add(archive, mirror.clone());
            }
        }
        Ok(mirrors)
    }

    /// Adds a mirror that is asked after those that are there. One that is there already stays where it is.
    pub fn add(&mut self, archive: &str, mirror: Mirror) {
        let known = self.0.entry(archive.to_owned()).or_default();
        if !known.contains(&mirror) {
            known.push(mirror);
        }
    }

    fn add_text(&mut self, archive: &str, place: &str, text: &str) -> Result<(), BadMirror> {
        let mirror = Mirror::parse(text).ok_or_else(|| BadMirror {
            archive: archive.to_owned(),
            place: place.to_owned(),
            text: text.to_owned(),
        })?;
        self.add(archive, mirror);
        Ok(())
    }

    /// The mirrors of an archive, the one to ask first before the others.
    pub fn of(&self, archive: &str) -> &[Mirror] {
        self.0.get(archive).map_or(&[], Vec::as_slice)
    }

    /// All archives with their mirrors.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[Mirror])> {
        self.0.iter().map(|(archive, mirrors)| (archive.as_str(), mirrors.as_slice()))
    }
}

/// The environment variable with the mirrors of an archive.
pub fn variable_of_archive(archive: &str) -> String {
    format!("{VARIABLE}{}", archive.to_ascii_uppercase().replace('-', "_"))
}

/// The archive whose mirrors are in this environment variable, if it is of that kind.
pub fn archive_of_variable(variable: &str) -> Option<String> {
    let archive = variable.strip_prefix(VARIABLE)?;
    (!archive.is_empty()).then(|| archive.to_ascii_lowercase().replace('_', "-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mirror(text: &str) -> Mirror {
        Mirror::parse(text).expect(text)
    }

    #[test]
    fn an_archive_is_called_by_the_end_of_its_address() {
        for (address, archive) in [
            ("http://example.invalid/debian", Some("debian")),
            ("HTTPS://example.invalid:8080/pub/debian-security/", Some("debian-security")),
            ("https://example.invalid/archive/debian/20250520T000000Z/", Some("debian")),
            ("file:///srv/mirror/debian", Some("debian")),
            ("file:/srv/debian", Some("debian")),
            ("http://example.invalid/", None),
        ] {
            assert_eq!(mirror(address).archive(), archive, "{address}");
        }
    }

    #[test]
    fn what_we_cannot_fetch_from_is_no_mirror() {
        for text in [
            "",
            "http:",
            "http://",
            "http:///x",
            "ftp://h/debian",
            "cdrom:[Debian]/",
            "file:x",
            "file://host/x",
            "http://h/a?b",
            "http://h/a b",
            "tor+http://h/debian",
            "/srv/debian",
            "copy:/srv/debian",
        ] {
            assert_eq!(Mirror::parse(text), None, "{text}");
        }
    }

    #[test]
    fn addresses_are_escaped_and_passwords_are_not_shown() {
        let mirror = mirror("http://user:secret@example.invalid/debian/");
        assert_eq!(
            mirror.url("pool/g++ 1%3a~a.deb"),
            "http://user:secret@example.invalid/debian/pool/g%2B%2B%201%253a~a.deb"
        );
        assert_eq!(mirror.shown("x"), "http://example.invalid/debian/x");
        assert!(!format!("{mirror:?}").contains("secret"));
    }

    #[test]
    fn configuration_comes_before_environment_and_apt() {
        let configured = BTreeMap::from([(
            "debian".to_owned(),
            vec!["http://one.example.invalid/d/".to_owned(), "file:///srv/debian".to_owned()],
        )]);
        let environment = [
            ("VSBUILD_MIRROR_DEBIAN", "http://two.example.invalid/x http://one.example.invalid/d"),
            ("VSBUILD_MIRROR_DEBIAN_SECURITY", "http://two.example.invalid/s"),
            ("VSBUILD_STORE", "nothing to us"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let apt = [mirror("http://three.example.invalid/debian")];
        let mirrors = Mirrors::new(&configured, environment, &apt).unwrap();
        let shown = |archive| mirrors.of(archive).iter().map(Mirror::to_string).collect::<Vec<_>>();
        assert_eq!(
            shown("debian"),
            [
                "http://one.example.invalid/d",
                "file:///srv/debian",
                "http://two.example.invalid/x",
                "http://three.example.invalid/debian"
            ]
        );
        assert_eq!(shown("debian-security"), ["http://two.example.invalid/s"]);
        assert_eq!(shown("ubuntu"), [""; 0]);
        assert_eq!(
            archive_of_variable(&variable_of_archive("debian-ports")).unwrap(),
            "debian-ports"
        );
    }

    #[test]
    fn a_wrong_address_says_where_it_is_written() {
        let environment = [("VSBUILD_MIRROR_DEBIAN".to_owned(), "nonsense".to_owned())];
        let error = Mirrors::new(&BTreeMap::new(), environment, &[]).unwrap_err();
        assert!(
            error.to_string().starts_with("VSBUILD_MIRROR_DEBIAN: `nonsense` is not"),
            "{error}"
        );
    }
}
