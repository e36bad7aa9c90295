//! squawk's linter on a step, with the names of its rules: <https://squawkhq.com/docs/rules>.

use std::panic;

use sql::{Dialect, LineIndex, syntax_depth};
use squawk_linter::{Linter, Rule as SquawkRule};
use squawk_syntax::SourceFile;

use crate::{
    Finding, Rule, Severity,
    stack::{MAX_SYNTAX_DEPTH, on_large_stack},
};

/// Lints a body of PostgreSQL for a server of a version such as `15.4`.
pub fn lint(sql: &str, transactional: bool, server_version: &str) -> Vec<Finding> {
    let text = without_deep_statements(sql);
    // A few texts that are not SQL make squawk panic; a plan has its other findings all the same.
    let linted =
        on_large_stack(|| panic::catch_unwind(|| violations(&text, transactional, server_version)));
    linted.unwrap_or_else(|_| {
        let message = "squawk could not read this step".into();
        vec![Finding {
            line: None,
            severity: Severity::Note,
            rule: Rule::NotLinted,
            message,
            rows: None,
        }]
    })
}

/// The text with blanks in place of the statements that no parser may see, so that every other
/// statement keeps its position.
fn without_deep_statements(sql: &str) -> String {
    let mut text = sql.to_owned();
    for statement in sql::split(Dialect::Postgres, sql) {
        if syntax_depth(Dialect::Postgres, statement.text) > MAX_SYNTAX_DEPTH {
            let blanks: String = statement.text.bytes().map(blank).collect();
            let end = statement.offset + statement.text.len();
            text.replace_range(statement.offset..end, &blanks);
        }
    }
    text
}

const fn blank(byte: u8) -> char {
    if byte == b'\n' { '\n' } else { ' ' }
}

fn violations(sql: &str, transactional: bool, server_version: &str) -> Vec<Finding> {
    // Every step runs with both timeouts set. A linter keeps its violations: one for each body.
    let mut linter = Linter::with_rules(&[], &[SquawkRule::RequireTimeoutSettings]);
    linter.settings.assume_in_transaction = transactional;
    if let Ok(version) = server_version.parse() {
        linter.settings.pg_version = version;
    }
    let lines = LineIndex::new(sql);
    let violations = linter.lint(&SourceFile::parse(sql), sql);
    let findings = violations.into_iter().map(|violation| {
        let line = lines.line_of(violation.text_range.start().into());
        let name = violation.code.to_string();
        // Rules of style: a step that breaks one harms nothing.
        let is_style = name.starts_with("prefer-");
        let severity = if is_style { Severity::Note } else { Severity::Warning };
        let help = violation.help.map(|help| format!(" {help}")).unwrap_or_default();
        let message = format!("{}{help}", violation.message);
        Finding { line: Some(line), severity, rule: Rule::Squawk(name), message, rows: None }
    });
    findings.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(sql: &str, transactional: bool) -> Vec<String> {
        let found = lint(sql, transactional, "15.4");
        found
            .into_iter()
            .map(|finding| format!("{} {}", finding.line.unwrap_or_default(), finding.rule))
            .collect()
    }

    #[test]
    fn findings_have_the_names_of_squawks_rules() {
        let sql = "create table t (a bigint);\n\nalter table u drop column b;\n";
        assert_eq!(rules(sql, true), ["3 ban-drop-column"]);
        assert_eq!(
            rules("create index i on u (b);", true),
            ["1 require-concurrent-index-creation"]
        );
        let ignored = "-- squawk-ignore ban-drop-column\nalter table u drop column b;";
        assert_eq!(rules(ignored, true), Vec::<String>::new());
    }

    #[test]
    fn rules_about_transactions_depend_on_the_revision() {
        let sql = "select 1;\ncreate index concurrently i on u (b);";
        let in_transaction = "2 ban-concurrent-index-creation-in-transaction";
        assert!(rules(sql, true).contains(&in_transaction.to_owned()));
        assert!(!rules(sql, false).contains(&in_transaction.to_owned()));
    }

    #[test]
    fn statements_beside_one_that_is_too_deep_are_linted() {
        let deep = format!("select {}1{};", "(".repeat(10_000), ")".repeat(10_000));
        let sql = format!("{deep}\nalter table u drop column b;\n");
        assert_eq!(rules(&sql, true), ["2 ban-drop-column"]);
    }
}
