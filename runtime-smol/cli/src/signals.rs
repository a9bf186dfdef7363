//! Ctrl-C, SIGTERM and a terminal that goes away: the first asks to stop, the second stops at once.

use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use smol::channel::{Receiver, bounded};

use crate::errors::{Failure, INTERRUPTED};

/// Says once that the user wants to stop.
pub(crate) type Interrupt = Receiver<()>;

/// Listens from now on.
pub(crate) fn interrupt() -> Result<Interrupt, Failure> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])
        .map_err(|error| Failure::new(format!("cannot listen for Ctrl-C: {error}")))?;
    let (say, heard) = bounded(1);
    thread::Builder::new()
        .name(String::from("signals"))
        .spawn(move || {
            let mut arriving = signals.forever();
            if arriving.next().is_some() {
                let _ = say.try_send(());
            }
            if arriving.next().is_some() {
                std::process::exit(i32::from(INTERRUPTED));
            }
        })
        .map_err(|error| Failure::new(format!("cannot listen for Ctrl-C: {error}")))?;
    Ok(heard)
}
