use std::{
    collections::BTreeMap,
    io::Read,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use reqwest::{
    StatusCode, Url,
    blocking::{RequestBuilder, Response},
    header::{CONTENT_TYPE, WWW_AUTHENTICATE},
};
use serde::Deserialize;

use super::{
    Endpoint, Registries,
    challenge::{self, Challenge},
    credentials::{Credential, Found},
    is_loopback,
};
use crate::fetch::{
    busy,
    client::{Clients, Redirects, To, Way},
    transfer::{Failure, exchange, refusal},
};

/// What a token server says may be so long.
const LONGEST_TOKEN: u64 = 1 << 20;
/// So much of an error is read.
const LONGEST_ERROR: u64 = 8 << 10;
/// So many characters of it are shown.
const LONGEST_WORDS: usize = 200;
/// Tokens without a time live so long (Docker's token authentication specification, "Token Response Fields").
const SHORTEST_LIFE: u64 = 60;

/// Gets us through the doors of registries, and remembers what opened them.
#[derive(Debug)]
pub(in crate::fetch) struct Doorman {
    pub(super) registries: Registries,
    grants: Mutex<BTreeMap<Door, Slot>>,
}

/// What opens a door, once that is known. Locked while somebody finds out, so that others need not.
type Slot = Arc<Mutex<Option<Grant>>>;

/// What is to be done with a repository on a server.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Door {
    pub(super) endpoint: Endpoint,
    /// As the registry calls it, without the endpoint's prefix.
    pub(super) repository: String,
    pub(super) access: Access,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Access {
    Pull,
    Push,
    Delete,
}

/// What opened a door.
#[derive(Clone)]
struct Grant {
    proof: Proof,
    until: Option<Instant>,
    /// Whose it is, for people.
    whose: String,
}

#[derive(Clone, PartialEq)]
enum Proof {
    Password { user: String, password: String },
    Token(String),
}

impl std::fmt::Debug for Grant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Grant").field("whose", &self.whose).finish_non_exhaustive()
    }
}

impl Grant {
    fn is_fresh(&self) -> bool {
        self.until.is_none_or(|until| Instant::now() < until)
    }

    fn show(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.proof {
            Proof::Password { user, password } => request.basic_auth(user, Some(password)),
            Proof::Token(token) => request.bearer_auth(token),
        }
    }
}

impl Door {
    pub(super) fn url(&self, rest: &str) -> String {
        self.endpoint.url(&self.repository, rest)
    }

    fn scope(&self) -> String {
        let actions = match self.access {
            Access::Pull => "pull",
            Access::Push => "pull,push",
            Access::Delete => "pull,delete",
        };
        format!("repository:{}:{actions}", self.endpoint.repository(&self.repository))
    }
}

impl Doorman {
    /// Knows no door yet.
    pub(in crate::fetch) fn new(registries: Registries) -> Self {
        Self { registries, grants: Mutex::default() }
    }

