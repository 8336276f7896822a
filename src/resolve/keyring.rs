use std::{fmt, path::Path};

use pgp::{
    armor::Dearmor,
    composed::{Deserializable as _, SignedPublicKey, SignedPublicSubKey},
    crypto::hash::HashAlgorithm,
    packet::{Packet, PacketParser, Signature, SignatureType, SubpacketData},
    ser::Serialize as _,
    types::{KeyDetails, KeyVersion, PublicParams, Tag},
};

use super::clearsign::Cleartext;

/// The keys that Debian signs its archives with: bookworm and trixie, main, security and release keys, without the
/// signatures of other people.
const DEBIAN: &[u8] = include_bytes!("../../keyrings/debian-archive.gpg");
/// Where the host keeps its own, which may be newer.
const HOST: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// The fewest bits of an RSA key.
const RSA_BITS: usize = 2048;
/// How far in the future a signature may be, in seconds: clocks differ.
const SKEW: i64 = 3600;
/// More signatures than this are not looked at.
const SIGNATURES_MAX: usize = 32;

/// Public keys that are trusted to sign an archive.
#[derive(Debug, Clone)]
pub struct Keyring {
    certificates: Vec<SignedPublicKey>,
}

/// A text with a good signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The signed text and nothing else.
    pub text: String,
    /// The fingerprint of a key with a good signature, in upper-case hexadecimal digits.
    pub signer: String,
}

/// Why a document or a keyring is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The document is not one signed text and nothing else.
    #[error("it is not a signed text: {0}")]
    NotClearsigned(&'static str),
    /// The signatures cannot be read.
    #[error("its signature cannot be read: {0}")]
    Unreadable(String),
    /// There is no signature by a key in the keyring that counts.
    #[error("it has no good signature by a trusted key{}", Rejected::list(.0))]
    Untrusted(Vec<Rejected>),
    /// The keyring has no key that can be read.
    #[error("the keyring has no OpenPGP key")]
    NoKeys,
}

/// A signature that does not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// The key that is said to have made it, in upper-case hexadecimal digits; `?` if nothing is said.
    pub key: String,
    /// Why it does not count.
    pub why: &'static str,
}

impl Rejected {
    fn list(all: &[Self]) -> String {
        all.iter().map(|Self { key, why }| format!("\n  {key}: {why}")).collect()
    }
}

type Check = Result<(), &'static str>;

impl Keyring {
    /// Debian's keys as they come with vsbuild.
    pub fn debian() -> Self {
        Self { certificates: certificates(DEBIAN) }
    }

    /// Debian's keys as they come with vsbuild, and those that this host has installed for the purpose.
    pub fn of_host() -> Self {
        let mut keyring = Self::debian();
        if let Ok(bytes) = fs_err::read(Path::new(HOST)) {
            keyring.certificates.extend(certificates(&bytes));
        }
        keyring
    }

    /// Reads a file of public keys, armored or not, as `gpg --export` writes it.
    pub fn parse(bytes: &[u8]) -> Result<Self, SignatureError> {
        let certificates = certificates(bytes);
        if certificates.is_empty() {
            Err(SignatureError::NoKeys)
        } else {
            Ok(Self { certificates })
        }
    }

    /// Verifies a clear-signed document at the time `now`, in seconds since 1970.
    ///
    /// One good signature is enough, as with apt: archives are signed with the keys of several releases. A signature is
    /// good if it is by a key of this ring that may sign, is bound to its owner, neither revoked nor expired, and if it
    /// has itself not expired and uses no weak digest.
    pub fn verify(&self, document: &[u8], now: i64) -> Result<Verified, SignatureError> {
        let document = std::str::from_utf8(document)
            .map_err(|_| SignatureError::NotClearsigned("it is not UTF-8"))?;
        let clear = Cleartext::parse(document)?;
        let signed = clear.signed();
        let mut rejected = Vec::new();
        for signature in signatures(clear.signatures)? {
            match self.signer(&signature, &signed, now) {
                Ok(signer) => return Ok(Verified { text: clear.text(), signer }),
                Err(why) => rejected.push(Rejected { key: issuer(&signature), why }),
            }
        }
        Err(SignatureError::Untrusted(rejected))
    }

