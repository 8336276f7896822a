//! The content-addressed store on disk: objects, outputs, roots, garbage.
//!
//! ```text
//! format                 the version of this layout
//! lock                   held shared by everything that adds, exclusively by what removes
//! blobs/ab/HEX           the bytes of one file; read-only, named by their sha256
//! programs/ab/HEX        the same bytes with the execute bit, for trees that are run; made when first needed
//! trees/ab/HEX           a manifest, named by its sha256
//! realisations/ab/HEX    what a key came to, as JSON
//! logs/ab/HEX            what a script printed, by key
//! statements/ab/HEX      what others said of outputs that were taken from them, as they signed it, named by its sha256
//! attested/ab/HEX/ID     what was signed here of a step that was made a second time, by plan key and id of the key
//! roots/NAME             what is kept, as JSON
//! partial/HEX            downloads under way; the next try goes on where one stopped
//! leases/HEX             locks, one for each thing that is being made
//! scratch/NAME           what running programs work on, and the sandboxes that a user asked to keep; the rest is swept
//!                        by the next program that has the store for itself
//! quarantine/HEX         what was damaged
//! remotes/HEX/           what is known of one place elsewhere, named by the sha256 of its address; may be removed at any time
//! ```
//!
//! Every object appears by a rename, complete, or not at all: a kill at any moment leaves a store that works. Nothing is
//! flushed to the platter, so after a power cut a file may be empty or short; [`Store::verify`] reads every byte and puts
//! aside what is damaged, which then counts as absent and is made again.

mod age;
mod attest;
mod import;
mod lease;
mod materialise;
mod objects;
mod outputs;
mod roots;
mod statements;
mod sweep;
mod verify;

use std::{
    ffi::OsString,
    io::{self, Write},
    path::{Path, PathBuf},
};

use fs_err as fs;

pub use lease::{Lease, Scratch};
pub use outputs::Realisation;
pub use roots::{PIN, Root};
pub use sweep::{Kind, Object, Spare, Sweep};
pub use verify::{Damage, Verified};

use crate::{digest::Digest, path::GuestPath, tree::BadManifest};

/// The layout's version. A store of another one is refused, not guessed at.
const FORMAT: &str = "vsbuild-store 1\n";

/// A store that is open. Any number of programs may have it open at once.
#[derive(Debug)]
pub struct Store {
    dir: PathBuf,
    /// Held shared as long as the store is open, so that nothing is removed under our hands.
    lock: fs::File,
}

/// Why the store could not do something. I/O errors name their path.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Reading or writing failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It was made by another vsbuild.
    #[error("{} is no store of this version of vsbuild (its format is {found:?})", dir.display())]
    OtherFormat {
        /// Where.
        dir: PathBuf,
        /// What its format file says.
        found: String,
    },
    /// An object is not in the store.
    #[error("{0} is not in the store")]
    Absent(Digest),
    /// Bytes do not have the digest that they should have.
    #[error("the bytes of {} have the digest {found}, not {expected}", path.display())]
    WrongDigest {
        /// The file.
        path: PathBuf,
        /// The digest it should have.
        expected: Digest,
        /// The digest it has.
        found: Digest,
    },
    /// A manifest is damaged.
    #[error("tree {tree} is damaged; `vsbuild store verify` puts it aside")]
    BadTree {
        /// Which.
        tree: Digest,
        /// What is wrong with it.
        source: BadManifest,
    },
    /// A record is damaged.
    #[error("{} is damaged", path.display())]
    BadRecord {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A host file that no tree can hold.
    #[error("{}: {what}", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A name that is no name of a root.
    #[error("`{0}` is not a name for a root")]
    BadName(String),
    /// A path in a tree cannot be made on the host.
    #[error("cannot make {path} in {}", dir.display())]
    CannotMake {
        /// The path in the tree.
        path: GuestPath,
        /// Where on the host.
        dir: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// The directories of a store.
const ROOMS: [&str; 12] = [
    "blobs",
    "programs",
    "trees",
    "realisations",
    "logs",
    "statements",
    "roots",
    "remotes",
    "partial",
    "leases",
    "scratch",
    "quarantine",
];

impl Store {
    /// Opens the store in `dir`, or makes one.
    pub fn open(dir: &Path) -> Result<Self, Error> {
        for room in ROOMS {
            fs::create_dir_all(dir.join(room))?;
        }
        // Sandboxes and leases name the store's files from other directories.
        let dir = fs::canonicalize(dir)?;
        let format = dir.join("format");
        match fs::read_to_string(&format) {
            Ok(found) if found == FORMAT => (),
            Ok(found) => return Err(Error::OtherFormat { dir, found }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let mut file = tempfile::NamedTempFile::new_in(&dir)?;
                file.write_all(FORMAT.as_bytes())?;
                file.persist(&format).map_err(|error| error.error)?;
            }
            Err(error) => return Err(error.into()),
        }
        let store = Self { lock: lease::file(&dir.join("lock"))?, dir };
        if lease::try_exclusive(&store.lock)? {
            store.tidy()?;
        }
        lease::shared(&store.lock)?;
        Ok(store)
    }

    /// Where a user's store is: `$XDG_DATA_HOME/vsbuild`, else `$HOME/.local/share/vsbuild` (XDG base directories 0.8).
    pub fn default_dir(data_home: Option<OsString>, home: Option<OsString>) -> Option<PathBuf> {
        let absolute = |dir: OsString| Some(PathBuf::from(dir)).filter(|dir| dir.is_absolute());
        let data_home = data_home.and_then(absolute);
        let data = data_home.or_else(|| Some(home.and_then(absolute)?.join(".local/share")))?;
        Some(data.join("vsbuild"))
    }

    /// The directory that it is in.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where an object of a room is, by digest.
    fn place(&self, room: &str, digest: &Digest) -> PathBuf {
        let hex = digest.hex();
        self.dir.join(room).join(&hex[..2]).join(hex)
    }

    /// A directory for notes about a place elsewhere, by its address.
    pub fn notes_of(&self, address: &str) -> Result<PathBuf, Error> {
        let dir = self.dir.join("remotes").join(Digest::of(address).hex());
        fs::create_dir_all(&dir)?;
        Ok(dir)
    }

    /// A name in the store's own file system that nobody else uses, for a file that is to be renamed.
    fn staging(&self) -> io::Result<tempfile::NamedTempFile> {
        tempfile::Builder::new().prefix(".new-").tempfile_in(self.dir.join("scratch"))
    }

    /// Puts a whole file in its place, instead of one that is there.
    fn settle(&self, file: tempfile::NamedTempFile, place: &Path) -> Result<(), Error> {
        make_room(place)?;
        file.persist(place).map_err(|error| io::Error::new(error.error.kind(), error))?;
        Ok(())
    }

    /// Puts an object in its place. One that is there already stays, since it is the same, and someone may be linking it.
    fn settle_object(&self, file: tempfile::NamedTempFile, place: &Path) -> Result<(), Error> {
        make_room(place)?;
        match file.persist_noclobber(place) {
            Err(error) if error.error.kind() != io::ErrorKind::AlreadyExists => {
                Err(io::Error::new(error.error.kind(), error).into())
            }
            Ok(_) | Err(_) => Ok(()),
        }
    }
}

/// Makes the directory that a file is to be in.
fn make_room(place: &Path) -> io::Result<()> {
    place.parent().map_or(Ok(()), fs::create_dir_all)
}
