//! What requests bring along, with refusals in our own shape.

use axum::extract::{FromRequestParts, Path, Query};
use axum::http::request::Parts;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};

use crate::answer::ApiError;

/// Makes an extractor of axum's whose refusals have our shape.
macro_rules! extractor {
    ($(#[$about:meta])* $name:ident of $inner:ident, refused as $code:literal) => {
        $(#[$about])*
        pub(crate) struct $name<T>(pub(crate) T);

        impl<T, S> FromRequestParts<S> for $name<T>
        where
            T: DeserializeOwned + Send,
            S: Send + Sync,
        {
            type Rejection = ApiError;

            async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
                match $inner::from_request_parts(parts, state).await {
                    Ok($inner(value)) => Ok(Self(value)),
                    Err(why) => Err(ApiError::new(400, $code, why.body_text())),
                }
            }
        }
    };
}

extractor! {
    /// The variable parts of a path.
    InPath of Path, refused as "path-refused"
}

extractor! {
    /// The flags of a query. What is not known is refused: `?dryrun=true` would deploy.
    InQuery of Query, refused as "query-refused"
}

/// The module that a path names. `POST /api/v1/modules/reload` has a route of its own, which is no
/// reason why a module should not have that name.
pub(crate) struct InModule(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for InModule {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        if parts.uri.path() == RELOAD {
            return Ok(Self("reload".to_owned()));
        }
        InPath::from_request_parts(parts, state).await.map(|InPath(module)| Self(module))
    }
}

/// The route that reads the modules' directory again.
pub(crate) const RELOAD: &str = "/api/v1/modules/reload";

/// How an upload is meant.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PutFlags {
    #[serde(default, deserialize_with = "flag")]
    pub(crate) dry_run: bool,
}

/// How a rollback is meant.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RollbackFlags {
    pub(crate) sha256: Option<String>,
}

/// How a deletion is meant.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeleteFlags {
    #[serde(default, deserialize_with = "flag")]
    pub(crate) force: bool,
}

/// `?force` alone is yes.
fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    match String::deserialize(deserializer)?.as_str() {
        "" | "true" => Ok(true),
        "false" => Ok(false),
        other => Err(D::Error::custom(format!("found `{other}`, expected true or false"))),
    }
}
