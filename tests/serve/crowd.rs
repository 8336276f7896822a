//! Many clients at once, with the program's own client.

use std::{fs, thread};

use tempfile::TempDir;
use vsbuild::{
    cache::{Cache, Parcel},
    digest::Digest,
    fetch::Proxies,
    remote::{self, Options, Secret},
    store::Store,
};

use crate::{
    fill,
    server::{Place, Server},
    tree,
};

const CLIENTS: u64 = 50;

fn cache(server: &Server, token: Option<&str>) -> Cache {
    let token = token.map(Secret::new);
    let options = Options { proxies: Proxies::NONE, token, ..Options::default() };
    Cache::new(remote::open(&server.url.parse().unwrap(), &options).unwrap())
}

/// The memory that the server has now, in KiB.
fn memory(server: &Server) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.child.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().split(' ').next().unwrap().parse().unwrap()
}

/// Each of all clients brings the trees into an empty store of its own.
fn all_pull(server: &Server, trees: &[Digest]) {
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            scope.spawn(move || {
                let dir = TempDir::with_prefix("vsbuild-client-").unwrap();
                let store = Store::open(dir.path()).unwrap();
                let here = cache(server, None).pull_all(trees, &store, &|_, _| ());
                let here = here.unwrap_or_else(|error| panic!("client {client}: {error}"));
                assert_eq!(here.len(), trees.len(), "client {client}");
                assert!(store.verify(&|_| ()).unwrap().damaged.is_empty(), "client {client}");
            });
        }
    });
}

#[test]
fn fifty_clients_pull_at_once_without_an_error_and_memory_does_not_grow() {
    let (place, dir) = (Place::new(), tempfile::tempdir().unwrap());
    let store = Store::open(dir.path()).unwrap();
    let trees = [1, 2].map(|seed| tree(&store, seed, 20, 60_000));
    fill(&place.cache(), &store, &trees);
    let server = place.start();
    all_pull(&server, &trees);
    let once = memory(&server);
    for _ in 0..3 {
        all_pull(&server, &trees);
    }
    let often = memory(&server);
    assert!(often < once + (16 << 10), "{once} KiB after one round, {often} KiB after four");
    assert_eq!(server.metric("connections_refused_total"), 0);
    let failed = server.get("/metrics").text();
    let failed = failed.lines().find(|line| line.contains("status=\"5")).map(str::to_owned);
    assert_eq!(failed, None);
}

#[test]
fn clients_that_push_at_once_leave_a_whole_cache() {
    let (server, dir) = (Server::start(), tempfile::tempdir().unwrap());
    let store = Store::open(dir.path()).unwrap();
    let trees: Vec<Digest> = (1..=8).map(|seed| tree(&store, seed, 10, 50_000)).collect();
    thread::scope(|scope| {
        for pair in trees.windows(2) {
            let (server, store) = (&server, &store);
            scope.spawn(move || {
                let parcel = Parcel { trees: pair.iter().copied().collect(), ..Parcel::default() };
                let cache = cache(server, Some("token-of-a-writer"));
                cache.push(&parcel, store, &|_, _| ()).unwrap();
            });
        }
    });
    let back = tempfile::tempdir().unwrap();
    let back = Store::open(back.path()).unwrap();
    let here = cache(&server, None).pull_all(&trees, &back, &|_, _| ()).unwrap();
    assert_eq!(here.len(), trees.len());
    assert_eq!(server.get("/?list=pushing").text().trim(), "[]");
    // What is there already is not sent again.
    let received = server.metric("received_bytes_total");
    let parcel = Parcel { trees: trees.iter().copied().collect(), ..Parcel::default() };
    cache(&server, Some("token-of-a-writer")).push(&parcel, &store, &|_, _| ()).unwrap();
    let again = server.metric("received_bytes_total") - received;
    assert!(again < 2000, "{again} bytes");
}

#[test]
fn who_may_not_write_is_told_so_by_the_client() {
    let (server, dir) = (Server::start(), tempfile::tempdir().unwrap());
    let store = Store::open(dir.path()).unwrap();
    let parcel = Parcel { trees: [tree(&store, 1, 2, 100)].into(), ..Parcel::default() };
    for (token, word) in
        [(None, "a token is needed"), (Some("token-of-a-reader"), "may not do that")]
    {
        let error = cache(&server, token).push(&parcel, &store, &|_, _| ()).unwrap_err();
        let said = format!("{error:?} {error}");
        assert!(said.contains(word), "{said}");
    }
}
