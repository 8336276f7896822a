use std::error::Error as _;

use reqwest::{
    NoProxy, Proxy as HttpProxy,
    blocking::{Client, ClientBuilder},
    redirect,
};

use super::{Options, Proxies};

/// A pool of connections, shared by all threads.
pub(super) fn client(options: &Options) -> Result<Client, String> {
    // Another part of the program may have chosen a provider already; then that one it is.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = || {
        let builder = Client::builder()
            .user_agent(concat!("vsbuild/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(options.connect)
            // With the blocking client this bounds the wait for an answer and each wait for more of it, not the whole.
            .timeout(options.stall)
            .redirect(redirect::Policy::limited(8));
        through(builder, &options.proxies)
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
pub(super) fn describe(error: &reqwest::Error) -> String {
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
