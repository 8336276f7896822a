use std::collections::BTreeMap;
use std::io::{self, Read};

use md5::{Digest as _, Md5};

use super::{
    control::{self, Paragraph},
    records,
    relation::{self, Version, is_package_name},
};
use crate::{
    formats::{
        ar,
        compress::{Bounded, Compression, decoder},
        tar,
    },
    path::{BadPath, GuestPath},
    tree::{BlobSink, Content, Draft, Fault, Inode, Kind, Meta, Node, Time, Tree},
};

/// The most bytes of an unpacked control archive. The largest of bookworm have some MiB of templates and md5sums.
const CONTROL_MAX: u64 = 64 << 20;
/// The most bytes of an unpacked data archive, headers and all.
const DATA_MAX: u64 = 16 << 30;

/// A binary package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: Version,
    /// `amd64`, `all`.
    pub architecture: String,
    /// How it stands to packages of other architectures.
    pub multi_arch: MultiArch,
    /// All fields of its control file.
    pub control: Paragraph<'static>,
    /// Its files as it ships them, and dpkg's records of it; see the [room](super).
    pub tree: Tree,
}

/// How a package stands to packages of other architectures (the field `Multi-Arch`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum MultiArch {
    /// It serves its own architecture only.
    #[default]
    No,
    /// It can be there once for each architecture, and serves each.
    Same,
    /// It is there once and serves all.
    Foreign,
    /// It is there once, and who depends on it says whom it must serve.
    Allowed,
}

