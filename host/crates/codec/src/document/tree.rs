//! The names that somebody wants, as a tree of objects, and the one walk that finds them.
//!
//! Documents of a topic have their members in the same order nearly always. Every object of the
//! tree therefore learns the names it has seen, in order, and compares the next name with the
//! one it expects before it scans it. A name that does not come is looked for further ahead;
//! what was learnt is never overwritten, so alternating shapes stay fast.

use wasmgate_model::Member;

use super::scan::{MAX_DEPTH, Scanner};
use super::text::{decoded, inner};
use super::{DocumentError, Reason};

/// No slot, no object.
const NONE: u32 = u32::MAX;
/// Names an object learns; one with more has no stable names (a map).
const LEARNT_NAMES: usize = 128;
/// Longer names are not learnt.
const LEARNT_BYTES: usize = 128;
/// How far a name is looked for among the learnt ones.
const AHEAD: usize = 16;

/// What is wanted of a member.
#[derive(Debug, Clone, Copy)]
struct Hit {
    /// Where its place is noted; [`NONE`]: nobody wants it.
    slot: u32,
    /// The object of the tree that the value is walked by; [`NONE`]: it is only checked.
    below: u32,
}

const UNWANTED: Hit = Hit { slot: NONE, below: NONE };

#[derive(Debug)]
struct Learnt {
    /// The name as it stands in documents, with quotes and colon.
    text: Box<[u8]>,
    hit: Hit,
}

#[derive(Debug, Default)]
struct Node {
    wanted: Vec<(Box<str>, Hit)>,
    learnt: Vec<Learnt>,
}

/// A field as slots of the tree.
#[derive(Debug, Clone, Default)]
pub(super) struct Target {
    /// Where the field may stand, best first: `a.b` as a literal name, then as `b` in `a`.
    places: Vec<u32>,
    /// The objects around it.
    parents: Vec<u32>,
}

impl Target {
    /// The same field, with another object around it.
    pub(super) fn within(mut self, parent: u32) -> Self {
        self.parents.push(parent);
        self
    }

    /// The first place where the field stands; what stands there.
    #[inline]
    pub(super) fn find(&self, found: &Found) -> Option<(u32, Member)> {
        self.places.iter().map(|slot| (*slot, found.get(*slot))).find(|(_, m)| m.found())
    }

    /// Whether an object around the field is null.
    pub(super) fn parent_is_null(&self, document: &[u8], found: &Found) -> bool {
        self.parents.iter().any(|slot| is_null(document, found.get(*slot)))
    }

    pub(super) fn places(&self) -> &[u32] {
        &self.places
    }
}

/// Whether a member is there and null.
pub(super) fn is_null(document: &[u8], member: Member) -> bool {
    member.found() && document.get(member.value as usize) == Some(&b'n')
}

/// What one walk found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// By slot: the last occurrence.
    members: Vec<Member>,
    /// Earlier occurrences, in order.
    pub(super) earlier: Vec<(u32, Member)>,
}

impl Found {
    #[inline]
    pub(super) fn get(&self, slot: u32) -> Member {
        self.members.get(slot as usize).copied().unwrap_or_default()
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.members.clear();
        self.earlier.clear();
    }

    fn note(&mut self, slot: u32, member: Member) {
        if let Some(place) = self.members.get_mut(slot as usize) {
            if place.found() {
                self.earlier.push((slot, *place));
            }
            *place = member;
        }
    }

    /// Turns what was found there into an earlier occurrence.
    fn supersede(&mut self, slot: u32) {
        self.note(slot, Member::default());
    }
}

/// The tree; object 0 is the document itself.
#[derive(Debug)]
pub(super) struct Tree {
    nodes: Vec<Node>,
    slots: u32,
}

/// The document itself.
pub(super) const ROOT: u32 = 0;

impl Default for Tree {
    fn default() -> Self {
        Self { nodes: vec![Node::default()], slots: 0 }
    }
}

impl Tree {
    /// Wants a field of an object; dots lead into objects inside of it, unless there are more
    /// dots than any document has levels.
    pub(super) fn field(&mut self, object: u32, path: &str) -> Target {
        let (mut object, mut rest) = (object, path);
        let mut target = Target::default();
        let deep = path.bytes().filter(|b| *b == b'.').count() >= MAX_DEPTH as usize;
        loop {
            target.places.push(self.slot(object, rest));
            match rest.split_once('.').filter(|_| !deep) {
                Some((head, tail)) => {
                    let (slot, below) = self.object(object, head);
                    target.parents.push(slot);
                    (object, rest) = (below, tail);
                }
                None => return target,
            }
        }
    }

    /// Wants a member of an object, by exactly this name.
    pub(super) fn slot(&mut self, object: u32, name: &str) -> u32 {
        let next = self.slots;
        let Some(node) = self.nodes.get_mut(object as usize) else {
            return NONE;
        };
        if let Some((_, hit)) = node.wanted.iter().find(|(n, _)| **n == *name) {
            return hit.slot;
        }
        node.wanted.push((name.into(), Hit { slot: next, below: NONE }));
        self.slots += 1;
        next
    }

