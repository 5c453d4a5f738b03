//! Sets of transactions: MySQL's by server uuid and tag, MariaDB's last one per domain.
//! The text is the servers' own; the compact form with tags (`uuid:1-5:tag:1`) is read too.

use std::collections::BTreeMap;
use std::fmt;

use mysql_common::packets::{GnoInterval, Sid, Tag};

/// One transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Gtid {
    /// Server uuid, tag (empty: none), number from 1.
    MySql([u8; 16], String, u64),
    /// Domain, server id, number in the domain.
    MariaDb(u32, u32, u64),
    /// The server gives no names to transactions.
    Anonymous,
}

impl fmt::Display for Gtid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MySql(uuid, tag, n) => {
                write_uuid(uuid, f)?;
                if tag.is_empty() { write!(f, ":{n}") } else { write!(f, ":{tag}:{n}") }
            }
            Self::MariaDb(domain, server, n) => write!(f, "{domain}-{server}-{n}"),
            Self::Anonymous => Ok(()),
        }
    }
}

fn write_uuid(uuid: &[u8; 16], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (i, byte) in uuid.iter().enumerate() {
        if matches!(i, 4 | 6 | 8 | 10) {
            f.write_str("-")?;
        }
        write!(f, "{byte:02x}")?;
    }
    Ok(())
}

fn parse_uuid(text: &str) -> Option<[u8; 16]> {
    let digits: Vec<u8> = text.bytes().filter(|b| *b != b'-').collect();
    let mut uuid = [0; 16];
    if digits.len() != 32 {
        return None;
    }
    for (to, pair) in uuid.iter_mut().zip(digits.chunks(2)) {
        *to = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(uuid)
}

impl Gtid {
    /// Who executed it first: the server's uuid, of MariaDB's the domain. `None`: not told.
    pub(crate) fn source(&self) -> Option<String> {
        match self {
            Self::MySql(uuid, ..) => Some(uuid_text(uuid)),
            Self::MariaDb(domain, ..) => Some(domain.to_string()),
            Self::Anonymous => None,
        }
    }
}

fn uuid_text(uuid: &[u8; 16]) -> String {
    Gtid::MySql(*uuid, String::new(), 0).to_string().trim_end_matches(":0").to_owned()
}

/// Numbers of transactions: disjoint, ascending, not adjacent; first and last.
type Ranges = Vec<(u64, u64)>;

/// What was executed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum GtidSet {
    MySql(BTreeMap<([u8; 16], String), Ranges>),
    /// By domain: server id and number of the last.
    MariaDb(BTreeMap<u32, (u32, u64)>),
    /// Places in files are all there is.
    None,
}

impl GtidSet {
    /// Reads MySQL's text.
    pub(crate) fn mysql(text: &str) -> Option<Self> {
        let mut set = Self::MySql(BTreeMap::new());
        let plain: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        for member in plain.split(',').filter(|m| !m.is_empty()) {
            let mut parts = member.split(':');
            let uuid = parse_uuid(parts.next()?)?;
            let mut tag = String::new();
            for part in parts {
                if !part.starts_with(|c: char| c.is_ascii_digit()) {
                    part.clone_into(&mut tag);
                    continue;
                }
                let (first, last) = part.split_once('-').unwrap_or((part, part));
                let (first, last) = (first.parse().ok()?, last.parse().ok()?);
                if first == 0 || first > last {
                    return None;
                }
                set.add_range((uuid, tag.clone()), first, last);
            }
        }
        Some(set)
    }

    /// Reads MariaDB's text.
    pub(crate) fn mariadb(text: &str) -> Option<Self> {
        let mut domains = BTreeMap::new();
        for member in text.split(',').map(str::trim).filter(|m| !m.is_empty()) {
            let mut parts = member.split('-');
            let domain = parts.next()?.parse().ok()?;
            let server = parts.next()?.parse().ok()?;
            let number = parts.next()?.parse().ok()?;
            if parts.next().is_some() {
                return None;
            }
            domains.insert(domain, (server, number));
        }
        Some(Self::MariaDb(domains))
    }

