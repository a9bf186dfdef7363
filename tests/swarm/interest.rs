//! What we tell a peer about our pieces and its own.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use pieceful_core::peer::StreamEnd;
use pieceful_tests::World;
use pieceful_tests::odd::{Offer, Sharer};
use pieceful_tests::script::{MakeScript, Script, Talk};
use pieceful_tests::words::{self, Listener, Said};

const MINUTES: Duration = Duration::from_secs(600);

type Heard = Rc<RefCell<Vec<Said>>>;

/// A sharer that keeps what it is told, and answers some of it with words of its own.
#[derive(Debug)]
struct Witness {
    sharer: Box<dyn Script>,
    listener: Listener,
    heard: Heard,
    answers: Vec<(Said, bytes::Bytes)>,
}

impl Witness {
    /// Each `Said` is answered with these bytes when it is first heard.
    fn script(sharer: Sharer, answers: Vec<(Said, bytes::Bytes)>) -> (MakeScript, Heard) {
        let heard = Heard::default();
        let (mut make, all) = (sharer.script(), heard.clone());
        let make: MakeScript = Box::new(move || {
            let (listener, heard) = (Listener::new(false), all.clone());
            Box::new(Self { sharer: make(), listener, heard, answers: answers.clone() })
        });
        (make, heard)
    }
}

impl Script for Witness {
    fn open(&mut self, talk: &mut Talk<'_>) {
        self.sharer.open(talk);
    }

    fn heard(&mut self, talk: &mut Talk<'_>, bytes: &[u8]) {
        let mut said = Vec::new();
        self.listener.hear(bytes, &mut said);
        for said in &said {
            if let Some(place) = self.answers.iter().position(|(to, _)| to == said) {
                talk.say(self.answers.remove(place).1);
            }
        }
        self.heard.borrow_mut().extend(said);
        self.sharer.heard(talk, bytes);
    }

    fn woken(&mut self, talk: &mut Talk<'_>) {
        self.sharer.woken(talk);
    }

    fn closed(&mut self, end: StreamEnd) {
        self.sharer.closed(end);
    }
}

/// What of it is about interest or pieces of ours.
fn told(heard: &Heard) -> Vec<Said> {
    let about =
        |said: &&Said| matches!(said, Said::Plain(words::INTERESTED | words::NOT_INTERESTED) | Said::Have(_));
    heard.borrow().iter().filter(about).cloned().collect()
}

#[test]
fn interest_ends_with_the_last_piece_of_use_and_comes_back_with_the_next() {
    let sharer = Sharer { offer: Offer::Some((0..3).collect()), ..Sharer::default() };
    let no_more = Said::Plain(words::NOT_INTERESTED);
    // Then it says again that it has the first piece, and that it got another.
    let more = [words::have(0), words::have(9)].concat();
    let (script, heard) = Witness::script(sharer, vec![(no_more.clone(), more.into())]);
    let mut world = World::new(95).script("some", script).leecher("bob");
    world.run_until(|w| w.status_is("bob", |bob| bob.pieces_done == 3), MINUTES);
    world.run_for(Duration::from_secs(1));
    let interested = Said::Plain(words::INTERESTED);
    assert_eq!(told(&heard), [interested.clone(), no_more, interested], "nor a have of what it has");
}

#[test]
fn who_lacks_a_piece_is_told_of_it_and_who_has_it_is_not() {
    let sharer = Sharer { offer: Offer::Some((5..33).collect()), ..Sharer::default() };
    let (script, heard) = Witness::script(sharer, Vec::new());
    let mut world = World::new(96).seed("alice").script("most", script).leecher("bob");
    world.run_until(|w| w.complete("bob"), MINUTES);
    world.run_for(Duration::from_secs(1));
    let mut haves: Vec<_> = told(&heard).into_iter().filter(|said| matches!(said, Said::Have(_))).collect();
    haves.sort_unstable_by_key(|said| if let Said::Have(piece) = said { *piece } else { 0 });
    assert_eq!(haves, (0..5).map(Said::Have).collect::<Vec<_>>());
}

#[test]
fn the_piece_a_peer_suggests_is_the_first_it_is_asked_for() {
    let sharer = Sharer { fast: true, ..Sharer::default() };
    let suggest = words::message(13, &23_u32.to_be_bytes());
    let (script, heard) = Witness::script(sharer, vec![(Said::Plain(words::INTERESTED), suggest)]);
    let mut world = World::new(97).script("one", script).leecher("bob");
    world.run_until(|w| w.complete("bob"), MINUTES);
    let heard = heard.borrow();
    let first = heard.iter().find(|said| matches!(said, Said::Request(..)));
    assert!(matches!(first, Some(Said::Request(23, 0, _))), "{first:?}");
}

#[test]
fn what_a_peer_no_longer_has_it_is_not_asked_for_and_is_again_once_it_is_back() {
    // It offers everything, takes all of it back as soon as we want any, and has three pieces again at once.
    let sharer = Sharer { fast: true, ..Sharer::default() };
    let gone = |piece: u32| words::extended(7, &piece.to_be_bytes());
    let changes = |pieces: std::ops::Range<u32>| pieces.map(gone).collect::<Vec<_>>().concat();
    let interested = Said::Plain(words::INTERESTED);
    let no_more = Said::Plain(words::NOT_INTERESTED);
    let back = [words::have(7), words::have(8), words::have(9)].concat();
    let answers = vec![(interested.clone(), changes(0..33).into()), (no_more.clone(), back.into())];
    let (script, heard) = Witness::script(sharer, answers);
    let mut world = World::new(98).script("fickle", script).leecher("bob");
    world.run_until(|w| w.status_is("bob", |bob| bob.pieces_done == 3), MINUTES);
    world.run_for(Duration::from_secs(1));
    let wishes: Vec<_> = told(&heard).into_iter().filter(|said| !matches!(said, Said::Have(_))).collect();
    assert_eq!(wishes, [interested.clone(), no_more.clone(), interested, no_more]);
    let asked = |said: &&Said| matches!(said, Said::Request(7..10, ..));
    assert_eq!(heard.borrow().iter().filter(asked).count(), 12, "each block of three pieces, once");
    assert_eq!(world.status("bob").seeds, 0);
}
