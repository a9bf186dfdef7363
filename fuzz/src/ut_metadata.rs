//! Metadata from peers of whom some lie, in any order of what they say and of the time: nobody honest is blamed, what is
//! believed is right, and as long as one honest peer is there it comes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::OnceLock;
use std::time::Duration;

use arbitrary::{Arbitrary, Unstructured};
use bytes::Bytes;
use pieceful_core::id::PeerKey;
use pieceful_core::time::Instant;
use pieceful_core::torrent::{MetadataFetch, Whole};
use sha1::{Digest as _, Sha1};
use slotmap::SlotMap;

/// Bytes of the metadata: three pieces, the last of them short.
const SIZE: u32 = 2 * PIECE + 1_000;
const PIECE: u32 = 16 << 10;

/// Runs the target on `data`.
pub fn run(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let mut world = World::new();
    while !world.done && !input.is_empty() {
        let Ok(step) = Step::arbitrary(&mut input) else { break };
        world.step(step);
    }
    world.wind_up();
}

#[derive(Arbitrary, Debug)]
enum Step {
    /// Somebody offers the metadata, or what he calls so.
    Offer {
        size: u8,
    },
    /// One answers the oldest of what it was asked for.
    Answer {
        peer: u8,
        how: How,
    },
    /// One sends something out of place.
    Unasked {
        peer: u8,
        piece: u8,
        len: u16,
    },
    Gone {
        peer: u8,
    },
    Wait {
        tenths: u8,
    },
}

#[derive(Arbitrary, Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Right,
    Wrong,
    Short,
    OtherTotal,
    Reject,
}

struct World {
    fetch: MetadataFetch,
    now: Instant,
    peers: SlotMap<PeerKey, Peer>,
    /// Those that ever sent a wrong byte.
    liars: BTreeSet<SocketAddr>,
    /// How often an answer was waited for in vain, or was an end.
    asked: BTreeMap<PeerKey, Vec<u32>>,
    next: u16,
    done: bool,
}

#[derive(Debug)]
struct Peer {
    address: SocketAddr,
    size: u32,
}

fn info() -> &'static [u8] {
    static INFO: OnceLock<Vec<u8>> = OnceLock::new();
    INFO.get_or_init(|| (0..SIZE).map(|byte| (byte * 7 % 251) as u8).collect())
}

