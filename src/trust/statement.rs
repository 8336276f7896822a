//! What a builder says, and its form in JSON.
//!
//! An in-toto Statement v1 (in-toto Attestation Framework, `spec/v1/statement.md`) whose predicate is SLSA Provenance v1
//! (`slsa.dev/spec/v1.0/provenance`). Each claim is a subject: a ResourceDescriptor (`spec/v1/resource_descriptor.md`) with the
//! output's digest, and the derivation as its `uri`. As both ask of those who read, fields that are not known are passed over.
//!
//! ```text
//! _type                                        https://in-toto.io/Statement/v1
//! subject[].name                               what a person calls the output
//! subject[].uri                                vsbuild-derivation:KEY
//! subject[].digest.sha256                      the output
//! predicateType                                https://slsa.dev/provenance/v1
//! predicate.buildDefinition.buildType          vsbuild-build:1
//! predicate.buildDefinition.externalParameters.planKey     the step, by its plan key
//! predicate.buildDefinition.internalParameters.act         built, or rebuilt
//! predicate.runDetails.builder.id              vsbuild-key:KEYID
//! ```

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{KeyId, Rejected};
use crate::digest::Digest;

/// What kind of build is told of: the meaning of all that stands in `buildDefinition`. Another meaning gets another number,
/// and readers of this one refuse it.
pub const BUILD_TYPE: &str = "vsbuild-build:1";
const TYPE: &str = "https://in-toto.io/Statement/v1";
const PREDICATE_TYPE: &str = "https://slsa.dev/provenance/v1";
/// What the `uri` of a subject begins with.
const DERIVATION: &str = "vsbuild-derivation:";
/// What the id of a builder begins with.
const KEY: &str = "vsbuild-key:";

/// What one derivation came to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Claim {
    /// The derivation's key.
    pub key: Digest,
    /// The digest of its output: a tree, or a disk.
    pub output: Digest,
    /// What a person calls it; of no other meaning.
    pub name: String,
}

/// What the builder did to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Act {
    /// Made the outputs.
    Built,
    /// Made them a second time, elsewhere and under other conditions, and they came out the same.
    Rebuilt,
}

/// What one builder says of one step, and of the steps that it covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The step, by its plan key. Whoever asked for one step and is told of another was given something else's statement.
    pub plan_key: Digest,
    /// How the builder knows.
    pub act: Act,
    /// What it says.
    pub claims: Vec<Claim>,
}

impl Statement {
    /// The output that is claimed for a key.
    pub fn output(&self, key: &Digest) -> Option<Digest> {
        self.claims.iter().find(|claim| claim.key == *key).map(|claim| claim.output)
    }

    /// The statement as JSON without white space, claims sorted by key: the same for the same builder and statement.
    pub(super) fn to_json(&self, by: KeyId) -> Vec<u8> {
        let mut claims: Vec<&Claim> = self.claims.iter().collect();
        claims.sort();
        let subject = claims.into_iter().map(|claim| Subject {
            name: claim.name.clone(),
            uri: format!("{DERIVATION}{}", claim.key),
            digest: Sha256 { sha256: claim.output },
        });
        let build_definition = BuildDefinition {
            build_type: BUILD_TYPE.to_owned(),
            external_parameters: ExternalParameters { plan_key: self.plan_key },
            internal_parameters: InternalParameters { act: self.act },
        };
        let run_details = RunDetails { builder: Builder { id: format!("{KEY}{by}") } };
        let toto = InToto {
            kind: TYPE.to_owned(),
            subject: subject.collect(),
            predicate_type: PREDICATE_TYPE.to_owned(),
            predicate: Predicate { build_definition, run_details },
        };
        serde_json::to_vec(&toto).expect("digests and text are always JSON")
    }

    /// Reads a statement and says who is named in it as the builder.
    pub(super) fn from_json(json: &[u8]) -> Result<(KeyId, Self), Rejected> {
        let other = |why: String| Rejected::NotOurs(why);
        let head: Head = serde_json::from_slice(json).map_err(|error| other(error.to_string()))?;
        for (found, known) in [(&head.kind, TYPE), (&head.predicate_type, PREDICATE_TYPE)] {
            if found != known {
                return Err(other(format!("its type is `{}`", found.escape_debug())));
            }
        }
        let toto: InToto =
            serde_json::from_slice(json).map_err(|error| other(error.to_string()))?;
        let Predicate { build_definition, run_details } = toto.predicate;
        if build_definition.build_type != BUILD_TYPE {
            let found = build_definition.build_type.escape_debug();
            return Err(other(format!("its build type is `{found}`")));
        }
        let by = run_details.builder.id.strip_prefix(KEY).and_then(|id| id.parse().ok());
        let by = by.ok_or_else(|| other("its builder is no key".to_owned()))?;
        let mut claims = BTreeMap::new();
        for Subject { name, uri, digest } in toto.subject {
            let key = uri.strip_prefix(DERIVATION).and_then(|key| key.parse::<Digest>().ok());
            let key =
                key.ok_or_else(|| other("it claims something of no derivation".to_owned()))?;
            let claim = Claim { key, output: digest.sha256, name };
            if claims.insert(key, claim).is_some() {
                return Err(other(format!("it claims two things of the derivation {key}")));
            }
        }
        let statement = Self {
            plan_key: build_definition.external_parameters.plan_key,
            act: build_definition.internal_parameters.act,
            claims: claims.into_values().collect(),
        };
        Ok((by, statement))
    }
}

