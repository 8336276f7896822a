use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{
    Cache, Error, Item, SMALL, crowd,
    layout::{room, rooms, said_of},
    mark::Act,
};
use crate::{
    digest::Digest,
    remote::{self, Body},
};

/// The longest pin, in bytes.
const LONGEST: u64 = 64 << 20;

/// Something that is kept in a cache whatever happens, as JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// Why it is kept, for a person.
    pub reason: String,
    /// The steps whose statements are kept, by plan key, and with them the trees that these claim.
    #[serde(default)]
    pub plan_keys: BTreeSet<Digest>,
    /// More trees that are kept.
    #[serde(default)]
    pub trees: BTreeSet<Digest>,
    /// The fetched files that are kept.
    #[serde(default)]
    pub inputs: BTreeSet<Digest>,
}

/// What lacks of that which is to be pinned.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lacking {
    /// Trees that are not there with all their packs.
    pub trees: BTreeSet<Digest>,
    /// Steps of which nobody says anything, by plan key.
    pub steps: BTreeSet<Digest>,
}

impl Cache {
    /// Pins something under a name, in place of what was pinned there, if these trees and what somebody says of these steps are
    /// there. Otherwise it says what lacks, and pins nothing. No collection begins or goes on meanwhile.
    pub fn pin(
        &self,
        name: &str,
        pin: &Pin,
        trees: &BTreeSet<Digest>,
        steps: &BTreeSet<Digest>,
    ) -> Result<Lacking, Error> {
        self.mark(Act::Push)?.while_at_work(|| {
            let lacking = self.lacking(trees, steps)?;
            if lacking == Lacking::default() {
                let text = serde_json::to_vec_pretty(pin).map_err(std::io::Error::from)?;
                self.remote.put(&Item::pin(name)?.name(), Body::Bytes(&text))?;
            }
            Ok(lacking)
        })
    }

    fn lacking(
        &self,
        trees: &BTreeSet<Digest>,
        steps: &BTreeSet<Digest>,
    ) -> Result<Lacking, Error> {
        let mut lacking = Lacking::default();
        for tree in trees {
            let way = match self.remote.has(&Item::Tree(*tree).name())? {
                true => self.way(tree)?,
                false => None,
            };
            let packs: Vec<Digest> = way.iter().flat_map(|way| way.packs.keys().copied()).collect();
            let there = crowd::each(&packs, SMALL, |pack| {
                Ok::<_, Error>(self.remote.has(&Item::Pack(*pack).name())?)
            })?;
            if way.is_none() || there.contains(&false) {
                lacking.trees.insert(*tree);
            }
        }
        for step in steps {
            match self.remote.list(&said_of(step)) {
                Ok(said) if said.is_empty() => drop(lacking.steps.insert(*step)),
                // Nobody collects garbage where nobody can say what there is.
                Ok(_) | Err(remote::Error::Unable { .. }) => (),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(lacking)
    }

    /// Removes a pin; says whether there was one. What it kept goes with a later collection.
    pub fn unpin(&self, name: &str) -> Result<bool, Error> {
        let name = Item::pin(name)?.name();
        let there = self.remote.has(&name)?;
        self.remote.remove(&name)?;
        Ok(there)
    }

    /// All pins, by name.
    pub fn pins(&self) -> Result<Vec<(String, Pin)>, Error> {
        let mut pins = Vec::new();
        for entry in self.remote.list(&room(rooms::PINS))? {
            let item = Item::Pin(entry.name.clone());
            let Some(bytes) = self.remote.get(&entry.name, LONGEST)? else { continue };
            // A pin that cannot be read must not look like one that keeps nothing.
            let pin = serde_json::from_slice(&bytes).map_err(|error| self.wrong(&item, error))?;
            let name = entry.name.parts().next_back().unwrap_or_default().to_owned();
            pins.push((name, pin));
        }
        Ok(pins)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tempfile::TempDir;

    use super::*;
    use crate::remote::{Directory, Remote};

    fn cache() -> (TempDir, Cache) {
        let dir = TempDir::new().unwrap();
        let cache = Cache::new(Box::new(Directory::new(dir.path())));
        (dir, cache)
    }

    fn digests() -> impl Strategy<Value = BTreeSet<Digest>> {
        prop::collection::btree_set(any::<u8>().prop_map(|byte| Digest::of([byte])), 0..8)
    }

    proptest! {
        #[test]
        fn a_pin_reads_as_it_was_written(reason in ".{0,80}", plan_keys in digests(), trees in digests(), inputs in digests()) {
            let (_dir, cache) = cache();
            let pin = Pin { reason, plan_keys, trees, inputs };
            let none = BTreeSet::new();
            prop_assert_eq!(cache.pin("paper", &pin, &none, &none).unwrap(), Lacking::default());
            prop_assert_eq!(cache.pins().unwrap(), vec![("paper".to_owned(), pin)]);
            prop_assert!(cache.unpin("paper").unwrap() && !cache.unpin("paper").unwrap());
        }

        #[test]
        fn what_is_no_pin_is_an_error_and_never_one_that_keeps_nothing(
            bytes in prop::collection::vec(any::<u8>(), 0..60)
        ) {
            let (dir, cache) = cache();
            let name = Item::pin("paper").unwrap().name();
            Directory::new(dir.path()).put(&name, Body::Bytes(&bytes)).unwrap();
            prop_assert!(cache.pins().is_err_and(|error| error.to_string().contains("pins/paper")));
        }
    }
}
