//! Outputs of other builders: what is sent to and taken from a cache, and in which form.
//!
//! A cache is any [`Remote`] with the layout of [`Item`]. Blobs travel in packs, so that a push or pull is bound by the
//! network's width and not by the number of files. Nothing in a cache is believed but for a digest or a signature: packs,
//! blobs, trees and inputs are what they are called, or an error; statements count when a key that is trusted signed them;
//! indexes and ways are hints, and a wrong one leads to an error, never to wrong bytes. So a cache can lie about nothing
//! but absence.

mod cover;
mod crowd;
mod error;
mod gc;
mod image;
mod index;
mod inventory;
mod known;
mod layout;
mod mark;
mod pack;
mod pin;
mod pull;
mod push;
mod send;
mod statements;
mod substituters;
mod way;

use std::{
    collections::BTreeMap,
    num::NonZero,
    sync::{Arc, Mutex},
};

pub use error::Error;
pub use gc::{Collection, Terms};
pub use image::{BadImage, Image};
pub use index::{BadIndex, Index, Segment};
pub use inventory::{Contents, Overview, Room};
pub use layout::{FORMAT, Item};
pub use mark::{BadMark, check_mark};
pub use pack::{PACK_SIZE, PACKED_MOST, unpack};
pub use pin::{Lacking, Pin};
pub use push::{Parcel, PushPlan, Said};
pub use statements::{Answers, Heard, Refused};
pub use substituters::{Source, Substituters};
pub use way::{BadWay, Way};

use crate::{digest::Digest, remote::Remote};

/// How many packs or inputs are under way at once, if nothing else is said.
const WIDE: usize = 8;
/// How many small things are asked for at once.
const SMALL: usize = 16;
/// The longest `format` that is read, in bytes.
const LONGEST_FORMAT: u64 = 64;

/// A cache, wherever it is.
#[derive(Debug)]
pub struct Cache {
    remote: Box<dyn Remote>,
    /// How many packs or inputs are under way at once.
    at_once: usize,
    /// What was read already, by pack.
    indexes: Mutex<BTreeMap<Digest, Arc<Index>>>,
}

impl Cache {
    /// Nothing is asked yet.
    pub fn new(remote: Box<dyn Remote>) -> Self {
        Self { remote, at_once: WIDE, indexes: Mutex::default() }
    }

    /// The same with so many packs or inputs under way at once; each takes some 32 MiB of memory.
    #[must_use]
    pub fn at_once(self, at_once: NonZero<usize>) -> Self {
        Self { at_once: at_once.get(), ..self }
    }

    /// Its address, for a person.
    pub fn address(&self) -> &str {
        self.remote.address()
    }

    /// Where it is.
    pub fn remote(&self) -> &dyn Remote {
        &*self.remote
    }

    /// Makes sure that it is a cache of this layout; says whether there is anything at all.
    pub fn check(&self) -> Result<bool, Error> {
        match self.remote.get(&Item::Format.name(), LONGEST_FORMAT)? {
            None => Ok(false),
            Some(found) if found == FORMAT.as_bytes() => Ok(true),
            Some(found) => {
                let found = String::from_utf8_lossy(&found).trim_end().to_owned();
                Err(Error::OtherFormat { address: self.address().to_owned(), found })
            }
        }
    }

    fn wrong(&self, item: &Item, why: impl ToString) -> Error {
        Error::Remote(crate::remote::Error::Wrong {
            address: self.address().to_owned(),
            name: item.name().to_string(),
            why: why.to_string(),
        })
    }
}
