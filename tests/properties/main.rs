//! Claims that hold for every input, each against a naive model or an inverse.

mod bencode;
mod codecs;
mod dht;
mod engine;
mod layout;
mod limits;
mod metainfo;
mod operations;
mod picker;
mod restart;
mod tracker;
mod wire;
