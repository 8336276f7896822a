//! Writes an image from its pieces, and hashes it on the way.
//!
//! Three stages run at once: one thread decides what comes next, some read content and write it in its place, and one
//! takes what they read, in order, and hashes it. Nothing is read twice, and what is zero is never written.

use std::{
    io::{self, Read},
    os::unix::fs::FileExt,
    sync::{
        Mutex, PoisonError,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
};

use fs_err::File;
use rustix::{fs::copy_file_range, io::Errno};

use crate::{
    digest::{Digest, Hasher},
    formats::image::{Piece, Placed},
    store::Store,
};

/// Bytes that are read and written at once.
const STRETCH: u64 = 1 << 20;
/// Zeros between two pieces up to this are written along with them; more are left out.
const GAP: u64 = 16 << 10;
/// Stretches on their way from one stage to the next.
const UNDER_WAY: usize = 8;
/// Zeros for the hash.
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// Why an image could not be written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The image could not be written.
    #[error("cannot write the image")]
    Write(#[source] io::Error),
    /// A blob of it could not be read.
    #[error("cannot read the content {digest}")]
    Read {
        /// Which.
        digest: Digest,
        /// Why not.
        source: io::Error,
    },
}

/// Pieces that lie close together: a part of the image.
#[derive(Default)]
struct Stretch {
    at: u64,
    length: u64,
    pieces: Vec<Placed>,
}

/// A stretch as it was written.
struct Written {
    at: u64,
    bytes: Vec<u8>,
}

type Job = (Stretch, SyncSender<Result<Written, Error>>);

/// Writes `pieces` into the empty file `to`, which is `size` bytes long in the end; gives the sha256 of all of it.
pub fn lay(
    size: u64,
    pieces: impl Iterator<Item = Placed> + Send,
    blobs: &Store,
    to: &File,
    jobs: usize,
) -> Result<Digest, Error> {
    to.set_len(size).map_err(Error::Write)?;
    let (give, take) = sync_channel::<Job>(UNDER_WAY);
    let (promise, promised) = sync_channel::<Receiver<Result<Written, Error>>>(UNDER_WAY);
    let take = Mutex::new(take);
    let spare = Mutex::new(Vec::new());
    thread::scope(|scope| {
        scope.spawn(move || {
            for stretch in stretches(pieces) {
                let (done, result) = sync_channel(1);
                // If the others are gone, there was an error, and they have it.
                if promise.send(result).is_err() || give.send((stretch, done)).is_err() {
                    break;
                }
            }
        });
        for _ in 0..jobs.max(1) {
            scope.spawn(|| carry(&take, &spare, blobs, to));
        }
        hash(size, promised, &spare)
    })
}

/// Joins pieces that lie close together, and cuts long ones.
fn stretches(pieces: impl Iterator<Item = Placed>) -> impl Iterator<Item = Stretch> {
    let mut pieces = pieces.flat_map(cut).peekable();
    std::iter::from_fn(move || {
        let first = pieces.next()?;
        let mut stretch =
            Stretch { at: first.at, length: first.piece.length(), pieces: vec![first] };
        while let Some(next) = pieces.next_if(|next| {
            let end = stretch.at + stretch.length;
            next.at - end <= GAP && next.at + next.piece.length() - stretch.at <= STRETCH
        }) {
            stretch.length = next.at + next.piece.length() - stretch.at;
            stretch.pieces.push(next);
        }
        Some(stretch)
    })
}

fn cut(placed: Placed) -> impl Iterator<Item = Placed> {
    let Placed { at, piece } = placed;
    let length = piece.length();
    let (one, many) = match piece {
        Piece::Blob { digest, offset, length } if length > STRETCH => {
            let part = move |start: u64| {
                let length = STRETCH.min(length - start);
                let piece = Piece::Blob { digest, offset: offset + start, length };
                Placed { at: at + start, piece }
            };
            (None, Some((0..length).step_by(STRETCH as usize).map(part)))
        }
        whole => (Some(Placed { at, piece: whole }), None),
    };
    debug_assert!(length > 0 || one.is_some(), "only long blobs are cut");
    one.into_iter().chain(many.into_iter().flatten())
}

/// Reads and writes stretches until there are no more.
fn carry(take: &Mutex<Receiver<Job>>, spare: &Mutex<Vec<Vec<u8>>>, blobs: &Store, to: &File) {
    loop {
        let next = take.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((stretch, done)) = next else { break };
        let buffer = spare.lock().unwrap_or_else(PoisonError::into_inner).pop();
        // If nobody waits for it, there was an error before.
        let _ = done.send(write(&stretch, buffer.unwrap_or_default(), blobs, to));
    }
}

fn write(
    stretch: &Stretch,
    mut bytes: Vec<u8>,
    blobs: &Store,
    to: &File,
) -> Result<Written, Error> {
    bytes.clear();
    let mut shared = false;
    for Placed { at, piece } in &stretch.pieces {
        bytes.resize((at - stretch.at) as usize, 0);
        match piece {
            Piece::Bytes(more) => bytes.extend_from_slice(more),
            Piece::Blob { digest, offset, length } => {
                let failed = |source| Error::Read { digest: *digest, source };
                let blob = blobs.blob_file(digest).map_err(failed)?;
                read(&blob, *offset, *length, &mut bytes).map_err(failed)?;
                shared = *length == STRETCH && share(&blob, *offset, to, *at, *length);
            }
        }
    }
    // What ends in a block of its own may be shorter than the block.
    if !shared {
        to.file().write_all_at(&bytes, stretch.at).map_err(Error::Write)?;
    }
    Ok(Written { at: stretch.at, bytes })
}

fn read(blob: &File, offset: u64, length: u64, bytes: &mut Vec<u8>) -> io::Result<()> {
    let start = bytes.len();
    if offset == 0 {
        // One call less for the many files that are read whole.
        blob.file().take(length).read_to_end(bytes)?;
    } else {
        bytes.resize(start + length as usize, 0);
        blob.file().read_exact_at(&mut bytes[start..], offset)?;
    }
    if (bytes.len() - start) as u64 == length {
        Ok(())
    } else {
        Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it is shorter than it should be"))
    }
}

/// Lets the kernel copy, which on some file systems is no copy at all. Says whether it did.
fn share(blob: &File, mut from: u64, to: &File, mut at: u64, length: u64) -> bool {
    let end = at + length;
    while at < end {
        let left = (end - at) as usize;
        match copy_file_range(blob.file(), Some(&mut from), to.file(), Some(&mut at), left) {
            Ok(0) => return false,
            Ok(_) | Err(Errno::INTR) => (),
            // Not between these file systems, or not on this kernel; then it is written.
            Err(_) => return false,
        }
    }
    true
}

/// Hashes what was written, in order, with zeros where nothing was.
fn hash(
    size: u64,
    promised: Receiver<Receiver<Result<Written, Error>>>,
    spare: &Mutex<Vec<Vec<u8>>>,
) -> Result<Digest, Error> {
    let mut hasher = Hasher::default();
    let mut at = 0;
    for result in promised {
        let lost = || Error::Write(io::Error::other("a thread that writes is gone"));
        let written = result.recv().map_err(|_| lost())??;
        zeros(&mut hasher, written.at - at);
        hasher.update(&written.bytes);
        at = written.at + written.bytes.len() as u64;
        spare.lock().unwrap_or_else(PoisonError::into_inner).push(written.bytes);
    }
    zeros(&mut hasher, size - at);
    Ok(hasher.finish())
}

fn zeros(hasher: &mut Hasher, mut count: u64) {
    while count > 0 {
        let some = count.min(ZEROS.len() as u64);
        hasher.update(&ZEROS[..some as usize]);
        count -= some;
    }
}
