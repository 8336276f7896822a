use std::collections::BTreeMap;

use super::{
    Cache, Error, Item, Pin,
    layout::{room, rooms},
};
use crate::{remote::Entry, trust::KeyId};

/// The directories in which there is more than a few things, in the order of a push.
pub(super) const ALL: [&str; 9] = [
    rooms::PACKS,
    rooms::INDEXES,
    rooms::WAYS,
    rooms::TREES,
    rooms::IMAGES,
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

/// What is in a cache, for a person.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Overview {
    /// How much there is.
    pub contents: Contents,
    /// How many statements there are of each key, as their names say.
    pub statements: BTreeMap<KeyId, u64>,
    /// What is kept whatever happens, by name.
    pub pins: Vec<(String, Pin)>,
}

impl Cache {
    /// What is there.
    pub fn overview(&self) -> Result<Overview, Error> {
        let mut overview = Overview { pins: self.pins()?, ..Overview::default() };
        for (name, entries) in self.inventory()? {
            let bytes = entries.iter().map(|(_, entry)| entry.size).sum();
            overview.contents.insert(name, Room { count: entries.len() as u64, bytes });
            for (item, _) in entries {
                if let Item::Statement { by, .. } = item {
                    *overview.statements.entry(by).or_default() += 1;
                }
            }
        }
        Ok(overview)
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
