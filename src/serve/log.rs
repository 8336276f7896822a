use std::{
    fs::File,
    io::Write,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// Lines that wait to be written.
const WAITING: usize = 4096;
/// How long the last lines may take to be written, and how often that is looked at.
const LAST_LINES: Duration = Duration::from_secs(2);
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Lines for a file or for standard error, written by a thread of their own: a full disk or a slow pipe stops no client.
#[derive(Debug)]
pub(super) struct Log {
    /// None at the end.
    to: Option<SyncSender<String>>,
    /// Whether the file was moved away by who rotates logs.
    moved: Arc<AtomicBool>,
    writer: Option<JoinHandle<()>>,
}

impl Log {
    /// A log into a file, or else into `other`.
    pub(super) fn new(file: Option<&Path>, other: Box<dyn Write + Send>) -> std::io::Result<Self> {
        let (to, from) = sync_channel(WAITING);
        let place = file.map(Path::to_owned);
        let open = match &place {
            Some(path) => Box::new(append(path)?),
            None => other,
        };
        let moved = Arc::new(AtomicBool::new(false));
        let writer = thread::Builder::new().name("log".to_owned());
        let writer = {
            let moved = moved.clone();
            writer.spawn(move || write(&from, open, place.as_deref(), &moved))?
        };
        Ok(Self { to: Some(to), moved, writer: Some(writer) })
    }

    /// Writes a line after the time, and says whether there was room for it.
    pub(super) fn line(&self, text: &str) -> bool {
        let line = format!("{} {text}\n", utc(SystemTime::now()));
        let sent = self.to.as_ref().map(|to| to.try_send(line));
        !matches!(sent, Some(Err(TrySendError::Full(_))))
    }

    /// Has the next line written into a new file.
    pub(super) fn reopen(&self) {
        self.moved.store(true, Ordering::Relaxed);
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.to = None;
        let since = Instant::now();
        // Who does not read the log must not keep the program from its end.
        while self.writer.as_ref().is_some_and(|writer| !writer.is_finished()) {
            if since.elapsed() > LAST_LINES {
                return;
            }
            thread::sleep(LOOK_EVERY);
        }
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

fn append(path: &Path) -> std::io::Result<File> {
    File::options().create(true).append(true).open(path)
}

fn write(
    from: &Receiver<String>,
    mut to: Box<dyn Write + Send>,
    place: Option<&Path>,
    moved: &AtomicBool,
) {
    for line in from {
        if moved.swap(false, Ordering::Relaxed)
            && let Some(Ok(file)) = place.map(append)
        {
            to = Box::new(file);
        }
        // Nobody can be told that the log cannot be written.
        let _ = to.write_all(line.as_bytes());
    }
}

/// A time as RFC 3339 has it, in UTC with milliseconds.
fn utc(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, second) = (since.as_secs() / 86400, since.as_secs() % 86400);
    // Years that begin in March, in eras of 400 of them, so that the odd day is the last one.
    let shifted = days + 719_468;
    let (era, day) = (shifted / 146_097, shifted % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, later) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = era * 400 + year + later;
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let milli = since.subsec_millis();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_are_those_of_date() {
        // From `date -u -d @SECONDS`.
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399, "2000-02-28T23:59:59.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (951_868_800, "2000-03-01T00:00:00.000Z"),
            (1_709_164_800, "2024-02-29T00:00:00.000Z"),
            (1_767_225_599, "2025-12-31T23:59:59.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(utc(UNIX_EPOCH + Duration::from_secs(seconds)), text);
        }
    }
}
