//! Peers that tell the metadata, and those that tell something else, in every order.

use alloc::vec;

use slotmap::SlotMap;

use super::*;

/// Bytes in three pieces, the last of them short.
const SIZE: u32 = 2 * METADATA_PIECE_LEN + 100;

/// A fetch with a clock, and peers that answer as the test says.
struct Scene {
    fetch: MetadataFetch,
    info: Vec<u8>,
    keys: SlotMap<PeerKey, u8>,
    now: Instant,
}

impl Scene {
    fn new() -> Self {
        let info: Vec<u8> = (0..SIZE).map(|byte| (byte % 251) as u8).collect();
        let fetch = MetadataFetch::new(sha1(&info));
        Self { fetch, info, keys: SlotMap::with_key(), now: Instant::ZERO }
    }

    fn peer(&mut self, number: u8, size: u32) -> PeerKey {
        let key = self.keys.insert(number);
        self.fetch.offered(key, address(number), size);
        key
    }

    fn ask(&mut self) -> Vec<(PeerKey, u32)> {
        let mut asked = Vec::new();
        self.fetch.ask(self.now, &mut asked);
        asked
    }

    /// Sends `piece` as it is, or with a wrong byte.
    fn send(&mut self, key: PeerKey, piece: u32, right: bool) -> Option<Whole> {
        let start = (piece * METADATA_PIECE_LEN) as usize;
        let mut data = self.info[start..(start + METADATA_PIECE_LEN as usize).min(SIZE as usize)].to_vec();
        data[0] ^= u8::from(!right);
        self.fetch.got(key, piece, SIZE, &data.into(), self.now).unwrap()
    }

    fn pass(&mut self, span: Duration) {
        self.now += span;
        self.fetch.tick(self.now);
    }
}

fn address(number: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, number], 6881))
}

#[test]
fn pieces_are_asked_of_several_at_once_and_nothing_twice() {
    let mut scene = Scene::new();
    let (one, two) = (scene.peer(1, SIZE), scene.peer(2, SIZE));
    let asked = scene.ask();
    assert_eq!(asked, [(one, 0), (one, 1), (one, 2)]);
    assert_eq!(scene.ask(), []);
    assert_eq!(scene.send(one, 1, true), None);
    scene.fetch.rejected(one, 0, scene.now).unwrap();
    assert_eq!(scene.ask(), [(two, 0)]);
    assert_eq!(scene.send(two, 0, true), None);
    let Some(Whole::Right { info, liars }) = scene.send(one, 2, true) else { panic!() };
    assert_eq!((&info[..], &liars[..]), (&scene.info[..], &[][..]));
}

#[test]
fn a_size_that_cannot_be_is_not_asked_for_and_does_not_stand_in_the_way() {
    let mut scene = Scene::new();
    for (number, size) in [(1, 0), (2, u32::MAX), (3, (1 << 31) - 1), (4, METADATA_LEN_MAX as u32 + 1)] {
        scene.peer(number, size);
    }
    assert_eq!((scene.ask(), scene.fetch.sources()), (vec![], 0));
    let honest = scene.peer(5, SIZE);
    assert_eq!(scene.ask().len(), 3);
    for piece in 0..2 {
        assert_eq!(scene.send(honest, piece, true), None);
    }
    assert!(matches!(scene.send(honest, 2, true), Some(Whole::Right { .. })));
}

#[test]
fn any_number_of_false_sizes_does_not_keep_the_right_one_from_being_tried() {
    let mut scene = Scene::new();
    for number in 1..=100 {
        scene.peer(number, 1_000_000 + u32::from(number));
    }
    let honest = scene.peer(200, SIZE);
    for _ in 0..10_000 {
        let asked = scene.ask();
        assert!(scene.fetch.attempts.len() <= ATTEMPTS_MAX);
        for (_, piece) in asked.into_iter().filter(|(key, _)| *key == honest) {
            if let Some(Whole::Right { .. }) = scene.send(honest, piece, true) {
                return;
            }
        }
        let deadline = scene.fetch.deadline(scene.now).expect("something is waited for");
        let span = deadline.since(scene.now);
        assert!(!span.is_zero(), "a deadline that does not move");
        scene.pass(span);
    }
    panic!("never");
}

