//! A plan's effects, from its SQL alone: what may be lost, locked and rewritten. Whether it exists in
//! the database, and how much of it, is for the caller to find out.

use sql::Dialect;

use crate::{
    Located, PossibleLoss, TableAccess, TableWork, TypeChange,
    copies::Copies,
    effect::{DeletedRows, Effect},
    effects::effects,
    name_map::NameMap,
    parse::{ParsedStatement, parse, runs_code},
    postgres_locks, sqlite_access,
    stack::on_large_stack,
};

/// One body of a plan.
#[derive(Clone, Copy, Debug)]
pub struct Body<'a> {
    /// Its SQL.
    pub sql: &'a str,
    /// How many of its statements are committed already.
    pub completed: usize,
}

/// What a plan does, in the names of the database as it is now.
#[derive(Debug, Default)]
pub struct Analysis {
    /// What it may remove.
    pub possible_losses: Vec<Located<PossibleLoss>>,
    /// The tables that it locks and works through.
    pub accesses: Vec<Located<TableAccess>>,
    /// The columns whose type it changes.
    pub type_changes: Vec<Located<TypeChange>>,
    /// Statements that may remove data and could not be parsed.
    pub unparsed: Vec<Located<()>>,
    /// Statements whose syntax tree could be deeper than [`MAX_SYNTAX_DEPTH`](crate::MAX_SYNTAX_DEPTH):
    /// no parser saw them.
    pub too_deep: Vec<Located<()>>,
}

/// Analyses a plan. Unqualified names are looked up in `schema`.
pub fn analyze(dialect: Dialect, schema: &str, bodies: &[Body<'_>]) -> Analysis {
    on_large_stack(|| analyze_here(dialect, schema, bodies))
}

fn analyze_here(dialect: Dialect, schema: &str, bodies: &[Body<'_>]) -> Analysis {
    let mut analysis = Analysis::default();
    let mut effects_of_plan: Vec<Located<Effect>> = Vec::new();
    for (step, body) in bodies.iter().enumerate() {
        for statement in parse(dialect, body.sql).skip(body.completed) {
            if statement.is_too_deep {
                analysis.too_deep.push(Located { step, line: statement.line, value: () });
            }
            effects_of_plan.extend(statement_effects(dialect, &statement).into_iter().map(
                |mut value| {
                    value.names().for_each(|name| name.strip_schema(schema));
                    Located { step, line: statement.line, value }
                },
            ));
        }
    }
    let (mut names, mut copies) = (NameMap::default(), Copies::new(&effects_of_plan));
    for (place, at) in effects_of_plan.iter().enumerate() {
        analysis.take(place, at, &names, &copies);
        copies.apply(place, &names);
        names.apply(&at.value);
    }
    analysis
}

fn statement_effects(dialect: Dialect, statement: &ParsedStatement) -> Vec<Effect> {
    let Some(stmt) = &statement.stmt else {
        return if statement.may_remove_data { vec![Effect::Unparsed] } else { Vec::new() };
    };
    let accesses = match dialect {
        Dialect::Postgres => postgres_locks::table_accesses(stmt),
        Dialect::Sqlite => sqlite_access::table_accesses(stmt),
    };
    let accesses = accesses.into_iter().map(Effect::Access);
    let is_unparsed = statement.may_remove_data && (!statement.is_complete || runs_code(stmt));
    accesses.chain(effects(stmt)).chain(is_unparsed.then_some(Effect::Unparsed)).collect()
}

impl Analysis {
    fn take(&mut self, place: usize, at: &Located<Effect>, names: &NameMap, copies: &Copies<'_>) {
        let loss = match &at.value {
            Effect::DropTable(name) => {
                names.table(name).map(|table| copies.loss_of_dropped(table, names))
            }
            Effect::DropColumn(name, column) => names.table(name).and_then(|table| {
                Some(PossibleLoss::Column(table.clone(), names.column(&table, column)?))
            }),
            Effect::DeleteRows(name, rows) => names.table(name).map(|table| {
                // A query with a name that the database does not have yet cannot run there.
                let rows = if table == *name { rows.clone() } else { DeletedRows::Unknown };
                PossibleLoss::Rows(table, rows)
            }),
            Effect::Truncate { table, cascade } => {
                names.table(table).map(|table| PossibleLoss::Truncate(table, *cascade))
            }
            Effect::DropCascade(object, name) => Some(PossibleLoss::Cascade(*object, name.clone())),
            _ => None,
        };
        self.possible_losses.extend(loss.map(|loss| at.with(loss)));
        match &at.value {
            Effect::Access(access) => {
                let table = names.table(&access.table);
                self.accesses
                    .extend(table.map(|table| at.with(TableAccess { table, ..access.clone() })));
            }
            Effect::CopyRows { from, .. } => {
                let rebuilt = names.table(from).zip(copies.recreated_by_rebuild(place));
                self.accesses.extend(rebuilt.map(|(table, recreated)| {
                    at.with(TableAccess {
                        table,
                        lock: None,
                        work: TableWork::Rebuild { recreated },
                    })
                }));
            }
            Effect::SetType { table, column, to, computed } => {
                let column = names
                    .table(table)
                    .and_then(|table| Some((names.column(&table, column)?, table)));
                self.type_changes.extend(column.map(|(column, table)| {
                    at.with(TypeChange { table, column, to: to.clone(), computed: *computed })
                }));
            }
            Effect::Unparsed => self.unparsed.push(at.with(())),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
