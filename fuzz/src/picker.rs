//! The picker agrees with a model so naive that it can be read: a vector of vectors of cells.
//!
//! The model does not foretell which block is picked. It says which may be, which must not be left, and what
//! follows from every other call. The same [`replay`] serves the property test.

use arbitrary::{Arbitrary, Unstructured};
use pieceful_core::bitfield::Bitfield;
use pieceful_core::id::{BLOCK_LEN, Block, PeerKey, PieceIndex};
use pieceful_core::picker::{Has, PickOptions, Picker, PieceOrder, Priority, Received};
use pieceful_core::rng::{Rng, Seed};
use slotmap::SlotMap;

mod endgame;
mod piece;
mod window;

use endgame::pace;
use piece::{Cell, Piece};

/// Runs the target on `data`.
pub fn run(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let Ok(shape) = Shape::arbitrary(&mut input) else { return };
    let mut ops = Vec::new();
    while !input.is_empty()
        && ops.len() < OPS_MAX
        && let Ok(op) = Op::arbitrary(&mut input)
    {
        ops.push(op);
    }
    replay(shape, &ops);
}

/// A torrent: its numbers are brought into range.
#[derive(Clone, Copy, Debug, Arbitrary)]
pub struct Shape {
    /// 1 to 12 pieces.
    pub pieces: u8,
    /// 1 to 4 blocks a piece.
    pub blocks: u8,
    /// Bytes missing from the last piece.
    pub short: u16,
    /// For the picker's choices.
    pub seed: u8,
}

/// A call. Peers and pieces are brought into range; the `nth` of things is counted round.
#[derive(Clone, Debug, Arbitrary)]
pub enum Op {
    /// A peer comes with the pieces of a mask, or as a seed.
    Join { peer: u8, seed: bool, pieces: u16 },
    /// It goes.
    Leave { peer: u8 },
    /// It gets a piece.
    Have { peer: u8, piece: u8 },
    /// Blocks are picked for it.
    Pick { peer: u8, want: u8, fast: bool, suggested: u8 },
    /// In the endgame, blocks are picked for it that others are late with. A byte stands for how fast a peer is.
    PickAgain { peer: u8, want: u8, paces: [u8; PEERS] },
    /// Blocks of the pieces of a mask are picked for it while it chokes us.
    PickAllowed { peer: u8, want: u8, allowed: u16 },
    /// It sends the nth block it was asked for.
    Send { peer: u8, nth: u8 },
    /// It sends a block, asked for or not.
    SendUnasked { peer: u8, piece: u8, block: u8 },
    /// It sends something that is no block.
    SendOdd { peer: u8, piece: u8, offset: u32, len: u32 },
    /// The disk is done with the nth block it has.
    Write { nth: u8, ok: bool },
    /// The hash of a piece is known.
    Judge { piece: u8, ok: bool },
    /// A peer rejects the nth block it was asked for.
    GiveBack { peer: u8, nth: u8 },
    /// It chokes.
    GiveBackAll { peer: u8 },
    /// 0 is to skip, 3 is high.
    SetPriority { piece: u8, priority: u8 },
    /// Front to back within a window, or rarest first.
    SetOrder { sequential: bool, window: u8 },
    /// Found on disk.
    SetHave { piece: u8 },
    /// No longer on disk.
    Lost { piece: u8 },
    /// To be had from one peer only.
    SetAlone { piece: u8 },
}

/// Makes the calls on a picker and on the model, and panics where they differ.
pub fn replay(shape: Shape, ops: &[Op]) {
    let mut both = Both::new(shape);
    for op in ops {
        both.apply(op);
        both.picker.check();
        both.compare();
    }
}

/// Enough to download everything several times over.
const OPS_MAX: usize = 2_000;

const PEERS: usize = 5;

struct Peer {
    key: PeerKey,
    seed: bool,
    has: Bitfield,
}

struct Both {
    picker: Picker,
    rng: Rng,
    keys: SlotMap<PeerKey, ()>,
    pieces: Vec<Piece>,
    peers: [Option<Peer>; PEERS],
    seeds: u32,
    order: PieceOrder,
    window: u32,
    last_len: u32,
    /// Who was ever asked for which block, in that order.
    log: Vec<(usize, usize, usize)>,
    /// Blocks with the disk, or that it was done with since.
    disk: Vec<(usize, usize)>,
}

