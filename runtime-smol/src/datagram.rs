//! A task for each UDP socket that takes datagrams in and notes when they came.

use std::cell::RefCell;
use std::net::{SocketAddr, UdpSocket};
use std::rc::Rc;
use std::time::Duration;

use async_io::{Async, Timer};
use bytes::Bytes;
use futures_lite::future::yield_now;
use pieceful_core::engine::Input;
use pieceful_std::bind::Datagrams;
use pieceful_std::clock::Clock;
use rustix::net::{SendFlags, sendto};

use crate::inbox::{Inbox, Item};

/// Longest payload a datagram can have.
const DATAGRAM_LEN_MAX: usize = 65_536;

/// Datagrams taken from one socket before others get their turn.
const BURST_MAX: usize = 32;

/// Rest after a failed receive, so that an error that stays is no busy loop.
const REST: Duration = Duration::from_millis(20);

/// The session's UDP sockets.
pub(crate) type Udp = Datagrams<Rc<Async<UdpSocket>>>;

/// Where a datagram is received before it is cut to its length; one for all sockets.
pub(crate) type Scratch = Rc<RefCell<Vec<u8>>>;

pub(crate) fn scratch() -> Scratch {
    Rc::new(RefCell::new(vec![0; DATAGRAM_LEN_MAX]))
}

/// Sends if the system has room for it now.
pub(crate) fn send_now(sockets: &Udp, to: SocketAddr, data: &Bytes) {
    for socket in sockets.towards(to) {
        if let Err(error) = sendto(socket.get_ref(), data, SendFlags::NOSIGNAL, &to) {
            tracing::debug!(%error, %to, "datagram not sent");
        }
    }
}

pub(crate) async fn receive(socket: Rc<Async<UdpSocket>>, scratch: Scratch, clock: Clock, inbox: Rc<Inbox>) {
    loop {
        let mut failed = socket.readable().await.err();
        for _ in 0..BURST_MAX {
            let received = socket.get_ref().recv_from(&mut scratch.borrow_mut());
            match received {
                Ok((len, from)) => {
                    let data = Bytes::copy_from_slice(&scratch.borrow()[..len]);
                    inbox.push(Item::Datagram(clock.now(), Input::Datagram { from, data }));
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
        }
        if let Some(error) = failed {
            tracing::debug!(%error, "receive failed");
            Timer::after(REST).await;
        }
        inbox.room().await;
        yield_now().await;
    }
}
