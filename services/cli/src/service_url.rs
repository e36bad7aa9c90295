use clap::builder::TypedValueParser;
use tonic::transport::Uri;

use crate::redacted::RedactedValueParser;

/// Parses the URL of a service from a flag. The error does not quote it.
pub fn service_url() -> impl TypedValueParser<Value = Uri> {
    RedactedValueParser(parse_service_url)
}

fn parse_service_url(url: &str) -> Result<Uri, String> {
    const EXAMPLE: &str = "as in http://host:50051";
    let uri: Uri = url.parse().map_err(|error| format!("{error}: {EXAMPLE}"))?;
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err(format!("a user and password are not supported: {EXAMPLE}, with a token file"));
    }
    match uri.scheme_str() {
        Some("http" | "https") => Ok(uri),
        Some(other) => {
            Err(format!("the scheme {other}:// is not supported: {EXAMPLE}, or https://"))
        }
        None => Err(format!("no scheme: {EXAMPLE}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_has_a_scheme() {
        assert!(parse_service_url("http://schema:50051").is_ok());
        assert!(parse_service_url("https://schema").is_ok());
        for bad in ["schema:50051", "ftp://schema", "http://", "http://me:secret@schema", ""] {
            let refused = parse_service_url(bad).unwrap_err();
            assert!(refused.contains("as in http://") && !refused.contains("secret"), "{refused}");
        }
    }
}