impl Both {
    fn new(shape: Shape) -> Self {
        let count = u32::from(shape.pieces % 12) + 1;
        let blocks = u32::from(shape.blocks % 4) + 1;
        let length = blocks * BLOCK_LEN;
        let last_len = length - u32::from(shape.short) % length;
        let total = u64::from(count - 1) * u64::from(length) + u64::from(last_len);
        let piece = |index| {
            let len = if index + 1 == count { last_len } else { length };
            Piece {
                cells: vec![Cell::Open; len.div_ceil(BLOCK_LEN) as usize],
                have: false,
                priority: Priority::Normal,
                alone: false,
                lead: None,
                count: 0,
            }
        };
        Self {
            picker: Picker::new(count, length, total),
            rng: Rng::new(Seed([shape.seed; 32])),
            keys: SlotMap::with_key(),
            pieces: (0..count).map(piece).collect(),
            peers: [const { None }; PEERS],
            seeds: 0,
            order: PieceOrder::RarestFirst,
            window: u32::MAX,
            last_len,
            log: Vec::new(),
            disk: Vec::new(),
        }
    }

    fn block(&self, piece: usize, slot: usize) -> Block {
        let offset = slot as u32 * BLOCK_LEN;
        let len =
            if piece + 1 == self.pieces.len() { (self.last_len - offset).min(BLOCK_LEN) } else { BLOCK_LEN };
        Block { piece: PieceIndex(piece as u32), offset, len }
    }

    fn blocks(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let lens: Vec<_> = self.pieces.iter().map(|piece| piece.cells.len()).collect();
        lens.into_iter().enumerate().flat_map(|(piece, len)| (0..len).map(move |slot| (piece, slot)))
    }

    /// In the order asked.
    fn asked_of(&self, peer: usize) -> Vec<(usize, usize)> {
        let of_peer =
            |&(piece, slot): &(usize, usize)| self.pieces[piece].cells[slot].owners().contains(&peer);
        let mut asked: Vec<_> = self.blocks().filter(of_peer).collect();
        asked.sort_by_key(|&(piece, slot)| self.log.iter().rposition(|&entry| entry == (peer, piece, slot)));
        asked
    }

    fn set(&self, mask: u16) -> Bitfield {
        let mut set = Bitfield::new(self.pieces.len() as u32);
        (0..16).filter(|bit| mask >> bit & 1 == 1).for_each(|bit| {
            set.set(PieceIndex(bit));
        });
        set
    }

