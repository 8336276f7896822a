use std::{
    ffi::OsString,
    fmt, io,
    path::{Path, PathBuf},
};

use docker_credential::{CredentialRetrievalError, DockerCredential};

/// The files with the credentials that `docker login`, `podman login` and their like keep, the one to ask first before
/// the others.
///
/// Formats: docker's `config.json` and containers-auth.json(5), with credential helpers. They are read when a server
/// asks for credentials, not before.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CredentialFiles(Vec<PathBuf>);

/// The credentials for one server, and where they are from.
pub(super) struct Found {
    pub(super) credential: Credential,
    pub(super) file: PathBuf,
}

pub(super) enum Credential {
    Password {
        user: String,
        password: String,
    },
    /// What OAuth 2 calls a refresh token.
    IdentityToken(String),
}

impl CredentialFiles {
    /// These files; those that are not there count as empty.
    pub fn new(files: impl IntoIterator<Item = PathBuf>) -> Self {
        Self(files.into_iter().collect())
    }

    /// The files of a user with these environment variables: `$REGISTRY_AUTH_FILE`,
    /// `$XDG_RUNTIME_DIR/containers/auth.json`, then `config.json` in `$DOCKER_CONFIG`, else in `$HOME/.docker`.
    pub fn of_user(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let path = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let docker = path("DOCKER_CONFIG").or_else(|| Some(path("HOME")?.join(".docker")));
        let files = [
            path("REGISTRY_AUTH_FILE"),
            path("XDG_RUNTIME_DIR").map(|directory| directory.join("containers/auth.json")),
            docker.map(|directory| directory.join("config.json")),
        ];
        Self::new(files.into_iter().flatten())
    }

    /// The credentials for a repository of a server.
    pub(super) fn find(&self, host: &str, repository: &str) -> Result<Option<Found>, String> {
        for file in &self.0 {
            let found = in_file(file, host, repository).map_err(|why| {
                format!("the credentials in {} are of no use: {why}", file.display())
            })?;
            if let Some(credential) = found {
                return Ok(Some(Found { credential, file: file.clone() }));
            }
        }
        Ok(None)
    }
}

impl fmt::Display for CredentialFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("no file");
        }
        for (at, file) in self.0.iter().enumerate() {
            write!(f, "{}{}", if at == 0 { "" } else { ", " }, file.display())?;
        }
        Ok(())
    }
}

fn in_file(file: &Path, host: &str, repository: &str) -> Result<Option<Credential>, String> {
    let bytes = match fs_err::read(file) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    let json: serde_json::Value =
        serde_json::from_slice(&bytes).map_err(|error| format!("it is not JSON ({error})"))?;
    let key = key(&json, host, repository);
    match docker_credential::get_credential_from_reader(&bytes[..], &key) {
        Ok(DockerCredential::UsernamePassword(user, password)) => {
            Ok(Some(Credential::Password { user, password }))
        }
        Ok(DockerCredential::IdentityToken(token)) => Ok(Some(Credential::IdentityToken(token))),
        Err(CredentialRetrievalError::NoCredentialConfigured) => Ok(None),
        // This is how helpers say that they know nothing; docker's client goes by these words, too.
        Err(CredentialRetrievalError::HelperFailure { stdout, .. })
            if stdout.contains("credentials not found") =>
        {
            Ok(None)
        }
        Err(CredentialRetrievalError::HelperFailure { helper, stderr, .. }) => {
            Err(format!("{helper} failed: {}", stderr.trim().escape_debug()))
        }
        Err(error) => Err(error.to_string()),
    }
}

