use std::{
    collections::BTreeSet,
    num::NonZero,
    path::Path,
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use super::{Answers, Cache, Error, SMALL, crowd};
use crate::{
    digest::Digest,
    remote::Remote,
    store::Store,
    trust::{KeyId, Keys, Policy, PublicKey},
};

/// A cache to ask.
#[derive(Debug)]
pub struct Source {
    /// Where it is. Policies name it by its address.
    pub remote: Box<dyn Remote>,
    /// Whether it is asked for fetched files too.
    pub inputs: bool,
}

/// A source with what is known of it.
#[derive(Debug)]
struct Known {
    cache: Cache,
    inputs: bool,
    /// Whose word counts there.
    keys: Keys,
    /// Whether it answered the first question, so that only one has to wait for what does not answer.
    answers: OnceLock<bool>,
    dead: AtomicBool,
}

/// Caches in order of priority, and whom to believe.
///
/// A cache that does not answer, wants to know who asks, or is no cache, is not asked again. What went wrong is told once,
/// by [`Substituters::troubles`], and is never an error: another cache, or a build, does instead.
#[derive(Debug)]
pub struct Substituters {
    sources: Vec<Known>,
    policy: Policy,
    troubles: Mutex<Vec<Error>>,
}

impl Substituters {
    /// Asks nobody yet.
    pub fn new(sources: Vec<Source>, policy: Policy) -> Self {
        let known = |Source { remote, inputs }| {
            let cache = Cache::new(remote);
            let keys = policy.keys_at(cache.address());
            Known { cache, inputs, keys, answers: OnceLock::new(), dead: AtomicBool::new(false) }
        };
        let sources = sources.into_iter().map(known).collect();
        Self { sources, policy, troubles: Mutex::default() }
    }

    /// The same with so many packs under way at once from each: see [`Cache::at_once`].
    #[must_use]
    pub fn at_once(mut self, at_once: NonZero<usize>) -> Self {
        for source in &mut self.sources {
            source.cache.at_once = at_once.get();
        }
        self
    }

    /// Whom to believe.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Whether there is nobody to ask.
    pub fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    /// What went wrong since this was last asked: each cache that is not asked any more once, and each thing that a cache has
    /// wrong.
    pub fn troubles(&self) -> Vec<Error> {
        std::mem::take(&mut *self.troubles.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Asks all caches for all that trusted keys say of some steps, by plan key; many at once.
    pub fn ask(&self, plan_keys: &[Digest]) -> Result<Answers, Error> {
        let answers = Mutex::new(Answers::default());
        let mut questions: Vec<(&Known, Digest, KeyId)> = Vec::new();
        for source in &self.sources {
            let ids: Vec<KeyId> = source.keys.iter().map(PublicKey::id).collect();
            for plan_key in plan_keys {
                questions.extend(ids.iter().map(|id| (source, *plan_key, *id)));
            }
        }
        crowd::each(&questions, SMALL, |(source, plan_key, id)| {
            if self.alive(source)? {
                let heard = source.cache.hear(plan_key, *id, &source.keys, &answers);
                self.unless_remote(source, heard)?;
            }
            Ok::<_, Error>(())
        })?;
        let mut answers = answers.into_inner().unwrap_or_else(PoisonError::into_inner);
        for source in &self.sources {
            let address = source.cache.address();
            answers.admit(address, |said| self.policy.admitted(address, said));
        }
        Ok(answers)
    }

    /// Brings a tree into the store from the first cache that has it whole; says whether one did. Only this machine's failures
    /// are errors. `reached` is told how many bytes of how many are here.
    pub fn pull(
        &self,
        tree: &Digest,
        store: &Store,
        reached: &(dyn Fn(u64, u64) + Sync),
    ) -> Result<bool, Error> {
        Ok(self.pull_all(std::slice::from_ref(tree), store, reached)?.contains(tree))
    }

    /// Brings several trees, what they share once; gives those that are in the store now.
    pub fn pull_all(
        &self,
        trees: &[Digest],
        store: &Store,
        reached: &(dyn Fn(u64, u64) + Sync),
    ) -> Result<BTreeSet<Digest>, Error> {
        let mut here: BTreeSet<Digest> = BTreeSet::new();
        let lacking = |here: &BTreeSet<Digest>| -> Vec<Digest> {
            trees.iter().filter(|tree| !here.contains(*tree)).copied().collect()
        };
        for source in &self.sources {
            let wanted = lacking(&here);
            if wanted.is_empty() {
                break;
            }
            if !self.alive(source)? {
                continue;
            }
            let pulled = source.cache.pull_all(&wanted, store, reached);
            match self.unless_remote(source, pulled)? {
                Some(pulled) => here.extend(pulled),
                // One that is wrong must not keep the others away.
                None if wanted.len() > 1 => {
                    for tree in &wanted {
                        if self.alive(source)? {
                            let pulled = source.cache.pull(tree, store, reached);
                            if self.unless_remote(source, pulled)? == Some(true) {
                                here.insert(*tree);
                            }
                        }
                    }
                }
                None => (),
            }
        }
        // What is in the store already counts, whether somebody has it or nobody.
        here.extend(lacking(&here).into_iter().filter(|tree| store.has_tree(tree)));
        Ok(here)
    }

    /// Brings a fetched file into `partial` from the first cache with inputs that has it; says whether one did. Then its
    /// digest holds. What `partial` has already counts as the beginning.
    pub fn input(
        &self,
        sha256: &Digest,
        size: u64,
        partial: &Path,
        reached: &dyn Fn(u64),
    ) -> Result<bool, Error> {
        for source in self.sources.iter().filter(|source| source.inputs) {
            if self.alive(source)? {
                let brought = source.cache.input(sha256, size, partial, reached);
                if self.unless_remote(source, brought)? == Some(true) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Whether a cache is to be asked. The first to want to know finds out, and the others wait for that.
    fn alive(&self, source: &Known) -> Result<bool, Error> {
        if source.dead.load(Ordering::Relaxed) {
            return Ok(false);
        }
        let mut failure = None;
        let answers = source.answers.get_or_init(|| match source.cache.check() {
            Ok(true) => true,
            Ok(false) => {
                failure = Some(Error::Absent { address: source.cache.address().to_owned() });
                false
            }
            Err(error) => {
                failure = Some(error);
                false
            }
        });
        if let Some(error) = failure {
            self.unless_remote::<()>(source, Err(error))?;
        }
        Ok(*answers)
    }

    /// What came of a question; nothing if the cache is to blame, which is remembered, and told once.
    fn unless_remote<T>(
        &self,
        source: &Known,
        result: Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.is_remote() => {
                if !error.is_final() || !source.dead.swap(true, Ordering::Relaxed) {
                    let mut troubles = self.troubles.lock().unwrap_or_else(PoisonError::into_inner);
                    // One thing that is wrong may be in the way of many.
                    if !troubles.iter().any(|told| told.to_string() == error.to_string()) {
                        troubles.push(error);
                    }
                }
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}
