use std::{
    collections::BTreeMap,
    error::Error as _,
    sync::{Mutex, PoisonError},
};

use reqwest::{
    NoProxy, Proxy as HttpProxy,
    blocking::{Client, ClientBuilder},
    redirect,
};

use super::{Options, Proxies, transfer::Failure};

/// How often a server may send us elsewhere.
const REDIRECTS: usize = 8;

/// Pools of connections, shared by all threads. Each is made when it is first needed, since reading the host's
/// certificates takes a while.
#[derive(Debug)]
pub(crate) struct Clients {
    options: Options,
    made: Mutex<BTreeMap<Way, Result<Client, String>>>,
}

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Way {
    pub(crate) to: To,
    pub(crate) redirects: Redirects,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum To {
    Archive,
    Registry,
    /// A server on this machine, which no proxy could reach.
    Here,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Redirects {
    /// Goes where a server sends it, but takes no credentials to another one.
    Follow,
    /// Stays where it was told to go: for requests whose bodies are not for everybody.
    Stay,
}

impl Clients {
    pub(crate) fn new(options: Options) -> Self {
        Self { options, made: Mutex::default() }
    }

    pub(crate) fn options(&self) -> &Options {
        &self.options
    }

    pub(crate) fn get(&self, way: Way) -> Result<Client, Failure> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let client = made.entry(way).or_insert_with(|| client(&self.options, way));
        client.clone().map_err(Failure::Refused)
    }
}

fn client(options: &Options, way: Way) -> Result<Client, String> {
    // Another part of the program may have chosen a provider already; then that one it is.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let proxies = match way.to {
        To::Archive => &options.proxies,
        To::Registry => &options.registry_proxies,
        To::Here => &Proxies::NONE,
    };
    let policy = || match way.redirects {
        Redirects::Follow => redirect::Policy::limited(REDIRECTS),
        Redirects::Stay => redirect::Policy::none(),
    };
    let builder = || {
        let builder = Client::builder()
            .user_agent(concat!("vsbuild/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(options.connect)
            // With the blocking client this bounds the wait for an answer and each wait for more of it, not the whole.
            .timeout(options.stall)
            // An address may have a signature in it that is not for whom it leads to.
            .referer(false)
            .redirect(policy());
        through(builder, proxies)
    };
    builder()?.build().or_else(|error| {
        // A host without any certificates can still be served by http mirrors.
        builder()?.tls_certs_only([]).build().map_err(|_| describe(&error))
    })
}

fn through(builder: ClientBuilder, proxies: &Proxies) -> Result<ClientBuilder, String> {
    let Proxies::These { http, https } = proxies else { return Ok(builder) };
    let mut builder = builder.no_proxy();
    let http = http.as_ref().map(HttpProxy::http);
    let https = https.as_ref().map(HttpProxy::https);
    for proxy in http.into_iter().chain(https) {
        let proxy = proxy.map_err(|error| format!("proxy: {}", describe(&error)))?;
        builder = builder.proxy(proxy.no_proxy(NoProxy::from_env()));
    }
    Ok(builder)
}

/// The error with its first cause in one line, without the address.
pub(crate) fn describe(error: &reqwest::Error) -> String {
    let text = if error.is_timeout() {
        return "timed out".to_owned();
    } else if error.is_connect() {
        "no connection"
    } else if error.is_redirect() {
        "redirected in vain"
    } else {
        "broken off"
    };
    let causes = std::iter::successors(error.source(), |&error| error.source());
    causes.last().map_or_else(|| text.to_owned(), |last| format!("{text} ({last})"))
}
