//! The interface over a gateway that remembers what it was asked.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

#[path = "http/access.rs"]
mod access;
#[path = "http/document.rs"]
mod document;
#[path = "http/fake.rs"]
mod fake;
#[path = "http/listen.rs"]
mod listen;
#[path = "http/routes.rs"]
mod routes;
#[path = "http/upload.rs"]
mod upload;
