//! Whatever a saved state has become on disk, an engine that is given it begins, and believes it no further than its
//! checksum and the files go.

use std::sync::Arc;
use std::time::Duration;

use pieceful_core::disk::{DiskAction, DiskDone, Existing};
use pieceful_core::engine::{AddTorrent, Config, Engine, Event, Input, Output, Saved};
use pieceful_core::id::Digest;
use pieceful_core::metainfo::{Content, Metainfo, NewTorrent};
use pieceful_core::rng::Seed;
use pieceful_core::time::Instant;
use sha1::{Digest as _, Sha1};

/// What every state begins with.
const MAGIC: &[u8] = b"pieceful torrent 1\n";

/// Runs the target on `data`: as it is, and as the body of a state whose checksum is right.
pub fn run(data: &[u8]) {
    begin(data);
    begin(&[MAGIC, &Sha1::digest(data), data].concat());
}

/// A file that is there, of which nothing is known to be right but what the state says.
fn begin(saved: &[u8]) {
    let now = Instant::ZERO + Duration::from_secs(1);
    let mut engine = Engine::new(Config::default(), Seed([1; 32]), now);
    let mut spec = AddTorrent::new(Arc::new(torrent()));
    spec.saved = Some(saved.to_vec().into());
    engine.add_torrent(now, spec).expect("there is room for one");
    let (mut refused, mut settled) = (false, false);
    for _ in 0..10_000 {
        let (op, action) = match engine.poll() {
            Output::Disk { op, action, .. } => (op, action),
            Output::Event(Event::SavedRefused { .. }) => {
                refused = true;
                continue;
            }
            // A state that says it was complete leaves nothing in the file that may be written over.
            Output::Event(Event::Checked { .. } | Event::Failed { .. }) => {
                settled = true;
                continue;
            }
            Output::Save { data, .. } => {
                assert!(Saved::read(&data).is_ok(), "what is saved can be read");
                continue;
            }
            Output::Idle { .. } => break,
            _ => continue,
        };
        let done = match action {
            DiskAction::Open { layout } => {
                let files = layout.files().iter();
                DiskDone::Opened(
                    files.map(|file| Existing::Present { len: file.len, has_data: true, stamp: 1 }).collect(),
                )
            }
            DiskAction::Hash { .. } => DiskDone::Hashed(Digest::Sha1([0; 20])),
            DiskAction::Sync => DiskDone::Synced(Vec::new()),
            _ => DiskDone::Prepared,
        };
        engine.handle(now, Input::Disk { op, result: Ok(done) });
    }
    assert_eq!(refused, Saved::read(saved).is_err(), "what is refused is what cannot be read");
    assert!(settled, "whatever it was, the torrent begins");
}

fn torrent() -> Metainfo {
    let new = NewTorrent {
        name: "saved".into(),
        content: Content::File { length: 80_000, executable: false },
        piece_length: 32 << 10,
        pieces: [7; 60].to_vec().into(),
        ..NewTorrent::default()
    };
    Metainfo::parse(new.to_bytes().expect("it is valid")).expect("it is valid")
}
