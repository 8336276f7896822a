//! From a request to its answer, and to a line in the log.

use std::{convert::Infallible, net::IpAddr, sync::Arc, time::Instant};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponse, Response},
    routing::get,
};
use hyper::{body::Incoming, service::Service};
use hyper_util::service::TowerToHyperService;

use super::{
    access::{Caller, Refusal},
    body::{Counted, Seen},
    desk::Desk,
    network, read, upload,
};

/// The most characters of a path that are written into the log.
const LONGEST_PATH: usize = 300;

/// Answers requests of one client.
#[derive(Clone)]
pub(super) struct Answering {
    desk: Arc<Desk>,
    router: TowerToHyperService<Router>,
    peer: IpAddr,
    /// Whether there are too many clients, so that this one is only told so.
    busy: bool,
}

/// Which handler answers what.
pub(super) fn router(desk: &Arc<Desk>) -> Router {
    Router::new()
        .route("/", get(read::front))
        .route("/healthz", get(read::health))
        .route("/metrics", get(read::metrics))
        .route("/{*name}", get(read::file).put(upload::put).delete(upload::delete))
        .fallback(nothing)
        .method_not_allowed_fallback(other_method)
        .with_state(desk.clone())
}

async fn nothing(request: Request) -> Refusal {
    Refusal::NotFound(request.uri().path().to_owned())
}

async fn other_method(State(_): State<Arc<Desk>>, request: Request) -> Refusal {
    Refusal::WrongMethod(request.method().to_string())
}

impl Answering {
    pub(super) fn new(desk: Arc<Desk>, router: Router, peer: IpAddr, busy: bool) -> Self {
        Self { desk, router: TowerToHyperService::new(router), peer, busy }
    }

    /// The answer, with its line for the log, which is written when it has gone out.
    pub(super) async fn answer(
        self,
        mut request: hyper::Request<Incoming>,
    ) -> Result<hyper::Response<Counted>, Infallible> {
        let Self { desk, router, peer, busy } = self;
        let since = Instant::now();
        let client =
            network::client(peer, &forwarded(request.headers()), &desk.config.trusted_proxies);
        let (method, caller) = (request.method().clone(), desk.caller(request.headers()));
        let name = caller.as_ref().map_or("?", Caller::name);
        let path = request.uri().path_and_query().map_or("", |path| path.as_str());
        let path = path.strip_prefix('/').filter(|path| !path.is_empty()).unwrap_or(path);
        // hyper takes any UTF-8, but no spaces.
        let path: String = path.chars().take(LONGEST_PATH).flat_map(char::escape_default).collect();
        let asked = format!("{client} {name} {method} {path}");
        let answer = match caller {
            _ if busy => closing(Refusal::Busy.into_response()),
            Err(refusal) => closing(desk.refuse(refusal)),
            Ok(caller) => {
                request.extensions_mut().insert(caller);
                router.call(request).await.unwrap_or_else(|never| match never {})
            }
        };
        let (parts, body) = answer.into_parts();
        let received = parts.extensions.get::<upload::Received>().map(|received| received.0);
        let status = parts.status.as_u16();
        let seen = Seen { desk, since, asked, method, status, received };
        Ok(Response::from_parts(parts, Counted { body, seen, sent: 0 }))
    }
}

/// An answer after which the connection ends, since its request was not read.
fn closing(mut answer: Response<Body>) -> Response<Body> {
    answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    answer
}

/// What proxies say of whom they ask for, all headers in one list.
fn forwarded(headers: &HeaderMap) -> String {
    let all = headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
    all.collect::<Vec<_>>().join(",")
}
