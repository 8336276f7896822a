use std::collections::{BTreeMap, BTreeSet};

use super::{
    Cache, Error, Item, Pin, SMALL, Way, crowd,
    mark::{Act, now},
    statements::LONGEST,
};
use crate::{digest::Digest, remote::Entry, trust};

/// What nothing leads to is left alone for so long, in seconds: it may be of a push that was broken off and will go on.
const GRACE: u64 = 24 * 60 * 60;

/// What is to be collected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// Statements, trees and inputs that were sent so many seconds ago, or less, stay.
    pub older_than: u64,
    /// If more bytes than this would stay, older statements go earlier.
    pub max_size: Option<u64>,
}

/// What a collection removes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Collection {
    /// What goes, in the order in which it goes.
    pub remove: Vec<Entry>,
    /// How many things stay.
    pub kept: u64,
    /// How many bytes these take.
    pub kept_bytes: u64,
}

impl Collection {
    /// How many bytes go.
    pub fn bytes(&self) -> u64 {
        self.remove.iter().map(|entry| entry.size).sum()
    }
}

/// All that matters for what stays in a cache.
#[derive(Debug, Default)]
struct Survey {
    entries: Vec<(Item, Entry)>,
    pins: Vec<Pin>,
    ways: BTreeMap<Digest, Way>,
    /// The trees in which disks are.
    images: BTreeMap<Digest, Digest>,
    /// What each statement claims; it is not believed, but kept.
    outputs: BTreeMap<Item, Vec<Digest>>,
    /// Seconds since 1970.
    now: u64,
}

impl Cache {
    /// What a collection would remove.
    pub fn plan_collection(&self, terms: &Terms) -> Result<Collection, Error> {
        Ok(self.survey()?.plan(terms))
    }

    /// Removes what neither a pin nor a statement that is young enough leads to, but for what came in the last day. It is an error if somebody is pushing; a push
    /// that begins meanwhile waits.
    pub fn collect(&self, terms: &Terms) -> Result<Collection, Error> {
        self.mark(Act::Collect)?.while_at_work(|| {
            let collection = self.survey()?.plan(terms);
            // What leads to something goes before what it leads to, so that a kill leaves nothing that leads nowhere.
            for entry in &collection.remove {
                self.remote.remove(&entry.name)?;
            }
            Ok(collection)
        })
    }

    fn survey(&self) -> Result<Survey, Error> {
        let entries: Vec<(Item, Entry)> = self.inventory()?.into_values().flatten().collect();
        let pins = self.pins()?.into_iter().map(|(_, pin)| pin).collect();
        let of = |wanted: fn(&Item) -> bool| -> Vec<Item> {
            entries.iter().map(|(item, _)| item.clone()).filter(wanted).collect()
        };
        let trees = of(|item| matches!(item, Item::Way(_)));
        let ways = crowd::each(&trees, SMALL, |item| {
            let Item::Way(tree) = item else { return Ok::<_, Error>(None) };
            match self.way(tree) {
                // A damaged way keeps nothing; the next push of its tree writes it anew.
                Err(error) if error.is_remote() && !error.is_final() => Ok(None),
                way => Ok(way?.map(|way| (*tree, way))),
            }
        });
        let disks = of(|item| matches!(item, Item::Image(_)));
        let images = crowd::each(&disks, SMALL, |item| {
            let Item::Image(disk) = item else { return Ok::<_, Error>(None) };
            match self.noted_image(disk) {
                Err(error) if error.is_remote() && !error.is_final() => Ok(None),
                image => Ok(image?.map(|image| (*disk, image.tree))),
            }
        })?;
        let statements = of(|item| matches!(item, Item::Statement { .. }));
        let outputs = crowd::each(&statements, SMALL, |item| {
            let bytes = self.remote.get(&item.name(), LONGEST)?.unwrap_or_default();
            let claims = trust::peek(&bytes).map(|statement| statement.claims).unwrap_or_default();
            let outputs = claims.into_iter().map(|claim| claim.output).collect();
            Ok::<_, Error>((item.clone(), outputs))
        });
        Ok(Survey {
            pins,
            images: images.into_iter().flatten().collect(),
            ways: ways?.into_iter().flatten().collect(),
            outputs: outputs?.into_iter().collect(),
            now: now(),
            entries,
        })
    }
}