    /// Wants an object inside an object: its slot, and the object.
    pub(super) fn object(&mut self, object: u32, name: &str) -> (u32, u32) {
        let slot = self.slot(object, name);
        let next = self.nodes.len() as u32;
        let wanted = self.nodes.get_mut(object as usize).map(|n| &mut n.wanted);
        let hit = wanted.and_then(|w| w.iter_mut().find(|(_, h)| h.slot == slot));
        let Some((_, hit)) = hit else {
            return (slot, NONE);
        };
        if hit.below == NONE {
            hit.below = next;
        }
        let below = hit.below;
        if below == next {
            self.nodes.push(Node::default());
        }
        (slot, below)
    }

    /// Walks a whole document and checks all of it but UTF-8. Where its object lies.
    ///
    /// # Errors
    /// It is not JSON, or not an object.
    pub(super) fn walk(
        &mut self,
        document: &[u8],
        found: &mut Found,
    ) -> Result<Member, DocumentError> {
        found.clear();
        found.members.resize(self.slots as usize, Member::default());
        let mut scan = Scanner::new(document, 0);
        scan.space();
        let start = scan.at as u32;
        let walked = self.walk_object(ROOT, &mut scan, 1, found).and_then(|()| {
            let end = scan.at as u32;
            scan.finish().map(|()| Member { name: start, value: start, end })
        });
        walked.map_err(|reason| scan.error(reason))
    }

    fn walk_object(
        &mut self,
        object: u32,
        scan: &mut Scanner<'_>,
        depth: u32,
        found: &mut Found,
    ) -> Result<(), Reason> {
        if depth > MAX_DEPTH {
            return Err(Reason::Depth);
        }
        let mut more = scan.open_object()?;
        let mut next = 0;
        while more {
            let name = scan.at as u32;
            let hit = self.name(object, scan, &mut next)?;
            let value = scan.at as u32;
            if hit.below == NONE {
                scan.value(depth)?;
            } else {
                if found.get(hit.slot).found() {
                    self.supersede_below(hit.below, found);
                }
                match scan.peek() {
                    b'{' => self.walk_object(hit.below, scan, depth + 1, found)?,
                    _ => scan.value(depth)?,
                }
            }
            if hit.slot != NONE {
                found.note(hit.slot, Member { name, value, end: scan.at as u32 });
            }
            more = scan.next_member()?;
        }
        Ok(())
    }

    /// The object stood in the document before: what it held is not the current value.
    #[cold]
    fn supersede_below(&self, object: u32, found: &mut Found) {
        for (_, hit) in self.nodes.get(object as usize).map_or(&[][..], |n| &n.wanted) {
            if found.get(hit.slot).found() {
                found.supersede(hit.slot);
                self.supersede_below(hit.below, found);
            }
        }
    }

    /// Reads a name up to the value; `next` is the learnt name that is expected.
    #[inline]
    fn name(
        &mut self,
        object: u32,
        scan: &mut Scanner<'_>,
        next: &mut usize,
    ) -> Result<Hit, Reason> {
        let Some(node) = self.nodes.get_mut(object as usize) else {
            return scan.name().map(|_| UNWANTED);
        };
        if let Some(expected) = node.learnt.get(*next)
            && begins(scan.rest(), &expected.text)
        {
            scan.at += expected.text.len();
            *next += 1;
            scan.space();
            return Ok(expected.hit);
        }
        let (token, escaped) = scan.name()?;
        if escaped {
            return Ok(node.lookup(&decoded(inner(token))));
        }
        Ok(node.search(token, next))
    }
}

impl Node {
    fn lookup(&self, name: &[u8]) -> Hit {
        let found = self.wanted.iter().find(|(wanted, _)| wanted.as_bytes() == name);
        found.map_or(UNWANTED, |(_, hit)| *hit)
    }

    /// A name that was not the expected one: further ahead, at the front, or new.
    fn search(&mut self, token: &[u8], next: &mut usize) -> Hit {
        let window = (*next..*next + AHEAD).chain(0..AHEAD.min(*next));
        for at in window {
            if let Some(learnt) = self.learnt.get(at)
                && learnt.is(token)
            {
                *next = at + 1;
                return learnt.hit;
            }
        }
        let hit = self.lookup(inner(token));
        if self.learnt.len() < LEARNT_NAMES && token.len() <= LEARNT_BYTES {
            *next = match self.learnt.iter().position(|l| l.is(token)) {
                Some(at) => at,
                None => {
                    let at = (*next).min(self.learnt.len());
                    self.learnt.insert(at, Learnt { text: [token, b":"].concat().into(), hit });
                    at
                }
            } + 1;
        }
        hit
    }
}

