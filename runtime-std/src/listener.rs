//! A thread that accepts connections, and rests while the system has none to give.

use std::io::ErrorKind;
use std::net::{Shutdown, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::thread;
use std::time::Duration;

use socket2::SockRef;

use crate::bind::is_exhaustion;
use crate::crew::Crew;
use crate::engine_loop::Message;

/// Rest after the system ran out of descriptors: connections wait in its queue meanwhile.
const REST: Duration = Duration::from_millis(200);

/// A listening thread; ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: Arc<TcpListener>,
    stopping: Arc<AtomicBool>,
}

impl Listener {
    pub(crate) fn start(socket: TcpListener, engine: SyncSender<Message>, crew: &Crew) -> Option<Self> {
        let listener = Self { socket: Arc::new(socket), stopping: Arc::default() };
        let (socket, stopping) = (Arc::clone(&listener.socket), Arc::clone(&listener.stopping));
        crew.spawn("pieceful-accept", move || accept(&socket, &stopping, &engine)).then_some(listener)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Release);
        let _ = SockRef::from(&*self.socket).shutdown(Shutdown::Both); // wakes the accept
    }
}

fn accept(socket: &TcpListener, stopping: &AtomicBool, engine: &SyncSender<Message>) {
    while !stopping.load(Ordering::Acquire) {
        match socket.accept() {
            Ok((stream, from)) => {
                let _ = stream.set_nodelay(true); // gone already: the reader will notice
                if engine.send(Message::Accepted(stream.into(), from)).is_err() {
                    return;
                }
            }
            Err(error) if is_exhaustion(&error) => {
                tracing::warn!(%error, "cannot accept for now");
                thread::sleep(REST);
            }
            // Anything else is about one connection that did not last until we took it, or about our end.
            Err(error) if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::ConnectionAborted) => {}
            Err(error) => {
                tracing::debug!(%error, "accept failed");
                if !stopping.load(Ordering::Acquire) {
                    thread::sleep(REST);
                }
            }
        }
    }
}
