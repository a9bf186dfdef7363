//! How a host name becomes addresses: the system's resolver, on a thread that may wait.

use std::net::{IpAddr, ToSocketAddrs};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use pieceful_core::engine::ResolveError;

/// Addresses kept of one name. A name with more of them is balanced by its owner anyway.
pub const ADDRESSES_MAX: usize = 16;

/// The addresses of `host`, at least one, each once and in the system's order. Waits as long as the system does.
pub fn look_up(host: &str) -> Result<Vec<IpAddr>, ResolveError> {
    let found = (host, 0).to_socket_addrs().map_err(|error| {
        // The standard library keeps the resolver's error code to itself; these are the words of EAI_AGAIN in
        // glibc and musl.
        let words = error.to_string();
        if words.contains("Temporary failure") || words.contains("Try again") {
            ResolveError::Failed
        } else {
            ResolveError::NotFound
        }
    })?;
    let mut addresses = Vec::new();
    for address in found {
        if !addresses.contains(&address.ip()) && addresses.len() < ADDRESSES_MAX {
            addresses.push(address.ip());
        }
    }
    if addresses.is_empty() { Err(ResolveError::NotFound) } else { Ok(addresses) }
}

/// As [`look_up`], but waits no longer than `limit`.
///
/// Nothing can interrupt the system's resolver, so its thread is left to end by itself, with nobody listening.
pub fn look_up_within(host: &str, limit: Duration) -> Result<Vec<IpAddr>, ResolveError> {
    let (found, answer) = mpsc::sync_channel(1);
    let host = host.to_owned();
    thread::Builder::new()
        .name("pieceful-dns".into())
        .spawn(move || {
            let _ = found.send(look_up(&host)); // too late: nobody waits any more
        })
        .map_err(|_| ResolveError::Failed)?;
    answer.recv_timeout(limit).unwrap_or(Err(ResolveError::Failed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn localhost_is_this_machine_and_a_name_that_cannot_be_is_not_found() {
        let addresses = look_up("localhost").unwrap();
        assert!(addresses.iter().all(IpAddr::is_loopback), "{addresses:?}");
        assert!(look_up_within("no such host", Duration::from_secs(60)).is_err());
    }
}
