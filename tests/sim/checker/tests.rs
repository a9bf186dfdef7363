//! Every checker fails when it has to: each is shown what no engine may do.

use std::time::Duration;

use bytes::Bytes;
use pieceful_core::chain::Chain;
use pieceful_core::disk::{DiskDone, Layout};
use pieceful_core::engine::{AddTorrent, CloseHow, Config, Response};
use pieceful_core::id::{Block, Digest, DiskOp, PieceIndex};
use pieceful_core::peer::{CloseReason, StreamEnd};
use pieceful_core::rng::Seed;
use pieceful_core::torrent::TorrentError;
use slotmap::KeyData;

use super::*;
use crate::words::{
    CHOKE, INTERESTED, NOT_INTERESTED, UNCHOKE, bitfield, cancel, extended, handshake, have, message, piece,
    plain, reject, request,
};

fn id<T: From<KeyData>>(number: u64) -> T {
    KeyData::from_ffi(1 << 32 | number).into()
}

fn at(millis: u64) -> Instant {
    Instant::ZERO + Duration::from_millis(millis)
}

const THEM: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(11, 0, 1, 1)), 6881);

/// An engine played by the test: its torrent has four pieces of two blocks, of which the first two are on its disk.
struct Scene {
    checker: Checker,
    data: Arc<Data>,
    conn: ConnId,
    millis: u64,
}

type Checked = Result<Option<SocketAddr>, String>;

impl Scene {
    fn new() -> Self {
        Self::with(Limits::default())
    }

    fn with(limits: Limits) -> Self {
        let data = Arc::new(Data::single(1, 4 * (32 << 10) - 5_000, 32 << 10));
        let mut checker = Checker::new(limits);
        checker.added(id(1), Arc::clone(&data), false, None);
        Self { checker, data, conn: id(1), millis: 0 }
    }

    /// Somebody connected, and both have introduced themselves.
    fn greeted(fast: bool) -> Self {
        Self::new().greets(fast)
    }

    fn greets(mut self, fast: bool) -> Self {
        self.checker.accepted(at(0), self.conn, THEM).unwrap();
        self.hears(&handshake(self.data.info_hash().on_the_wire(), [1; 20], fast));
        self.says(&handshake(self.data.info_hash().on_the_wire(), [2; 20], fast)).unwrap();
        self
    }

    fn hears(&mut self, bytes: &Bytes) {
        self.checker.input(at(self.millis), &Input::Received { conn: self.conn, data: bytes.clone() });
    }

    fn says(&mut self, bytes: &Bytes) -> Checked {
        self.gives(&Output::Send { conn: self.conn, segment: Segment::Bytes(bytes.clone()) })
    }

    fn gives(&mut self, output: &Output) -> Checked {
        self.checker.output(output, &|_: &Data, piece| piece < 2)
    }

    fn is_answered(&mut self, op: u64, done: DiskDone) {
        self.checker.input(at(self.millis), &Input::Disk { op: id(op), result: Ok(done) });
    }
}

fn fails<T: std::fmt::Debug>(checked: Result<T, String>, why: &str) {
    let got = checked.expect_err(why);
    assert!(got.contains(why), "{got}, not {why}");
}

fn action(op: u64, action: DiskAction) -> Output {
    Output::Disk { op: id::<DiskOp>(op), torrent: id(1), action }
}

const fn block(piece: u32, number: u32) -> Block {
    Block { piece: PieceIndex(piece), offset: number * (16 << 10), len: 16 << 10 }
}

/// What the peer says and what the engine answers, the last of it wrong.
fn wrong(fast: bool, why: &str, hears: &[Bytes], says: &[Bytes]) {
    let mut scene = Scene::greeted(fast);
    hears.iter().for_each(|bytes| scene.hears(bytes));
    let (last, before) = says.split_last().expect("something wrong is said");
    for bytes in before {
        scene.says(bytes).unwrap();
    }
    fails(scene.says(last), why);
}

