//! A property on its way: what is written, and what that stands for.

use crate::document::Place;

/// Who gave a property.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The document, at this place.
    Document(Place),
    /// Nobody: Debezium's default counts.
    Debezium,
    /// The defaults of all connectors, as a worker's properties.
    Defaults,
}

/// A property with its references resolved.
#[derive(Clone, PartialEq, Eq)]
pub struct Property {
    pub name: String,
    /// The text as it is written.
    pub written: String,
    /// What it stands for, where it has references: a secret as likely as not.
    pub resolved: Option<String>,
    pub origin: Origin,
}

impl Property {
    /// The text that counts.
    #[must_use]
    pub fn value(&self) -> &str {
        self.resolved.as_deref().unwrap_or(&self.written)
    }
}

/// Never what a reference stands for.
impl std::fmt::Debug for Property {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Property")
            .field("name", &self.name)
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}
