//! Who deserves a slot, as a function of a snapshot.

use alloc::vec::Vec;
use core::cmp::Reverse;
use core::time::Duration;

use crate::id::PeerKey;
use crate::rng::Rng;
use crate::time::Instant;

/// A peer as the choker sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Who.
    pub key: PeerKey,
    /// It wants something of ours.
    pub interested: bool,
    /// It owes us blocks for too long: it gets no slot in return for what it sent before.
    pub snubbed: bool,
    /// It may download from us now.
    pub unchoked: bool,
    /// Payload bytes per second from it: of the last two rounds (see [`Recent`](super::Recent)), because over a
    /// shorter time a good partner may happen to have sent nothing.
    pub down_rate: u64,
    /// How many times it was unchoked.
    pub turns: u32,
    /// Payload bytes to it since it was last unchoked.
    pub sent_since_unchoke: u64,
    /// When it was last unchoked; `Instant::ZERO` if never.
    pub last_unchoked: Instant,
    /// When it connected.
    pub connected_at: Instant,
    /// Rounds in which it took from us, having given next to nothing back so far.
    pub unreturned: u32,
    /// It has something we want, and chokes us.
    pub refuses: bool,
}

impl Candidate {
    /// Whether it is paid for a slot with what it sends us.
    #[must_use]
    pub const fn is_earner(&self) -> bool {
        self.interested && !self.snubbed && self.down_rate > 0
    }

    /// Whether it had its chances and only ever takes.
    const fn is_taker(&self) -> bool {
        self.unreturned >= TAKER_ROUNDS
    }

    /// Whether it is a taker that could give. One that has nothing for us is not to blame.
    pub(super) const fn only_takes(&self) -> bool {
        self.is_taker() && self.refuses
    }
}

/// So many rounds of taking make a taker. Whoever can give anything by then has had the time to, and whoever cannot
/// yet is a taker no more as soon as it does.
pub const TAKER_ROUNDS: u32 = 2;

/// What an upload slot is given for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// For what they send us: the fastest peers towards us come first, which is what makes giving pay (BEP 3).
    Leeching,
    /// For spreading the torrent. A peer keeps its slot until it got [`TURN_BYTES`] and had [`TURN_TIME`], then
    /// those that have waited longest come first, and it comes last. Everybody gets a turn, however slow or fast,
    /// and nobody is choked in the middle of one.
    Seeding,
}

/// A turn of a peer we seed to is at least so many bytes, which complete a piece of most torrents.
pub const TURN_BYTES: u64 = 4 << 20;

/// A turn of a peer we seed to is at least this long: TCP needs a while to get going.
pub const TURN_TIME: Duration = Duration::from_secs(60);

/// The peers to be unchoked, the most deserving first: interested ones only, at most `slots`.
///
/// Of those that send us nothing, the ones that took for long and never gave come last. Of equals the one that has
/// waited longer comes first, then the one with the lower key.
#[must_use]
pub fn rank(now: Instant, candidates: &[Candidate], slots: u32, mode: Mode) -> Vec<PeerKey> {
    let mut waiting: Vec<&Candidate> = candidates.iter().filter(|peer| peer.interested).collect();
    match mode {
        Mode::Leeching => waiting.sort_unstable_by_key(|peer| {
            let sent = if peer.snubbed { 0 } else { peer.down_rate };
            (peer.snubbed, Reverse(sent), peer.is_taker(), peer.last_unchoked, peer.key)
        }),
        Mode::Seeding => waiting.sort_unstable_by_key(|peer| {
            // One whose turn is over has not waited, however long ago that turn began: were it to go on, those
            // whose turns began later and ended sooner would never have another. And whoever came in the same
            // round as many others must not lose to the same ones every time. Nor has anybody waited before it came:
            // those who take, leave and come back would always be first.
            let waits_since = peer.last_unchoked.max(peer.connected_at);
            (!is_in_turn(now, peer), peer.unchoked, waits_since, peer.turns, peer.key)
        }),
    }
    waiting.iter().take(slots as usize).map(|peer| peer.key).collect()
}

fn is_in_turn(now: Instant, peer: &Candidate) -> bool {
    let had_enough = peer.sent_since_unchoke >= TURN_BYTES && now.since(peer.last_unchoked) >= TURN_TIME;
    // A peer that takes next to nothing would never have had enough.
    let had_long = now.since(peer.last_unchoked) >= 3 * TURN_TIME;
    peer.unchoked && !had_enough && !had_long
}

/// A peer to be unchoked whatever it sent, so that newcomers get something to give and better partners than
/// those we have are found: a random one of `candidates` that are interested, not in `taken`, and not snubbed.
/// One that connected within [`NEWCOMER_TIME`] counts [`NEWCOMER_WEIGHT`] times, and one that only ever takes
/// counts a fraction: were all equal, those who never give would live on optimistic slots alone, an eighth of
/// everybody's upload.
#[must_use]
pub fn optimistic(
    now: Instant,
    candidates: &[Candidate],
    taken: &[PeerKey],
    rng: &mut Rng,
) -> Option<PeerKey> {
    let weight = |peer: &Candidate| match peer {
        peer if peer.is_taker() => 1,
        peer if now.since(peer.connected_at) < NEWCOMER_TIME => NEWCOMER_WEIGHT * TAKER_FRACTION,
        _ => TAKER_FRACTION,
    };
    let open =
        || candidates.iter().filter(|peer| peer.interested && !peer.snubbed && !taken.contains(&peer.key));
    let mut draw = rng.below(open().map(weight).sum());
    for peer in open() {
        match draw.checked_sub(weight(peer)) {
            Some(rest) => draw = rest,
            None => return Some(peer.key),
        }
    }
    None
}

/// How long a peer counts as newly connected.
pub const NEWCOMER_TIME: Duration = Duration::from_secs(60);

/// How many times as likely a newcomer is to be chosen: it has nothing to give yet, so no other way in.
pub const NEWCOMER_WEIGHT: u32 = 3;

/// How many times as likely any other peer is to be chosen as one that only ever takes.
pub const TAKER_FRACTION: u32 = 16;
