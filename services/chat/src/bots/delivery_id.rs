//! Delivery ids: a delivery at one attempt, as a text for workers.

use api::Reason;
use wire::Problem;

use crate::{models::delivery::DeliveryAttempt, validate};

pub(crate) fn encode(attempt: &DeliveryAttempt) -> String {
    let DeliveryAttempt { position, bot_id, attempt } = attempt;
    format!("{position}.{attempt}.{bot_id}")
}

pub(super) fn decode(id: &str) -> Result<DeliveryAttempt, Problem> {
    let parse = || {
        let mut parts = id.splitn(3, '.');
        let position = parts.next()?.parse().ok()?;
        let attempt = parts.next()?.parse().ok()?;
        let bot_id = validate::id("bot", parts.next()?.to_owned()).ok()?;
        Some(DeliveryAttempt { position, bot_id, attempt })
    };
    parse().ok_or_else(|| {
        let text = "not an id of this service; use the id of the delivery";
        Problem::invalid("answer.delivery_id", Reason::DeliveryIdInvalid, text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoded_id_decodes_to_its_attempt() {
        let attempt = DeliveryAttempt { position: 7, bot_id: "a.b".into(), attempt: 2 };
        assert_eq!(encode(&attempt), "7.2.a.b");
        assert_eq!(decode("7.2.a.b").unwrap(), attempt);
    }

    #[test]
    fn invalid_ids_are_refused() {
        for bad in ["", "7", "7.2", "7.2.", "x.2.a", "7.x.a", "7.2.a\0"] {
            assert!(decode(bad).unwrap_err().message().starts_with("answer.delivery_id"), "{bad}");
        }
    }
}
