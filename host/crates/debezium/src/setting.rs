//! Settings of a pipeline in the shape of the configuration file, each with the property that it
//! comes from.

/// A setting.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    pub value: Value,
    /// Index of the property; `None` where several make it together, or none does.
    pub from: Option<usize>,
}

/// A setting's value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Flag(bool),
    Whole(i64),
    Text(String),
    /// Text of a number, a flag or a text: whatever the setting takes.
    Any(String),
    List(Vec<Setting>),
    /// In order.
    Map(Vec<(String, Setting)>),
}

impl Setting {
    pub(crate) fn map(from: Option<usize>) -> Self {
        Self { value: Value::Map(Vec::new()), from }
    }

    pub(crate) fn text(text: impl Into<String>, from: usize) -> Self {
        Self { value: Value::Text(text.into()), from: Some(from) }
    }

    /// A list of texts.
    pub(crate) fn texts<T: Into<String>>(texts: impl IntoIterator<Item = T>, from: usize) -> Self {
        let entries = texts.into_iter().map(|text| Self::text(text, from)).collect();
        Self { value: Value::List(entries), from: Some(from) }
    }

    /// Changes the member of a mapping, which is made when it is not there. What is no mapping
    /// becomes one.
    pub(crate) fn at(&mut self, name: &str, change: impl FnOnce(&mut Self)) {
        if !matches!(self.value, Value::Map(_)) {
            self.value = Value::Map(Vec::new());
        }
        let Value::Map(members) = &mut self.value else { return };
        if let Some((_, known)) = members.iter_mut().find(|(member, _)| member == name) {
            change(known);
            return;
        }
        let mut made = Self::map(None);
        change(&mut made);
        members.push((name.to_owned(), made));
    }

    /// Sets a member whose name is taken as it is.
    pub(crate) fn set(&mut self, name: &str, setting: Self) {
        self.at(name, |member| *member = setting);
    }

    /// Puts a setting at a dotted path.
    pub(crate) fn put(&mut self, path: &str, setting: Self) {
        match path.split_once('.') {
            Some((first, rest)) => self.at(first, |member| member.put(rest, setting)),
            None => self.set(path, setting),
        }
    }

    /// What stands at a dotted path.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<&Self> {
        let mut at = self;
        for step in path.split('.') {
            let Value::Map(members) = &at.value else { return None };
            at = members.iter().find(|(member, _)| member == step).map(|(_, setting)| setting)?;
        }
        Some(at)
    }

    /// Entries of a list.
    pub(crate) fn entries(&self) -> usize {
        match &self.value {
            Value::List(entries) => entries.len(),
            _ => 0,
        }
    }

    /// Appends to the list at a dotted path, which is made when it is not there.
    pub(crate) fn push_at(&mut self, path: &str, entry: Self) {
        match path.split_once('.') {
            Some((first, rest)) => self.at(first, |member| member.push_at(rest, entry)),
            None => self.at(path, |member| member.push(entry)),
        }
    }

    pub(crate) fn push(&mut self, entry: Self) {
        match &mut self.value {
            Value::List(entries) => entries.push(entry),
            _ => self.value = Value::List(vec![entry]),
        }
    }
}
