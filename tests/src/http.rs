//! A client of a few lines: HTTP/1.0, so that an answer ends with its connection.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::Value;

/// Status and body.
pub type Answer = (u16, String);

/// Makes one request; `None` where nobody answers.
#[must_use]
pub fn request(address: &str, method: &str, path: &str, body: &[u8]) -> Option<Answer> {
    let mut stream = TcpStream::connect(address).ok()?;
    let length = body.len();
    let json = if body.first() == Some(&b'{') { "Content-Type: application/json\r\n" } else { "" };
    let head = format!(
        "{method} {path} HTTP/1.0\r\nHost: {address}\r\n{json}Content-Length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(body).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let answer = String::from_utf8_lossy(&answer);
    let status = answer.split_whitespace().nth(1)?.parse().ok()?;
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, b)| b);
    Some((status, body.to_owned()))
}

/// A GET whose answer is JSON.
#[must_use]
pub fn json(address: &str, path: &str) -> Option<Value> {
    let (_, body) = request(address, "GET", path, b"")?;
    serde_json::from_str(&body).ok()
}
