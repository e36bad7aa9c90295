//! The revisions that this build holds: `migrations/`, compiled in by the build script.

use std::borrow::Cow;

use api::schema::v1::Backend;
use revisions::{Revision, RevisionSet};

include!(concat!(env!("OUT_DIR"), "/revisions.rs"));

/// The built-in revisions for a database.
pub const fn revisions(backend: Backend) -> RevisionSet {
    RevisionSet::from_static(match backend {
        Backend::Sqlite => SQLITE,
        Backend::Postgres | Backend::Unspecified => POSTGRES,
    })
}