    fn apply(&mut self, op: &Op) {
        let piece_of = |piece: u8| usize::from(piece) % self.pieces.len();
        let nth_asked = |peer: u8, nth: u8| {
            let asked = self.asked_of(usize::from(peer) % PEERS);
            (!asked.is_empty()).then(|| asked[usize::from(nth) % asked.len()])
        };
        match *op {
            Op::Join { peer, seed, pieces } => self.join(usize::from(peer) % PEERS, seed, pieces),
            Op::Leave { peer } => self.leave(usize::from(peer) % PEERS),
            Op::Have { peer, piece } => {
                let piece = piece_of(piece);
                let Some(peer) = &mut self.peers[usize::from(peer) % PEERS] else { return };
                if !peer.seed && peer.has.set(PieceIndex(piece as u32)) {
                    self.picker.saw_have(PieceIndex(piece as u32));
                    self.pieces[piece].count += 1;
                }
            }
            Op::Pick { peer, want, fast, suggested } => {
                let suggested = [PieceIndex(u32::from(suggested))];
                let options = PickOptions { allowed: None, suggested: &suggested, fast_peer: fast };
                self.pick(usize::from(peer) % PEERS, u32::from(want), &options);
            }
            Op::PickAgain { peer, want, paces } => {
                self.pick_again(usize::from(peer) % PEERS, u32::from(want), paces.map(pace));
            }
            Op::PickAllowed { peer, want, allowed } => {
                let allowed: Vec<_> = self.set(allowed).iter().collect();
                let options = PickOptions { allowed: Some(&allowed), ..PickOptions::default() };
                self.pick(usize::from(peer) % PEERS, u32::from(want), &options);
            }
            Op::Send { peer, nth } => {
                if let Some((piece, slot)) = nth_asked(peer, nth) {
                    self.send(usize::from(peer) % PEERS, piece, slot);
                }
            }
            Op::SendUnasked { peer, piece, block } => {
                let piece = piece_of(piece);
                let slot = usize::from(block) % self.pieces[piece].cells.len();
                self.send(usize::from(peer) % PEERS, piece, slot);
            }
            Op::SendOdd { peer, piece, offset, len } => {
                let block = Block { piece: PieceIndex(u32::from(piece)), offset, len };
                let Some(peer) = &self.peers[usize::from(peer) % PEERS] else { return };
                if self.blocks().all(|(piece, slot)| self.block(piece, slot) != block) {
                    assert_eq!(self.picker.received(block, peer.key), Received::NotABlock);
                    assert!(!self.picker.give_back(block, peer.key));
                }
            }
            Op::Write { nth, ok } => self.write(nth, ok),
            Op::Judge { piece, ok } => self.judge(piece_of(piece), ok),
            Op::GiveBack { peer, nth } => {
                let Some((piece, slot)) = nth_asked(peer, nth) else { return };
                let peer = usize::from(peer) % PEERS;
                let key = self.peers[peer].as_ref().expect("a peer asked is here").key;
                assert!(self.picker.give_back(self.block(piece, slot), key));
                self.disown(peer, piece, slot);
            }
            Op::GiveBackAll { peer } => self.give_back_all(usize::from(peer) % PEERS),
            Op::SetPriority { piece, priority } => {
                let all = [Priority::Skip, Priority::Low, Priority::Normal, Priority::High];
                let (piece, priority) = (piece_of(piece), all[usize::from(priority) % 4]);
                self.picker.set_priority(PieceIndex(piece as u32), priority);
                self.pieces[piece].priority = priority;
            }
            Op::SetOrder { sequential, window } => {
                self.window = if window % 16 == 0 { u32::MAX } else { u32::from(window % 16) };
                self.picker.set_window(self.window);
                self.order = if sequential { PieceOrder::Sequential } else { PieceOrder::RarestFirst };
                self.picker.set_order(self.order);
            }
            Op::SetHave { piece } => {
                let piece = piece_of(piece);
                self.picker.set_have(PieceIndex(piece as u32));
                if !self.pieces[piece].have {
                    self.pieces[piece].reset();
                    self.pieces[piece].alone = false;
                    self.pieces[piece].have = true;
                }
            }
            Op::Lost { piece } => {
                let piece = piece_of(piece);
                self.picker.lost(PieceIndex(piece as u32));
                self.pieces[piece].have = false;
            }
            Op::SetAlone { piece } => {
                let piece = piece_of(piece);
                self.picker.set_alone(PieceIndex(piece as u32));
                let piece = &mut self.pieces[piece];
                if !piece.have && !piece.alone {
                    piece.alone = true;
                    piece.reset();
                }
            }
        }
    }

    fn join(&mut self, at: usize, seed: bool, mask: u16) {
        if self.peers[at].is_some() {
            return;
        }
        let has = self.set(mask);
        if seed {
            self.picker.saw_seed();
            self.seeds += 1;
        } else {
            self.picker.saw_bitfield(&has);
            has.iter().for_each(|piece| self.pieces[piece.0 as usize].count += 1);
        }
        self.peers[at] = Some(Peer { key: self.keys.insert(()), seed, has });
    }

    fn leave(&mut self, at: usize) {
        self.give_back_all(at);
        let Some(peer) = self.peers[at].take() else { return };
        self.keys.remove(peer.key);
        if peer.seed {
            self.picker.gone_seed();
            self.seeds -= 1;
        } else {
            self.picker.gone_bitfield(&peer.has);
            peer.has.iter().for_each(|piece| self.pieces[piece.0 as usize].count -= 1);
        }
        self.picker.rest(); // which changes nothing that can be seen
    }

    fn is_busy(&self, key: PeerKey) -> bool {
        let at = self.peers.iter().position(|peer| peer.as_ref().is_some_and(|peer| peer.key == key));
        at.is_some_and(|at| !self.asked_of(at).is_empty())
    }

    fn release_abandoned(&mut self, except: Option<PeerKey>) {
        for piece in 0..self.pieces.len() {
            let it = &self.pieces[piece];
            let Some(lead) = it.lead.filter(|_| it.alone && it.begun() && !it.complete() && !it.asked())
            else {
                continue;
            };
            if Some(lead) != except && !self.is_busy(lead) {
                self.pieces[piece].reset();
            }
        }
    }

    fn disown(&mut self, peer: usize, piece: usize, slot: usize) {
        let it = &mut self.pieces[piece];
        let Cell::Asked(owners) = &mut it.cells[slot] else { panic!("only what is asked is given back") };
        owners.retain(|&owner| owner != peer);
        if owners.is_empty() {
            it.cells[slot] = Cell::Open;
            if it.alone && !it.asked() {
                it.reset();
            }
            it.settle();
        }
    }

