//! Addresses in what trackers answer (BEP 3, 7, 15, 23, 24).

use std::net::IpAddr;

use bytes::Bytes;
use pieceful_core::bencode::{self, Kind, Limits, Value};

use super::disguise::Disguise;
use super::mentions::address;

/// As in the engine, which reads the body next: what it refuses needs no care here.
const LIMITS: Limits = Limits { depth: 10, tokens: 1 << 18 };

/// The action of an answer to an announce, and the bytes before its peers (BEP 15).
const ANNOUNCED: [u8; 4] = [0, 0, 0, 1];
const ANNOUNCE_HEAD_LEN: usize = 20;

/// The body of an HTTP tracker's answer; what is none comes back as it is.
pub(super) fn body(body: Bytes, disguise: &Disguise) -> Bytes {
    let Ok((document, _)) = bencode::decode_prefix(&body, LIMITS) else { return body };
    let root = document.root();
    if root.kind() != Kind::Dict {
        return body;
    }
    let scrubbed = bencode::dict(|dict| {
        for (key, value) in root.entries() {
            match (key, value.as_bytes()) {
                (b"peers", Some(peers)) => dict.bytes(key, &compact(peers, 4, disguise)),
                (b"peers6", Some(peers)) => dict.bytes(key, &compact(peers, 16, disguise)),
                (b"peers", None) => dict.list(key, |list| {
                    for peer in value.items() {
                        list.dict(|dict| described(peer, dict, disguise));
                    }
                }),
                (b"external ip", Some(ip)) => {
                    dict.bytes(key, &address(ip).map_or_else(|| ip.to_vec(), |ip| octets(disguise.on(ip))));
                }
                _ => dict.raw(key, value.raw()),
            }
        }
    });
    scrubbed.into()
}

/// A peer as a dictionary.
fn described(peer: Value<'_>, dict: &mut bencode::DictEncoder<'_>, disguise: &Disguise) {
    for (key, value) in peer.entries() {
        let ip = value.as_str().filter(|_| key == b"ip").and_then(|ip| ip.parse::<IpAddr>().ok());
        match ip {
            Some(ip) => dict.bytes(key, disguise.on(ip).to_string().as_bytes()),
            None => dict.raw(key, value.raw()),
        }
    }
}

/// A datagram, if it is a UDP tracker's answer to an announce.
pub(super) fn datagram(data: Bytes, ipv6: bool, disguise: &Disguise) -> Bytes {
    if !data.starts_with(&ANNOUNCED) || data.len() <= ANNOUNCE_HEAD_LEN {
        return data;
    }
    let (head, peers) = data.split_at(ANNOUNCE_HEAD_LEN);
    [head, &compact(peers, if ipv6 { 16 } else { 4 }, disguise)].concat().into()
}

/// Addresses of `len` bytes, each with a port behind it.
fn compact(peers: &[u8], len: usize, disguise: &Disguise) -> Vec<u8> {
    let mut all = peers.to_vec();
    for peer in all.chunks_exact_mut(len + 2) {
        if let Some(ip) = address(&peer[..len]) {
            peer[..len].copy_from_slice(&octets(disguise.on(ip)));
        }
    }
    all
}

fn octets(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use pieceful_core::rng::Seed;
    use pieceful_core::tracker::http::parse_announce;

    use super::*;

    #[test]
    fn every_address_a_tracker_names_gets_the_same_disguise_and_all_else_stays() {
        let disguise = Disguise::new(Seed([3; 32]));
        let [one, other]: [IpAddr; 2] = ["11.2.3.4".parse().unwrap(), "2a02::1".parse().unwrap()];
        let described = b"d8:completei5e5:peersld2:ip8:11.2.3.44:porti80eed2:ip7:2a02::14:porti81eeee";
        let named = [
            b"d11:external ip4:\x0b\x02\x03\x048:intervali900e5:peers6:\x0b\x02\x03\x04\0P6:peers618:"
                .as_slice(),
            &octets(other),
            b"\0Qe",
        ]
        .concat();
        for body in [described.to_vec(), named] {
            let before = parse_announce(&body).unwrap();
            let after = parse_announce(&super::body(body.into(), &disguise)).unwrap();
            assert_eq!(after.peers[0].ip(), disguise.on(one));
            assert_eq!(after.peers[1].ip(), disguise.on(other));
            assert_eq!((after.peers[0].port(), after.peers[1].port()), (80, 81));
            assert_eq!(after.external_ip, before.external_ip.map(|ip| disguise.on(ip)));
            assert_eq!((after.interval, after.seeders), (before.interval, before.seeders));
        }
        let reply = [&[0, 0, 0, 1][..], &[9; 16], &[11, 2, 3, 4, 0, 80]].concat();
        let scrubbed = datagram(reply.into(), false, &disguise);
        assert_eq!(scrubbed[..20], [&[0, 0, 0, 1][..], &[9; 16]].concat());
        assert_eq!(scrubbed[20..24], octets(disguise.on(one)));
        assert_eq!(scrubbed[24..], [0, 80]);
    }

    #[test]
    fn what_is_no_answer_comes_back_as_it_is() {
        let disguise = Disguise::new(Seed([4; 32]));
        for body in ["", "<html>", "le", "d5:peers", "i1e"] {
            assert_eq!(super::body(body.into(), &disguise), body);
        }
    }
}