    fn add_range(&mut self, key: ([u8; 16], String), first: u64, last: u64) {
        let Self::MySql(sets) = self else { return };
        let ranges = sets.entry(key).or_default();
        // Almost always the next one of the last range.
        if let Some(end) = ranges.last_mut()
            && end.1.checked_add(1) == Some(first)
        {
            end.1 = last;
            return;
        }
        ranges.push((first, last));
        ranges.sort_unstable();
        let mut merged: Ranges = Vec::with_capacity(ranges.len());
        for (from, to) in ranges.drain(..) {
            match merged.last_mut() {
                Some(end) if from <= end.1.saturating_add(1) => end.1 = end.1.max(to),
                _ => merged.push((from, to)),
            }
        }
        *ranges = merged;
    }

    /// Adds one transaction.
    pub(crate) fn add(&mut self, gtid: &Gtid) {
        match gtid {
            Gtid::MySql(uuid, tag, n) => self.add_range((*uuid, tag.clone()), *n, *n),
            Gtid::MariaDb(domain, server, n) => {
                if let Self::MariaDb(domains) = self {
                    domains.insert(*domain, (*server, *n));
                }
            }
            Gtid::Anonymous => {}
        }
    }

    /// The transactions whose source satisfies `wants`; of sets of MySQL's.
    pub(crate) fn of_sources(&self, wants: impl Fn(&str) -> bool) -> Self {
        match self {
            Self::MySql(sets) => {
                let wanted = sets.iter().filter(|((uuid, _), _)| wants(&uuid_text(uuid)));
                Self::MySql(wanted.map(|(key, ranges)| (key.clone(), ranges.clone())).collect())
            }
            other => other.clone(),
        }
    }

    /// Adds the transactions of another set of MySQL's.
    pub(crate) fn extend(&mut self, other: &Self) {
        let Self::MySql(others) = other else { return };
        for (key, ranges) in others {
            for (first, last) in ranges {
                self.add_range(key.clone(), *first, *last);
            }
        }
    }

    /// Whether it holds a transaction; of MariaDB's every earlier one of the domain too.
    pub(crate) fn contains(&self, gtid: &Gtid) -> bool {
        match (self, gtid) {
            (Self::MySql(sets), Gtid::MySql(uuid, tag, n)) => sets
                .get(&(*uuid, tag.clone()))
                .is_some_and(|ranges| ranges.iter().any(|(from, to)| (from..=to).contains(&n))),
            (Self::MariaDb(domains), Gtid::MariaDb(domain, _, n)) => {
                domains.get(domain).is_some_and(|(_, last)| n <= last)
            }
            _ => false,
        }
    }

    /// Whether every transaction of `self` is in `other`.
    pub(crate) fn is_subset(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::MySql(sets), Self::MySql(others)) => sets.iter().all(|(key, ranges)| {
                let held = others.get(key).map_or(&[][..], Vec::as_slice);
                ranges.iter().all(|(a, b)| held.iter().any(|(from, to)| from <= a && b <= to))
            }),
            (Self::MariaDb(domains), Self::MariaDb(others)) => {
                domains.iter().all(|(d, (_, n))| others.get(d).is_some_and(|(_, held)| n <= held))
            }
            (Self::None, _) => true,
            _ => false,
        }
    }

    /// For a dump by transactions.
    pub(crate) fn sids(&self) -> Option<Vec<Sid<'static>>> {
        let Self::MySql(sets) = self else { return None };
        let sid = |((uuid, tag), ranges): (&([u8; 16], String), &Ranges)| {
            // The protocol's intervals end before their second number.
            let intervals =
                ranges.iter().map(|(from, to)| GnoInterval::new(*from, to.saturating_add(1)));
            let sid = Sid::new(*uuid).with_intervals(intervals.collect());
            if tag.is_empty() { Some(sid) } else { Some(sid.with_tag(Tag::new(tag.clone()).ok()?)) }
        };
        sets.iter().map(sid).collect()
    }
}

