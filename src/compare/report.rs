//! What a comparison comes to. Serialised, it is the form of `vsbuild diff --json`, which docs/diff.md describes.

use serde::Serialize;

/// Version of the form.
pub const FORMAT: u32 = 1;

/// All that differs between two things, from the outside in.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Report {
    /// Version of this form: [`FORMAT`].
    #[serde(rename = "vsbuild-diff")]
    pub format: u32,
    /// The first.
    pub a: Subject,
    /// The second.
    pub b: Subject,
    /// Whether nothing differs of what was compared.
    pub same: bool,
    /// How they were made, where both sides say so.
    pub made: Option<MadeDiff>,
    /// What two lockfiles pin.
    pub lock: Vec<LockChange>,
    /// What is around the trees: the kernel's command line, sizes, partition tables.
    pub around: Vec<Change>,
    /// Trees: the root file system, the kernel, a partition.
    pub parts: Vec<PartDiff>,
    /// What a reader should know of what was not compared.
    pub notes: Vec<String>,
}

/// One of the two things.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Subject {
    /// As it was asked for.
    pub name: String,
    /// `image`, `recipe`, `tree`, `directory`, `disk`, `file` or `lockfile`.
    pub kind: &'static str,
}

/// One value on both sides; none where a side has no such thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// What it is.
    pub what: String,
    /// What it was.
    pub before: Option<String>,
    /// What it is now.
    pub after: Option<String>,
}

impl Change {
    /// A value that both sides have.
    pub fn new(what: impl Into<String>, before: impl ToString, after: impl ToString) -> Self {
        let (before, after) = (Some(before.to_string()), Some(after.to_string()));
        Self { what: what.into(), before, after }
    }
}

/// How the recipes' steps differ.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct MadeDiff {
    /// The first difference that does not follow from another: its step. None if the steps are the same.
    pub first: Option<String>,
    /// Steps that are not the same, each after those that it needs.
    pub steps: Vec<StepDiff>,
}

/// One step that is not the same.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct StepDiff {
    /// What a person calls it.
    pub name: String,
    /// `fetch`, `unpack`, `run` and so on.
    pub kind: String,
    /// Why it is not the same.
    pub cause: Cause,
    /// What its own definition has otherwise.
    pub fields: Vec<Change>,
    /// The steps it needs that are not the same.
    pub follows: Vec<String>,
    /// The keys.
    pub key: [Option<String>; 2],
    /// The digests of what it came to.
    pub output: [Option<String>; 2],
}

/// Why a step is not the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// Only the second has it.
    Added,
    /// Only the first has it.
    Removed,
    /// It is fetched, and it is another file.
    Input,
    /// Its recipe, or a local file of the recipe, is another one.
    Definition,
    /// Nothing that goes into it differs, and it came to something else: it is not reproducible.
    Unfaithful,
    /// What it needs is not the same.
    Follows,
    /// Its key is another one; nobody knows any longer why.
    Unknown,
}

/// One thing that two lockfiles pin otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LockChange {
    /// `suite`, `package`, `image` or `output`; `other` if only what has no influence on builds differs.
    pub kind: &'static str,
    /// The set, image or archive that it is of.
    pub of: String,
    /// What it was and is: versions, dates or digests.
    #[serde(flatten)]
    pub change: Change,
}

/// What differs of a tree, and of the bytes around it.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct PartDiff {
    /// `rootfs`, `kernel`, `partition 2`; empty if there is only one.
    pub name: String,
    /// How many paths both have together.
    pub paths: usize,
    /// Debian packages in it, by dpkg's own record.
    pub packages: Vec<Change>,
    /// Files, in the order of paths.
    pub files: Vec<FileDiff>,
    /// Bytes of the file system outside of files.
    pub structures: Vec<StructureDiff>,
}

impl Report {
    /// Whether nothing differs of what the two things are, however they were made.
    pub(super) fn is_same(&self) -> bool {
        let parts = self.parts.iter().all(PartDiff::is_same);
        self.lock.is_empty() && self.around.is_empty() && parts
    }
}

impl PartDiff {
    /// Whether nothing differs.
    pub fn is_same(&self) -> bool {
        self.packages.is_empty() && self.files.is_empty() && self.structures.is_empty()
    }
}

/// One path that is not the same.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FileDiff {
    /// Where, with a leading slash.
    pub path: String,
    /// `added`, `removed` or `changed`.
    pub change: &'static str,
    /// What it is: `file`, `directory`, `link`, `hard link` and so on; on the second side if both have it.
    pub kind: &'static str,
    /// What differs but the bytes of a regular file.
    pub fields: Vec<Change>,
    /// How the bytes of a regular file differ.
    pub content: Option<ContentDiff>,
}

/// How the bytes of two files differ.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "form", rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum ContentDiff {
    /// Lines of text.
    Text {
        /// Lines that only the second has.
        added: usize,
        /// Lines that only the first has.
        removed: usize,
        /// A unified diff without a head.
        unified: String,
    },
    /// Programs and libraries.
    Elf {
        /// The sections that differ, in the order of the first file.
        sections: Vec<SectionDiff>,
        /// The build id, if that differs.
        build_id: Option<Change>,
        /// The files as a whole.
        bytes: BytesDiff,
    },
    /// Anything else.
    Bytes(BytesDiff),
}

/// How two runs of bytes differ.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct BytesDiff {
    /// What they look like: `gzip`, `ar` and so on.
    pub format: Option<&'static str>,
    /// Lengths in bytes.
    pub size: [u64; 2],
    /// Bytes that differ, as far as both go.
    pub count: u64,
    /// Offset of the first one that differs; none if one is the beginning of the other.
    pub first: Option<u64>,
    /// Offset of [`Self::before`] and [`Self::after`]: that of the first difference rounded down to 16.
    pub around: u64,
    /// Up to 16 bytes there in the first, in hexadecimal.
    pub before: String,
    /// The same in the second.
    pub after: String,
    /// Why no better diff was made, if that was for a limit.
    pub limit: Option<String>,
}

/// One section of an ELF file that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SectionDiff {
    /// Its name.
    pub name: String,
    /// Lengths; none where a side does not have it.
    pub size: [Option<u64>; 2],
    /// Bytes that differ, as far as both go.
    pub count: u64,
    /// Offset in the section of the first that differs.
    pub first: Option<u64>,
    /// What its header has otherwise: address, kind or flags.
    pub fields: Vec<Change>,
}

/// Bytes of a file system that differ and are in no file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StructureDiff {
    /// `superblock`, `group descriptor`, `inode`, `directory` and so on.
    pub structure: &'static str,
    /// Which one: a group's or an inode's number.
    pub number: Option<u64>,
    /// The path of that inode.
    pub path: Option<String>,
    /// The field, where structures have fields; of a bitmap the first block or inode whose bit differs.
    pub field: Option<String>,
    /// The value in the first.
    pub before: Option<String>,
    /// The value in the second.
    pub after: Option<String>,
    /// Offset of the first byte that differs, from the beginning of the file system.
    pub first: u64,
    /// How many bytes differ.
    pub count: u64,
}
