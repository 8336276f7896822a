//! Whom to believe and what to sign with, as the configuration says.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    num::NonZero,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use fs_err::{self as fs, os::unix::fs::OpenOptionsExt};

use super::{
    config::{Trust, TrustRule, Which},
    context::{Context, config_home},
    problem::{Failure, Problem},
};
use crate::trust::{Keys, Policy, Rule, SecretKey};

/// What nobody but the owner may have of a secret key's file.
const OTHERS: u32 = 0o077;

impl Context {
    /// Whose statements count, and how many must agree: as the configuration says, and the command line. What goes for single
    /// caches comes in with these.
    pub(super) fn policy(&self) -> Policy {
        let Trust { keys, revoked, need, recipes } = &self.config.trust;
        let rules = recipes.iter().map(|(name, rule)| (name.clone(), self::rule(rule)));
        Policy {
            keys: Keys::new(keys.iter().cloned(), revoked.iter().map(|Which(id)| *id))
                .with(self.global.substitute.trusted_keys.iter().cloned()),
            need: need.map_or(1, NonZero::get),
            recipes: rules.collect(),
            at: BTreeMap::new(),
            need_at: BTreeMap::new(),
        }
    }

    /// The key that signs what is built here: the one that the configuration names, or else the one that `key generate` made.
    pub(super) fn signing_key(&self) -> Result<Option<SecretKey>, Problem> {
        let file = self.key_file();
        let named = self.config.sign.key.is_some();
        (named || file.exists()).then(|| read(&file)).transpose()
    }

    /// The same where nothing goes without one.
    pub(super) fn need_signing_key(&self) -> Result<SecretKey, Problem> {
        self.signing_key()?.ok_or_else(|| {
            Problem::new(Failure::Input, "there is no key to sign with").help(
                "vsbuild key generate NAME makes one; `key` of [sign] in the configuration file names another file",
            )
        })
    }

    /// Where a key is that is named nowhere else.
    pub(super) fn key_file(&self) -> PathBuf {
        self.config.sign.key.clone().unwrap_or_else(default_file)
    }
}

/// Where a new key goes.
pub(super) fn default_file() -> PathBuf {
    config_home().join("vsbuild/key")
}

fn rule(TrustRule { need, keys }: &TrustRule) -> Rule {
    let ids = |keys: &Vec<Which>| keys.iter().map(|Which(id)| *id).collect();
    Rule { need: need.map(NonZero::get), keys: keys.as_ref().map(ids) }
}

/// Reads a secret key, unless others could have read it as well.
pub(super) fn read(file: &Path) -> Result<SecretKey, Problem> {
    let failed = |error: io::Error| {
        Problem::from_error(Failure::Input, &error)
            .help("vsbuild key generate NAME makes a key; `key` in [sign] says where it is")
    };
    let meta = fs::metadata(file).map_err(failed)?;
    if !meta.is_file() {
        return Err(Problem::new(Failure::Input, format!("{} is no file", file.display())));
    }
    let mode = meta.permissions().mode();
    if mode & OTHERS != 0 {
        let message = format!("others may read or change the secret key {}", file.display());
        return Err(Problem::new(Failure::Input, message)
            .help(format!("if nobody did: chmod 600 {}", file.display()))
            .help("if somebody may have, make another one, and let others put this one under `revoked`"));
    }
    let text = fs::read_to_string(file).map_err(failed)?;
    text.trim_end().parse().map_err(|error: crate::trust::BadKey| {
        Problem::new(Failure::Input, format!("{}: {error}", file.display()))
    })
}

/// Writes a secret key into a new file of its own, which only its owner can read.
pub(super) fn write(key: &SecretKey, file: &Path) -> io::Result<()> {
    if let Some(dir) = file.parent() {
        fs::create_dir_all(dir)?;
    }
    let mut made = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
    made.write_all(key.to_text().as_bytes())?;
    made.write_all(b"\n")?;
    made.sync_all()
}
