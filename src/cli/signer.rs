//! Signs what was made here, and passes on what others signed.

use std::{collections::BTreeSet, path::Path};

use super::{context::Context, keys, printer, problem::Problem};
use crate::{
    cache::Said,
    realise::{Shared, Stated},
    store::Store,
    trust::{self, Act, Claim, Keys, PublicKey, SecretKey, Statement},
};

/// Who signs what was made here, and who signed the rest.
pub(super) struct Signer {
    key: Option<SecretKey>,
    /// Keys whose statements can be read.
    others: Keys,
}

impl Signer {
    /// With the key in a file, or that of the configuration. What was only taken from others needs none.
    pub(super) fn new(
        context: &Context,
        key: Option<&Path>,
        shared: &Shared,
    ) -> Result<Self, Problem> {
        let key = match key {
            Some(file) => Some(keys::read(file)?),
            None if shared.stated.is_empty() => None,
            None => Some(context.need_signing_key()?),
        };
        let more = context.config.caches.iter().flat_map(|entry| entry.keys.iter().cloned());
        Ok(Self { key, others: context.policy().keys.with(more) })
    }

    /// All that is to be said of what is shared. What was taken on the word of a key that is not trusted now is left out.
    pub(super) fn sign(
        &self,
        context: &Context,
        shared: &Shared,
        store: &Store,
    ) -> Result<Vec<Said>, Problem> {
        let failed = |error: crate::store::Error| context.explain(error.into());
        let mut all = Vec::new();
        if let Some(key) = &self.key {
            for stated in &shared.stated {
                all.push(own(stated, key, store).map_err(failed)?);
            }
        }
        let mut unknown = 0;
        for statement in &shared.vouched {
            let bytes = store.statement(statement).map_err(failed)?;
            let opened =
                bytes.and_then(|bytes| Some((trust::open(&bytes, &self.others).ok()?, bytes)));
            match opened {
                Some((opened, bytes)) => {
                    let plan_key = opened.statement.plan_key;
                    all.push(Said { plan_key, by: opened.by, bytes });
                }
                None => unknown += 1,
            }
        }
        if unknown > 0 {
            context.note(&format!(
                "{} of others not passed on: no key that is trusted now signed them",
                printer::count(unknown, "statement")
            ));
        }
        Ok(all)
    }

    /// The public keys of all who signed.
    pub(super) fn signers(&self, said: &[Said]) -> Vec<PublicKey> {
        let ids: BTreeSet<_> = said.iter().map(|said| said.by).collect();
        let known = self.others.clone().with(self.key.iter().map(SecretKey::public));
        known.iter().filter(|key| ids.contains(&key.id())).cloned().collect()
    }
}

/// What we say of one step. What `verify --attest` signed says more, if it says the same of the outputs.
fn own(stated: &Stated, key: &SecretKey, store: &Store) -> Result<Said, crate::store::Error> {
    let (plan_key, by) = (stated.plan_key, key.public().id());
    let own = Keys::new([key.public()], []);
    let attested = store.attested(&plan_key, &by.to_string())?.filter(|bytes| {
        trust::open(bytes, &own).is_ok_and(|opened| {
            let says = |claim: &Claim| opened.statement.output(&claim.key) == Some(claim.output);
            opened.statement.plan_key == plan_key && stated.claims.iter().all(says)
        })
    });
    let bytes = attested.unwrap_or_else(|| {
        let claims = stated.claims.clone();
        trust::sign(&Statement { plan_key, act: Act::Built, claims }, key)
    });
    Ok(Said { plan_key, by, bytes })
}
