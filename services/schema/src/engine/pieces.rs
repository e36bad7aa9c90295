//! A step outside a transaction: statement by statement, each committed with its position in the
//! ledger, and gone on with at the one that failed.
//!
//! A statement that a transaction can hold is committed together with the position behind it, so
//! that no crash runs it twice. One that cannot, such as CREATE INDEX CONCURRENTLY, is announced
//! in the position first; after a crash the catalog says whether it came to its end.

use sha2::{Digest as _, Sha256};
use sql::{Dialect, Statement};
use squawk_syntax::{
    SourceFile,
    ast::{self, AstNode as _},
};

use super::{EngineError, Session, StatementError, Step, first_words};
use crate::{ledger::Position, plan::name_of};

/// Hears how far a step has come: a fraction, and words.
pub type Tell<'a> = &'a (dyn Fn(f64, String) + Send + Sync);

/// How a statement goes out.
#[derive(Debug, Eq, PartialEq)]
pub enum Piece {
    /// In a transaction, with its position.
    Together,
    /// Alone in its message; running it again does no harm.
    Alone,
    /// CREATE INDEX CONCURRENTLY: an INVALID index of that name is dropped before it runs, a valid
    /// one means that it ran.
    CreateIndex(String),
    /// DROP INDEX CONCURRENTLY: no index of that name means that it ran.
    DropIndex(String),
}

impl Piece {
    /// How a statement goes out on its database.
    pub fn of(dialect: Dialect, statement: &Statement<'_>) -> Self {
        let words = statement.leading_words(dialect);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match (dialect, &words[..]) {
            (Dialect::Sqlite, ["VACUUM" | "PRAGMA", ..]) => Self::Alone,
            (Dialect::Sqlite, _) => Self::Together,
            (Dialect::Postgres, ["VACUUM" | "CALL" | "REINDEX" | "CLUSTER", ..])
            | (Dialect::Postgres, ["ALTER", "SYSTEM", ..])
            | (
                Dialect::Postgres,
                ["CREATE" | "DROP", "DATABASE" | "TABLESPACE" | "SUBSCRIPTION", ..],
            ) => Self::Alone,
            (Dialect::Postgres, words) if words.contains(&"CONCURRENTLY") => concurrent(statement),
            (Dialect::Postgres, _) => Self::Together,
        }
    }
}

fn concurrent(statement: &Statement<'_>) -> Piece {
    let text = |node: &squawk_syntax::SyntaxNode| node.text().to_string().trim().to_owned();
    match SourceFile::parse(statement.text).tree().stmts().next() {
        Some(ast::Stmt::CreateIndex(create)) => {
            // It is in its table's schema, and cannot be written with one.
            name_of(create.index())
                .zip(name_of(create.table_relation_name()))
                .map_or(Piece::Alone, |(index, table)| {
                    Piece::CreateIndex(table.sibling(index.name).quoted())
                })
        }
        Some(ast::Stmt::DropIndex(drop)) => {
            let mut indexes = drop.index_refs();
            indexes.next().map_or(Piece::Alone, |index| Piece::DropIndex(text(index.syntax())))
        }
        _ => Piece::Alone,
    }
}

/// What the catalog says of an index.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum IndexState {
    /// No such index.
    Missing,
    /// Left behind by a CREATE that failed.
    Invalid,
    /// In use.
    Valid,
}

/// Runs a step from where it stands to its end.
pub(super) async fn run(
    session: &mut Session,
    step: &Step,
    tell: Tell<'_>,
) -> Result<(), EngineError> {
    let pieces = sql::split(session.dialect(), step.sql());
    let mut position = match session.position(step).await? {
        Some(position) => resumed(position, step, &pieces)?,
        None => fresh(step, &pieces),
    };
    for (index, statement) in pieces.iter().enumerate() {
        let number = index + 1;
        if number <= count(position.done) {
            continue;
        }
        let fraction = fraction(index, pieces.len());
        tell(
            fraction,
            format!("statement {number} of {}: {}", pieces.len(), first_words(statement.text)),
        );
        let after = Position {
            done: position.done + 1,
            begun: 0,
            done_checksum: checksum(&pieces[..number]),
            ..position.clone()
        };
        let piece = Piece::of(session.dialect(), statement);
        let begun = count(position.begun) == number;
        match piece {
            Piece::Together => session.together(step, statement, number, &after).await?,
            piece => {
                if !(begun && ended(session, &piece).await?) {
                    let announced = Position { begun: after.done, ..position.clone() };
                    session.save(step, &announced).await?;
                    if let Piece::CreateIndex(name) = &piece {
                        drop_invalid(session, step, name).await?;
                    }
                    session
                        .alone(step, statement, number, &|fraction_of_it, words| {
                            tell(fraction + fraction_of_it / pieces.len() as f64, words);
                        })
                        .await?;
                }
                session.save(step, &after).await?;
            }
        }
        position = after;
    }
    session.book(step).await
}

