//! Bytes as they come from a pipe, cut into lines.

/// A line is told in pieces of this many bytes if it is longer, so that a program can't fill the guest's memory.
const LONGEST: usize = 16 * 1024;

/// The beginning of a line whose end hasn't come yet.
#[derive(Default)]
pub struct Lines {
    begun: Vec<u8>,
}

impl Lines {
    /// Takes more bytes; calls `each` with every line that they complete.
    pub fn feed(&mut self, bytes: &[u8], mut each: impl FnMut(&[u8])) {
        for &byte in bytes {
            if byte != b'\n' {
                self.begun.push(byte);
            }
            if byte == b'\n' || self.begun.len() == LONGEST {
                each(&self.begun);
                self.begun.clear();
            }
        }
    }

    /// There are no more bytes; calls `each` with a last line that has no end.
    pub fn finish(&mut self, each: impl FnOnce(&[u8])) {
        if !self.begun.is_empty() {
            each(&std::mem::take(&mut self.begun));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(pieces: &[&[u8]]) -> Vec<Vec<u8>> {
        let (mut lines, mut all) = (Lines::default(), Vec::new());
        for piece in pieces {
            lines.feed(piece, |line| all.push(line.to_vec()));
        }
        lines.finish(|line| all.push(line.to_vec()));
        all
    }

    #[test]
    fn lines_are_whole_however_they_come() {
        assert_eq!(cut(&[b"on", b"e\n\ntwo\nth", b"ree"]), [&b"one"[..], b"", b"two", b"three"]);
        assert!(cut(&[]).is_empty());
    }

    #[test]
    fn a_line_without_end_is_cut() {
        let lengths: Vec<_> = cut(&[&vec![b'x'; LONGEST * 2 + 1]]).iter().map(Vec::len).collect();
        assert_eq!(lengths, [LONGEST, LONGEST, 1]);
    }
}