/// The name under which a file keeps the credentials. podman may keep some for a part of a registry
/// (`host/team`), and docker writes the one registry that it knows without a name as an address.
fn key(json: &serde_json::Value, host: &str, repository: &str) -> String {
    let auths = json.get("auths").and_then(|auths| auths.as_object());
    let known: Vec<&String> = auths.map_or_else(Vec::new, |auths| auths.keys().collect());
    let mut path = format!("{host}/{repository}");
    loop {
        if known.contains(&&path) {
            return path;
        }
        match path.rfind('/') {
            Some(slash) => path.truncate(slash),
            None => break,
        }
    }
    let same = |key: &&&String| server(host_of(key)) == server(host);
    known.iter().find(same).map_or_else(|| host.to_owned(), |key| (**key).clone())
}

fn host_of(key: &str) -> &str {
    let Some((_, rest)) = key.split_once("://") else { return key };
    rest.split('/').next().unwrap_or_default()
}

/// Docker's own registry has several names, but one account.
fn server(host: &str) -> &str {
    if host.ends_with(".docker.io") { "docker.io" } else { host }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str, host: &str, repository: &str) -> Result<Option<String>, String> {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("auth.json");
        fs_err::write(&file, text).unwrap();
        let missing = directory.path().join("missing.json");
        let found = CredentialFiles::new([missing, file.clone()]).find(host, repository)?;
        Ok(found.map(|Found { credential, file: from }| {
            assert_eq!(from, file);
            match credential {
                Credential::Password { user, password } => format!("{user}:{password}"),
                Credential::IdentityToken(token) => format!("token {token}"),
            }
        }))
    }

    #[test]
    fn credentials_are_found_under_every_name_of_their_server() {
        // YTpi is a:b, YzpkOmU= is c:d:e.
        let text = r#"{"auths": {
            "host:5000": {"auth": "YTpi"},
            "host:5000/team": {"auth": "YzpkOmU="},
            "https://other.example.invalid/v1/": {"auth": "YTpi"},
            "index.docker.io": {"username": "u", "password": "p"},
            "token.example.invalid": {"auth": "", "identitytoken": "t"},
            "empty.example.invalid": {}
        }}"#;
        for (host, repository, expected) in [
            ("host:5000", "x", Some("a:b")),
            ("host:5000", "teams/x", Some("a:b")),
            ("host:5000", "team/x/y", Some("c:d:e")),
            ("host:5001", "team/x", None),
            ("host", "x", None),
            ("other.example.invalid", "x", Some("a:b")),
            ("docker.io", "team/x", Some("u:p")),
            ("api.docker.io", "team/x", Some("u:p")),
            ("token.example.invalid", "x", Some("token t")),
            ("empty.example.invalid", "x", None),
        ] {
            let expected = Ok(expected.map(str::to_owned));
            assert_eq!(found(text, host, repository), expected, "{host}");
        }
    }

    #[test]
    fn files_that_cannot_be_understood_are_named() {
        for text in [
            "",
            "{",
            "[]",
            r#"{"auths": 1}"#,
            r#"{"auths": {"host": {"auth": "%"}}}"#,
            r#"{"credHelpers": {"host": "that-is-nowhere"}}"#,
            r#"{"credsStore": "that-is-nowhere"}"#,
        ] {
            let error = found(text, "host", "x").unwrap_err();
            assert!(error.contains("auth.json"), "{error}");
        }
        assert_eq!(found("{}", "host", "x"), Ok(None));
    }

    #[test]
    fn a_user_has_files_where_docker_and_podman_keep_them() {
        let files = |variables: &[(&str, &str)]| {
            let variable = |name: &str| {
                let found = variables.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| OsString::from(value))
            };
            CredentialFiles::of_user(variable).to_string()
        };
        assert_eq!(files(&[]), "no file");
        assert_eq!(
            files(&[("HOME", "/h"), ("XDG_RUNTIME_DIR", "/r")]),
            "/r/containers/auth.json, /h/.docker/config.json"
        );
        assert_eq!(
            files(&[("HOME", "/h"), ("DOCKER_CONFIG", "/d"), ("REGISTRY_AUTH_FILE", "/a.json")]),
            "/a.json, /d/config.json"
        );
    }
}
