//! The contract of a driver, seen from the engine's side: every name in use once, everything answered once, and
//! nothing on a connection before it stands or after it was closed.

use pieceful_core::engine::{CloseHow, Segment};

use super::ensure;

/// One connection as a stream of bytes.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) connecting: bool,
    /// Handed over and not yet taken.
    pub(super) unsent: u64,
    closing: Option<CloseHow>,
    reading: bool,
}

impl Stream {
    pub(super) const fn new(connecting: bool) -> Self {
        Self { connecting, unsent: 0, closing: None, reading: true }
    }

    pub(super) const fn is_closing(&self) -> bool {
        self.closing.is_some()
    }

    pub(super) fn send(&mut self, segment: &Segment) -> Result<(), String> {
        ensure(!segment.is_empty(), || "an empty segment".to_owned())?;
        ensure(self.closing.is_none(), || "a Send after the Close".to_owned())?;
        ensure(!self.connecting, || "a Send before it is connected".to_owned())?;
        self.unsent += u64::from(segment.len());
        Ok(())
    }

    pub(super) fn read(&mut self, on: bool) -> Result<(), String> {
        ensure(self.closing.is_none(), || "a Reading after the Close".to_owned())?;
        ensure(self.reading != on, || format!("reading is {on} already"))?;
        self.reading = on;
        Ok(())
    }

    pub(super) fn close(&mut self, how: CloseHow) -> Result<(), String> {
        let again = self.closing == Some(CloseHow::AfterSend) && how == CloseHow::Now;
        ensure(self.closing.is_none() || again, || "a second Close".to_owned())?;
        self.closing = Some(how);
        Ok(())
    }

    pub(super) fn sent(&mut self, bytes: u32) {
        self.unsent = self.unsent.checked_sub(u64::from(bytes)).expect("no more Sent than Send");
    }
}
