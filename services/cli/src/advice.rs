//! What a command says to somebody who was refused.

use std::collections::HashMap;

/// What to do about a refusal of a service's, such as `schema`, by its `ErrorInfo`. None where the
/// refusal has nothing to do with who calls.
pub fn advice(service: &str, reason: &str, metadata: &HashMap<String, String>) -> Option<String> {
    let prefix = service.to_uppercase();
    Some(match reason {
        "TOKEN_MISSING" => format!(
            "show one: --token-file FILE, or {prefix}_TOKEN_FILE, or {prefix}_TOKEN\n  \
             whoever runs the service makes one: {service} token NAME --role ROLE"
        ),
        "TOKEN_UNKNOWN" | "TOKEN_MALFORMED" => format!(
            "is it the right one, whole, for this service? {prefix}_TOKEN_FILE, {prefix}_TOKEN"
        ),
        "CERTIFICATE_UNKNOWN" => {
            "whoever runs the service adds its name to the file of callers: certificate = \"...\""
                .into()
        }
        "ROLE_REQUIRED" => {
            let role = metadata.get("role").map_or("ROLE", String::as_str);
            format!(
                "with the token of a caller of that role: --token-file FILE\n  \
                 whoever runs the service makes one: {service} token NAME --role {role}"
            )
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_out_names_the_services_own_words() {
        let role = HashMap::from([("role".to_owned(), "admin".to_owned())]);
        let said = advice("schema", "ROLE_REQUIRED", &role).unwrap();
        assert!(said.ends_with("schema token NAME --role admin"), "{said}");
        let said = advice("chat", "TOKEN_MISSING", &HashMap::new()).unwrap();
        assert!(said.contains("CHAT_TOKEN_FILE"), "{said}");
        assert_eq!(advice("chat", "CHAT_NOT_FOUND", &HashMap::new()), None);
    }
}
