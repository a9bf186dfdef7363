//! What is kept, for how long, and for whom.

use alloc::vec;

use super::*;
use crate::rng::Seed;

const OWN: NodeId = NodeId([0; 20]);

fn at(minutes: u64) -> Instant {
    Instant::from_micros((100_000 + minutes * 60) * 1_000_000)
}

fn global(number: u32) -> SocketAddr {
    SocketAddr::from((core::net::Ipv4Addr::from_bits(0x0800_0000 + number), 6881))
}

fn peers(store: &Store, hash: [u8; 20], to: SocketAddr, now: Instant) -> Vec<SocketAddr> {
    let mut rng = Rng::new(Seed([1; 32]));
    store.get(&hash, to, false, 100, now, &mut rng).unwrap_or_default().peers
}

#[test]
fn a_peer_is_kept_for_half_an_hour() {
    let mut store = Store::default();
    assert!(store.put(&OWN, [1; 20], global(1), false, at(0)));
    assert_eq!(peers(&store, [1; 20], global(9), at(29)), [global(1)]);
    assert_eq!(peers(&store, [1; 20], global(9), at(30)), []);
    store.put(&OWN, [2; 20], global(1), false, at(31));
    assert_eq!((store.torrents(), store.peers()), (1, 1), "what is over is gone");
}

#[test]
fn an_address_on_the_internet_counts_once_and_on_this_machine_once_a_port() {
    let mut store = Store::default();
    for port in [1, 2] {
        store.put(&OWN, [1; 20], SocketAddr::new(global(1).ip(), port), false, at(0));
        store.put(&OWN, [2; 20], SocketAddr::from(([127, 0, 0, 1], port)), false, at(0));
    }
    assert_eq!(peers(&store, [1; 20], global(9), at(0)), [SocketAddr::new(global(1).ip(), 2)]);
    assert_eq!(peers(&store, [2; 20], SocketAddr::from(([127, 0, 0, 1], 9)), at(0)).len(), 2);
}

#[test]
fn nobody_is_told_of_itself_or_of_an_address_it_cannot_reach_or_of_the_other_family() {
    let mut store = Store::default();
    let v6: SocketAddr = "[2001:db8::1]:6881".parse().unwrap();
    for peer in [global(1), "192.168.0.7:1".parse().unwrap(), "127.0.0.1:1".parse().unwrap(), v6] {
        store.put(&OWN, [1; 20], peer, false, at(0));
    }
    assert_eq!(peers(&store, [1; 20], global(1), at(0)), []);
    assert_eq!(peers(&store, [1; 20], global(2), at(0)), [global(1)]);
    assert_eq!(peers(&store, [1; 20], "192.168.0.8:1".parse().unwrap(), at(0)).len(), 2);
    assert_eq!(peers(&store, [1; 20], "[2001:db8::2]:1".parse().unwrap(), at(0)), [v6]);
}

#[test]
fn seeds_are_counted_apart_and_left_out_for_whoever_wants_none() {
    let mut store = Store::default();
    for number in 0..10 {
        store.put(&OWN, [1; 20], global(number), number < 3, at(0));
    }
    let mut rng = Rng::new(Seed([1; 32]));
    let known = store.get(&[1; 20], global(99), true, 100, at(0), &mut rng).unwrap();
    assert_eq!(known.peers.len(), 7);
    assert_eq!(known.filters.map(|filter| filter.zeros()), [2_048 - 6, 2_048 - 14]);
}

#[test]
fn the_oldest_peer_makes_room_in_its_torrent() {
    let mut store = Store::default();
    for number in 0..STORED_PEERS_MAX as u32 {
        store.put(&OWN, [1; 20], global(number), false, at(u64::from(number != 7)));
    }
    store.put(&OWN, [1; 20], global(9_999), false, at(2));
    assert_eq!(store.peers(), STORED_PEERS_MAX);
    let kept: Vec<[u8; 6]> = store.torrents[&[1; 20]].v4.iter().map(|peer| peer.address).collect();
    assert!(!kept.contains(&[8, 0, 0, 7, 0x1a, 0xe1]));
}

#[test]
fn the_torrent_farthest_from_us_makes_room_for_a_closer_one_and_for_no_other() {
    let mut store = Store::default();
    let hash = |number: usize| {
        let mut hash = [0; 20];
        hash[..2].copy_from_slice(&(number as u16 + 10).to_be_bytes());
        hash
    };
    for number in 0..STORED_TORRENTS_MAX {
        assert!(store.put(&OWN, hash(number), global(1), false, at(0)));
    }
    assert!(!store.put(&OWN, hash(STORED_TORRENTS_MAX), global(1), false, at(0)));
    assert!(store.put(&OWN, [0; 20], global(1), false, at(0)));
    assert_eq!(store.torrents(), STORED_TORRENTS_MAX);
    assert_eq!(peers(&store, hash(STORED_TORRENTS_MAX - 1), global(2), at(0)), []);
}

#[test]
fn all_peers_together_take_no_more_bytes_than_there_is_room_for() {
    let mut store = Store::default();
    let mut number = 0;
    for torrent in 0..STORED_TORRENTS_MAX as u16 {
        let mut hash = [0; 20];
        hash[..2].copy_from_slice(&torrent.to_be_bytes());
        for _ in 0..200 {
            number += 1;
            store.put(&OWN, hash, global(number), false, at(0));
        }
    }
    assert_eq!(store.peers() * 8, STORED_BYTES_MAX);
    assert_eq!(store.bytes, STORED_BYTES_MAX);
    let held: usize = store.torrents.values().map(|swarm| swarm.v4.capacity() * 8).sum();
    assert!(held < STORED_BYTES_MAX * 3 / 2, "{held} bytes");
}

#[test]
fn a_sample_has_each_torrent_once() {
    let mut store = Store::default();
    for number in 0..30 {
        store.put(&OWN, [number; 20], global(1), false, at(0));
    }
    let mut rng = Rng::new(Seed([2; 32]));
    let mut all = store.sample(100, &mut rng);
    all.sort_unstable();
    assert_eq!(all, (0..30).map(|number| [number; 20]).collect::<Vec<_>>());
    assert_eq!(store.sample(5, &mut rng).len(), 5);
    assert_eq!(Store::default().sample(5, &mut rng), vec![[0; 20]; 0]);
}
