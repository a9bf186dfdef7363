//! Why a connection to a peer ended, by name.

use crate::bitfield::BitfieldError;
use crate::id::{Block, PieceIndex};
use crate::wire::WireError;

/// How a connection ended, as the system told it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum StreamEnd {
    /// The other side closed in good order, or we did as told.
    #[error("closed")]
    Finished,
    /// The other side cut it off.
    #[error("reset by the peer")]
    Reset,
    /// Nobody listens there.
    #[error("connection refused")]
    Refused,
    /// No answer.
    #[error("timed out")]
    TimedOut,
    /// No route, no network, no such address family here.
    #[error("unreachable")]
    Unreachable,
    /// A block of this piece was to be sent, and could not be read from its file: the files are looked at anew.
    #[error("closed by us: piece {0} cannot be read")]
    Unreadable(PieceIndex),
    /// Any other failure of the socket.
    #[error("failed")]
    Failed,
}

/// Why a connection to a peer ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CloseReason {
    /// The stream ended, or never began.
    #[error("connection {0}")]
    Stream(#[from] StreamEnd),
    /// It sent something that is not BitTorrent.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// Its bitfield does not fit the torrent.
    #[error(transparent)]
    Bitfield(#[from] BitfieldError),
    /// It named a piece the torrent does not have.
    #[error("piece {piece} of a torrent of {pieces}")]
    NoSuchPiece {
        /// What it named.
        piece: PieceIndex,
        /// How many there are.
        pieces: u32,
    },
    /// It used a message of the fast extension (BEP 6) without having agreed to it.
    #[error("a message of the fast extension that was not agreed on")]
    FastNotAgreed,
    /// It asked for bytes that cannot be asked for, too often.
    #[error("invalid requests, the last for {0}")]
    InvalidRequests(Block),
    /// It queued more requests than it was told to.
    #[error("flooded with requests")]
    RequestFlood,
    /// It asked for the metadata over and over, or for pieces that it does not have.
    #[error("flooded with requests for the metadata")]
    MetadataFlood,
    /// It told of other peers far more often than once a minute, or of too many at once.
    #[error("flooded with peer exchange")]
    PexFlood,
    /// It sent pieces of the metadata that nobody asked for, too many of them.
    #[error("flooded with metadata that was not asked for")]
    MetadataNotAsked,
    /// A piece of the metadata that does not fit the size it named.
    #[error("piece {piece} of the metadata with {got} bytes of {total}, where {want} of {size} are due")]
    MetadataLength {
        /// Which, from 0.
        piece: u32,
        /// Bytes that came.
        got: u32,
        /// Bytes of the whole, as the piece says.
        total: u32,
        /// Bytes the piece should have.
        want: u32,
        /// Bytes of the whole, as it had said before.
        size: u32,
    },
    /// It sent blocks that nobody asked for, too many of them.
    #[error("blocks that were not asked for, the last {0}")]
    NotAsked(Block),
    /// It refused request after request while not choking us.
    #[error("refuses every request")]
    OnlyRejects,
    /// No complete greeting in time.
    #[error("no complete handshake in time")]
    GreetingTimedOut,
    /// Nothing was heard of it for too long.
    #[error("silent for too long")]
    Silent,
    /// It is us.
    #[error("connected to ourselves")]
    Ourselves,
    /// We are connected to it already.
    #[error("connected already")]
    Duplicate,
    /// It wants a torrent we do not have, or another than we dialled it for.
    #[error("another torrent's info-hash")]
    WrongTorrent,
    /// It gave us data that is wrong.
    #[error("sent wrong data")]
    Banned,
    /// Others needed the place more.
    #[error("no room")]
    NoRoom,
    /// Neither side has anything the other wants.
    #[error("nothing to exchange")]
    NothingToExchange,
    /// It was found in a way that does not suit a torrent that turned out to be private.
    #[error("found in a way that does not suit a private torrent")]
    Private,
    /// To be dialled again at once: what we have is best told from the start.
    #[error("to begin anew")]
    Anew,
    /// The torrent was paused, removed or failed, or the engine shuts down.
    #[error("torrent stopped")]
    TorrentStopped,
}

impl CloseReason {
    /// Whether the peer did something no honest peer does.
    #[must_use]
    pub const fn is_misbehaviour(&self) -> bool {
        matches!(
            self,
            Self::Wire(_)
                | Self::Bitfield(_)
                | Self::NoSuchPiece { .. }
                | Self::FastNotAgreed
                | Self::InvalidRequests(_)
                | Self::RequestFlood
                | Self::MetadataFlood
                | Self::PexFlood
                | Self::MetadataNotAsked
                | Self::MetadataLength { .. }
                | Self::NotAsked(_)
                | Self::OnlyRejects
                | Self::Banned
        )
    }
}