#[test]
fn streams_that_break_the_contract() {
    let close = |how| Output::Close { conn: id(1), how };
    let reading = |on| Output::Reading { conn: id(1), on };
    let mut scene = Scene::new();
    fails(scene.says(&plain(CHOKE)), "is not a connection now");
    scene.gives(&Output::Connect { conn: id(1), to: THEM }).unwrap();
    fails(scene.gives(&Output::Connect { conn: id(1), to: THEM }), "in use already");
    fails(scene.says(&plain(CHOKE)), "before it is connected");

    let mut scene = Scene::greeted(false);
    fails(scene.says(&Bytes::new()), "an empty segment");
    fails(scene.gives(&reading(true)), "reading is true already");
    scene.gives(&reading(false)).unwrap();
    scene.gives(&close(CloseHow::AfterSend)).unwrap();
    fails(scene.gives(&close(CloseHow::AfterSend)), "a second Close");
    fails(scene.says(&plain(UNCHOKE)), "a Send after the Close");
    fails(scene.gives(&reading(true)), "a Reading after the Close");
    scene.gives(&close(CloseHow::Now)).unwrap();
    fails(scene.gives(&Output::Event(Event::Stopped)), "Stopped with 1 connections");

    let mut scene = Scene::new();
    scene.gives(&Output::Event(Event::Stopped)).unwrap();
    fails(scene.gives(&action(1, DiskAction::Sync)), "an output after Stopped");
    let mut scene = Scene::new();
    scene.gives(&action(1, DiskAction::Sync)).unwrap();
    fails(scene.gives(&action(1, DiskAction::Sync)), "in use already");
    let write = DiskAction::Write { block: block(0, 0), data: Chain::from(Bytes::from_static(b"short")) };
    fails(scene.gives(&action(2, write)), "5 bytes to write");
}

#[test]
#[should_panic(expected = "no more Sent than Send")]
fn a_driver_that_sends_more_than_it_was_given() {
    let mut scene = Scene::greeted(false);
    scene.checker.input(at(0), &Input::Sent { conn: id(1), bytes: 69 });
}

#[test]
fn budgets_that_are_not_kept() {
    let limits = Limits {
        connecting_max: 1,
        connections_max: 1,
        greeting_max: 1,
        write_bytes_max: 0,
        read_bytes_max: 0,
        send_bytes_max: 0,
        checking_max: 1,
        fetches_max: 0,
        resolves_max: 0,
        unchoked_max: 0,
        ..Limits::default()
    };
    let mut scene = Scene::with(limits);
    scene.gives(&Output::Connect { conn: id(7), to: THEM }).unwrap();
    fails(scene.gives(&Output::Connect { conn: id(8), to: THEM }), "2 connections being opened");
    fails(scene.checker.accepted(at(0), id(9), THEM), "3 connections");
    fails(scene.gives(&Output::Resolve { query: id(1), host: String::new() }), "1 look-ups");
    let data = |block: Block| Chain::from(Bytes::from(vec![0; block.len as usize]));
    let many = SLACK / u64::from(block(0, 0).len);
    for op in 0..many {
        let write = DiskAction::Write { block: block(0, 0), data: data(block(0, 0)) };
        scene.gives(&action(op, write)).unwrap();
    }
    let write = DiskAction::Write { block: block(0, 0), data: data(block(0, 0)) };
    fails(scene.gives(&action(many, write)), "bytes being written");
    let mut scene = Scene::with(limits);
    let mut read = |op| scene.gives(&action(op, DiskAction::Read { block: block(0, 0) }));
    assert!((0..many).all(|op| read(op).is_ok()));
    fails(read(many), "bytes being read");
    let mut scene = Scene::with(limits);
    scene.gives(&action(2000, DiskAction::Hash { piece: PieceIndex(0) })).unwrap();
    fails(scene.gives(&action(2001, DiskAction::Hash { piece: PieceIndex(1) })), "2 pieces being checked");

    let engine = Engine::new(Config::default(), Seed([0; 32]), Instant::ZERO);
    let mut scene = Scene::with(limits).greets(false);
    scene.says(&plain(UNCHOKE)).unwrap();
    fails(scene.checker.drained(&engine), "1 peers served");
    let mut scene = Scene::with(limits);
    scene.checker.accepted(at(0), id(1), THEM).unwrap();
    scene.checker.drained(&engine).unwrap();
    scene.checker.accepted(at(0), id(2), THEM).unwrap();
    fails(scene.checker.drained(&engine), "2 connections without a handshake");
    let mut scene = Scene::with(limits).greets(false);
    scene.hears(&plain(INTERESTED));
    scene.says(&plain(UNCHOKE)).unwrap();
    fails((0..).try_for_each(|_| scene.says(&Bytes::from_static(&[0; 4_000])).map(drop)), "bytes not sent");
}

