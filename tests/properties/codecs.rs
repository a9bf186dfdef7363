//! What one side encodes the other decodes: the messages that no other property covers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use bytes::Bytes;
use pieceful_core::engine::{AddTorrent, Config, Engine, Input, Output};
use pieceful_core::rng::Seed;
use pieceful_core::time::Instant;
use pieceful_core::wire::extended::{ExtendedHandshake, ExtensionIds};
use pieceful_core::wire::metadata::MetadataMessage;
use pieceful_tests::Data;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

fn extended() -> impl Strategy<Value = ExtendedHandshake> {
    let ids = [(); 5].map(|()| option::of(any::<u8>()));
    let numbers = (option::of(1_u16..), option::of(1_u32..), option::of(1_u32..));
    let addresses =
        (option::of(any::<IpAddr>()), option::of(any::<Ipv4Addr>()), option::of(any::<Ipv6Addr>()));
    (ids, numbers, addresses, option::of("[a-zA-Z0-9./ ]{1,64}"), any::<bool>()).prop_map(
        |(ids, (port, request_queue, metadata_size), (your_ip, ipv4, ipv6), client, upload_only)| {
            let [ut_metadata, ut_pex, lt_donthave, ut_holepunch, told] = ids;
            let ids = ExtensionIds { ut_metadata, ut_pex, lt_donthave, ut_holepunch, upload_only: told };
            ExtendedHandshake {
                ids,
                client,
                port,
                request_queue,
                your_ip,
                ipv4,
                ipv6,
                metadata_size,
                upload_only,
            }
        },
    )
}

fn metadata() -> impl Strategy<Value = MetadataMessage> {
    let data = (any::<u32>(), any::<u32>(), vec(any::<u8>(), 0..200));
    prop_oneof![
        any::<u32>().prop_map(|piece| MetadataMessage::Request { piece }),
        any::<u32>().prop_map(|piece| MetadataMessage::Reject { piece }),
        data.prop_map(|(piece, total, data)| MetadataMessage::Data { piece, total, data: data.into() }),
    ]
}

/// How much an engine has to say.
fn said(engine: &mut Engine) -> usize {
    std::iter::from_fn(|| Some(engine.poll()).filter(|output| !matches!(output, Output::Idle { .. }))).count()
}

proptest! {
    #[test]
    fn an_extension_handshake_is_read_as_it_was_meant(handshake in extended()) {
        prop_assert_eq!(ExtendedHandshake::parse(&handshake.encode()), Ok(handshake));
    }

    #[test]
    fn a_message_about_metadata_is_read_as_it_was_meant(message in metadata()) {
        let mut payload = message.encode();
        if let MetadataMessage::Data { data, .. } = &message {
            payload.extend_from_slice(data);
        }
        prop_assert_eq!(MetadataMessage::parse(&payload.into()), Some(message));
    }

    #[test]
    fn a_datagram_that_nobody_waits_for_is_answered_with_nothing(
        datagrams in vec((any::<SocketAddr>(), vec(any::<u8>(), 0..100), option::of(0_u32..4)), 1..20),
    ) {
        let data = Data::with_trackers(1, &[("a", 1)], 16 << 10, &["udp://tracker.example:80"]);
        let now = Instant::from_micros(1);
        let mut engine = Engine::new(Config::default(), Seed([1; 32]), now);
        engine.add_torrent(now, AddTorrent::new(data.metainfo)).expect("there is room");
        prop_assert!(said(&mut engine) > 0);
        for (from, mut data, action) in datagrams {
            // Half of them look like a tracker's answer.
            if let Some(action) = action {
                data.splice(..data.len().min(4), action.to_be_bytes());
            }
            engine.handle(now, Input::Datagram { from, data: Bytes::from(data) });
            prop_assert_eq!(said(&mut engine), 0);
        }
    }
}
