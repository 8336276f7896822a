//! Keys as their owners see them, and signatures as other people's programs do.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

mod common;

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use common::TestEnv;
use serde_json::Value;
use vsbuild::{
    digest::Digest,
    trust::{self, Act, Claim, Keys, PublicKey, SecretKey, Statement},
};

fn mode(file: &Path) -> u32 {
    fs::metadata(file).unwrap().permissions().mode() & 0o7777
}

fn key_file(env: &TestEnv) -> PathBuf {
    env.path().join("home/.config/vsbuild/key")
}

#[test]
fn a_key_is_made_once_and_only_its_owner_can_read_it() {
    let env = TestEnv::new();
    let public = env.run(&["key", "generate", "lab-a"]).good();
    let file = key_file(&env);
    assert_eq!(mode(&file), 0o600);
    let secret = fs::read_to_string(&file).unwrap();
    assert!(secret.starts_with("vsbuild-secret-1:lab-a:") && secret.ends_with('\n'));
    let secret: SecretKey = secret.trim().parse().unwrap();
    assert_eq!(public.trim(), secret.public().to_string());

    let said = env.run(&["key", "generate", "other"]).bad(2);
    assert!(said.contains("a key that is there stays"), "{said}");
    assert_eq!(env.run(&["key", "public"]).good(), public);

    let other = env.path().join("new/dir/other.key");
    let other = other.to_str().unwrap();
    let another = env.run(&["key", "generate", "lab-a", "--out", other]).good();
    assert_ne!(another, public);
    assert_eq!(mode(Path::new(other)), 0o600);
    let json = env.run(&["key", "public", other, "--json"]).good();
    let json: Value = serde_json::from_str(&json).unwrap();
    let key: PublicKey = another.trim().parse().unwrap();
    assert_eq!(json["name"], "lab-a");
    assert_eq!(json["id"], key.id().to_string());
    assert_eq!(json["public"], another.trim());
}

#[test]
fn a_key_that_others_can_read_is_not_used() {
    let env = TestEnv::new();
    env.run(&["key", "generate", "lab-a"]).good();
    for open in [0o640, 0o604, 0o620] {
        fs::set_permissions(key_file(&env), PermissionsExt::from_mode(open)).unwrap();
        let said = env.run(&["key", "public"]).bad(2);
        assert!(said.contains("chmod 600"), "{open:o}: {said}");
    }
}

#[test]
fn what_is_no_key_is_said_so_and_not_shown() {
    let env = TestEnv::new();
    let said = env.run(&["key", "public"]).bad(2);
    assert!(said.contains("vsbuild key generate"), "{said}");
    let file = env.path().join("broken");
    fs::write(&file, "vsbuild-secret-1:lab:AAAAsecretAAAA\n").unwrap();
    fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
    let said = env.run(&["key", "public", file.to_str().unwrap()]).bad(2);
    assert!(said.contains("broken") && !said.contains("AAAAsecret"), "{said}");
    let said = env.run(&["key", "generate", "my lab"]).bad(2);
    assert!(said.contains("no name for a key"), "{said}");
    assert!(!key_file(&env).exists());
}

#[test]
fn the_configuration_names_keys_and_its_mistakes_are_pointed_at() {
    let env = TestEnv::new();
    let dir = env.path().join("home/.config/vsbuild");
    let key = dir.join("lab.key");
    let public = env.run(&["key", "generate", "lab-a", "--out", key.to_str().unwrap()]).good();
    let public = public.trim();
    let config = dir.join("config.toml");
    fs::write(&config, "[sign]\nkey = \"lab.key\"\n").unwrap();
    assert_eq!(env.run(&["key", "public"]).good().trim(), public);
    let id = public.parse::<PublicKey>().unwrap().id();
    let good = format!(
        "[trust]\nkeys = [\"{public}\"]\nrevoked = [\"{id}\", \"{public}\"]\nneed = 2\n\
         [trust.recipes.linux]\nneed = 3\nkeys = [\"{id}\"]\n"
    );
    fs::write(&config, &good).unwrap();
    env.run(&["key", "public", key.to_str().unwrap()]).good();
    let secret = fs::read_to_string(&key).unwrap();
    for (from, to, said) in [
        (public, "lab-a", "NAME:BASE64"),
        (public, secret.trim(), "this is a secret key"),
        ("need = 2", "need = 0", "need = 0"),
        ("need = 2", "needs = 2", "needs"),
        (&id.to_string(), "0123", "no id of a key"),
    ] {
        fs::write(&config, good.replace(from, to)).unwrap();
        let message = env.run(&["key", "public"]).bad(2);
        assert!(message.contains("config.toml") && message.contains(said), "{to}: {message}");
    }
}

#[test]
fn openssl_finds_a_signature_right() {
    let env = TestEnv::new();
    let key = SecretKey::from_seed("lab", &[42; 32]).unwrap();
    let (step, output) = (Digest::of("key"), Digest::of("output"));
    let claims = vec![Claim { key: step, output, name: "hello".to_owned() }];
    let statement = Statement { plan_key: Digest::of("plan"), act: Act::Rebuilt, claims };
    let envelope = trust::sign(&statement, &key);
    assert!(trust::open(&envelope, &Keys::new([key.public()], [])).is_ok());
    let envelope: Value = serde_json::from_slice(&envelope).unwrap();
    let decode = |text: &Value| STANDARD.decode(text.as_str().unwrap()).unwrap();
    let payload = decode(&envelope["payload"]);
    let kind = envelope["payloadType"].as_str().unwrap();
    let mut signed = format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len()).into_bytes();
    signed.extend(&payload);
    // A SubjectPublicKeyInfo of Ed25519 (RFC 8410, section 4) is these bytes and the key.
    let mut public = vec![0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
    public.extend(STANDARD.decode(key.public().to_string().split_once(':').unwrap().1).unwrap());
    let file = |name: &str, bytes: &[u8]| {
        let path = env.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let (public, sig) = (file("public", &public), decode(&envelope["signatures"][0]["sig"]));
    let sig = file("sig", &sig);
    let verify = |message: &[u8]| {
        let output = Command::new("openssl")
            .args(["pkeyutl", "-verify", "-rawin", "-pubin", "-keyform", "DER", "-inkey"])
            .arg(&public)
            .arg("-sigfile")
            .arg(&sig)
            .arg("-in")
            .arg(file("message", message))
            .output()
            .expect("openssl is installed");
        output.status.success()
    };
    assert!(verify(&signed));
    signed.push(b' ');
    assert!(!verify(&signed));
}
