//! What is given out.

use std::{io, os::unix::fs::MetadataExt, sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes},
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use tokio::{
    io::{AsyncReadExt, AsyncSeekExt},
    runtime::Handle,
    sync::mpsc,
    time::timeout,
};
use tokio_util::io::ReaderStream;

use super::{
    access::{Caller, Refusal},
    body::Pieces,
    check,
    config::Reading,
    desk::Desk,
    range::{Asked, asked},
    usage,
};
use crate::{
    cache::Item,
    remote::{BadName, Name, is_absence},
};

/// Bytes of a file that are in memory for a client at once, or of a list.
const PIECE: usize = 256 << 10;
/// What stands before the list's entries and is not sent with them.
const FRONT: &str = "This is a cache of vsbuild. GET /format, /?list=PREFIX, /metrics, /healthz.\n";

/// `GET /NAME` and `HEAD /NAME`
pub(super) async fn file(
    State(desk): State<Arc<Desk>>,
    request: Request,
) -> Result<Response, Refusal> {
    desk.may_read(&caller(&request))?;
    let item = item(&request)?;
    let name = item.name();
    let headers = request.headers();
    let absent = |error: io::Error| match is_absence(&error) {
        true => Refusal::NotFound(name.to_string()),
        false => Refusal::Fault(error),
    };
    let mut file = tokio::fs::File::open(desk.files.place(&name)).await.map_err(absent)?;
    let meta = file.metadata().await?;
    if !meta.is_file() {
        return Err(Refusal::NotFound(name.to_string()));
    }
    let tag = match check::fixed(&item) {
        Some(digest) => format!("\"{digest}\""),
        // A file is replaced by another one, never written over.
        None => format!("\"{:x}-{:x}-{:x}\"", meta.ino(), meta.mtime_nsec(), meta.len()),
    };
    let mut answer = Response::new(Body::empty());
    let out = answer.headers_mut();
    let text = |text: String| HeaderValue::try_from(text).expect("tags and numbers are plain");
    out.insert(header::ETAG, text(tag.clone()));
    let who = if desk.config.read == Reading::Anyone { "public" } else { "private" };
    let long =
        if check::fixed(&item).is_some() { "max-age=31536000, immutable" } else { "no-cache" };
    out.insert(header::CACHE_CONTROL, text(format!("{who}, {long}")));
    out.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    out.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if matches(headers, &header::IF_NONE_MATCH, &tag) {
        *answer.status_mut() = StatusCode::NOT_MODIFIED;
        return Ok(answer);
    }
    let bytes = HeaderValue::from_static("application/octet-stream");
    out.insert(header::CONTENT_TYPE, bytes);
    let same = !headers.contains_key(header::IF_RANGE) || matches(headers, &header::IF_RANGE, &tag);
    let range = headers.get(header::RANGE).filter(|_| same).and_then(|range| range.to_str().ok());
    let length = meta.len();
    let part = match range.map_or(Asked::Whole, |range| asked(range, length)) {
        Asked::Whole => 0..length,
        Asked::Part(part) => {
            let range = format!("bytes {}-{}/{length}", part.start, part.end - 1);
            out.insert(header::CONTENT_RANGE, text(range));
            *answer.status_mut() = StatusCode::PARTIAL_CONTENT;
            file.seek(io::SeekFrom::Start(part.start)).await?;
            part
        }
        Asked::Beyond => {
            out.insert(header::CONTENT_RANGE, text(format!("bytes */{length}")));
            *answer.status_mut() = StatusCode::RANGE_NOT_SATISFIABLE;
            return Ok(answer);
        }
    };
    let length = part.end - part.start;
    answer.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    *answer.body_mut() = Body::from_stream(ReaderStream::with_capacity(file.take(length), PIECE));
    Ok(answer)
}

