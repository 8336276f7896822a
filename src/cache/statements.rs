use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use super::{Cache, Error, Item};
use crate::{
    digest::Digest,
    trust::{self, KeyId, Keys, Opened, Rejected},
};

/// The longest statement that is read, in bytes: some hundred bytes for each of some thousand packages.
pub(super) const LONGEST: u64 = 16 << 20;

/// What one builder says of one output, as it was heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// Whose key signed it.
    pub by: KeyId,
    /// What came of the derivation, they say.
    pub output: Digest,
    /// The sha256 of the whole statement as it was signed.
    pub statement: Digest,
    /// Which cache had it.
    pub cache: String,
}

/// A statement that does not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Which cache had it.
    pub cache: String,
    /// Where it is there.
    pub name: String,
    /// Why it does not count.
    pub why: Rejected,
}

/// All that caches have to say of some steps.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answers {
    heard: BTreeMap<Digest, Vec<Heard>>,
    statements: BTreeMap<Digest, Vec<u8>>,
    refused: Vec<Refused>,
}

impl Answers {
    /// What is claimed of a derivation, by its key.
    pub fn of(&self, key: &Digest) -> &[Heard] {
        self.heard.get(key).map_or(&[], Vec::as_slice)
    }

    /// The same in the form that is judged.
    pub fn said(&self, key: &Digest) -> Vec<(KeyId, Digest)> {
        self.of(key).iter().map(|heard| (heard.by, heard.output)).collect()
    }

    /// A statement as it was signed, by its sha256.
    pub fn statement(&self, sha256: &Digest) -> Option<&[u8]> {
        self.statements.get(sha256).map(Vec::as_slice)
    }

    /// All statements that count, as they were signed.
    pub fn statements(&self) -> impl Iterator<Item = &[u8]> {
        self.statements.values().map(Vec::as_slice)
    }

    /// What does not count, and why.
    pub fn refused(&self) -> &[Refused] {
        &self.refused
    }

    /// Whether nobody says anything that counts.
    pub fn is_empty(&self) -> bool {
        self.heard.is_empty()
    }

    /// Takes in what one cache said of one step.
    pub(super) fn add(&mut self, cache: &str, bytes: Vec<u8>, opened: Opened) {
        let statement = Digest::of(&bytes);
        for claim in opened.statement.claims {
            let cache = cache.to_owned();
            let heard = Heard { by: opened.by, output: claim.output, statement, cache };
            self.heard.entry(claim.key).or_default().push(heard);
        }
        self.statements.insert(statement, bytes);
    }

    pub(super) fn refuse(&mut self, refused: Refused) {
        self.refused.push(refused);
    }

    /// Leaves out of what one cache said whatever `admitted` does not let pass.
    pub(super) fn admit(
        &mut self,
        cache: &str,
        admitted: impl Fn(&[(KeyId, Digest)]) -> Vec<(KeyId, Digest)>,
    ) {
        for heard in self.heard.values_mut() {
            let said: Vec<(KeyId, Digest)> = heard
                .iter()
                .filter(|heard| heard.cache == cache)
                .map(|heard| (heard.by, heard.output))
                .collect();
            let passed = admitted(&said);
            heard
                .retain(|heard| heard.cache != cache || passed.contains(&(heard.by, heard.output)));
        }
        self.heard.retain(|_, heard| !heard.is_empty());
    }
}

impl Cache {
    /// What one builder says of one step, as it lies here; nothing of it is checked.
    pub fn statement(&self, plan_key: &Digest, by: KeyId) -> Result<Option<Vec<u8>>, Error> {
        let item = Item::Statement { plan_key: *plan_key, by };
        Ok(self.remote.get(&item.name(), LONGEST)?)
    }

    /// Hears what one builder says of one step.
    pub(super) fn hear(
        &self,
        plan_key: &Digest,
        by: KeyId,
        keys: &Keys,
        answers: &Mutex<Answers>,
    ) -> Result<(), Error> {
        let Some(bytes) = self.statement(plan_key, by)? else { return Ok(()) };
        let answers = || answers.lock().unwrap_or_else(PoisonError::into_inner);
        match trust::open(&bytes, keys).and_then(|opened| opened.about(plan_key)) {
            Ok(opened) => answers().add(self.address(), bytes, opened),
            Err(why) => {
                let name = Item::Statement { plan_key: *plan_key, by }.name().to_string();
                answers().refuse(Refused { cache: self.address().to_owned(), name, why });
            }
        }
        Ok(())
    }
}
