//! Serde over the tree: knows the dotted field and the place of everything it hands out.

use serde::de::value::StringDeserializer;
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error as _, IntoDeserializer, MapAccess, SeqAccess,
    Unexpected, VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use super::problem::{Problem, alternatives, join};
use super::tree::{Body, Key, Node};

/// Reads one value of the tree.
#[derive(Clone)]
pub(crate) struct Reader<'t> {
    node: &'t Node,
    field: String,
}

impl<'t> Reader<'t> {
    pub(crate) fn new(node: &'t Node) -> Self {
        Self { node, field: String::new() }
    }

    fn member(&self, node: &'t Node, name: &str) -> Self {
        Self { node, field: join(&self.field, name) }
    }

    fn entry(&self, node: &'t Node, index: usize) -> Self {
        Self { node, field: format!("{}[{index}]", self.field) }
    }

    fn located<T>(&self, result: Result<T, Problem>) -> Result<T, Problem> {
        result.map_err(|problem| problem.within(&self.field, self.node.place))
    }

    /// The scalar as text: its value and, where that came from somewhere else, what is written.
    /// `None` for null, lists and mappings.
    fn text(&self) -> Option<(&'t str, Option<&'t str>)> {
        let (written, resolved) = self.node.scalar()?;
        Some(resolved.map_or((written, None), |value| (value, Some(written))))
    }

    /// A problem with a scalar, placed and without a value that came from somewhere else.
    fn scalar_problem<T>(&self, result: Result<T, Problem>) -> Result<T, Problem> {
        let hidden = result.map_err(|problem| match self.text() {
            Some((value, Some(written))) => problem.hide(value, written),
            _ => problem,
        });
        self.located(hidden)
    }

    /// What stands here where something else is expected.
    fn unexpected(&self) -> Unexpected<'t> {
        match &self.node.body {
            Body::Null => Unexpected::Unit,
            Body::Bool(v) => Unexpected::Bool(*v),
            Body::Signed(v, _) => Unexpected::Signed(*v),
            Body::Unsigned(v, _) => Unexpected::Unsigned(*v),
            Body::Float(v, _) => Unexpected::Float(*v),
            Body::Text(v) => Unexpected::Str(v.resolved.as_deref().unwrap_or(&v.written)),
            Body::List(_) => Unexpected::Seq,
            Body::Map(_) => Unexpected::Map,
        }
    }

    /// A number or boolean: as the document has it, or parsed from text with references.
    fn scalar<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Problem> {
        let Some((value, Some(_))) = self.text() else {
            return self.value(visitor);
        };
        let parsed = if let Ok(v) = value.parse() {
            visitor.visit_u64(v)
        } else if let Ok(v) = value.parse() {
            visitor.visit_i64(v)
        } else if let Ok(v) = value.parse() {
            visitor.visit_bool(v)
        } else if let Ok(v) = value.parse() {
            visitor.visit_f64(v)
        } else {
            visitor.visit_str(value)
        };
        self.scalar_problem(parsed)
    }

    /// Whatever stands here.
    fn value<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Problem> {
        let result = match &self.node.body {
            Body::Null => visitor.visit_unit(),
            Body::Bool(v) => visitor.visit_bool(*v),
            Body::Signed(v, _) => visitor.visit_i64(*v),
            Body::Unsigned(v, _) => visitor.visit_u64(*v),
            Body::Float(v, _) => visitor.visit_f64(*v),
            Body::Text(_) => return self.string(visitor),
            Body::List(entries) => {
                visitor.visit_seq(Entries { reader: &self, entries: entries.iter(), index: 0 })
            }
            Body::Map(members) => {
                visitor.visit_map(Members { reader: &self, members: members.iter(), value: None })
            }
        };
        self.located(result)
    }

    fn string<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Problem> {
        let result = match self.text() {
            Some((value, _)) => visitor.visit_borrowed_str(value),
            None => Err(Problem::invalid_type(self.unexpected(), &visitor)),
        };
        self.scalar_problem(result)
    }

    /// A mapping; one without members may be written as nothing at all. What is wrong with it as
    /// a whole (a missing member) is placed by the caller, at its key.
    fn mapping<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Problem> {
        let members = match &self.node.body {
            Body::Map(members) => members.as_slice(),
            Body::Null => &[],
            _ => return self.located(Err(Problem::invalid_type(self.unexpected(), &visitor))),
        };
        visitor.visit_map(Members { reader: &self, members: members.iter(), value: None })
    }
}