    fn give_back_all(&mut self, at: usize) {
        let Some(peer) = &self.peers[at] else { return };
        self.picker.give_back_all(peer.key);
        for (piece, slot) in self.asked_of(at) {
            // A piece alone is dropped with the first block that leaves nothing asked.
            if self.pieces[piece].cells[slot].owners().contains(&at) {
                self.disown(at, piece, slot);
            }
        }
        self.release_abandoned(None);
    }

    fn pick(&mut self, at: usize, want: u32, options: &PickOptions<'_>) {
        let Some(peer) = &self.peers[at] else { return };
        let (key, seed, pieces_of) = (peer.key, peer.seed, peer.has.clone());
        let has = if seed { Has::All } else { Has::Some(&pieces_of) };
        let mut picked = Vec::new();
        self.picker.pick(key, has, want, options, &mut self.rng, &mut picked);
        let missing = self.pieces.iter().any(|piece| piece.needed() && !piece.complete());
        if options.allowed.is_none() && want > 0 && missing {
            self.release_abandoned(Some(key));
        }
        assert!(picked.len() <= want as usize);
        for &block in &picked {
            self.assert_may_ask(at, block, has, options);
            let (piece, slot) = (block.piece.0 as usize, (block.offset / BLOCK_LEN) as usize);
            let it = &mut self.pieces[piece];
            it.lead = it.lead.or(Some(key)).filter(|_| it.alone);
            it.cells[slot] = Cell::Asked(vec![at]);
            self.log.push((at, piece, slot));
        }
        if picked.len() < want as usize {
            self.assert_nothing_left(at, has, options);
        }
    }

    fn assert_may_ask(&self, at: usize, block: Block, has: Has<'_>, options: &PickOptions<'_>) {
        let (piece, slot) = (block.piece.0 as usize, (block.offset / BLOCK_LEN) as usize);
        assert_eq!(block, self.block(piece, slot), "a whole block");
        let it = &self.pieces[piece];
        assert!(it.needed() && has.contains(block.piece), "{block:?} is wanted and the peer has it");
        assert!(options.allowed.is_none_or(|allowed| allowed.contains(&block.piece)), "{block:?} is allowed");
        assert!(self.may_take_part(at, it), "{block:?} is another peer's alone");
        match &it.cells[slot] {
            Cell::Open => {}
            cell => panic!("{block:?} is {cell:?} already"),
        }
        let begun = self.pieces.iter().filter(|piece| piece.begun()).count();
        let held = self.pieces.iter().filter(|piece| piece.have).count();
        let in_order = self.order == PieceOrder::Sequential && self.comes_in_order(has);
        let by_chance = !in_order && begun + held < 4;
        if it.begun() || by_chance || options.allowed.is_some() {
            return;
        }
        let suggested = self.order == PieceOrder::RarestFirst && options.suggested.contains(&block.piece);
        let rank = |index: usize, piece: &Piece| match in_order {
            _ if suggested => (core::cmp::Reverse(piece.priority), 0),
            false => (core::cmp::Reverse(piece.priority), piece.count),
            true => (core::cmp::Reverse(piece.priority), index as u32),
        };
        for (index, other) in self.pieces.iter().enumerate() {
            if other.needed() && !other.begun() && has.contains(PieceIndex(index as u32)) {
                assert!(rank(piece, it) <= rank(index, other), "{piece} begun before {index}");
            }
        }
    }

    fn may_take_part(&self, at: usize, piece: &Piece) -> bool {
        let key = self.peers[at].as_ref().map(|peer| peer.key);
        !piece.alone || piece.lead.is_none() || piece.lead == key
    }

    fn any_open(&self) -> bool {
        self.pieces.iter().any(|piece| piece.needed() && piece.cells.contains(&Cell::Open))
    }

    fn assert_nothing_left(&self, at: usize, has: Has<'_>, options: &PickOptions<'_>) {
        for (piece, slot) in self.blocks() {
            let (it, index) = (&self.pieces[piece], PieceIndex(piece as u32));
            let allowed = options.allowed.is_none_or(|allowed| allowed.contains(&index));
            if !it.needed() || !has.contains(index) || !allowed || !self.may_take_part(at, it) {
                continue;
            }
            assert_ne!(it.cells[slot], Cell::Open, "block {slot} of piece {piece} was left");
        }
    }

