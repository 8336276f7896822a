//! Keys as people pass them on: one line of text each.

use std::{fmt, str::FromStr};

use base64::{Engine, engine::general_purpose::STANDARD};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::digest::Digest;

/// What a secret key's text begins with, so that one is recognised where it does not belong.
const SECRET: &str = "vsbuild-secret-1";
/// Longest name of a key.
const LONGEST: usize = 64;

/// Which key: the first 16 hexadecimal digits of the sha256 of the public key's 32 bytes.
///
/// Nothing is believed for its id: it finds the key that a signature is checked with.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyId([u8; 8]);

impl KeyId {
    fn of(public: &[u8; 32]) -> Self {
        let mut id = [0; 8];
        id.copy_from_slice(&Digest::of(public).as_bytes()[..8]);
        Self(id)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for KeyId {
    type Err = BadKey;

    /// Only lower case is taken, so that an id has one spelling.
    fn from_str(text: &str) -> Result<Self, BadKey> {
        let plain = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        let id = u64::from_str_radix(text, 16).ok();
        let id = id.filter(|_| text.len() == 16 && text.bytes().all(plain));
        id.map(|id| Self(id.to_be_bytes())).ok_or_else(|| BadKey::Id(text.to_owned()))
    }
}

impl Serialize for KeyId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for KeyId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// An Ed25519 public key (RFC 8032, section 5.1.5) with its owner's name: `NAME:BASE64`, where BASE64 are its 32 bytes.
///
/// The name is for people and may be changed by whoever writes the key down; the key is its bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    name: String,
    key: VerifyingKey,
}

impl PublicKey {
    /// What its owner is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Which key it is.
    pub fn id(&self) -> KeyId {
        KeyId::of(self.key.as_bytes())
    }

    /// Whether its owner signed a message. Strict: a signature has one spelling, and a key of small order none.
    pub(super) fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        let signature = Signature::from_slice(signature);
        signature.is_ok_and(|signature| self.key.verify_strict(message, &signature).is_ok())
    }
}

impl FromStr for PublicKey {
    type Err = BadKey;

    fn from_str(text: &str) -> Result<Self, BadKey> {
        if text.starts_with(SECRET) {
            return Err(BadKey::NotPublic);
        }
        let (name, key) = text.split_once(':').ok_or(BadKey::Public)?;
        let key = VerifyingKey::from_bytes(&bytes(key).ok_or(BadKey::Public)?);
        let key = key.ok().filter(|key| !key.is_weak()).ok_or(BadKey::Point)?;
        Ok(Self { name: checked(name)?, key })
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, STANDARD.encode(self.key.as_bytes()))
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An Ed25519 secret key with its owner's name: `vsbuild-secret-1:NAME:BASE64`, where BASE64 are the 32 bytes that RFC 8032,
/// section 5.1.5, begins with. It is shown to nobody by accident: it has no [`fmt::Display`].
#[derive(Clone)]
pub struct SecretKey {
    name: String,
    key: SigningKey,
}

impl SecretKey {
    /// The key of 32 bytes that nobody can guess.
    pub fn from_seed(name: &str, seed: &[u8; 32]) -> Result<Self, BadKey> {
        Ok(Self { name: checked(name)?, key: SigningKey::from_bytes(seed) })
    }

    /// The text that is kept in a file which nobody else may read.
    pub fn to_text(&self) -> String {
        format!("{SECRET}:{}:{}", self.name, STANDARD.encode(self.key.as_bytes()))
    }

    /// The key that others check signatures with.
    pub fn public(&self) -> PublicKey {
        PublicKey { name: self.name.clone(), key: self.key.verifying_key() }
    }

    /// Signs a message (RFC 8032, section 5.1.6): 64 bytes, always the same.
    pub(super) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.key.sign(message).to_bytes()
    }
}

impl FromStr for SecretKey {
    type Err = BadKey;

    fn from_str(text: &str) -> Result<Self, BadKey> {
        let rest = text.strip_prefix(SECRET).and_then(|rest| rest.strip_prefix(':'));
        let (name, seed) = rest.and_then(|rest| rest.split_once(':')).ok_or(BadKey::Secret)?;
        Self::from_seed(name, &bytes(seed).ok_or(BadKey::Secret)?)
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the secret key of {}", self.name)
    }
}

