//! The locks of ALTER TABLE's forms: <https://www.postgresql.org/docs/current/sql-altertable.html>.
//! "An ACCESS EXCLUSIVE lock is acquired unless explicitly noted. When multiple subcommands are
//! given, the lock acquired will be the strictest one required by any subcommand."

use sql::Name;
use squawk_syntax::{
    SyntaxNode,
    ast::{
        AddColumn, AlterColumn, AlterColumnOption, AlterTable, AlterTableAction, AstNode as _,
        CallExpr, Constraint, DetachPartitionOption, GeneratedAs, normalize_name_node,
    },
};

use crate::{
    LockMode::{self, AccessExclusive, ShareRowExclusive, ShareUpdateExclusive},
    TableAccess, TableWork,
    parse::{name_of, node_text},
    table_access::{access, referenced_tables},
};

/// Functions that return one value for all rows of a statement: a column with such a default needs
/// no rewrite.
const STABLE_FUNCTIONS: [&str; 4] =
    ["now", "transaction_timestamp", "statement_timestamp", "timezone"];

/// The tables that an ALTER TABLE locks: its own, and those that its forms name.
pub(super) fn alter_table(alter: &AlterTable) -> Vec<TableAccess> {
    let Some(table) = name_of(alter.table_relation_name()) else { return Vec::new() };
    let forms: Vec<(LockMode, TableWork)> =
        alter.actions().map(|action| lock_of_form(&action)).collect();
    let lock = forms.iter().map(|(mode, _)| *mode).max();
    let work = forms.into_iter().map(|(_, work)| work).max().unwrap_or(TableWork::None);
    let others: Vec<TableAccess> =
        alter.actions().flat_map(|action| other_tables(&table, &action)).collect();
    lock.map(|_| TableAccess { table, lock, work }).into_iter().chain(others).collect()
}

fn other_tables(table: &Name, action: &AlterTableAction) -> Vec<TableAccess> {
    let foreign_key_peers = |node: &SyntaxNode| {
        let work = TableWork::ForeignKeyPeers(Some(normalize_name_node(node)));
        vec![TableAccess { table: table.clone(), lock: Some(AccessExclusive), work }]
    };
    match action {
        AlterTableAction::DropColumn(drop) => {
            drop.column_name_ref().map(|name| foreign_key_peers(name.syntax())).unwrap_or_default()
        }
        AlterTableAction::DropConstraint(drop) => {
            let path = drop.constraint_name_ref().and_then(|name| name.path_ref());
            let name = path.and_then(|path| path.segment());
            name.map(|name| foreign_key_peers(name.syntax())).unwrap_or_default()
        }
        AlterTableAction::AddColumn(_) | AlterTableAction::AddConstraint(_) => {
            referenced_tables(action.syntax())
        }
        AlterTableAction::AttachPartition(attach) => {
            access(attach.table_name_ref(), AccessExclusive, TableWork::Scan)
        }
        AlterTableAction::DetachPartition(detach) => {
            access(detach.table_name_ref(), AccessExclusive, TableWork::None)
        }
        AlterTableAction::InheritTable(inherit) => {
            access(Some(inherit.clone()), ShareUpdateExclusive, TableWork::None)
        }
        _ => Vec::new(),
    }
}

fn lock_of_form(action: &AlterTableAction) -> (LockMode, TableWork) {
    use AlterTableAction as Action;
    match action {
        Action::AddColumn(add) => (AccessExclusive, added_column(add)),
        Action::AddConstraint(add) => match add.constraint() {
            Some(constraint) => added_constraint(&constraint),
            None => (AccessExclusive, TableWork::Scan),
        },
        Action::AlterColumn(alter) => altered_column(alter),
        Action::ValidateConstraint(_) => (ShareUpdateExclusive, TableWork::Scan),
        Action::AttachPartition(_)
        | Action::ClusterOn(_)
        | Action::ResetOptions(_)
        | Action::SetOptions(_)
        | Action::SetWithoutCluster(_) => (ShareUpdateExclusive, TableWork::None),
        Action::DetachPartition(detach) => match detach.detach_partition_option() {
            Some(DetachPartitionOption::DetachConcurrently(_)) => {
                (ShareUpdateExclusive, TableWork::None)
            }
            Some(DetachPartitionOption::DetachFinalize(_)) | None => {
                (AccessExclusive, TableWork::None)
            }
        },
        Action::DisableTrigger(_)
        | Action::EnableAlwaysTrigger(_)
        | Action::EnableReplicaTrigger(_)
        | Action::EnableTrigger(_) => (ShareRowExclusive, TableWork::None),
        Action::MergePartitions(_)
        | Action::SetAccessMethod(_)
        | Action::SetLogged(_)
        | Action::SetTablespace(_)
        | Action::SetUnlogged(_)
        | Action::SplitPartition(_) => (AccessExclusive, TableWork::Rewrite),
        Action::AlterConstraint(_)
        | Action::AlterOptionList(_)
        | Action::DisableRls(_)
        | Action::DisableRule(_)
        | Action::DropColumn(_)
        | Action::DropConstraint(_)
        | Action::EnableAlwaysRule(_)
        | Action::EnableReplicaRule(_)
        | Action::EnableRls(_)
        | Action::EnableRule(_)
        | Action::ForceRls(_)
        | Action::InheritTable(_)
        | Action::NoForceRls(_)
        | Action::NoInheritTable(_)
        | Action::NotOf(_)
        | Action::OfType(_)
        | Action::OptionItemList(_)
        | Action::OwnerTo(_)
        | Action::RenameColumn(_)
        | Action::RenameConstraint(_)
        | Action::ReplicaIdentity(_)
        | Action::SetSchema(_)
        | Action::SetWithoutOids(_)
        | Action::TableRenameTo(_) => (AccessExclusive, TableWork::None),
    }
}

