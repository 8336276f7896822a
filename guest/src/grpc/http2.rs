//! A client of HTTP/2 (RFC 9113) that makes one request at a time.

use std::io::{self, Read, Write};

use super::{hpack, Error};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Bytes of the longest frame that either side may send unless it says otherwise.
const FRAME_MAX: usize = 16 << 10;
/// Bytes before the payload of a frame.
const HEAD: usize = 9;
/// How much the other side may send before it hears from us: more than any reply has.
const WINDOW: u32 = 16 << 20;
/// What a window is when nobody has said anything.
const WINDOW_DEFAULT: i64 = 65_535;
/// No reply is longer, in bytes.
const REPLY_MAX: usize = 8 << 20;

const CLOSES: &str = "the server closes the connection";

// Types of frames, and flags.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PUSH_PROMISE: u8 = 5;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;
const PRIORITY: u8 = 0x20;

// Settings.
const HEADER_TABLE_SIZE: u16 = 1;
const ENABLE_PUSH: u16 = 2;
const INITIAL_WINDOW_SIZE: u16 = 4;
const MAX_FRAME_SIZE: u16 = 5;

/// A connection.
pub struct Connection<S> {
    stream: S,
    /// Room for the longest frame, of which what was read and not yet looked at is from `begin` to `end`.
    buffer: Vec<u8>,
    begin: usize,
    end: usize,
    /// The number of the next request.
    next: u32,
    /// Whether the other side takes no more requests.
    closing: bool,
    /// How much we may send, on the connection.
    window: i64,
    /// How much we may send on a new stream, and in one frame.
    initial_window: i64,
    frame_max: usize,
    /// How much was received since the other side was told that it may send more.
    received: u32,
    /// What is being sent; kept, so that a request allocates nothing.
    out: Vec<u8>,
}

/// What came back.
#[derive(Debug, Default, PartialEq)]
pub struct Answer {
    /// Headers and trailers, in the order in which they came.
    pub fields: Vec<(String, String)>,
    /// All data.
    pub data: Vec<u8>,
}

struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

/// One request under way.
struct Exchange {
    id: u32,
    window: i64,
    block: Vec<u8>,
    answer: Answer,
    ended: bool,
}

impl<S: Read + Write> Connection<S> {
    /// Greets the other side, which need not have answered when this returns.
    pub fn open(stream: S) -> Result<Self, Error> {
        let mut connection = Self {
            stream,
            buffer: vec![0; HEAD + FRAME_MAX],
            begin: 0,
            end: 0,
            closing: false,
            next: 1,
            window: WINDOW_DEFAULT,
            initial_window: WINDOW_DEFAULT,
            frame_max: FRAME_MAX,
            received: 0,
            out: Vec::with_capacity(512),
        };
        let mut settings = Vec::new();
        for (key, value) in
            [(HEADER_TABLE_SIZE, 0), (ENABLE_PUSH, 0), (INITIAL_WINDOW_SIZE, WINDOW)]
        {
            settings.extend(key.to_be_bytes());
            settings.extend(u32::to_be_bytes(value));
        }
        connection.out.extend(PREFACE);
        frame(&mut connection.out, SETTINGS, 0, 0, &settings);
        let more = WINDOW - WINDOW_DEFAULT as u32;
        frame(&mut connection.out, WINDOW_UPDATE, 0, 0, &more.to_be_bytes());
        connection.send()?;
        Ok(connection)
    }

    /// What is below.
    pub fn stream(&self) -> &S {
        &self.stream
    }

    /// Sends a request, whose headers are a block of HPACK, and waits for all of the answer.
    pub fn exchange(&mut self, headers: &[u8], body: &[u8]) -> Result<Answer, Error> {
        if self.closing {
            return Err(Error::Protocol(CLOSES));
        }
        let id = self.next;
        self.next += 2;
        let (block, answer) = (Vec::new(), Answer::default());
        let mut exchange =
            Exchange { id, window: self.initial_window, block, answer, ended: false };
        let (first, rest) = headers.split_at(headers.len().min(self.frame_max));
        let end = |last: bool| if last { END_HEADERS } else { 0 };
        frame(&mut self.out, HEADERS, end(rest.is_empty()), id, first);
        let pieces = rest.chunks(self.frame_max);
        let count = pieces.len();
        for (index, piece) in pieces.enumerate() {
            frame(&mut self.out, CONTINUATION, end(index + 1 == count), id, piece);
        }
        self.send_body(&mut exchange, body)?;
        while !exchange.ended {
            let frame = self.frame()?;
            self.take(frame, &mut exchange)?;
        }
        Ok(exchange.answer)
    }