    /// The fingerprint of the key that made this good signature.
    fn signer(
        &self,
        signature: &Signature,
        signed: &[u8],
        now: i64,
    ) -> Result<String, &'static str> {
        if signature.typ() != Some(SignatureType::Text) {
            return Err("it is not over a text");
        }
        sound(signature, now)?;
        let mut why = "the key is not in the keyring";
        for certificate in &self.certificates {
            let primary = &certificate.primary_key;
            if named(signature, primary) {
                let check = may_sign(certificate, now)
                    .and_then(|()| after(signature, primary))
                    .and_then(|()| signature.verify(primary, signed).map_err(|_| WRONG));
                match check {
                    Ok(()) => return Ok(hex(primary)),
                    Err(fault) => why = fault,
                }
            }
            for subkey in &certificate.public_subkeys {
                if named(signature, &subkey.key) {
                    let check = subkey_may_sign(certificate, subkey, now)
                        .and_then(|()| after(signature, &subkey.key))
                        .and_then(|()| signature.verify(&subkey.key, signed).map_err(|_| WRONG));
                    match check {
                        Ok(()) => return Ok(hex(&subkey.key)),
                        Err(fault) => why = fault,
                    }
                }
            }
        }
        Err(why)
    }
}

const WRONG: &str = "the text is not what was signed";

/// All keys in these bytes that can be read; others may be of a kind that is newer than us.
fn certificates(bytes: &[u8]) -> Vec<SignedPublicKey> {
    if bytes.first().is_some_and(|byte| byte & 0x80 != 0) {
        SignedPublicKey::from_bytes_many(bytes)
            .map(|all| all.flatten().collect())
            .unwrap_or_default()
    } else {
        let all = SignedPublicKey::from_armor_many(bytes);
        all.map(|(all, _)| all.flatten().collect()).unwrap_or_default()
    }
}

fn signatures(armored: &str) -> Result<Vec<Signature>, SignatureError> {
    let unreadable = |error: pgp::errors::Error| SignatureError::Unreadable(error.to_string());
    let mut dearmor = Dearmor::new(armored.as_bytes());
    dearmor.read_header().map_err(unreadable)?;
    let mut signatures = Vec::new();
    for packet in PacketParser::new(std::io::BufReader::new(dearmor)).take(SIGNATURES_MAX) {
        match packet.map_err(unreadable)? {
            Packet::Signature(signature) => signatures.push(signature),
            _ => return Err(SignatureError::Unreadable("it has other packets".to_owned())),
        }
    }
    Ok(signatures)
}

fn hex(key: &impl KeyDetails) -> String {
    format!("{:X}", key.fingerprint())
}

/// Who is said to have made a signature.
fn issuer(signature: &Signature) -> String {
    let fingerprint = signature.issuer_fingerprint().first().map(|print| format!("{print:X}"));
    let id = || signature.issuer_key_id().first().map(|id| id.to_string().to_uppercase());
    fingerprint.or_else(id).unwrap_or_else(|| "?".to_owned())
}

/// Whether the signature says that it is by this key. One that says nothing is by nobody.
fn named(signature: &Signature, key: &impl KeyDetails) -> bool {
    let prints = signature.issuer_fingerprint();
    if prints.is_empty() {
        signature.issuer_key_id().contains(&&key.legacy_key_id())
    } else {
        prints.contains(&&key.fingerprint())
    }
}

/// What every signature must be, whatever it is over.
fn sound(signature: &Signature, now: i64) -> Check {
    let Some(config) = signature.config() else { return Err("it is of an unknown version") };
    match config.hash_alg {
        HashAlgorithm::Sha256
        | HashAlgorithm::Sha384
        | HashAlgorithm::Sha512
        | HashAlgorithm::Sha3_256
        | HashAlgorithm::Sha3_512 => (),
        _ => return Err("its digest is weak or unknown"),
    }
    let unknown = config.hashed_subpackets().any(|packet| {
        packet.is_critical
            && matches!(
                packet.data,
                SubpacketData::Other(..)
                    | SubpacketData::Experimental(..)
                    | SubpacketData::Notation(_)
            )
    });
    if unknown {
        return Err("it has a condition that we do not understand");
    }
    let Some(created) = signature.created() else { return Err("it does not say when it was made") };
    let created = i64::from(created.as_secs());
    if created > now.saturating_add(SKEW) {
        return Err("it was made in the future; is the clock right?");
    }
    match signature.signature_expiration_time().map_or(0, |life| life.as_secs()) {
        0 => Ok(()),
        life if created + i64::from(life) > now => Ok(()),
        _ => Err("it has expired"),
    }
}

/// Whether a signature was made after the key was.
fn after(signature: &Signature, key: &impl KeyDetails) -> Check {
    match signature.created() {
        Some(created) if created >= key.created_at() => Ok(()),
        _ => Err("it was made before the key"),
    }
}

