//! Whatever its user and its peers do, in any order, an engine does nothing that it must not: the checkers of the
//! simulator look at every step.

use std::net::SocketAddr;
use std::time::Duration;

use pieceful_core::engine::{Call, Event, Priority, RateLimits, SeedingLimits, Selection, UploadSlots};
use pieceful_tests::odd::{Calls, Odd};
use pieceful_tests::{Data, World};
use proptest::collection::vec;
use proptest::prelude::*;

/// Something that is done to Bob, who downloads from Alice.
#[derive(Clone, Debug)]
enum Operation {
    Wait { millis: u64 },
    Pause,
    Resume,
    AddPeer { host: u8 },
    Limits { down: Option<u64>, up: Option<u64>, own: bool },
    Connections { most: Option<u32> },
    Slots { most: u32 },
    SeedingLimits { ratio_permille: Option<u32>, secs: Option<u64> },
    Want { files: Vec<Priority> },
    Restart,
    Crowd { odd: usize },
    Timeout { times: u8 },
}

const PRIORITIES: [Priority; 4] = [Priority::Skip, Priority::Low, Priority::Normal, Priority::High];

/// Pieces are shared by two, three and four files.
const FILES: [(&str, u64); 6] =
    [("f/a", 90_000), ("f/b", 0), ("f/c", 3_000), ("f/d", 100), ("f/e", 150_000), ("f/f", 56_900)];

fn operation() -> impl Strategy<Value = Operation> {
    let rate = || prop::option::of(prop_oneof![Just(0_u64), 1_u64..2_000, 2_000_u64..5_000_000]);
    prop_oneof![
        8 => (0_u64..1_500).prop_map(|millis| Operation::Wait { millis }),
        2 => Just(Operation::Pause),
        3 => Just(Operation::Resume),
        1 => any::<u8>().prop_map(|host| Operation::AddPeer { host }),
        2 => (rate(), rate(), any::<bool>()).prop_map(|(down, up, own)| Operation::Limits { down, up, own }),
        1 => prop::option::of(0_u32..5).prop_map(|most| Operation::Connections { most }),
        1 => (0_u32..5).prop_map(|most| Operation::Slots { most }),
        1 => (prop::option::of(0_u32..3_000), prop::option::of(0_u64..100))
            .prop_map(|(ratio_permille, secs)| Operation::SeedingLimits { ratio_permille, secs }),
        2 => vec(prop::sample::select(PRIORITIES.to_vec()), FILES.len()).prop_map(|files| Operation::Want { files }),
        1 => Just(Operation::Restart),
        2 => (0_usize..100).prop_map(|odd| Operation::Crowd { odd }),
        2 => (1_u8..5).prop_map(|times| Operation::Timeout { times }),
    ]
}

fn run(seed: u64, operations: &[Operation]) {
    let data = Data::random(seed, &FILES, 32 << 10);
    let mut world = World::new(seed).data(data).keep_trace(60).seed("alice");
    world = world.leecher("bob").with(|spec| spec.config.direct_blocks = seed.is_multiple_of(2));
    world = world.partial("carol", 0..5);
    world.run_for(Duration::from_millis(1));
    for (number, operation) in operations.iter().enumerate() {
        match operation {
            Operation::Wait { millis } => world.run_for(Duration::from_millis(*millis)),
            _ if !world.is_up("bob") => {}
            Operation::Pause => world.pause("bob"),
            Operation::Resume => world.resume("bob"),
            Operation::AddPeer { host } => {
                let address = SocketAddr::from(([11, 0, *host, 1], 6881));
                world.command("bob", |torrent| Call::AddPeer(torrent, address));
            }
            Operation::Limits { down, up, own } => {
                let rates = RateLimits { download: *down, upload: *up };
                let call = |torrent| {
                    if *own { Call::SetTorrentLimits(torrent, rates) } else { Call::SetLimits(rates) }
                };
                world.command("bob", call);
            }
            Operation::Connections { most } => {
                world.command("bob", |torrent| Call::SetTorrentConnections(torrent, *most));
            }
            Operation::Slots { most } => {
                world.call("bob", Call::SetUploadSlots(UploadSlots::Fixed(*most)));
            }
            Operation::SeedingLimits { ratio_permille, secs } => {
                let (ratio_permille, time) = (*ratio_permille, secs.map(Duration::from_secs));
                let limits = SeedingLimits { ratio_permille, time };
                world.command("bob", |torrent| Call::SetSeedingLimits(torrent, limits));
            }
            Operation::Want { files } => {
                let mut wants = Selection::all();
                (0..).zip(files).for_each(|(file, priority)| wants.set(file..=file, *priority));
                world.command("bob", |torrent| Call::SetFiles(torrent, wants.clone()));
            }
            Operation::Restart => {
                world.restart("bob");
                world.run_for(Duration::from_millis(1));
            }
            Operation::Crowd { odd } => {
                let all = Odd::all();
                let (_, odd) = all[odd % all.len()].clone();
                world.add_caller(&format!("caller {number}"), odd, "bob", Calls::default());
            }
            Operation::Timeout { times } => {
                for _ in 0..*times {
                    world.call("bob", Call::Timeout);
                }
            }
        }
    }
    if world.is_up("bob") {
        world.shutdown("bob");
        world.run_until(|w| w.saw("bob", |event| *event == Event::Stopped), Duration::from_secs(20));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    #[test]
    fn any_operations_in_any_order_leave_the_checkers_content(
        seed in 0_u64..1_000,
        operations in vec(operation(), 0..25),
    ) {
        run(seed, &operations);
    }
}
