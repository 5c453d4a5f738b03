//! Bodies that are no module, too large or too slow, and one that is a module and takes longer to
//! compile than anybody should wait.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use wasmgate_tests::PATIENCE;
use wasmgate_tests::guests::{compile_bomb, stamped};

use super::arena::Arena;

/// Largest component that is taken by default.
const UPLOAD_BYTES_MAX: usize = 32 << 20;
/// Between two bytes of a client that drips.
const DRIP: Duration = Duration::from_millis(100);
/// What nobody should send.
const HUGE: usize = 100 << 20;

/// One test a body that is refused, by upload and as a file.
macro_rules! bodies {
    ($($name:ident => ($bytes:expr, $says:expr);)*) => {
        $(
            #[test]
            fn $name() {
                let arena = Arena::start();
                arena.refuses($bytes, $says);
                arena.stays_well();
            }
        )*
    };
}

bodies! {
    empty => (b"", "WebAssembly");
    wrong_magic => (b"\x7fELF what is this", "WebAssembly");
    packed => (&gzip(&stamped(1)), "WebAssembly");
    truncated => (&half(stamped(1)), "WebAssembly");
    magic_alone => (b"\0asm", "WebAssembly");
    cut_at_the_last_byte => (&without_its_end(stamped(1)), "WebAssembly");
    compiles_for_ever => (&compile_bomb(), "compiler");
}

fn half(bytes: Vec<u8>) -> Vec<u8> {
    bytes[..bytes.len() / 2].to_vec()
}

fn without_its_end(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.pop();
    bytes
}

/// A gzip file that stores its content: magic, method, no name, one block, no checksum.
fn gzip(content: &[u8]) -> Vec<u8> {
    let length = content.len() as u16;
    let mut bytes = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255, 1];
    bytes.extend(length.to_le_bytes());
    bytes.extend((!length).to_le_bytes());
    bytes.extend(content);
    bytes
}

/// An upload whose body is written by `write`, while the answer is waited for: status, whole text.
fn upload(
    address: &str,
    headers: &str,
    write: impl FnOnce(&mut TcpStream) -> std::io::Result<()> + Send + 'static,
) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(2 * PATIENCE)).unwrap();
    let head = format!(
        "PUT /api/v1/modules/guest HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
         Content-Type: application/wasm\r\n{headers}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut writer = stream.try_clone().unwrap();
    // The gateway may hang up before it has read all: an error here is no news.
    let writing = std::thread::spawn(move || write(&mut writer).is_ok());
    let mut answer = Vec::new();
    let mut piece = [0; 4096];
    while let Ok(count @ 1..) = stream.read(&mut piece) {
        answer.extend(&piece[..count]);
    }
    stream.shutdown(Shutdown::Both).ok();
    writing.join().unwrap();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
    (status, answer)
}

#[test]
fn huge_body_is_refused_by_its_length() {
    let arena = Arena::start();
    let started = Instant::now();
    let length = format!("Content-Length: {HUGE}");
    let (status, answer) = upload(arena.gateway.address(), &length, |to| {
        let piece = vec![0; 1 << 20];
        (0..HUGE / piece.len()).try_for_each(|_| to.write_all(&piece))
    });
    assert_eq!(status, 413, "{answer}");
    assert!(answer.contains(&UPLOAD_BYTES_MAX.to_string()), "{answer}");
    assert!(started.elapsed() < PATIENCE, "it took the whole body");
    arena.stays_well();
}

#[test]
fn huge_body_without_a_length_is_refused_where_it_passes_the_limit() {
    let arena = Arena::start();
    let (status, answer) = upload(arena.gateway.address(), "Transfer-Encoding: chunked", |to| {
        let piece = vec![0; 1 << 20];
        for _ in 0..HUGE / piece.len() {
            write!(to, "{:x}\r\n", piece.len())?;
            to.write_all(&piece)?;
            to.write_all(b"\r\n")?;
        }
        to.write_all(b"0\r\n\r\n")
    });
    assert_eq!(status, 413, "{answer}");
    assert!(answer.contains(&UPLOAD_BYTES_MAX.to_string()), "{answer}");
    arena.stays_well();
}

#[test]
fn huge_file_is_refused_with_a_note() {
    let arena = Arena::start();
    arena.drop_file(&vec![0; UPLOAD_BYTES_MAX + 1]);
    let note = wasmgate_tests::wait_for(
        "the note beside the file",
        || std::fs::read_to_string(arena.note()).ok().filter(|note| note.ends_with('\n')),
        || arena.gateway.describe("hostile"),
    );
    assert!(note.contains(&UPLOAD_BYTES_MAX.to_string()), "{note}");
    arena.stays_well();
}

/// A client that sends a byte now and then is cut off, before those who wait for their turn are.
#[test]
fn slow_body_is_cut_off() {
    let arena = Arena::start();
    let address = arena.gateway.address().to_owned();
    let slow = std::thread::spawn(move || {
        upload(&address, "Content-Length: 1000000", move |to| {
            to.write_all(b"\0asm")?;
            loop {
                to.write_all(b"\0")?;
                std::thread::park_timeout(DRIP);
            }
        })
    });
    let (status, body) = arena.put(&stamped(3));
    assert_eq!(status, 201, "{body}");
    let (status, answer) = slow.join().unwrap();
    assert_eq!(status, 408, "{answer}");
    arena.stays_well();
}

/// A body that ends before its length is no module, and leaves nothing behind.
#[test]
fn half_a_body_is_dropped() {
    let arena = Arena::start();
    let bytes = stamped(4);
    let length = format!("Content-Length: {}", bytes.len());
    let (status, answer) = upload(arena.gateway.address(), &length, move |to| {
        to.write_all(&bytes[..bytes.len() / 2])?;
        to.shutdown(Shutdown::Write)
    });
    assert!(status == 0 || (400..500).contains(&status), "{answer}");
    assert_eq!(arena.module()["version"], "1.0.0");
    arena.stays_well();
}