    fn send(&mut self, at: usize, piece: usize, slot: usize) {
        let Some(peer) = &self.peers[at] else { return };
        let key = peer.key;
        let got = self.picker.received(self.block(piece, slot), key);
        let it = &self.pieces[piece];
        let cell = it.cells[slot].clone();
        if it.have || cell.sender().is_some() {
            assert_eq!(got, Received::Duplicate);
            return;
        }
        let refused = if it.begun() { it.alone && it.lead != Some(key) } else { it.alone || !it.needed() };
        if refused {
            assert_eq!(got, Received::Unwanted);
            return;
        }
        let Received::Wanted { piece_complete, cancel } = got else { panic!("{got:?} for a wanted block") };
        let others = cell.owners().iter().filter(|&&owner| owner != at);
        let mut others: Vec<_> = others.filter_map(|&owner| Some(self.peers[owner].as_ref()?.key)).collect();
        let mut cancelled = cancel.peers().to_vec();
        others.sort_unstable();
        cancelled.sort_unstable();
        assert_eq!(cancelled, others, "everybody else who was asked is told");
        self.pieces[piece].cells[slot] = Cell::Writing(key);
        assert_eq!(piece_complete, self.pieces[piece].complete());
        self.disk.push((piece, slot));
    }

    fn write(&mut self, nth: u8, ok: bool) {
        if self.disk.is_empty() {
            return;
        }
        // Answers also come for blocks that have been dropped since: those change nothing.
        let (piece, slot) = self.disk.swap_remove(usize::from(nth) % self.disk.len());
        let block = self.block(piece, slot);
        let it = &mut self.pieces[piece];
        if ok {
            self.picker.written(block);
            if let Cell::Writing(peer) = it.cells[slot] {
                it.cells[slot] = Cell::Written(peer);
            }
        } else {
            self.picker.write_failed(block);
            if it.cells[slot].sender().is_some() {
                it.cells[slot] = Cell::Open;
                it.settle();
            }
        }
    }

    fn judge(&mut self, piece: usize, ok: bool) {
        let index = PieceIndex(piece as u32);
        let it = &mut self.pieces[piece];
        let senders = |it: &Piece| -> Vec<_> {
            (0..).zip(&it.cells).filter_map(|(slot, cell)| Some((slot, cell.sender()?))).collect()
        };
        if ok {
            let written = !it.have && it.cells.iter().all(|cell| matches!(cell, Cell::Written(_)));
            let passed = self.picker.passed(index);
            assert_eq!(passed.map(|sent| sent.iter().collect()), written.then(|| senders(it)));
            if written {
                it.reset();
                it.alone = false;
                it.have = true;
            }
        } else {
            assert_eq!(self.picker.failed(index).iter().collect::<Vec<_>>(), senders(it));
            for cell in &mut it.cells {
                if cell.sender().is_some() {
                    *cell = Cell::Open;
                }
            }
            it.settle();
        }
    }

    fn compare(&self) {
        let cells = || self.pieces.iter().filter(|piece| piece.needed()).flat_map(|piece| &piece.cells);
        let missing = cells().filter(|cell| cell.sender().is_none()).count();
        assert_eq!(self.picker.missing_blocks(), missing as u64);
        assert_eq!(self.picker.in_endgame(), missing > 0 && !self.any_open());
        assert_eq!(self.picker.is_finished(), self.pieces.iter().all(|piece| !piece.needed()));
        let begun = self.pieces.iter().filter(|piece| piece.begun()).count();
        assert_eq!(self.picker.partial_pieces() as usize, begun);
        for (index, piece) in (0..).map(PieceIndex).zip(&self.pieces) {
            assert_eq!(self.picker.have().get(index), piece.have);
            assert_eq!(self.picker.needs(index), piece.needed());
            assert_eq!(self.picker.availability(index), piece.count + self.seeds);
        }
        let mut outstanding = 0;
        for (at, peer) in self.peers.iter().enumerate() {
            let Some(peer) = peer else { continue };
            let asked: Vec<_> = self.picker.asked_of(peer.key).collect();
            let want: Vec<_> =
                self.asked_of(at).iter().map(|&(piece, slot)| self.block(piece, slot)).collect();
            assert_eq!(asked, want, "what peer {at} is asked for");
            outstanding += want.len();
            let has = if peer.seed { Has::All } else { Has::Some(&peer.has) };
            let needed = (0..).map(PieceIndex).zip(&self.pieces).filter(|(_, piece)| piece.needed());
            let interesting = needed.map(|(index, _)| index).any(|index| has.contains(index));
            assert_eq!(self.picker.is_interesting(has), interesting);
        }
        assert_eq!(self.picker.outstanding() as usize, outstanding);
    }
}
