//! What a snapshot of the server sees, by numbers of transactions (PostgreSQL manual, "pg_snapshot
//! Components"). It tells exactly which changes of the stream a read already contains, however
//! long a commit took to become visible.

/// A snapshot: `xmin:xmax:running,running`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Visible {
    /// All before it are decided.
    xmin: u64,
    /// None from here on was decided.
    xmax: u64,
    /// Between them, those that were not.
    running: Vec<u64>,
}

impl Visible {
    /// Reads the server's text form.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(':');
        let (xmin, xmax) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        let running = parts.next()?.split(',').filter(|x| !x.is_empty());
        let running = running.map(|x| x.parse().ok()).collect::<Option<Vec<u64>>>()?;
        Some(Self { xmin, xmax, running })
    }

    /// Whether what a committed transaction did is seen. The stream has the low half of its
    /// number; the whole one is within two thousand million of the snapshot.
    pub(crate) fn sees(&self, xid: u32) -> bool {
        let distance = xid.wrapping_sub(self.xmax as u32) as i32;
        let whole = self.xmax.wrapping_add_signed(i64::from(distance));
        whole < self.xmin || (whole < self.xmax && !self.running.contains(&whole))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn decided_transactions_are_seen_also_after_the_numbers_began_again() {
        let epoch = 3_u64 << 32;
        for base in [0, epoch] {
            let at = |n: u64| (base + n) as u32;
            let text = format!("{}:{}:{},{}", base + 100, base + 110, base + 100, base + 105);
            let visible = Visible::parse(&text).unwrap();
            for (xid, seen) in
                [(99, true), (100, false), (101, true), (105, false), (109, true), (110, false)]
            {
                assert_eq!(visible.sees(at(xid)), seen, "{xid} of {text}");
            }
        }
        // Just after the low half began again: large numbers are older.
        let visible = Visible::parse(&format!("{}:{}:", epoch + 5, epoch + 5)).unwrap();
        assert!(visible.sees(u32::MAX) && visible.sees(4) && !visible.sees(5));
        for bad in ["", "1", "1:2", "a:2:", "1:2:x"] {
            assert_eq!(Visible::parse(bad), None, "{bad}");
        }
    }
}
