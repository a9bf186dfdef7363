//! A tape comes from somebody else's machine: whatever is on it is played or refused, and nothing breaks.

use pieceful_std::tape::Tape;

/// The line every tape begins with; nobody finds it by chance.
const NAME: &[u8] = b"pieceful tape 1\n";

/// Runs the target on `data`.
pub fn run(data: &[u8]) {
    let bytes = [NAME, data].concat();
    let Ok(mut tape) = Tape::read(&bytes[..]) else { return };
    let _ = tape.play(|_, _| {}); // that another engine said something else is not worth a word
}
