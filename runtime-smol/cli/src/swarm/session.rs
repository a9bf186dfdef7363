//! The session of a run: how it is set up from the options, how it ends, and what its errors call for.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use futures_lite::FutureExt as _;
use pieceful_core::engine::{self, DhtConfig, RateLimits};
use pieceful_smol::{AddError, Options, RecordOptions, Session, StartError};

use super::{Goal, Plan};
use crate::errors::{Failure, io_advice};
use crate::progress::Progress;

/// A tracker that does not answer holds up the end no longer than this.
const STOP_TIME: Duration = Duration::from_secs(5);
/// After this long a user wonders what there is to wait for.
const WONDER_TIME: Duration = Duration::from_secs(1);

/// Starts the session. Where it listens is said at once, or, by a seed, once it has something to give.
pub(super) fn start(plan: &Plan<'_>, progress: &mut Progress) -> Result<Session, Failure> {
    let session = match plan.peers.listen {
        Some(address) => start_on(plan, vec![address], progress),
        None => start_anywhere(plan, progress),
    }
    .map_err(|error| why_not_started(&error))?;
    if plan.goal != Goal::Seed {
        tell_where(&session, progress)?;
    }
    Ok(session)
}

/// Says where peers can connect.
pub(super) fn tell_where(session: &Session, progress: &Progress) -> Result<(), Failure> {
    session.listening().iter().try_for_each(|&address| progress.listening(address))
}

/// Any free port, on IPv4 and, where the system has it, IPv6.
fn start_anywhere(plan: &Plan<'_>, progress: &mut Progress) -> Result<Session, StartError> {
    let v4 = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    let v6 = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0));
    match start_on(plan, vec![v4, v6], progress) {
        Err(StartError::Listen { address, source }) if address == v6 && no_such_family(&source) => {
            start_on(plan, vec![v4], progress)
        }
        ended => ended,
    }
}

/// Whether the system has no IPv6, or none here.
fn no_such_family(error: &io::Error) -> bool {
    let unsupported = rustix::io::Errno::AFNOSUPPORT.raw_os_error();
    error.kind() == ErrorKind::AddrNotAvailable || error.raw_os_error() == Some(unsupported)
}

fn start_on(
    plan: &Plan<'_>,
    listen: Vec<SocketAddr>,
    progress: &mut Progress,
) -> Result<Session, StartError> {
    let mut options =
        Options { listen, udp_port: plan.peers.dht_port, state: state_folder(), ..Options::default() };
    options.record = plan.telling.record.clone().map(|file| {
        let (payload, scrub) = (plan.telling.record_payload, plan.telling.record_scrub);
        RecordOptions { file, payload, scrub }
    });
    options.config.pex = !plan.peers.no_pex;
    options.config.dht = (!plan.peers.no_dht)
        .then(|| DhtConfig { bootstrap: plan.peers.dht_bootstrap.clone(), ..DhtConfig::default() });
    options.config.lsd = !plan.peers.no_lsd;
    options.config.rates = RateLimits { download: plan.max_download, upload: plan.max_upload };
    match Session::start(options.clone()) {
        // Somebody without a home can download all the same.
        Err(StartError::State { path, source }) => {
            let path = path.display();
            progress.note(&format!("nothing is kept for the next run: cannot use {path}: {source}"));
            Session::start(Options { state: None, ..options })
        }
        ended => ended,
    }
}

/// `$XDG_STATE_HOME/pieceful`, by default `~/.local/state/pieceful`.
fn state_folder() -> Option<PathBuf> {
    let chosen = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let base = chosen.or_else(|| std::env::home_dir().map(|home| home.join(".local/state")))?;
    base.is_absolute().then(|| base.join("pieceful"))
}

/// Tells the trackers, closes the files.
pub(super) async fn stop(session: &Session, progress: &mut Progress) {
    let late = async {
        smol::Timer::after(WONDER_TIME).await;
        progress.note("waiting for a tracker to hear that we are leaving");
        smol::Timer::after(STOP_TIME.saturating_sub(WONDER_TIME)).await;
        Ok(())
    };
    // What did not end in time is left behind: everything verified is on disk.
    let _ = session.stop().or(late).await;
}

fn why_not_started(error: &StartError) -> Failure {
    let failure = Failure::new(error.to_string());
    match error {
        StartError::Listen { source, .. } => failure.advice(match source.kind() {
            ErrorKind::AddrInUse => {
                "another program has that port: choose another one with --listen, or --dht-port"
            }
            ErrorKind::AddrNotAvailable => "choose an address of this machine with --listen",
            ErrorKind::PermissionDenied => "choose a port above 1023 with --listen",
            _ => "choose another address with --listen",
        }),
        StartError::State { source, .. } | StartError::Record { source, .. } => {
            failure.advice(io_advice(source))
        }
        StartError::System(source) => failure.advice(io_advice(source)),
    }
}

/// Why a torrent was not added, and what to do.
pub(super) fn why_not_added(error: &AddError) -> Failure {
    let failure = Failure::new(error.to_string());
    match error {
        AddError::Folder { source, .. } => match source.kind() {
            ErrorKind::NotADirectory | ErrorKind::AlreadyExists => {
                failure.advice("a file is in the way: choose another folder with -o")
            }
            _ => failure.advice(format!("{}, or choose another folder with -o", io_advice(source))),
        },
        AddError::Engine(engine::AddError::Tracker) => failure.advice("mend what is given with --tracker"),
        AddError::Engine(engine::AddError::TooMany) => failure.advice("name fewer at once"),
        AddError::Engine(engine::AddError::Layout) => {
            failure.advice("ask for a torrent that is made properly")
        }
        AddError::Engine(engine::AddError::OnlyV2) => {
            failure.advice("look for a link with \"xt=urn:btih:\" in it")
        }
        AddError::Engine(engine::AddError::Duplicate) => failure.advice("name it once"),
        AddError::Engine(engine::AddError::Stopping) | AddError::Stopped => {
            failure.advice("run the same command again")
        }
    }
}
