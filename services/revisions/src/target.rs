//! Where an operation is to end: Alembic's grammar for a history without branches.
//! <https://alembic.sqlalchemy.org/en/latest/tutorial.html#relative-migration-identifiers>

use std::{fmt, str::FromStr};

/// A target as written; a [`RevisionSet`](crate::RevisionSet) resolves it.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Target {
    /// The newest revision: `head`, or an empty text.
    Head,
    /// Before the first revision: `base`.
    Base,
    /// A revision, or a prefix that only one has.
    Revision(String),
    /// That many revisions forward: `+N`.
    Plus(usize),
    /// That many revisions back: `-N`.
    Minus(usize),
}

/// Why a target cannot be resolved.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum TargetError {
    /// It has none of the known forms.
    #[error(
        "'{0}' is not a target; use head, base, a revision such as 0002 or a prefix of one, +N or -N"
    )]
    Malformed(String),
    /// It is relative where a revision is required.
    #[error("'{0}' is relative; use a revision, head or base")]
    Relative(String),
    /// The revision is neither held nor applied.
    #[error("unknown revision '{target}'; the newest known revision is '{head}'")]
    Unknown {
        /// The target as written.
        target: String,
        /// The newest revision held.
        head: String,
    },
    /// More than one revision has that prefix.
    #[error("'{target}' is a prefix of {fits}; use a longer prefix")]
    Ambiguous {
        /// The target as written.
        target: String,
        /// The revisions that it is a prefix of.
        fits: String,
    },
    /// `+N` or `-N` with a larger number than there are steps.
    #[error("'{target}' is past the end; there are only {steps} steps in that direction")]
    Past {
        /// The target as written.
        target: String,
        /// The number of steps in that direction.
        steps: usize,
    },
    /// An Upgrade to an older revision than the current one.
    #[error("'{target}' is behind the current revision '{current}'; use Downgrade")]
    Behind {
        /// The target as written.
        target: String,
        /// The newest revision applied.
        current: String,
    },
    /// A Downgrade to a newer revision than the current one.
    #[error("'{target}' is ahead of the current revision '{current}'; use Upgrade")]
    Ahead {
        /// The target as written.
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
    fn other_forms_are_refused() {
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
                Err(TargetError::Malformed(text)) => prop_assert!(text.chars().count() <= 64),
                Err(other) => prop_assert!(false, "{:?}", other),
            }
        }
    }
}