#[test]
fn whoever_sent_all_of_a_wrong_whole_lied() {
    let mut scene = Scene::new();
    let liar = scene.peer(1, SIZE);
    scene.ask();
    scene.send(liar, 0, true);
    scene.send(liar, 1, false);
    assert_eq!(scene.send(liar, 2, true), Some(Whole::Wrong { liar: Some(address(1)) }));
    assert_eq!(scene.ask(), [], "it is not asked again");
    let honest = scene.peer(2, SIZE);
    assert_eq!(scene.ask(), [(honest, 0), (honest, 1), (honest, 2)]);
}

#[test]
fn where_several_made_a_wrong_whole_each_is_asked_alone_and_only_the_liar_is_blamed() {
    for first_liar in [true, false] {
        let mut scene = Scene::new();
        let (one, two) = (scene.peer(1, SIZE), scene.peer(2, SIZE));
        assert_eq!(scene.ask(), [(one, 0), (one, 1), (one, 2)]);
        scene.fetch.rejected(one, 2, scene.now).unwrap();
        assert_eq!(scene.ask(), [(two, 2)]);
        scene.send(one, 0, !first_liar);
        scene.send(one, 1, true);
        assert_eq!(scene.send(two, 2, first_liar), Some(Whole::Wrong { liar: None }));
        let mut found = None;
        while found.is_none() {
            for (key, piece) in scene.ask() {
                let lies = (key == one) == first_liar;
                match scene.send(key, piece, !lies || piece != if first_liar { 0 } else { 2 }) {
                    Some(Whole::Right { liars, .. }) => found = Some(liars),
                    Some(Whole::Wrong { liar }) => {
                        assert_eq!(liar, Some(address(if first_liar { 1 } else { 2 })));
                    }
                    None => {}
                }
            }
            scene.pass(Duration::from_secs(1));
            assert!(scene.now < Instant::from_micros(100_000_000), "never");
        }
        assert_eq!(found, Some(vec![address(if first_liar { 1 } else { 2 })]));
    }
}

#[test]
fn one_that_is_late_is_not_waited_for_and_what_it_sends_all_the_same_counts() {
    let mut scene = Scene::new();
    let slow = scene.peer(1, SIZE);
    assert_eq!(scene.ask().len(), 3);
    let quick = scene.peer(2, SIZE);
    assert_eq!(scene.ask(), []);
    assert_eq!(scene.fetch.deadline(scene.now), Some(scene.now + LATE));
    scene.pass(LATE);
    assert_eq!(scene.ask(), [(quick, 0), (quick, 1), (quick, 2)]);
    assert_eq!(scene.send(slow, 0, true), None);
    assert_eq!(scene.fetch.progress(), (1, 3));
    scene.send(quick, 1, true);
    assert!(matches!(scene.send(quick, 2, true), Some(Whole::Right { .. })));
}

#[test]
fn nonsense_is_called_by_its_name() {
    let mut scene = Scene::new();
    let odd = scene.peer(1, SIZE);
    scene.ask();
    let (now, short) = (scene.now, Bytes::from_static(b"short"));
    let wrong =
        CloseReason::MetadataLength { piece: 0, got: 5, total: SIZE, want: METADATA_PIECE_LEN, size: SIZE };
    assert_eq!(scene.fetch.got(odd, 0, SIZE, &short, now), Err(wrong));
    for _ in 0..UNASKED_MAX {
        assert_eq!(scene.fetch.got(odd, 77, SIZE, &short, now), Ok(None));
    }
    assert_eq!(scene.fetch.got(odd, 77, SIZE, &short, now), Err(CloseReason::MetadataNotAsked));
    assert_eq!(scene.fetch.rejected(odd, 77, now), Err(CloseReason::MetadataNotAsked));
}

#[test]
fn those_that_refuse_everything_are_asked_ever_more_seldom() {
    let mut scene = Scene::new();
    scene.peer(1, SIZE);
    let mut asked = 0;
    for _ in 0..3_600 {
        for (key, piece) in scene.ask() {
            asked += 1;
            scene.fetch.rejected(key, piece, scene.now).unwrap();
        }
        scene.pass(Duration::from_secs(1));
    }
    assert!((10..100).contains(&asked), "{asked} requests in an hour");
}
