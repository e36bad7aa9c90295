use std::{ffi::OsStr, fmt::Display, fs, str::FromStr};

use clap::{Arg, Command, Error, builder::TypedValueParser, error::ErrorKind};

/// Parses a flag that may hold a password: the error does not quote the value, as clap's would.
pub fn redacted<T>() -> impl TypedValueParser<Value = T>
where
    T: FromStr<Err: Display> + Clone + Send + Sync + 'static,
{
    RedactedValueParser(|value: &str| value.parse().map_err(|error: T::Err| error.to_string()))
}

/// Parses the content of the file that a flag names. The error does not quote it.
///
/// # Errors
/// The file cannot be read, or its content cannot be parsed.
pub fn in_file<T: FromStr<Err: Display>>(path: &str) -> Result<T, String> {
    let text =
        fs::read_to_string(path).map_err(|error| format!("the file cannot be read: {error}"))?;
    text.trim().parse().map_err(|error| format!("invalid content: {error}"))
}

/// Parses a value with this function, and reports its error without the value.
#[derive(Clone)]
pub(super) struct RedactedValueParser<T>(pub(super) fn(&str) -> Result<T, String>);

impl<T: Clone + Send + Sync + 'static> TypedValueParser for RedactedValueParser<T> {
    type Value = T;

    fn parse_ref(&self, cmd: &Command, arg: Option<&Arg>, value: &OsStr) -> Result<T, Error> {
        let read = match value.to_str() {
            Some(value) => (self.0)(value),
            None => Err("not UTF-8".into()),
        };
        read.map_err(|error| {
            let flag = arg.map(ToString::to_string).unwrap_or_default();
            let message = format!("invalid value for '{flag}': {error}");
            cmd.clone().error(ErrorKind::ValueValidation, message)
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use database::DatabaseUrl;

    #[derive(Debug, Parser)]
    struct Cli {
        #[arg(long, value_parser = redacted::<DatabaseUrl>())]
        database_url: DatabaseUrl,
    }

    #[test]
    fn an_error_does_not_quote_the_value() {
        let read = |url: &str| Cli::try_parse_from(["x", "--database-url", url]);
        assert_eq!(read("sqlite:a.db").unwrap().database_url.to_string(), "sqlite:a.db");
        let refused = read("mysql://me:s3cret@db").unwrap_err().to_string();
        assert!(
            refused.contains("'--database-url <DATABASE_URL>': the scheme 'mysql'"),
            "{refused}"
        );
        assert!(!refused.contains("s3cret"), "{refused}");
    }
}
