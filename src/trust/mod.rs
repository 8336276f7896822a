//! Who says what a key came to, and whom to believe: statements, keys, policy.
//!
//! Whoever builds says so in a [`Statement`]: "this derivation came to that output". It is an in-toto statement with SLSA
//! provenance, in an envelope that the builder's key signs; so other tools read it, and where it is kept does not matter. A
//! [`Policy`] says whose statements count, how many must agree, and what it means that some do not.
//!
//! This room has no entropy, no clock and no files: a secret key is made of bytes that its caller has from the kernel, and a
//! statement has no time, so that who builds the same twice says the same twice.

mod envelope;
mod key;
mod policy;
mod statement;

pub use envelope::{Opened, PAYLOAD_TYPE, Rejected, open, peek, sign};
pub use key::{BadKey, KeyId, PublicKey, SecretKey};
pub use policy::{Believed, Keys, Policy, Rule, Verdict, Who};
pub use statement::{Act, BUILD_TYPE, Claim, Statement};
