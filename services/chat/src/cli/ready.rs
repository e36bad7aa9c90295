//! `chat ready`: the gate as a chat service sees it, for people and for scripts.

use std::{process::ExitCode, time::Duration};

use api::gate::v1::{
    Proof, ReadinessRequest, ReadinessResponse, readiness_service_client::ReadinessServiceClient,
};
use chrono::{DateTime, Utc};
use cli::{Failure, NOT_SO, rounded};
use wire::{convert::time, format_time};

use super::client_args::ClientArgs;

pub(super) async fn ready(client_args: &ClientArgs) -> Result<ExitCode, Failure> {
    let mut client = ReadinessServiceClient::new(client_args.connect().await?);
    let readiness = client.readiness(ReadinessRequest {}).await?.into_inner();
    client_args.output.result(&readiness, &format_readiness(&readiness, Utc::now()))?;
    Ok(if readiness.open { ExitCode::SUCCESS } else { NOT_SO.into() })
}

/// The verdict with its reason and what to do, each proof, and the age of the view of the schema by
/// this machine's clock.
fn format_readiness(readiness: &ReadinessResponse, now: DateTime<Utc>) -> String {
    let since = format_moment(readiness.since, now);
    let mut lines = vec![match readiness.open {
        true => format!("open since {since}"),
        false => format!("closed since {since}: {}", readiness.reason),
    }];
    // The evidence of a proof that fails is the message already.
    let is_evidence = readiness.proofs.iter().any(|proof| proof.evidence == readiness.message);
    if !readiness.message.is_empty() && !is_evidence {
        lines.push(format!("  {}", readiness.message));
    }
    lines.extend(readiness.proofs.iter().map(|proof| format_proof(proof, now)));
    lines.push(match readiness.heard_at {
        Some(heard) => format!("the schema service answered {}", format_moment(Some(heard), now)),
        None => "the schema service has not answered".into(),
    });
    lines.push(format!("requires {}, built with {}", readiness.requires, readiness.built_with));
    lines.join("\n")
}

/// `schema     holds  the schema is at 0006 (2s ago)`.
fn format_proof(proof: &Proof, now: DateTime<Utc>) -> String {
    let verdict = match (proof.holds, proof.checked_at) {
        (_, None) => "?",
        (true, Some(_)) => "holds",
        (false, Some(_)) => "fails",
    };
    let seen = proof.checked_at.and_then(|at| age(at, now)).map(|age| format!(" ({age} ago)"));
    format!("  {:<9} {verdict:<6} {}{}", proof.name, proof.evidence, seen.unwrap_or_default())
}

/// `2026-01-01T12:00:00Z (1m 3s ago)`.
fn format_moment(at: Option<prost_types::Timestamp>, now: DateTime<Utc>) -> String {
    match at.and_then(|at| Some((time(at)?, age(at, now)?))) {
        Some((at, age)) => format!("{} ({age} ago)", format_time(at)),
        None => "an unknown time".into(),
    }
}

/// The age of a time: in whole seconds from one second on, and zero if the time is ahead of this
/// machine's clock.
fn age(at: prost_types::Timestamp, now: DateTime<Utc>) -> Option<String> {
    let age = (now - time(at)?).to_std().unwrap_or_default();
    Some(rounded(if age.as_secs() > 0 { Duration::from_secs(age.as_secs()) } else { age }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Option<prost_types::Timestamp> {
        Some(prost_types::Timestamp { seconds, nanos: 0 })
    }

    #[test]
    fn readiness_is_formatted_for_people() {
        let proof = |name: &str, holds, evidence: &str, checked_at| Proof {
            name: name.into(),
            holds,
            evidence: evidence.into(),
            checked_at,
        };
        let readiness = ReadinessResponse {
            open: false,
            reason: "SCHEMA_OTHER_DATABASE".into(),
            message: "give both the same DATABASE_URL".into(),
            proofs: vec![
                proof("schema", true, "the schema is at 0006", at(99)),
                proof("database", false, "it reads x", at(101)),
                proof("models", false, "not tried", None),
            ],
            since: at(10),
            heard_at: at(98),
            requires: "0006".into(),
            built_with: "0006".into(),
        };
        let now = DateTime::from_timestamp(100, 0).unwrap();
        assert_eq!(
            format_readiness(&readiness, now).lines().collect::<Vec<_>>(),
            [
                "closed since 1970-01-01T00:00:10Z (1m 30s ago): SCHEMA_OTHER_DATABASE",
                "  give both the same DATABASE_URL",
                "  schema    holds  the schema is at 0006 (1s ago)",
                "  database  fails  it reads x (<1ms ago)",
                "  models    ?      not tried",
                "the schema service answered 1970-01-01T00:01:38Z (2s ago)",
                "requires 0006, built with 0006",
            ]
        );
    }
}
