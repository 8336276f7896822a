//! A line to a web server on which things go wrong.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

/// What happens to an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// One bit of its body is another one; the number says which.
    Flip(u64),
    /// Its body ends after so many thousandths of it, and the connection with it.
    Cut(u64),
    /// It says that it is so many bytes longer than it is.
    Longer(u64),
    /// It says that it is so many bytes shorter than it is.
    Shorter(u64),
    /// It comes so many milliseconds later.
    Late(u64),
    /// It is this status, and a page for people.
    Status(u16),
    /// There is none.
    HangUp,
}

/// The line: whoever asks here is given what the server says, or something like it.
pub(crate) struct Line {
    pub(crate) host: String,
    asked: Arc<Mutex<Vec<String>>>,
    faults: Arc<AtomicUsize>,
}

impl Line {
    /// `choose` is told what is asked for.
    pub(crate) fn new(to: &str, choose: impl FnMut(&str) -> Fault + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let (asked, faults) = (Arc::<Mutex<Vec<String>>>::default(), Arc::new(AtomicUsize::new(0)));
        let line = Self { host, asked: asked.clone(), faults: faults.clone() };
        let (to, choose) = (to.to_owned(), Arc::new(Mutex::new(choose)));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (to, choose) = (to.clone(), choose.clone());
                let (asked, faults) = (asked.clone(), faults.clone());
                thread::spawn(move || {
                    // Who hangs up too early needs no answer.
                    let Some(head) = head(&stream) else { return };
                    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
                    asked.lock().unwrap().push(path.clone());
                    let fault = (*choose.lock().unwrap())(&path);
                    faults.fetch_add(usize::from(fault != Fault::None), Ordering::Relaxed);
                    let _ = answer(&stream, &to, &head, fault);
                    let _ = stream.shutdown(Shutdown::Both);
                });
            }
        });
        line
    }

    /// How many answers had a fault.
    pub(crate) fn faults(&self) -> usize {
        self.faults.load(Ordering::Relaxed)
    }

    /// How often something was asked for whose path has a part of this name.
    pub(crate) fn asked_for(&self, part: &str) -> usize {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|path| path.split('/').any(|one| one == part)).count()
    }
}

/// A request without a body.
fn head(mut stream: &TcpStream) -> Option<String> {
    let (mut head, mut byte) = (Vec::new(), [0; 1]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    String::from_utf8(head).ok()
}

fn answer(mut stream: &TcpStream, to: &str, head: &str, fault: Fault) -> std::io::Result<()> {
    if let Fault::Status(status) = fault {
        let page = "<html>no</html>";
        let text = format!(
            "HTTP/1.1 {status} No\r\nContent-Type: text/html\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{page}",
            page.len()
        );
        return stream.write_all(text.as_bytes());
    }
    if fault == Fault::HangUp {
        return Ok(());
    }
    let mut far = TcpStream::connect(to)?;
    // One answer a connection.
    let kept = head.lines().filter(|line| !line.to_ascii_lowercase().starts_with("connection:"));
    let request: String =
        kept.filter(|line| !line.is_empty()).map(|line| format!("{line}\r\n")).collect();
    far.write_all(format!("{request}Connection: close\r\n\r\n").as_bytes())?;
    let mut all = Vec::new();
    far.read_to_end(&mut all)?;
    let end = all.windows(4).position(|four| four == b"\r\n\r\n").map_or(all.len(), |at| at + 4);
    let mut body = all.split_off(end);
    let mut head = String::from_utf8_lossy(&all).into_owned();
    let length = body.len() as u64;
    let mut says = |length: u64| {
        let lines = head.lines().filter(|line| !line.is_empty()).map(|line| {
            let is_length = line.to_ascii_lowercase().starts_with("content-length:");
            if is_length { format!("Content-Length: {length}\r\n") } else { format!("{line}\r\n") }
        });
        head = lines.collect::<String>() + "\r\n";
    };
    match fault {
        Fault::Flip(at) if length > 0 => {
            let bit = at % (length * 8);
            body[(bit / 8) as usize] ^= 1 << (bit % 8);
        }
        Fault::Cut(thousandths) => body.truncate((length * thousandths / 1000) as usize),
        Fault::Longer(by) => says(length + by),
        Fault::Shorter(by) => says(length.saturating_sub(by)),
        Fault::Late(milliseconds) => thread::sleep(Duration::from_millis(milliseconds)),
        Fault::None | Fault::Flip(_) | Fault::Status(_) | Fault::HangUp => (),
    }
    stream.write_all(head.as_bytes())?;
    stream.write_all(&body)
}
