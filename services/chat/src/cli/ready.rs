//! `chat ready`: the gate as a chat service sees it, for people and for scripts.

use std::{process::ExitCode, time::Duration};

use api::gate::v1::{
    Proof, ReadinessRequest, ReadinessResponse, readiness_service_client::ReadinessServiceClient,
};
use chrono::{DateTime, Utc};
use cli::{Failure, NOT_SO, rounded};
use wire::convert::time;

use super::asking::Asking;

/// `chat ready`.
pub(super) async fn ready(asking: &Asking) -> Result<ExitCode, Failure> {
    let mut client = ReadinessServiceClient::new(asking.connect().await?);
    let said = client.readiness(ReadinessRequest {}).await?.into_inner();
    asking.output.result(&said, &words(&said, Utc::now()))?;
    Ok(if said.open { ExitCode::SUCCESS } else { NOT_SO.into() })
}

/// The verdict, with its reason and the way out; then each proof; then how old all that is, by
/// this machine's clock.
fn words(said: &ReadinessResponse, now: DateTime<Utc>) -> String {
    let since = moment(said.since, now);
    let mut lines = vec![match said.open {
        true => format!("open since {since}"),
        false => format!("closed since {since}: {}", said.reason),
    }];
    // Where a proof fails, its evidence is the message.
    let told = said.proofs.iter().any(|proof| proof.evidence == said.message);
    if !said.message.is_empty() && !told {
        lines.push(format!("  {}", said.message));
    }
    lines.extend(said.proofs.iter().map(|proof| proof_words(proof, now)));
    lines.push(match said.heard_at {
        Some(heard) => format!("the schema service answered {}", moment(Some(heard), now)),
        None => "the schema service never answered".into(),
    });
    lines.push(format!("requires {}, built with {}", said.requires, said.built_with));
    lines.join("\n")
}

/// `schema     holds  the schema is at 0006 (2s ago)`.
fn proof_words(proof: &Proof, now: DateTime<Utc>) -> String {
    let verdict = match (proof.holds, proof.checked_at) {
        (_, None) => "?",
        (true, Some(_)) => "holds",
        (false, Some(_)) => "fails",
    };
    let seen = proof.checked_at.and_then(|at| age(at, now)).map(|age| format!(" ({age} ago)"));
    format!("  {:<9} {verdict:<6} {}{}", proof.name, proof.evidence, seen.unwrap_or_default())
}

/// `2026-01-01 12:00:00Z (1m 3s ago)`.
fn moment(at: Option<prost_types::Timestamp>, now: DateTime<Utc>) -> String {
    match at.and_then(|at| Some((time(at)?, age(at, now)?))) {
        Some((at, age)) => format!("{} ({age} ago)", at.format("%F %TZ")),
        None => "an unknown time".into(),
    }
}

/// How long ago something was: no digits below a second once there is one, and nothing where
/// another clock is ahead of this one.
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
    fn what_people_read() {
        let proof = |name: &str, holds, evidence: &str, checked_at| Proof {
            name: name.into(),
            holds,
            evidence: evidence.into(),
            checked_at,
        };
        let said = ReadinessResponse {
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
            words(&said, now).lines().collect::<Vec<_>>(),
            [
                "closed since 1970-01-01 00:00:10Z (1m 30s ago): SCHEMA_OTHER_DATABASE",
                "  give both the same DATABASE_URL",
                "  schema    holds  the schema is at 0006 (1s ago)",
                "  database  fails  it reads x (<1ms ago)",
                "  models    ?      not tried",
                "the schema service answered 1970-01-01 00:01:38Z (2s ago)",
                "requires 0006, built with 0006",
            ]
        );
    }
}
