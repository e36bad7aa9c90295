use std::error::Error;

/// An error with its causes, for a log line or a command's message. A cause that the text already
/// ends with is not repeated.
pub fn error_chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Layer {
        text: &'static str,
        source: Option<Box<Layer>>,
    }

    #[test]
    fn causes_are_joined_and_not_repeated() {
        let inner = Layer { text: "refused", source: None };
        let middle = Layer { text: "no connection: refused", source: Some(Box::new(inner)) };
        let outer = Layer { text: "database unreachable", source: Some(Box::new(middle)) };
        assert_eq!(error_chain(&outer), "database unreachable: no connection: refused");
    }
}
