//! `cache serve`: a cache for a lab.

use std::process::ExitCode;

use serde_json::json;

use crate::{
    cli::{
        args::Serve as Args,
        context::Context,
        print_json,
        problem::{Failure, Problem},
    },
    serve::{Config, Error, Reading, Server, Tls},
};

pub(super) fn run(context: &Context, args: &Args) -> Result<ExitCode, Problem> {
    let config = configured(context.config.serve.clone(), args);
    let server = Server::open(&args.dir, config, Box::new(std::io::stderr())).map_err(explain)?;
    let url = server.url();
    if context.global.json {
        print_json(&json!({ "listening": url }));
    } else {
        context.note(&format!("serving {} at {url}", args.dir.display()));
    }
    server.run().map_err(explain)?;
    Ok(ExitCode::SUCCESS)
}

/// The configuration with what was typed over it.
fn configured(mut config: Config, args: &Args) -> Config {
    config.listen = args.listen.unwrap_or(config.listen);
    config.tokens = args.tokens.clone().or(config.tokens);
    config.access_log = args.access_log.clone().or(config.access_log);
    config.keys.extend_from_slice(&args.keys);
    config.quota.total = args.quota.or(config.quota.total);
    if args.private {
        config.read = Reading::Token;
    }
    if let (Some(certificate), Some(key)) = (&args.tls_certificate, &args.tls_key) {
        config.tls = Some(Tls { certificate: certificate.clone(), key: key.clone() });
    }
    config
}

fn explain(error: Error) -> Problem {
    let failure = match &error {
        Error::Tokens { .. }
        | Error::OpenTokens(_)
        | Error::Key { .. }
        | Error::Tls { .. }
        | Error::NoTokens => Failure::Input,
        Error::Busy(_)
        | Error::OtherFormat(_)
        | Error::Listen { .. }
        | Error::NoAttributes(_)
        | Error::Io(_) => Failure::Other,
    };
    Problem::from_error(failure, &error)
}
