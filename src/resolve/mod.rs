//! Asks the outside world and writes a new lock.
//!
//! The indexes of a suite are believed because a key of a [`Keyring`] signed the list of their digests, and a package
//! because an index names its digest. [`Archives`] reads them, a [`Universe`] is what they offer together, and
//! [`lock()`] asks it for each set of packages.

mod archives;
mod clearsign;
mod error;
mod images;
mod keyring;
mod renew;
mod solve;
mod universe;
mod walk;

pub use archives::{Archives, Trust};
pub use error::{Error, SuiteFault};
pub use keyring::{Keyring, Rejected, SignatureError, Verified};
pub use renew::{Update, lock};
pub use solve::Unsolvable;
pub use universe::Universe;
