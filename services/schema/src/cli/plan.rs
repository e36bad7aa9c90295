//! `schema plan`: what an operation would run, lock and lose.

use std::process::ExitCode;

use api::schema::v1::{
    Dependent, Finding, PlanRequest, PlanResponse, PlanStep, finding::Severity,
    plan_request::Direction,
};
use clap::Args;
use cli::{Failure, Output};

use super::client::Client;

#[derive(Debug, Args)]
pub struct PlanArgs {
    /// Target, as for upgrade; with --downgrade as for downgrade, which has no default.
    #[arg(allow_negative_numbers = true, required_if_eq("downgrade", "true"))]
    target: Option<String>,
    /// Plan a downgrade.
    #[arg(long)]
    downgrade: bool,
    /// Print the SQL and nothing else.
    #[arg(long, conflicts_with = "json")]
    sql: bool,
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
    output.result(&plan, &lines(&plan).join("\n"))?;
    if plan.steps.is_empty() {
        output.note("nothing to do");
    } else {
        let command = if args.downgrade { "downgrade" } else { "upgrade" };
        output.note(format_args!(
            "to run exactly this plan: schema {command} {target} --plan-digest {}{}",
            plan.digest,
            required_flags(&plan)
        ));
    }
    Ok(ExitCode::SUCCESS)
}

/// The flags without which the plan is refused.
fn required_flags(plan: &PlanResponse) -> String {
    let mut findings = plan.steps.iter().flat_map(|step| &step.findings);
    let loses = findings.any(|finding| finding.severity() == Severity::DataLoss);
    let flags = [(" --allow-data-loss", loses), (" --force", !plan.breaks.is_empty())];
    flags.iter().filter(|(_, needed)| *needed).map(|(flag, _)| *flag).collect()
}

fn sql(plan: &PlanResponse) -> String {
    let steps = plan.steps.iter().map(|step| {
        let PlanStep { revision, description, sql, .. } = step;
        let mode = mode(step);
        format!("-- {revision}, {description}: {mode}\n{}\n", sql.trim_end())
    });
    steps.collect::<Vec<_>>().join("\n").trim_end().to_owned()
}

fn lines(plan: &PlanResponse) -> Vec<String> {
    let mut lines = Vec::new();
    for step in &plan.steps {
        lines.push(format!("{}, {}: {}", step.revision, step.description, mode(step)));
        lines.extend(finding_lines(&step.findings));
    }
    lines.extend(plan.breaks.iter().map(breaking_line));
    lines
}

const fn mode(step: &PlanStep) -> &'static str {
    if step.transactional { "one transaction" } else { "statement by statement" }
}

/// One line for each finding. Findings that differ in their line alone share one.
fn finding_lines(findings: &[Finding]) -> Vec<String> {
    let mut groups: Vec<(&Finding, Vec<u32>)> = Vec::new();
    for finding in findings {
        let is_same = |(other, _): &&mut (&Finding, Vec<u32>)| {
            other.rule == finding.rule && other.message == finding.message
        };
        match groups.iter_mut().find(is_same) {
            Some((_, lines)) => lines.extend(finding.line),
            None => groups.push((finding, finding.line.into_iter().collect())),
        }
    }
    let line = |(finding, lines): (&Finding, Vec<u32>)| {
        let severity = match finding.severity() {
            Severity::DataLoss => "DATA LOSS",
            Severity::Warning => "warning",
            Severity::Note | Severity::Unspecified => "note",
        };
        let numbers: Vec<_> = lines.iter().map(ToString::to_string).collect();
        let place = match numbers.as_slice() {
            [] => String::new(),
            [line] => format!("line {line}: "),
            lines => format!("lines {}: ", lines.join(", ")),
        };
        format!("  {severity}: {place}{} [{}]", finding.message, finding.rule)
    };
    groups.into_iter().map(line).collect()
}

fn breaking_line(dependent: &Dependent) -> String {
    let Dependent { service, instance, requires, built_with, .. } = dependent;
    format!(
        "BREAKS {service} {instance}, which requires {requires} and was built with {built_with}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(severity: Severity, rule: &str, line: Option<u32>, message: &str) -> Finding {
        let mut finding =
            Finding { rule: rule.into(), message: message.into(), line, ..Finding::default() };
        finding.set_severity(severity);
        finding
    }

    #[test]
    fn findings_that_differ_in_their_line_alone_share_one() {
        let lines = finding_lines(&[
            finding(Severity::DataLoss, "drop-column", Some(2), "chats.name would be lost"),
            finding(Severity::Note, "prefer-text-field", Some(4), "use text"),
            finding(Severity::Note, "prefer-text-field", Some(6), "use text"),
            finding(Severity::Warning, "whole", None, "of the whole revision"),
        ]);
        assert_eq!(
            lines,
            [
                "  DATA LOSS: line 2: chats.name would be lost [drop-column]",
                "  note: lines 4, 6: use text [prefer-text-field]",
                "  warning: of the whole revision [whole]",
            ]
        );
    }

    #[test]
    fn a_plan_that_loses_or_breaks_requires_flags() {
        let mut plan = PlanResponse::default();
        assert_eq!(required_flags(&plan), "");
        plan.breaks.push(Dependent::default());
        plan.steps.push(PlanStep {
            findings: vec![finding(Severity::DataLoss, "drop-table", Some(1), "all rows")],
            ..PlanStep::default()
        });
        assert_eq!(required_flags(&plan), " --allow-data-loss --force");
    }
}
