//! `schema plan`: what would run, and what it would cost.

use std::process::ExitCode;

use api::schema::v1::{
    Dependent, Finding, PlanRequest, PlanResponse, PlanStep, finding::Severity,
    plan_request::Direction,
};
use clap::Args;
use cli::{Failure, Output};

use super::client::Client;

/// What `plan` is asked.
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// As for upgrade; with --downgrade as for downgrade, which needs one.
    #[arg(allow_negative_numbers = true, required_if_eq("downgrade", "true"))]
    pub target: Option<String>,
    /// Plan a downgrade.
    #[arg(long)]
    pub downgrade: bool,
    /// Print the SQL, and nothing else.
    #[arg(long, conflicts_with = "json")]
    pub sql: bool,
}

pub(super) async fn run(
    args: PlanArgs,
    mut client: Client,
    output: Output,
) -> Result<ExitCode, Failure> {
    let target = args.target.unwrap_or_else(|| "head".into());
    let direction = if args.downgrade {
        Direction::DowngradeTo(target.clone())
    } else {
        Direction::UpgradeTo(target.clone())
    };
    let plan = client.plan(PlanRequest { direction: Some(direction) }).await?.into_inner();
    if args.sql {
        output.line(sql(&plan))?;
        return Ok(ExitCode::SUCCESS);
    }
    output.result(&plan, &words(&plan))?;
    if plan.steps.is_empty() {
        output.note("nothing to do");
    } else {
        let command = if args.downgrade { "downgrade" } else { "upgrade" };
        output.note(format_args!(
            "to run exactly this: schema {command} {target} --plan-digest {}{}",
            plan.digest,
            consent(&plan)
        ));
    }
    Ok(ExitCode::SUCCESS)
}

/// The flags without which the plan is refused.
fn consent(plan: &PlanResponse) -> String {
    let mut findings = plan.steps.iter().flat_map(|step| &step.findings);
    let loses = findings.any(|finding| finding.severity() == Severity::DataLoss);
    let flags = [(" --allow-data-loss", loses), (" --force", !plan.breaks.is_empty())];
    flags.iter().filter(|(_, needed)| *needed).map(|(flag, _)| *flag).collect()
}

fn sql(plan: &PlanResponse) -> String {
    let steps = plan.steps.iter().map(|step| {
        let PlanStep { revision, description, sql, .. } = step;
        let how = transaction(step);
        format!("-- {revision}, {description}: {how}\n{}\n", sql.trim_end())
    });
    steps.collect::<Vec<_>>().join("\n").trim_end().to_owned()
}

fn words(plan: &PlanResponse) -> String {
    let mut lines = Vec::new();
    for step in &plan.steps {
        lines.push(format!("{}, {}: {}", step.revision, step.description, transaction(step)));
        lines.extend(findings(&step.findings));
    }
    lines.extend(plan.breaks.iter().map(breaks));
    lines.join("\n")
}

const fn transaction(step: &PlanStep) -> &'static str {
    if step.transactional { "one transaction" } else { "statement by statement" }
}

/// A line for each finding; those that say the same of several lines of the SQL share one.
fn findings(findings: &[Finding]) -> Vec<String> {
    let mut said: Vec<(&Finding, &str, Vec<&str>)> = Vec::new();
    for finding in findings {
        let (line, words) = split(&finding.message);
        match said.iter_mut().find(|(other, same, _)| *same == words && other.rule == finding.rule)
        {
            Some((.., lines)) => lines.extend(line),
            None => said.push((finding, words, line.into_iter().collect())),
        }
    }
    let words = said.into_iter().map(|(finding, words, lines)| {
        let severity = match finding.severity() {
            Severity::DataLoss => "DATA LOSS",
            Severity::Warning => "warning",
            Severity::Note | Severity::Unspecified => "note",
        };
        let lines = match lines[..] {
            [] => String::new(),
            [line] => format!("line {line}: "),
            _ => format!("lines {}: ", lines.join(", ")),
        };
        format!("  {severity}: {lines}{words} [{}]", finding.rule)
    });
    words.collect()
}

/// `line 4: goes through all of chats` is 4, and the rest.
fn split(message: &str) -> (Option<&str>, &str) {
    let split = message.strip_prefix("line ").and_then(|rest| rest.split_once(": "));
    match split {
        Some((line, words)) if line.bytes().all(|byte| byte.is_ascii_digit()) => {
            (Some(line), words)
        }
        _ => (None, message),
    }
}

fn breaks(dependent: &Dependent) -> String {
    let Dependent { service, instance, requires, built_with, .. } = dependent;
    format!(
        "BREAKS {service} {instance}, which requires {requires} and was built with {built_with}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(severity: Severity, rule: &str, message: &str) -> Finding {
        let mut finding =
            Finding { rule: rule.into(), message: message.into(), rows: None, severity: 0 };
        finding.set_severity(severity);
        finding
    }

    #[test]
    fn what_is_said_twice_is_said_once() {
        let lines = findings(&[
            found(Severity::DataLoss, "drop-column", "line 2: chats.name would be lost"),
            found(Severity::Note, "prefer-text-field", "line 4: use text"),
            found(Severity::Note, "prefer-text-field", "line 6: use text"),
            found(Severity::Warning, "whole", "no line: of it all"),
        ]);
        assert_eq!(
            lines,
            [
                "  DATA LOSS: line 2: chats.name would be lost [drop-column]",
                "  note: lines 4, 6: use text [prefer-text-field]",
                "  warning: no line: of it all [whole]",
            ]
        );
    }

    #[test]
    fn consent_is_asked_for_what_the_plan_costs() {
        let mut plan = PlanResponse::default();
        assert_eq!(consent(&plan), "");
        plan.breaks.push(Dependent::default());
        plan.steps.push(PlanStep {
            findings: vec![found(Severity::DataLoss, "drop-table", "gone")],
            ..PlanStep::default()
        });
        assert_eq!(consent(&plan), " --allow-data-loss --force");
    }
}
