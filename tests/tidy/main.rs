//! Rules about the source that a compiler does not check.

mod docs;
mod files;
mod fuzz_targets;
mod layers;
mod licences;
mod source;
