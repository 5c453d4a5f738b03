//! Addresses: binary to the server's text (`network_send`, `inet_net_ntop.c`, `mac.c`).

use std::io::Write as _;
use std::ops::Range;

use crate::pgvalue::{ValueError, not};

const WRONG: ValueError = not("an address");
/// Families, as `inet` numbers them.
const V4: u8 = 2;
const V6: u8 = 3;

/// Family, bits of the mask, 1 for a `cidr`, length, address.
pub(super) fn network(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
    let [family, mask, cidr, length, address @ ..] = bytes else { return Err(WRONG) };
    if usize::from(*length) != address.len() {
        return Err(WRONG);
    }
    let all: u8 = match (family, address) {
        (&V4, &[a, b, c, d]) => {
            octets([a, b, c, d], out);
            32
        }
        (&V6, _) => {
            v6(address.try_into().map_err(|_| WRONG)?, out);
            128
        }
        _ => return Err(WRONG),
    };
    if *mask != all || *cidr != 0 {
        out.push(b'/');
        out.extend_from_slice(itoa::Buffer::new().format(*mask).as_bytes());
    }
    Ok(())
}

fn octets([a, b, c, d]: [u8; 4], out: &mut Vec<u8>) {
    out.extend_from_slice(format!("{a}.{b}.{c}.{d}").as_bytes());
}

/// The longest run of zeros becomes `::`; an embedded IPv4 address is written as such.
fn v6(address: [u8; 16], out: &mut Vec<u8>) {
    let pairs = address.as_chunks::<2>().0;
    let mut words = [0; 8];
    for (word, pair) in words.iter_mut().zip(pairs) {
        *word = u16::from_be_bytes(*pair);
    }
    let zeros = zeros(&words);
    let embedded = zeros.start == 0
        && match (zeros.len(), words) {
            (6, _) => true,
            (7, [.., last]) => last != 1,
            (5, [.., sixth, _, _]) => sixth == 0xffff,
            _ => false,
        };
    for (i, word) in words.iter().enumerate() {
        if zeros.contains(&i) {
            if i == zeros.start {
                out.push(b':');
            }
            continue;
        }
        if i > 0 {
            out.push(b':');
        }
        if i == 6 && embedded {
            let [.., a, b, c, d] = address;
            octets([a, b, c, d], out);
            break;
        }
        out.extend_from_slice(format!("{word:x}").as_bytes());
    }
    if !zeros.is_empty() && zeros.end == words.len() {
        out.push(b':');
    }
}

/// The first longest run of at least two zeros.
fn zeros(words: &[u16; 8]) -> Range<usize> {
    let (mut best, mut run) = (0..0, 0..0);
    for (i, word) in words.iter().enumerate() {
        match word {
            0 => run = if run.end == i && !run.is_empty() { run.start..i + 1 } else { i..i + 1 },
            _ => run = 0..0,
        }
        if run.len() > best.len() {
            best = run.clone();
        }
    }
    if best.len() < 2 { 0..0 } else { best }
}

/// `08:00:2b:01:02:03`, of six or eight bytes.
pub(super) fn hardware(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
    if !matches!(bytes.len(), 6 | 8) {
        return Err(WRONG);
    }
    for (i, byte) in bytes.iter().enumerate() {
        let before = if i > 0 { ":" } else { "" };
        // into memory: cannot fail
        drop(write!(out, "{before}{byte:02x}"));
    }
    Ok(())
}
