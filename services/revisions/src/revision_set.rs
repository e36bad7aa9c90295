use std::{borrow::Cow, collections::BTreeSet};

use crate::{Revision, Target, TargetError};

/// The revisions that a server holds for its database, oldest first.
#[derive(Clone, Debug)]
pub struct RevisionSet(Cow<'static, [Revision]>);

impl RevisionSet {
    /// A set that was compiled in, oldest first.
    pub const fn from_static(revisions: &'static [Revision]) -> Self {
        Self(Cow::Borrowed(revisions))
    }

    /// Every revision, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Revision> {
        self.0.iter()
    }

    /// The newest revision; empty where there is none.
    pub fn head(&self) -> &str {
        self.0.last().map_or("", |revision| &revision.id)
    }

    /// A revision by its id.
    pub fn get(&self, id: &str) -> Option<&Revision> {
        self.0.iter().find(|revision| revision.id == id)
    }

    /// The revisions that an Upgrade to `target` applies, oldest first.
    ///
    /// # Errors
    /// The target is unknown, ambiguous, or behind what is applied.
    pub fn upgrade(
        &self,
        target: &Target,
        applied: &BTreeSet<String>,
    ) -> Result<Vec<&Revision>, TargetError> {
        let pending: Vec<&Revision> =
            self.iter().filter(|revision| !applied.contains(revision.id.as_ref())).collect();
        let current = applied.last().map_or("", String::as_str);
        let behind = || TargetError::Behind { target: target.to_string(), current: current.into() };
        match target {
            Target::Head => Ok(pending),
            Target::Base if current.is_empty() => Ok(Vec::new()),
            Target::Base | Target::Minus(_) => Err(behind()),
            Target::Plus(count) if *count > pending.len() => {
                Err(TargetError::Past { target: target.to_string(), steps: pending.len() })
            }
            Target::Plus(count) => Ok(pending.into_iter().take(*count).collect()),
            Target::Revision(prefix) => {
                let id = self.find(prefix, applied)?;
                if id.as_str() < current {
                    return Err(behind());
                }
                Ok(pending.into_iter().take_while(|revision| *revision.id <= *id).collect())
            }
        }
    }

    /// The applied revisions that a Downgrade to `target` reverts, newest first. They may be ones
    /// that this service does not hold.
    ///
    /// # Errors
    /// The target is unknown, ambiguous, or ahead of what is applied.
    pub fn downgrade(
        &self,
        target: &Target,
        applied: &BTreeSet<String>,
    ) -> Result<Vec<String>, TargetError> {
        let current = applied.last().map_or("", String::as_str);
        let ahead = || TargetError::Ahead { target: target.to_string(), current: current.into() };
        let newest_first = applied.iter().rev();
        match target {
            Target::Base => Ok(newest_first.cloned().collect()),
            Target::Head if self.head() <= current => Ok(Vec::new()),
            Target::Head | Target::Plus(_) => Err(ahead()),
            Target::Minus(count) if *count > applied.len() => {
                Err(TargetError::Past { target: target.to_string(), steps: applied.len() })
            }
            Target::Minus(count) => Ok(newest_first.take(*count).cloned().collect()),
            Target::Revision(prefix) => {
                let id = self.find(prefix, applied)?;
                if id.as_str() > current {
                    return Err(ahead());
                }
                Ok(newest_first.take_while(|applied| **applied > id).cloned().collect())
            }
        }
    }

    /// The revision that a Stamp to `target` records; empty for base.
    ///
    /// # Errors
    /// The target is unknown, ambiguous or relative.
    pub fn stamp(&self, target: &Target) -> Result<String, TargetError> {
        match target {
            Target::Head => Ok(self.head().into()),
            Target::Base => Ok(String::new()),
            Target::Revision(prefix) => self.find(prefix, &BTreeSet::new()),
            Target::Plus(_) | Target::Minus(_) => Err(TargetError::Relative(target.to_string())),
        }
    }

    /// The one revision, held or applied, that has this prefix.
    ///
    /// # Errors
    /// None has it, or more than one.
    pub fn find(&self, prefix: &str, applied: &BTreeSet<String>) -> Result<String, TargetError> {
        let known: BTreeSet<&str> = self
            .iter()
            .map(|revision| revision.id.as_ref())
            .chain(applied.iter().map(String::as_str))
            .collect();
        if known.contains(prefix) {
            return Ok(prefix.into());
        }
        let fits: Vec<&str> = known.into_iter().filter(|id| id.starts_with(prefix)).collect();
        match fits[..] {
            [one] => Ok(one.into()),
            [] => Err(TargetError::Unknown { target: prefix.into(), head: self.head().into() }),
            _ => Err(TargetError::Ambiguous { target: prefix.into(), fits: fits.join(", ") }),
        }
    }
}

