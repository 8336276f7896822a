use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

/// What a token lets its owner do; each right has those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Right {
    /// Get and list.
    Read,
    /// Send.
    Write,
    /// Remove, and replace what others rely on.
    Admin,
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Caller {
    name: String,
    pub(super) right: Option<Right>,
}

impl Caller {
    /// Somebody who shows no token.
    pub(super) fn nobody() -> Self {
        Self { name: "-".to_owned(), right: None }
    }

    pub(super) fn named(name: &str, right: Right) -> Self {
        Self { name: name.to_owned(), right: Some(right) }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Whether they may: without a token another one may help, with one it is not enough.
    pub(super) fn must(&self, needed: Right) -> Result<(), Refusal> {
        match self.right {
            Some(right) if right >= needed => Ok(()),
            Some(_) => Err(Refusal::Forbidden(format!("the token {} may not do that", self.name))),
            None => Err(Refusal::NoToken),
        }
    }
}

/// The token that a request shows: `Authorization: Bearer TOKEN` (RFC 6750).
pub(super) fn shown(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?;
    let text = value.to_str().unwrap_or_default();
    let (scheme, token) = text.split_once(' ').unwrap_or((text, ""));
    // What is shown and cannot be read is a wrong token, not none.
    Some(if scheme.eq_ignore_ascii_case("bearer") { token.trim() } else { "" })
}

/// Why a request is not done.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("a token is needed: Authorization: Bearer TOKEN")]
    NoToken,
    #[error("nobody has this token")]
    WrongToken,
    #[error("{0}")]
    Forbidden(String),
    #[error("{0}")]
    BadRequest(String),
    #[error("there is no {0}")]
    NotFound(String),
    #[error("this can be read, written or removed, but not that: {0}")]
    WrongMethod(String),
    #[error("no bytes came for {0} s")]
    TooSlow(u64),
    #[error("{0}")]
    Conflict(String),
    #[error("more than {0} bytes are not taken")]
    TooLong(u64),
    #[error("{0}")]
    Wrong(String),
    #[error("there is no room: {0}")]
    Full(String),
    #[error("too many are here already; try again in a moment")]
    Busy,
    #[error("the bytes ended early: {0}")]
    Cut(String),
    #[error("the server has a fault; its log says more")]
    Fault(#[source] std::io::Error),
}

impl Refusal {
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::NoToken | Self::WrongToken => StatusCode::UNAUTHORIZED,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::BadRequest(_) | Self::Cut(_) => StatusCode::BAD_REQUEST,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::WrongMethod(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooSlow(_) => StatusCode::REQUEST_TIMEOUT,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::TooLong(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Wrong(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Full(_) => StatusCode::INSUFFICIENT_STORAGE,
            Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Self::Fault(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// One word for the metrics.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::NoToken | Self::WrongToken | Self::Forbidden(_) => "denied",
            Self::BadRequest(_) | Self::NotFound(_) | Self::WrongMethod(_) => "name",
            Self::TooSlow(_) => "slow",
            Self::Conflict(_) => "conflict",
            Self::TooLong(_) => "long",
            Self::Wrong(_) => "wrong",
            Self::Full(_) => "full",
            Self::Busy => "busy",
            Self::Cut(_) => "cut",
            Self::Fault(_) => "fault",
        }
    }
}

impl From<std::io::Error> for Refusal {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                Self::Full("the disk is full".to_owned())
            }
            _ => Self::Fault(error),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(format!("{self}\n")));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        let plain = HeaderValue::from_static("text/plain; charset=utf-8");
        headers.insert(header::CONTENT_TYPE, plain);
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if matches!(self, Self::NoToken | Self::WrongToken) {
            let asks = HeaderValue::from_static("Bearer realm=\"vsbuild cache\"");
            headers.insert(header::WWW_AUTHENTICATE, asks);
        }
        if matches!(self, Self::Busy) {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
        }
        response
    }
}
