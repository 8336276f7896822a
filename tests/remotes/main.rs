//! Remotes of every kind, each at a real server: nginx, a store that speaks S3, Debian's docker-registry.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]
#![allow(dead_code, reason = "the servers are also those of other tests")]

mod denied;
mod faults;
mod house;
mod nginx;
#[path = "../common/noise.rs"]
mod noise;
#[path = "../registry/real.rs"]
mod real;
mod s3;
mod sentences;
#[path = "../registry/server.rs"]
mod server;
#[path = "../common/nginx.rs"]
mod server_of_files;
#[path = "../common/s3.rs"]
mod store_of_objects;

use std::time::Duration;

use noise::noise;
use vsbuild::{
    fetch::Proxies,
    remote::{self, Name, Options, Remote},
};

/// The repository in a registry.
const REPOSITORY: &str = "team/cache";

/// Says on the test's output that it checked nothing.
#[allow(clippy::print_stderr, reason = "a skipped test must be seen")]
fn skip(why: &str) {
    eprintln!("SKIPPED: {why}");
}

fn options() -> Options {
    Options {
        proxies: Proxies::NONE,
        connect: Duration::from_secs(5),
        stall: Duration::from_secs(5),
        pause: Duration::from_millis(2),
        ..Options::default()
    }
}

fn open(address: &str) -> Box<dyn Remote> {
    open_with(address, &options())
}

fn open_with(address: &str, options: &Options) -> Box<dyn Remote> {
    remote::open(&address.parse().unwrap(), options).unwrap()
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}
