//! The locks that PostgreSQL takes for a statement, and what it goes through under them.
//!
//! From its documentation:
//! <https://www.postgresql.org/docs/current/explicit-locking.html#LOCKING-TABLES>
//! and the pages of the statements, <https://www.postgresql.org/docs/current/sql-altertable.html>
//! first of all. A test compares the table with what a server does.

use squawk_syntax::ast::{AstNode, CommentObject, LockMode, ReindexTarget, Stmt};

use super::{
    alter::{alter_table, referred},
    sql::name_of,
    touches::{Touch, Work},
};

/// A lock on a table, weakest first.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Mode {
    /// Of readers.
    AccessShare,
    /// Of SELECT FOR UPDATE.
    RowShare,
    /// Of writers.
    RowExclusive,
    /// Of one schema change beside readers and writers.
    ShareUpdateExclusive,
    /// Keeps the rows as they are.
    Share,
    /// The same, for one at a time.
    ShareRowExclusive,
    /// Only readers beside it.
    Exclusive,
    /// Nobody beside it.
    AccessExclusive,
}

use Mode::{
    AccessExclusive, AccessShare, Exclusive, RowExclusive, RowShare, Share, ShareRowExclusive,
    ShareUpdateExclusive,
};

impl Mode {
    /// As PostgreSQL calls it.
    pub const fn name(self) -> &'static str {
        match self {
            AccessShare => "ACCESS SHARE",
            RowShare => "ROW SHARE",
            RowExclusive => "ROW EXCLUSIVE",
            ShareUpdateExclusive => "SHARE UPDATE EXCLUSIVE",
            Share => "SHARE",
            ShareRowExclusive => "SHARE ROW EXCLUSIVE",
            Exclusive => "EXCLUSIVE",
            AccessExclusive => "ACCESS EXCLUSIVE",
        }
    }

    /// Who waits.
    pub const fn blocks(self) -> &'static str {
        match self {
            AccessShare | RowShare | RowExclusive | ShareUpdateExclusive => {
                "reads and writes go on, other changes of the schema wait"
            }
            Share | ShareRowExclusive | Exclusive => "reads go on, writes wait",
            AccessExclusive => "reads and writes wait",
        }
    }

    /// Whether writers wait.
    pub fn blocks_writes(self) -> bool {
        self >= Share
    }
}

