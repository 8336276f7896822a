use std::{
    io,
    path::{Path, PathBuf},
};

use fs_err::{self as fs, File};

use super::{Progress, Want};
use crate::digest::Digest;

/// A directory that has files by their sha256: `ab/HEX`, where `ab` are the first two digits of HEX.
#[derive(Debug)]
pub(super) struct Shelf {
    dir: PathBuf,
}

impl Shelf {
    /// The directory need not be there.
    pub(super) fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// Copies a file into `partial`, in place of what is there, and says whether it was here and is what it should be. What is
    /// not counts as a server that failed. Only what happens to `partial` is an error.
    pub(super) fn take(
        &self,
        want: &Want,
        partial: &Path,
        progress: &dyn Fn(Progress<'_>),
    ) -> io::Result<bool> {
        let hex = want.sha256.hex();
        let place = self.dir.join(&hex[..2]).join(hex);
        let failed = |why: &str| {
            progress(Progress::Failed { url: &place.display().to_string(), why });
            Ok(false)
        };
        let mut from = match File::open(&place) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return failed(&error.to_string()),
        };
        let found = from.metadata()?.len();
        if found != want.size {
            return failed(&format!("it has {found} bytes, not {}", want.size));
        }
        progress(Progress::Asked { url: &place.display().to_string(), from: 0 });
        // A reflink, where the file systems can do that.
        io::copy(&mut from, &mut File::create(partial)?)?;
        let found = Digest::read(&mut File::open(partial)?)?;
        if found != want.sha256 {
            fs::remove_file(partial)?;
            return failed(&format!("its bytes are {found}"));
        }
        progress(Progress::Reached(want.size));
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::fetch::Source;

    #[test]
    fn only_what_is_whole_and_right_is_taken() {
        let dir = tempfile::TempDir::new().unwrap();
        let sha256 = Digest::of("bytes");
        let source = Source::Archive { archive: "a".to_owned(), path: "p".to_owned() };
        let want = Want { source, size: 5, sha256 };
        let (shelf, partial) = (Shelf::new(dir.path().to_owned()), dir.path().join("partial"));
        let place = dir.path().join(&sha256.hex()[..2]).join(sha256.hex());
        let said = RefCell::new(Vec::new());
        let take = || {
            shelf.take(&want, &partial, &|event| {
                if let Progress::Failed { why, .. } = event {
                    said.borrow_mut().push(why.to_owned());
                }
            })
        };
        assert!(!take().unwrap(), "it is not there");
        fs::create_dir(place.parent().unwrap()).unwrap();
        for wrong in ["short", "byte", "bytes and more"] {
            fs::write(&place, wrong).unwrap();
            assert!(!take().unwrap(), "{wrong}");
            assert!(!partial.exists() || fs::read(&partial).unwrap().is_empty());
        }
        assert_eq!(said.borrow().len(), 3);
        fs::write(&place, "bytes").unwrap();
        fs::write(&partial, "what another try left").unwrap();
        assert!(take().unwrap());
        assert_eq!(fs::read(&partial).unwrap(), b"bytes");
    }
}
