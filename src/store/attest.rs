//! What was found out here by building a second time, as it was signed.

use std::io::Write;

use fs_err as fs;

use super::{Error, Store, make_room};
use crate::digest::Digest;

/// The directory of what was signed here: `attested/ab/PLANKEY/KEYID`, as in a cache.
const ATTESTED: &str = "attested";

impl Store {
    /// Keeps a statement about a step, by the step's plan key and the signing key's id, in place of one that is there. What it
    /// says is not looked at.
    pub fn attest(&self, plan_key: &Digest, by: &str, bytes: &[u8]) -> Result<(), Error> {
        let mut file = self.staging()?;
        file.write_all(bytes)?;
        let place = self.place(ATTESTED, plan_key).join(by);
        make_room(&place)?;
        self.settle(file, &place)
    }

    /// The statement about a step that a key signed here, if there is one.
    pub fn attested(&self, plan_key: &Digest, by: &str) -> Result<Option<Vec<u8>>, Error> {
        match fs::read(self.place(ATTESTED, plan_key).join(by)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_statement_of_a_key_about_a_step_is_kept() {
        let dir = tempfile::TempDir::new().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let (one, other) = (Digest::of("one"), Digest::of("other"));
        assert_eq!(store.attested(&one, "a").unwrap(), None);
        store.attest(&one, "a", b"first").unwrap();
        store.attest(&one, "a", b"second").unwrap();
        store.attest(&one, "b", b"of b").unwrap();
        assert_eq!(store.attested(&one, "a").unwrap().unwrap(), b"second");
        assert_eq!(store.attested(&one, "b").unwrap().unwrap(), b"of b");
        assert_eq!(store.attested(&other, "a").unwrap(), None);
    }
}