#[test]
fn claims_that_are_not_true() {
    let pieces = |count| bitfield(4, move |piece| piece < count);
    for fast in [false, true] {
        Scene::greeted(fast).says(&pieces(2)).unwrap();
        Scene::greeted(fast).says(&have(1)).unwrap();
        fails(Scene::greeted(fast).says(&pieces(3)), "says it has piece 2");
        fails(Scene::greeted(fast).says(&have(3)), "says it has piece 3");
    }
    fails(Scene::greeted(true).says(&message(14, &[])), "says it has piece 2");
    fails(Scene::greeted(true).says(&have(4)), "piece 4 of 4");
    fails(Scene::greeted(true).says(&bitfield(9, |piece| piece < 2)), "2 bytes for 4 pieces");
    fails(Scene::greeted(true).says(&bitfield(5, |piece| piece == 4)), "beyond the last");
    let checked = |pieces| Output::Event(Event::Checked { torrent: id(1), pieces });
    Scene::new().gives(&checked(2)).unwrap();
    fails(Scene::new().gives(&checked(3)), "3 pieces are there, of which 2");
    fails(
        Scene::new().gives(&Output::Event(Event::Finished { torrent: id(1) })),
        "piece 2 on its disk is wrong",
    );
}

#[test]
fn a_claim_that_was_true_is_looked_at_again() {
    let engine = Engine::new(Config::default(), Seed([0; 32]), Instant::ZERO);
    let mut scene = Scene::greeted(false);
    scene.says(&have(1)).unwrap();
    scene.checker.drained(&engine).unwrap();
    let output = Output::Send { conn: id(1), segment: Segment::Bytes(have(1)) };
    fails(scene.checker.output(&output, &|_: &Data, _| false), "says it has piece 1");
}

#[test]
fn requests_for_what_cannot_be_had() {
    let all = || bitfield(4, |_| true);
    let (unchoke, interested) = (plain(UNCHOKE), plain(INTERESTED));
    let ask = |piece, offset, len| [plain(INTERESTED), request(piece, offset, len)];
    let open = [all(), unchoke.clone()];
    wrong(false, "while choked", &[all()], &ask(2, 0, 16_384));
    wrong(true, "while choked", &[all(), message(17, &[0, 0, 0, 3])], &ask(2, 0, 16_384));
    wrong(false, "does not have", &[have(3), unchoke.clone()], &ask(2, 0, 16_384));
    wrong(false, "without interest", &open, &[request(2, 0, 16_384)]);
    for (piece, offset, len) in
        [(4, 0, 16_384), (2, 1, 16_384), (2, 32_768, 16_384), (2, 0, 16_383), (3, 16_384, 16_384)]
    {
        wrong(false, "is not a block", &open, &ask(piece, offset, len));
    }
    let twice = [interested.clone(), request(2, 0, 16_384), request(2, 0, 16_384)];
    wrong(false, "twice", &open, &twice);
    let never_asked = [interested.clone(), request(2, 0, 16_384), cancel(2, 16_384, 16_384)];
    wrong(false, "which was not asked for", &open, &never_asked);

    // What was refused, allowed, or waited for long enough may be asked for.
    let mut scene = Scene::greeted(true);
    [all(), message(17, &[0, 0, 0, 2])].iter().for_each(|bytes| scene.hears(bytes));
    scene.says(&interested).unwrap();
    scene.says(&request(2, 0, 16_384)).unwrap();
    scene.millis = 20_000;
    scene.hears(&plain(UNCHOKE));
    scene.says(&request(2, 0, 16_384)).unwrap();
    scene.hears(&reject(2, 0, 16_384));
    scene.says(&request(2, 0, 16_384)).unwrap();

    // A piece that is gone may be asked for again once it is back, and what was asked before may be late (BEP 54).
    let mut scene = Scene::greeted(true);
    scene.says(&extended(0, b"d1:md11:lt_donthavei7eee")).unwrap();
    [all(), unchoke.clone()].iter().for_each(|bytes| scene.hears(bytes));
    scene.says(&interested).unwrap();
    scene.says(&request(2, 0, 16_384)).unwrap();
    scene.hears(&extended(7, &2_u32.to_be_bytes()));
    fails(scene.says(&request(2, 0, 16_384)), "does not have");
    scene.hears(&have(2));
    scene.says(&request(2, 0, 16_384)).unwrap();

    // What was asked for when the rest was late already may be given up together with that, but not anew.
    let mut scene = Scene::greeted(false);
    open.iter().for_each(|bytes| scene.hears(bytes));
    scene.says(&interested).unwrap();
    scene.says(&request(2, 0, 16_384)).unwrap();
    for seconds in [21, 30] {
        scene.millis = 1_000 * seconds;
        scene.hears(&have(3));
        scene.says(&request(2, 16_384, 16_384)).unwrap();
    }
    scene.hears(&piece(2, 16_384, &[0; 16_384]));
    scene.says(&request(2, 16_384, 16_384)).unwrap();
    fails(scene.says(&request(2, 16_384, 16_384)), "twice");

    // Not what is there already, as soon as its hash was right.
    let mut scene = Scene::greeted(false);
    open.iter().for_each(|bytes| scene.hears(bytes));
    scene.says(&interested).unwrap();
    scene.gives(&action(1, DiskAction::Hash { piece: PieceIndex(2) })).unwrap();
    let Some(Digest::Sha1(hash)) = scene.data.metainfo.info.piece_hash(PieceIndex(2)) else { panic!() };
    scene.is_answered(1, DiskDone::Hashed(Digest::Sha1(hash)));
    fails(scene.says(&request(2, 0, 16_384)), "which it has");
    let layout = Arc::clone(&scene.data.layout);
    scene.gives(&action(2, DiskAction::Open { layout: Arc::<Layout>::clone(&layout) })).unwrap();
    scene.says(&request(2, 0, 16_384)).unwrap();
}

