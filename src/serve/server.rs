//! From a configuration to a server that runs.

use std::{
    io::Write,
    net::{SocketAddr, TcpListener},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock, atomic::Ordering},
    time::Duration,
};

use fs_err::{self as fs, File};
use rustix::{
    fs::{FlockOperation, flock},
    process::{Resource, getrlimit, setrlimit},
};
use tokio::{
    runtime::Runtime,
    signal::unix::{Signal, SignalKind, signal},
    sync::{Semaphore, watch},
    time::{interval, sleep},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
};

use super::{
    Error, answer,
    config::{Config, Gc, Reading, Tls},
    desk::Desk,
    listen::Hall,
    log::Log,
    tokens::{BadLine, Tokens},
    upload::{STAGING, UPLOAD},
    usage::{self, Usage},
};
use crate::{
    cache::{self, Cache, FORMAT, Item, Terms},
    remote::Directory,
    trust::{BadKey, KeyId, Keys, PublicKey},
};

/// One server a directory.
const LOCK: &str = ".serve.lock";
/// How often what is there is counted again: others may have changed it.
const COUNT_EVERY: Duration = Duration::from_secs(60 * 60);
/// How long a collection that met a push waits until it tries again.
const TRY_AGAIN: Duration = Duration::from_secs(10 * 60);
/// Lists that are made at once.
const LISTS: usize = 8;
/// Threads that wait for the disk.
const DISK_THREADS: usize = 64;

/// A server that listens already.
pub struct Server {
    desk: Arc<Desk>,
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<Arc<RwLock<TlsAcceptor>>>,
    /// Held as long as the server is there.
    _lock: File,
}

impl Server {
    /// Prepares a directory, which need not be there yet, and listens. Lines of the log go to `other` if there is no file for them.
    pub fn open(dir: &Path, config: Config, other: Box<dyn Write + Send>) -> Result<Self, Error> {
        fs::create_dir_all(dir)?;
        let dir = fs::canonicalize(dir)?;
        let lock = File::create(dir.join(LOCK))?;
        flock(lock.file(), FlockOperation::NonBlockingLockExclusive)
            .map_err(|_| Error::Busy(dir.clone()))?;
        let staging = dir.join(STAGING);
        fs::create_dir_all(&staging)?;
        sweep(&staging)?;
        let files = Directory::new(&dir);
        let format = files.place(&Item::Format.name());
        match fs::read(&format) {
            Ok(text) if text == FORMAT.as_bytes() => (),
            Ok(_) => return Err(Error::OtherFormat(dir)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                fs::write(&format, FORMAT)?;
            }
            Err(error) => return Err(error.into()),
        }
        let per_token = config.quota.token.is_some() || !config.quota.tokens.is_empty();
        if per_token && usage::own(lock.file(), "-").is_err() {
            return Err(Error::NoAttributes(dir));
        }
        if config.read == Reading::Token && config.tokens.is_none() {
            return Err(Error::NoTokens);
        }
        let tokens = config.tokens.as_deref().map(read_tokens).transpose()?.unwrap_or_default();
        let tls = config.tls.as_ref().map(acceptor).transpose()?;
        let usage = Usage::new(config.quota.clone());
        usage.count(&dir);
        let desk = Desk {
            keys: keys(&config)?,
            tokens: RwLock::new(Arc::new(tokens)),
            usage,
            metrics: Default::default(),
            log: Log::new(config.access_log.as_deref(), other)?,
            checks: Semaphore::new(cores()),
            lists: Arc::new(Semaphore::new(LISTS)),
            files,
            dir,
            config,
        };
        let listen = desk.config.listen;
        let failed = |source| Error::Listen { address: listen, source };
        let listener = TcpListener::bind(listen).map_err(failed)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let tls = tls.map(|tls| Arc::new(RwLock::new(tls)));
        Ok(Self { desk: Arc::new(desk), listener, address, tls, _lock: lock })
    }