/// The text is no key. What it was is not repeated, since it may be a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadKey {
    /// No text of a public key.
    #[error("a public key is `NAME:BASE64` with the 32 bytes of the key")]
    Public,
    /// A secret key where a public one is expected.
    #[error("this is a secret key; a public one is expected, which others may see")]
    NotPublic,
    /// The 32 bytes are no point of the curve, or one that anybody can sign for.
    #[error("the bytes of the public key are no Ed25519 key")]
    Point,
    /// No text of a secret key.
    #[error("a secret key is `{SECRET}:NAME:BASE64`, as `vsbuild key generate` writes it")]
    Secret,
    /// No name of a key.
    #[error(
        "`{}` is no name for a key: up to {LONGEST} of letters, digits, `.`, `-` and `_`",
        .0.escape_debug()
    )]
    Name(String),
    /// No id of a key.
    #[error("`{}` is no id of a key (16 lower-case hexadecimal digits)", .0.escape_debug())]
    Id(String),
}

fn checked(name: &str) -> Result<String, BadKey> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    let good = (1..=LONGEST).contains(&name.len()) && name.bytes().all(plain);
    if good { Ok(name.to_owned()) } else { Err(BadKey::Name(name.to_owned())) }
}

fn bytes(text: &str) -> Option<[u8; 32]> {
    STANDARD.decode(text).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// RFC 8032, section 7.1, tests 1 to 3: secret key, public key, message, signature.
    const VECTORS: [[&str; 4]; 3] = [
        [
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ],
        [
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ],
        [
            "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            "af82",
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
        ],
    ];

    fn unhex(text: &str) -> Vec<u8> {
        let pairs = text.as_bytes().chunks(2);
        pairs
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    }

    #[test]
    fn keys_and_signatures_are_those_of_the_standard() {
        for [secret, public, message, signature] in VECTORS {
            let secret = SecretKey::from_seed("lab", &unhex(secret).try_into().unwrap()).unwrap();
            let (message, signature) = (unhex(message), unhex(signature));
            assert_eq!(secret.public().key.as_bytes().as_slice(), unhex(public));
            assert_eq!(secret.sign(&message).as_slice(), signature);
            assert!(secret.public().has_signed(&message, &signature));
            assert!(!secret.public().has_signed(b"something else", &signature));
        }
    }

    #[test]
    fn a_key_is_the_same_after_being_written_down() {
        let secret = SecretKey::from_seed("lab-a", &[7; 32]).unwrap();
        let public = secret.public();
        assert_eq!(public.to_string().parse(), Ok(public.clone()));
        let again: SecretKey = secret.to_text().parse().unwrap();
        assert_eq!(again.public(), public);
        assert_eq!(public.id().to_string().parse(), Ok(public.id()));
    }

    #[test]
    fn the_name_of_a_key_is_not_part_of_its_id() {
        let named = |name: &str| SecretKey::from_seed(name, &[7; 32]).unwrap().public();
        assert_eq!(named("a").id(), named("b").id());
        assert_eq!(named("a").id().to_string().len(), 16);
    }

    #[test]
    fn a_secret_key_is_shown_to_nobody_by_accident() {
        let secret = SecretKey::from_seed("lab", &[7; 32]).unwrap();
        assert!(!format!("{secret:?}").contains("BwcH"));
        assert_eq!(secret.to_text().parse::<PublicKey>(), Err(BadKey::NotPublic));
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let good = SecretKey::from_seed("lab", &[7; 32]).unwrap().public().to_string();
        let (_, key) = good.split_once(':').unwrap();
        for (text, why) in [
            ("lab".to_owned(), BadKey::Public),
            ("lab:AAAA".to_owned(), BadKey::Public),
            (format!(":{key}"), BadKey::Name(String::new())),
            (format!("a b:{key}"), BadKey::Name("a b".to_owned())),
            // The neutral element: every message has a signature of it that anybody can make.
            (format!("lab:{}", STANDARD.encode(neutral())), BadKey::Point),
        ] {
            assert_eq!(text.parse::<PublicKey>(), Err(why), "{text}");
        }
        for text in ["0123456789abcde", "0123456789ABCDEF", "+123456789abcdef", ""] {
            assert!(text.parse::<KeyId>().is_err(), "{text}");
        }
    }

    fn neutral() -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes[0] = 1;
        bytes
    }

    proptest! {
        #[test]
        fn reading_any_text_as_a_key_ends_well(text in "(vsbuild-secret-1:)?[ -~]{0,12}:?[A-Za-z0-9+/=]{0,50}") {
            if let Ok(key) = text.parse::<PublicKey>() {
                prop_assert_eq!(key.to_string(), text.clone());
            }
            if let Ok(key) = text.parse::<SecretKey>() {
                prop_assert_eq!(key.to_text(), text);
            }
        }
    }
}
