//! The locks that PostgreSQL takes for a statement, and how much of the table it works through
//! while it holds them.
//!
//! The source is its documentation:
//! <https://www.postgresql.org/docs/current/explicit-locking.html#LOCKING-TABLES>
//! and the pages of the statements, <https://www.postgresql.org/docs/current/sql-altertable.html>
//! first of all. A test of the schema service compares these rules with a server.

mod alter_table;

use squawk_syntax::ast::{self, AstNode as _, CommentObject, ReindexTarget, Stmt};

use crate::{
    LockMode::{
        self, AccessExclusive, AccessShare, Exclusive, RowExclusive, RowShare, Share,
        ShareRowExclusive, ShareUpdateExclusive,
    },
    TableAccess, TableWork,
    table_access::{access, accesses, referenced_tables},
};

use alter_table::alter_table;

/// The tables that a statement locks or works through, without those that it creates.
pub fn table_accesses(stmt: &Stmt) -> Vec<TableAccess> {
    let concurrently = |is: bool, otherwise| if is { ShareUpdateExclusive } else { otherwise };
    match stmt {
        Stmt::AlterTable(alter) => alter_table(alter),
        Stmt::Analyze(analyze) => {
            let tables = analyze.table_and_columns_list();
            accesses(
                tables.into_iter().flat_map(|list| list.table_and_columnss()),
                ShareUpdateExclusive,
                TableWork::None,
            )
        }
        Stmt::Cluster(cluster) => {
            access(cluster.table_name_ref(), AccessExclusive, TableWork::Rewrite)
        }
        Stmt::CommentOn(comment) => match comment.comment_object() {
            Some(CommentObject::ObjectTable(table)) => {
                access(Some(table), ShareUpdateExclusive, TableWork::None)
            }
            Some(CommentObject::ObjectColumn(column)) => {
                let path = column.name().and_then(|name| name.path_ref());
                access(
                    path.and_then(|path| path.qualifier()),
                    ShareUpdateExclusive,
                    TableWork::None,
                )
            }
            _ => Vec::new(),
        },
        Stmt::CreateIndex(create) => {
            let mode = concurrently(create.concurrently_token().is_some(), Share);
            access(create.table_relation_name(), mode, TableWork::Scan)
        }
        Stmt::CreateTable(create) => {
            let parents = create.inherits().into_iter().flat_map(|list| list.table_name_refs());
            [
                access(
                    create.partition_of().and_then(|of| of.table_name_ref()),
                    AccessExclusive,
                    TableWork::None,
                ),
                accesses(parents, ShareUpdateExclusive, TableWork::None),
                referenced_tables(create.syntax()),
            ]
            .concat()
        }
        Stmt::CreatePolicy(create) => access(create.on_table(), AccessExclusive, TableWork::None),
        Stmt::AlterPolicy(alter) => access(alter.on_table(), AccessExclusive, TableWork::None),
        Stmt::DropPolicy(drop) => access(drop.on_table(), AccessExclusive, TableWork::None),
        Stmt::CreateRule(create) => access(create.rule_on(), AccessExclusive, TableWork::None),
        Stmt::CreateStatistics(create) => {
            access(create.from_table(), ShareUpdateExclusive, TableWork::None)
        }
        Stmt::CreateTrigger(create) => {
            access(create.on_relation(), ShareRowExclusive, TableWork::None)
        }
        Stmt::DropTrigger(drop) => access(drop.on_relation(), AccessExclusive, TableWork::None),
        Stmt::Delete(delete) => access(delete.relation_name(), RowExclusive, TableWork::Scan),
        Stmt::DropIndex(drop) => {
            let mode = concurrently(drop.concurrently_token().is_some(), AccessExclusive);
            accesses(drop.index_refs(), mode, TableWork::None)
        }
        Stmt::DropTable(drop) => [
            accesses(drop.table_name_refs(), AccessExclusive, TableWork::None),
            accesses(drop.table_name_refs(), AccessExclusive, TableWork::ForeignKeyPeers(None)),
        ]
        .concat(),
        Stmt::Insert(insert) => access(insert.relation_name_ref(), RowExclusive, TableWork::None),
        Stmt::Lock(lock) => {
            let mode = lock.lock_mode_clause().and_then(|clause| clause.lock_mode());
            let tables = lock.relation_list().into_iter().flat_map(|list| list.relation_names());
            accesses(
                tables,
                mode.map_or(AccessExclusive, |mode| written_mode(&mode)),
                TableWork::None,
            )
        }
        Stmt::Merge(merge) => access(merge.table_relation_name(), RowExclusive, TableWork::Scan),
        Stmt::Refresh(refresh) => {
            let concurrently = refresh.concurrently_token().is_some();
            let (mode, work) = if concurrently {
                (Exclusive, TableWork::Scan)
            } else {
                (AccessExclusive, TableWork::Rewrite)
            };
            access(refresh.view_ref(), mode, work)
        }
        Stmt::Reindex(reindex) => {
            let mode = concurrently(reindex.is_concurrently(), Share);
            match reindex.reindex_target() {
                Some(ReindexTarget::ReindexTargetIndex(index)) => {
                    access(Some(index), mode, TableWork::Scan)
                }
                Some(ReindexTarget::ReindexTargetTable(table)) => {
                    access(Some(table), mode, TableWork::Scan)
                }
                _ => Vec::new(),
            }
        }
        Stmt::Truncate(truncate) => {
            let tables = truncate.table_list().into_iter();
            accesses(
                tables.flat_map(|list| list.table_relation_names()),
                AccessExclusive,
                TableWork::None,
            )
        }
        Stmt::Update(update) => access(update.relation_name(), RowExclusive, TableWork::Scan),
        Stmt::Vacuum(vacuum) => {
            let tables = vacuum.table_and_columns_list().into_iter();
            let (mode, work) = if vacuum.is_full() {
                (AccessExclusive, TableWork::Rewrite)
            } else {
                (ShareUpdateExclusive, TableWork::Scan)
            };
            accesses(tables.flat_map(|list| list.table_and_columnss()), mode, work)
        }
        _ => Vec::new(),
    }
}

/// The mode that a LOCK TABLE names.
fn written_mode(mode: &ast::LockMode) -> LockMode {
    match mode {
        ast::LockMode::AccessShare(_) => AccessShare,
        ast::LockMode::RowShare(_) => RowShare,
        ast::LockMode::RowExclusive(_) => RowExclusive,
        ast::LockMode::ShareUpdateExclusive(_) => ShareUpdateExclusive,
        ast::LockMode::Share(_) => Share,
        ast::LockMode::ShareRowExclusive(_) => ShareRowExclusive,
        ast::LockMode::Exclusive(_) => Exclusive,
        ast::LockMode::AccessExclusive(_) => AccessExclusive,
    }
}
