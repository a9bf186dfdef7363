//! The DHT: what is written is what is read, and a stranger gets little for what it sends and third parties nothing.

use std::net::SocketAddr;
use std::time::Duration;

use pieceful_core::cx::Cx;
use pieceful_core::dht::{
    AMPLIFICATION_MAX, Action, BLOOM_LEN, Bloom, Body, Code, Config, Contact, Dht, Message, Method, NodeId,
    Query, Reply, Samples, Want,
};
use pieceful_core::rng::{Rng, Seed};
use pieceful_core::time::Instant;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

fn node_id() -> impl Strategy<Value = NodeId> {
    any::<[u8; 20]>().prop_map(NodeId)
}

fn v4() -> impl Strategy<Value = SocketAddr> {
    (any::<[u8; 4]>(), any::<u16>()).prop_map(SocketAddr::from)
}

fn v6() -> impl Strategy<Value = SocketAddr> {
    (any::<[u8; 16]>(), any::<u16>()).prop_map(SocketAddr::from)
}

fn nodes(address: impl Strategy<Value = SocketAddr>) -> impl Strategy<Value = Option<Vec<Contact>>> {
    let contact = (node_id(), address).prop_map(|(id, address)| Contact { id, address });
    option::of(vec(contact, 0..=8))
}

fn method() -> impl Strategy<Value = Method> {
    prop_oneof![
        Just(Method::Ping),
        Just(Method::Unknown),
        node_id().prop_map(|target| Method::FindNode { target }),
        node_id().prop_map(|target| Method::SampleInfohashes { target }),
        (any::<[u8; 20]>(), any::<bool>(), any::<bool>())
            .prop_map(|(info_hash, noseed, scrape)| Method::GetPeers { info_hash, noseed, scrape }),
        (any::<[u8; 20]>(), option::of(1..=u16::MAX), vec(any::<u8>(), 0..=64), any::<bool>())
            .prop_map(|(info_hash, port, token, seed)| Method::AnnouncePeer { info_hash, port, token, seed }),
    ]
}

fn query() -> impl Strategy<Value = Query> {
    let want = option::of((any::<bool>(), any::<bool>()).prop_map(|(v4, v6)| Want { v4, v6 }));
    (node_id(), any::<bool>(), want, method()).prop_map(|(id, read_only, want, method)| Query {
        id,
        read_only,
        want,
        method,
    })
}

fn reply() -> impl Strategy<Value = Reply> {
    let bloom = || any::<u8>().prop_map(|byte| Bloom([byte; BLOOM_LEN]));
    let samples = (0..=21_600_u16, any::<u32>(), vec(any::<[u8; 20]>(), 0..20))
        .prop_map(|(interval, num, hashes)| Samples { interval, num, hashes });
    let values = vec(prop_oneof![v4(), v6()], 0..20);
    let token = option::of(vec(any::<u8>(), 0..=64));
    let filters = option::of((bloom(), bloom()).prop_map(|(seeds, peers)| Box::new([seeds, peers])));
    (node_id(), nodes(v4()), nodes(v6()), values, token, filters, option::of(samples)).prop_map(
        |(id, nodes, nodes6, values, token, filters, samples)| Reply {
            id,
            nodes,
            nodes6,
            values,
            token,
            filters,
            samples,
        },
    )
}

fn message() -> impl Strategy<Value = Message> {
    let code = prop_oneof![Just(Code::Generic), Just(Code::Server), Just(Code::Protocol), Just(Code::Method)];
    let body = prop_oneof![
        query().prop_map(Body::Query),
        reply().prop_map(Body::Reply),
        code.prop_map(Body::Error),
    ];
    let ip = option::of(prop_oneof![v4(), v6()]);
    (vec(any::<u8>(), 1..=32), option::of(any::<[u8; 4]>()), ip, body).prop_map(
        |(transaction, version, ip, body)| {
            let ip = ip.filter(|_| !matches!(body, Body::Query(_)));
            Message { transaction, version, ip, body }
        },
    )
}

/// Somebody who asks, as often from the same few addresses as from anywhere.
fn stranger() -> impl Strategy<Value = SocketAddr> {
    prop_oneof![v4(), v6(), (0..4_u8).prop_map(|last| SocketAddr::from(([9, 9, last, 9], 6881)))]
}

proptest! {
    #[test]
    fn a_dht_message_comes_back_as_it_was(message in message()) {
        prop_assert_eq!(Message::decode(&message.encode()), Ok(message));
    }

    #[test]
    fn whatever_strangers_send_they_get_five_times_as_much_at_most_and_third_parties_nothing(
        questions in vec((stranger(), message(), 0..30_u64), 1..40),
        seed: [u8; 32],
    ) {
        let mut rng = Rng::new(Seed(seed));
        let mut now = Instant::from_micros(1_000_000_000);
        let mut dht = Dht::new(Config::default(), now, &mut rng);
        for (from, message, wait) in questions {
            let data = message.encode();
            let mut out = Vec::new();
            dht.receive(from, &data, &mut Cx { now, rng: &mut rng, out: &mut out });
            let mut bytes = 0;
            for action in out {
                let Action::Send { to, data } = action else { panic!("a stranger has found something for us") };
                prop_assert_eq!(to, SocketAddr::new(from.ip().to_canonical(), from.port()));
                bytes += data.len();
            }
            prop_assert!(bytes <= AMPLIFICATION_MAX * data.len(), "{} for {}", bytes, data.len());
            // Nor does time bring more: nobody it knows has ever answered it.
            now += Duration::from_secs(wait);
            let mut out = Vec::new();
            dht.tick(&mut Cx { now, rng: &mut rng, out: &mut out });
            prop_assert!(out.is_empty(), "{:?}", out);
        }
    }
}
