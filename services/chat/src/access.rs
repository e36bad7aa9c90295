//! The roles that may call each method.

use access::{Policy, Role, Rule, shared};
use api::Reason;
use tonic::Code;
use wire::Problem;

/// Every caller of the access file.
const ANY: &[Role] = &["reader", "bot", "service"];
/// Reads and subscribes.
const READER: &[Role] = &["reader", "service"];
/// Runs the bots of one type, and sees the deliveries to them.
const BOT: &[Role] = &["bot", "service"];
/// A backend: may call everything.
const SERVICE: &[Role] = &["service"];

/// The roles of the chat service.
pub const POLICY: Policy = Policy { roles: ANY, bound: Some("bot"), rule };

fn rule(path: &str) -> Option<Rule> {
    let own = path.strip_prefix("/chat.v1.").unwrap_or_default();
    Some(Rule::Roles(match own {
        "ChatService/GetChat"
        | "ChatService/ListChats"
        | "ChatService/ListMessages"
        | "ChatService/Subscribe"
        | "BotService/GetBot"
        | "BotService/ListBots"
        | "BotService/ListAssignments"
        | "BotService/ListParkedDeliveries"
        | "ScheduleService/GetSchedule"
        | "ScheduleService/ListSchedules" => READER,
        // The worker's stream checks the type.
        "BotService/Work" => BOT,
        "ChatService/CreateChat"
        | "ChatService/UpdateChat"
        | "ChatService/DeleteChat"
        | "ChatService/ImportChats"
        | "ChatService/SendMessage"
        | "BotService/CreateBot"
        | "BotService/UpdateBot"
        | "BotService/DeleteBot"
        | "BotService/AssignBot"
        | "BotService/UnassignBot"
        | "BotService/RetryDelivery"
        | "ScheduleService/CreateSchedule"
        | "ScheduleService/UpdateSchedule"
        | "ScheduleService/DeleteSchedule"
        | "ScheduleService/RunSchedule" => SERVICE,
        // Its response says more than health: the revision, and which proof fails.
        _ if path == "/gate.v1.ReadinessService/Readiness" => ANY,
        _ => return shared(path, ANY),
    }))
}

/// Checks that a caller may run bots of the requested type. `bound_type` is the only type that it may
/// run, where it is bound to one.
///
/// # Errors
/// It is bound to another type.
pub fn require_bot_type(bound_type: Option<&str>, requested: &str) -> Result<(), Problem> {
    match bound_type {
        Some(bound) if bound != requested => Err(Problem::new(
            Code::PermissionDenied,
            Reason::BotTypeDenied,
            "attend.type: this caller may not run bots of that type",
        )
        .with("field", "attend.type")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use access::method_paths;

    use super::*;

    #[test]
    fn a_caller_bound_to_a_bot_type_runs_that_type_only() {
        assert!(require_bot_type(Some("echo"), "echo").is_ok());
        assert!(require_bot_type(None, "translation").is_ok());
        let refusal = require_bot_type(Some("echo"), "translation").unwrap_err();
        assert_eq!(refusal.reason(), Reason::BotTypeDenied);
        assert!(!refusal.message().contains("echo"), "{}", refusal.message());
    }

    #[test]
    fn every_method_has_a_rule_and_no_other_path_has() {
        let paths = method_paths(&["chat.v1", "gate.v1"]);
        assert!(paths.contains(&"/chat.v1.ChatService/SendMessage".to_owned()), "{paths:?}");
        for path in paths {
            assert!(rule(&path).is_some(), "{path} has no rule");
        }
        for other in ["/schema.v1.SchemaService/Current", "/chat.v1.ChatService/", "/chat.v1.", ""]
        {
            assert_eq!(rule(other), None);
        }
    }
}