/// `GET /` and `GET /?list=PREFIX`
pub(super) async fn front(
    State(desk): State<Arc<Desk>>,
    request: Request,
) -> Result<Response, Refusal> {
    desk.may_read(&caller(&request))?;
    let query = request.uri().query().unwrap_or_default();
    let Some(prefix) = query.split('&').find_map(|pair| pair.strip_prefix("list=")) else {
        return Ok(FRONT.into_response());
    };
    // Of all characters of names only this one may come in another spelling.
    let prefix = prefix.replace("%2F", "/").replace("%2f", "/");
    let below = match prefix.trim_end_matches('/') {
        "" => desk.dir.clone(),
        prefix => desk.files.place(&name(prefix)?),
    };
    let permit = desk.lists.clone().try_acquire_owned().map_err(|_| Refusal::Busy)?;
    let (to, from) = mpsc::channel(2);
    tokio::task::spawn_blocking(move || {
        list(&desk, &below, &to);
        drop(permit);
    });
    let mut answer = Response::new(Body::new(Pieces(from)));
    let json = HeaderValue::from_static("application/json");
    answer.headers_mut().insert(header::CONTENT_TYPE, json);
    answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(answer)
}

#[derive(Serialize)]
struct Listed<'a> {
    name: &'a str,
    size: u64,
    modified: i64,
}

/// Writes a list piece by piece, as long as somebody takes it and all can be looked at; otherwise it has no end.
fn list(desk: &Desk, below: &std::path::Path, to: &mpsc::Sender<Option<Bytes>>) {
    let stall = Duration::from_secs(desk.config.limits.stall);
    let runtime = Handle::current();
    // Who takes a piece too slowly keeps others from their lists.
    let taken = |piece| matches!(runtime.block_on(timeout(stall, to.send(piece))), Ok(Ok(())));
    let mut piece = Vec::with_capacity(PIECE);
    piece.push(b'[');
    for (at, found) in usage::files(&desk.dir, below).enumerate() {
        let (item, _, meta) = match found {
            Ok(found) => found,
            Err(error) => return desk.say(&format!("fault: a list breaks off: {error}")),
        };
        if at > 0 {
            piece.extend_from_slice(b",\n");
        }
        let name = item.name();
        let entry = Listed { name: name.as_str(), size: meta.len(), modified: meta.mtime() };
        serde_json::to_writer(&mut piece, &entry).expect("a list is plain data");
        if piece.len() > PIECE - 1024 {
            let full = std::mem::replace(&mut piece, Vec::with_capacity(PIECE));
            if !taken(Some(full.into())) {
                return;
            }
        }
    }
    piece.extend_from_slice(b"]\n");
    if taken(Some(piece.into())) {
        taken(None);
    }
}

/// `GET /healthz`
pub(super) async fn health() -> &'static str {
    "ok\n"
}

/// `GET /metrics`
pub(super) async fn metrics(
    State(desk): State<Arc<Desk>>,
    request: Request,
) -> Result<Response, Refusal> {
    desk.may_read(&caller(&request))?;
    let kept = desk.usage.kept();
    let text = desk.metrics.text(&kept, desk.config.quota.total.map(|size| size.0));
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}

/// Who asks, as was found out when the request came.
pub(super) fn caller(request: &Request) -> Caller {
    request.extensions().get().cloned().unwrap_or_else(Caller::nobody)
}

/// What of a cache a request is about.
pub(super) fn item(request: &Request) -> Result<Item, Refusal> {
    let path = request.uri().path().trim_start_matches('/');
    let name = name(path)?;
    Item::of(&name).ok_or_else(|| Refusal::NotFound(format!("{name} in the layout of a cache")))
}

fn name(text: &str) -> Result<Name, Refusal> {
    text.parse().map_err(|error: BadName| Refusal::BadRequest(error.to_string()))
}

/// Whether a header of tags has this one, or the star (RFC 9110, section 8.8.3.2, weak comparison).
fn matches(headers: &HeaderMap, header: &header::HeaderName, tag: &str) -> bool {
    headers.get_all(header).iter().filter_map(|value| value.to_str().ok()).any(|value| {
        let mut tags = value.split(',').map(|one| one.trim().trim_start_matches("W/"));
        tags.any(|one| one == tag || one == "*")
    })
}
