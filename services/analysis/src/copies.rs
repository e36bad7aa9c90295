//! Copies: a table whose rows were copied before it is dropped loses only what was left out. A
//! rebuild on SQLite consists of that, and so does a move of rows on either database:
//! <https://www.sqlite.org/lang_altertable.html#otheralter>.

use sql::Name;

use crate::{Located, effect::Effect, name_map::NameMap, possible_loss::PossibleLoss};

/// The copies that a plan makes.
pub struct Copies<'a> {
    effects: &'a [Located<Effect>],
    /// Tables of the database that were copied so far, with the place of the copy in the plan.
    copied: Vec<(Name, usize)>,
}

impl<'a> Copies<'a> {
    /// Starts before the first effect of a plan.
    pub const fn new(effects: &'a [Located<Effect>]) -> Self {
        Self { effects, copied: Vec::new() }
    }

    /// Applies the effect at a place of the plan.
    pub fn apply(&mut self, place: usize, names: &NameMap) {
        if let Effect::CopyRows { from, .. } = &self.effects[place].value
            && let Some(table) = names.table(from)
        {
            self.copied.push((table, place));
        }
    }

    /// What may be lost when a table of the database is dropped.
    pub fn loss_of_dropped(&self, table: Name, names: &NameMap) -> PossibleLoss {
        let mut kept = Some(Vec::new());
        let mut is_copied = false;
        let mut queries = Some(Vec::new());
        for (_, place) in self.copied.iter().filter(|(source, _)| *source == table) {
            if let Effect::CopyRows { into, columns, query, .. } = &self.effects[*place].value
                && self.is_kept(place + 1, into)
            {
                let columns = columns.as_ref().map(|columns| {
                    columns.iter().filter_map(|column| names.column(&table, column))
                });
                kept = kept
                    .zip(columns)
                    .map(|(kept, columns)| kept.into_iter().chain(columns).collect());
                queries = queries
                    .zip(query.clone())
                    .map(|(queries, query)| [queries, vec![query]].concat());
                is_copied = true;
            }
        }
        if is_copied {
            PossibleLoss::Copied { table, kept_columns: kept, queries }
        } else {
            PossibleLoss::Table(table)
        }
    }

    /// If the copy at a place begins a rebuild, where the copied table is dropped and the new one
    /// takes its name: the indexes and triggers that the plan creates from there on.
    pub fn recreated_by_rebuild(&self, place: usize) -> Option<Vec<String>> {
        let Effect::CopyRows { from, into, .. } = &self.effects[place].value else { return None };
        let later = || self.effects[place..].iter().map(|at| &at.value);
        let dropped = later().any(|op| matches!(op, Effect::DropTable(table) if table == from));
        let renamed =
            later().any(|op| matches!(op, Effect::RenameTable(a, b) if a == into && b == from));
        let attached = later().filter_map(|op| match op {
            Effect::CreateIndex { index, .. } => Some(index.name.clone()),
            Effect::CreateTrigger(name) => Some(name.clone()),
            _ => None,
        });
        (dropped && renamed).then(|| attached.collect())
    }

    /// Whether rows that were copied into a table are there at the end of the plan.
    fn is_kept(&self, place: usize, table: &Name) -> bool {
        let mut table = table;
        for (place, Located { value: op, .. }) in self.effects.iter().enumerate().skip(place) {
            match op {
                Effect::RenameTable(from, to) if from == table => table = to,
                Effect::CopyRows { from, into, .. }
                    if from == table && self.is_kept(place + 1, into) =>
                {
                    return true;
                }
                Effect::DropTable(gone)
                | Effect::DeleteRows(gone, _)
                | Effect::Truncate { table: gone, .. }
                    if gone == table =>
                {
                    return false;
                }
                _ => {}
            }
        }
        let temporary = |at: &Located<Effect>| {
            let Effect::CreateTable { table: created, temporary, .. } = &at.value else {
                return false;
            };
            created == table && *temporary
        };
        !self.effects.iter().any(temporary)
    }
}
