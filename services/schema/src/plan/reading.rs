//! A plan, read from its SQL alone: what would be lost, locked and rewritten, in the names that
//! the database has now. What of it is there, and how much, is for the database to say.

use ::sql::{Dialect, Name};

use super::{
    copies::Copies,
    effects::effects,
    names::Names,
    ops::{Object, Op, Rows},
    sql::{self},
    touches::{Touch, Work, touches},
};

/// One body of a plan.
#[derive(Clone, Copy, Debug)]
pub struct Body<'a> {
    /// Its SQL.
    pub sql: &'a str,
    /// How many of its statements are done already.
    pub done: usize,
}

/// Something, and the statement that does it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct At<T> {
    /// Which body, from 0.
    pub step: usize,
    /// The line of the body, from 1.
    pub line: usize,
    /// The thing.
    pub what: T,
}

/// Values that would go, if there are any.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Gone {
    /// A table, with its rows.
    Table(Name),
    /// A table whose rows were copied to another one before.
    Copied {
        /// The table.
        table: Name,
        /// The columns that went along; none where all did.
        kept: Option<Vec<String>>,
        /// The queries that found the rows; none where one found all.
        found: Option<Vec<String>>,
    },
    /// A column, with its values.
    Column(Name, String),
    /// Rows.
    Rows(Name, Rows),
    /// All rows, and with CASCADE those of the tables that refer to it.
    Emptied(Name, bool),
    /// What depends on something.
    Dependents(Object, Name),
}

/// A column that gets another type.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Retyped {
    /// The table.
    pub table: Name,
    /// The column.
    pub column: String,
    /// The new type, as written.
    pub to: String,
    /// Its values are computed anew (USING), and not cast.
    pub computed: bool,
}

/// What a plan does.
#[derive(Debug, Default)]
pub struct Reading {
    /// What it takes away.
    pub gone: Vec<At<Gone>>,
    /// What it locks and works through.
    pub touches: Vec<At<Touch>>,
    /// The columns that get another type.
    pub retyped: Vec<At<Retyped>>,
    /// Statements that could lose something, and cannot be read.
    pub unread: Vec<At<()>>,
}

/// Reads a plan. `schema` is what an unqualified name is in.
pub fn read(dialect: Dialect, schema: &str, bodies: &[Body<'_>]) -> Reading {
    let mut ops: Vec<At<Op>> = Vec::new();
    for (step, body) in bodies.iter().enumerate() {
        for statement in sql::parse(dialect, body.sql).into_iter().skip(body.done) {
            ops.extend(read_statement(dialect, &statement).into_iter().map(|mut what| {
                what.names().for_each(|name| name.strip_schema(schema));
                At { step, line: statement.line, what }
            }));
        }
    }
    let mut reading = Reading::default();
    let (mut names, mut copies) = (Names::default(), Copies::new(&ops));
    for (place, at) in ops.iter().enumerate() {
        reading.take(place, at, &names, &copies);
        copies.follow(place, &names);
        names.follow(&at.what);
    }
    reading
}

fn read_statement(dialect: Dialect, statement: &sql::Statement) -> Vec<Op> {
    let Some(stmt) = &statement.stmt else {
        return if statement.may_lose { vec![Op::Unread] } else { Vec::new() };
    };
    let touched = touches(dialect, stmt).into_iter().map(Op::Touch);
    let unread = statement.may_lose && (!statement.whole || sql::runs_code(stmt));
    touched.chain(effects(stmt)).chain(unread.then_some(Op::Unread)).collect()
}

impl Reading {
    fn take(&mut self, place: usize, at: &At<Op>, names: &Names, copies: &Copies<'_>) {
        let gone = match &at.what {
            Op::Drop(name) => names.table(name).map(|table| copies.dropped(table, names)),
            Op::DropColumn(name, column) => names
                .table(name)
                .and_then(|table| Some(Gone::Column(table.clone(), names.column(&table, column)?))),
            Op::Delete(name, rows) => names.table(name).map(|table| {
                // A query with a name that the database does not have yet cannot be asked.
                let rows = if table == *name { rows.clone() } else { Rows::Some };
                Gone::Rows(table, rows)
            }),
            Op::Truncate { table, cascade } => {
                names.table(table).map(|table| Gone::Emptied(table, *cascade))
            }
            Op::Cascade(object, name) => Some(Gone::Dependents(*object, name.clone())),
            _ => None,
        };
        self.gone.extend(gone.map(|what| at.with(what)));
        match &at.what {
            Op::Touch(touch) => {
                let table = names.table(&touch.table);
                self.touches.extend(table.map(|table| at.with(Touch { table, ..touch.clone() })));
            }
            Op::Copy { from, .. } => {
                let rebuilt = names.table(from).zip(copies.rebuilt(place));
                self.touches.extend(rebuilt.map(|(table, again)| {
                    at.with(Touch { table, lock: None, work: Work::Rebuild { again } })
                }));
            }
            Op::SetType { table, column, to, computed } => {
                let column = names
                    .table(table)
                    .and_then(|table| Some((names.column(&table, column)?, table)));
                self.retyped.extend(column.map(|(column, table)| {
                    at.with(Retyped { table, column, to: to.clone(), computed: *computed })
                }));
            }
            Op::Unread => self.unread.push(at.with(())),
            _ => {}
        }
    }
}

impl<T> At<T> {
    /// Something else that the same statement does.
    pub const fn with<U>(&self, what: U) -> At<U> {
        At { step: self.step, line: self.line, what }
    }
}

#[cfg(test)]
mod tests;
