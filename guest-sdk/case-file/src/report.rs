//! What a run of case files gave, for people.

use std::fmt;

/// What was run and what was not as expected.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Case files that ran.
    pub cases: usize,
    /// Records in them.
    pub rows: usize,
    pub failures: Vec<Failure>,
}

/// A case, or a record of it, that did not turn out as expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The case's name.
    pub case: String,
    pub about: String,
    /// Line of the record in the file; `None`: the case as a whole.
    pub line: Option<u32>,
    /// What differs, a line each.
    pub differences: Vec<String>,
}

impl Report {
    /// Whether everything was as expected.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.failures.is_empty()
    }

    /// The first difference, for one line of a log.
    #[must_use]
    pub fn first_failure(&self) -> Option<String> {
        let failure = self.failures.first()?;
        let first = failure.differences.first().map_or("", String::as_str);
        Some(format!("{}: {first}", failure.place()))
    }
}

impl Failure {
    /// `name.yaml:12`
    #[must_use]
    pub fn place(&self) -> String {
        match self.line {
            Some(line) => format!("{}.yaml:{line}", self.case),
            None => format!("{}.yaml", self.case),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for failure in &self.failures {
            let place = failure.place();
            match failure.about.as_str() {
                "" => writeln!(f, "{place}")?,
                about => writeln!(f, "{place} ({about})")?,
            }
            failure.differences.iter().try_for_each(|line| writeln!(f, "  {line}"))?;
        }
        let count = |n: usize, what: &str| match n {
            1 => format!("1 {what}"),
            n => format!("{n} {what}s"),
        };
        let (cases, rows) = (count(self.cases, "case"), count(self.rows, "record"));
        match self.failures.len() {
            0 => write!(f, "{cases}, {rows}: all as expected"),
            n => write!(f, "{cases}, {rows}: {n} not as expected"),
        }
    }
}
