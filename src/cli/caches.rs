//! Which caches there are, and how to speak to them.

use std::{env, num::NonZero, path::Path};

use fs_err as fs;

use super::{
    args::Substitute,
    config::CacheEntry,
    context::Context,
    problem::{Failure, Problem},
};
use crate::{
    cache::{Source, Substituters},
    remote::{self, Address, Remote, Secret},
    trust::PublicKey,
};

impl Context {
    /// The caches that are asked for what is not here: those of the command line, then those of the configuration by their
    /// priority. None if nobody is to be asked.
    pub(super) fn substituters(&self) -> Result<Option<Substituters>, Problem> {
        let Substitute { substituters, no_substitute, .. } = &self.global.substitute;
        if *no_substitute || self.global.offline {
            return Ok(None);
        }
        let mut policy = self.policy();
        let mut configured: Vec<&CacheEntry> = self.config.caches.iter().collect();
        configured.sort_by_key(|entry| entry.priority);
        let named = substituters.iter().map(|url| (url, self.cache_entry(url)));
        let others = configured.into_iter().filter(|entry| !substituters.contains(&entry.url));
        let mut sources = Vec::new();
        for (url, entry) in named.chain(others.map(|entry| (&entry.url, Some(entry)))) {
            let remote = self.open(url, entry)?;
            let address = remote.address().to_owned();
            if let Some(CacheEntry { keys, need, .. }) = entry {
                if let Some(need) = need {
                    policy.need_at.insert(address.clone(), NonZero::get(*need));
                }
                policy.at.insert(address, keys.clone());
            }
            sources.push(Source { remote, inputs: entry.is_some_and(|entry| entry.inputs) });
        }
        if sources.is_empty() {
            return Ok(None);
        }
        if policy.keys.is_empty() && policy.at.values().all(Vec::is_empty) {
            self.note("no key is trusted, so nothing that caches say of outputs counts: --trusted-key, or `keys` in [trust]");
        }
        Ok(Some(Substituters::new(sources, policy)))
    }

    /// The remote at an address, with what the configuration says of it. Nothing is asked yet.
    pub(super) fn remote(&self, url: &Address) -> Result<Box<dyn Remote>, Problem> {
        self.open(url, self.cache_entry(url))
    }

    /// The keys that count for what one cache has, besides those that count everywhere.
    pub(super) fn keys_of(&self, url: &Address) -> Vec<PublicKey> {
        self.cache_entry(url).map(|entry| entry.keys.clone()).unwrap_or_default()
    }

    /// How many must agree on what one cache has before it counts at all, if the configuration says so.
    pub(super) fn need_of(&self, url: &Address) -> Option<usize> {
        self.cache_entry(url)?.need.map(NonZero::get)
    }

    fn cache_entry(&self, url: &Address) -> Option<&CacheEntry> {
        self.config.caches.iter().find(|entry| entry.url == *url)
    }

    fn open(&self, url: &Address, entry: Option<&CacheEntry>) -> Result<Box<dyn Remote>, Problem> {
        let mut options = remote::Options::of_user(|name| env::var_os(name));
        options.registries = self.registries()?;
        if let Some(CacheEntry { endpoint, region, token_file, .. }) = entry {
            options.endpoint = endpoint.clone().or(options.endpoint);
            options.region = region.clone().or(options.region);
            options.token = token_file.as_deref().map(token).transpose()?;
        }
        remote::open(url, &options).map_err(|error| Problem::from_error(Failure::Input, &error))
    }
}

fn token(file: &Path) -> Result<Secret, Problem> {
    let text = fs::read_to_string(file);
    let text = text.map_err(|error| Problem::from_error(Failure::Input, &error))?;
    Ok(Secret::new(text.trim_end()))
}
