//! What a swarm does, seen from outside, in virtual time.

mod adversaries;
mod chance;
mod checking;
mod clocks;
mod commands;
mod crashes;
mod dht;
mod download;
mod endgame;
mod fairness;
mod faults;
mod guide;
mod interest;
mod limits;
mod lsd;
mod many;
mod nat;
mod nth;
mod odd_peers;
mod partitions;
mod pex;
mod rates;
mod regressions;
mod seeding;
mod services;
mod trackers;
