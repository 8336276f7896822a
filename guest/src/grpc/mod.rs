//! gRPC over a Unix socket, one call at a time: as much of HTTP/2 as a unary call takes.
//!
//! Nothing here reads header fields, so a refusal is known by its lack of a message; the server's log says more. Frames: RFC 9113,
//! sections 4 and 6. Header fields are written as literals without indexing: RFC 7541, section 6.2.2.

use std::fmt;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

// Types of frames.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GO_AWAY: u8 = 7;

// Flags.
const ACKNOWLEDGES: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// What a server takes on one stream, and in one frame, before it says anything else.
const LARGEST_FRAME: usize = 16 * 1024;
const LARGEST_REQUEST: usize = 60 * 1024;
/// More than any reply that is waited for here.
const LARGEST_REPLY: usize = 1 << 20;

/// Why a call gave no message.
#[derive(Debug)]
pub enum Error {
    /// The connection broke, or took too long.
    Io(io::Error),
    /// The server answered without a message.
    Refused,
    /// The request is longer than this client can send, or the reply than it takes.
    TooLong,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Io(error) => error.fmt(f),
            Error::Refused => f.write_str("refused"),
            Error::TooLong => f.write_str("a message is too long"),
        }
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Error {
        Error::Io(error)
    }
}

/// A connection to a server.
pub struct Channel {
    socket: UnixStream,
    next_stream: u32,
}

impl Channel {
    /// Connects to a Unix socket.
    pub fn unix(path: &str) -> Result<Channel, Error> {
        let mut socket = UnixStream::connect(path)?;
        socket.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")?;
        socket.write_all(&frame(SETTINGS, 0, 0, &[]))?;
        Ok(Channel { socket, next_stream: 1 })
    }

    /// Calls a method and waits for its reply, for each piece of it at most `limit`.
    pub fn call(
        &mut self,
        path: &str,
        metadata: &[(&str, &str)],
        message: &[u8],
        limit: Duration,
    ) -> Result<Vec<u8>, Error> {
        if message.len() > LARGEST_REQUEST {
            return Err(Error::TooLong);
        }
        let stream = self.next_stream;
        self.next_stream += 2;
        self.socket.set_read_timeout(Some(limit))?;
        let mut request = frame(HEADERS, END_HEADERS, stream, &header(path, metadata));
        let body = prefixed(message);
        let mut pieces = body.chunks(LARGEST_FRAME).peekable();
        while let Some(piece) = pieces.next() {
            let flags = if pieces.peek().is_none() { END_STREAM } else { 0 };
            request.extend(frame(DATA, flags, stream, piece));
        }
        self.socket.write_all(&request)?;
        self.reply(stream)
    }

    fn reply(&mut self, stream: u32) -> Result<Vec<u8>, Error> {
        let mut reply = Vec::new();
        loop {
            let mut head = [0; 9];
            self.socket.read_exact(&mut head)?;
            let [l2, l1, l0, kind, flags, s3, s2, s1, s0] = head;
            let mut payload = vec![0; u32::from_be_bytes([0, l2, l1, l0]) as usize];
            self.socket.read_exact(&mut payload)?;
            let ours = u32::from_be_bytes([s3, s2, s1, s0]) == stream;
            match kind {
                SETTINGS | PING if flags & ACKNOWLEDGES == 0 => {
                    let payload = if kind == PING { &*payload } else { &[] };
                    self.socket.write_all(&frame(kind, ACKNOWLEDGES, 0, payload))?;
                }
                DATA if ours => reply.extend(payload),
                HEADERS if ours && flags & END_STREAM != 0 => return unprefixed(&reply),
                RESET if ours => return Err(Error::Refused),
                GO_AWAY => return Err(io::Error::from(io::ErrorKind::ConnectionAborted).into()),
                _ => {}
            }
            if reply.len() > LARGEST_REPLY {
                return Err(Error::TooLong);
            }
        }
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// The header of a request. No name or value is longer than 126 bytes.
fn header(path: &str, metadata: &[(&str, &str)]) -> Vec<u8> {
    let own = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        (":authority", "localhost"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ];
    let mut header = Vec::new();
    for (name, value) in own.iter().chain(metadata) {
        header.push(0);
        for text in [name, value] {
            header.push(text.len() as u8);
            header.extend(text.bytes());
        }
    }
    header
}

/// A message as it stands in the stream: not compressed, its length, its bytes.
fn prefixed(message: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0];
    bytes.extend((message.len() as u32).to_be_bytes());
    bytes.extend(message);
    bytes
}

fn unprefixed(bytes: &[u8]) -> Result<Vec<u8>, Error> {
    bytes.get(5..).map(<[u8]>::to_vec).ok_or(Error::Refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_has_nine_bytes_before_its_payload() {
        assert_eq!(frame(DATA, END_STREAM, 3, b"ab"), b"\0\0\x02\0\x01\0\0\0\x03ab");
    }

    #[test]
    fn a_reply_without_a_message_is_a_refusal() {
        assert!(matches!(unprefixed(b""), Err(Error::Refused)));
        assert_eq!(unprefixed(&prefixed(b"ab")).ok(), Some(b"ab".to_vec()));
    }
}
