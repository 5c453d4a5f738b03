//! A token of the HTTP interface: the text alone, or with a role.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Visitor};

use crate::config::units::Secret;

/// A token and what it may do.
#[derive(Debug)]
pub(crate) struct Token {
    pub(crate) token: Secret,
    pub(crate) role: Role,
    /// It was written as a mapping, so that a problem can be placed at its member.
    pub(crate) mapping: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    Viewer,
    Operator,
    Deployer,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    token: Secret,
    role: Role,
}

struct TokenVisitor;

impl<'de> Visitor<'de> for TokenVisitor {
    type Value = Token;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a token in quotes, or `{ token, role }`")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Token, E> {
        Ok(Token { token: Secret(text.into()), role: Role::Deployer, mapping: false })
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Token, A::Error> {
        let Written { token, role } = Written::deserialize(MapAccessDeserializer::new(members))?;
        Ok(Token { token, role, mapping: true })
    }
}

impl<'de> Deserialize<'de> for Token {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TokenVisitor)
    }
}

impl JsonSchema for Token {
    fn schema_name() -> Cow<'static, str> {
        "Token".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [
            { "type": "string", "writeOnly": true },
            {
                "type": "object",
                "properties": {
                    "token": { "type": "string", "writeOnly": true },
                    "role": { "enum": ["viewer", "operator", "deployer"] }
                },
                "required": ["token", "role"],
                "additionalProperties": false
            }
        ]})
    }
}
