//! gRPC: unary calls, one after the other, over TCP or a Unix socket.
//!
//! A message travels behind a byte that says it is not compressed and four that say how long it is; the status comes in the
//! trailers. Protocol: gRPC's `doc/PROTOCOL-HTTP2.md`. Everything is done by one thread, with one write for a request: the
//! processor that runs this also runs, or simulates, what is measured.

mod hpack;
mod http2;

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use http2::{Answer, Connection};

/// A connection to a server.
pub struct Channel {
    connection: Connection<Stream>,
    authority: String,
    /// Headers and body of a request; kept, so that a request allocates nothing.
    headers: Vec<u8>,
    body: Vec<u8>,
    /// What the socket was told last, so that it is told only what is new.
    limit: Option<Duration>,
}

/// Why a call has no reply.
#[derive(Debug)]
pub enum Error {
    /// The connection failed, or the time was up.
    Io(io::Error),
    /// The other side does not follow the rules.
    Protocol(&'static str),
    /// The server says no.
    Status {
        /// gRPC's code.
        code: u32,
        /// Why.
        message: String,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // A read that takes too long says "resource temporarily unavailable", which helps nobody.
            Error::Io(error) if error.kind() == io::ErrorKind::WouldBlock => {
                write!(f, "there was no answer in time")
            }
            Error::Io(error) => write!(f, "{error}"),
            Error::Protocol(what) => write!(f, "{what}"),
            Error::Status { code, message } => write!(f, "{message} (gRPC status {code})"),
        }
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Error::Io(error)
    }
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    fn limit(&self, time: Duration) -> io::Result<()> {
        match self {
            Stream::Tcp(stream) => stream.set_read_timeout(Some(time)),
            Stream::Unix(stream) => stream.set_read_timeout(Some(time)),
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.read(buffer),
            Stream::Unix(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.write(bytes),
            Stream::Unix(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Channel {
    /// To a server at an address.
    pub fn tcp(address: SocketAddr) -> Result<Channel, Error> {
        let stream = TcpStream::connect(address)?;
        // A request is one write; waiting for more would only make it late.
        stream.set_nodelay(true)?;
        Channel::over(Stream::Tcp(stream), address.to_string())
    }

    /// To a server that listens at a socket of this machine.
    pub fn unix(path: &str) -> Result<Channel, Error> {
        Channel::over(Stream::Unix(UnixStream::connect(path)?), "localhost".to_owned())
    }

    fn over(stream: Stream, authority: String) -> Result<Channel, Error> {
        let connection = Connection::open(stream)?;
        Ok(Channel { connection, authority, headers: Vec::new(), body: Vec::new(), limit: None })
    }

    /// Calls a method, `/package.Service/Method`, and gives the message of the reply. `limit` is for each wait.
    pub fn call(
        &mut self,
        method: &str,
        metadata: &[(&str, &str)],
        request: &[u8],
        limit: Duration,
    ) -> Result<Vec<u8>, Error> {
        self.headers.clear();
        for (name, value) in [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", method),
            (":authority", &self.authority),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
        ] {
            hpack::write(&mut self.headers, name, value);
        }
        for (name, value) in metadata {
            hpack::write(&mut self.headers, name, value);
        }
        self.body.clear();
        self.body.push(0);
        self.body.extend((request.len() as u32).to_be_bytes());
        self.body.extend(request);
        if self.limit != Some(limit) {
            self.connection.stream().limit(limit)?;
            self.limit = Some(limit);
        }
        message(self.connection.exchange(&self.headers, &self.body)?)
    }
}

/// The message of an answer, if its status is good.
fn message(mut answer: Answer) -> Result<Vec<u8>, Error> {
    let field = |name: &str| {
        answer.fields.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    };
    match field("grpc-status") {
        Some("0") => (),
        Some(code) => {
            let message = hpack::message(field("grpc-message").unwrap_or("no reason is given"));
            return Err(Error::Status { code: code.parse().unwrap_or(2), message });
        }
        None => return Err(Error::Protocol("the answer has no status of gRPC")),
    }
    let length = answer.data.get(1..5).and_then(|four| <[u8; 4]>::try_from(four).ok());
    match (answer.data.first(), length) {
        (Some(0), Some(length)) if u32::from_be_bytes(length) as usize == answer.data.len() - 5 => {
            answer.data.drain(..5);
            Ok(answer.data)
        }
        _ => Err(Error::Protocol("the reply is not one uncompressed message")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: &str, data: &[u8]) -> Answer {
        let fields = vec![
            (":status".to_owned(), "200".to_owned()),
            ("grpc-status".to_owned(), status.to_owned()),
            ("grpc-message".to_owned(), "not%20here".to_owned()),
        ];
        Answer { fields, data: data.to_vec() }
    }

    #[test]
    fn a_reply_is_one_message_with_a_good_status() {
        assert_eq!(message(answer("0", b"\0\0\0\0\x02hi")).unwrap(), b"hi");
        let said = |answer| message(answer).unwrap_err().to_string();
        assert_eq!(said(answer("5", b"")), "not here (gRPC status 5)");
        assert!(said(answer("0", b"\0\0\0\0\x03hi")).contains("not one"));
        assert!(said(answer("0", b"\x01\0\0\0\x02hi")).contains("uncompressed"));
        assert!(said(Answer::default()).contains("no status"));
    }
}
