//! Decoding of pgoutput messages against bytes captured from PostgreSQL 15 (`pgoutput_capture.hex`,
//! one message a line, protocol version 1): every type, every kind of message, every identity.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use proptest::prelude::*;
use wasmgate_codec::pgoutput::{
    Control, Message, OldKind, Prepared, Tuple, TupleValue, decode, decode_control,
    decode_streamed, streamed_xid,
};

fn captured() -> Vec<Vec<u8>> {
    let lines = include_str!("pgoutput_capture.hex").lines();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    lines.map(|line| line.as_bytes().chunks(2).map(byte).collect()).collect()
}

/// Writes messages the way the server does, from the manual's description.
#[derive(Default)]
struct Server(Vec<u8>);

impl Server {
    fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }
    fn text(&mut self, text: &str) -> &mut Self {
        self.raw(text.as_bytes()).raw(&[0])
    }
    fn sized(&mut self, bytes: &[u8]) -> &mut Self {
        self.raw(&(bytes.len() as u32).to_be_bytes()).raw(bytes)
    }
    fn tuple(&mut self, tuple: Tuple<'_>) -> &mut Self {
        self.raw(&(tuple.len() as u16).to_be_bytes());
        assert_eq!(tuple.iter().count(), tuple.len());
        for value in tuple.iter() {
            match value {
                TupleValue::Null => self.raw(b"n"),
                TupleValue::Unchanged => self.raw(b"u"),
                TupleValue::Text(text) => self.raw(b"t").sized(text),
                TupleValue::Binary(bytes) => self.raw(b"b").sized(bytes),
            };
        }
        self
    }
    fn old(&mut self, kind: OldKind, tuple: Tuple<'_>) -> &mut Self {
        self.raw(match kind {
            OldKind::Key => b"K",
            OldKind::Full => b"O",
        });
        self.tuple(tuple)
    }
}

fn postgres_us(unix: i64) -> [u8; 8] {
    (unix - 946_684_800_000_000).to_be_bytes()
}

fn encode(message: &Message<'_>) -> Vec<u8> {
    let mut s = Server::default();
    match message {
        Message::Begin { final_lsn, commit_us, xid } => s
            .raw(b"B")
            .raw(&final_lsn.to_be_bytes())
            .raw(&postgres_us(*commit_us))
            .raw(&xid.to_be_bytes()),
        Message::Commit { commit_lsn, end_lsn, commit_us } => s
            .raw(b"C\0")
            .raw(&commit_lsn.to_be_bytes())
            .raw(&end_lsn.to_be_bytes())
            .raw(&postgres_us(*commit_us)),
        Message::Origin { lsn, name } => s.raw(b"O").raw(&lsn.to_be_bytes()).text(name),
        Message::Relation(r) => {
            s.raw(b"R").raw(&r.id.to_be_bytes()).text(r.namespace).text(r.name);
            s.raw(&[r.identity]).raw(&(r.columns.len() as u16).to_be_bytes());
            for c in &r.columns {
                s.raw(&[u8::from(c.key)]).text(c.name);
                s.raw(&c.type_oid.to_be_bytes()).raw(&c.type_modifier.to_be_bytes());
            }
            &mut s
        }
        Message::Type { oid, namespace, name } => {
            s.raw(b"Y").raw(&oid.to_be_bytes()).text(namespace).text(name)
        }
        Message::Insert { relation, new } => {
            s.raw(b"I").raw(&relation.to_be_bytes()).raw(b"N").tuple(*new)
        }
        Message::Update { relation, old, new } => {
            s.raw(b"U").raw(&relation.to_be_bytes());
            if let Some((kind, old)) = old {
                s.old(*kind, *old);
            }
            s.raw(b"N").tuple(*new)
        }
        Message::Delete { relation, kind, old } => {
            s.raw(b"D").raw(&relation.to_be_bytes()).old(*kind, *old)
        }
        Message::Truncate { relations, cascade, restart_identity } => {
            s.raw(b"T").raw(&(relations.len() as u32).to_be_bytes());
            s.raw(&[u8::from(*cascade) | u8::from(*restart_identity) << 1]);
            relations.iter().fold(&mut s, |s, id| s.raw(&id.to_be_bytes()))
        }
        Message::Logical { transactional, lsn, prefix, content } => s
            .raw(b"M")
            .raw(&[u8::from(*transactional)])
            .raw(&lsn.to_be_bytes())
            .text(prefix)
            .sized(content),
    };
    s.0
}