#[test]
fn blocks_and_refusals_that_nobody_asked_for() {
    let data = [0; 16_384];
    let send = || piece(1, 0, &data);
    let asks = [request(1, 0, 16_384)];
    wrong(false, "was not asked for", &[], &[plain(UNCHOKE), send()]);
    wrong(false, "while choked", &asks, &[send()]);
    wrong(true, "while choked", &asks, &[send()]);
    wrong(true, "was not asked for", &asks, &[reject(1, 0, 16_384), reject(1, 0, 16_384)]);
    wrong(false, "does not speak the fast extension", &asks, &[reject(1, 0, 16_384)]);

    let served = |fast, then: &[Bytes]| {
        let mut scene = Scene::greeted(fast);
        scene.says(&plain(UNCHOKE)).unwrap();
        scene.hears(&asks[0]);
        then.iter().for_each(|bytes| scene.says(bytes).map(drop).unwrap());
        scene
    };
    served(false, &[send()]);
    fails(served(false, &[send()]).says(&send()), "was not asked for");
    // After a choke only one that gets an answer to each request gets a block.
    fails(served(false, &[plain(CHOKE)]).says(&send()), "was not asked for");
    served(true, &[plain(CHOKE), send()]);
    let mut scene = served(true, &[]);
    scene.hears(&cancel(1, 0, 16_384));
    fails(scene.says(&send()), "taken back since");

    // A block that the driver reads itself is one all the same.
    let direct = |conn| Output::Send { conn, segment: Segment::Block { torrent: id(1), block: block(1, 0) } };
    let header = send().slice(..13);
    let mut scene = served(false, std::slice::from_ref(&header));
    scene.gives(&direct(id(1))).unwrap();
    scene.says(&header).unwrap();
    fails(scene.gives(&direct(id(1))), "was not asked for");
}

#[test]
fn messages_at_the_wrong_time() {
    let full = || bitfield(4, |piece| piece < 2);
    wrong(false, "not its first message", &[], &[plain(UNCHOKE), full()]);
    wrong(true, "not its first message", &[], &[plain(UNCHOKE), message(15, &[])]);
    wrong(false, "does not speak the fast extension", &[], &[message(15, &[])]);
    wrong(false, "does not speak the fast extension", &[], &[message(17, &[0; 4])]);
    wrong(false, "does not speak extensions", &[], &[extended(0, b"de")]);
    wrong(false, "chokes twice", &[], &[plain(CHOKE)]);
    wrong(false, "unchokes twice", &[], &[plain(UNCHOKE), plain(UNCHOKE)]);
    wrong(false, "twice", &[], &[plain(NOT_INTERESTED)]);
    wrong(false, "twice", &[], &[plain(INTERESTED), plain(INTERESTED)]);
    wrong(false, "means nothing", &[], &[message(200, &[])]);
    let mut scene = Scene::new();
    scene.checker.accepted(at(0), id(1), THEM).unwrap();
    fails(scene.says(&handshake([3; 20], [2; 20], false)), "a torrent that it does not have");
}

