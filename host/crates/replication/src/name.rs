//! Names of tables.

use std::fmt;

/// A table's name: its schema (of MySQL its database) and its own.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TableName {
    pub schema: String,
    pub table: String,
}

impl TableName {
    /// Reads `schema.table`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (schema, table) = text.split_once('.')?;
        let whole = !schema.is_empty() && !table.is_empty();
        whole.then(|| Self { schema: schema.into(), table: table.into() })
    }

    /// As an identifier of standard SQL, in double quotes.
    #[must_use]
    pub fn quoted(&self) -> String {
        let quote = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
        format!("{}.{}", quote(&self.schema), quote(&self.table))
    }
}

impl From<&(String, String)> for TableName {
    fn from((schema, table): &(String, String)) -> Self {
        Self { schema: schema.clone(), table: table.clone() }
    }
}

/// What names a table.
pub trait Named {
    /// Schema and name.
    fn parts(&self) -> (&str, &str);
}

impl Named for TableName {
    fn parts(&self) -> (&str, &str) {
        (&self.schema, &self.table)
    }
}

impl Named for (String, String) {
    fn parts(&self) -> (&str, &str) {
        (&self.0, &self.1)
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema, self.table)
    }
}
