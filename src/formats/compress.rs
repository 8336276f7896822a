//! Decompression of what comes from outside, with bounds on memory and on what comes out.

use std::io::{self, BufReader, Read};

use liblzma::{bufread::XzDecoder, stream};

/// Read from the outside in pieces of this many bytes.
const BUFFER: usize = 128 << 10;
/// The most memory that decoding xz may take, in bytes: `xz -9` needs 65 MiB.
const XZ_MEMORY: u64 = 256 << 20;
/// The largest window of zstd as a power of two. 27 is the limit of `zstd -d` itself, and all levels but the `--ultra`
/// ones with `--long` stay below it.
const ZSTD_WINDOW_LOG: u32 = 27;

/// The ways in which Debian compresses packages and indexes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    Plain,
    /// RFC 1952, one or more members.
    Gzip,
    /// The .xz format, one or more streams.
    Xz,
    /// RFC 8878, one or more frames.
    Zstd,
}

impl Compression {
    /// By the end of a file's name: `.gz`, `.xz`, `.zst`, or nothing at all. None for any other.
    pub fn from_suffix(suffix: &str) -> Option<Self> {
        match suffix {
            "" => Some(Self::Plain),
            ".gz" => Some(Self::Gzip),
            ".xz" => Some(Self::Xz),
            ".zst" => Some(Self::Zstd),
            _ => None,
        }
    }

    /// By the first bytes of a file; what is not known is plain.
    pub fn from_magic(start: &[u8]) -> Self {
        let magics: [(&[u8], Self); 3] = [
            (b"\x1f\x8b", Self::Gzip),
            (b"\xfd7zXZ\0", Self::Xz),
            (b"\x28\xb5\x2f\xfd", Self::Zstd),
        ];
        let known = magics.into_iter().find(|(magic, _)| start.starts_with(magic));
        known.map_or(Self::Plain, |(_, compression)| compression)
    }
}

/// What `reader` holds, decompressed.
///
/// Bytes after the last stream, a wrong checksum and an early end are errors, but only for who reads to the end.
/// Memory is bounded, the output is not: see [`Bounded`].
pub fn decoder<'a>(
    compression: Compression,
    reader: impl Read + 'a,
) -> io::Result<Box<dyn Read + 'a>> {
    let buffered = |reader| BufReader::with_capacity(BUFFER, reader);
    Ok(match compression {
        Compression::Plain => Box::new(reader),
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(buffered(reader))),
        Compression::Xz => {
            let stream = stream::Stream::new_stream_decoder(XZ_MEMORY, stream::CONCATENATED)?;
            Box::new(XzDecoder::new_stream(buffered(reader), stream))
        }
        Compression::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(buffered(reader))?;
            decoder.window_log_max(ZSTD_WINDOW_LOG)?;
            Box::new(decoder)
        }
    })
}

/// A reader that fails when more than a number of bytes come out of it: the guard against decompression bombs.
#[derive(Debug)]
pub struct Bounded<R> {
    reader: R,
    limit: u64,
    left: u64,
}

/// More came out of a reader than was allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is longer than {limit} bytes, unpacked")]
pub struct TooLong {
    /// How much was allowed, in bytes.
    pub limit: u64,
}

impl<R> Bounded<R> {
    /// At most `limit` bytes of `reader`; the next one is an error of kind `FileTooLarge` with [`TooLong`] inside.
    pub fn new(reader: R, limit: u64) -> Self {
        Self { reader, limit, left: limit }
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        match self.left.checked_sub(count as u64) {
            Some(left) => {
                self.left = left;
                Ok(count)
            }
            None => Err(io::Error::new(io::ErrorKind::FileTooLarge, TooLong { limit: self.limit })),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const KINDS: [Compression; 4] =
        [Compression::Plain, Compression::Gzip, Compression::Xz, Compression::Zstd];

    fn packed(compression: Compression, text: &[u8]) -> Vec<u8> {
        match compression {
            Compression::Plain => text.to_vec(),
            Compression::Gzip => {
                let level = flate2::Compression::default();
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
                encoder.write_all(text).unwrap();
                encoder.finish().unwrap()
            }
            Compression::Xz => {
                let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 6);
                encoder.write_all(text).unwrap();
                encoder.finish().unwrap()
            }
            Compression::Zstd => {
                let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
                encoder.include_checksum(true).unwrap();
                encoder.write_all(text).unwrap();
                encoder.finish().unwrap()
            }
        }
    }

    fn unpacked(compression: Compression, bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut all = Vec::new();
        decoder(compression, bytes)?.read_to_end(&mut all)?;
        Ok(all)
    }

    #[test]
    fn every_kind_gives_back_what_was_packed() {
        let text: Vec<u8> = (0..100_000u32).flat_map(|n| n.to_string().into_bytes()).collect();
        for kind in KINDS {
            let bytes = packed(kind, &text);
            assert_eq!(Compression::from_magic(&bytes), kind);
            assert_eq!(unpacked(kind, &bytes).unwrap(), text, "{kind:?}");
            assert_eq!(
                unpacked(kind, &[&bytes[..], &bytes].concat()).unwrap().len(),
                2 * text.len()
            );
        }
    }

    #[test]
    fn an_early_end_and_a_flipped_bit_are_errors() {
        for kind in &KINDS[1..] {
            let bytes = packed(*kind, b"some text, some text, some more text");
            for cut in 1..bytes.len() {
                assert!(unpacked(*kind, &bytes[..cut]).is_err(), "{kind:?} cut at {cut}");
            }
            let mut flipped = bytes.clone();
            let last = flipped.len() - 1;
            flipped[last] ^= 1;
            assert!(unpacked(*kind, &flipped).is_err(), "{kind:?}");
            assert!(unpacked(*kind, &[&bytes[..], b"more"].concat()).is_err(), "{kind:?}");
        }
    }

    #[test]
    fn a_bomb_is_stopped() {
        let bytes = packed(Compression::Zstd, &vec![0; 1 << 20]);
        let unpacked = decoder(Compression::Zstd, &*bytes).unwrap();
        let error = Bounded::new(unpacked, 1000).read_to_end(&mut Vec::new()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(error.to_string(), "it is longer than 1000 bytes, unpacked");
        let mut exact = Vec::new();
        assert_eq!(Bounded::new(&[7; 1000][..], 1000).read_to_end(&mut exact).unwrap(), 1000);
    }

    #[test]
    fn a_stream_that_wants_much_memory_is_refused() {
        let mut options = stream::LzmaOptions::new_preset(6).unwrap();
        options.dict_size(512 << 20);
        let mut bytes = packed(Compression::Xz, b"x");
        // Byte 16 is the dictionary size in the only filter of the block header; its checksum follows at 20.
        assert_eq!(bytes[16], 22, "xz -6 has a dictionary of 8 MiB");
        bytes[16] = 34;
        let mut crc = flate2::Crc::new();
        crc.update(&bytes[12..20]);
        bytes[20..24].copy_from_slice(&crc.sum().to_le_bytes());
        assert!(unpacked(Compression::Xz, &bytes).unwrap_err().to_string().contains("memory"));
        let mut bytes = packed(Compression::Zstd, b"x");
        // A frame header with a window descriptor instead of a single segment, exponent 2^(10 + 20).
        bytes.splice(4..6, [0x04, 20 << 3]);
        assert!(unpacked(Compression::Zstd, &bytes).unwrap_err().to_string().contains("memory"));
    }
}
