//! Registries that send one to another server for tokens (Docker's token authentication specification).

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::{Duration, SystemTime},
};

use vsbuild::{
    digest::Digest,
    fetch::{CredentialFiles, Error, Fetcher, Reference, What},
};

use crate::{
    REPOSITORY, anonymous,
    image::{Image, noise, push},
    pull,
    real::Real,
    says,
    server::{Answer, Request, Server},
    skip, want, with,
};

const ADA: &str = r#""username": "ada", "password": "secret""#;
const WRONG: &str = r#""username": "ada", "password": "wrong""#;
const IDENTITY: &str = r#""auth": "", "identitytoken": "it is +me/=""#;

/// A registry and the server that its tokens are from.
struct Guarded {
    registry: Real,
    tokens: Server,
}

impl Guarded {
    fn start() -> Option<Self> {
        let keys = tempfile::tempdir().unwrap();
        let key = keys.path().join("key.pem");
        let certificate = keys.path().join("certificate.pem");
        let made = openssl(&[
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=lab",
            "-keyout",
            key.to_str().unwrap(),
            "-out",
            certificate.to_str().unwrap(),
        ]);
        if made.is_none() {
            skip("openssl is not installed");
            return None;
        }
        let bundle = fs::read(&certificate).unwrap();
        let tokens = Server::new(move |_, request| answer(&keys.path().join("key.pem"), request));
        let realm = format!("http://{}/token", tokens.host);
        let registry = Real::start_with(|directory| {
            let file = directory.join("bundle.pem");
            fs::write(&file, bundle).unwrap();
            let bundle = file.display();
            format!(
                "auth: {{token: {{realm: '{realm}', service: lab registry, issuer: lab, rootcertbundle: {bundle}}}}}\n"
            )
        })?;
        Some(Self { registry, tokens })
    }

