//! `pieceful get`: downloads torrents until everything is on disk and verified, and serves them on if asked to.

use pieceful_core::engine::{AddTorrent, PieceOrder, SeedingLimits};

use crate::args::Get;
use crate::errors::{Failure, Outcome};
use crate::swarm::{self, Goal, Plan};
use crate::{create, source};

/// Downloads; the sentence of a failure says what to do.
pub(crate) fn run(args: &Get) -> Result<Outcome, Failure> {
    let goal = match (args.metadata_only, args.seed) {
        (true, _) => Goal::Metadata { overwrite: args.overwrite },
        (false, true) => Goal::DownloadThenSeed,
        (false, false) => Goal::Download,
    };
    if args.metadata_only {
        see_to_place(args)?;
    }
    swarm::run(&Plan {
        goal,
        sources: &args.sources,
        read: if args.metadata_only { source::to_complete } else { source::to_download },
        folder: &args.output,
        peers: &args.peers,
        telling: &args.telling,
        max_download: args.max_download,
        max_upload: args.max_upload,
        seeding: SeedingLimits { ratio_permille: args.enough.ratio, time: args.enough.seed_time },
        files: &args.files,
        spec: &|usual| AddTorrent {
            order: if args.sequential { PieceOrder::Sequential } else { PieceOrder::default() },
            allocation: args.allocation.into(),
            overwrite: args.overwrite,
            check: args.check,
            metadata_only: args.metadata_only || usual.metadata_only,
            ..usual
        },
    })
}

/// Sees that the one .torrent file that is to be made can be.
fn see_to_place(args: &Get) -> Result<(), Failure> {
    if args.sources.len() > 1 {
        return Err(Failure::new("--metadata-only makes one file, and several links are named")
            .advice("run it once for each of them"));
    }
    create::see_to_place(&args.output, args.overwrite)
}
