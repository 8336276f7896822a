//! Pulling from registries that misbehave, and from their mirrors.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use vsbuild::{
    digest::Digest,
    fetch::{
        CredentialFiles, Error, Fetcher, Mirrors, Options, Reference, Registries, Registry, Source,
        Want, What,
    },
};

use crate::{
    REPOSITORY, anonymous,
    image::{MANIFEST, noise},
    options, pull, says,
    server::{Answer, Server},
    with,
};

const HUB: &str = "hub.example.invalid";

fn tag() -> Reference {
    Reference::Tag("latest".to_owned())
}

fn blob() -> Vec<u8> {
    noise(40, 100_000)
}

/// A registry with that one blob.
fn good() -> Server {
    Server::new(|_, _| Answer::bytes(blob()))
}

/// What the user says of [`HUB`]: mirrors and where it is itself.
fn hub(mirrors: &[&str], server: &str) -> BTreeMap<String, Registry> {
    let server = Some(format!("http://{server}"));
    let mirrors = mirrors.iter().map(|host| format!("http://{host}")).collect();
    [(HUB.to_owned(), Registry { mirrors, server, plain_http: false })].into()
}

fn credentials(directory: &tempfile::TempDir, entries: &[(&str, &str)]) -> CredentialFiles {
    let file = directory.path().join("auth.json");
    let entry = |(host, entry): &(&str, &str)| format!(r#""{host}": {{{entry}}}"#);
    let entries: Vec<String> = entries.iter().map(entry).collect();
    std::fs::write(&file, format!(r#"{{"auths": {{{}}}}}"#, entries.join(","))).unwrap();
    CredentialFiles::new([file])
}

const ADA: &str = r#""username": "ada", "password": "secret""#;

#[test]
fn mirrors_are_asked_in_order_and_the_registry_last() {
    let (missing, broken) =
        (Server::new(|_, _| Answer::new(404)), Server::new(|_, _| Answer::new(500)));
    let (wrong, itself) = (Server::new(|_, _| Answer::bytes(noise(41, 100_000))), good());
    let proxy = format!("{}/proxy/hub/", missing.host);
    let mirrors = [proxy.as_str(), &broken.host, &wrong.host];
    let fetcher = with(&hub(&mirrors, &itself.host), CredentialFiles::default());
    let directory = tempfile::tempdir().unwrap();
    pull(&fetcher, HUB, &blob(), &directory.path().join("partial")).unwrap();
    assert_eq!(
        missing.requests()[0].path,
        format!("/v2/proxy/hub/{REPOSITORY}/blobs/sha256:{}", Digest::of(blob()))
    );
    for server in [missing, broken, wrong, itself] {
        assert_eq!(server.requests().len(), 1);
    }
}

#[test]
fn a_mirror_that_has_it_is_enough() {
    let (mirror, itself) = (good(), good());
    let fetcher = with(&hub(&[&mirror.host], &itself.host), CredentialFiles::default());
    let directory = tempfile::tempdir().unwrap();
    pull(&fetcher, HUB, &blob(), &directory.path().join("partial")).unwrap();
    assert_eq!((mirror.requests().len(), itself.requests().len()), (1, 0));
}

#[test]
fn a_registry_that_is_elsewhere_says_how_to_name_it() {
    let directory = tempfile::tempdir().unwrap();
    let partial = directory.path().join("partial");
    let error = pull(&anonymous(), "docker.invalid", &blob(), &partial).unwrap_err();
    says(
        &error,
        &[
            "https://docker.invalid/v2/",
            "no connection",
            "[registries.\"docker.invalid\"]",
            "server =",
        ],
    );
    assert!(matches!(error, Error::NotPulled { .. }));
}

#[test]
fn offline_asks_no_registry() {
    let server = good();
    let offline = Options { offline: true, ..options() };
    let fetcher = Fetcher::new(Mirrors::default(), offline);
    let directory = tempfile::tempdir().unwrap();
    let errors = [
        pull(&fetcher, &server.host, &blob(), &directory.path().join("partial")).unwrap_err(),
        fetcher.manifest(&server.host, REPOSITORY, &tag()).unwrap_err(),
        crate::image::push(&fetcher, &server.host, b"x").unwrap_err(),
    ];
    for error in errors {
        says(&error, &[&server.host, REPOSITORY, "--offline"]);
    }
    assert_eq!(server.requests(), []);
}

#[test]
fn what_is_no_name_is_never_asked_for() {
    let server = good();
    for (registry, repository) in
        [(server.host.as_str(), "../x"), (&server.host, "X"), (&server.host, ""), ("a b", "x")]
    {
        let repository = repository.to_owned();
        let source =
            Source::Registry { registry: registry.to_owned(), repository, what: What::Blob };
        let want = Want { source, size: 1, sha256: Digest::of("x") };
        let directory = tempfile::tempdir().unwrap();
        let partial = directory.path().join("partial");
        let error = anonymous().fetch(&want, &partial, &|_| ()).unwrap_err();
        assert!(matches!(error, Error::BadImage(_)), "{error}");
    }
    let tag = Reference::Tag("a/../../b".to_owned());
    assert!(anonymous().manifest(&server.host, REPOSITORY, &tag).is_err());
    assert_eq!(server.requests(), []);
}

#[test]
fn a_busy_registry_is_left_alone_for_as_long_as_it_wants() {
    let server = Server::new(|before, _| match before {
        0 => Answer::new(429).header("Retry-After", "1"),
        _ => Answer::bytes(blob()),
    });
    let directory = tempfile::tempdir().unwrap();
    let start = Instant::now();
    pull(&anonymous(), &server.host, &blob(), &directory.path().join("a")).unwrap();
    assert!(start.elapsed() >= Duration::from_secs(1));
    assert_eq!(server.requests().len(), 2);
    let server = Server::new(|_, _| {
        let answer =
            Answer::bytes(r#"{"errors": [{"code": "TOOMANYREQUESTS", "message": "slow down"}]}"#);
        answer.status(429).header("Retry-After", "86400")
    });
    let error = pull(&anonymous(), &server.host, &blob(), &directory.path().join("b")).unwrap_err();
    says(&error, &["429", "slow down", "86400 seconds"]);
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn while_one_mirror_rests_another_may_help() {
    let busy = Server::new(|_, _| Answer::new(429).header("Retry-After", "200"));
    let slow = Server::new(|before, _| match before {
        0 => Answer::new(503),
        _ => Answer::bytes(blob()),
    });
    let fetcher = with(&hub(&[&busy.host], &slow.host), CredentialFiles::default());
    let directory = tempfile::tempdir().unwrap();
    pull(&fetcher, HUB, &blob(), &directory.path().join("partial")).unwrap();
    assert_eq!((busy.requests().len(), slow.requests().len()), (1, 2));
}

#[test]
fn credentials_stay_with_their_server() {
    let storage = good();
    let elsewhere = format!("http://{}/signed?key=1", storage.host);
    let registry = Server::new(move |_, request| match request.header("authorization") {
        None => Answer::new(401).header("WWW-Authenticate", "Basic realm=\"lab\""),
        Some("Basic YWRhOnNlY3JldA==") => Answer::new(307).header("Location", elsewhere.clone()),
        Some(_) => Answer::new(403),
    });
    let directory = tempfile::tempdir().unwrap();
    let files = credentials(&directory, &[(&registry.host, ADA)]);
    let fetcher = with(&[].into(), files);
    let partial = directory.path().join("partial");
    std::fs::write(&partial, &blob()[..1000]).unwrap();
    pull(&fetcher, &registry.host, &blob(), &partial).unwrap();
    assert_eq!(registry.requests().len(), 2);
    for request in storage.requests() {
        assert_eq!(request.header("authorization"), None);
        assert_eq!(request.header("range"), Some("bytes=1000-"));
    }
}

#[test]
fn another_server_behind_a_redirect_gets_no_credentials_by_asking() {
    let thief =
        Server::new(|_, _| Answer::new(401).header("WWW-Authenticate", "Basic realm=\"lab\""));
    let elsewhere = format!("http://{}/x", thief.host);
    let registry = Server::new(move |_, _| Answer::new(302).header("Location", elsewhere.clone()));
    let directory = tempfile::tempdir().unwrap();
    let files = credentials(&directory, &[(&registry.host, ADA), (&thief.host, ADA)]);
    let partial = directory.path().join("partial");
    let error = pull(&with(&[].into(), files), &registry.host, &blob(), &partial).unwrap_err();
    says(&error, &["127.0.0.1", "wants credentials"]);
    assert_eq!(thief.requests().len(), 1);
    assert_eq!(thief.requests()[0].header("authorization"), None);
}

#[test]
fn a_mirror_gets_its_own_credentials_only() {
    let ask = |_, request: &crate::server::Request| match request.header("authorization") {
        None => Answer::new(401).header("WWW-Authenticate", "Basic realm=\"lab\""),
        Some(_) => Answer::bytes(blob()),
    };
    let (mirror, itself) = (Server::new(ask), Server::new(ask));
    let directory = tempfile::tempdir().unwrap();
    let files = credentials(&directory, &[(HUB, ADA)]);
    let fetcher = with(&hub(&[&mirror.host], &itself.host), files);
    pull(&fetcher, HUB, &blob(), &directory.path().join("partial")).unwrap();
    assert!(mirror.requests().iter().all(|request| request.header("authorization").is_none()));
    assert_eq!(itself.requests().len(), 2, "the credentials of the registry go to its server");
}

#[test]
fn a_manifest_has_a_limit_and_is_what_its_header_says() {
    let text = format!(r#"{{"schemaVersion":2,"mediaType":"{MANIFEST}"}}"#);
    let digest = Digest::of(&text);
    let manifest = |answer: fn(Answer) -> Answer| {
        let text = text.clone();
        let server = Server::new(move |_, _| {
            answer(Answer::bytes(text.clone()).header("Content-Type", MANIFEST))
        });
        let result = anonymous().manifest(&server.host, REPOSITORY, &tag());
        (result, server)
    };
    let (result, server) = manifest(|answer| answer);
    assert_eq!(result.unwrap().digest, digest);
    let accepted = server.requests()[0].header("accept").unwrap().to_owned();
    assert_eq!(accepted.matches("application/vnd.").count(), 4, "{accepted}");
    let (result, _) = manifest(|answer| {
        answer.header("Docker-Content-Digest", format!("sha256:{}", Digest::of("other")))
    });
    says(&result.unwrap_err(), &[&digest.short(), "as its header says"]);
    let (result, _) = manifest(|answer| answer.header("Docker-Content-Digest", "sha512:00"));
    result.unwrap();
    let huge = Server::new(|_, _| Answer::bytes(vec![b' '; (4 << 20) + 1]));
    let error = anonymous().manifest(&huge.host, REPOSITORY, &tag()).unwrap_err();
    says(&error, &["4194305 bytes", "4194304"]);
    let lie = Server::new(|_, _| {
        let type_ = "application/vnd.oci.image.index.v1+json";
        let text = format!(r#"{{"schemaVersion":2,"mediaType":"{MANIFEST}"}}"#);
        Answer::bytes(text).header("Content-Type", type_)
    });
    let error = anonymous().manifest(&lie.host, REPOSITORY, &tag()).unwrap_err();
    assert!(matches!(error, Error::BadManifest { .. }), "{error}");
    says(&error, &[MANIFEST, "image.index", &lie.host]);
}

#[test]
fn a_manifest_with_another_digest_comes_from_the_next_server() {
    let text = format!(r#"{{"schemaVersion":2,"mediaType":"{MANIFEST}"}}"#);
    let (wrong, right) = (Server::new(|_, _| Answer::bytes("{}")), text.clone());
    let right = Server::new(move |_, _| Answer::bytes(right.clone()));
    let fetcher = with(&hub(&[&wrong.host], &right.host), CredentialFiles::default());
    let digest = Reference::Digest(Digest::of(&text));
    assert_eq!(fetcher.manifest(HUB, REPOSITORY, &digest).unwrap().bytes, text.as_bytes());
    assert_eq!(wrong.requests().len(), 1);
}

#[test]
fn configuration_is_read_as_it_is_written() {
    let text = r#"
        ["docker.io"]
        mirrors = ["https://mirror.example.invalid"]
        ["10.0.0.1:5000"]
        plain-http = true
    "#;
    let configured: BTreeMap<String, Registry> = toml::from_str(text).unwrap();
    assert_eq!(configured["docker.io"].mirrors, ["https://mirror.example.invalid"]);
    assert!(configured["10.0.0.1:5000"].plain_http);
    Registries::new(&configured, CredentialFiles::default()).unwrap();
    assert!(toml::from_str::<BTreeMap<String, Registry>>("[x]\nmirror = []").is_err());
}