#[test]
fn captured_messages_round_trip() {
    let messages = captured();
    for bytes in &messages {
        assert_eq!(&encode(&decode(bytes).unwrap()), bytes);
    }
    let tags: std::collections::BTreeSet<u8> = messages.iter().map(|m| m[0]).collect();
    assert_eq!(String::from_utf8(tags.into_iter().collect()).unwrap(), "BCDIMORTUY");
}

#[test]
fn a_message_of_any_other_length_is_refused() {
    for bytes in captured() {
        for end in 0..bytes.len() {
            assert!(decode(&bytes[..end]).is_err(), "{} of {} bytes", end, bytes.len());
        }
        let mut longer = bytes.clone();
        longer.push(0);
        let error = decode(&longer).unwrap_err();
        assert_eq!((error.expected, error.at), ("the end of the message", bytes.len()));
    }
}

#[test]
fn meaning_of_captured_changes() {
    let messages = captured();
    let mut decoded = messages.iter().map(|m| decode(m).unwrap());
    let (mut keyed, mut full, mut unchanged) = (0, 0, 0);
    for message in decoded.by_ref() {
        match message {
            Message::Update { old, new, .. } => {
                unchanged += new.iter().filter(|v| *v == TupleValue::Unchanged).count();
                match old {
                    Some((OldKind::Key, _)) => keyed += 1,
                    Some((OldKind::Full, _)) => full += 1,
                    None => {}
                }
            }
            Message::Truncate { relations, cascade, restart_identity } if cascade => {
                assert_eq!((relations.len(), restart_identity), (2, true));
            }
            Message::Origin { lsn, name } => assert_eq!((lsn, name), (0xaabb, "far")),
            Message::Logical { transactional, prefix, content, .. } => {
                assert_eq!((transactional, prefix, content), (true, "p", &b"hello"[..]));
            }
            _ => {}
        }
    }
    // the large text was not touched by either update; the second one changed the key
    assert_eq!((keyed, full, unchanged), (1, 1, 2));
}

#[test]
fn times_count_from_1970() {
    let origin = captured().into_iter().position(|m| m[0] == b'O').unwrap();
    let begin = &captured()[origin - 1];
    let Message::Begin { commit_us, .. } = decode(begin).unwrap() else { panic!("not a begin") };
    assert_eq!(commit_us, 1_704_164_645_000_000); // 2024-01-02 03:04:05
}

#[test]
fn errors_name_tag_place_and_what_was_expected() {
    let cases: [(&[u8], &str); 5] = [
        (b"", "pgoutput message '\\x00': expected one more byte at byte 0"),
        (b"S", "'S': expected a tag of protocol version 1 (B, C, D, I, M, O, R, T, U or Y)"),
        (b"I\0\0\0\x01K", "'I': expected a new tuple ('N') at byte 5"),
        (b"I\0\0\0\x01N\0\x01x", "'I': expected a value ('n', 'u', 't' or 'b') at byte 9"),
        (b"I\0\0\0\x01N\0\x01t\0\0\0\x09abc", "'I': expected as many bytes as announced"),
    ];
    for (bytes, want) in cases {
        let error = decode(bytes).unwrap_err().to_string();
        assert!(error.contains(want), "{error}");
    }
}

