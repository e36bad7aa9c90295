//! Cutting a body of SQL into its statements, in one pass over its tokens.

use crate::{Dialect, Token, TokenKind, tokens};

/// One statement of a body.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Statement<'a> {
    /// Its text, without its semicolon and without comments before it.
    pub text: &'a str,
    /// The line of the body at which it begins, from 1.
    pub line: usize,
    /// Where it begins in the body, in bytes.
    pub offset: usize,
}

impl Statement<'_> {
    /// The words that it begins with, in upper case, up to the first token that is not a word:
    /// `CREATE TABLE BOTS`. At most eight, which tell every kind of statement from the others.
    pub fn leading_words(&self, dialect: Dialect) -> Vec<String> {
        const MAX_WORDS: usize = 8;
        tokens(dialect, self.text)
            .filter(|token| !token.kind.is_blank())
            .take_while(|token| token.kind == TokenKind::Word)
            .take(MAX_WORDS)
            .map(|token| token.text.to_uppercase())
            .collect()
    }
}

/// Cuts a body into statements, where the server would cut it.
///
/// PostgreSQL: as psql does (`psqlscan.l`), at a semicolon outside parentheses and outside the
/// BEGIN ATOMIC of a function. SQLite: as [`sqlite3_complete()`] does, with a trigger's body as
/// part of its CREATE TRIGGER. What neither can read is part of some statement all the same, for
/// the server to refuse.
///
/// [`sqlite3_complete()`]: https://www.sqlite.org/c3ref/complete.html
pub fn split(dialect: Dialect, sql: &str) -> Vec<Statement<'_>> {
    let mut statements = Vec::new();
    let mut end_of_statement = EndOfStatement::new(dialect);
    let mut line = 1;
    // Where the statement begins, and the end of its last token.
    let mut open: Option<(usize, usize, usize)> = None;
    for token in tokens(dialect, sql) {
        if !token.kind.is_blank() {
            if end_of_statement.is_at(&token) {
                if let Some((offset, line, _)) = open.take() {
                    let text = sql[offset..token.offset].trim_ascii_end();
                    statements.push(Statement { text, line, offset });
                }
                end_of_statement = EndOfStatement::new(dialect);
            } else {
                let (offset, line, _) = open.unwrap_or((token.offset, line, 0));
                open = Some((offset, line, token.end()));
            }
        }
        line += token.text.bytes().filter(|byte| *byte == b'\n').count();
    }
    if let Some((offset, line, end)) = open {
        statements.push(Statement { text: &sql[offset..end], line, offset });
    }
    statements
}

/// Which semicolon ends a statement.
enum EndOfStatement<'a> {
    Postgres(PostgresStatement<'a>),
    Sqlite(SqliteStatement),
}

impl<'a> EndOfStatement<'a> {
    const fn new(dialect: Dialect) -> Self {
        match dialect {
            Dialect::Postgres => Self::Postgres(PostgresStatement {
                header: RoutineHeader::Start,
                previous: None,
                parentheses: 0,
                blocks: 0,
            }),
            Dialect::Sqlite => Self::Sqlite(SqliteStatement::Start),
        }
    }

    /// Takes the next token that is not blank; true where it is the semicolon that ends the
    /// statement.
    fn is_at(&mut self, token: &Token<'a>) -> bool {
        match self {
            Self::Postgres(statement) => statement.is_ended_by(token),
            Self::Sqlite(statement) => {
                *statement = statement.next(token);
                *statement == SqliteStatement::Start
            }
        }
    }
}

struct PostgresStatement<'a> {
    header: RoutineHeader,
    previous: Option<Token<'a>>,
    parentheses: usize,
    /// BEGIN ATOMIC, and the CASEs in it.
    blocks: usize,
}

/// How much of `CREATE [OR REPLACE] {FUNCTION | PROCEDURE}` was read.
#[derive(Clone, Copy, Eq, PartialEq)]
enum RoutineHeader {
    Start,
    Create,
    Or,
    Replace,
    Complete,
    /// It is a statement of another kind.
    Other,
}

impl RoutineHeader {
    fn next(self, token: &Token<'_>) -> Self {
        let is_routine = || token.is_word("FUNCTION") || token.is_word("PROCEDURE");
        match self {
            Self::Start if token.is_word("CREATE") => Self::Create,
            Self::Create if token.is_word("OR") => Self::Or,
            Self::Or if token.is_word("REPLACE") => Self::Replace,
            Self::Create | Self::Replace if is_routine() => Self::Complete,
            Self::Complete => Self::Complete,
            _ => Self::Other,
        }
    }
}

impl<'a> PostgresStatement<'a> {
    fn is_ended_by(&mut self, token: &Token<'a>) -> bool {
        match (token.kind, token.text) {
            (TokenKind::Semicolon, _) => return self.parentheses == 0 && self.blocks == 0,
            (_, "(") => self.parentheses += 1,
            (_, ")") => self.parentheses = self.parentheses.saturating_sub(1),
            (TokenKind::Word, _) if self.header == RoutineHeader::Complete => self.block(token),
            _ => {}
        }
        self.header = self.header.next(token);
        self.previous = Some(*token);
        false
    }

    fn block(&mut self, token: &Token<'_>) {
        let follows = |word: &str| self.previous.is_some_and(|previous| previous.is_word(word));
        // `AS end` and `a.end` are names.
        let is_name = follows("AS") || self.previous.is_some_and(|previous| previous.text == ".");
        if self.parentheses > 0 || is_name {
            return;
        }
        if self.blocks == 0 {
            self.blocks = usize::from(token.is_word("ATOMIC") && follows("BEGIN"));
        } else if token.is_word("CASE") {
            self.blocks += 1;
        } else if token.is_word("END") {
            self.blocks -= 1;
        }
    }
}

/// The states of `sqlite3_complete()`.
#[derive(Clone, Copy, Eq, PartialEq)]
enum SqliteStatement {
    Start,
    Normal,
    Explain,
    Create,
    Trigger,
    /// Behind a semicolon of a trigger's body.
    TriggerSemicolon,
    /// Behind the END that follows such a semicolon.
    TriggerEnd,
}

impl SqliteStatement {
    fn next(self, token: &Token<'_>) -> Self {
        let is_semicolon = token.kind == TokenKind::Semicolon;
        let is_create = token.is_word("CREATE");
        let is_temporary = token.is_word("TEMP") || token.is_word("TEMPORARY");
        match self {
            Self::Trigger | Self::TriggerSemicolon if is_semicolon => Self::TriggerSemicolon,
            Self::TriggerSemicolon if token.is_word("END") => Self::TriggerEnd,
            Self::Start | Self::Normal | Self::Explain | Self::Create | Self::TriggerEnd
                if is_semicolon =>
            {
                Self::Start
            }
            Self::Trigger | Self::TriggerSemicolon | Self::TriggerEnd => Self::Trigger,
            Self::Start | Self::Explain if is_create => Self::Create,
            Self::Start if token.is_word("EXPLAIN") => Self::Explain,
            // EXPLAIN QUERY PLAN.
            Self::Explain if !is_temporary && !token.is_word("TRIGGER") => Self::Explain,
            Self::Create if is_temporary => Self::Create,
            Self::Create if token.is_word("TRIGGER") => Self::Trigger,
            Self::Start | Self::Normal | Self::Explain | Self::Create => Self::Normal,
        }
    }
}

#[cfg(test)]
mod tests;