/// A value that differs from row to row is written into each; any other is kept once, in the
/// catalog. An index is built, and a check made, by reading.
fn added_column(add: &AddColumn) -> TableWork {
    let serial =
        add.ty().is_some_and(|ty| node_text(ty.syntax()).to_lowercase().contains("serial"));
    let works = add.constraints().map(|constraint| match constraint {
        Constraint::GeneratedConstraint(generated) => match generated.generated_as() {
            Some(GeneratedAs::GeneratedStored(stored))
                if node_text(stored.syntax()).to_lowercase().ends_with("virtual") =>
            {
                TableWork::None
            }
            _ => TableWork::Rewrite,
        },
        Constraint::DefaultConstraint(default) => {
            let mut calls = default.syntax().descendants().filter_map(CallExpr::cast);
            let volatile = |call: CallExpr| {
                let call = node_text(call.syntax()).to_lowercase();
                !STABLE_FUNCTIONS.iter().any(|name| call.split('(').next() == Some(name))
            };
            if calls.any(volatile) { TableWork::Rewrite } else { TableWork::None }
        }
        Constraint::CheckConstraint(_)
        | Constraint::ExcludeConstraint(_)
        | Constraint::PrimaryKeyConstraint(_)
        | Constraint::UniqueConstraint(_) => TableWork::Scan,
        Constraint::ForeignKeyConstraint(_)
        | Constraint::NotNullConstraint(_)
        | Constraint::NullConstraint(_)
        | Constraint::ReferencesConstraint(_) => TableWork::None,
    });
    works.max().unwrap_or(TableWork::None).max(if serial {
        TableWork::Rewrite
    } else {
        TableWork::None
    })
}

fn added_constraint(constraint: &Constraint) -> (LockMode, TableWork) {
    let checked = if constraint.is_not_valid() { TableWork::None } else { TableWork::Scan };
    match constraint {
        Constraint::ForeignKeyConstraint(_) | Constraint::ReferencesConstraint(_) => {
            (ShareRowExclusive, checked)
        }
        Constraint::PrimaryKeyConstraint(key) if key.using_index().is_some() => {
            (AccessExclusive, TableWork::None)
        }
        Constraint::UniqueConstraint(key) if key.using_index().is_some() => {
            (AccessExclusive, TableWork::None)
        }
        Constraint::CheckConstraint(_)
        | Constraint::DefaultConstraint(_)
        | Constraint::ExcludeConstraint(_)
        | Constraint::GeneratedConstraint(_)
        | Constraint::NotNullConstraint(_)
        | Constraint::NullConstraint(_)
        | Constraint::PrimaryKeyConstraint(_)
        | Constraint::UniqueConstraint(_) => (AccessExclusive, checked),
    }
}

fn altered_column(alter: &AlterColumn) -> (LockMode, TableWork) {
    match alter.option() {
        Some(
            AlterColumnOption::ResetOptions(_)
            | AlterColumnOption::SetOptions(_)
            | AlterColumnOption::SetStatistics(_),
        ) => (ShareUpdateExclusive, TableWork::None),
        Some(AlterColumnOption::SetNotNull(_)) => (AccessExclusive, TableWork::Scan),
        Some(AlterColumnOption::SetExpression(_)) => (AccessExclusive, TableWork::Rewrite),
        // Whether the table is rewritten depends on the column's present type: see `type_change`.
        Some(AlterColumnOption::SetType(_)) => (AccessExclusive, TableWork::None),
        Some(
            AlterColumnOption::AddGenerated(_)
            | AlterColumnOption::DropDefault(_)
            | AlterColumnOption::DropExpression(_)
            | AlterColumnOption::DropIdentity(_)
            | AlterColumnOption::DropNotNull(_)
            | AlterColumnOption::Inherit(_)
            | AlterColumnOption::NoInherit(_)
            | AlterColumnOption::Restart(_)
            | AlterColumnOption::SetCompression(_)
            | AlterColumnOption::SetDefault(_)
            | AlterColumnOption::SetGenerated(_)
            | AlterColumnOption::SetGeneratedOptions(_)
            | AlterColumnOption::SetOptionsList(_)
            | AlterColumnOption::SetSequenceOption(_)
            | AlterColumnOption::SetStorage(_),
        )
        | None => (AccessExclusive, TableWork::None),
    }
}