#[test]
fn private_torrents_that_others_are_told_of() {
    let scene = |is_link| {
        let mut scene = Scene::new();
        scene.data = Arc::new(Data::clone(&scene.data).private());
        scene.checker = Checker::new(Limits::default());
        scene.checker.added(id(1), Arc::clone(&scene.data), is_link, None);
        scene.greets(true)
    };
    let pex = |id| extended(0, format!("d1:md6:ut_pexi{id}eee").as_bytes());
    let hash = scene(false).data.info_hash();
    let asks = [b"d1:ad9:info_hash20:", &hash.on_the_wire()[..], b"e1:q9:get_peerse"].concat();
    let near = format!("BT-SEARCH * HTTP/1.1\r\nInfohash: {}\r\n", hash.to_hex().to_uppercase());
    let datagram = |data: Vec<u8>| Output::Datagram { to: THEM, data: data.into() };
    for is_link in [false, true] {
        let mut scene = scene(is_link);
        scene.hears(&pex(9));
        let outputs = [
            datagram(asks.clone()),
            datagram(near.clone().into_bytes()),
            Output::Send { conn: id(1), segment: Segment::Bytes(pex(1)) },
            Output::Send { conn: id(1), segment: Segment::Bytes(extended(9, b"d5:added0:e")) },
            Output::Send { conn: id(1), segment: Segment::Bytes(message(9, &[1, 2])) },
        ];
        if is_link {
            for output in &outputs[..4] {
                scene.gives(output).unwrap();
            }
            scene.gives(&Output::Event(Event::MetadataReceived { torrent: id(1) })).unwrap();
        }
        for (output, why) in outputs.iter().zip(["strangers", "strangers", "private", "private", "no node"]) {
            fails(scene.gives(output), why);
        }
        scene.says(&pex(0)).unwrap();
        let tracker = [&[0; 16][..], &hash.on_the_wire()].concat();
        scene.gives(&datagram(tracker)).unwrap();
    }
}

#[test]
fn faults_that_spread() {
    let mut scene = Scene::greeted(false);
    let elsewhere = SocketAddr::from(([11, 0, 2, 1], 6881));
    let closed = |peer, reason| Output::Event(Event::PeerClosed { torrent: Some(id(1)), peer, reason });
    scene.hears(&have(1));
    assert_eq!(scene.gives(&closed(THEM, CloseReason::OnlyRejects)), Ok(Some(THEM)), "it is to blame");
    assert_eq!(scene.gives(&closed(THEM, CloseReason::NoRoom)), Ok(None));
    assert_eq!(scene.gives(&closed(elsewhere, CloseReason::NoRoom)), Ok(None));
    fails(scene.gives(&closed(elsewhere, CloseReason::OnlyRejects)), "for what happened elsewhere");
    fails(scene.gives(&closed(elsewhere, CloseReason::Stream(StreamEnd::Reset))), "elsewhere");
    let banned = Output::Event(Event::PeerBanned { torrent: id(1), peer: elsewhere });
    assert_eq!(scene.gives(&banned), Ok(Some(elsewhere)));

    let error = TorrentError::Incomplete { missing: 1, pieces: 2 };
    let failed = |torrent| Output::Event(Event::Failed { torrent, error: error.clone() });
    fails(scene.gives(&failed(id(1))), "fails");
    scene.gives(&action(1, DiskAction::Sync)).unwrap();
    scene.is_answered(1, DiskDone::Synced(Vec::new()));
    scene.gives(&failed(id(1))).unwrap();
    fails(scene.gives(&failed(id(2))), "for what happened elsewhere");
}

#[test]
fn numbers_that_are_not_those_of_the_wire() {
    let data = Arc::new(Data::single(1, 100_000, 32 << 10));
    let mut engine = Engine::new(Config::default(), Seed([0; 32]), Instant::ZERO);
    let torrent = engine.add_torrent(Instant::ZERO, AddTorrent::new(Arc::clone(&data.metainfo))).unwrap();
    let checker = || {
        let mut checker = Checker::new(Limits::default());
        checker.added(torrent, Arc::clone(&data), false, None);
        checker
    };
    checker().look_thoroughly(&engine).unwrap();
    type Wrong = fn(&mut Known);
    let set: [(&str, Wrong); 3] = [
        ("says it has sent 0 bytes, but has 1", |known| known.sent = 1),
        ("sent 0 bytes of blocks, but has 1", |known| known.payload_sent = 1),
        ("says it has received 0 bytes, but has 1", |known| known.received = 1),
    ];
    for (why, set) in set {
        let mut checker = checker();
        set(&mut checker.torrents[0]);
        fails(checker.look_thoroughly(&engine), why);
    }
    let mut checker = Checker::new(Limits { torrents_max: 0, ..Limits::default() });
    fails(checker.look_thoroughly(&engine), "1 torrents");
    checker = Checker::new(Limits::default());
    checker.input(Instant::ZERO, &Input::Datagram { from: THEM, data: Bytes::new() });
    assert_eq!(checker.outstanding(), 0);
}

#[test]
#[should_panic(expected = "each fetch is answered once")]
fn a_driver_that_answers_twice() {
    let answer = Response { status: 200, body: Bytes::new(), from: THEM.ip() };
    Scene::new().checker.input(at(0), &Input::Fetched { fetch: id(1), result: Ok(answer) });
}
