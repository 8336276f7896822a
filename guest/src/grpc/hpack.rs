//! Header compression of HTTP/2 (RFC 7541), for one side that never compresses and forbids the other to remember.

use std::fmt::Write as _;

/// How long each code of Appendix B is, by the byte that it stands for. The codes are canonical: those of one length follow
/// each other in the order of their bytes, after all shorter ones, so that the lengths are the whole table.
const LENGTHS: [u8; 256] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28,
    28, 28, 28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5,
    5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6,
    6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22,
    23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22,
    21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20,
    22, 22, 22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19,
    21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22,
    22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
];
const LONGEST: u8 = 30;

/// The fields of Appendix A that gRPC's answers may be told by, with their places; any other place has no name for us.
const STATIC: [(u64, &str, &str); 9] = [
    (8, ":status", "200"),
    (9, ":status", "204"),
    (10, ":status", "206"),
    (11, ":status", "304"),
    (12, ":status", "400"),
    (13, ":status", "404"),
    (14, ":status", "500"),
    (31, "content-type", ""),
    (33, "date", ""),
];
const STATIC_LENGTH: u64 = 61;
/// No header is longer, in bytes.
const TEXT_MAX: usize = 64 << 10;

/// Appends a field, as a literal that is never indexed and has no Huffman code (6.2.2).
pub fn write(block: &mut Vec<u8>, name: &str, value: &str) {
    block.push(0);
    for text in [name, value] {
        integer(block, 7, text.len());
        block.extend(text.as_bytes());
    }
}