fn walk(bytes: &[u8]) {
    drop((decode_control(bytes), decode_streamed(bytes), streamed_xid(bytes)));
    if let Ok(message) = decode(bytes) {
        // only unknown flag bits get lost on the way
        assert_eq!(encode(&message).len(), bytes.len());
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        walk(&bytes);
    }

    #[test]
    fn no_damaged_message_panics(n in 0..1000_usize, at in 0..1000_usize, byte: u8) {
        let messages = captured();
        let mut bytes = messages[n % messages.len()].clone();
        let at = at % bytes.len();
        bytes[at] = byte;
        walk(&bytes);
    }
}

/// A change as it stands inside a piece of a running transaction.
fn streamed(message: &[u8], xid: u32) -> Vec<u8> {
    let mut bytes = vec![message[0]];
    if message[0] != b'O' {
        bytes.extend(xid.to_be_bytes());
    }
    bytes.extend(&message[1..]);
    bytes
}

#[test]
fn changes_of_running_transactions_carry_their_number() {
    for message in captured() {
        if b"BC".contains(&message[0]) {
            continue;
        }
        let bytes = streamed(&message, 77);
        assert_eq!(decode_streamed(&bytes).unwrap(), decode(&message).unwrap());
        assert_eq!(streamed_xid(&bytes).unwrap(), (message[0] != b'O').then_some(77));
        for end in 0..bytes.len() {
            assert!(decode_streamed(&bytes[..end]).is_err(), "{end} of {}", bytes.len());
        }
    }
}

#[test]
fn pieces_of_transactions_begin_end_and_are_decided() {
    let (time, xid) = (postgres_us(1_700_000_000_000_000), 9_u32.to_be_bytes());
    let lsn = |n: u64| n.to_be_bytes();
    let bytes = |tag: u8, parts: &[&[u8]]| [&[tag][..], &parts.concat()].concat();
    let prepared = Prepared { xid: 9, prepare_lsn: 1, end_lsn: 2, gid: "g" };
    let body: [&[u8]; 5] = [&lsn(1), &lsn(2), &time, &xid, b"g\0"];
    let flagged: Vec<&[u8]> = [&b"\0"[..]].into_iter().chain(body).collect();
    let (commit_lsn, end_lsn, commit_us) = (1, 2, 1_700_000_000_000_000);
    let abort = Control::StreamAbort { xid: 9, sub_xid: 8 };
    let sub = 8_u32.to_be_bytes();
    let cases = [
        (bytes(b'S', &[&xid, b"\x01"]), Control::StreamStart { xid: 9, first: true }),
        (bytes(b'E', &[]), Control::StreamStop),
        (
            bytes(b'c', &[&xid, b"\0", &lsn(1), &lsn(2), &time]),
            Control::StreamCommit { xid: 9, commit_lsn, end_lsn, commit_us },
        ),
        (bytes(b'A', &[&xid, &sub]), abort),
        (bytes(b'A', &[&xid, &sub, &lsn(5), &time]), abort),
        (bytes(b'b', &body), Control::BeginPrepare(prepared)),
        (bytes(b'P', &flagged), Control::Prepare(prepared)),
        (bytes(b'p', &flagged), Control::StreamPrepare(prepared)),
        (
            bytes(b'K', &flagged),
            Control::CommitPrepared { xid: 9, commit_lsn, end_lsn, commit_us, gid: "g" },
        ),
        (
            bytes(b'r', &[b"\0", &lsn(1), &lsn(2), &time, &time, &xid, b"g\0"]),
            Control::RollbackPrepared { xid: 9, end_lsn: 2, gid: "g" },
        ),
    ];
    for (bytes, want) in cases {
        assert_eq!(decode_control(&bytes).unwrap(), Some(want));
        let short = &bytes[..bytes.len() - 1];
        assert!(short.is_empty() || decode_control(short).is_err(), "{want:?} cut short");
        let long = [&bytes[..], b"\0"].concat();
        assert!(decode_control(&long).is_err(), "{want:?} and more");
    }
    for message in captured() {
        assert_eq!(decode_control(&message).unwrap(), None);
    }
}
