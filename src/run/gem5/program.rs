use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use fs_err as fs;
use serde::{Deserialize, Serialize};

use super::Error;
use crate::{digest::Digest, store::Store, tree::Time};

/// A gem5 that a user brought.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Program {
    /// Where it is.
    #[serde(skip)]
    pub path: PathBuf,
    /// The digest of its bytes.
    pub sha256: Digest,
    /// What it calls its version.
    pub version: String,
    /// Whether it can have the host's processor run the guest.
    #[serde(skip)]
    pub kvm: bool,
}

/// The fixed configuration of gem5, as files on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Harness {
    /// The directory.
    pub dir: PathBuf,
    /// The digest of its tree.
    pub digest: Digest,
}

/// What `harness/probe.py` prints.
#[derive(Deserialize)]
struct Probed {
    #[serde(rename = "vsbuild-probe")]
    _format: u32,
    version: String,
    isas: Vec<String>,
    kvm: bool,
}

impl Harness {
    /// Writes its files, by their paths in it, into the directory `dir`, which is not there yet.
    pub fn write(
        files: &BTreeMap<&str, &[u8]>,
        dir: PathBuf,
        store: &Store,
    ) -> Result<Self, Error> {
        for (path, bytes) in files {
            let path = dir.join(path);
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)?;
            }
            fs::write(path, bytes)?;
        }
        let digest = store.import(&dir, Time::from_seconds(0))?.digest();
        Ok(Self { dir, digest })
    }
}

impl Program {
    /// Asks the program at `path` what it is. `scratch` is a directory for what gem5 writes at every start.
    pub fn probe(path: &Path, harness: &Harness, scratch: &Path) -> Result<Self, Error> {
        let start = |source| Error::Start { program: path.to_owned(), source };
        let output = Command::new(path)
            .args(["--quiet", "--listener-mode=off", "--outdir"])
            .arg(scratch.join("probe"))
            .arg(harness.dir.join("probe.py"))
            .env_remove("PYTHONPATH")
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::null())
            .output()
            .map_err(start)?;
        let text = String::from_utf8_lossy(&output.stdout);
        let probed = text.lines().find_map(|line| serde_json::from_str::<Probed>(line).ok());
        let Some(Probed { version, isas, kvm, .. }) = probed else {
            let complaint = String::from_utf8_lossy(&output.stderr);
            let complaint = complaint.lines().last().unwrap_or("it said nothing").to_owned();
            return Err(Error::NotGem5 { program: path.to_owned(), complaint });
        };
        if !isas.iter().any(|isa| isa == "x86") {
            return Err(Error::NotGem5 {
                program: path.to_owned(),
                complaint: "it was built without X86".to_owned(),
            });
        }
        let kvm = kvm && fs::OpenOptions::new().read(true).write(true).open("/dev/kvm").is_ok();
        Ok(Self { path: path.to_owned(), sha256: digest_of(path)?, version, kvm })
    }
}

/// The digest of a file's bytes.
pub fn digest_of(path: &Path) -> io::Result<Digest> {
    Digest::read(&mut fs::File::open(path)?)
}
