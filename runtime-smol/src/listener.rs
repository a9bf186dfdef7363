//! A task that accepts connections, and rests while the system has none to give.

use std::net::TcpListener;
use std::rc::Rc;
use std::time::Duration;

use async_io::{Async, Timer};
use futures_lite::future::yield_now;
use pieceful_std::bind::is_exhaustion;

use crate::inbox::{Inbox, Item};

/// Rest after the system ran out of descriptors: connections wait in its queue meanwhile.
const REST: Duration = Duration::from_millis(200);

pub(crate) async fn accept(socket: Async<TcpListener>, inbox: Rc<Inbox>) {
    loop {
        match socket.accept().await {
            Ok((stream, from)) => {
                let Ok(stream) = stream.into_inner() else { continue };
                let _ = stream.set_nodelay(true); // gone already: the reader will notice
                inbox.room().await;
                inbox.push(Item::Accepted(stream, from));
                yield_now().await;
            }
            Err(error) => {
                if is_exhaustion(&error) {
                    tracing::warn!(%error, "cannot accept for now");
                    Timer::after(REST).await;
                } else {
                    // About one connection that did not last until we took it.
                    tracing::debug!(%error, "accept failed");
                    yield_now().await;
                }
            }
        }
    }
}
