//! What differs between two images, trees, lockfiles or derivations, and why.
//!
//! From the outside in: the steps that made them and the first one to differ, what lockfiles pin, what is around the file
//! systems of a disk, then for each tree its packages, its files with modes, owners, times, attributes and contents, and last the
//! bytes of the file system that no file accounts for. What is in the store is compared by its trees; disks of others are read
//! by `formats::ext4::read`. Nothing is held in memory but trees, metadata and texts below a limit.

mod around;
mod bytes;
mod content;
mod disk;
mod files;
mod host;
mod lockfile;
mod made;
mod packages;
mod report;
mod side;
mod structures;
mod table;
mod text;
mod trees;
mod volume;

use std::{collections::BTreeSet, io, path::PathBuf};

pub use files::Field;
pub use made::{Made, Manifest, ManifestFile, ManifestInput, ManifestStep};
pub use report::{
    BytesDiff, Cause, Change, ContentDiff, FORMAT, FileDiff, LockChange, MadeDiff, PartDiff,
    Report, SectionDiff, StepDiff, StructureDiff, Subject,
};
pub use side::{Body, Bytes, Side};
pub use text::{LINES_MAX, TEXT_MAX};

use crate::{digest::Digest, formats::ext4::read::ReadError, store, store::Store};

/// Is told what is being done, how much of it is done, and how much there is; bytes or files.
pub type Watch<'w> = &'w (dyn Fn(&str, u64, u64) + Sync);

/// How to compare.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// What of files does not count.
    pub ignore: BTreeSet<Field>,
    /// Whether the bytes of file systems are compared even if their files differ.
    pub structures: bool,
}

/// Why two things cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file of the host could not be read.
    #[error("cannot read {}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The same, where the error names its path.
    #[error(transparent)]
    Named(#[from] io::Error),
    /// The store has lost something.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// A path that is nothing to compare.
    #[error("{}: {why}", path.display())]
    Odd {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A file system could not be read.
    #[error("the file system of {name} cannot be read")]
    System {
        /// Of which side, and which partition.
        name: String,
        /// Why not.
        source: ReadError,
    },
    /// A disk of ours cannot be laid out.
    #[error("the disk of {name} cannot be laid out: {why}")]
    Layout {
        /// The image.
        name: String,
        /// Why not.
        why: String,
    },
    /// A disk has no such partition, or nothing that can be read there.
    #[error("{name} has no file system in partition {number}; there is one in {}", list(have))]
    NoPartition {
        /// The disk.
        name: String,
        /// What was asked for.
        number: u32,
        /// Where there is one.
        have: Vec<u32>,
    },
    /// A disk has several file systems, and only one can be meant.
    #[error("{name} has several file systems, in {}, and {other} has one", list(have))]
    Several {
        /// The disk.
        name: String,
        /// Its partitions.
        have: Vec<u32>,
        /// What it is compared with.
        other: String,
    },
    /// Two things that have nothing in common.
    #[error("{} cannot be compared with {}", what(a), what(b))]
    Apart {
        /// The first one.
        a: Subject,
        /// The second one.
        b: Subject,
    },
    /// There is nothing to compare yet.
    #[error("{name} is not built, and {other} does not say how it was made")]
    Unmade {
        /// What is not built.
        name: String,
        /// What it is compared with.
        other: String,
    },
}

/// What something is, in words: `out (a directory)`.
fn what(subject: &Subject) -> String {
    let article = if subject.kind.starts_with('i') { "an" } else { "a" };
    format!("{} ({article} {})", subject.name, subject.kind)
}

fn list(numbers: &[u32]) -> String {
    let words: Vec<String> = numbers.iter().map(|number| format!("partition {number}")).collect();
    if words.is_empty() { "none".to_owned() } else { words.join(", ") }
}

/// Compares two things.
pub fn compare(
    a: &Side,
    b: &Side,
    options: &Options,
    store: &Store,
    watch: Watch<'_>,
) -> Result<Report, Error> {
    let subject = |side: &Side| Subject { name: side.name.clone(), kind: side.kind };
    let mut report = Report { format: FORMAT, a: subject(a), b: subject(b), ..Report::default() };
    if let (Some(before), Some(after)) = (&a.made, &b.made) {
        report.made = Some(made::compare(before, after));
    }
    if let (Some(before), Some(after)) = (&a.cmdline, &b.cmdline)
        && before != after
    {
        report.around.push(Change::new("command line", before, after));
    }
    let mut same = true;
    match (&a.body, &b.body) {
        (Body::Lock(before), Body::Lock(after)) => report.lock = lockfile::compare(before, after),
        (Body::File(before), Body::File(after)) => {
            let part = trees::plain_files(before, after, store)?;
            report.parts.push(part);
        }
        // Such as a disk whose superblock is gone.
        (Body::File(before), Body::Disk { path: after, partition: None })
        | (Body::Disk { path: before, partition: None }, Body::File(after)) => {
            let file = if matches!(a.body, Body::File(_)) { a } else { b };
            report.notes.push(format!(
                "{} has no file system that can be read: the bytes were compared",
                file.name
            ));
            report.parts.push(trees::plain_files(before, after, store)?);
        }
        (Body::Lock(_) | Body::File(_), _) | (_, Body::Lock(_) | Body::File(_)) => {
            return Err(Error::Apart { a: report.a, b: report.b });
        }
        (Body::Unmade, _) | (_, Body::Unmade) => {
            let (unmade, other) = if matches!(a.body, Body::Unmade) { (a, b) } else { (b, a) };
            let Some(made) = &report.made else {
                let (name, other) = (unmade.name.clone(), other.name.clone());
                return Err(Error::Unmade { name, other });
            };
            same = made.steps.is_empty();
            let mut note =
                format!("{} is not built: only what goes into both was compared", unmade.name);
            if let (Some(before), Some(after)) = (&a.made, &b.made)
                && let count @ 1.. = made::unknown(before, after)
            {
                note.push_str(&format!(", and of {count} steps not even that is known"));
            }
            report.notes.push(note);
        }
        (
            Body::Trees { .. } | Body::Directory(_) | Body::Disk { .. },
            Body::Trees { .. } | Body::Directory(_) | Body::Disk { .. },
        ) => trees::compare(a, b, options, store, watch, &mut report)?,
    }
    report.same = same && report.is_same();
    Ok(report)
}

/// A tree or a blob of the store as a side: by its own digest, or by the key that it came of.
pub fn by_digest(name: &str, digest: &Digest, store: &Store) -> Result<Option<Side>, Error> {
    let output = store.realisation(digest)?.map_or(*digest, |made| made.output);
    let (kind, body) = if store.has_tree(&output) {
        ("tree", Body::Trees { parts: vec![(String::new(), output)], disk: None })
    } else if store.has_blob(&output) {
        ("file", Body::File(store.blob_path(&output)))
    } else {
        return Ok(None);
    };
    Ok(Some(Side { name: name.to_owned(), kind, cmdline: None, made: None, body }))
}