    /// Sends a request, a second time with credentials if the server asks for them. An answer that is not a success is
    /// a failure.
    pub(super) fn send(
        &self,
        clients: &Clients,
        door: &Door,
        range: Option<&str>,
        request: &dyn Fn() -> RequestBuilder,
    ) -> Result<Response, Failure> {
        let slot = self.slot(door);
        let known = lock(&slot).clone().filter(Grant::is_fresh);
        let shown = known.iter().fold(request(), |request, grant| grant.show(request));
        let response = exchange(shown, range)?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return judge(response, known.as_ref());
        }
        if !door.endpoint.owns(response.url()) {
            let host = response.url().host_str().unwrap_or_default();
            return Err(Failure::Denied(format!("it sends us to {host}, which wants credentials")));
        }
        let grant = self.renew(clients, door, &slot, known.as_ref(), response)?;
        judge(exchange(grant.show(request()), range)?, Some(&grant))
    }

    /// Shows what opened a door before to an address that came from behind it, unless that is another server's.
    pub(super) fn show(&self, door: &Door, url: &Url, request: RequestBuilder) -> RequestBuilder {
        let known = lock(&self.slot(door)).clone().filter(|_| door.endpoint.owns(url));
        known.iter().fold(request, |request, grant| grant.show(request))
    }

    /// Forgets what opened a door: it does no longer.
    pub(super) fn forget(&self, door: &Door) {
        *lock(&self.slot(door)) = None;
    }

    fn slot(&self, door: &Door) -> Slot {
        lock(&self.grants).entry(door.clone()).or_default().clone()
    }

    /// Finds out what opens a door, now that `refused` did not.
    fn renew(
        &self,
        clients: &Clients,
        door: &Door,
        slot: &Slot,
        refused: Option<&Grant>,
        response: Response,
    ) -> Result<Grant, Failure> {
        let mut slot = lock(slot);
        let other = |grant: &&Grant| Some(&grant.proof) != refused.map(|grant| &grant.proof);
        if let Some(grant) = slot.as_ref().filter(other).filter(|grant| grant.is_fresh()) {
            return Ok(grant.clone());
        }
        *slot = None;
        let headers = response.headers().get_all(WWW_AUTHENTICATE).iter();
        let challenges: Vec<Challenge> =
            headers.filter_map(|value| value.to_str().ok()).flat_map(challenge::parse).collect();
        let said = said(response);
        let (found, whose) = self.credentials(door);
        let offered = |scheme| challenges.iter().find(|challenge| challenge.scheme == scheme);
        let grant = if let Some(bearer) = offered("bearer") {
            token(clients, door, bearer, found, whose)?
        } else if offered("basic").is_some() {
            let Some(Credential::Password { user, password }) = found else {
                return Err(Failure::Denied(format!("{said}, {whose}; it wants a password")));
            };
            Grant { proof: Proof::Password { user, password }, until: None, whose }
        } else {
            return Err(Failure::Denied(format!("{said}, in no way that we know")));
        };
        *slot = Some(grant.clone());
        Ok(grant)
    }

    /// The credentials for a door, and in words whose they are. If they cannot be read, much is open to nobody, too.
    fn credentials(&self, door: &Door) -> (Option<Credential>, String) {
        let Door { endpoint, repository, .. } = door;
        let repository = endpoint.repository(repository);
        let files = &self.registries.credentials;
        for account in endpoint.accounts() {
            match files.find(account, &repository) {
                Ok(None) => (),
                Ok(Some(Found { credential, file })) => {
                    let file = file.display();
                    return (
                        Some(credential),
                        format!("with the credentials for {account} in {file}"),
                    );
                }
                Err(why) => return (None, format!("without credentials ({why})")),
            }
        }
        let host = endpoint.accounts().collect::<Vec<_>>().join(" or ");
        (None, format!("without credentials (there are none for {host} in {files})"))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is remembered is whole at any time.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes an answer that says that all went well. `grant` is what was shown with the request.
fn judge(response: Response, grant: Option<&Grant>) -> Result<Response, Failure> {
    let status = response.status();
    if status.is_success() || status == StatusCode::RANGE_NOT_SATISFIABLE {
        return Ok(response);
    }
    Err(match (failure(response), grant) {
        (Failure::Denied(said), Some(grant)) => Failure::Denied(format!("{said}, {}", grant.whose)),
        (failure, _) => failure,
    })
}

/// What an answer means that is not a success.
pub(super) fn failure(response: Response) -> Failure {
    let (status, rest) = (response.status(), busy::rest(response.headers()));
    refusal(status, rest, said(response))
}

/// The status, and what else the registry says in the error (OCI distribution specification 1.1, "Error Codes") or a
/// token server as OAuth 2 has it (RFC 6749, 5.2) or in its own ways.
pub(super) fn said(response: Response) -> String {
    #[derive(Deserialize)]
    struct Said {
        errors: Option<Vec<One>>,
        error_description: Option<String>,
        details: Option<String>,
    }
    #[derive(Deserialize)]
    struct One {
        code: Option<String>,
        message: Option<String>,
    }
    let status = response.status().to_string();
    let mut body = Vec::new();
    let read = response.take(LONGEST_ERROR).read_to_end(&mut body);
    let parsed: Option<Said> = read.ok().and_then(|_| serde_json::from_slice(&body).ok());
    let words = parsed.and_then(|Said { errors, error_description, details }| {
        let first = errors.and_then(|errors| errors.into_iter().next());
        first.and_then(|one| one.message.or(one.code)).or(error_description).or(details)
    });
    match words {
        Some(words) if !words.is_empty() => {
            let words: String = words.chars().take(LONGEST_WORDS).collect();
            format!("{status}: {}", words.escape_debug())
        }
        _ => status,
    }
}

/// Gets a token from the server that a challenge names: with a password, with an identity token as OAuth 2 refreshes
/// them (RFC 6749, 6), or as nobody.
fn token(
    clients: &Clients,
    door: &Door,
    challenge: &Challenge,
    credential: Option<Credential>,
    whose: String,
) -> Result<Grant, Failure> {
    let parameter = |name: &str| challenge.parameters.get(name).map(String::as_str);
    let realm = parameter("realm").unwrap_or_default();
    let Some(mut url) = Url::parse(realm).ok().filter(|url| is_private(url, &door.endpoint)) else {
        let realm = realm.escape_debug();
        let why =
            format!("it names `{realm}` for tokens, which is no address to send credentials to");
        return Err(Failure::Refused(why));
    };
    let shown = url.to_string();
    let here = url.host_str().is_some_and(is_loopback);
    let to = if here { To::Here } else { To::Registry };
    let client = clients.get(Way { to, redirects: Redirects::Stay })?;
    let service = parameter("service");
    let scope = parameter("scope").filter(|scope| door.access == Access::Pull && !scope.is_empty());
    // What is said of a look whether something is there already would not do for putting it there.
    let scope = scope.map_or_else(|| door.scope(), str::to_owned);
    let request = if let Some(Credential::IdentityToken(identity)) = &credential {
        let fields = [
            ("grant_type", "refresh_token"),
            ("client_id", "vsbuild"),
            ("service", service.unwrap_or_default()),
            ("scope", &scope),
            ("refresh_token", identity),
        ];
        let request = client.post(url.clone());
        url.set_query(None);
        let form = url.query_pairs_mut().extend_pairs(fields).finish().query().map(str::to_owned);
        let request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        request.body(form.unwrap_or_default())
    } else {
        let scopes = scope.split(' ').filter(|scope| !scope.is_empty()).map(|one| ("scope", one));
        let service = service.map(|service| ("service", service));
        url.query_pairs_mut().extend_pairs(service.into_iter().chain(scopes));
        let request = client.get(url);
        match &credential {
            Some(Credential::Password { user, password }) => {
                request.basic_auth(user, Some(password))
            }
            _ => request,
        }
    };
    let asked = Instant::now();
    exchange(request, None)
        .and_then(|response| answered(response, asked, whose))
        .map_err(|failure| at(&shown, failure))
}

/// Whether nobody on the way can read what is sent to a token server, or the user does not mind.
fn is_private(realm: &Url, endpoint: &Endpoint) -> bool {
    let plain = endpoint.scheme == "http" || realm.host_str().is_some_and(is_loopback);
    realm.scheme() == "https" || realm.scheme() == "http" && plain
}

fn answered(response: Response, asked: Instant, whose: String) -> Result<Grant, Failure> {
    #[derive(Deserialize)]
    struct Answer {
        token: Option<String>,
        access_token: Option<String>,
        expires_in: Option<u64>,
    }
    if response.status() != StatusCode::OK {
        let as_whom = Grant { proof: Proof::Token(String::new()), until: None, whose };
        let answer = judge(response, Some(&as_whom))?;
        return Err(Failure::Refused(format!("{} instead of a token", answer.status())));
    }
    let mut body = Vec::new();
    let read = response.take(LONGEST_TOKEN).read_to_end(&mut body);
    read.map_err(|error| Failure::Transient(format!("broken off ({error})")))?;
    let answer = serde_json::from_slice::<Answer>(&body).ok();
    let token = answer.and_then(|Answer { token, access_token, expires_in }| {
        let token = token.into_iter().chain(access_token).find(|token| is_token(token))?;
        Some((token, expires_in))
    });
    let Some((token, life)) = token else {
        return Err(Failure::Refused("its answer has no token in it".to_owned()));
    };
    // Some of the life is left for the way.
    let life = Duration::from_secs(life.unwrap_or(SHORTEST_LIFE)).mul_f64(0.9);
    Ok(Grant { proof: Proof::Token(token), until: asked.checked_add(life), whose })
}

/// Whether this can stand in a header.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Says that it was the token server that failed.
fn at(url: &str, failure: Failure) -> Failure {
    let at = |why: String| format!("{url}: {why}");
    match failure {
        Failure::Denied(why) => Failure::Denied(at(why)),
        Failure::Transient(why) => Failure::Transient(at(why)),
        Failure::Busy { why, rest } => Failure::Busy { why: at(why), rest },
        // It is not the image that is missing.
        Failure::Missing(why)
        | Failure::Refused(why)
        | Failure::Other(why)
        | Failure::Wrong { why, .. } => Failure::Refused(at(why)),
        Failure::Kept(error) => Failure::Kept(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_for_an_encrypted_registry_go_nowhere_in_the_clear() {
        let encrypted = Endpoint::parse("https://host.example.invalid").unwrap();
        let plain = Endpoint::parse("http://host.example.invalid").unwrap();
        for (realm, from_encrypted, from_plain) in [
            ("https://auth.example.invalid/token", true, true),
            ("http://auth.example.invalid/token", false, true),
            ("http://127.0.0.1:5001/token", true, true),
            ("http://[::1]/token", true, true),
            ("ftp://auth.example.invalid/token", false, false),
            ("file:///token", false, false),
        ] {
            let realm = Url::parse(realm).unwrap();
            assert_eq!(is_private(&realm, &encrypted), from_encrypted, "{realm}");
            assert_eq!(is_private(&realm, &plain), from_plain, "{realm}");
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        let proof = Proof::Password { user: "ada".to_owned(), password: "secret".to_owned() };
        let grant = Grant { proof, until: None, whose: "ada's".to_owned() };
        assert!(!format!("{grant:?}").contains("secret"));
    }
}
