//! A thread for each UDP socket that takes datagrams in and notes when they came.

use std::io;
use std::net::{Shutdown, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use pieceful_core::engine::Input;
use rustix::net::RecvFlags;
use socket2::SockRef;

use crate::bind::Datagrams;
use crate::clock::Clock;
use crate::crew::Crew;
use crate::engine_loop::Message;

/// Longest payload a datagram can have.
const DATAGRAM_LEN_MAX: usize = 65_536;

/// Rest after a failed receive, so that an error that stays is no busy loop.
const REST: Duration = Duration::from_millis(20);

/// The session's UDP sockets; their threads end when this is dropped.
#[derive(Debug)]
pub(crate) struct Udp {
    sockets: Datagrams<Arc<UdpSocket>>,
    stopping: Arc<AtomicBool>,
}

impl Udp {
    pub(crate) fn start(sockets: Datagrams, clock: Clock, engine: &SyncSender<Message>, crew: &Crew) -> Self {
        let udp = Self { sockets: sockets.convert(|socket| Ok(Arc::new(socket))), stopping: Arc::default() };
        for socket in udp.sockets.sockets() {
            let (socket, stopping) = (Arc::clone(socket), Arc::clone(&udp.stopping));
            let engine = engine.clone();
            crew.spawn("pieceful-udp", move || receive(&socket, &stopping, clock, &engine));
        }
        udp
    }

    /// Sends if the system has room for it now.
    pub(crate) fn send(&self, to: SocketAddr, data: &Bytes) {
        for socket in self.sockets.towards(to) {
            let flags = rustix::net::SendFlags::DONTWAIT | rustix::net::SendFlags::NOSIGNAL;
            if let Err(error) = rustix::net::sendto(socket, data, flags, &to) {
                tracing::debug!(%error, %to, "datagram not sent");
            }
        }
    }
}

impl Drop for Udp {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Release);
        for socket in self.sockets.sockets() {
            // Says "not connected", and wakes the receive all the same.
            let _ = SockRef::from(&**socket).shutdown(Shutdown::Both);
        }
    }
}

fn receive(socket: &UdpSocket, stopping: &AtomicBool, clock: Clock, engine: &SyncSender<Message>) {
    let mut buffer = vec![0; DATAGRAM_LEN_MAX];
    while !stopping.load(Ordering::Acquire) {
        match receive_one(socket, &mut buffer) {
            Ok((len, from)) => {
                let data = Bytes::copy_from_slice(&buffer[..len]);
                if stopping.load(Ordering::Acquire)
                    || engine.send(Message::Datagram(clock.now(), Input::Datagram { from, data })).is_err()
                {
                    return;
                }
            }
            Err(_) if stopping.load(Ordering::Acquire) => return,
            Err(error) => {
                tracing::debug!(%error, "receive failed");
                thread::sleep(REST);
            }
        }
    }
}

/// Not [`UdpSocket::recv_from`]: a receive that a shutdown ended names nobody, over which that one panics once it
/// has named somebody before.
fn receive_one(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
    let (len, _, from) = rustix::net::recvfrom(socket, buffer, RecvFlags::empty())?;
    let from = from.ok_or(io::ErrorKind::NotConnected)?;
    Ok((len, SocketAddr::try_from(from)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn a_socket_that_has_received_something_can_be_shut_down() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let (engine, said) = mpsc::sync_channel(1);
        let stopping = AtomicBool::new(false);
        thread::scope(|threads| {
            let thread = threads.spawn(|| receive(&socket, &stopping, Clock::start(), &engine));
            let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
            sender.send_to(b"hello", socket.local_addr().unwrap()).unwrap();
            let Ok(Message::Datagram(_, Input::Datagram { from, data })) = said.recv() else {
                panic!("no datagram")
            };
            assert_eq!((from, &data[..]), (sender.local_addr().unwrap(), &b"hello"[..]));
            stopping.store(true, Ordering::Release);
            let _ = SockRef::from(&socket).shutdown(Shutdown::Both);
            thread.join().unwrap();
        });
    }
}
