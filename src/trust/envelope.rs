//! The envelope round a statement: DSSE 1.0 (`secure-systems-lab/dsse`, `protocol.md` and `envelope.md`).
//!
//! The signature is over PAE(payload type, payload), bytes that need no JSON to be agreed upon; the signed bytes are parsed
//! only once a key that is trusted is known to have signed them.

use std::collections::BTreeSet;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

use super::{Believed, KeyId, Keys, SecretKey, Statement};
use crate::digest::Digest;

/// The payload's type: an in-toto statement in JSON (in-toto Attestation Framework, `spec/v1/envelope.md`).
pub const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

/// The most signatures that are looked at: each takes a hash of all that is signed.
const SIGNATURES: usize = 64;
/// The most characters of a hint that are kept of what does not count.
const HINT: usize = 64;

/// A statement whose signature is right, and whose key is trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// Whose key signed it.
    pub by: KeyId,
    /// What they say.
    pub statement: Statement,
}

impl Opened {
    /// The same, if it is about the step that was asked for. A cache may answer with what a builder said of another step.
    pub fn about(self, plan_key: &Digest) -> Result<Self, Rejected> {
        if self.statement.plan_key == *plan_key {
            Ok(self)
        } else {
            Err(Rejected::OtherStep { by: self.by, found: self.statement.plan_key })
        }
    }
}

/// Why a statement does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// It is no envelope.
    #[error("it is no signed statement: {0}")]
    NoEnvelope(String),
    /// Nobody signed it who is trusted.
    #[error("it is signed by {}, which is no trusted key", names(.0))]
    Unknown(Vec<String>),
    /// It is signed by a key that is not trusted any more.
    #[error("it is signed by the key {0}, which is revoked")]
    Revoked(KeyId),
    /// The key that is named did not sign it.
    #[error(
        "the signature of {name} ({id}) is wrong: the statement was changed, or is of somebody else"
    )]
    BadSignature {
        /// The key that is named.
        id: KeyId,
        /// What its owner is called.
        name: String,
    },
    /// It is signed by who may, but says something that is not understood.
    #[error("it is no statement of a build that is understood: {0}")]
    NotOurs(String),
    /// It is about another step than was asked for.
    #[error("it is what {by} said of another step, with the plan key {found}")]
    OtherStep {
        /// Who signed it.
        by: KeyId,
        /// What it is about.
        found: Digest,
    },
}

fn names(ids: &[String]) -> String {
    let shown: Vec<String> = ids.iter().map(|id| id.escape_debug().to_string()).collect();
    if shown.is_empty() { "nobody".to_owned() } else { shown.join(", ") }
}

/// The envelope as JSON (`envelope.md`, "Standard JSON envelope").
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    payload: String,
    payload_type: String,
    signatures: Vec<Signature>,
}

#[derive(Serialize, Deserialize)]
struct Signature {
    /// A hint as to which key it is; empty or absent if there is none.
    #[serde(default)]
    keyid: String,
    sig: String,
}

/// Says a statement with a key: the envelope, always the same bytes.
pub fn sign(statement: &Statement, key: &SecretKey) -> Vec<u8> {
    let id = key.public().id();
    let payload = statement.to_json(id);
    let sig = STANDARD.encode(key.sign(&pre_authentication(PAYLOAD_TYPE, &payload)));
    let envelope = Envelope {
        payload: STANDARD.encode(&payload),
        payload_type: PAYLOAD_TYPE.to_owned(),
        signatures: vec![Signature { keyid: id.to_string(), sig }],
    };
    serde_json::to_vec(&envelope).expect("text is always JSON")
}

/// Reads an envelope, if one of `keys` signed it and is the builder that it names.
pub fn open(bytes: &[u8], keys: &Keys) -> Result<Opened, Rejected> {
    let envelope: Envelope =
        serde_json::from_slice(bytes).map_err(|error| Rejected::NoEnvelope(error.to_string()))?;
    let decoded = |text: &str| {
        decode(text).ok_or_else(|| Rejected::NoEnvelope("it is not base64".to_owned()))
    };
    if envelope.signatures.len() > SIGNATURES {
        let why = format!("it has more than {SIGNATURES} signatures");
        return Err(Rejected::NoEnvelope(why));
    }
    let payload = decoded(&envelope.payload)?;
    let message = pre_authentication(&envelope.payload_type, &payload);
    let mut signed = BTreeSet::new();
    let mut refused = None;
    for Signature { keyid, sig } in &envelope.signatures {
        let sig = decoded(sig)?;
        match checked(keyid, &message, &sig, keys) {
            Ok(by) => {
                signed.insert(by);
            }
            Err(why) => refused = Some(why),
        }
    }
    if signed.is_empty() {
        return Err(refused.unwrap_or(Rejected::Unknown(Vec::new())));
    }
    if envelope.payload_type != PAYLOAD_TYPE {
        return Err(Rejected::NotOurs(format!(
            "its payload is `{}`",
            envelope.payload_type.escape_debug()
        )));
    }
    let (by, statement) = Statement::from_json(&payload)?;
    if signed.contains(&by) {
        Ok(Opened { by, statement })
    } else {
        Err(Rejected::NotOurs(format!("it names {by} as the builder, who did not sign it")))
    }
}

