//! The fetcher against servers that are slow, endless, evasive or wrong.

#![allow(clippy::unwrap_used)] // in a test's helpers too

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use pieceful_core::engine::{FetchError, FetchRequest, NamedBy, Response};
use pieceful_core::scope::Scope;
use pieceful_std::fetcher::{fetch, fetch_within};

const LIMIT: u32 = 1 << 20;

/// A server whose answer to each connection is what `answer` writes, given the request's head.
fn server(answer: impl Fn(&str, &mut TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
                head.push(byte[0]);
            }
            answer(&String::from_utf8_lossy(&head), &mut stream);
        }
    });
    address
}

/// Writes what the other side may not want to read to its end.
fn offer(stream: &mut TcpStream, bytes: impl AsRef<[u8]>) -> bool {
    stream.write_all(bytes.as_ref()).is_ok()
}

fn ask(url: String, named_by: NamedBy) -> Result<Response, FetchError> {
    fetch_within(&FetchRequest { url, limit: LIMIT, named_by }, Duration::from_secs(10))
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut child = Command::new("gzip").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let data = data.to_vec();
    let feed = thread::spawn(move || stdin.write_all(&data));
    let packed = child.wait_with_output().unwrap().stdout;
    feed.join().unwrap().unwrap();
    packed
}