    /// Where it can be reached, if that is where it listens.
    pub fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// Answers until SIGTERM or SIGINT, and then lets requests end. SIGHUP has it read tokens and certificate again, and open
    /// its log again.
    pub fn run(self) -> Result<(), Error> {
        raise_descriptors();
        let runtime = runtime()?;
        let ended = runtime.block_on(async {
            let mut signals = Signals::new()?;
            let listener = tokio::net::TcpListener::from_std(self.listener)?;
            let (to_stop, stop) = watch::channel(false);
            let router = answer::router(&self.desk);
            let hall = Hall { desk: self.desk.clone(), router, tls: self.tls.clone() };
            let counting = tokio::spawn(count_again(self.desk.clone()));
            let collecting = tokio::spawn(collect_again(self.desk.clone()));
            let mut open = tokio::spawn(hall.open(listener, stop));
            while let Asked::Reload = signals.next().await {
                reload(&self.desk, self.tls.as_deref());
            }
            self.desk.say("stopping");
            // Nobody listens any more if all are gone.
            let _ = to_stop.send(true);
            tokio::select! {
                _ = &mut open => (),
                // Who asks twice does not want to wait.
                () = signals.stopped() => (),
            }
            counting.abort();
            collecting.abort();
            Ok(())
        });
        // A thread that waits for the disk is not waited for.
        runtime.shutdown_background();
        ended
    }
}

enum Asked {
    Stop,
    Reload,
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.terminate.recv() => Asked::Stop,
            _ = self.interrupt.recv() => Asked::Stop,
            _ = self.hang_up.recv() => Asked::Reload,
        }
    }

    async fn stopped(&mut self) {
        while !matches!(self.next().await, Asked::Stop) {}
    }
}

/// Takes new tokens and a new certificate; what is wrong with them is told, and the old ones stay.
fn reload(desk: &Desk, tls: Option<&RwLock<TlsAcceptor>>) {
    desk.log.reopen();
    let tokens = desk.config.tokens.as_deref().map(read_tokens);
    match tokens {
        Some(Ok(tokens)) => {
            *desk.tokens.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(tokens);
        }
        Some(Err(error)) => desk.say(&format!("the old tokens stay: {error}")),
        None => (),
    }
    if let (Some(tls), Some(files)) = (tls, &desk.config.tls) {
        match acceptor(files) {
            Ok(new) => *tls.write().unwrap_or_else(PoisonError::into_inner) = new,
            Err(error) => desk.say(&format!("the old certificate stays: {error}")),
        }
    }
    desk.say("reloaded");
}

async fn count_again(desk: Arc<Desk>) {
    let mut times = interval(COUNT_EVERY);
    times.tick().await;
    loop {
        times.tick().await;
        let desk = desk.clone();
        // A walk that fails counts less, until the next one.
        let _ = tokio::task::spawn_blocking(move || desk.usage.count(&desk.dir)).await;
    }
}

/// Collects garbage as often as the configuration says. What is sent at that time is kept by the mark of who pushes it.
async fn collect_again(desk: Arc<Desk>) {
    let Some(gc) = desk.config.gc.clone() else { return };
    loop {
        let (here, terms) = (desk.clone(), terms(&gc));
        let collected = tokio::task::spawn_blocking(move || {
            let collected = Cache::new(Box::new(here.files.clone())).collect(&terms);
            here.usage.count(&here.dir);
            collected
        });
        let collected = collected.await.map_err(|error| error.to_string());
        let wait = match &collected {
            Ok(collected) => until_next(&gc, collected),
            Err(_) => every(&gc),
        };
        match collected {
            Ok(Ok(collection)) => {
                let (count, bytes) = (collection.remove.len(), collection.bytes());
                desk.metrics.collected.fetch_add(bytes, Ordering::Relaxed);
                desk.say(&format!(
                    "collected {count} files, {bytes} bytes; {} stay",
                    collection.kept
                ));
            }
            Ok(Err(error)) => {
                let minutes = wait.as_secs() / 60;
                desk.say(&format!("nothing collected: {error}; again in {minutes} minutes"));
            }
            Err(error) => desk.say(&format!("nothing collected: {error}")),
        }
        sleep(wait).await;
    }
}