impl From<Vec<Revision>> for RevisionSet {
    fn from(revisions: Vec<Revision>) -> Self {
        Self(revisions.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set() -> RevisionSet {
        let revision = |id: &'static str| Revision {
            id: id.into(),
            description: "".into(),
            up: "".into(),
            down: "".into(),
            transactional: true,
            compatible_from: None,
            catalog: None,
        };
        vec![revision("0001"), revision("0002"), revision("0010")].into()
    }

    fn applied(ids: &[&str]) -> BTreeSet<String> {
        ids.iter().map(|id| (*id).to_owned()).collect()
    }

    fn up(target: &str, at: &[&str]) -> Result<Vec<String>, String> {
        let target: Target = target.parse().map_err(|e: TargetError| e.to_string())?;
        set()
            .upgrade(&target, &applied(at))
            .map(|steps| steps.iter().map(|step| step.id.to_string()).collect())
            .map_err(|error| error.to_string())
    }

    fn down(target: &str, at: &[&str]) -> Result<Vec<String>, String> {
        let target: Target = target.parse().map_err(|e: TargetError| e.to_string())?;
        set().downgrade(&target, &applied(at)).map_err(|error| error.to_string())
    }

    #[test]
    fn upgrade_goes_up_to_and_with_its_target() {
        assert_eq!(up("head", &[]).unwrap(), ["0001", "0002", "0010"]);
        assert_eq!(up("", &["0001"]).unwrap(), ["0002", "0010"]);
        assert_eq!(up("+1", &["0001"]).unwrap(), ["0002"]);
        assert_eq!(up("0002", &[]).unwrap(), ["0001", "0002"]);
        assert_eq!(up("001", &["0001"]).unwrap(), ["0002", "0010"]);
        assert_eq!(up("0002", &["0001", "0002"]).unwrap(), Vec::<String>::new());
        assert_eq!(up("base", &[]).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn downgrade_takes_back_what_is_after_its_target() {
        let all = ["0001", "0002", "0010"];
        assert_eq!(down("base", &all).unwrap(), ["0010", "0002", "0001"]);
        assert_eq!(down("-2", &all).unwrap(), ["0010", "0002"]);
        assert_eq!(down("0001", &all).unwrap(), ["0010", "0002"]);
        assert_eq!(down("0010", &all).unwrap(), Vec::<String>::new());
        assert_eq!(down("0010", &["0001", "0010", "0011"]).unwrap(), ["0011"]);
    }

    #[test]
    fn a_target_that_cannot_be_resolved_is_refused() {
        for (result, expected) in [
            (up("0003", &[]), "unknown revision"),
            (up("00", &[]), "0001, 0002, 0010"),
            (up("+4", &[]), "only 3"),
            (up("0001", &["0001", "0002"]), "behind"),
            (up("-1", &["0001"]), "behind"),
            (up("base", &["0001"]), "behind"),
            (down("0002", &["0001"]), "ahead"),
            (down("head", &["0001"]), "ahead"),
            (down("-2", &["0001"]), "only 1"),
            (down("latest", &[]), "not a target"),
        ] {
            let error = result.unwrap_err();
            assert!(error.contains(expected), "{error} lacks {expected}");
        }
    }
}
