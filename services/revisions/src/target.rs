//! Where an Upgrade or a Downgrade is to end: Alembic's grammar on a straight line.
//! <https://alembic.sqlalchemy.org/en/latest/tutorial.html#relative-migration-identifiers>

use std::{fmt, str::FromStr};

/// A target, read but not yet looked up.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Target {
    /// The newest revision: `head`, or nothing.
    Head,
    /// Before the first revision: `base`.
    Base,
    /// A revision, or a prefix that only one has.
    Revision(String),
    /// So many revisions forward: `+N`.
    Plus(usize),
    /// So many revisions back: `-N`.
    Minus(usize),
}

/// Why a target leads nowhere.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum TargetError {
    /// It is written in no form that is known.
    #[error("'{0}' is no target: head, base, a revision such as 0002 or a prefix of one, +N or -N")]
    Malformed(String),
    /// It is so many steps from somewhere, where a place is needed.
    #[error("'{0}' is relative: name a revision, head or base")]
    Relative(String),
    /// Nobody has that revision.
    #[error("no revision '{target}' is held here or applied; the newest held is '{head}'")]
    Unknown {
        /// What was asked for.
        target: String,
        /// The newest revision held.
        head: String,
    },
    /// More than one revision has that prefix.
    #[error("'{target}' could be any of {fits}: give more of it")]
    Ambiguous {
        /// What was asked for.
        target: String,
        /// Those that fit.
        fits: String,
    },
    /// `+N` or `-N` with a larger number than there are steps.
    #[error("'{target}' leads past the end: there are only {steps} steps that way")]
    Past {
        /// What was asked for.
        target: String,
        /// How many there are.
        steps: usize,
    },
    /// An Upgrade to where the schema has been already.
    #[error("'{target}' is behind the current revision '{current}': that is a Downgrade")]
    Behind {
        /// What was asked for.
        target: String,
        /// The newest revision applied.
        current: String,
    },
    /// A Downgrade to where the schema has not been yet.
    #[error("'{target}' is ahead of the current revision '{current}': that is an Upgrade")]
    Ahead {
        /// What was asked for.
        target: String,
        /// The newest revision applied.
        current: String,
    },
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let malformed = || TargetError::Malformed(text.chars().take(64).collect());
        let count = |digits: &str| match digits.parse::<usize>() {
            Ok(count) if count > 0 && digits.bytes().all(|byte| byte.is_ascii_digit()) => Ok(count),
            _ => Err(malformed()),
        };
        match text {
            "" | "head" => Ok(Self::Head),
            "base" => Ok(Self::Base),
            _ => match text.split_at_checked(1) {
                Some(("+", digits)) => count(digits).map(Self::Plus),
                Some(("-", digits)) => count(digits).map(Self::Minus),
                _ if text.len() <= 50 && text.bytes().all(|byte| byte.is_ascii_digit()) => {
                    Ok(Self::Revision(text.into()))
                }
                _ => Err(malformed()),
            },
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Head => f.write_str("head"),
            Self::Base => f.write_str("base"),
            Self::Revision(id) => f.write_str(id),
            Self::Plus(count) => write!(f, "+{count}"),
            Self::Minus(count) => write!(f, "-{count}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_no_target_is_refused() {
        for text in [
            "+",
            "-",
            "+0",
            "-0",
            "+-1",
            "++1",
            "latest",
            "0002\0",
            " head",
            "é",
            "HEAD",
            "+99999999999999999999999",
        ] {
            assert!(matches!(text.parse::<Target>(), Err(TargetError::Malformed(_))), "{text}");
        }
    }

    #[test]
    fn a_target_prints_as_it_is_written() {
        for text in ["head", "base", "0002", "+1", "-12"] {
            assert_eq!(text.parse::<Target>().unwrap().to_string(), text);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases.max(2_000)))]

        #[test]
        fn any_target_is_read_or_refused(text in "[-+]?[0-9]{0,60}|.*") {
            match text.parse::<Target>() {
                Ok(target) => prop_assert_eq!(target.to_string().parse::<Target>(), Ok(target)),
                Err(TargetError::Malformed(told)) => prop_assert!(told.chars().count() <= 64),
                Err(other) => prop_assert!(false, "{:?}", other),
            }
        }
    }
}
