//! squawk's linter on a step, its rules' names kept: <https://squawkhq.com/docs/rules>.

use std::panic;

use ::sql::line_of;
use api::schema::v1::{Finding, finding::Severity};
use squawk_linter::{Linter, Rule};
use squawk_syntax::SourceFile;

/// Lints a body for a server such as `15.4`.
pub fn lint(sql: &str, transactional: bool, server: &str) -> Vec<Finding> {
    // A few texts that are no SQL make it panic; a plan has its other findings all the same.
    panic::catch_unwind(|| violations(sql, transactional, server)).unwrap_or_else(|_| {
        let message = "squawk could not read this step".into();
        let rule = "not-linted".into();
        let severity = Severity::Note.into();
        vec![Finding { severity, rule, message, ..Finding::default() }]
    })
}

fn violations(sql: &str, transactional: bool, server: &str) -> Vec<Finding> {
    // Every step runs with both timeouts set. A linter keeps what it found: one for each body.
    let mut linter = Linter::with_rules(&[], &[Rule::RequireTimeoutSettings]);
    linter.settings.assume_in_transaction = transactional;
    if let Ok(version) = server.parse() {
        linter.settings.pg_version = version;
    }
    let violations = linter.lint(&SourceFile::parse(sql), sql);
    let findings = violations.into_iter().map(|violation| {
        let line = u32::try_from(line_of(sql, violation.text_range.start().into())).ok();
        let rule = violation.code.to_string();
        // Matters of taste, that harm nobody who runs the step.
        let taste = rule.starts_with("prefer-");
        let severity = if taste { Severity::Note } else { Severity::Warning };
        let help = violation.help.map(|help| format!(" {help}")).unwrap_or_default();
        let message = format!("{}{help}", violation.message);
        Finding { severity: severity.into(), rule, message, rows: None, line }
    });
    findings.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(sql: &str, transactional: bool) -> Vec<String> {
        let found = lint(sql, transactional, "15.4");
        found.iter().map(|finding| format!("{} {}", finding.line(), finding.rule)).collect()
    }

    #[test]
    fn squawk_says_what_it_says_under_its_own_names() {
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
    fn it_knows_whether_there_is_a_transaction() {
        let sql = "select 1;\ncreate index concurrently i on u (b);";
        let in_transaction = "2 ban-concurrent-index-creation-in-transaction";
        assert!(rules(sql, true).contains(&in_transaction.to_owned()));
        assert!(!rules(sql, false).contains(&in_transaction.to_owned()));
    }
}