    fn fetcher(&self, entry: &str) -> (Fetcher, PathBuf) {
        let file = self.registry.directory().join(format!("{}.json", Digest::of(entry).short()));
        let text = format!(r#"{{"auths": {{"{}": {{{entry}}}}}}}"#, self.registry.host);
        fs::write(&file, text).unwrap();
        (with(&[].into(), CredentialFiles::new([file.clone()])), file)
    }

    fn partial(&self) -> PathBuf {
        self.registry.directory().join("partial")
    }
}

fn openssl(arguments: &[&str]) -> Option<Output> {
    let output = Command::new("openssl").args(arguments).output().ok()?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(output)
}

/// Whoever knows the password, or the identity token, may do what he wants; others may pull.
fn answer(key: &Path, request: &Request) -> Answer {
    let (fields, named) = match request.method.as_str() {
        "POST" => {
            let fields = fields(std::str::from_utf8(&request.body).unwrap());
            assert_eq!(fields["grant_type"], "refresh_token");
            let known = fields["refresh_token"] == "it is +me/=";
            (fields, Some(known))
        }
        _ => {
            let shown = request.header("authorization");
            (fields(&request.query), shown.map(|shown| shown == "Basic YWRhOnNlY3JldA=="))
        }
    };
    if named == Some(false) {
        return Answer::bytes(r#"{"details": "incorrect username or password"}"#).status(401);
    }
    assert_eq!(fields["service"], "lab registry");
    let actions: Vec<&str> = fields["scope"]
        .strip_prefix(&format!("repository:{REPOSITORY}:"))
        .unwrap()
        .split(',')
        .filter(|action| named.is_some() || *action == "pull")
        .collect();
    let token = signed(key, &actions);
    let name = if request.method == "POST" { "access_token" } else { "token" };
    Answer::bytes(format!(r#"{{"{name}": "{token}", "expires_in": 300}}"#))
}

/// A JSON Web Token (RFC 7519) with the signer's certificate in it.
fn signed(key: &Path, actions: &[&str]) -> String {
    let certificate = fs::read_to_string(key.with_file_name("certificate.pem")).unwrap();
    let certificate: String =
        certificate.lines().filter(|line| !line.starts_with("-----")).collect();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let header = format!(r#"{{"typ": "JWT", "alg": "RS256", "x5c": ["{certificate}"]}}"#);
    let claims = format!(
        r#"{{"iss": "lab", "sub": "ada", "aud": "lab registry", "jti": "1", "nbf": {}, "exp": {},
            "access": [{{"type": "repository", "name": "{REPOSITORY}", "actions": {actions:?}}}]}}"#,
        now - 10,
        now + 300
    );
    let text = format!("{}.{}", base64url(header.as_bytes()), base64url(claims.as_bytes()));
    let file = tempfile::NamedTempFile::new_in(key.parent().unwrap()).unwrap();
    fs::write(file.path(), &text).unwrap();
    let (key, file) = (key.to_str().unwrap(), file.path().to_str().unwrap());
    let signature = openssl(&["dgst", "-sha256", "-sign", key, file]).unwrap().stdout;
    format!("{text}.{}", base64url(&signature))
}

fn base64url(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let group = |three: &[u8]| {
        let bits = (0..3).fold(0, |bits, at| bits << 8 | usize::from(*three.get(at).unwrap_or(&0)));
        let digits = [18, 12, 6, 0].map(|shift| char::from(DIGITS[bits >> shift & 63]));
        digits.into_iter().take(three.len() + 1).collect::<String>()
    };
    bytes.chunks(3).map(group).collect()
}

/// The fields of a form or a query.
fn fields(text: &str) -> BTreeMap<String, String> {
    let decoded = |text: &str| {
        let mut bytes = Vec::new();
        let mut rest = text.bytes();
        while let Some(byte) = rest.next() {
            bytes.push(match byte {
                b'+' => b' ',
                b'%' => {
                    let digits = [rest.next().unwrap(), rest.next().unwrap()];
                    u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
                }
                byte => byte,
            });
        }
        String::from_utf8(bytes).unwrap()
    };
    let field = |field: &str| {
        let (name, value) = field.split_once('=').unwrap();
        (decoded(name), decoded(value))
    };
    text.split('&').map(field).collect()
}

#[test]
fn a_token_for_nobody_is_enough_to_pull_but_not_to_push() {
    let Some(guarded) = Guarded::start() else { return };
    let (host, image) = (&guarded.registry.host, Image::new(60));
    let (ada, _) = guarded.fetcher(ADA);
    image.push(&ada, host, "latest").unwrap();
    assert_eq!(guarded.tokens.requests().len(), 1, "one token for all that is pushed");
    let nobody = anonymous();
    pull(&nobody, host, &image.layers[0], &guarded.partial()).unwrap();
    let latest = Reference::Tag("latest".to_owned());
    assert_eq!(nobody.manifest(host, REPOSITORY, &latest).unwrap().bytes, image.manifest);
    assert_eq!(guarded.tokens.requests().len(), 2, "and one for all that is pulled");
    let error = push(&nobody, host, b"something new").unwrap_err();
    assert!(matches!(error, Error::Denied { .. }), "{error}");
    says(&error, &["401", "without credentials", host]);
}

#[test]
fn an_identity_token_is_as_good_as_a_password() {
    let Some(guarded) = Guarded::start() else { return };
    let (host, image) = (&guarded.registry.host, Image::new(61));
    let (ada, _) = guarded.fetcher(IDENTITY);
    image.push(&ada, host, "latest").unwrap();
    pull(&ada, host, &image.layers[0], &guarded.partial()).unwrap();
    assert!(guarded.tokens.requests().iter().all(|request| request.method == "POST"));
}

#[test]
fn a_wrong_password_names_the_server_of_tokens_and_the_file() {
    let Some(guarded) = Guarded::start() else { return };
    let host = &guarded.registry.host;
    let wrong_identity = IDENTITY.replace("me", "you");
    for entry in [WRONG, &wrong_identity] {
        let (fetcher, file) = guarded.fetcher(entry);
        let error = pull(&fetcher, host, b"x", &guarded.partial()).unwrap_err();
        assert!(matches!(error, Error::Denied { .. }), "{error}");
        let realm = format!("http://{}/token: 401", guarded.tokens.host);
        let file = file.display().to_string();
        says(&error, &[&realm, "incorrect username or password", &file, "docker login"]);
        assert!(!error.to_string().contains("wrong"), "{error}");
    }
}

#[test]
fn many_blobs_at_a_time_need_one_token() {
    let Some(guarded) = Guarded::start() else { return };
    let (ada, _) = guarded.fetcher(ADA);
    let blobs: Vec<Vec<u8>> = (0..20).map(|n| noise(n, 50_000)).collect();
    for blob in &blobs {
        push(&ada, &guarded.registry.host, blob).unwrap();
    }
    let before = guarded.tokens.requests().len();
    let place = |at: usize| guarded.registry.directory().join(at.to_string());
    let wants: Vec<_> = blobs
        .iter()
        .enumerate()
        .map(|(at, blob)| (want(&guarded.registry.host, What::Blob, blob), place(at)))
        .collect();
    let results = anonymous().fetch_all(&wants, &|_, _| ());
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    assert_eq!(guarded.tokens.requests().len() - before, 1);
}

/// A registry in which each token opens the door so many times, and its tokens, which count from 1.
fn forgetful(times: usize, life: u64) -> (Server, Server) {
    let tokens = Server::new(move |before, _| {
        Answer::bytes(format!(r#"{{"token": "{}", "expires_in": {life}}}"#, before + 1))
    });
    let realm = format!("http://{}/", tokens.host);
    let used = std::sync::Mutex::new(BTreeMap::<String, usize>::new());
    let registry = Server::new(move |_, request| {
        let shown = request.header("authorization").unwrap_or_default().to_owned();
        let mut used = used.lock().unwrap();
        let count = used.entry(shown.clone()).or_default();
        *count += 1;
        if shown.starts_with("Bearer ") && *count <= times {
            Answer::bytes("x")
        } else {
            let challenge = format!("Bearer realm=\"{realm}\",service=\"lab\"");
            Answer::new(401).header("WWW-Authenticate", challenge)
        }
    });
    (registry, tokens)
}

#[test]
fn a_token_that_no_longer_opens_the_door_is_replaced_once() {
    let (registry, tokens) = forgetful(2, 300);
    let fetcher = anonymous();
    let directory = tempfile::tempdir().unwrap();
    for at in 0..5 {
        pull(&fetcher, &registry.host, b"x", &directory.path().join(at.to_string())).unwrap();
    }
    assert_eq!(tokens.requests().len(), 3);
    assert_eq!(
        fields(&tokens.requests()[0].query)["scope"],
        format!("repository:{REPOSITORY}:pull")
    );
    let (registry, tokens) = forgetful(0, 300);
    let error = pull(&fetcher, &registry.host, b"x", &directory.path().join("no")).unwrap_err();
    assert!(matches!(error, Error::Denied { .. }), "{error}");
    assert_eq!((registry.requests().len(), tokens.requests().len()), (2, 1));
}

#[test]
fn a_token_that_is_too_old_is_not_shown() {
    let (registry, tokens) = forgetful(9, 1);
    let fetcher = anonymous();
    let directory = tempfile::tempdir().unwrap();
    for at in 0..2 {
        pull(&fetcher, &registry.host, b"x", &directory.path().join(at.to_string())).unwrap();
        std::thread::sleep(Duration::from_millis(950));
    }
    let shown: Vec<_> = registry
        .requests()
        .iter()
        .map(|request| request.header("authorization").unwrap_or("none").to_owned())
        .collect();
    assert_eq!(shown, ["none", "Bearer 1", "none", "Bearer 2"]);
    assert_eq!(tokens.requests().len(), 2);
}

#[test]
fn a_server_of_tokens_that_fails_is_named() {
    for (answer, said) in [
        ((|| Answer::new(500)) as fn() -> Answer, "500"),
        (|| Answer::new(404), "404"),
        (|| Answer::bytes("no JSON"), "no token"),
        (|| Answer::bytes(r#"{"token": "a\nb"}"#), "no token"),
        (|| Answer::new(307).header("Location", "/else"), "307"),
    ] {
        let tokens = Server::new(move |_, _| answer());
        let challenge = format!("Bearer realm=\"http://{}/token\"", tokens.host);
        let registry =
            Server::new(move |_, _| Answer::new(401).header("WWW-Authenticate", challenge.clone()));
        let directory = tempfile::tempdir().unwrap();
        let partial = directory.path().join("partial");
        let error = pull(&anonymous(), &registry.host, b"x", &partial).unwrap_err();
        assert!(matches!(error, Error::NotPulled { .. }), "{error}");
        says(&error, &[&format!("http://{}/token: ", tokens.host), said]);
    }
    for challenge in ["Bearer", "Bearer realm=\"ftp://host/\"", "Negotiate", ""] {
        let registry =
            Server::new(move |_, _| Answer::new(401).header("WWW-Authenticate", challenge));
        let directory = tempfile::tempdir().unwrap();
        let partial = directory.path().join("partial");
        let error = pull(&anonymous(), &registry.host, b"x", &partial).unwrap_err();
        says(&error, &[&registry.host]);
    }
}

#[test]
fn broken_credentials_do_not_shut_what_is_open_to_all() {
    let (registry, _tokens) = forgetful(1, 300);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("config.json");
    fs::write(&file, r#"{"credsStore": "that-is-nowhere"}"#).unwrap();
    let fetcher = with(&[].into(), CredentialFiles::new([file.clone()]));
    pull(&fetcher, &registry.host, b"x", &directory.path().join("partial")).unwrap();
    let (closed, _tokens) = forgetful(0, 300);
    let error = pull(&fetcher, &closed.host, b"x", &directory.path().join("no")).unwrap_err();
    says(&error, &["without credentials", &file.display().to_string(), "helper"]);
}
