//! What revisions promise, and which promise a database keeps that something else made.

use std::collections::BTreeSet;

use revisions::Revision;
use sql::Dialect;

use super::{Catalog, Drift, ParseError, compare};

/// The catalogs that revisions leave behind, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Promises(Vec<(String, Catalog)>);

/// A revision whose catalog cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the catalog of revision {revision} cannot be read")]
pub struct PromiseError {
    /// The revision.
    pub revision: String,
    /// What is wrong with it.
    pub source: ParseError,
}

/// How well a live catalog keeps one revision's promise.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Fit {
    /// The revision.
    pub revision: String,
    /// Why the database cannot be recorded as being at it: what is missing, what this revision
    /// would have made and is not there, and what is there although only a later one makes it.
    pub obstacles: Vec<String>,
    /// What differs, and stands in nobody's way.
    pub degraded: Vec<String>,
}

impl Fit {
    /// Whether the database can be recorded as being at this revision.
    pub const fn fits(&self) -> bool {
        self.obstacles.is_empty()
    }
}

impl Promises {
    /// Those of the revisions that came with one.
    ///
    /// # Errors
    /// A text that is no catalog.
    pub fn of<'a>(
        dialect: Dialect,
        revisions: impl IntoIterator<Item = &'a Revision>,
    ) -> Result<Self, PromiseError> {
        let mut promises = Vec::new();
        for revision in revisions {
            if let Some(text) = revision.catalog.as_deref() {
                let id = revision.id.to_string();
                match Catalog::parse(dialect, text) {
                    Ok(catalog) => promises.push((id, catalog)),
                    Err(source) => return Err(PromiseError { revision: id, source }),
                }
            }
        }
        Ok(Self(promises))
    }

    /// What a revision promises.
    pub fn get(&self, revision: &str) -> Option<&Catalog> {
        self.0.iter().find(|(id, _)| id == revision).map(|(_, catalog)| catalog)
    }

    /// The tables of a live catalog that a revision would make.
    pub fn tables_in<'a>(&self, live: &'a Catalog) -> Vec<&'a str> {
        let promised =
            |table: &&String| self.0.iter().any(|(_, promise)| promise.tables.contains_key(*table));
        live.tables.keys().filter(promised).map(String::as_str).collect()
    }

    /// Holds a live catalog against every promise.
    pub fn recognise(&self, live: &Catalog) -> Vec<Fit> {
        let names: Vec<_> = self.0.iter().map(|(_, promise)| promise.names()).collect();
        (0..self.0.len()).map(|at| self.fit(at, &names, live)).collect()
    }

    fn fit(&self, at: usize, names: &[BTreeSet<String>], live: &Catalog) -> Fit {
        let (revision, promise) = &self.0[at];
        let Drift { missing: mut obstacles, degraded, .. } = compare(promise, live);
        // Compare's own words: an index that this very revision was to make is more than a lack.
        let made = |what: &String| {
            let name = what.strip_suffix(" is missing").unwrap_or_default();
            names[at].contains(name) && !(at > 0 && names[at - 1].contains(name))
        };
        let (unmade, degraded): (Vec<_>, Vec<_>) = degraded.into_iter().partition(made);
        obstacles.extend(unmade);
        for name in live.names().difference(&names[at]) {
            if let Some(later) = (at + 1..names.len()).find(|later| names[*later].contains(name)) {
                let maker = &self.0[later].0;
                obstacles.push(format!("{name} is there already, and {maker} would make it"));
            }
        }
        Fit { revision: revision.clone(), obstacles, degraded }
    }
}

/// The revision that a database is nearest to: the one in whose way the least stands. Of equals
/// the oldest, so that an Upgrade leaves nothing out.
pub fn nearest(fits: &[Fit]) -> Option<&Fit> {
    fits.iter().min_by_key(|fit| (fit.obstacles.len(), fit.degraded.len()))
}
