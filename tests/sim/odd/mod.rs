//! Peers with odd habits, and those that never meant well. What each of them does is plain data, and all of them
//! speak raw bytes, through no private door.

mod flood;
mod rude;
mod sharer;
mod taker;
mod teller;

use std::time::Duration;

use bytes::Bytes;
use pieceful_core::rng::Rng;

pub use flood::{Flood, Flooder};
pub use rude::{Rude, Slow};
pub use sharer::{Answer, Offer, Sharer};
pub use taker::Taker;
pub use teller::{Teller, Told};

use crate::script::{MakeScript, Talk};
use crate::words;
use flood::Flooding;
use taker::Taking;

/// What a scripted peer is like.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Odd {
    /// It shares, more or less.
    Sharer(Sharer),
    /// It takes and never gives.
    Taker(Taker),
    /// It says the same again and again.
    Flooder(Flooder),
    /// It says something it should not.
    Rude(Rude),
    /// It never comes to the end of what it says.
    Slow(Slow),
}

/// How a peer that dials behaves as a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Calls {
    /// Connections that it opens at once, each under a name of its own.
    pub connections: u32,
    /// So long after a connection has ended, or could not be opened, it opens another in its place.
    pub again: Option<Duration>,
}

impl Default for Calls {
    fn default() -> Self {
        Self { connections: 1, again: None }
    }
}

impl Odd {
    /// A script for each connection of such a peer.
    #[must_use]
    pub fn script(self) -> MakeScript {
        match self {
            Self::Sharer(habits) => habits.script(),
            Self::Taker(habits) => Box::new(move || Box::new(Taking::new(habits.clone()))),
            Self::Flooder(habits) => Box::new(move || Box::new(Flooding { habits, said: 0 })),
            Self::Rude(habits) => habits.script(),
            Self::Slow(habits) => habits.scripted(),
        }
    }

    /// One of every kind there is, with what to call it.
    #[must_use]
    pub fn all() -> Vec<(String, Self)> {
        let sharer = |name: &str, set: &dyn Fn(&mut Sharer)| {
            let mut habits = Sharer::default();
            set(&mut habits);
            (name.to_owned(), Self::Sharer(habits))
        };
        let some = || (0..5).collect::<Vec<u32>>();
        let rude = |name: &str, then: Bytes| {
            (name.to_owned(), Self::Rude(Rude { then: vec![then], ..Rude::default() }))
        };
        let slow = |name: &str, at_once, until| {
            (name.to_owned(), Self::Slow(Slow { pause: Duration::from_secs(1), at_once, until }))
        };
        let taker = |name: &str, fast, silent| (name.to_owned(), Self::Taker(Taker { fast, silent }));
        let mut all = vec![
            sharer("corrupts 5 %", &|habits| habits.answer = Answer::Wrong(50)),
            sharer("corrupts 50 %", &|habits| habits.answer = Answer::Wrong(500)),
            sharer("corrupts everything", &|habits| habits.answer = Answer::Wrong(1000)),
            sharer("lies in its bitfield", &|habits| habits.offer = Offer::Lie(some())),
            sharer("lies in have messages", &|habits| habits.offer = Offer::LieByHave(some())),
            sharer("stalls", &|habits| habits.answer = Answer::Silence),
            sharer("sends blocks unasked", &|habits| habits.answer = Answer::Unasked),
            sharer("sends blocks twice", &|habits| habits.answer = Answer::Twice),
            sharer("sends short blocks", &|habits| habits.answer = Answer::Short),
            sharer("sends long blocks", &|habits| habits.answer = Answer::Double),
            sharer("rejects everything", &|habits| (habits.answer, habits.fast) = (Answer::Reject, true)),
            sharer("chokes after every block", &|habits| habits.choke_after = Some(1)),
            sharer("leaves after every block", &|habits| habits.close_after = Some(1)),
            sharer("dribbles", &|habits| habits.dribble = Some(100)),
            taker("takes", false, false),
            taker("takes what it is allowed", true, true),
            rude("says 2 GiB will follow", Bytes::from_static(b"\x7f\xff\xff\xff\x07")),
            rude("has a piece beyond the last", words::have(u32::MAX)),
            rude("says nothing", Bytes::from_static(b"\0\0\0\0")),
            slow("never ends its handshake", 1, usize::MAX),
            slow("stops in its handshake", 40, 40),
            slow("stops in the middle of a message", 68 + 1000, 68 + 1000),
            slow("sends a block byte by byte", 68, usize::MAX),
        ];
        all.extend(Flood::ALL.map(|with| (format!("floods: {with:?}"), Self::Flooder(Flooder::of(with)))));
        all
    }

    /// Any of them.
    #[must_use]
    pub fn any(rng: &mut Rng) -> Self {
        let mut all = Self::all();
        all.swap_remove(rng.below(all.len() as u32) as usize).1
    }
}

/// A handshake for the world's torrent, under a new name each time.
fn greeting(talk: &mut Talk<'_>, fast: bool) -> Bytes {
    let mut peer_id = *b"-OD0001-............";
    talk.rng.fill(&mut peer_id[8..]);
    words::handshake(talk.data.info_hash().on_the_wire(), peer_id, fast)
}
