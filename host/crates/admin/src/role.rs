//! What a token may do. Roles are a ladder: each may do all that the one below it may. Uploading
//! a module is running code, so it stands above starting and stopping what is there.

use axum::http::Method;

/// What a token may do; ascending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Looks: every GET.
    Viewer,
    /// Also pauses, resumes and restarts pipelines, and sends signals to their sources.
    Operator,
    /// Also puts, deletes, rolls back and reloads modules.
    Deployer,
}

impl Role {
    /// The role as a configuration writes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Deployer => "deployer",
        }
    }

    /// The least role for a request. What changes something and is not named here takes the
    /// highest, so that a new route is never open by oversight.
    pub(crate) fn needed(method: &Method, path: &str) -> Self {
        if matches!(*method, Method::GET | Method::HEAD) {
            return Self::Viewer;
        }
        let pipelines = path.starts_with("/api/v1/pipelines/") && *method == Method::POST;
        if pipelines { Self::Operator } else { Self::Deployer }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_something_takes_the_highest_role_unless_it_is_named() {
        for (method, path, want) in [
            (Method::GET, "/api/v1/modules/x", Role::Viewer),
            (Method::HEAD, "/metrics", Role::Viewer),
            (Method::POST, "/api/v1/pipelines/p/pause", Role::Operator),
            (Method::POST, "/api/v1/pipelines/p/signals", Role::Operator),
            (Method::PUT, "/api/v1/pipelines/p", Role::Deployer),
            (Method::PUT, "/api/v1/modules/x", Role::Deployer),
            (Method::POST, "/api/v1/modules/reload", Role::Deployer),
            (Method::POST, "/somewhere/else", Role::Deployer),
            (Method::OPTIONS, "/metrics", Role::Deployer),
        ] {
            assert_eq!(Role::needed(&method, path), want, "{method} {path}");
        }
        assert!(Role::Viewer < Role::Operator && Role::Operator < Role::Deployer);
    }
}