fn every(gc: &Gc) -> Duration {
    Duration::from_secs(gc.every.max(1).saturating_mul(60 * 60))
}

/// How long to wait after a collection. A push is over before long, and if each collection met one there would be none.
fn until_next<T>(gc: &Gc, collected: &Result<T, cache::Error>) -> Duration {
    match collected {
        Err(cache::Error::Busy { .. }) => TRY_AGAIN,
        _ => every(gc),
    }
}

fn terms(gc: &Gc) -> Terms {
    let older_than = gc.older_than.saturating_mul(24 * 60 * 60);
    Terms { older_than, max_size: gc.max_size.map(|size| size.0) }
}

/// Removes what an earlier server did not finish.
fn sweep(staging: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(staging)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(UPLOAD) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn read_tokens(file: &Path) -> Result<Tokens, Error> {
    let text = fs::read_to_string(file)?;
    let tokens = Tokens::parse(&text).map_err(|BadLine { line, why }| Error::Tokens {
        file: file.to_owned(),
        line,
        why,
    })?;
    let open = fs::metadata(file)?.permissions().mode() & 0o004 != 0;
    if open && !tokens.hashed {
        return Err(Error::OpenTokens(file.to_owned()));
    }
    Ok(tokens)
}

fn keys(config: &Config) -> Result<Keys, Error> {
    let bad = |text: &String| {
        let text = text.clone();
        |source: BadKey| Error::Key { text, source }
    };
    let public = |text: &String| text.parse::<PublicKey>().map_err(bad(text));
    let id = |text: &String| match text.parse::<PublicKey>() {
        Ok(key) => Ok(key.id()),
        Err(_) => text.parse::<KeyId>().map_err(bad(text)),
    };
    let trusted = config.keys.iter().map(public).collect::<Result<Vec<_>, _>>()?;
    let revoked = config.revoked.iter().map(id).collect::<Result<Vec<_>, _>>()?;
    Ok(Keys::new(trusted, revoked))
}

fn acceptor(tls: &Tls) -> Result<TlsAcceptor, Error> {
    let wrong = |file: &PathBuf, why: &dyn std::fmt::Display| Error::Tls {
        file: file.clone(),
        why: why.to_string(),
    };
    let chain = CertificateDer::pem_file_iter(&tls.certificate)
        .and_then(|chain| chain.collect::<Result<Vec<_>, _>>())
        .map_err(|error| wrong(&tls.certificate, &error))?;
    let key = PrivateKeyDer::from_pem_file(&tls.key).map_err(|error| wrong(&tls.key, &error))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong(&tls.certificate, &error))?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| wrong(&tls.certificate, &error))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn runtime() -> std::io::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores())
        .max_blocking_threads(DISK_THREADS)
        .enable_all()
        .build()
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).clamp(1, 8)
}

/// A client takes a descriptor and a file another one; the system lets a program have more than it gives it.
fn raise_descriptors() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Fewer will do for a while.
    let _ = setrlimit(Resource::Nofile, limit);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collection_that_meets_a_push_does_not_wait_for_the_next_day() {
        let gc = Gc { every: 24, older_than: 90, max_size: None };
        let busy = cache::Error::Busy { address: "here".to_owned(), act: "a push", seconds: 3 };
        let other = cache::Error::Io(std::io::Error::other("a disk"));
        for (collected, hours) in [(Ok(()), 24.0), (Err(other), 24.0), (Err(busy), 1.0 / 6.0)] {
            assert_eq!(until_next(&gc, &collected), Duration::from_secs_f64(hours * 3600.0));
        }
    }
}
