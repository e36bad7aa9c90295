use clap::builder::TypedValueParser;
use tonic::transport::Uri;

use crate::redacted::RedactedValueParser;

/// Reads where a service is, from a flag.
pub fn service_url() -> impl TypedValueParser<Value = Uri> {
    RedactedValueParser(read_service_url)
}

fn read_service_url(url: &str) -> Result<Uri, String> {
    const EXAMPLE: &str = "as in http://host:50051";
    let uri: Uri = url.parse().map_err(|error| format!("{error}: {EXAMPLE}"))?;
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err(format!("it takes no user and no password: {EXAMPLE}, and a token file"));
    }
    match uri.scheme_str() {
        Some("http" | "https") => Ok(uri),
        Some(other) => Err(format!("{other}:// is not understood: {EXAMPLE}, or https://")),
        None => Err(format!("no scheme: {EXAMPLE}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_has_a_scheme() {
        assert!(read_service_url("http://schema:50051").is_ok());
        assert!(read_service_url("https://schema").is_ok());
        for bad in ["schema:50051", "ftp://schema", "http://", "http://me:secret@schema", ""] {
            let refused = read_service_url(bad).unwrap_err();
            assert!(refused.contains("as in http://") && !refused.contains("secret"), "{refused}");
        }
    }
}
