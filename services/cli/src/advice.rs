use std::collections::HashMap;

use api::Reason;

/// What to do about a refusal by a service, such as `schema`, from its `ErrorInfo`. `None` where the
/// refusal does not concern the caller's credentials. `flag` begins the names of the command's flags
/// for that service, as in [`client_args!`](crate::client_args).
pub fn advice(
    service: &str,
    flag: &str,
    reason: &str,
    metadata: &HashMap<String, String>,
) -> Option<String> {
    let prefix = service.to_uppercase();
    Some(match reason.parse().ok()? {
        Reason::TokenMissing => format!(
            "pass a token: --{flag}token-file FILE, {prefix}_TOKEN_FILE or {prefix}_TOKEN\n  \
             the service's operator creates one: {service} token NAME --role ROLE"
        ),
        Reason::TokenUnknown | Reason::TokenMalformed => format!(
            "check that {prefix}_TOKEN_FILE or {prefix}_TOKEN holds the whole token for this service"
        ),
        Reason::CertificateUnknown => {
            "the service's operator adds the certificate's name to the access file: \
             certificate = \"...\""
                .into()
        }
        Reason::RoleRequired => {
            let role = metadata.get("role").map_or("ROLE", String::as_str);
            format!(
                "pass the token of a caller with that role: --{flag}token-file FILE\n  \
                 the service's operator creates one: {service} token NAME --role {role}"
            )
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_names_the_services_own_command_and_variables() {
        let role = HashMap::from([("role".to_owned(), "admin".to_owned())]);
        let text = advice("schema", "", "ROLE_REQUIRED", &role).unwrap();
        assert!(text.ends_with("schema token NAME --role admin"), "{text}");
        let text = advice("chat", "", "TOKEN_MISSING", &HashMap::new()).unwrap();
        assert!(text.contains("CHAT_TOKEN_FILE"), "{text}");
        assert_eq!(advice("chat", "", "CHAT_NOT_FOUND", &HashMap::new()), None);
        assert_eq!(advice("chat", "", "OF_A_NEWER_SERVER", &HashMap::new()), None);
    }
}