impl World {
    fn new() -> Self {
        let fetch = MetadataFetch::new(Sha1::digest(info()).into());
        let (peers, liars, asked) = (SlotMap::with_key(), BTreeSet::new(), BTreeMap::new());
        Self { fetch, now: Instant::ZERO, peers, liars, asked, next: 0, done: false }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Offer { size } if self.peers.len() < 50 => {
                let sizes = [0, 1, SIZE - 1, SIZE + 1, PIECE, 16 << 20, (16 << 20) + 1, u32::MAX];
                self.offer(sizes.get(usize::from(size)).copied().unwrap_or(SIZE));
            }
            Step::Offer { .. } => {}
            Step::Answer { peer, how } => {
                if let Some(key) = self.some(peer) {
                    self.answer(key, how);
                }
            }
            Step::Unasked { peer, piece, len } => {
                if let Some(key) = self.some(peer)
                    && !self.asked.get(&key).is_some_and(|asked| asked.contains(&piece.into()))
                {
                    let data = Bytes::from(vec![0; len.into()]);
                    let got = self.fetch.got(key, piece.into(), SIZE, &data, self.now);
                    assert!(!matches!(got, Ok(Some(_))), "what nobody asked for was believed");
                    if got.is_err() {
                        self.leave(key);
                    }
                }
            }
            Step::Gone { peer } => {
                if let Some(key) = self.some(peer) {
                    self.leave(key);
                }
            }
            Step::Wait { tenths } => {
                self.now += Duration::from_millis(100 * u64::from(tenths));
                self.fetch.tick(self.now);
            }
        }
        self.ask();
    }

    fn some(&self, number: u8) -> Option<PeerKey> {
        self.peers.keys().nth(usize::from(number).checked_rem(self.peers.len())?)
    }

    fn offer(&mut self, size: u32) -> PeerKey {
        self.next += 1;
        let [high, low] = self.next.to_be_bytes();
        let address = SocketAddr::from(([11, 0, high, low], 6881));
        let key = self.peers.insert(Peer { address, size });
        self.fetch.offered(key, address, size);
        key
    }

    fn leave(&mut self, key: PeerKey) {
        self.peers.remove(key);
        self.asked.remove(&key);
        self.fetch.gone(key);
    }

    fn ask(&mut self) {
        let mut asks = Vec::new();
        self.fetch.ask(self.now, &mut asks);
        for (key, piece) in asks {
            let peer = self.peers.get(key).expect("somebody who is there");
            assert!(peer.size <= 16 << 20 && piece < peer.size.div_ceil(PIECE), "{piece} of {peer:?}");
            let asked = self.asked.entry(key).or_default();
            if !asked.contains(&piece) {
                asked.push(piece);
            }
        }
        let mut again = Vec::new();
        self.fetch.ask(self.now, &mut again);
        assert_eq!(again, [], "asked twice at once");
        let deadline = self.fetch.deadline(self.now);
        if deadline.is_some_and(|at| at <= self.now) {
            self.fetch.tick(self.now);
            self.fetch.ask(self.now, &mut again);
            for (key, piece) in again {
                self.asked.entry(key).or_default().push(piece);
            }
            let next = self.fetch.deadline(self.now);
            assert!(next.is_none_or(|at| at > self.now), "a deadline that does not move");
        }
    }

    fn answer(&mut self, key: PeerKey, how: How) {
        let Some(asked) = self.asked.get_mut(&key).filter(|asked| !asked.is_empty()) else { return };
        let (piece, Peer { address, size }) = (asked.remove(0), &self.peers[key]);
        let (address, size) = (*address, *size);
        if how == How::Reject {
            assert_eq!(self.fetch.rejected(key, piece, self.now), Ok(()));
            return;
        }
        let start = piece * PIECE;
        let byte = |place: u32| info().get(place as usize).copied().unwrap_or_default();
        let mut data: Vec<u8> = (start..size.min(start + PIECE)).map(byte).collect();
        let mut total = size;
        match how {
            How::Right | How::Reject => {}
            How::Wrong => data[0] ^= 1,
            How::Short => drop(data.pop()),
            How::OtherTotal => total ^= 1,
        }
        if size != SIZE || how != How::Right {
            self.liars.insert(address);
        }
        match self.fetch.got(key, piece, total, &data.into(), self.now) {
            Ok(None) => {}
            Ok(Some(Whole::Right { info: whole, liars })) => {
                assert_eq!(&whole[..], info());
                assert!(liars.iter().all(|liar| self.liars.contains(liar)), "an honest peer is blamed");
                self.done = true;
            }
            Ok(Some(Whole::Wrong { liar })) => {
                if let Some(liar) = liar {
                    assert!(self.liars.contains(&liar), "an honest peer is blamed");
                    let key = self.peers.iter().find(|(_, peer)| peer.address == liar).map(|(key, _)| key);
                    key.into_iter().for_each(|key| self.leave(key));
                }
            }
            Err(_) => {
                assert!(self.liars.contains(&address), "an honest peer is closed");
                self.leave(key);
            }
        }
    }

    /// From now on there is one more, who is honest and quick; the others say nothing more.
    fn wind_up(&mut self) {
        if self.done {
            return;
        }
        let honest = self.offer(SIZE);
        for _ in 0..2_000 {
            self.ask();
            while !self.done && self.asked.get(&honest).is_some_and(|asked| !asked.is_empty()) {
                self.answer(honest, How::Right);
            }
            if self.done {
                return;
            }
            self.ask(); // a whole that was wrong is begun anew
            if self.asked.get(&honest).is_some_and(|asked| !asked.is_empty()) {
                continue;
            }
            let deadline = self.fetch.deadline(self.now).expect("something is waited for");
            assert!(deadline > self.now, "a deadline that does not move");
            self.now = deadline;
            self.fetch.tick(self.now);
        }
        panic!("never");
    }
}