/// What a statement touches, tables that it makes left out.
pub fn touches(stmt: &Stmt) -> Vec<Touch> {
    let concurrently = |is: bool, otherwise| if is { ShareUpdateExclusive } else { otherwise };
    match stmt {
        Stmt::AlterTable(alter) => alter_table(alter),
        Stmt::Analyze(analyze) => {
            let tables = analyze.table_and_columns_list();
            each(
                tables.into_iter().flat_map(|list| list.table_and_columnss()),
                ShareUpdateExclusive,
                Work::None,
            )
        }
        Stmt::Cluster(cluster) => one(cluster.table_name_ref(), AccessExclusive, Work::Rewrite),
        Stmt::CommentOn(comment) => match comment.comment_object() {
            Some(CommentObject::ObjectTable(table)) => {
                one(Some(table), ShareUpdateExclusive, Work::None)
            }
            Some(CommentObject::ObjectColumn(column)) => {
                let path = column.name().and_then(|name| name.path_ref());
                one(path.and_then(|path| path.qualifier()), ShareUpdateExclusive, Work::None)
            }
            _ => Vec::new(),
        },
        Stmt::CreateIndex(create) => {
            let mode = concurrently(create.concurrently_token().is_some(), Share);
            one(create.table_relation_name(), mode, Work::Scan)
        }
        Stmt::CreateTable(create) => {
            let parents = create.inherits().into_iter().flat_map(|list| list.table_name_refs());
            [
                one(
                    create.partition_of().and_then(|of| of.table_name_ref()),
                    AccessExclusive,
                    Work::None,
                ),
                each(parents, ShareUpdateExclusive, Work::None),
                referred(create.syntax()),
            ]
            .concat()
        }
        Stmt::CreatePolicy(create) => one(create.on_table(), AccessExclusive, Work::None),
        Stmt::AlterPolicy(alter) => one(alter.on_table(), AccessExclusive, Work::None),
        Stmt::DropPolicy(drop) => one(drop.on_table(), AccessExclusive, Work::None),
        Stmt::CreateRule(create) => one(create.rule_on(), AccessExclusive, Work::None),
        Stmt::CreateStatistics(create) => {
            one(create.from_table(), ShareUpdateExclusive, Work::None)
        }
        Stmt::CreateTrigger(create) => one(create.on_relation(), ShareRowExclusive, Work::None),
        Stmt::DropTrigger(drop) => one(drop.on_relation(), AccessExclusive, Work::None),
        Stmt::Delete(delete) => one(delete.relation_name(), RowExclusive, Work::Scan),
        Stmt::DropIndex(drop) => {
            let mode = concurrently(drop.concurrently_token().is_some(), AccessExclusive);
            each(drop.index_refs(), mode, Work::None)
        }
        Stmt::DropTable(drop) => [
            each(drop.table_name_refs(), AccessExclusive, Work::None),
            each(drop.table_name_refs(), AccessExclusive, Work::Unlink(None)),
        ]
        .concat(),
        Stmt::Insert(insert) => one(insert.relation_name_ref(), RowExclusive, Work::None),
        Stmt::Lock(lock) => {
            let mode = lock.lock_mode_clause().and_then(|clause| clause.lock_mode());
            let tables = lock.relation_list().into_iter().flat_map(|list| list.relation_names());
            each(tables, mode.map_or(AccessExclusive, |mode| named(&mode)), Work::None)
        }
        Stmt::Merge(merge) => one(merge.table_relation_name(), RowExclusive, Work::Scan),
        Stmt::Refresh(refresh) => {
            let concurrently = refresh.concurrently_token().is_some();
            let (mode, work) = if concurrently {
                (Exclusive, Work::Scan)
            } else {
                (AccessExclusive, Work::Rewrite)
            };
            one(refresh.view_ref(), mode, work)
        }
        Stmt::Reindex(reindex) => {
            let mode = concurrently(reindex.is_concurrently(), Share);
            match reindex.reindex_target() {
                Some(ReindexTarget::ReindexTargetIndex(index)) => {
                    one(Some(index), mode, Work::Scan)
                }
                Some(ReindexTarget::ReindexTargetTable(table)) => {
                    one(Some(table), mode, Work::Scan)
                }
                _ => Vec::new(),
            }
        }
        Stmt::Truncate(truncate) => {
            let tables = truncate.table_list().into_iter();
            each(tables.flat_map(|list| list.table_relation_names()), AccessExclusive, Work::None)
        }
        Stmt::Update(update) => one(update.relation_name(), RowExclusive, Work::Scan),
        Stmt::Vacuum(vacuum) => {
            let tables = vacuum.table_and_columns_list().into_iter();
            let (mode, work) = if vacuum.is_full() {
                (AccessExclusive, Work::Rewrite)
            } else {
                (ShareUpdateExclusive, Work::Scan)
            };
            each(tables.flat_map(|list| list.table_and_columnss()), mode, work)
        }
        _ => Vec::new(),
    }
}

/// The mode that a LOCK names.
fn named(mode: &LockMode) -> Mode {
    match mode {
        LockMode::AccessShare(_) => AccessShare,
        LockMode::RowShare(_) => RowShare,
        LockMode::RowExclusive(_) => RowExclusive,
        LockMode::ShareUpdateExclusive(_) => ShareUpdateExclusive,
        LockMode::Share(_) => Share,
        LockMode::ShareRowExclusive(_) => ShareRowExclusive,
        LockMode::Exclusive(_) => Exclusive,
        LockMode::AccessExclusive(_) => AccessExclusive,
    }
}

/// One table, touched.
pub fn one(table: Option<impl AstNode>, lock: Mode, work: Work) -> Vec<Touch> {
    each(table.into_iter(), lock, work)
}

fn each(tables: impl Iterator<Item = impl AstNode>, lock: Mode, work: Work) -> Vec<Touch> {
    tables
        .filter_map(|table| name_of(Some(table)))
        .map(|table| Touch { table, lock: Some(lock), work: work.clone() })
        .collect()
}

#[cfg(test)]
mod tests;
