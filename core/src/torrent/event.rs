//! What an application is told: transitions only. Numbers are pulled through the views instead, so that a fast
//! download cannot flood anybody.

use alloc::string::String;
use core::net::SocketAddr;

use crate::disk::DiskError;
use crate::id::{PieceIndex, TorrentId};
use crate::peer::CloseReason;
use crate::tracker::TrackerError;

use super::error::TorrentError;
use super::saved::SavedError;

/// Something that happened which an application may show or act on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The metadata of a magnet link is there: what the torrent is can be [looked at](crate::engine::Engine::metainfo),
    /// and its files are looked at next.
    MetadataReceived {
        /// Which torrent.
        torrent: TorrentId,
    },
    /// Metadata that peers sent did not have the info-hash; it will be fetched again.
    MetadataFailed {
        /// Which torrent.
        torrent: TorrentId,
    },
    /// What an earlier run saved is damaged, or of another version: all that is on disk is hashed instead.
    SavedRefused {
        /// Which torrent.
        torrent: TorrentId,
        /// What is wrong with it.
        error: SavedError,
    },
    /// The check of what is already on disk has ended, and, unless a failure follows, the torrent takes part from
    /// now on.
    Checked {
        /// Which torrent.
        torrent: TorrentId,
        /// How many pieces are there and right.
        pieces: u32,
    },
    /// Every piece that is wanted is on disk and verified. Comes once per torrent and run, and again when more was
    /// wanted meanwhile and is there, too.
    Finished {
        /// Which torrent.
        torrent: TorrentId,
    },
    /// A complete torrent has reached one of its [`SeedingLimits`](super::SeedingLimits), and is paused.
    SeedingDone {
        /// Which torrent.
        torrent: TorrentId,
    },
    /// The torrent cannot go on; everything it has is kept.
    Failed {
        /// Which torrent.
        torrent: TorrentId,
        /// Why.
        error: TorrentError,
    },
    /// A piece that was there is not there any more, or is another: somebody has changed the files. Peers are let go, and
    /// the files are looked at anew.
    FilesChanged {
        /// Which torrent.
        torrent: TorrentId,
        /// Which piece showed it.
        piece: PieceIndex,
    },
    /// The disk is full, or the system has no more open files to give: the torrent asks for nothing more, serves what it
    /// has, and tries again every 30 s.
    NoSpace {
        /// Which torrent.
        torrent: TorrentId,
        /// What the disk said.
        error: DiskError,
    },
    /// There is space again, and the torrent goes on.
    SpaceAgain {
        /// Which torrent.
        torrent: TorrentId,
    },
    /// A piece did not have the hash its torrent promises; it will be downloaded again.
    PieceFailed {
        /// Which torrent.
        torrent: TorrentId,
        /// Which piece.
        piece: PieceIndex,
    },
    /// A peer's handshake is done.
    PeerConnected {
        /// Which torrent.
        torrent: TorrentId,
        /// The peer.
        peer: SocketAddr,
    },
    /// A peer is gone.
    PeerClosed {
        /// Which torrent, if the connection got that far.
        torrent: Option<TorrentId>,
        /// The peer.
        peer: SocketAddr,
        /// Why, by name.
        reason: CloseReason,
    },
    /// A peer was found to have sent wrong data and will not be spoken to again.
    PeerBanned {
        /// Which torrent.
        torrent: TorrentId,
        /// The peer.
        peer: SocketAddr,
    },
    /// A tracker answered an announce.
    TrackerAnswered {
        /// Which torrent.
        torrent: TorrentId,
        /// The tracker.
        url: String,
        /// How many peer addresses it named.
        peers: u32,
    },
    /// A tracker answered and had something to say about it.
    TrackerWarned {
        /// Which torrent.
        torrent: TorrentId,
        /// The tracker.
        url: String,
        /// Its words.
        warning: String,
    },
    /// An announce failed; the next tracker, or a later try, follows.
    TrackerFailed {
        /// Which torrent.
        torrent: TorrentId,
        /// The tracker.
        url: String,
        /// Why.
        error: TrackerError,
    },
    /// The torrent is gone: its trackers were told and its files are closed.
    Removed {
        /// Which torrent.
        torrent: TorrentId,
    },
    /// The engine has shut down: connections and files are closed, nothing more will come. HTTP requests and
    /// name look-ups that hang are not waited for; their answers are of no use any more.
    Stopped,
}
