//! What a layer may do besides compute: read the time, draw a number, push an output.

use alloc::vec::Vec;

use crate::rng::Rng;
use crate::time::Instant;

/// The three effects, in one parameter.
///
/// A function that takes a `Cx` may have any of them; one that does not is a function of its arguments alone.
/// `T` is the layer's own action type, so a layer can be driven without the engine:
///
/// ```
/// use pieceful_core::cx::Cx;
/// use pieceful_core::rng::{Rng, Seed};
/// use pieceful_core::time::Instant;
///
/// let mut rng = Rng::new(Seed([7; 32]));
/// let mut out: Vec<&str> = Vec::new();
/// let cx = Cx { now: Instant::ZERO, rng: &mut rng, out: &mut out };
/// cx.out.push("hello");
/// assert_eq!(out, ["hello"]);
/// ```
#[derive(Debug)]
pub struct Cx<'a, T> {
    /// The time of the call.
    pub now: Instant,
    /// The caller's source of randomness.
    pub rng: &'a mut Rng,
    /// Where actions go, in the order they are to happen.
    pub out: &'a mut Vec<T>,
}
