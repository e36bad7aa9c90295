//! `schema history`: the revisions, as Alembic prints them.

use std::process::ExitCode;

use api::schema::v1::{ListRevisionsRequest, Revision};
use clap::Args;
use cli::{Failure, Output};

use super::client::Client;

const MAX_PAGE_SIZE: i32 = 1_000;

#[derive(Debug, Args)]
pub struct HistoryArgs {}

pub(super) async fn run(
    _: HistoryArgs,
    mut client: Client,
    output: Output,
) -> Result<ExitCode, Failure> {
    let mut revisions = Vec::new();
    let mut request = ListRevisionsRequest { page_size: MAX_PAGE_SIZE, ..Default::default() };
    loop {
        let page = client.list_revisions(request.clone()).await?.into_inner();
        revisions.extend(page.revisions);
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    for (line, revision) in lines(&revisions).iter().zip(&revisions).rev() {
        output.result(revision, line)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// `0001 -> 0002 (head) (current), add last_message_at to chats`.
fn lines(revisions: &[Revision]) -> Vec<String> {
    let held = |revision: &&Revision| !revision.checksum.is_empty();
    let head = revisions.iter().rfind(held).map(|head| head.revision.as_str());
    let current = revisions.iter().rfind(|revision| revision.applied);
    let current = current.map(|current| current.revision.as_str());
    let before = std::iter::once("<base>").chain(revisions.iter().map(|r| r.revision.as_str()));
    let line = |(before, revision): (&str, &Revision)| {
        let id = revision.revision.as_str();
        let mut line = format!("{before} -> {id}");
        for (mark, is_marked) in [
            (" (head)", head == Some(id)),
            (" (current)", current == Some(id)),
            (" (altered)", revision.altered),
            (" (unknown)", revision.checksum.is_empty()),
            (" (out of order)", !revision.applied && held(&revision) && current > Some(id)),
        ] {
            if is_marked {
                line += mark;
            }
        }
        format!("{line}, {}", revision.description)
    };
    before.zip(revisions).map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_revision_has_its_marks() {
        let revision = |id: &str, applied: bool, checksum: &str| Revision {
            revision: id.into(),
            description: "does".into(),
            applied,
            checksum: checksum.into(),
            altered: id == "0001",
            ..Default::default()
        };
        let revisions = [
            revision("0001", true, "a"),
            revision("0002", false, "b"),
            revision("0003", true, "c"),
            revision("0004", false, "d"),
            revision("0005", false, ""),
        ];
        assert_eq!(
            lines(&revisions),
            [
                "<base> -> 0001 (altered), does",
                "0001 -> 0002 (out of order), does",
                "0002 -> 0003 (current), does",
                "0003 -> 0004 (head), does",
                "0004 -> 0005 (unknown), does",
            ]
        );
    }
}