/// What a statement says, whoever signed it, if anybody did: to know what it is about, never to believe it.
pub fn peek(bytes: &[u8]) -> Result<Statement, Rejected> {
    let envelope: Envelope =
        serde_json::from_slice(bytes).map_err(|error| Rejected::NoEnvelope(error.to_string()))?;
    let payload = decode(&envelope.payload)
        .ok_or_else(|| Rejected::NoEnvelope("it is not base64".to_owned()))?;
    Statement::from_json(&payload).map(|(_, statement)| statement)
}

/// Which trusted key made a signature. Where a hint names one, only that one is tried.
fn checked(hint: &str, message: &[u8], sig: &[u8], keys: &Keys) -> Result<KeyId, Rejected> {
    let unknown = || {
        let shown: String = hint.chars().take(HINT).collect();
        Rejected::Unknown(Vec::from_iter(Some(shown).filter(|shown| !shown.is_empty())))
    };
    if hint.is_empty() {
        let owner = keys.iter().find(|key| key.has_signed(message, sig));
        return owner.map(super::PublicKey::id).ok_or_else(unknown);
    }
    let id: KeyId = hint.parse().map_err(|_| unknown())?;
    match keys.believed(id) {
        Believed::Revoked => Err(Rejected::Revoked(id)),
        Believed::Unknown => Err(unknown()),
        Believed::Trusted(key) if key.has_signed(message, sig) => Ok(id),
        Believed::Trusted(key) => Err(Rejected::BadSignature { id, name: key.name().to_owned() }),
    }
}