fn strong(key: &impl KeyDetails) -> Check {
    if !matches!(key.version(), KeyVersion::V4 | KeyVersion::V6) {
        return Err("the key is of an old version");
    }
    match key.public_params() {
        // Modulus and exponent, each with its length in two bytes; the exponent has at least one byte.
        PublicParams::RSA(rsa) if rsa.write_len() > 2 + RSA_BITS / 8 + 2 => Ok(()),
        PublicParams::RSA(_) => Err("the key is too short"),
        PublicParams::ECDSA(_)
        | PublicParams::EdDSALegacy(_)
        | PublicParams::Ed25519(_)
        | PublicParams::Ed448(_) => Ok(()),
        _ => Err("the key is of a kind that we do not take"),
    }
}

/// Whether a key lives at `now`, by the statement that binds it.
fn alive(key: &impl KeyDetails, statement: &Signature, now: i64) -> Check {
    let born = i64::from(key.created_at().as_secs());
    if born > now.saturating_add(SKEW) {
        return Err("the key was made in the future; is the clock right?");
    }
    match statement.key_expiration_time().map_or(0, |life| life.as_secs()) {
        0 => Ok(()),
        life if born + i64::from(life) > now => Ok(()),
        _ => Err("the key has expired"),
    }
}

/// Whether the primary key may sign documents.
fn may_sign(certificate: &SignedPublicKey, now: i64) -> Check {
    let statement = primary_statement(certificate, now)?;
    if statement.key_flags().sign() { Ok(()) } else { Err("the key is not for signing") }
}

/// The newest of what the primary key says about itself, if it is neither revoked nor expired.
fn primary_statement(certificate: &SignedPublicKey, now: i64) -> Result<&Signature, &'static str> {
    let key = &certificate.primary_key;
    strong(key)?;
    // However weak or old: somebody with the key says that it is lost.
    if certificate.details.revocation_signatures.iter().any(|lost| lost.verify_key(key).is_ok()) {
        return Err("the key has been revoked");
    }
    let direct = certificate.details.direct_signatures.iter().filter(|signature| {
        signature.typ() == Some(SignatureType::Key) && signature.verify_key(key).is_ok()
    });
    let users = certificate.details.users.iter().filter_map(|user| {
        let own = |revokes: bool| {
            user.signatures
                .iter()
                .filter(move |made| (made.typ() == Some(SignatureType::CertRevocation)) == revokes)
                .filter(|made| made.verify_certification(key, Tag::UserId, &user.id).is_ok())
        };
        let newest = newest(own(false), now)?;
        own(true).all(|lost| lost.created() < newest.created()).then_some(newest)
    });
    let says_its_use = |signature: &&Signature| {
        signature.config().is_some_and(|config| {
            config
                .hashed_subpackets()
                .any(|packet| matches!(packet.data, SubpacketData::KeyFlags(_)))
        })
    };
    let statement = newest(direct.chain(users).filter(says_its_use), now)
        .ok_or("the key is not bound to its owner")?;
    alive(key, statement, now)?;
    Ok(statement)
}

/// Whether a subkey may sign documents: its primary key says so, and it agrees.
fn subkey_may_sign(certificate: &SignedPublicKey, subkey: &SignedPublicSubKey, now: i64) -> Check {
    primary_statement(certificate, now)?;
    strong(&subkey.key)?;
    let primary = &certificate.primary_key;
    let of_kind = |kind: SignatureType| {
        subkey.signatures.iter().filter(move |made| {
            made.typ() == Some(kind) && made.verify_subkey_binding(primary, &subkey.key).is_ok()
        })
    };
    if of_kind(SignatureType::SubkeyRevocation).next().is_some() {
        return Err("the key has been revoked");
    }
    let binding = newest(of_kind(SignatureType::SubkeyBinding), now)
        .ok_or("the key is not bound to its owner")?;
    if !binding.key_flags().sign() {
        return Err("the key is not for signing");
    }
    let agreed = binding.embedded_signature().is_some_and(|back| {
        sound(back, now).is_ok() && back.verify_primary_key_binding(&subkey.key, primary).is_ok()
    });
    if !agreed {
        return Err("the key does not say that it belongs to its owner");
    }
    alive(&subkey.key, binding, now)
}

/// The newest signature that is sound.
fn newest<'a>(signatures: impl Iterator<Item = &'a Signature>, now: i64) -> Option<&'a Signature> {
    let sound = signatures.filter(|signature| sound(signature, now).is_ok());
    sound.max_by_key(|signature| signature.created())
}

impl fmt::Display for Keyring {
    /// The fingerprints of the primary keys, apart by spaces.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prints: Vec<String> =
            self.certificates.iter().map(|certificate| hex(&certificate.primary_key)).collect();
        f.write_str(&prints.join(" "))
    }
}
