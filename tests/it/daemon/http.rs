//! HTTP as a careful sender speaks it: one request a connection, and it knows whether the request may have been heard.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Longer than the daemon holds any request.
const TIMEOUT: Duration = Duration::from_secs(40);

/// A complete answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

/// No complete answer.
#[derive(Debug)]
pub(crate) enum Fault {
    /// Nobody listened: the request was not heard.
    NotHeard,
    /// The connection broke: the request may have been heard.
    Broken,
}

pub(crate) fn get(address: SocketAddr, path: &str) -> Result<Answer, Fault> {
    exchange(address, "GET", path, b"")
}

pub(crate) fn post(address: SocketAddr, path: &str, body: &[u8]) -> Result<Answer, Fault> {
    exchange(address, "POST", path, body)
}

fn exchange(address: SocketAddr, method: &str, path: &str, body: &[u8]) -> Result<Answer, Fault> {
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT).map_err(|_| Fault::NotHeard)?;
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n"
    );
    let broken = |_: std::io::Error| Fault::Broken;
    stream.set_read_timeout(Some(TIMEOUT)).map_err(broken)?;
    stream.set_nodelay(true).map_err(broken)?;
    let request = [head.as_bytes(), body].concat();
    stream.write_all(&request).map_err(broken)?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).map_err(broken)?;
    parse(&bytes).ok_or(Fault::Broken)
}

/// An answer whose body is as long as it says.
fn parse(bytes: &[u8]) -> Option<Answer> {
    let text = String::from_utf8_lossy(bytes);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let mut lengths = head.lines().filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    let complete = lengths.next().is_none_or(|length| length == body.len());
    complete.then(|| Answer { status, body: body.to_owned() })
}