impl<'de> Deserializer<'de> for Reader<'de> {
    type Error = Problem;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        self.value(visitor)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        self.string(visitor)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        self.string(visitor)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        self.scalar(visitor)
    }

    fn deserialize_u16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        self.scalar(visitor)
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        self.scalar(visitor)
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        self.scalar(visitor)
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        self.scalar(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        self.scalar(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        match &self.node.body {
            Body::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        self.mapping(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Problem> {
        self.mapping(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Problem> {
        visitor.visit_newtype_struct(self)
    }

    /// Only enums of plain words are configured.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Problem> {
        let Some((word, _)) = self.text() else {
            let words = alternatives(variants);
            return self.located(Err(Problem::invalid_type(self.unexpected(), &words.as_str())));
        };
        let result = visitor.visit_enum(Word(word.to_owned()));
        self.scalar_problem(result)
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i128 u8 u128 f32 char bytes byte_buf unit unit_struct seq tuple tuple_struct
        identifier ignored_any
    }
}

/// The entries of a list.
struct Entries<'r, 't> {
    reader: &'r Reader<'t>,
    entries: std::slice::Iter<'t, Node>,
    index: usize,
}

impl<'t> SeqAccess<'t> for Entries<'_, 't> {
    type Error = Problem;

    fn next_element_seed<S: DeserializeSeed<'t>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Problem> {
        let Some(node) = self.entries.next() else {
            return Ok(None);
        };
        let entry = self.reader.entry(node, self.index);
        self.index += 1;
        let located = entry.clone();
        located.located(seed.deserialize(entry)).map(Some)
    }
}

/// The members of a mapping.
struct Members<'r, 't> {
    reader: &'r Reader<'t>,
    members: std::slice::Iter<'t, (Key, Node)>,
    value: Option<(&'t Key, &'t Node)>,
}

impl<'t> MapAccess<'t> for Members<'_, 't> {
    type Error = Problem;

    fn next_key_seed<S: DeserializeSeed<'t>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Problem> {
        let Some((key, node)) = self.members.next() else {
            return Ok(None);
        };
        self.value = Some((key, node));
        let name: StringDeserializer<Problem> = key.name.clone().into_deserializer();
        let read = seed.deserialize(name);
        let field = join(&self.reader.field, &key.name);
        read.map(Some).map_err(|problem| problem.within(&field, key.place))
    }

    fn next_value_seed<S: DeserializeSeed<'t>>(&mut self, seed: S) -> Result<S::Value, Problem> {
        let Some((key, node)) = self.value.take() else {
            return Err(Problem::new("a value was asked for before its key"));
        };
        let member = self.reader.member(node, &key.name);
        let field = member.field.clone();
        let place = match node.body {
            Body::Map(_) | Body::Null => key.place,
            _ => node.place,
        };
        seed.deserialize(member).map_err(|problem| problem.within(&field, place))
    }
}

/// An enum's word.
struct Word(String);

impl<'t> EnumAccess<'t> for Word {
    type Error = Problem;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'t>>(self, seed: S) -> Result<(S::Value, Self), Problem> {
        let word: StringDeserializer<Problem> = self.0.clone().into_deserializer();
        seed.deserialize(word).map(|value| (value, self))
    }
}

impl<'t> VariantAccess<'t> for Word {
    type Error = Problem;

    fn unit_variant(self) -> Result<(), Problem> {
        Ok(())
    }

    fn newtype_variant_seed<S: DeserializeSeed<'t>>(self, _: S) -> Result<S::Value, Problem> {
        Err(self.alone())
    }

    fn tuple_variant<V: Visitor<'t>>(self, _: usize, _: V) -> Result<V::Value, Problem> {
        Err(self.alone())
    }

    fn struct_variant<V: Visitor<'t>>(
        self,
        _: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Problem> {
        Err(self.alone())
    }
}

impl Word {
    fn alone(self) -> Problem {
        Problem::new(format!("found only the word `{}`, expected a mapping", self.0))
    }
}
