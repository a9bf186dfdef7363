//! One HTTP GET for the engine: how long, how large, over how many hops, and to which addresses.
//!
//! HTTP itself is `ureq`'s. Redirects are followed here, one hop at a time, because each hop's *resolved* address
//! has to pass the core's scope rule, and the address that passed has to be the one connected to: a name looked
//! up twice may have two answers.

use std::io::{ErrorKind, Read};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use bytes::Bytes;
use pieceful_core::engine::{FetchError, FetchRequest, NamedBy, Response};
use pieceful_core::scope::{may_fetch, scope};
use ureq::config::Config;
use ureq::http::Uri;
use ureq::http::header::LOCATION;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};
use ureq::{Agent, Body, Timeout, http};
use url::{Host, Url};

use crate::resolver::look_up_within;

/// From the call to the last byte of the body, over all hops.
pub const FETCH_TIME: Duration = Duration::from_secs(30);

/// To connect, at one hop.
pub const CONNECT_TIME: Duration = Duration::from_secs(10);

/// Redirects followed, as libtorrent does.
pub const REDIRECTS_MAX: usize = 5;

/// Addresses of one name tried until one connects.
const ATTEMPTS_MAX: usize = 4;

const USER_AGENT: &str = concat!("pieceful/", env!("CARGO_PKG_VERSION"));

/// Makes the request, waiting [`FETCH_TIME`] at most.
pub fn fetch(request: &FetchRequest) -> Result<Response, FetchError> {
    fetch_within(request, FETCH_TIME)
}

/// Makes the request, waiting `time` at most.
pub fn fetch_within(request: &FetchRequest, time: Duration) -> Result<Response, FetchError> {
    let until = Instant::now() + time;
    let mut url = Url::parse(&request.url).map_err(|_| FetchError::Url)?;
    let mut named_by = request.named_by;
    for _ in 0..=REDIRECTS_MAX {
        let (answer, from) = hop(&url, named_by, until)?;
        match redirect(&url, &answer)? {
            Some(next) => {
                url = next;
                named_by = scope(from).map(NamedBy::Host).ok_or(FetchError::Scope(from))?;
            }
            None => {
                let status = answer.status().as_u16();
                return Ok(Response { status, body: body(answer, request.limit)?, from });
            }
        }
    }
    Err(FetchError::Redirects)
}

/// One request to the first address that connects of those that may be asked; the answer's body is yet to come.
fn hop(url: &Url, named_by: NamedBy, until: Instant) -> Result<(http::Response<Body>, IpAddr), FetchError> {
    let mut failed = FetchError::TimedOut;
    for address in allowed(url, named_by, until)?.into_iter().take(ATTEMPTS_MAX) {
        let left = left(until)?;
        let config = Config::builder()
            .max_redirects(0)
            .http_status_as_error(false)
            .proxy(None) // it would connect to another address than the one that was allowed
            .max_idle_connections(0)
            .timeout_global(Some(left))
            .timeout_connect(Some(CONNECT_TIME.min(left)))
            .user_agent(USER_AGENT)
            .build();
        let agent = Agent::with_parts(config, DefaultConnector::default(), Pinned(address));
        match agent.get(url.as_str()).header("connection", "close").call() {
            Ok(answer) => return Ok((answer, address.ip())),
            Err(error) if is_of_this_address(&error) => failed = refuse(error, 0),
            Err(error) => return Err(refuse(error, 0)),
        }
    }
    Err(failed)
}

/// The addresses the URL leads to, without those that whoever named it may not reach.
fn allowed(url: &Url, named_by: NamedBy, until: Instant) -> Result<Vec<SocketAddr>, FetchError> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err(FetchError::Url);
    }
    let port = url.port_or_known_default().ok_or(FetchError::Url)?;
    let found = match url.host().ok_or(FetchError::Url)? {
        Host::Ipv4(address) => vec![address.into()],
        Host::Ipv6(address) => vec![address.into()],
        Host::Domain(name) => look_up_within(name, left(until)?).map_err(|error| {
            if until <= Instant::now() {
                FetchError::TimedOut
            } else {
                FetchError::Connect(error.to_string())
            }
        })?,
    };
    let (may, may_not): (Vec<IpAddr>, Vec<IpAddr>) =
        found.into_iter().partition(|&address| may_fetch(named_by, url.path(), address));
    match may_not.first() {
        Some(&address) if may.is_empty() => Err(FetchError::Scope(address)),
        _ => Ok(may.into_iter().map(|address| SocketAddr::new(address, port)).collect()),
    }
}

/// Where the answer sends us, if it does.
fn redirect(url: &Url, answer: &http::Response<Body>) -> Result<Option<Url>, FetchError> {
    if !matches!(answer.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let Some(place) = answer.headers().get(LOCATION) else { return Ok(None) };
    let place = std::str::from_utf8(place.as_bytes()).map_err(|_| FetchError::Url)?;
    let mut next = url.join(place).map_err(|_| FetchError::Url)?;
    next.set_fragment(None);
    Ok(Some(next))
}

fn body(mut answer: http::Response<Body>, limit: u32) -> Result<Bytes, FetchError> {
    let most = u64::from(limit) + 1; // one more than is allowed, to see that there is more
    let mut body = Vec::new();
    answer
        .body_mut()
        .with_config()
        .limit(most) // as received
        .reader()
        .take(most) // as inflated
        .read_to_end(&mut body)
        .map_err(|error| refuse(error.into(), limit))?;
    if body.len() as u64 == most { Err(FetchError::TooLong { limit }) } else { Ok(body.into()) }
}

fn left(until: Instant) -> Result<Duration, FetchError> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(FetchError::TimedOut) } else { Ok(left) }
}

/// Whether another address of the same name may do better.
fn is_of_this_address(error: &ureq::Error) -> bool {
    match error {
        ureq::Error::Timeout(Timeout::Connect) => true,
        ureq::Error::Io(error) => matches!(
            error.kind(),
            ErrorKind::ConnectionRefused
                | ErrorKind::HostUnreachable
                | ErrorKind::NetworkUnreachable
                | ErrorKind::AddrNotAvailable
        ),
        _ => false,
    }
}

fn refuse(error: ureq::Error, limit: u32) -> FetchError {
    match error {
        ureq::Error::Timeout(_) => FetchError::TimedOut,
        ureq::Error::BodyExceedsLimit(_) => FetchError::TooLong { limit },
        ureq::Error::BadUri(_) => FetchError::Url,
        ureq::Error::Io(error) if error.kind() == ErrorKind::TimedOut => FetchError::TimedOut,
        ureq::Error::Io(error) if error.kind() == ErrorKind::UnexpectedEof => {
            FetchError::Protocol("the connection closed too early".into())
        }
        ureq::Error::Io(error) => FetchError::Connect(error.to_string()),
        error @ (ureq::Error::Tls(_)
        | ureq::Error::Rustls(_)
        | ureq::Error::TlsRequired
        | ureq::Error::ConnectionFailed) => FetchError::Connect(error.to_string()),
        error => FetchError::Protocol(error.to_string()),
    }
}

/// A resolver that knows one address: the one that passed the scope rule.
#[derive(Debug)]
struct Pinned(SocketAddr);

impl Resolver for Pinned {
    fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let mut addresses = self.empty();
        addresses.push(self.0);
        Ok(addresses)
    }
}
