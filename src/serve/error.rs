use std::{io, net::SocketAddr, path::PathBuf};

use crate::trust::BadKey;

/// Why a server cannot start, or cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another one serves the directory: what each counts would be wrong.
    #[error("{} is served already", .0.display())]
    Busy(PathBuf),
    /// It has something else than a cache in it.
    #[error("{} is no cache of this version: its file `format` says something else", .0.display())]
    OtherFormat(PathBuf),
    /// The address cannot be had.
    #[error("cannot listen on {address}")]
    Listen {
        /// Which address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The file of tokens is not right.
    #[error("{}: line {line}: {why}", .file.display())]
    Tokens {
        /// Which file.
        file: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Who may read the tokens may also use them.
    #[error("{} can be read by everybody; chmod o-r, or write only hashes of tokens into it", .0.display())]
    OpenTokens(PathBuf),
    /// A text is no public key.
    #[error("`{text}` is no public key")]
    Key {
        /// The text.
        text: String,
        /// What is wrong with it.
        source: BadKey,
    },
    /// The certificate or its key are not right.
    #[error("{}: {why}", .file.display())]
    Tls {
        /// Which file.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Reading needs a token, and there are none.
    #[error("reading needs a token, but there is no file of tokens")]
    NoTokens,
    /// Whose file is whose would be forgotten.
    #[error("the file system of {} has no extended attributes, which quotas of tokens need", .0.display())]
    NoAttributes(PathBuf),
    /// A file or the network failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}
