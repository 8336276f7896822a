//! Protocol Buffers, as far as containerd's messages and functions' need them: fields written in order, and read one after the other.
//!
//! Encoding: <https://protobuf.dev/programming-guides/encoding/>. A field that holds its default, zero or empty, is not written,
//! as proto3 has it.

/// A message that is being written.
#[derive(Default)]
pub struct Message(Vec<u8>);

impl Message {
    /// A string.
    pub fn text(self, number: u32, text: &str) -> Message {
        self.bytes(number, text.as_bytes())
    }

    /// Bytes, or a message that is encoded already.
    pub fn bytes(mut self, number: u32, bytes: &[u8]) -> Message {
        if !bytes.is_empty() {
            self.varint(u64::from(number) << 3 | u64::from(LENGTH));
            self.varint(bytes.len() as u64);
            self.0.extend(bytes);
        }
        self
    }

    /// A message within.
    pub fn message(self, number: u32, message: Message) -> Message {
        self.bytes(number, &message.0)
    }

    /// An integer that may be 0 and counts all the same: a field that was asked for is written.
    pub fn integer(mut self, number: u32, value: i64) -> Message {
        self.varint(u64::from(number) << 3 | u64::from(VARINT));
        self.varint(value as u64);
        self
    }

    /// A `double`.
    pub fn double(mut self, number: u32, value: f64) -> Message {
        self.varint(u64::from(number) << 3 | u64::from(FIXED64));
        self.0.extend(value.to_le_bytes());
        self
    }

    /// A `float`.
    pub fn float(mut self, number: u32, value: f32) -> Message {
        self.varint(u64::from(number) << 3 | u64::from(FIXED32));
        self.0.extend(value.to_le_bytes());
        self
    }

    /// Its encoding.
    pub fn encoded(self) -> Vec<u8> {
        self.0
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

// Wire types.
const VARINT: u8 = 0;
const FIXED64: u8 = 1;
const LENGTH: u8 = 2;
const FIXED32: u8 = 5;

/// A field that was read.
#[derive(Debug, PartialEq)]
pub enum Value<'a> {
    /// An integer or a truth value.
    Number(u64),
    /// Bytes, a string or a message.
    Bytes(&'a [u8]),
    /// A number of fixed width, which no message here has.
    Fixed,
}

/// The fields of a message in the order in which they stand, by number. `None` if it's cut off or no message at all.
pub fn fields(mut bytes: &[u8]) -> Option<Vec<(u32, Value<'_>)>> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes)?;
        let value = match (tag & 7) as u8 {
            VARINT => Value::Number(varint(&mut bytes)?),
            FIXED64 => take(&mut bytes, 8).map(|_| Value::Fixed)?,
            FIXED32 => take(&mut bytes, 4).map(|_| Value::Fixed)?,
            LENGTH => {
                let length = usize::try_from(varint(&mut bytes)?).ok()?;
                Value::Bytes(take(&mut bytes, length)?)
            }
            _ => return None,
        };
        fields.push((u32::try_from(tag >> 3).ok()?, value));
    }
    Some(fields)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = take(bytes, 1)?[0];
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, rest) = (bytes.get(..length)?, bytes.get(length..)?);
    *bytes = rest;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_can_be_read() {
        let long = "x".repeat(300);
        let inner = Message::default().text(1, &long).text(2, "");
        let bytes = Message::default().text(1, "a").message(16, inner).encoded();
        let [(1, Value::Bytes(b"a")), (16, Value::Bytes(inner))] =
            fields(&bytes).expect("fields")[..]
        else {
            panic!("{bytes:?}");
        };
        assert_eq!(fields(inner), Some(vec![(1, Value::Bytes(long.as_bytes()))]));
        let ends: Vec<_> =
            (0..bytes.len()).filter(|&end| fields(&bytes[..end]).is_some()).collect();
        assert_eq!(ends, [0, 3], "only at the end of a field");
    }

    #[test]
    fn fields_of_other_kinds_are_stepped_over() {
        let bytes = [0x09, 1, 2, 3, 4, 5, 6, 7, 8, 0x15, 1, 2, 3, 4, 0x18, 0xac, 0x02];
        let expected = vec![(1, Value::Fixed), (2, Value::Fixed), (3, Value::Number(300))];
        assert_eq!(fields(&bytes), Some(expected));
        assert_eq!(fields(&[0x0b]), None, "groups are a thing of the past");
        assert_eq!(fields(&[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]), None);
        assert_eq!(fields(&[0xff; 11]), None);
    }
}
