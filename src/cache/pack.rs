//! Compression of what lies in a cache.

use std::io::{self, Read};

use crate::digest::Digest;

/// The most bytes that a pack has before compression: what a machine takes into memory at once.
pub const PACK_SIZE: u64 = 16 << 20;
/// The most bytes that a pack has after compression: a little more, since what cannot be compressed grows.
pub const PACKED_MOST: u64 = PACK_SIZE + (PACK_SIZE >> 6);
/// The level of zstd: packs are made as fast as networks take them.
const LEVEL: i32 = 3;
/// The largest window of zstd as a power of two: all of a pack, or of a long manifest.
const WINDOW_LOG: u32 = 27;

/// Compresses.
pub(super) fn pack(bytes: &[u8]) -> io::Result<Vec<u8>> {
    zstd::bulk::compress(bytes, LEVEL)
}

/// What stands behind the compressed bytes of a pack: a frame that decompressors skip (RFC 8878, section 3.1.2), with the digest
/// of the pack's index. The same bytes may be pieces of different blobs; so a pack is called after both.
pub(super) fn label(index: &Digest) -> Vec<u8> {
    const SKIPPABLE: u32 = 0x184d_2a50;
    const LENGTH: u32 = 32;
    let mut frame = Vec::new();
    frame.extend_from_slice(&SKIPPABLE.to_le_bytes());
    frame.extend_from_slice(&LENGTH.to_le_bytes());
    frame.extend_from_slice(index.as_bytes());
    frame
}

/// Decompresses what lies in a cache (zstd, RFC 8878), as long as not more than `limit` bytes come out.
pub fn unpack(bytes: &[u8], limit: u64) -> io::Result<Vec<u8>> {
    let mut decoder = zstd::stream::read::Decoder::with_buffer(bytes)?;
    decoder.window_log_max(WINDOW_LOG)?;
    let mut all = Vec::new();
    decoder.take(limit + 1).read_to_end(&mut all)?;
    if all.len() as u64 > limit {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("it is longer than {limit} bytes, unpacked"),
        ));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_comes_out_again() {
        let text = b"some text, some text".repeat(1000);
        let packed = pack(&text).unwrap();
        assert!(packed.len() < text.len() / 10);
        assert_eq!(unpack(&packed, text.len() as u64).unwrap(), text);
    }

    #[test]
    fn a_label_changes_the_bytes_and_not_what_they_are() {
        let text = b"some text";
        let labelled = [pack(text).unwrap(), label(&Digest::of("an index"))].concat();
        assert_eq!(unpack(&labelled, 100).unwrap(), text);
    }

    #[test]
    fn a_bomb_an_early_end_and_more_at_the_end_are_refused() {
        let packed = pack(&vec![0; 1 << 20]).unwrap();
        assert_eq!(unpack(&packed, 1000).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        for cut in 0..packed.len() {
            let unpacked = unpack(&packed[..cut], 1 << 20);
            assert!(unpacked.is_err() || cut == 0, "cut at {cut}");
        }
        assert!(unpack(&[&packed[..], b"more"].concat(), 1 << 21).is_err());
    }
}
