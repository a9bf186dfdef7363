//! Claims that hold for every input, each against a naive model or an inverse.

mod bencode;
mod engine;
mod layout;
mod metainfo;
mod picker;
mod tracker;
mod wire;
