use rayon::prelude::*;
use serde::Serialize;

use super::{Faults, guest, kernel, programs, scan::Scanner};
use crate::{
    digest::Digest,
    tree::{Blobs, Tree},
};

/// An image that is to be judged.
pub struct Subject<'a> {
    /// The kernel's output: `vmlinux`, and `config` if it is there.
    pub kernel: &'a Tree,
    /// The root file system.
    pub rootfs: &'a Tree,
    /// The files of both.
    pub blobs: &'a dyn Blobs,
    /// The kernel's command line.
    pub cmdline: &'a str,
    /// The device that has the root file system, as the disk was laid out.
    pub root_device: &'a str,
    /// Bytes that the disk has at least.
    pub disk: u64,
    /// Bytes of memory that a run has, if nothing else is said.
    pub memory: u64,
    /// Processors that a run has, if nothing else is said.
    pub cores: u32,
    /// What is known of the gem5 that is to run it.
    pub faults: &'a Faults,
}

/// How bad something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// It will not run, or what is measured will be wrong.
    Error,
    /// It may go wrong.
    Warning,
    /// Good to know.
    Note,
}

/// Something that was found, with all places of one kind together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub level: Level,
    /// A fixed name for programs that read this, such as `kernel-driver`.
    pub check: String,
    /// What is there, and what comes of it.
    pub what: String,
    /// What to do about it.
    pub help: String,
    /// Where it is, each place a line: a path in the image, and what it is there.
    pub places: Vec<String>,
}

impl Finding {
    pub(super) fn new(level: Level, check: &str, what: impl Into<String>, help: &str) -> Self {
        let (check, help) = (check.to_owned(), help.to_owned());
        Self { level, check, what: what.into(), help, places: Vec::new() }
    }

    pub(super) fn at(mut self, places: impl IntoIterator<Item = String>) -> Self {
        self.places.extend(places);
        self
    }
}

/// What came of looking at an image.
#[derive(Debug, Clone, Serialize)]
pub struct Linted {
    /// Programs and libraries that were disassembled, each content once.
    pub programs: usize,
    /// Their instructions.
    pub instructions: u64,
    /// What was found, the worst first.
    pub findings: Vec<Finding>,
}

/// Why an image could not be judged.
#[derive(Debug, thiserror::Error)]
#[error("reading {digest}")]
pub struct Error {
    /// The file that could not be read.
    pub digest: Digest,
    /// Why not.
    pub source: std::io::Error,
}

/// Judges an image: reads and disassembles all that could be executed in it, on all cores.
pub fn lint(subject: &Subject<'_>) -> Result<Linted, Error> {
    let scanner = Scanner::new(subject.faults);
    let files = programs::candidates(subject.rootfs);
    let scanned = files
        .par_iter()
        .map(|(digest, paths)| programs::scan(&scanner, subject.blobs, digest, paths));
    let scanned: Vec<_> = scanned.collect::<Result<_, _>>()?;
    let mut scanned: Vec<_> = scanned.into_iter().flatten().collect();
    scanned.sort_by(|a, b| a.paths().cmp(b.paths()));
    let mut findings = kernel::check(subject)?;
    findings.extend(guest::check(subject)?);
    findings.extend(programs::check(subject, &scanned)?);
    // The order within a level is that of the checks.
    findings.sort_by_key(|finding| finding.level);
    Ok(Linted {
        programs: scanned.len(),
        instructions: scanned.iter().map(programs::Scanned::instructions).sum(),
        findings,
    })
}

/// The bytes of a file.
pub(super) fn read(subject: &Subject<'_>, digest: &Digest) -> Result<Vec<u8>, Error> {
    subject.blobs.read(digest).map_err(|source| Error { digest: *digest, source })
}