/// PAE (`protocol.md`, "Signature Definition"): what is signed.
fn pre_authentication(kind: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("DSSEv1 {} {kind} {} ", kind.len(), body.len()).into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// Base64 of either alphabet: "verifiers MUST accept either" (`protocol.md`, "Protocol").
fn decode(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text.replace('-', "+").replace('_', "/")).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::trust::{Act, Claim};

    fn lab(name: &str) -> SecretKey {
        SecretKey::from_seed(name, Digest::of(name).as_bytes()).unwrap()
    }

    fn trusted(names: &[&str]) -> Keys {
        Keys::new(names.iter().map(|name| lab(name).public()), [])
    }

    fn statement() -> Statement {
        let (key, output) = (Digest::of("key"), Digest::of("output"));
        let claims = vec![Claim { key, output, name: "hello".to_owned() }];
        Statement { plan_key: Digest::of("plan"), act: Act::Built, claims }
    }

    /// The envelope after a change.
    fn changed(change: impl FnOnce(&mut serde_json::Value)) -> Vec<u8> {
        let mut json = serde_json::from_slice(&sign(&statement(), &lab("a"))).unwrap();
        change(&mut json);
        json.to_string().into_bytes()
    }

    #[test]
    fn what_is_signed_is_as_in_the_published_example() {
        // `protocol.md`, "Test Vectors".
        let bytes = pre_authentication("http://example.com/HelloWorld", b"hello world");
        assert_eq!(bytes, b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");
        assert_eq!(pre_authentication("", b""), b"DSSEv1 0  0 ");
        // The length is one of bytes, not of characters.
        assert_eq!(pre_authentication("\u{e9}", b"\xff"), b"DSSEv1 2 \xc3\xa9 1 \xff");
    }

    #[test]
    fn the_bytes_of_an_envelope_are_fixed() {
        insta::assert_snapshot!(String::from_utf8(sign(&statement(), &lab("a"))).unwrap());
    }

    #[test]
    fn a_statement_of_a_trusted_key_is_opened() {
        let opened = open(&sign(&statement(), &lab("a")), &trusted(&["a", "b"]));
        let by = lab("a").public().id();
        assert_eq!(opened, Ok(Opened { by, statement: statement() }));
    }

    #[test]
    fn a_key_that_nobody_trusts_says_nothing() {
        let bytes = sign(&statement(), &lab("a"));
        let id = lab("a").public().id().to_string();
        assert_eq!(open(&bytes, &trusted(&["b"])), Err(Rejected::Unknown(vec![id])));
        assert!(matches!(open(&bytes, &trusted(&[])), Err(Rejected::Unknown(_))));
    }

    #[test]
    fn a_revoked_key_says_nothing_however_it_is_listed() {
        let bytes = sign(&statement(), &lab("a"));
        let id = lab("a").public().id();
        let keys = Keys::new([lab("a").public(), lab("b").public()], [id]);
        assert_eq!(open(&bytes, &keys), Err(Rejected::Revoked(id)));
        let hintless = changed(|json| json["signatures"][0]["keyid"] = "".into());
        assert!(open(&hintless, &keys).is_err());
    }

    #[test]
    fn a_statement_is_believed_of_the_step_it_is_about_only() {
        let opened = open(&sign(&statement(), &lab("a")), &trusted(&["a"])).unwrap();
        assert!(opened.clone().about(&Digest::of("plan")).is_ok());
        let by = lab("a").public().id();
        let found = Digest::of("plan");
        let other = opened.about(&Digest::of("another plan"));
        assert_eq!(other, Err(Rejected::OtherStep { by, found }));
    }

    #[test]
    fn a_signature_of_one_key_under_the_name_of_another_is_refused() {
        let (a, b) = (lab("a").public().id().to_string(), lab("b").public().id().to_string());
        let renamed = changed(|json| json["signatures"][0]["keyid"] = b.into());
        let result = open(&renamed, &trusted(&["a", "b"]));
        assert!(matches!(result, Err(Rejected::BadSignature { .. })), "{result:?}");
        // What a names a's builder but b signed, trusted as b may be, is not what b built.
        let payload = statement().to_json(a.parse().unwrap());
        let sig = lab("b").sign(&pre_authentication(PAYLOAD_TYPE, &payload));
        let forged = serde_json::json!({
            "payload": STANDARD.encode(payload),
            "payloadType": PAYLOAD_TYPE,
            "signatures": [{ "sig": STANDARD.encode(sig) }],
        });
        let result = open(forged.to_string().as_bytes(), &trusted(&["a", "b"]));
        assert!(matches!(result, Err(Rejected::NotOurs(_))), "{result:?}");
    }

    #[test]
    fn the_type_of_the_payload_is_signed_too() {
        let other = changed(|json| json["payloadType"] = "text/plain".into());
        let result = open(&other, &trusted(&["a"]));
        assert!(matches!(result, Err(Rejected::BadSignature { .. })), "{result:?}");
    }

    #[test]
    fn either_alphabet_of_base64_and_more_signatures_are_accepted() {
        let more = changed(|json| {
            let payload = json["payload"].as_str().unwrap().replace('+', "-").replace('/', "_");
            json["payload"] = payload.into();
            let foreign = serde_json::json!({ "keyid": "0123456789abcdef", "sig": "AAAA" });
            json["signatures"].as_array_mut().unwrap().insert(0, foreign);
            json["more"] = true.into();
        });
        assert_eq!(open(&more, &trusted(&["a"])).unwrap().statement, statement());
        let hintless = changed(|json| {
            json["signatures"][0].as_object_mut().unwrap().remove("keyid");
        });
        assert_eq!(open(&hintless, &trusted(&["b", "a"])).unwrap().by, lab("a").public().id());
    }

    #[test]
    fn an_envelope_without_signatures_is_refused() {
        let bare = changed(|json| json["signatures"] = serde_json::json!([]));
        assert_eq!(open(&bare, &trusted(&["a"])), Err(Rejected::Unknown(Vec::new())));
    }

    #[test]
    fn more_signatures_than_anybody_needs_and_long_hints_cost_nothing() {
        let many = changed(|json| {
            let one = json["signatures"][0].clone();
            json["signatures"] = vec![one; SIGNATURES + 1].into();
        });
        assert!(matches!(open(&many, &trusted(&["a"])), Err(Rejected::NoEnvelope(_))));
        let long = changed(|json| json["signatures"][0]["keyid"] = "x".repeat(1 << 20).into());
        let refused = open(&long, &trusted(&["a"]));
        assert_eq!(refused, Err(Rejected::Unknown(vec!["x".repeat(HINT)])));
    }

    proptest! {
        #[test]
        fn no_byte_of_a_statement_or_signature_can_be_changed(at in any::<prop::sample::Index>(), flip in 1u8.., in_signature: bool) {
            let altered = changed(|json| {
                let place = if in_signature { &mut json["signatures"][0]["sig"] } else { &mut json["payload"] };
                let mut bytes = decode(place.as_str().unwrap()).unwrap();
                let at = at.index(bytes.len());
                bytes[at] ^= flip;
                *place = STANDARD.encode(bytes).into();
            });
            let result = open(&altered, &trusted(&["a"]));
            prop_assert!(matches!(result, Err(Rejected::BadSignature { .. })), "{result:?}");
        }

        #[test]
        fn a_changed_file_never_says_something_else(at in any::<prop::sample::Index>(), byte: u8) {
            let mut bytes = sign(&statement(), &lab("a"));
            let at = at.index(bytes.len());
            bytes[at] = byte;
            // Another spelling of the same, such as a line feed after a comma, is the same.
            if let Ok(opened) = open(&bytes, &trusted(&["a", "b"])) {
                prop_assert_eq!(opened.statement, statement());
                prop_assert_eq!(opened.by, lab("a").public().id());
            }
        }

        #[test]
        fn reading_anything_ends_well(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(open(&bytes, &trusted(&["a"])).is_err());
        }
    }
}
