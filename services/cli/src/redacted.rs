//! Flags that may hold a password, or name a file that holds one.

use std::{ffi::OsStr, fmt::Display, fs, str::FromStr};

use clap::{Arg, Command, Error, builder::TypedValueParser, error::ErrorKind};

/// Reads a flag that may hold a password: what is wrong with it is said without repeating it.
pub fn redacted<T>() -> impl TypedValueParser<Value = T>
where
    T: FromStr<Err: Display> + Clone + Send + Sync + 'static,
{
    RedactedValueParser(|value: &str| value.parse().map_err(|error: T::Err| error.to_string()))
}

/// Reads the file that a flag names. Nothing of what it holds is repeated.
///
/// # Errors
/// It cannot be read, or what it holds is of no use.
pub fn in_file<T: FromStr<Err: Display>>(path: &str) -> Result<T, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("it cannot be read: {error}"))?;
    text.trim().parse().map_err(|error| format!("what it holds is of no use: {error}"))
}

/// How a value is read, or what is wrong with it.
#[derive(Clone)]
pub(super) struct RedactedValueParser<T>(pub(super) fn(&str) -> Result<T, String>);

impl<T: Clone + Send + Sync + 'static> TypedValueParser for RedactedValueParser<T> {
    type Value = T;

    fn parse_ref(&self, cmd: &Command, arg: Option<&Arg>, value: &OsStr) -> Result<T, Error> {
        let read = match value.to_str() {
            Some(value) => (self.0)(value),
            None => Err("not UTF-8".into()),
        };
        read.map_err(|why| {
            let flag = arg.map(ToString::to_string).unwrap_or_default();
            let said = format!("invalid value for '{flag}': {why}");
            cmd.clone().error(ErrorKind::ValueValidation, said)
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use database::DatabaseUrl;

    #[derive(Debug, Parser)]
    struct Line {
        #[arg(long, value_parser = redacted::<DatabaseUrl>())]
        database_url: DatabaseUrl,
    }

    #[test]
    fn what_is_wrong_is_said_without_the_value() {
        let read = |url: &str| Line::try_parse_from(["x", "--database-url", url]);
        assert_eq!(read("sqlite:a.db").unwrap().database_url.to_string(), "sqlite:a.db");
        let refused = read("mysql://me:s3cret@db").unwrap_err().to_string();
        assert!(
            refused.contains("'--database-url <DATABASE_URL>': the scheme 'mysql'"),
            "{refused}"
        );
        assert!(!refused.contains("s3cret"), "{refused}");
    }
}
