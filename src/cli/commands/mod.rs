//! One file a command, or a few that belong together.

pub(super) mod about;
pub(super) mod build;
pub(super) mod challenge;
pub(super) mod conformance;
pub(super) mod explain;
pub(super) mod export;
pub(super) mod image;
pub(super) mod import;
pub(super) mod init;
pub(super) mod key;
mod known_faults;
pub(super) mod lint;
pub(super) mod lock;
pub(super) mod oci;
pub(super) mod on_gem5;
mod pins;
mod rebuild;
pub(super) mod recipes;
pub(super) mod report;
pub(super) mod run;
pub(super) mod serve;
pub(super) mod sbom;
pub(super) mod shell;
pub(super) mod store;
pub(super) mod sweep;
pub(super) mod vendor;
pub(super) mod verify;
