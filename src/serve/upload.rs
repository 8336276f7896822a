//! What is brought and taken away.

use std::{
    fs::File,
    future::poll_fn,
    io,
    path::Path,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use tempfile::TempPath;
use tokio::{io::AsyncWriteExt, time::timeout};

use super::{
    access::{Caller, Refusal, Right},
    check,
    desk::Desk,
    read::{caller, item},
    usage::{self, Full, Room},
};
use crate::{
    cache::Item,
    digest::{Digest, Hasher},
};

/// Where uploads are until they are checked, and what their files' names begin with.
pub(super) const STAGING: &str = ".staging";
pub(super) const UPLOAD: &str = "upload-";
/// What is read of an upload that is refused, so that its client hears why before the connection closes.
const HEARD: u64 = 32 << 20;
const HEARING: Duration = Duration::from_secs(10);
/// The least bytes a second that an upload brings on average, once it took longer than a stall.
const SLOWEST: u64 = 1 << 10;
/// Room is made for so many bytes at once where a client does not say how many come.
const STEP: u64 = 1 << 20;
/// The most bytes that wait to be written to a file.
const BUFFER: usize = 256 << 10;

/// How many bytes came: for the log.
#[derive(Debug, Clone, Copy)]
pub(super) struct Received(pub(super) u64);

/// An upload as it comes.
struct Coming {
    body: Body,
    received: u64,
    /// Whether the client waits for a word before it sends anything (RFC 9110, section 10.1.1).
    waits: bool,
}

/// `PUT /NAME`
pub(super) async fn put(State(desk): State<Arc<Desk>>, request: Request) -> Response {
    let asked = caller(&request);
    let place = item(&request);
    let (parts, body) = request.into_parts();
    let waits = parts.headers.contains_key(header::EXPECT);
    let mut coming = Coming { body, received: 0, waits };
    let taken = match place {
        Ok(item) => take(&desk, asked, item, &parts.headers, &mut coming).await,
        Err(refusal) => Err(refusal),
    };
    let mut answer = match taken {
        Ok(status) => status.into_response(),
        Err(refusal) => {
            desk.metrics.refused(refusal.word());
            let slow = matches!(refusal, Refusal::TooSlow(_) | Refusal::Cut(_));
            if !slow && (!coming.waits || coming.received > 0) {
                coming.hear_out().await;
            }
            let mut answer = desk.refuse(refusal);
            answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            answer
        }
    };
    answer.extensions_mut().insert(Received(coming.received));
    answer
}

async fn take(
    desk: &Arc<Desk>,
    caller: Caller,
    item: Item,
    headers: &HeaderMap,
    coming: &mut Coming,
) -> Result<StatusCode, Refusal> {
    caller.must(Right::Write)?;
    for unknown in [header::CONTENT_ENCODING, header::CONTENT_RANGE] {
        if headers.contains_key(&unknown) {
            return Err(Refusal::BadRequest(format!("{unknown} is not understood")));
        }
    }
    let most = check::longest(&item, desk.config.limits.upload.0);
    let told =
        headers.get(header::CONTENT_LENGTH).and_then(|told| told.to_str().ok()?.parse().ok());
    if told.is_some_and(|told: u64| told > most) {
        return Err(Refusal::TooLong(most));
    }
    let mut room = desk.usage.room(caller.name(), told.unwrap_or(0)).map_err(full)?;
    let staging = desk.dir.join(STAGING);
    let (file, path) = blocking(move || stage(&staging)).await?;
    let mut file = tokio::fs::File::from_std(file);
    file.set_max_buf_size(BUFFER);
    let mut hasher = Hasher::default();
    let since = Instant::now();
    while let Some(bytes) = coming.next(desk, since).await? {
        if coming.received > most {
            return Err(Refusal::TooLong(most));
        }
        if told.is_none() {
            room.reach(coming.received.next_multiple_of(STEP)).map_err(full)?;
        }
        hasher.update(&bytes);
        file.write_all(&bytes).await?;
    }
    file.flush().await?;
    let file = file.into_std().await;
    let upload = Upload { item, caller, digest: hasher.finish(), file, path, room };
    let _permit = desk.checks.acquire().await.map_err(|_| Refusal::Busy)?;
    let desk = desk.clone();
    let replaced = tokio::task::spawn_blocking(move || upload.keep(&desk)).await;
    let replaced = replaced.map_err(|error| Refusal::Fault(io::Error::other(error)))??;
    Ok(if replaced { StatusCode::OK } else { StatusCode::CREATED })
}

impl Coming {
    /// The next bytes, if there are more.
    async fn next(&mut self, desk: &Desk, since: Instant) -> Result<Option<Bytes>, Refusal> {
        let stall = desk.config.limits.stall;
        let Ok(frame) = timeout(Duration::from_secs(stall), self.frame()).await else {
            return Err(Refusal::TooSlow(stall));
        };
        let Some(bytes) = frame.transpose().map_err(|error| Refusal::Cut(error.to_string()))?
        else {
            return Ok(None);
        };
        self.received += bytes.len() as u64;
        desk.metrics.received.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        let late = since.elapsed().as_secs().saturating_sub(stall);
        if self.received < late.saturating_mul(SLOWEST) {
            return Err(Refusal::TooSlow(stall));
        }
        Ok(Some(bytes))
    }

    async fn frame(&mut self) -> Option<Result<Bytes, axum::Error>> {
        let frame = poll_fn(|cx| Pin::new(&mut self.body).poll_frame(cx)).await?;
        // Trailers say nothing here.
        Some(frame.map(|frame| frame.into_data().unwrap_or_default()))
    }

    /// Reads on for a while without keeping anything.
    async fn hear_out(&mut self) {
        let mut heard = 0;
        let read = async {
            while let Some(Ok(bytes)) = self.frame().await {
                heard += bytes.len() as u64;
                if heard > HEARD {
                    break;
                }
            }
        };
        // Who takes longer is not told.
        let _ = timeout(HEARING, read).await;
    }
}

/// All of an upload, not checked yet. Dropped, it leaves nothing.
struct Upload {
    item: Item,
    caller: Caller,
    digest: Digest,
    file: File,
    path: TempPath,
    room: Room,
}

impl Upload {
    /// Checks it and puts it where it belongs. Says whether something was there before.
    fn keep(mut self, desk: &Desk) -> Result<bool, Refusal> {
        let length = self.file.metadata()?.len();
        // A file whose owner cannot be written down is nobody's; where that matters the server did not start.
        let _ = usage::own(&self.file, self.caller.name());
        // After a power cut a name must not lead to a file without its bytes.
        self.file.sync_data()?;
        let place = desk.files.place(&self.item.name());
        let (item, digest) = (&self.item, &self.digest);
        let _gate = check::check(item, digest, &mut self.file, &self.caller, desk)?;
        if let Some(dir) = place.parent() {
            std::fs::create_dir_all(dir)?;
        }
        let before = std::fs::metadata(&place).ok();
        let before = before.map(|meta| (meta.len(), usage::owner(&place)));
        let replaced = before.is_some();
        self.path.persist(&place).map_err(|error| error.error)?;
        self.room.keep(&self.item, length, before);
        Ok(replaced)
    }
}

/// `DELETE /NAME`
pub(super) async fn delete(State(desk): State<Arc<Desk>>, request: Request) -> Response {
    let (item, caller) = (item(&request), caller(&request));
    let removed = match item {
        Ok(item) => remove(&desk, item, caller).await,
        Err(refusal) => Err(refusal),
    };
    match removed {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(refusal) => desk.refuse(refusal),
    }
}

async fn remove(desk: &Arc<Desk>, item: Item, caller: Caller) -> Result<(), Refusal> {
    let needed = match item {
        // Who pushes takes the mark away that says so.
        Item::Pushing(_) => Right::Write,
        Item::Format
        | Item::Pack(_)
        | Item::Index(_)
        | Item::Tree(_)
        | Item::Way(_)
        | Item::Image(_)
        | Item::Input(_)
        | Item::Statement { .. }
        | Item::Pin(_) => Right::Admin,
    };
    caller.must(needed)?;
    let (desk, name) = (desk.clone(), item.name());
    let removed = blocking(move || {
        let place = desk.files.place(&item.name());
        let _gate = desk.usage.gate();
        let (length, owner) = (std::fs::metadata(&place)?.len(), usage::owner(&place));
        std::fs::remove_file(&place)?;
        desk.usage.lost(&item, length, &owner);
        Ok(())
    });
    removed.await.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            Refusal::NotFound(name.to_string())
        }
        _ => Refusal::Fault(error),
    })
}

fn stage(staging: &Path) -> io::Result<(File, TempPath)> {
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    let mut builder = tempfile::Builder::new();
    Ok(builder.prefix(UPLOAD).permissions(mode).tempfile_in(staging)?.into_parts())
}

fn full(Full(why): Full) -> Refusal {
    Refusal::Full(why)
}

/// Does something that waits for the disk.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error)))
}
