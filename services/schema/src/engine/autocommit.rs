//! A step outside a transaction: statement by statement, each committed with a checkpoint, and
//! resumed at the statement that failed.
//!
//! A statement that a transaction can hold is committed together with the checkpoint after it, so
//! no crash runs it twice. A statement that none can hold, such as CREATE INDEX CONCURRENTLY, is
//! announced in the checkpoint before it runs; after a crash the catalog says whether it completed.

use sha2::{Digest as _, Sha256};
use sql::Statement;

use super::{
    EngineError, IndexState, ReportProgress, Session, StatementError, Step, error::summary,
    mode::StatementMode,
};
use crate::store::Checkpoint;

/// Runs a step from its checkpoint to its end.
pub(super) async fn run(
    session: &mut dyn Session,
    step: &Step,
    progress: ReportProgress<'_>,
) -> Result<(), EngineError> {
    let statements = sql::split(session.dialect(), step.sql());
    let total = statements.len();
    let mut checkpoint = match session.checkpoint(step).await? {
        Some(checkpoint) => resume(checkpoint, step, &statements)?,
        None => start(step, &statements),
    };
    for (index, statement) in statements.iter().enumerate() {
        let number = index + 1;
        if number <= count(checkpoint.done) {
            continue;
        }
        let fraction = fraction(index, total);
        progress(fraction, format!("statement {number} of {total}: {}", summary(statement.text)));
        let after = Checkpoint {
            done: checkpoint.done + 1,
            begun: 0,
            done_checksum: checksum(&statements[..number]),
            ..checkpoint.clone()
        };
        let mode = StatementMode::of(session.dialect(), statement);
        if mode == StatementMode::Transaction {
            session.exec_in_transaction(step, statement, number, &after).await?;
        } else {
            let may_have_run = count(checkpoint.begun) == number;
            if !(may_have_run && has_completed(session, &mode).await?) {
                let announced = Checkpoint { begun: after.done, ..checkpoint.clone() };
                session.save_checkpoint(step, &announced).await?;
                if let StatementMode::CreateIndexConcurrently(name) = &mode {
                    drop_invalid_index(session, step, name).await?;
                }
                let within = |part: f64, message| progress(fraction + part / total as f64, message);
                session.exec_autocommit(step, statement, number, &within).await?;
            }
            session.save_checkpoint(step, &after).await?;
        }
        checkpoint = after;
    }
    session.record_step(step).await
}

fn fraction(done: usize, total: usize) -> f64 {
    done as f64 / total.max(1) as f64
}

fn count(number: i32) -> usize {
    usize::try_from(number).unwrap_or_default()
}

fn start(step: &Step, statements: &[Statement<'_>]) -> Checkpoint {
    Checkpoint {
        revision: step.revision.id.to_string(),
        direction: step.direction.into(),
        done: 0,
        begun: 0,
        total: i32::try_from(statements.len()).unwrap_or(i32::MAX),
        done_checksum: checksum(&[]),
    }
}

/// A checkpoint is valid as long as the text of the committed statements is the same. The rest may
/// have been fixed.
fn resume(
    checkpoint: Checkpoint,
    step: &Step,
    statements: &[Statement<'_>],
) -> Result<Checkpoint, EngineError> {
    let done = statements.get(..count(checkpoint.done));
    if done.is_some_and(|done| checksum(done) == checkpoint.done_checksum) {
        return Ok(Checkpoint { total: start(step, statements).total, ..checkpoint });
    }
    Err(EngineError::Statement(StatementError {
        number: count(checkpoint.done),
        line: 1,
        statement: "resume".into(),
        message: format!(
            "first {} statements were committed with another text; restore it, and change only \
             the statements after them",
            checkpoint.done
        ),
        sqlstate: None,
        blocked_by: Vec::new(),
    }))
}

fn checksum(statements: &[Statement<'_>]) -> String {
    let mut hash = Sha256::new();
    for statement in statements {
        hash.update(statement.text.replace("\r\n", "\n"));
        hash.update([0]);
    }
    hex::encode(hash.finalize())
}

/// Whether a statement that began before a crash ran to its end.
async fn has_completed(
    session: &mut dyn Session,
    mode: &StatementMode,
) -> Result<bool, EngineError> {
    Ok(match mode {
        StatementMode::CreateIndexConcurrently(name) => {
            session.index_state(name).await? == IndexState::Valid
        }
        StatementMode::DropIndexConcurrently(name) => {
            session.index_state(name).await? == IndexState::Missing
        }
        StatementMode::Transaction | StatementMode::Autocommit => false,
    })
}

/// IF NOT EXISTS would take an INVALID index for the real one.
async fn drop_invalid_index(
    session: &mut dyn Session,
    step: &Step,
    name: &str,
) -> Result<(), EngineError> {
    if session.index_state(name).await? != IndexState::Invalid {
        return Ok(());
    }
    let text = format!("DROP INDEX CONCURRENTLY IF EXISTS {name}");
    let statement = Statement { text: &text, line: 1, offset: 0 };
    session.exec_autocommit(step, &statement, 0, &|_, _| {}).await
}
