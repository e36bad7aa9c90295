//! Copies: a table whose rows were put elsewhere before it is dropped loses only what was left
//! behind. A rebuild on SQLite is made of that, and so is a move of rows on either database:
//! <https://www.sqlite.org/lang_altertable.html#otheralter>.

use super::{
    names::Names,
    ops::Op,
    reading::{At, Gone},
};
use ::sql::Name;

/// The copies that a plan makes.
pub struct Copies<'a> {
    ops: &'a [At<Op>],
    /// Tables of the database that were copied so far, and the copy's place in the plan.
    made: Vec<(Name, usize)>,
}

impl<'a> Copies<'a> {
    /// Of a plan, before its first statement.
    pub const fn new(ops: &'a [At<Op>]) -> Self {
        Self { ops, made: Vec::new() }
    }

    /// Goes on behind one of the plan's ops.
    pub fn follow(&mut self, place: usize, names: &Names) {
        if let Op::Copy { from, .. } = &self.ops[place].what
            && let Some(table) = names.table(from)
        {
            self.made.push((table, place));
        }
    }

    /// What is gone when a table of the database is dropped.
    pub fn dropped(&self, table: Name, names: &Names) -> Gone {
        let mut kept = Some(Vec::new());
        let mut copied = false;
        let mut found = Some(Vec::new());
        for (_, place) in self.made.iter().filter(|(copied, _)| *copied == table) {
            if let Op::Copy { into, columns, select, .. } = &self.ops[*place].what
                && self.stays(place + 1, into)
            {
                let columns = columns.as_ref().map(|columns| {
                    columns.iter().filter_map(|column| names.column(&table, column))
                });
                kept = kept
                    .zip(columns)
                    .map(|(kept, columns)| kept.into_iter().chain(columns).collect());
                found =
                    found.zip(select.clone()).map(|(found, select)| [found, vec![select]].concat());
                copied = true;
            }
        }
        if copied { Gone::Copied { table, kept, found } } else { Gone::Table(table) }
    }

    /// The indexes and triggers that are made on the way from a copy to the end, if the copied
    /// table is dropped and the new one takes its name: a rebuild.
    pub fn rebuilt(&self, place: usize) -> Option<Vec<String>> {
        let Op::Copy { from, into, .. } = &self.ops[place].what else { return None };
        let behind = || self.ops[place..].iter().map(|at| &at.what);
        let dropped = behind().any(|op| matches!(op, Op::Drop(table) if table == from));
        let renamed = behind().any(|op| matches!(op, Op::Rename(a, b) if a == into && b == from));
        let attached = behind().filter_map(|op| match op {
            Op::Index { index, .. } => Some(index.name.clone()),
            Op::Trigger(name) => Some(name.clone()),
            _ => None,
        });
        (dropped && renamed).then(|| attached.collect())
    }

    /// Whether what was copied into a table is still there at the end of the plan.
    fn stays(&self, place: usize, table: &Name) -> bool {
        let mut table = table;
        for (place, At { what: op, .. }) in self.ops.iter().enumerate().skip(place) {
            match op {
                Op::Rename(from, to) if from == table => table = to,
                Op::Copy { from, into, .. } if from == table && self.stays(place + 1, into) => {
                    return true;
                }
                Op::Drop(gone) | Op::Delete(gone, _) | Op::Truncate { table: gone, .. }
                    if gone == table =>
                {
                    return false;
                }
                _ => {}
            }
        }
        let temporary = |at: &At<Op>| {
            let Op::Create { table: made, temporary, .. } = &at.what else { return false };
            made == table && *temporary
        };
        !self.ops.iter().any(temporary)
    }
}
