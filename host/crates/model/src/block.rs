//! Many byte strings in one allocation: offsets with a leading 0, and the bytes.
//! `&offsets[1..]` is the contract's `ends`; the offsets vector is also an Arrow offset buffer.

/// A list of byte strings. Value `i` is `data[offsets[i]..offsets[i + 1]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// One more than there are values; the first is 0; ascending.
    pub offsets: Vec<u32>,
    pub data: Vec<u8>,
}

impl Default for Block {
    fn default() -> Self {
        Self { offsets: vec![0], data: Vec::new() }
    }
}

impl Block {
    /// How many values there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.offsets.len().saturating_sub(1)
    }

    /// Whether there is no value.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Value `i`; empty when out of range.
    #[must_use]
    pub fn get(&self, i: usize) -> &[u8] {
        match (self.offsets.get(i), self.offsets.get(i + 1)) {
            (Some(&from), Some(&to)) => self.data.get(from as usize..to as usize).unwrap_or(&[]),
            _ => &[],
        }
    }

    /// Value `i` as text; empty when out of range or not UTF-8.
    #[must_use]
    pub fn text(&self, i: usize) -> &str {
        std::str::from_utf8(self.get(i)).unwrap_or("")
    }

    /// Appends one value. A block holds less than 4 GiB: batches are bounded far below.
    pub fn push(&mut self, value: &[u8]) {
        self.data.extend_from_slice(value);
        self.seal();
    }

    /// Ends a value whose bytes were appended to `data` directly.
    pub fn seal(&mut self) {
        self.offsets.push(u32::try_from(self.data.len()).unwrap_or(u32::MAX));
    }

    /// Appends empty values until there are `values`.
    pub fn seal_until(&mut self, values: usize) {
        let end = self.offsets.last().copied().unwrap_or(0);
        self.offsets.resize((values + 1).max(self.offsets.len()), end);
    }

    /// The contract's `ends`: where each value stops.
    #[must_use]
    pub fn ends(&self) -> &[u32] {
        self.offsets.get(1..).unwrap_or(&[])
    }

    /// Empties the block and keeps its memory.
    pub fn clear(&mut self) {
        self.offsets.truncate(1);
        self.data.clear();
    }

    /// Keeps the values at `rows` (ascending), in place.
    pub fn compact(&mut self, rows: &[u32]) {
        let mut end = 0_usize;
        for (to, &row) in rows.iter().enumerate() {
            let at = row as usize;
            let (Some(&from), Some(&until)) = (self.offsets.get(at), self.offsets.get(at + 1))
            else {
                break;
            };
            self.data.copy_within(from as usize..until as usize, end);
            end += (until - from) as usize;
            if let Some(offset) = self.offsets.get_mut(to + 1) {
                *offset = end as u32;
            }
        }
        self.data.truncate(end);
        self.offsets.truncate(rows.len() + 1);
    }
}
