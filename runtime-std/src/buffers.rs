//! Which memory a socket reads into: large buffers that come back once their last slice is dropped.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

/// Bytes in a buffer: sixteen blocks a read, so that one system call, one lock and one allocation serve them all.
pub const BUFFER_LEN: usize = 256 * 1024;

/// Free buffers kept for the next read; more are given back to the system. 8 MiB at [`BUFFER_LEN`], most of what
/// a download at full speed has under way.
pub const FREE_MAX: usize = 32;

/// A read that fills less than this part of its buffer is copied out of it, so that a `have` of 9 bytes does not
/// hold on to 256 KiB.
const COPY_BELOW: usize = 8;

/// Buffers of one size, lent out and taken back. Cloning gives another handle to the same ones.
///
/// ```
/// use pieceful_std::buffers::Pool;
///
/// let pool = Pool::default();
/// let mut lease = pool.take();
/// lease[..100_000].fill(7); // in earnest: a read from a socket
/// let (bytes, lease) = lease.freeze(100_000);
/// assert_eq!(bytes.len(), 100_000);
/// assert!(lease.is_none(), "the bytes are the buffer now");
/// let block = bytes.slice(13..16_397);
/// drop(bytes);
/// assert_eq!(pool.free(), 0);
/// drop(block);
/// assert_eq!(pool.free(), 1, "the last slice gave it back");
/// ```
#[derive(Clone)]
pub struct Pool {
    shared: Arc<Shared>,
}

struct Shared {
    /// Last in, first out: the buffer used last is the one most likely to be in a cache.
    free: Mutex<Vec<Vec<u8>>>,
    buffer_len: usize,
    free_max: usize,
}

impl Pool {
    /// Buffers of `buffer_len` bytes, of which at most `free_max` are kept while nobody uses them.
    #[must_use]
    pub fn new(buffer_len: usize, free_max: usize) -> Self {
        Self { shared: Arc::new(Shared { free: Mutex::default(), buffer_len, free_max }) }
    }

    /// A buffer to read into.
    #[must_use]
    pub fn take(&self) -> Lease {
        let free = self.shared.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let buffer = free.unwrap_or_else(|| vec![0; self.shared.buffer_len]);
        Lease { buffer, pool: self.clone() }
    }

    /// How many buffers wait for use.
    #[must_use]
    pub fn free(&self) -> usize {
        self.shared.free.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Gives the waiting buffers back to the system: for when transfers have ended.
    pub fn trim(&self) {
        let free = std::mem::take(&mut *self.shared.free.lock().unwrap_or_else(PoisonError::into_inner));
        drop(free);
    }

    fn give_back(&self, buffer: Vec<u8>) {
        if buffer.len() != self.shared.buffer_len {
            return;
        }
        let mut free = self.shared.free.lock().unwrap_or_else(PoisonError::into_inner);
        if free.len() < self.shared.free_max {
            free.push(buffer);
        }
    }
}

impl Default for Pool {
    fn default() -> Self {
        Self::new(BUFFER_LEN, FREE_MAX)
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pool({} free of {} bytes)", self.free(), self.shared.buffer_len)
    }
}

/// A buffer to read into; dropping it gives it back. Its bytes are initialised, with what they held before.
pub struct Lease {
    buffer: Vec<u8>,
    pool: Pool,
}

impl Lease {
    /// The first `filled` bytes as something to keep and slice.
    ///
    /// The buffer goes along with them and returns to the pool when the last slice is dropped, on whatever
    /// thread. When they are few they are copied instead, and the lease comes back for the next read.
    #[must_use]
    pub fn freeze(self, filled: usize) -> (Bytes, Option<Self>) {
        let filled = filled.min(self.len());
        if filled < self.len() / COPY_BELOW {
            return (Bytes::copy_from_slice(&self[..filled]), Some(self));
        }
        (Bytes::from_owner(Filled { lease: self, filled }), None)
    }
}

impl Deref for Lease {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.buffer
    }
}

impl DerefMut for Lease {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.buffer
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.pool.give_back(std::mem::take(&mut self.buffer));
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lease({} bytes)", self.len())
    }
}

struct Filled {
    lease: Lease,
    filled: usize,
}

impl AsRef<[u8]> for Filled {
    fn as_ref(&self) -> &[u8] {
        &self.lease[..self.filled]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_read_is_copied_and_the_buffer_stays_with_the_reader() {
        let pool = Pool::new(800, 4);
        let mut lease = pool.take();
        lease[..5].copy_from_slice(b"hello");
        let (bytes, lease) = lease.freeze(5);
        assert_eq!(bytes, &b"hello"[..]);
        assert!(lease.is_some());
        drop(lease);
        assert_eq!(pool.free(), 1, "although the bytes are still held");
        assert_eq!(bytes, &b"hello"[..]);
    }

    #[test]
    fn the_last_slice_gives_the_buffer_back_from_another_thread() {
        let pool = Pool::new(64, 4);
        let (bytes, _) = pool.take().freeze(64);
        let slices: Vec<Bytes> = (0..4).map(|at| bytes.slice(at * 16..at * 16 + 16)).collect();
        drop(bytes);
        for slice in slices {
            assert_eq!(pool.free(), 0);
            std::thread::spawn(move || drop(slice)).join().unwrap();
        }
        assert_eq!(pool.free(), 1);
    }

    #[test]
    fn only_so_many_free_buffers_are_kept() {
        let pool = Pool::new(64, 2);
        let leases: Vec<Lease> = (0..5).map(|_| pool.take()).collect();
        drop(leases);
        assert_eq!(pool.free(), 2);
        pool.trim();
        assert_eq!(pool.free(), 0);
    }
}