impl Survey {
    fn plan(&self, terms: &Terms) -> Collection {
        let since = self.now.saturating_sub(terms.older_than);
        let collection = self.sweep(since);
        let Some(most) = terms.max_size.filter(|most| collection.kept_bytes > *most) else {
            return collection;
        };
        let is_statement = |item: &Item| matches!(item, Item::Statement { .. });
        let times: BTreeSet<u64> = self
            .entries
            .iter()
            .filter(|(item, _)| is_statement(item) || matches!(item, Item::Input(_)))
            .filter_map(|(_, entry)| entry.modified)
            .filter(|time| *time >= since)
            .collect();
        let times: Vec<u64> = times.into_iter().map(|time| time.saturating_add(1)).collect();
        // The later, the less stays: the first time that is enough is found by halves.
        let enough = times.partition_point(|since| self.sweep(*since).kept_bytes > most);
        times.get(enough).or(times.last()).map_or(collection, |since| self.sweep(*since))
    }

    /// What goes if statements and inputs from before a time do not count.
    fn sweep(&self, since: u64) -> Collection {
        // What a cache cannot tell the age of stays.
        let is_young = |entry: &Entry| entry.modified.is_none_or(|time| time >= since);
        // What came just now stays, whatever the terms say: else a limit that the last day alone is over would take all.
        let is_fresh = |entry: &Entry| {
            entry.modified.is_some_and(|time| time.saturating_add(GRACE) >= self.now)
        };
        let pinned_keys: BTreeSet<&Digest> =
            self.pins.iter().flat_map(|pin| &pin.plan_keys).collect();
        let pinned_inputs: BTreeSet<&Digest> =
            self.pins.iter().flat_map(|pin| &pin.inputs).collect();
        let stays = |item: &Item, entry: &Entry| match item {
            Item::Statement { plan_key, .. } => {
                pinned_keys.contains(plan_key) || is_young(entry) || is_fresh(entry)
            }
            Item::Input(input) => {
                pinned_inputs.contains(input) || is_young(entry) || is_fresh(entry)
            }
            _ => false,
        };
        let mut trees: BTreeSet<Digest> =
            self.pins.iter().flat_map(|pin| pin.trees.iter().copied()).collect();
        for (item, entry) in &self.entries {
            if let Some(outputs) = self.outputs.get(item)
                && stays(item, entry)
            {
                trees.extend(outputs);
            }
            // Trees without a statement are kept by their age alone.
            if let Item::Tree(tree) = item
                && (is_fresh(entry) || entry.modified.is_none())
            {
                trees.insert(*tree);
            }
        }
        // A disk is kept with the statement that names it, and its tree with it.
        let disks: BTreeSet<Digest> = self
            .entries
            .iter()
            .filter_map(|(item, entry)| match item {
                Item::Image(disk) if trees.contains(disk) || is_fresh(entry) => Some(*disk),
                _ => None,
            })
            .collect();
        trees.extend(disks.iter().filter_map(|disk| self.images.get(disk)));
        let led_to = trees.iter().filter_map(|tree| self.ways.get(tree));
        let packs: BTreeSet<&Digest> = led_to.flat_map(|way| way.packs.keys()).collect();
        let kept = |item: &Item, entry: &Entry| match item {
            Item::Statement { .. } | Item::Input(_) => stays(item, entry),
            Item::Tree(tree) | Item::Way(tree) => trees.contains(tree) || is_fresh(entry),
            Item::Image(disk) => disks.contains(disk),
            Item::Pack(pack) | Item::Index(pack) => packs.contains(pack) || is_fresh(entry),
            Item::Format | Item::Pin(_) | Item::Pushing(_) => true,
        };
        let mut collection = Collection::default();
        let mut remove: Vec<&(Item, Entry)> = Vec::new();
        for one in &self.entries {
            if matches!(one.0, Item::Pushing(_)) {
                // Marks come and go by themselves, that of this collection too.
                continue;
            } else if kept(&one.0, &one.1) {
                collection.kept += 1;
                collection.kept_bytes += one.1.size;
            } else {
                remove.push(one);
            }
        }
        remove.sort_by_key(|(item, _)| order(item));
        collection.remove = remove.into_iter().map(|(_, entry)| entry.clone()).collect();
        collection
    }
}

/// What goes first: the reverse of the order of a push.
fn order(item: &Item) -> u8 {
    match item {
        Item::Statement { .. } => 0,
        Item::Input(_) => 1,
        Item::Image(_) => 2,
        Item::Tree(_) => 3,
        Item::Way(_) => 4,
        Item::Index(_) => 5,
        Item::Pack(_) => 6,
        Item::Format | Item::Pin(_) | Item::Pushing(_) => 7,
    }
}