/// Why a package is refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is no ar archive.
    #[error("the package is no sound ar archive")]
    Ar(#[from] ar::Error),
    /// The members of the ar archive are not those of a package, or not in their order.
    #[error("the package has no member `{wanted}` where one must be, but {found}")]
    Parts {
        /// What must be there.
        wanted: &'static str,
        /// What is there.
        found: String,
    },
    /// The package is in a format that is not known.
    #[error("the package has format version `{0}`, not 2.0")]
    Format(String),
    /// A member cannot be unpacked or holds what is not allowed.
    #[error("the package is refused for its `{part}`")]
    Tar {
        /// Which member of the ar archive.
        part: String,
        /// Why.
        source: tar::Error,
    },
    /// A member cannot be unpacked at all.
    #[error("`{part}` of the package cannot be unpacked")]
    Decoder {
        /// Which member of the ar archive.
        part: String,
        /// Why.
        source: io::Error,
    },
    /// A control file is missing, not a plain file, not text, or not in its format.
    #[error("the package is refused for its control file `{name}`: {what}")]
    ControlFile {
        /// Its name.
        name: String,
        /// What is wrong.
        what: &'static str,
    },
    /// The control file is not in its format.
    #[error("the package is refused for its control file")]
    Control(#[source] control::Malformed),
    /// A field of the control file is missing or has a value it cannot have.
    #[error("the control file of the package has no good field `{0}`")]
    Field(&'static str),
    /// The version is malformed.
    #[error("the control file of the package has no good version")]
    Version(#[source] relation::Malformed),
    /// A configuration file is declared but not there.
    #[error("the package has no file {0}, which it calls a configuration file")]
    Conffile(GuestPath),
    /// A path of the package or of its records is none.
    #[error("a record of the package has no place")]
    Path(#[from] BadPath),
    /// The package ships a file where dpkg keeps its own records.
    #[error("the package ships {0}, which is dpkg's own")]
    Record(GuestPath),
    /// The name of a file has a newline, which dpkg's list of files cannot hold and dpkg does not allow.
    #[error("the package has a newline in the path {0}")]
    Newline(GuestPath),
    /// The files together are no tree.
    #[error("the files of the package are no tree")]
    Tree(#[from] Fault),
    /// A record could not be stored.
    #[error("a record of the package cannot be stored")]
    Store(#[source] io::Error),
}

/// Reads a package: its files go to `sink`, the rest comes back.
///
/// The format is that of deb(5), version 2, with archives in xz, zstd, gzip or plain. The whole of `package` is read, and
/// the checksums of its compressed parts are checked. Directories that it does not ship are root's, mode 0755, with the
/// time of its newest file.
pub fn read(package: impl Read, sink: &dyn BlobSink) -> Result<Package, Error> {
    let mut archive = ar::Archive::open(package)?;
    check_format(&mut archive)?;
    let control = ControlFiles::read(&mut archive)?;
    let paragraph = control.paragraph()?;
    let name = paragraph.get("Package").unwrap_or_default().to_owned();
    let architecture = paragraph.get("Architecture").unwrap_or_default().to_owned();
    if !is_package_name(&name) {
        return Err(Error::Field("Package"));
    }
    if !is_package_name(&architecture) {
        return Err(Error::Field("Architecture"));
    }
    let version = paragraph.get("Version").ok_or(Error::Field("Version"))?;
    let version = relation::version(version).map_err(Error::Version)?;
    let multi_arch = MultiArch::of(&paragraph).ok_or(Error::Field("Multi-Arch"))?;
    let mut conffiles = control.conffiles()?;
    let files = read_data(&mut archive, sink, &mut conffiles)?;
    // What follows is for a later format to say, but it must be sound.
    while archive.next_member()?.is_some() {}
    let stem = match multi_arch {
        MultiArch::Same => format!("{name}:{architecture}"),
        MultiArch::No | MultiArch::Foreign | MultiArch::Allowed => name.clone(),
    };
    let draft = records::add(files, &stem, &paragraph, &control, &conffiles, sink)?;
    Ok(Package {
        name,
        version,
        architecture,
        multi_arch,
        control: paragraph,
        tree: draft.finish()?,
    })
}

impl MultiArch {
    /// None if the field has a value that it cannot have.
    pub(super) fn of(paragraph: &Paragraph<'_>) -> Option<Self> {
        match paragraph.get("Multi-Arch") {
            None | Some("no") => Some(Self::No),
            Some("same") => Some(Self::Same),
            Some("foreign") => Some(Self::Foreign),
            Some("allowed") => Some(Self::Allowed),
            Some(_) => None,
        }
    }
}

/// A configuration file that a package declares.
#[derive(Debug)]
pub(super) struct Conffile {
    pub(super) path: GuestPath,
    /// Known once its content was read; a link or directory has none.
    pub(super) md5: Option<String>,
}

/// What lies in the control archive.
#[derive(Debug)]
pub(super) struct ControlFiles {
    pub(super) files: BTreeMap<String, (Meta, Vec<u8>)>,
}

impl ControlFiles {
    fn read(archive: &mut ar::Archive<impl Read>) -> Result<Self, Error> {
        let mut texts = BTreeMap::new();
        let mut take = |path: &GuestPath, bytes: &mut dyn Read| {
            let mut text = Vec::new();
            bytes.read_to_end(&mut text)?;
            let content = Content::of(&text);
            texts.insert(path.clone(), text);
            Ok(content)
        };
        let draft = read_tar(archive, "control.tar", CONTROL_MAX, &mut take)?;
        let mut files = BTreeMap::new();
        for (path, node) in draft.iter().filter(|(path, _)| !path.is_root()) {
            let name = String::from_utf8_lossy(path.as_bytes()).into_owned();
            let good = |c: char| c.is_ascii_alphanumeric() || "._+-".contains(c);
            match (node, texts.remove(path)) {
                (Node::Inode(inode), Some(text)) if name != "list" && name.chars().all(good) => {
                    files.insert(name, (inode.meta.clone(), text));
                }
                _ => {
                    let what = "it is no plain file, or has a name that dpkg does not allow";
                    return Err(Error::ControlFile { name, what });
                }
            }
        }
        Ok(Self { files })
    }

    fn text(&self, name: &str) -> Result<&str, Error> {
        let fault = |what| Error::ControlFile { name: name.to_owned(), what };
        let (_, text) = self.files.get(name).ok_or_else(|| fault("it is missing"))?;
        std::str::from_utf8(text).map_err(|_| fault("it is not UTF-8"))
    }

    fn paragraph(&self) -> Result<Paragraph<'static>, Error> {
        let paragraph = control::single(self.text("control")?).map_err(Error::Control)?;
        Ok(paragraph.into_owned())
    }

    /// The files that an upgrade must not overwrite. Those to be removed by an upgrade were never there.
    fn conffiles(&self) -> Result<Vec<Conffile>, Error> {
        if !self.files.contains_key("conffiles") {
            return Ok(Vec::new());
        }
        let lines = self.text("conffiles")?.lines().map(str::trim_end);
        let paths =
            lines.filter(|line| !line.is_empty() && !line.starts_with("remove-on-upgrade "));
        let what = "a line is no absolute path";
        let fault = || Error::ControlFile { name: "conffiles".to_owned(), what };
        paths
            .map(|line| {
                let path = line.strip_prefix('/').and_then(|path| GuestPath::new(path).ok());
                Ok(Conffile { path: path.ok_or_else(fault)?, md5: None })
            })
            .collect()
    }
}

fn check_format(archive: &mut ar::Archive<impl Read>) -> Result<(), Error> {
    let wanted = "debian-binary";
    match archive.next_member()? {
        Some(member) if member.name == wanted => (),
        other => return Err(Error::Parts { wanted, found: describe(other) }),
    }
    let mut text = Vec::new();
    let read = archive.by_ref().take(1024).read_to_end(&mut text);
    read.map_err(|source| Error::Decoder { part: wanted.to_owned(), source })?;
    let version = String::from_utf8_lossy(&text);
    // A greater minor number and more lines change nothing for readers of 2.0.
    let line = version.lines().next().unwrap_or_default();
    match line.strip_prefix("2.") {
        Some(minor) if !minor.is_empty() && minor.bytes().all(|b| b.is_ascii_digit()) => Ok(()),
        _ => Err(Error::Format(line.chars().take(32).collect())),
    }
}

/// Finds the next part of the package, whose name is `part` and a suffix for the compression, and reads it.
fn read_tar(
    archive: &mut ar::Archive<impl Read>,
    part: &'static str,
    limit: u64,
    take: &mut dyn FnMut(&GuestPath, &mut dyn Read) -> io::Result<Content>,
) -> Result<Draft, Error> {
    let mut member = archive.next_member()?;
    // deb(5): members with such a name may stand before these two and may be ignored.
    while member.as_ref().is_some_and(|member| member.name.starts_with('_')) {
        member = archive.next_member()?;
    }
    let suffix = member.as_ref().and_then(|member| member.name.strip_prefix(part));
    let Some(compression) = suffix.and_then(Compression::from_suffix) else {
        return Err(Error::Parts { wanted: part, found: describe(member) });
    };
    let part = member.map(|member| member.name).unwrap_or_default();
    let options = tar::Options { max_bytes: limit, ..tar::Options::default() };
    match decoder(compression, archive) {
        Ok(plain) => tar::read(Bounded::new(plain, limit), &options, take)
            .map_err(|source| Error::Tar { part, source }),
        Err(source) => Err(Error::Decoder { part, source }),
    }
}

fn read_data(
    archive: &mut ar::Archive<impl Read>,
    sink: &dyn BlobSink,
    conffiles: &mut [Conffile],
) -> Result<Draft, Error> {
    let places: BTreeMap<GuestPath, usize> =
        conffiles.iter().enumerate().map(|(at, conffile)| (conffile.path.clone(), at)).collect();
    let mut take = |path: &GuestPath, bytes: &mut dyn Read| {
        let Some(conffile) = places.get(path).and_then(|at| conffiles.get_mut(*at)) else {
            return sink.put(bytes);
        };
        let mut hashing = HashingReader { reader: bytes, hasher: Md5::new() };
        let content = sink.put(&mut hashing)?;
        let digits = hashing.hasher.finalize().into_iter().map(|byte| format!("{byte:02x}"));
        conffile.md5 = Some(digits.collect());
        Ok(content)
    };
    let mut draft = read_tar(archive, "data.tar", DATA_MAX, &mut take)?;
    for conffile in conffiles {
        if draft.get(&conffile.path).is_none() {
            return Err(Error::Conffile(conffile.path.clone()));
        }
    }
    if let Some((path, _)) = draft.iter().find(|(path, _)| path.as_bytes().contains(&b'\n')) {
        return Err(Error::Newline(path.clone()));
    }
    let meta = Meta::root_owned(0o755, newest(&draft));
    let paths: Vec<GuestPath> = draft.iter().map(|(path, _)| path.clone()).collect();
    paths.iter().for_each(|path| draft.ensure_parents(path, &meta));
    if draft.get(&GuestPath::root()).is_none() {
        let root = Inode { meta, kind: Kind::Directory };
        draft.insert(GuestPath::root(), Node::Inode(root));
    }
    Ok(draft)
}

/// The time of the newest file; 1970 if there is none.
pub(super) fn newest(draft: &Draft) -> Time {
    let times = draft.iter().filter_map(|(_, node)| match node {
        Node::Inode(inode) => Some(inode.meta.mtime),
        Node::HardLink(_) => None,
    });
    times.max().unwrap_or_default()
}

fn describe(member: Option<ar::Member>) -> String {
    match member {
        Some(member) => format!("`{}`", member.name),
        None => "its end".to_owned(),
    }
}

/// Computes the MD5 of what is read through it: dpkg keeps that of each configuration file.
struct HashingReader<'a> {
    reader: &'a mut dyn Read,
    hasher: Md5,
}

impl Read for HashingReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        Ok(count)
    }
}
