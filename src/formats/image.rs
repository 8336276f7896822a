//! A raw image as a list of pieces: what is where, before anything is written.

use crate::digest::Digest;

/// Bytes of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// These.
    Bytes(Vec<u8>),
    /// A stretch of a blob.
    Blob {
        /// Which blob.
        digest: Digest,
        /// Where the stretch begins in it, in bytes.
        offset: u64,
        /// How long it is, in bytes.
        length: u64,
    },
}

impl Piece {
    /// Length in bytes.
    pub fn length(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Blob { length, .. } => *length,
        }
    }
}

/// A piece and its place. Pieces of an image come in ascending order and do not overlap; what none covers is zero.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// Offset in the image, in bytes.
    pub at: u64,
    /// What is there.
    pub piece: Piece,
}

impl Placed {
    /// These bytes at this place.
    pub fn bytes(at: u64, bytes: Vec<u8>) -> Self {
        Self { at, piece: Piece::Bytes(bytes) }
    }

    /// The same piece further back.
    pub fn shifted(self, by: u64) -> Self {
        Self { at: self.at + by, ..self }
    }
}
