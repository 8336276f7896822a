//! Registries that want a password.

use std::{fs, path::PathBuf, process::Command};

use vsbuild::fetch::{CredentialFiles, Error, Reference};

use crate::{
    REPOSITORY, anonymous,
    image::Image,
    pull,
    real::{Real, skopeo},
    says, skip, with,
};

const USER: &str = "ada";
const PASSWORD: &str = "a:pass word";

fn guarded() -> Option<Real> {
    let arguments = ["-Bbn", "-C", "4", USER, PASSWORD];
    let Ok(output) = Command::new("htpasswd").args(arguments).output() else {
        skip("htpasswd is not installed");
        return None;
    };
    assert!(output.status.success());
    Real::start_with(|directory| {
        let file = directory.join("htpasswd");
        fs::write(&file, output.stdout).unwrap();
        format!("auth: {{htpasswd: {{realm: lab, path: {}}}}}\n", file.display())
    })
}

/// A file with credentials as podman writes it. That of docker has the same entries.
fn file(registry: &Real, password: &str) -> PathBuf {
    let file = registry.directory().join(format!("{}.json", password.len()));
    let entry = format!(r#"{{"username": "{USER}", "password": "{password}"}}"#);
    fs::write(&file, format!(r#"{{"auths": {{"{}": {entry}}}}}"#, registry.host)).unwrap();
    file
}

#[test]
fn the_right_password_opens_the_door() {
    let Some(registry) = guarded() else { return };
    let missing = registry.directory().join("missing.json");
    let files = CredentialFiles::new([missing, file(&registry, PASSWORD)]);
    let fetcher = with(&[].into(), files);
    let image = Image::new(20);
    image.push(&fetcher, &registry.host, "latest").unwrap();
    let latest = Reference::Tag("latest".to_owned());
    assert_eq!(
        fetcher.manifest(&registry.host, REPOSITORY, &latest).unwrap().bytes,
        image.manifest
    );
    let partial = registry.directory().join("partial");
    pull(&fetcher, &registry.host, &image.layers[0], &partial).unwrap();
    // skopeo agrees that nobody else gets in, and that this is where the image is.
    let name = format!("docker://{}/{REPOSITORY}", registry.host);
    let credentials = format!("{USER}:{PASSWORD}");
    skopeo(&["inspect", "--tls-verify=false", "--creds", &credentials, &name]);
}

#[test]
fn without_or_with_a_wrong_password_the_file_and_the_registry_are_named() {
    let Some(registry) = guarded() else { return };
    let wrong = file(&registry, "wrong");
    let partial = registry.directory().join("partial");
    let image = Image::new(21);
    let latest = Reference::Tag("latest".to_owned());
    let denied = |fetcher: &vsbuild::fetch::Fetcher, parts: &[&str]| {
        let errors = [
            pull(fetcher, &registry.host, &image.layers[0], &partial).unwrap_err(),
            fetcher.manifest(&registry.host, REPOSITORY, &latest).unwrap_err(),
            image.push(fetcher, &registry.host, "latest").unwrap_err(),
        ];
        for error in errors {
            assert!(matches!(error, Error::Denied { .. }), "{error}");
            let login = format!("docker login {}", registry.host);
            says(&error, &[&registry.host, REPOSITORY, "401 Unauthorized", &login]);
            says(&error, parts);
            assert!(!partial.exists());
        }
    };
    denied(&anonymous(), &["without credentials", "no file"]);
    let none = registry.directory().join("none.json");
    fs::write(&none, r#"{"auths": {"other.example.invalid": {"auth": "YTpi"}}}"#).unwrap();
    let text = none.display().to_string();
    denied(&with(&[].into(), CredentialFiles::new([none])), &["without credentials", &text]);
    let text = wrong.display().to_string();
    denied(&with(&[].into(), CredentialFiles::new([wrong])), &["with the credentials for", &text]);
}

#[test]
fn a_broken_file_of_credentials_is_named() {
    let Some(registry) = guarded() else { return };
    let broken = registry.directory().join("broken.json");
    fs::write(&broken, "{").unwrap();
    let fetcher = with(&[].into(), CredentialFiles::new([broken.clone()]));
    let latest = Reference::Tag("latest".to_owned());
    let error = fetcher.manifest(&registry.host, REPOSITORY, &latest).unwrap_err();
    says(&error, &[&broken.display().to_string(), "not JSON"]);
}