#[test]
fn an_answer_comes_whole_and_at_once_with_the_address_it_came_from() {
    let at = server(|head, stream| {
        assert!(head.starts_with("GET /announce?info_hash=%00%ff&left=1 HTTP/1.1\r\n"), "{head}");
        assert!(head.to_ascii_lowercase().contains("user-agent: pieceful/0.1.0\r\n"), "{head}");
        offer(stream, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    });
    let url = format!("http://{at}/announce?info_hash=%00%ff&left=1");
    let request = FetchRequest { url, limit: LIMIT, named_by: NamedBy::User };
    let fastest = (0..10)
        .map(|_| {
            let start = Instant::now();
            let answer = fetch(&request).unwrap();
            assert_eq!((answer.status, &answer.body[..], answer.from), (200, &b"hello"[..], at.ip()));
            start.elapsed()
        })
        .min();
    assert!(fastest < Some(Duration::from_millis(20)), "{fastest:?}");
}

#[test]
fn chunked_and_compressed_bodies_are_unpacked_and_statuses_passed_on() {
    let packed = gzip(b"d8:intervali1800ee");
    let at = server(move |head, stream| {
        if head.contains("/chunks") {
            offer(
                stream,
                "HTTP/1.1 404 No\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nd8:\r\n2\r\nxy\r\n0\r\n\r\n",
            );
        } else {
            offer(stream, "HTTP/1.0 200 OK\r\nContent-Encoding: gzip\r\n\r\n");
            offer(stream, &packed);
        }
    });
    let answer = ask(format!("http://{at}/chunks"), NamedBy::User).unwrap();
    assert_eq!((answer.status, &answer.body[..]), (404, &b"d8:xy"[..]));
    let answer = ask(format!("http://{at}/packed"), NamedBy::User).unwrap();
    assert_eq!(&answer.body[..], b"d8:intervali1800ee");
}

#[test]
fn a_body_may_be_exactly_as_long_as_the_limit() {
    let at = server(|head, stream| {
        let len = if head.contains("/more") { LIMIT + 1 } else { LIMIT };
        offer(stream, format!("HTTP/1.1 200 OK\r\nContent-Length: {len}\r\n\r\n"));
        offer(stream, vec![b'x'; len as usize]);
    });
    let url = |path| format!("http://{at}/{path}");
    assert_eq!(ask(url("just"), NamedBy::User).unwrap().body.len() as u32, LIMIT);
    assert_eq!(ask(url("more"), NamedBy::User), Err(FetchError::TooLong { limit: LIMIT }));
}

#[test]
fn bodies_without_end_are_cut_off_packed_or_not() {
    let bomb = gzip(&vec![0; 64 << 20]);
    assert!(bomb.len() < LIMIT as usize, "the bomb is small on the wire");
    let empty = gzip(b""); // over and over: endless on the wire, nothing when unpacked
    let at = server(move |head, stream| {
        if head.contains("/plain") {
            offer(stream, "HTTP/1.1 200 OK\r\n\r\n");
            while offer(stream, [b'x'; 65536]) {}
        } else if head.contains("/chunks") {
            offer(stream, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            while offer(stream, format!("4000\r\n{:x>16384}\r\n", "")) {}
        } else if head.contains("/bomb") {
            offer(stream, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n");
            offer(stream, &bomb);
        } else {
            offer(stream, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n");
            while offer(stream, empty.repeat(1000)) {}
        }
    });
    for path in ["plain", "chunks", "bomb", "empty"] {
        let answer = ask(format!("http://{at}/{path}"), NamedBy::User);
        assert_eq!(answer, Err(FetchError::TooLong { limit: LIMIT }), "{path}");
    }
}

#[test]
fn redirects_are_followed_five_times_and_no_more() {
    let at = server(|head, stream| {
        let step: u32 = head.split(['/', ' ']).nth(2).and_then(|step| step.parse().ok()).unwrap_or(0);
        let place = if head.contains("/0 ") { String::new() } else { format!("Location: {}\r\n", step - 1) };
        offer(stream, format!("HTTP/1.1 302 Found\r\n{place}Content-Length: 0\r\n\r\n"));
    });
    assert_eq!(ask(format!("http://{at}/5"), NamedBy::User).unwrap().status, 302, "the last leads nowhere");
    assert_eq!(ask(format!("http://{at}/6"), NamedBy::User), Err(FetchError::Redirects));
}

#[test]
fn a_stranger_is_not_taken_to_this_machine_in_any_disguise() {
    let at = server(|_, stream| {
        offer(stream, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    });
    let port = at.port();
    for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0x7f.1", "2130706433", "0177.0.0.1"] {
        let url = format!("http://{host}:{port}/announce");
        let answer = ask(url, NamedBy::Host(Scope::Global));
        assert!(matches!(answer, Err(FetchError::Scope(_))), "{host}: {answer:?}");
    }
    let torrent = |path| ask(format!("http://127.0.0.1:{port}/{path}"), NamedBy::Torrent);
    assert!(torrent("announce").is_ok());
    assert!(matches!(torrent("admin"), Err(FetchError::Scope(_))));
}

#[test]
fn a_redirect_is_judged_by_where_it_came_from_and_where_it_leads() {
    let at = server(|_, stream| {
        offer(
            stream,
            "HTTP/1.1 301 Moved\r\nLocation: http://0.0.0.0:1/announce\r\nContent-Length: 0\r\n\r\n",
        );
    });
    let answer = ask(format!("http://{at}/"), NamedBy::User);
    assert_eq!(answer, Err(FetchError::Scope(Ipv4Addr::UNSPECIFIED.into())), "reaches nothing");

    let at = server(|_, stream| {
        offer(stream, "HTTP/1.1 307 See\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n");
    });
    assert_eq!(ask(format!("http://{at}/"), NamedBy::User), Err(FetchError::Url));
}

#[test]
fn a_body_that_dribbles_in_ends_with_the_time() {
    let at = server(|_, stream| {
        offer(stream, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
        while offer(stream, "x") {
            thread::sleep(Duration::from_millis(20));
        }
    });
    let request = FetchRequest { url: format!("http://{at}/"), limit: LIMIT, named_by: NamedBy::User };
    let start = Instant::now();
    assert_eq!(fetch_within(&request, Duration::from_millis(300)), Err(FetchError::TimedOut));
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
}

#[test]
fn what_is_not_an_answer_is_said_to_be_none() {
    let at = server(|head, stream| {
        let answer = if head.contains("/short") {
            "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello"
        } else if head.contains("/chunk") {
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nx"
        } else if head.contains("/gzip") {
            "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello"
        } else {
            "SSH-2.0-OpenSSH_9.9\r\n\r\n"
        };
        offer(stream, answer);
    });
    for path in ["short", "chunk", "gzip", "ssh"] {
        let answer = ask(format!("http://{at}/{path}"), NamedBy::User);
        assert!(matches!(answer, Err(FetchError::Protocol(_))), "{path}: {answer:?}");
    }
    for url in ["ftp://127.0.0.1/x", "http://", "announce", "udp://127.0.0.1:1"] {
        assert_eq!(ask(url.into(), NamedBy::User), Err(FetchError::Url), "{url}");
    }
}

#[test]
fn nobody_at_the_address_is_a_failure_to_connect() {
    let at = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    assert!(matches!(ask(format!("http://{at}/announce"), NamedBy::User), Err(FetchError::Connect(_))));
}
