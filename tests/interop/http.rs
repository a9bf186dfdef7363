//! As much HTTP as tests need: one request, one answer, one connection.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::{Failure, Result};

const PATIENCE: Duration = Duration::from_secs(10);

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

pub(crate) fn get(to: SocketAddr, target: &str) -> Result<Answer> {
    exchange(to, &format!("GET {target} HTTP/1.0\r\nHost: {to}\r\n\r\n"))
}

pub(crate) fn post(to: SocketAddr, target: &str, headers: &[(&str, &str)], body: &str) -> Result<Answer> {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = body.len();
    exchange(
        to,
        &format!("POST {target} HTTP/1.0\r\nHost: {to}\r\nContent-Length: {length}\r\n{headers}\r\n{body}"),
    )
}

fn exchange(to: SocketAddr, request: &str) -> Result<Answer> {
    let mut stream = TcpStream::connect_timeout(&to, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(request.as_bytes())?;
    let mut reader = BufReader::new(stream);
    let first = line(&mut reader)?;
    let status = first.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| Failure::new(format!("{to} answered {first:?}")))?;
    let mut headers = Vec::new();
    loop {
        let line = line(&mut reader)?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
    let mut answer = Answer { status, headers, body: Vec::new() };
    match answer.header("Content-Length").and_then(|length| length.parse().ok()) {
        Some(length) => drop(reader.take(length).read_to_end(&mut answer.body)?),
        None => drop(reader.read_to_end(&mut answer.body)?),
    }
    Ok(answer)
}

pub(crate) fn line(reader: &mut BufReader<TcpStream>) -> Result<String> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    Ok(line.trim_end().to_owned())
}