impl fmt::Display for GtidSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MySql(sets) => {
                for (i, ((uuid, tag), ranges)) in sets.iter().enumerate() {
                    if i > 0 {
                        f.write_str(",")?;
                    }
                    write_uuid(uuid, f)?;
                    if !tag.is_empty() {
                        write!(f, ":{tag}")?;
                    }
                    for (from, to) in ranges {
                        if from == to { write!(f, ":{from}")? } else { write!(f, ":{from}-{to}")? }
                    }
                }
                Ok(())
            }
            Self::MariaDb(domains) => {
                for (i, (domain, (server, number))) in domains.iter().enumerate() {
                    let comma = if i > 0 { "," } else { "" };
                    write!(f, "{comma}{domain}-{server}-{number}")?;
                }
                Ok(())
            }
            Self::None => Ok(()),
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    const A: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429562";

    #[test]
    fn mysql_sets_survive_their_text() {
        let cases = [
            ("", ""),
            ("A:1-5", "A:1-5"),
            ("A:1-5:7, A:6", "A:1-7"),
            ("A:3:1:2:9-10", "A:1-3:9-10"),
            ("A:1-5:tag:1:3", "A:1-5,A:tag:1:3"),
            ("A:tag:1-2,\nA:1", "A:1,A:tag:1-2"),
        ];
        for (text, want) in cases {
            let set = GtidSet::mysql(&text.replace('A', A)).unwrap();
            assert_eq!(set.to_string(), want.replace('A', A), "{text}");
            assert_eq!(GtidSet::mysql(&set.to_string()), Some(set.clone()), "{text}");
            assert!(set.sids().is_some());
        }
        for bad in ["x:1", "A", "A:0", "A:5-1", "A:1-x"] {
            let set = GtidSet::mysql(&bad.replace('A', A));
            assert!(set.is_none() || bad == "A", "{bad}");
        }
    }

    #[test]
    fn sets_grow_and_compare() {
        let mut set = GtidSet::mysql(&format!("{A}:1-3:7")).unwrap();
        let uuid = parse_uuid(A).unwrap();
        let gtid = |n| Gtid::MySql(uuid, String::new(), n);
        assert!(set.contains(&gtid(2)) && !set.contains(&gtid(4)));
        let smaller = set.clone();
        for n in [4, 6, 5, 8] {
            set.add(&gtid(n));
        }
        assert_eq!(set.to_string(), format!("{A}:1-8"));
        assert!(smaller.is_subset(&set) && !set.is_subset(&smaller));
        assert_eq!(gtid(8).to_string(), format!("{A}:8"));

        let mut maria = GtidSet::mariadb("0-1-5,7-1-3").unwrap();
        maria.add(&Gtid::MariaDb(7, 2, 9));
        assert_eq!(maria.to_string(), "0-1-5,7-2-9");
        assert!(maria.contains(&Gtid::MariaDb(7, 1, 4)));
        assert!(GtidSet::mariadb("7-1-3").unwrap().is_subset(&maria));
        assert_eq!(GtidSet::mariadb("7-1"), None);
    }

    #[test]
    fn sets_are_parted_by_their_sources() {
        let other = A.replace('3', "4");
        let set = GtidSet::mysql(&format!("{A}:1-3,{A}:tag:1,{other}:5")).unwrap();
        let ours = set.of_sources(|source| source == A);
        assert_eq!(ours.to_string(), format!("{A}:1-3,{A}:tag:1"));
        let mut both = ours.clone();
        both.extend(&set.of_sources(|source| source != A));
        assert_eq!(both, set);
        assert_eq!(Gtid::MySql(parse_uuid(A).unwrap(), "t".into(), 1).source().as_deref(), Some(A));
        assert_eq!(Gtid::MariaDb(7, 1, 3).source().as_deref(), Some("7"));
    }
}