fn fraction(done: usize, total: usize) -> f64 {
    done as f64 / total.max(1) as f64
}

fn count(number: i32) -> usize {
    usize::try_from(number).unwrap_or_default()
}

fn fresh(step: &Step, pieces: &[Statement<'_>]) -> Position {
    Position {
        revision: step.revision.id.to_string(),
        direction: step.direction.as_str().into(),
        done: 0,
        begun: 0,
        total: i32::try_from(pieces.len()).unwrap_or(i32::MAX),
        done_checksum: checksum(&[]),
    }
}

/// A position is good as long as what it counts is what stands here: the rest may be mended.
fn resumed(
    position: Position,
    step: &Step,
    pieces: &[Statement<'_>],
) -> Result<Position, EngineError> {
    let done = pieces.get(..count(position.done));
    if done.is_some_and(|done| checksum(done) == position.done_checksum) {
        return Ok(Position { total: fresh(step, pieces).total, ..position });
    }
    Err(EngineError::Statement(StatementError {
        number: count(position.done),
        line: 1,
        statement: "resume".into(),
        message: format!(
            "the first {} statements were committed with another text: put it back, and change \
             only what comes after them",
            position.done
        ),
        code: None,
        blocked_by: Vec::new(),
    }))
}

fn checksum(pieces: &[Statement<'_>]) -> String {
    let mut hash = Sha256::new();
    for piece in pieces {
        hash.update(piece.text.replace("\r\n", "\n"));
        hash.update([0]);
    }
    hex::encode(&hash.finalize())
}

/// Whether a statement that was begun before a crash came to its end.
async fn ended(session: &mut Session, piece: &Piece) -> Result<bool, EngineError> {
    Ok(match piece {
        Piece::CreateIndex(name) => session.index_state(name).await? == IndexState::Valid,
        Piece::DropIndex(name) => session.index_state(name).await? == IndexState::Missing,
        Piece::Together | Piece::Alone => false,
    })
}

/// IF NOT EXISTS would take an INVALID index for the real one.
async fn drop_invalid(session: &mut Session, step: &Step, name: &str) -> Result<(), EngineError> {
    if session.index_state(name).await? != IndexState::Invalid {
        return Ok(());
    }
    let text = format!("DROP INDEX CONCURRENTLY IF EXISTS {name}");
    let statement = Statement { text: &text, line: 1, offset: 0 };
    session.alone(step, &statement, 0, &|_, _| {}).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(dialect: Dialect, text: &str) -> Piece {
        Piece::of(dialect, &Statement { text, line: 1, offset: 0 })
    }

    #[test]
    fn what_no_transaction_can_hold_goes_alone() {
        use Dialect::{Postgres, Sqlite};
        assert_eq!(
            piece(Postgres, "create unique index concurrently if not exists \"Ix\" on a (b)"),
            Piece::CreateIndex("\"Ix\"".into())
        );
        assert_eq!(
            piece(Postgres, "create index concurrently ix on elsewhere.a (b)"),
            Piece::CreateIndex("\"elsewhere\".\"ix\"".into())
        );
        assert_eq!(
            piece(Postgres, "drop index concurrently if exists s.ix"),
            Piece::DropIndex("s.ix".into())
        );
        assert_eq!(piece(Postgres, "vacuum analyze a"), Piece::Alone);
        assert_eq!(piece(Sqlite, "vacuum"), Piece::Alone);
        assert_eq!(piece(Postgres, "create index ix on a (b)"), Piece::Together);
        assert_eq!(piece(Sqlite, "create table a (b text)"), Piece::Together);
    }
}
