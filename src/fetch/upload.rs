use std::{
    io::{self, Read},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use reqwest::blocking::{Body, RequestBuilder, Response};

use super::transfer::{Failure, exchange};

/// How often to look how far an upload has come.
const TICK: Duration = Duration::from_millis(100);
/// An upload may take so long as long as it moves; the client's own limit would be for all of it.
const LONGEST_UPLOAD: Duration = Duration::from_secs(24 * 60 * 60);
/// Servers read what they have got again when it is there, at so many bytes a second or faster.
const REREAD: u64 = 8 << 20;

/// Sends `size` bytes with a request, gives up when they do not move for `stall`, and takes any answer. `moved` is told
/// how many are on their way.
pub(crate) fn upload<R: Read + Send + 'static>(
    request: RequestBuilder,
    reader: R,
    size: u64,
    stall: Duration,
    moved: &dyn Fn(u64),
) -> Result<Response, Failure> {
    let upload = Upload::new(reader, size);
    let (sent, broken) = (upload.sent.clone(), upload.broken.clone());
    let request = request.timeout(LONGEST_UPLOAD).body(Body::sized(upload, size));
    let result = watched(request, size, &sent, stall, moved);
    if let Some(error) = broken.lock().unwrap_or_else(PoisonError::into_inner).take() {
        return Err(Failure::Kept(error));
    }
    result
}

/// Sends an upload, and gives up when it does not move.
fn watched(
    request: RequestBuilder,
    size: u64,
    sent: &AtomicU64,
    stall: Duration,
    report: &dyn Fn(u64),
) -> Result<Response, Failure> {
    let (tell, told) = mpsc::channel();
    thread::spawn(move || tell.send(exchange(request, None)));
    let (mut reached, mut moved) = (0, Instant::now());
    loop {
        match told.recv_timeout(TICK) {
            Ok(result) => return result,
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                return Err(Failure::Transient("broken off".to_owned()));
            }
            Err(mpsc::RecvTimeoutError::Timeout) => (),
        }
        let now = sent.load(Ordering::Relaxed);
        if now != reached {
            (reached, moved) = (now, Instant::now());
            report(now);
        }
        let rereads = Duration::from_secs(if now < size { 0 } else { size / REREAD });
        if moved.elapsed() > stall.saturating_add(rereads) {
            return Err(Failure::Transient(format!("timed out after {now} bytes")));
        }
    }
}

/// The bytes of an upload on their way.
struct Upload<R> {
    reader: R,
    size: u64,
    sent: Arc<AtomicU64>,
    /// Why they cannot be read, which the client would not tell.
    broken: Arc<Mutex<Option<io::Error>>>,
}

impl<R: Read> Upload<R> {
    fn new(reader: R, size: u64) -> Self {
        Self { reader, size, sent: Arc::default(), broken: Arc::default() }
    }
}

impl<R: Read> Read for Upload<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let error = match self.reader.read(buffer) {
            Ok(0) if !buffer.is_empty() && self.sent.load(Ordering::Relaxed) < self.size => {
                let sent = self.sent.load(Ordering::Relaxed);
                let why = format!("it ends after {sent} of {} bytes", self.size);
                io::Error::new(io::ErrorKind::UnexpectedEof, why)
            }
            Ok(count) => {
                self.sent.fetch_add(count as u64, Ordering::Relaxed);
                return Ok(count);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
            Err(error) => error,
        };
        let told = io::Error::new(error.kind(), error.to_string());
        *self.broken.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        Err(told)
    }
}