/// What says how to read the rest.
#[derive(Deserialize)]
struct Head {
    #[serde(rename = "_type")]
    kind: String,
    #[serde(rename = "predicateType")]
    predicate_type: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct InToto {
    #[serde(rename = "_type")]
    kind: String,
    subject: Vec<Subject>,
    predicate_type: String,
    predicate: Predicate,
}

#[derive(Serialize, Deserialize)]
struct Subject {
    name: String,
    uri: String,
    digest: Sha256,
}

#[derive(Serialize, Deserialize)]
struct Sha256 {
    sha256: Digest,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Predicate {
    build_definition: BuildDefinition,
    run_details: RunDetails,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct BuildDefinition {
    build_type: String,
    external_parameters: ExternalParameters,
    internal_parameters: InternalParameters,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ExternalParameters {
    plan_key: Digest,
}

#[derive(Serialize, Deserialize)]
struct InternalParameters {
    act: Act,
}

#[derive(Serialize, Deserialize)]
struct RunDetails {
    builder: Builder,
}

#[derive(Serialize, Deserialize)]
struct Builder {
    id: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trust::SecretKey;

    fn by() -> KeyId {
        SecretKey::from_seed("lab", &[7; 32]).unwrap().public().id()
    }

    fn statement() -> Statement {
        let claim = |key: &str, output: &str| Claim {
            key: Digest::of(key),
            output: Digest::of(output),
            name: key.to_owned(),
        };
        let mut claims = vec![claim("hello", "x"), claim("busybox", "y")];
        claims.sort();
        Statement { plan_key: Digest::of("plan"), act: Act::Built, claims }
    }

    #[test]
    fn the_form_of_a_statement_is_fixed() {
        let json = String::from_utf8(statement().to_json(by())).unwrap();
        insta::assert_snapshot!(json);
    }

    #[test]
    fn a_statement_is_the_same_after_being_written_down() {
        for act in [Act::Built, Act::Rebuilt] {
            let statement = Statement { act, ..statement() };
            assert_eq!(Statement::from_json(&statement.to_json(by())), Ok((by(), statement)));
        }
    }

    #[test]
    fn the_order_of_claims_does_not_matter() {
        let mut other = statement();
        other.claims.reverse();
        assert_eq!(other.to_json(by()), statement().to_json(by()));
    }

    #[test]
    fn fields_that_are_not_known_are_passed_over() {
        let mut json: serde_json::Value =
            serde_json::from_slice(&statement().to_json(by())).unwrap();
        json["vsbuild_more"] = 1.into();
        json["subject"][0]["annotations"] = serde_json::json!({ "a": "b" });
        json["predicate"]["runDetails"]["metadata"] = serde_json::json!({ "invocationId": "7" });
        let read = Statement::from_json(json.to_string().as_bytes());
        assert_eq!(read, Ok((by(), statement())));
    }

    #[test]
    fn statements_of_other_kinds_are_refused() {
        let json = String::from_utf8(statement().to_json(by())).unwrap();
        let twice = |json: &str| {
            let mut value: serde_json::Value = serde_json::from_str(json).unwrap();
            let mut subject = value["subject"][0].clone();
            subject["digest"]["sha256"] = Digest::of("z").hex().into();
            value["subject"].as_array_mut().unwrap().push(subject);
            value.to_string()
        };
        for wrong in [
            json.replace("Statement/v1", "Statement/v0.1"),
            json.replace("provenance/v1", "provenance/v0.2"),
            json.replace(BUILD_TYPE, "vsbuild-build:2"),
            json.replace(DERIVATION, "other:"),
            json.replace(KEY, "other:"),
            json.replace("sha256", "sha512"),
            json.replace("\"built\"", "\"guessed\""),
            json.replace(&Digest::of("x").hex(), &Digest::of("x").hex()[1..]),
            twice(&json),
            json[1..].to_owned(),
        ] {
            let read = Statement::from_json(wrong.as_bytes());
            assert!(matches!(read, Err(Rejected::NotOurs(_))), "{wrong}");
        }
    }
}
