//! Messages as BEP 5 writes them, and what is no message.

use alloc::vec;
use alloc::vec::Vec;

use super::*;

/// The ids that BEP 5 uses in its examples.
const ASKER: NodeId = NodeId(*b"abcdefghij0123456789");
const ASKED: NodeId = NodeId(*b"mnopqrstuvwxyz123456");

fn query_message(method: Method) -> Message {
    let query = Query { id: ASKER, read_only: false, want: None, method };
    Message { transaction: b"aa".to_vec(), version: None, ip: None, body: Body::Query(query) }
}

fn reply_message(reply: Reply) -> Message {
    Message { transaction: b"aa".to_vec(), version: None, ip: None, body: Body::Reply(reply) }
}

#[test]
fn the_examples_of_bep_5_are_read_and_written() {
    let token = b"aoeusnth".to_vec();
    let announce =
        Method::AnnouncePeer { info_hash: ASKED.0, port: Some(6881), token: token.clone(), seed: false };
    let values = vec!["97.120.106.101:11893".parse().unwrap(), "105.100.104.116:28269".parse().unwrap()];
    let found = Reply { values, token: Some(token), ..Reply::new(NodeId(*b"abcdefghij0123456789")) };
    let examples: [(&[u8], Message); 7] = [
        (b"d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe", query_message(Method::Ping)),
        (b"d1:rd2:id20:mnopqrstuvwxyz123456e1:t2:aa1:y1:re", reply_message(Reply::new(ASKED))),
        (
            b"d1:ad2:id20:abcdefghij01234567896:target20:mnopqrstuvwxyz123456e1:q9:find_node1:t2:aa1:y1:qe",
            query_message(Method::FindNode { target: ASKED }),
        ),
        (
            b"d1:ad2:id20:abcdefghij01234567899:info_hash20:mnopqrstuvwxyz123456e1:q9:get_peers1:t2:aa1:y1:qe",
            query_message(Method::GetPeers { info_hash: ASKED.0, noseed: false, scrape: false }),
        ),
        (
            b"d1:rd2:id20:abcdefghij01234567895:token8:aoeusnth6:valuesl6:axje.u6:idhtnmee1:t2:aa1:y1:re",
            reply_message(found),
        ),
        (
            b"d1:ad2:id20:abcdefghij01234567899:info_hash20:mnopqrstuvwxyz1234564:porti6881e5:token8:aoeusnthe1:q13:announce_peer1:t2:aa1:y1:qe",
            query_message(announce),
        ),
        (
            b"d1:eli201e5:errore1:t2:aa1:y1:ee",
            Message { transaction: b"aa".to_vec(), version: None, ip: None, body: Body::Error(Code::Generic) },
        ),
    ];
    for (bytes, message) in examples {
        assert_eq!(Message::decode(bytes).as_ref(), Ok(&message));
        assert_eq!(message.encode(), bytes, "{}", bytes.escape_ascii());
    }
}

#[test]
fn an_implied_port_counts_for_more_than_the_one_that_is_named() {
    let with = |arguments: &str| {
        let bytes = alloc::format!(
            "d1:ad2:id20:abcdefghij0123456789{arguments}5:token1:xe1:q13:announce_peer1:t2:aa1:y1:qe"
        );
        Message::decode(bytes.as_bytes()).ok()
    };
    let port = |message: Option<Message>| match message.map(|message| message.body) {
        Some(Body::Query(Query { method: Method::AnnouncePeer { port, .. }, .. })) => Some(port),
        _ => None,
    };
    let hash = "9:info_hash20:mnopqrstuvwxyz123456";
    assert_eq!(port(with(&alloc::format!("12:implied_porti1e{hash}4:porti80e"))), Some(None));
    assert_eq!(port(with(&alloc::format!("12:implied_porti0e{hash}4:porti80e"))), Some(Some(80)));
    assert_eq!(port(with(&alloc::format!("{hash}4:porti0e"))), None);
    assert_eq!(port(with(&alloc::format!("{hash}4:porti65536e"))), None);
    assert_eq!(port(with(hash)), None);
}

#[test]
fn whatever_a_message_may_have_comes_back() {
    let v4 = Contact { id: ASKER, address: "1.2.3.4:5".parse().unwrap() };
    let v6 = Contact { id: ASKED, address: "[2001:db8::5]:6".parse().unwrap() };
    let reply = Reply {
        nodes: Some(vec![v4; 8]),
        nodes6: Some(vec![v6; 8]),
        values: vec![v4.address, v6.address],
        token: Some(vec![1; TOKEN_LEN_MAX]),
        filters: Some(Box::new([Bloom([3; BLOOM_LEN]), Bloom([4; BLOOM_LEN])])),
        samples: Some(Samples { interval: 60, num: 2, hashes: vec![[5; 20], [6; 20]] }),
        ..Reply::new(ASKED)
    };
    let mut message = reply_message(reply);
    message.version = Some(*b"PF01");
    message.ip = Some(v6.address);
    assert_eq!(Message::decode(&message.encode()), Ok(message));

    let mut message = query_message(Method::SampleInfohashes { target: ASKED });
    let Body::Query(query) = &mut message.body else { panic!("a query") };
    (query.read_only, query.want) = (true, Some(Want { v4: true, v6: true }));
    assert_eq!(Message::decode(&message.encode()), Ok(message));
}

#[test]
fn what_nobody_can_answer_is_no_message() {
    let fails = |bytes: &[u8]| Message::decode(bytes).unwrap_err();
    assert_eq!(fails(b"d1:y1:qe"), MessageError::Transaction);
    assert_eq!(fails(b"d1:t0:1:y1:qe"), MessageError::Transaction);
    let long = [b"d1:t33:".as_slice(), &[b'a'; 33], b"1:y1:qe"].concat();
    assert_eq!(fails(&long), MessageError::Transaction);
    assert_eq!(fails(b"d1:t2:aa1:y1:xe"), MessageError::Kind);
    assert_eq!(fails(&vec![b'l'; 2_049]), MessageError::Length { len: 2_049 });
    let deep: Vec<u8> = [b"l".repeat(11), b"e".repeat(11)].concat();
    assert!(matches!(fails(&deep), MessageError::Bencode(_)));
}

#[test]
fn a_query_that_lacks_something_can_be_refused_by_its_transaction() {
    let id = "2:id20:abcdefghij0123456789";
    for bytes in [
        String::from("d1:q4:ping1:t2:aa1:y1:qe"),
        String::from("d1:ad2:id19:abcdefghij012345678e1:q4:ping1:t2:aa1:y1:qe"),
        alloc::format!("d1:ad{id}e1:q9:find_node1:t2:aa1:y1:qe"),
        alloc::format!("d1:ad{id}9:info_hash4:abcde1:q9:get_peers1:t2:aa1:y1:qe"),
    ] {
        let refused = MessageError::Query { transaction: b"aa".to_vec() };
        assert_eq!(Message::decode(bytes.as_bytes()), Err(refused), "{bytes}");
    }
}

#[test]
fn a_reply_whose_parts_have_the_wrong_length_is_none() {
    for part in ["5:nodes25:aaaaaaaaaaaaaaaaaaaaaaaaa", "6:valuesl5:aaaaae", "7:samples3:abc", "5:tokeni1e"] {
        let (before, after) = if part < "2:id" { (part, "") } else { ("", part) };
        let bytes = alloc::format!("d1:rd{before}2:id20:mnopqrstuvwxyz123456{after}e1:t2:aa1:y1:re");
        assert_eq!(Message::decode(bytes.as_bytes()), Err(MessageError::Reply), "{part}");
    }
}

use alloc::string::String;
