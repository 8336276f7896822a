use std::path::PathBuf;

use vsbuild::resolve::Keyring;

use crate::{gpg::Gpg, now, skip};

/// The text that the tests sign.
const TEXT: &str = "Origin: Test\nLine: with blanks  \n- dash\n\nLast: x\n";

fn verify(ring: &[u8], document: &[u8]) -> Result<String, String> {
    let keyring = Keyring::parse(ring).map_err(|error| error.to_string())?;
    let verified = keyring.verify(document, now()).map_err(|error| error.to_string())?;
    Ok(verified.text)
}

#[test]
fn gpgv_agrees_on_every_signature() {
    let Some(gpg) = Gpg::new() else { return };
    let past = Some("20200101T000000");
    gpg.key(None, "good", "sign", "never");
    gpg.key(None, "other", "sign", "never");
    gpg.key(past, "expired", "sign", "1y");
    gpg.key(past, "elder", "sign", "never");
    gpg.key(None, "revoked", "sign", "never");
    gpg.key(None, "owner", "cert", "never");
    let owner = gpg.fingerprint("owner");
    gpg.gpg(None, &["--quick-add-key", &owner, "ed25519", "sign", "never"]);
    gpg.key(past, "late-owner", "cert", "never");
    let late = gpg.fingerprint("late-owner");
    gpg.gpg(past, &["--quick-add-key", &late, "ed25519", "sign", "1y"]);
    let good = gpg.sign(None, "good", TEXT, &[]);
    let signed_by_revoked = gpg.sign(None, "revoked", TEXT, &[]);
    let revocation = gpg.path(&format!("openpgp-revocs.d/{}.rev", gpg.fingerprint("revoked")));
    let armored =
        std::fs::read_to_string(&revocation).unwrap().replace(":-----BEGIN", "-----BEGIN");
    std::fs::write(&revocation, armored).unwrap();
    gpg.gpg(None, &["--import", &revocation.display().to_string()]);
    let changed = |from: &str, to: &str| {
        let text = String::from_utf8(good.clone()).unwrap();
        assert!(text.contains(from), "{text}");
        text.replacen(from, to, 1).into_bytes()
    };
    let two = gpg.sign(None, "good", TEXT, &["--local-user", "other"]);
    let brief = ["--default-sig-expire", "1d"];
    let ring = gpg.export(&["good", "expired", "elder", "revoked", "owner", "late-owner"]);
    for (what, document, expected) in [
        ("a good one", good.clone(), true),
        ("an old one", gpg.sign(past, "elder", TEXT, &[]), true),
        ("by a subkey", gpg.sign(None, "owner", TEXT, &[]), true),
        ("by two keys, one of them unknown", two, true),
        ("an empty text", gpg.sign(None, "good", "", &[]), true),
        ("no line end", gpg.sign(None, "good", "x", &[]), true),
        ("another blank at an end", changed("blanks  \n", "blanks\t\n"), true),
        ("a changed word", changed("Origin: Test", "Origin: Text"), false),
        ("a changed dash", changed("- - dash", "- -- dash"), false),
        ("a line more", changed("Last:", "More: x\nLast:"), false),
        ("an unknown key", gpg.sign(None, "other", TEXT, &[]), false),
        ("an expired key", gpg.sign(past, "expired", TEXT, &[]), false),
        ("an expired subkey", gpg.sign(past, "late-owner", TEXT, &[]), false),
        ("a revoked key", signed_by_revoked, false),
        ("an expired signature", gpg.sign(past, "elder", TEXT, &brief), false),
        ("no signature", TEXT.as_bytes().to_vec(), false),
    ] {
        let ours = verify(&ring, &document);
        assert_eq!(gpg.gpgv(&ring, &document), expected, "gpgv on {what}");
        assert_eq!(ours.is_ok(), expected, "{what}: {ours:?}");
    }
    let trimmed = TEXT.replace("blanks  ", "blanks");
    assert_eq!(verify(&ring, &good).unwrap(), trimmed, "blanks at ends are not signed");
    let armored = gpg.gpg(None, &["--armor", "--export", "good"]);
    assert_eq!(verify(&armored, &good).unwrap(), trimmed);
}

#[test]
fn we_are_stricter_than_gpgv() {
    let Some(gpg) = Gpg::new() else { return };
    gpg.key(None, "good", "sign", "never");
    gpg.gpg(None, &["--quick-generate-key", "short", "rsa1024", "sign", "never"]);
    let ring = gpg.export(&["good", "short"]);
    let good = gpg.sign(None, "good", TEXT, &[]);
    let short = gpg.sign(None, "short", TEXT, &[]);
    let weak = gpg.sign(None, "good", TEXT, &["--digest-algo", "SHA1"]);
    let future = gpg.sign(Some("20990101T000000"), "good", TEXT, &[]);
    for (document, why) in [
        ([b"More: x\n", &good[..]].concat(), "does not begin with a signed message"),
        ([&good[..], b"More: x\n"].concat(), "something follows its signature"),
        ([&good[..], &good].concat(), "something follows its signature"),
        (short, "the key is too short"),
        (weak, "its digest is weak"),
        (future, "made in the future"),
    ] {
        let error = verify(&ring, &document).unwrap_err();
        assert!(error.contains(why), "{why}: {error}");
    }
    assert!(verify(b"nonsense", &good).unwrap_err().contains("no OpenPGP key"));
}

#[test]
fn a_broken_document_never_makes_us_panic_or_believe() {
    let Some(gpg) = Gpg::new() else { return };
    gpg.key(None, "good", "sign", "never");
    let keyring = Keyring::parse(&gpg.export(&["good"])).unwrap();
    let good = gpg.sign(None, "good", TEXT, &[]);
    let expected = keyring.verify(&good, now()).unwrap();
    for at in 0..good.len() {
        assert!(keyring.verify(&good[..at], now()).is_err() || at + 1 == good.len(), "cut at {at}");
        let mut changed = good.clone();
        changed[at] ^= 1;
        if let Ok(verified) = keyring.verify(&changed, now()) {
            assert_eq!(verified.text, expected.text, "byte {at} is not signed");
        }
    }
}

#[test]
fn the_keys_that_come_with_us_verify_what_apt_has_fetched() {
    let lists = std::fs::read_dir("/var/lib/apt/lists").into_iter().flatten().flatten();
    let found: Vec<PathBuf> = lists
        .map(|entry| entry.path())
        .filter(|path| {
            let name = path.file_name().unwrap().to_string_lossy();
            ["bookworm", "bookworm-updates", "bookworm-security"]
                .iter()
                .any(|suite| name.ends_with(&format!("dists_{suite}_InRelease")))
        })
        .collect();
    if found.is_empty() {
        skip("apt has no InRelease file of bookworm here");
    }
    for file in found {
        let document = std::fs::read(&file).unwrap();
        let verified = Keyring::debian().verify(&document, now()).unwrap();
        assert!(verified.text.starts_with("Origin: "), "{}", file.display());
        assert!(verified.text.contains("\nCodename: bookworm"), "{}", file.display());
    }
}

#[test]
fn the_keys_that_come_with_us_are_those_that_we_say() {
    let told = include_str!("../../keyrings/README.md");
    let mut told: Vec<&str> = told.split_whitespace().filter(|word| word.len() == 40).collect();
    let keyring = Keyring::debian().to_string();
    let mut keys: Vec<&str> = keyring.split(' ').collect();
    told.sort_unstable();
    keys.sort_unstable();
    assert_eq!(keys, told);
}