    /// Sends as much at a time as the other side takes; the first piece goes with the headers.
    fn send_body(&mut self, exchange: &mut Exchange, mut body: &[u8]) -> Result<(), Error> {
        loop {
            let room = self.window.min(exchange.window).max(0) as usize;
            let (piece, rest) = body.split_at(body.len().min(self.frame_max).min(room));
            if !piece.is_empty() || body.is_empty() {
                let last = if rest.is_empty() { END_STREAM } else { 0 };
                frame(&mut self.out, DATA, last, exchange.id, piece);
                self.window -= piece.len() as i64;
                exchange.window -= piece.len() as i64;
            }
            self.send()?;
            if rest.is_empty() {
                return Ok(());
            }
            body = rest;
            if self.window <= 0 || exchange.window <= 0 {
                let frame = self.frame()?;
                self.take(frame, exchange)?;
                if exchange.ended {
                    return Ok(());
                }
            }
        }
    }

    fn send(&mut self) -> Result<(), Error> {
        self.stream.write_all(&self.out)?;
        self.out.clear();
        Ok(())
    }

    /// The next frame. Nothing of it is used up before all of it is there, so that one whose rest comes too late for a call
    /// is still a frame to the next call.
    fn frame(&mut self) -> Result<Frame, Error> {
        self.fill(HEAD)?;
        let head = &self.buffer[self.begin..self.begin + HEAD];
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]) & 0x7fff_ffff;
        let (kind, flags) = (head[3], head[4]);
        if length > FRAME_MAX {
            return Err(Error::Protocol("a frame is longer than allowed"));
        }
        self.fill(HEAD + length)?;
        let begin = self.begin + HEAD;
        self.begin = begin + length;
        Ok(Frame { kind, flags, stream, payload: self.buffer[begin..self.begin].to_vec() })
    }

    /// Reads until so many bytes, no more than there is room for, wait to be looked at.
    fn fill(&mut self, count: usize) -> Result<(), Error> {
        if self.begin + count > self.buffer.len() {
            self.buffer.copy_within(self.begin..self.end, 0);
            self.end -= self.begin;
            self.begin = 0;
        }
        while self.end - self.begin < count {
            match self.stream.read(&mut self.buffer[self.end..]) {
                Ok(0) => return Err(Error::Io(io::ErrorKind::UnexpectedEof.into())),
                Ok(read) => self.end += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn take(&mut self, frame: Frame, exchange: &mut Exchange) -> Result<(), Error> {
        let ours = frame.stream == exchange.id;
        match frame.kind {
            DATA => {
                self.received += frame.payload.len() as u32;
                if ours {
                    exchange.answer.data.extend(unpadded(&frame)?);
                    if exchange.answer.data.len() > REPLY_MAX {
                        return Err(Error::Protocol("the reply is longer than allowed"));
                    }
                    exchange.ended |= frame.flags & END_STREAM != 0;
                }
                self.allow_more(exchange)?;
            }
            HEADERS if ours => {
                let end = frame.flags & END_STREAM != 0;
                exchange.block.extend(unpadded(&frame)?);
                self.whole_block(frame.flags, exchange)?;
                exchange.ended |= end;
            }
            CONTINUATION if ours => {
                exchange.block.extend(&frame.payload);
                self.whole_block(frame.flags, exchange)?;
            }
            RST_STREAM if ours => {
                // A server that needs no more of the request may say so after its whole answer.
                return Err(Error::Protocol("the server gave the request up"));
            }
            SETTINGS if frame.flags & ACK == 0 => self.settings(&frame.payload, exchange)?,
            PING if frame.flags & ACK == 0 => {
                self::frame(&mut self.out, PING, ACK, 0, &frame.payload);
                self.send()?;
            }
            GOAWAY => {
                // Requests up to the last that it names are still answered (6.8).
                let bytes = frame.payload.get(..4).and_then(|four| four.try_into().ok());
                let last = u32::from_be_bytes(bytes.unwrap_or_default()) & 0x7fff_ffff;
                if last < exchange.id {
                    return Err(Error::Protocol(CLOSES));
                }
                self.closing = true;
            }
            WINDOW_UPDATE => {
                let bytes = frame.payload.get(..4).and_then(|four| four.try_into().ok());
                let more = u32::from_be_bytes(bytes.unwrap_or_default()) & 0x7fff_ffff;
                if frame.stream == 0 {
                    self.window += i64::from(more);
                } else if ours {
                    exchange.window += i64::from(more);
                }
            }
            PUSH_PROMISE => return Err(Error::Protocol("the server pushes, which it may not")),
            _ => {}
        }
        Ok(())
    }

    /// Reads the fields once all of their block is there.
    fn whole_block(&mut self, flags: u8, exchange: &mut Exchange) -> Result<(), Error> {
        if exchange.block.len() > REPLY_MAX {
            return Err(Error::Protocol("the headers are longer than allowed"));
        }
        if flags & END_HEADERS != 0 {
            let fields = hpack::read(&exchange.block);
            exchange.answer.fields.extend(fields.ok_or(Error::Protocol("the headers are none"))?);
            exchange.block.clear();
        }
        Ok(())
    }

    fn settings(&mut self, payload: &[u8], exchange: &mut Exchange) -> Result<(), Error> {
        for pair in payload.chunks_exact(6) {
            let key = u16::from_be_bytes([pair[0], pair[1]]);
            let value = u32::from_be_bytes([pair[2], pair[3], pair[4], pair[5]]);
            match key {
                INITIAL_WINDOW_SIZE => {
                    exchange.window += i64::from(value) - self.initial_window;
                    self.initial_window = i64::from(value);
                }
                MAX_FRAME_SIZE => self.frame_max = (value as usize).max(FRAME_MAX),
                _ => {}
            }
        }
        frame(&mut self.out, SETTINGS, ACK, 0, &[]);
        self.send()
    }

    /// Opens the windows again when a good part of them is used up.
    fn allow_more(&mut self, exchange: &Exchange) -> Result<(), Error> {
        if self.received < WINDOW / 4 {
            return Ok(());
        }
        for stream in [0, exchange.id] {
            frame(&mut self.out, WINDOW_UPDATE, 0, stream, &self.received.to_be_bytes());
        }
        self.received = 0;
        self.send()
    }
}

fn frame(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    out.extend(&(payload.len() as u32).to_be_bytes()[1..]);
    out.extend([kind, flags]);
    out.extend(stream.to_be_bytes());
    out.extend(payload);
}

/// The payload without padding and priority.
fn unpadded(frame: &Frame) -> Result<&[u8], Error> {
    let wrong = Error::Protocol("the padding is longer than its frame");
    let mut payload = &frame.payload[..];
    let mut padding = 0;
    if frame.flags & PADDED != 0 {
        let Some((length, rest)) = payload.split_first() else { return Err(wrong) };
        (padding, payload) = (usize::from(*length), rest);
    }
    if frame.kind == HEADERS && frame.flags & PRIORITY != 0 {
        payload = payload.get(5..).unwrap_or_default();
    }
    match payload.len().checked_sub(padding) {
        Some(length) => Ok(&payload[..length]),
        None => Err(wrong),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that says its part in advance, and hears what it is told.
    struct Scripted {
        says: io::Cursor<Vec<u8>>,
        heard: Vec<u8>,
    }

    impl Read for Scripted {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            // In small pieces, as a network may bring them.
            let room = buffer.len().min(7);
            self.says.read(&mut buffer[..room])
        }
    }

    impl Write for Scripted {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.heard.extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn asked(says: Vec<u8>, body: &[u8]) -> (Result<Answer, Error>, Vec<u8>) {
        let stream = Scripted { says: io::Cursor::new(says), heard: Vec::new() };
        let mut connection = Connection::open(stream).unwrap();
        let answer = connection.exchange(b"headers", body);
        (answer, connection.stream.heard)
    }

    fn fields(end: u8) -> Vec<u8> {
        let (mut out, mut block) = (Vec::new(), Vec::new());
        hpack::write(&mut block, "grpc-status", "0");
        frame(&mut out, HEADERS, END_HEADERS | end, 1, &block);
        out
    }

    #[test]
    fn an_answer_is_headers_data_and_trailers() {
        let mut says = Vec::new();
        frame(&mut says, SETTINGS, 0, 0, &[0, 4, 0, 1, 0, 0]);
        frame(&mut says, PING, 0, 0, b"12345678");
        says.extend(fields(0));
        frame(&mut says, DATA, PADDED, 1, b"\x03answer...");
        frame(&mut says, DATA, 0, 9, b"of another");
        says.extend(fields(END_STREAM));
        let (answer, heard) = asked(says, b"body");
        let answer = answer.unwrap();
        assert_eq!((answer.data.as_slice(), answer.fields.len()), (&b"answer"[..], 2));
        assert!(heard.ends_with(b"\x00\x00\x08\x06\x01\x00\x00\x00\x0012345678"));
    }

    #[test]
    fn a_long_body_waits_for_room() {
        let mut says = Vec::new();
        frame(&mut says, WINDOW_UPDATE, 0, 0, &100_000u32.to_be_bytes());
        frame(&mut says, WINDOW_UPDATE, 0, 1, &100_000u32.to_be_bytes());
        says.extend(fields(END_STREAM));
        let (answer, heard) = asked(says, &[7; 100_000]);
        answer.unwrap();
        assert_eq!(heard.iter().filter(|byte| **byte == 7).count(), 100_000 + 1);
    }

    #[test]
    fn a_server_that_closes_answers_what_it_has_taken() {
        let mut says = Vec::new();
        frame(&mut says, GOAWAY, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 0]);
        says.extend(fields(END_STREAM));
        let stream = Scripted { says: io::Cursor::new(says), heard: Vec::new() };
        let mut connection = Connection::open(stream).unwrap();
        connection.exchange(b"headers", b"body").unwrap();
        let error = connection.exchange(b"headers", b"body").unwrap_err();
        assert!(error.to_string().contains("closes the connection"));
    }

    /// Has nothing to say at one place of what it says, once.
    struct Late {
        says: Scripted,
        place: u64,
        waited: bool,
    }

    impl Read for Late {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let left = self.place.saturating_sub(self.says.says.position()) as usize;
            if left == 0 && !self.waited {
                self.waited = true;
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let room = if self.waited { buffer.len() } else { buffer.len().min(left) };
            self.says.read(&mut buffer[..room])
        }
    }

    impl Write for Late {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.says.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_call_after_one_that_had_no_answer_in_time_gets_its_own() {
        let mut late = fields(0);
        frame(&mut late, DATA, END_STREAM, 1, b"late");
        for place in 0..late.len() as u64 {
            let mut says = late.clone();
            frame(&mut says, DATA, END_STREAM, 3, b"own");
            let says = Scripted { says: io::Cursor::new(says), heard: Vec::new() };
            let stream = Late { says, place, waited: false };
            let mut connection = Connection::open(stream).unwrap();
            assert!(connection.exchange(b"headers", b"body").is_err());
            assert_eq!(connection.exchange(b"headers", b"body").unwrap().data, b"own");
        }
    }

    #[test]
    fn what_breaks_the_rules_is_an_error() {
        let said = |kind, flags, payload: &[u8]| {
            let mut says = Vec::new();
            frame(&mut says, kind, flags, 1, payload);
            asked(says, b"").0.unwrap_err().to_string()
        };
        assert!(said(RST_STREAM, 0, &[0; 4]).contains("gave the request up"));
        assert!(said(GOAWAY, 0, &[0; 8]).contains("closes the connection"));
        assert!(said(DATA, PADDED, &[200]).contains("padding"));
        assert!(said(HEADERS, END_HEADERS, &[0xff; 9]).contains("none"));
        assert!(said(DATA, 0, b"and then nothing").contains("end of file"));
        let long = [0x10, 0, 0, DATA, 0, 0, 0, 0, 1];
        assert!(asked(long.to_vec(), b"")
            .0
            .unwrap_err()
            .to_string()
            .contains("longer than allowed"));
    }
}
