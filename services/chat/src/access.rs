//! Who may do what: every method that this service has, and the roles that may call it.

use access::{Policy, Role, Rule, shared};
use api::Reason;
use tonic::Code;
use wire::Problem;

/// Everybody who is known.
const ANY: &[Role] = &["reader", "bot", "service"];
/// Looks and listens.
const READER: &[Role] = &["reader", "service"];
/// Runs the bots of one type, and sees of chats what they are handed.
const BOT: &[Role] = &["bot", "service"];
/// A backend: does everything.
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
        // Of its own type: the worker's stream sees to that.
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
        // It tells where the schema is and which proof fails: more than health does.
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
    fn every_method_has_its_rule_and_nothing_else_does() {
        let paths = method_paths(&["chat.v1", "gate.v1"]);
        assert!(paths.contains(&"/chat.v1.ChatService/SendMessage".to_owned()), "{paths:?}");
        for path in paths {
            assert!(rule(&path).is_some(), "{path} has no rule: say who may call it");
        }
        for other in ["/schema.v1.SchemaService/Current", "/chat.v1.ChatService/", "/chat.v1.", ""]
        {
            assert_eq!(rule(other), None);
        }
    }
}
