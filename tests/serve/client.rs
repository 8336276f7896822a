//! A client that sends what it is told to, well formed or not.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    time::Duration,
};

/// What a server said.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// By name in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// Sends these bytes and reads the answer until the server hangs up. None if there is none.
pub(crate) fn raw(host: &str, request: &[u8], head_only: bool) -> Option<Answer> {
    let mut stream = connect(host);
    // A server that refuses early stops reading: what it says counts.
    let _ = stream.write_all(request);
    answer(&mut BufReader::new(stream), head_only)
}

pub(crate) fn connect(host: &str) -> TcpStream {
    let stream = TcpStream::connect(host).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream
}

/// The head of a request, with more headers, each `NAME: VALUE`.
pub(crate) fn head(method: &str, path: &str, headers: &[&str]) -> String {
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    format!("{method} {path} HTTP/1.1\r\nHost: cache\r\nConnection: close\r\n{headers}\r\n")
}

/// One request and its answer.
pub(crate) fn ask(host: &str, method: &str, path: &str, headers: &[&str], body: &[u8]) -> Answer {
    let length = format!("Content-Length: {}", body.len());
    let mut headers = headers.to_vec();
    if method == "PUT" {
        headers.push(&length);
    }
    let request = [head(method, path, &headers).as_bytes(), body].concat();
    raw(host, &request, method == "HEAD").unwrap_or_else(|| panic!("no answer to {method} {path}"))
}

/// Reads one answer.
pub(crate) fn answer(reader: &mut impl BufRead, head_only: bool) -> Option<Answer> {
    let first = line(reader).filter(|line| !line.is_empty())?;
    let status = first.split(' ').nth(1).unwrap().parse().unwrap();
    let mut headers = BTreeMap::new();
    while let Some((name, value)) = line(reader)?.split_once(':') {
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let mut body = Vec::new();
    let length = headers.get("content-length").map(|length| length.parse::<u64>().unwrap());
    match length {
        _ if head_only => (),
        Some(length) => drop(reader.take(length).read_to_end(&mut body).unwrap()),
        None if headers.contains_key("transfer-encoding") => {
            while let Some(size) = line(reader).map(|line| u64::from_str_radix(&line, 16).unwrap())
            {
                reader.take(size).read_to_end(&mut body).unwrap();
                line(reader);
                if size == 0 {
                    break;
                }
            }
        }
        None => drop(reader.read_to_end(&mut body)),
    }
    Some(Answer { status, headers, body })
}

fn line(reader: &mut impl BufRead) -> Option<String> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    Some(line.trim_end().to_owned())
}
