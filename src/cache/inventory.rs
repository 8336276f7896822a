use std::collections::BTreeMap;

use super::{
    Cache, Error, Item,
    layout::{room, rooms},
};
use crate::remote::Entry;

/// The directories in which there is more than a few things, in the order of a push.
pub(super) const ALL: [&str; 8] = [
    rooms::PACKS,
    rooms::INDEXES,
    rooms::WAYS,
    rooms::TREES,
    rooms::INPUTS,
    rooms::STATEMENTS,
    rooms::PINS,
    rooms::PUSHING,
];

/// How much there is of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Room {
    /// How many things.
    pub count: u64,
    /// How many bytes they take.
    pub bytes: u64,
}

/// How much there is in a cache, by directory. What has no place in a cache is not counted.
pub type Contents = BTreeMap<&'static str, Room>;

/// Each thing that has a place in a cache, by directory.
pub(super) type Inventory = BTreeMap<&'static str, Vec<(Item, Entry)>>;

impl Cache {
    /// How much there is.
    pub fn contents(&self) -> Result<Contents, Error> {
        let mut contents = Contents::new();
        for (name, entries) in self.inventory()? {
            let bytes = entries.iter().map(|(_, entry)| entry.size).sum();
            contents.insert(name, Room { count: entries.len() as u64, bytes });
        }
        Ok(contents)
    }

    /// All that is there, by directory.
    pub(super) fn inventory(&self) -> Result<Inventory, Error> {
        let mut inventory = BTreeMap::new();
        for name in ALL {
            let entries = self.remote.list(&room(name))?.into_iter();
            let items = entries.filter_map(|entry| Some((Item::of(&entry.name)?, entry)));
            inventory.insert(name, items.collect());
        }
        Ok(inventory)
    }
}