/// `starts_with` for names, which are too short to be worth a call.
#[inline]
fn begins(bytes: &[u8], name: &[u8]) -> bool {
    let Some(found) = bytes.get(..name.len()) else { return false };
    let same = |a: &[u8; 8], b: &[u8; 8]| u64::from_le_bytes(*a) == u64::from_le_bytes(*b);
    match (found.last_chunk::<8>(), name.last_chunk::<8>()) {
        // The last word overlaps the one before it where the length is no multiple of 8.
        (Some(found_end), Some(name_end)) => {
            let words = found.as_chunks::<8>().0.iter().zip(name.as_chunks::<8>().0);
            same(found_end, name_end) && words.into_iter().all(|(a, b)| same(a, b))
        }
        _ => found.iter().zip(name).all(|(a, b)| a == b),
    }
}

impl Learnt {
    #[inline]
    fn is(&self, token: &[u8]) -> bool {
        self.text.len() == token.len() + 1 && self.text.starts_with(token)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::string_slice, reason = "tests")]

    use super::*;

    fn text(document: &str, member: Member) -> &str {
        &document[member.value as usize..member.end as usize]
    }

    #[test]
    fn members_are_found_in_any_order() {
        let mut tree = Tree::default();
        let targets = ["a", "b", "n.x", "n"].map(|name| tree.field(ROOT, name));
        let mut found = Found::default();
        // (document, a, b, n.x, n); the order of names changes on purpose from one to the next
        let cases = [
            (r#"{"a":1,"q":0,"b":2,"n":{"x":3}}"#, ["1", "2", "3", r#"{"x":3}"#]),
            (r#"{"a":1,"q":0,"b":2,"n":{"x":3}}"#, ["1", "2", "3", r#"{"x":3}"#]),
            (r#"{"b":2,"a":1,"n":{"y":4,"x":3}}"#, ["1", "2", "3", r#"{"y":4,"x":3}"#]),
            (r#" { "n" : { "x" : 3 } , "a" : 1 } "#, ["1", "", "3", r#"{ "x" : 3 }"#]),
            (r#"{"\u0061":1,"n":{"\u0078":3}}"#, ["1", "", "3", r#"{"\u0078":3}"#]),
            (r#"{"n.x":5,"n":{"x":3}}"#, ["", "", "5", r#"{"x":3}"#]),
            (r#"{"a":1,"a":2,"n":{"x":3},"n":{}}"#, ["2", "", "", "{}"]),
            (r#"{"n":{"x":3},"n":null}"#, ["", "", "", "null"]),
            (r#"{"n":{"x":3},"n":{"x":4}}"#, ["", "", "4", r#"{"x":4}"#]),
            ("{}", ["", "", "", ""]),
        ];
        for (document, want) in cases {
            tree.walk(document.as_bytes(), &mut found).unwrap();
            for (target, want) in targets.iter().zip(want) {
                let got = target.find(&found).map_or("", |(_, m)| text(document, m));
                assert_eq!(got, want, "{document}");
            }
        }
    }

    #[test]
    fn begins_is_starts_with() {
        let name = b"\"call_duration_seconds\":";
        for length in 0..name.len() {
            let name = &name[..length];
            assert!(begins(name, name));
            assert!(begins(&[name, b"1}"].concat(), name));
            assert_eq!(begins(&name[..length.saturating_sub(1)], name), length == 0);
            for at in 0..length {
                let mut other = name.to_vec();
                other[at] ^= 1;
                assert!(!begins(&other, name), "{length} {at}");
            }
        }
    }

    #[test]
    fn earlier_occurrences_are_kept() {
        let mut tree = Tree::default();
        let x = tree.field(ROOT, "n.x");
        let mut found = Found::default();
        let document = r#"{"n":{"x":1,"x":2},"n":{"x":3},"n":0}"#;
        tree.walk(document.as_bytes(), &mut found).unwrap();
        assert!(x.find(&found).is_none());
        let earlier = found.earlier.iter().filter(|(slot, _)| x.places().contains(slot));
        let got: Vec<_> = earlier.map(|(_, m)| text(document, *m)).collect();
        assert_eq!(got, ["1", "2", "3"]);
    }

    #[test]
    fn a_name_of_dots_is_one_name() {
        let mut tree = Tree::default();
        let name = ".".repeat(100_000);
        let target = tree.field(ROOT, &name);
        let mut found = Found::default();
        tree.walk(format!("{{\"{name}\":1}}").as_bytes(), &mut found).unwrap();
        assert!(target.find(&found).is_some());
        assert_eq!(tree.nodes.len(), 1);
    }

    #[test]
    fn maps_and_many_names_stop_the_learning() {
        let mut tree = Tree::default();
        let wanted = tree.field(ROOT, "k150");
        let mut found = Found::default();
        for round in 0..4 {
            let members: Vec<_> = (round..200).map(|i| format!("\"k{i}\":{i}")).collect();
            let document = format!("{{{}}}", members.join(","));
            tree.walk(document.as_bytes(), &mut found).unwrap();
            let (_, member) = wanted.find(&found).unwrap();
            assert_eq!(text(&document, member), "150");
        }
        assert_eq!(tree.nodes[0].learnt.len(), LEARNT_NAMES);
    }
}
