//! What requests bring along, with refusals in our own shape.

use axum::extract::{FromRequestParts, Path, Query};
use axum::http::request::Parts;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};

use crate::answer::ApiError;

/// The variable parts of a path.
pub(crate) struct InPath<T>(pub(crate) T);

impl<T, S> FromRequestParts<S> for InPath<T>
where
    T: DeserializeOwned + Send,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(value)) => Ok(Self(value)),
            Err(why) => Err(ApiError::new(400, "path-refused", why.body_text())),
        }
    }
}

/// The flags of a query. What is not known is refused: `?dryrun=true` would deploy.
pub(crate) struct InQuery<T>(pub(crate) T);

impl<T, S> FromRequestParts<S> for InQuery<T>
where
    T: DeserializeOwned + Send,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Query::from_request_parts(parts, state).await {
            Ok(Query(value)) => Ok(Self(value)),
            Err(why) => Err(ApiError::new(400, "query-refused", why.body_text())),
        }
    }
}

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