/// An integer behind a prefix of so many bits that is 0 before it (5.1).
fn integer(block: &mut Vec<u8>, prefix: u8, value: usize) {
    let most = (1 << prefix) - 1;
    if value < most {
        block.push(value as u8);
        return;
    }
    block.push(most as u8);
    let mut rest = value - most;
    while rest >= 0x80 {
        block.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    block.push(rest as u8);
}

/// The fields of a block, as far as they have names that we know; `None` if it is none.
pub fn read(mut block: &[u8]) -> Option<Vec<(String, String)>> {
    let mut fields = Vec::new();
    while let Some(&first) = block.first() {
        if first >= 0x80 {
            let place = read_integer(&mut block, 7)?;
            if place == 0 || place > STATIC_LENGTH {
                return None;
            }
            let known = STATIC.iter().find(|(known, ..)| *known == place);
            fields.extend(known.map(|(_, name, value)| ((*name).to_owned(), (*value).to_owned())));
        } else if first >> 5 == 0b001 {
            // The other side may say again that it remembers nothing.
            if read_integer(&mut block, 5)? != 0 {
                return None;
            }
        } else {
            // With indexing, which at our table's size of 0 remembers nothing, or without.
            let prefix = if first >> 6 == 0b01 { 6 } else { 4 };
            let name = match read_integer(&mut block, prefix)? {
                0 => Some(text(&mut block)?),
                place if place > STATIC_LENGTH => return None,
                place => {
                    let known = STATIC.iter().find(|(known, ..)| *known == place);
                    known.map(|(_, name, _)| (*name).to_owned())
                }
            };
            let value = text(&mut block)?;
            fields.extend(name.map(|name| (name, value)));
        }
    }
    Some(fields)
}

fn read_integer(block: &mut &[u8], prefix: u8) -> Option<u64> {
    let most = (1 << prefix) - 1;
    let mut value = u64::from(byte(block)? & most as u8);
    if value < most {
        return Some(value);
    }
    for shift in (0..28).step_by(7) {
        let byte = byte(block)?;
        value += u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

fn byte(block: &mut &[u8]) -> Option<u8> {
    let (first, rest) = block.split_first()?;
    *block = rest;
    Some(*first)
}

/// A string, with or without a Huffman code (5.2). What is not UTF-8 is shown as such.
fn text(block: &mut &[u8]) -> Option<String> {
    let coded = *block.first()? >= 0x80;
    let length = usize::try_from(read_integer(block, 7)?).ok().filter(|it| *it <= TEXT_MAX)?;
    let bytes = block.get(..length)?;
    *block = &block[length..];
    let plain = if coded { decoded(bytes)? } else { bytes.to_vec() };
    Some(String::from_utf8_lossy(&plain).into_owned())
}

/// Undoes the Huffman code: bit by bit, since a status has few.
fn decoded(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut plain = Vec::new();
    let (mut code, mut length) = (0, 0);
    for bit in bytes.iter().flat_map(|byte| (0..8).rev().map(move |place| byte >> place & 1)) {
        code = code << 1 | u32::from(bit);
        length += 1;
        if let Some(byte) = symbol(code, length) {
            plain.push(byte);
            (code, length) = (0, 0);
        } else if length >= LONGEST {
            return None;
        }
    }
    // The rest of the last byte is the beginning of the longest code, which is all ones.
    (length < 8 && code == (1 << length) - 1).then_some(plain)
}

/// The codes of one length: the first of them, how many there are, and where their bytes begin in [`BYTES`].
#[derive(Clone, Copy)]
struct Codes {
    first: u32,
    count: u32,
    begin: usize,
}

/// All bytes in the order of their codes, and the codes by length.
const TABLE: ([u8; 256], [Codes; LONGEST as usize + 1]) = table();
const BYTES: [u8; 256] = TABLE.0;
const CODES: [Codes; LONGEST as usize + 1] = TABLE.1;

const fn table() -> ([u8; 256], [Codes; LONGEST as usize + 1]) {
    let mut bytes = [0; 256];
    let mut codes = [Codes { first: 0, count: 0, begin: 0 }; LONGEST as usize + 1];
    let (mut length, mut next, mut begin) = (1, 0, 0);
    while length <= LONGEST as usize {
        codes[length] = Codes { first: next, count: 0, begin };
        let mut byte = 0;
        while byte < 256 {
            if LENGTHS[byte] as usize == length {
                bytes[begin] = byte as u8;
                begin += 1;
                codes[length].count += 1;
            }
            byte += 1;
        }
        next = (next + codes[length].count) << 1;
        length += 1;
    }
    (bytes, codes)
}

/// The byte whose code this is.
fn symbol(code: u32, length: u8) -> Option<u8> {
    let codes = &CODES[usize::from(length)];
    let place = code.checked_sub(codes.first).filter(|place| *place < codes.count)?;
    Some(BYTES[codes.begin + place as usize])
}

/// A message of gRPC as people write it: bytes behind percent signs are put in place.
pub fn message(text: &str) -> String {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        // A sign is no digit, though a number may have one.
        let digits = part.get(..2).filter(|two| two.bytes().all(|byte| byte.is_ascii_hexdigit()));
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                bytes.extend(&part.as_bytes()[2..]);
            }
            None => {
                bytes.push(b'%');
                bytes.extend(part.as_bytes());
            }
        }
    }
    let mut shown = String::new();
    let _ = write!(shown, "{}", String::from_utf8_lossy(&bytes));
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b' ').collect();
        let byte =
            |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
        digits.chunks(2).map(byte).collect()
    }

    #[test]
    fn the_examples_of_the_rfc_are_read() {
        // C.4.1, C.6.1
        assert_eq!(decoded(&hex("f1e3 c2e5 f23a 6ba0 ab90 f4ff")).unwrap(), b"www.example.com");
        assert_eq!(decoded(&hex("6402")).unwrap(), b"302");
        let date = decoded(&hex("d07a be94 1054 d444 a820 0595 040b 8166 e082 a62d 1bff"));
        assert_eq!(date.unwrap(), b"Mon, 21 Oct 2013 20:13:21 GMT");
        // C.1.2: 1337 behind a prefix of five bits.
        assert_eq!(read_integer(&mut &hex("1f9a0a")[..], 5), Some(1337));
    }

    #[test]
    fn what_is_written_is_read() {
        let mut block = Vec::new();
        let long = "x".repeat(300);
        write(&mut block, "grpc-status", "0");
        write(&mut block, "grpc-message", &long);
        let fields =
            [("grpc-status".to_owned(), "0".to_owned()), ("grpc-message".to_owned(), long)];
        assert_eq!(read(&block).unwrap(), fields);
        block.insert(0, 0x88);
        assert_eq!(read(&block).unwrap()[0], (":status".to_owned(), "200".to_owned()));
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let mut state = 0x2545_f491_4f6c_dd1du64;
        for length in 0..3000 {
            let bytes: Vec<u8> = (0..length % 40)
                .map(|_| {
                    state ^= state << 13;
                    state ^= state >> 7;
                    state ^= state << 17;
                    state as u8
                })
                .collect();
            let _ = (read(&bytes), decoded(&bytes));
        }
        assert_eq!(read(&[0xbf]), None, "a place that is beyond the table");
        assert_eq!(read(&hex("3fe11f")), None, "a table of a size that was not allowed");
    }

    #[test]
    fn messages_are_shown_as_they_were_meant() {
        assert_eq!(message("a%20b%"), "a b%");
        assert_eq!(message("%+1"), "%+1");
    }
}
