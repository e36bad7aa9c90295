//! The locks of ALTER TABLE's forms: <https://www.postgresql.org/docs/current/sql-altertable.html>.
//! "An ACCESS EXCLUSIVE lock is acquired unless explicitly noted. When multiple subcommands are
//! given, the lock acquired will be the strictest one required by any subcommand."

use ::sql::Name;
use squawk_syntax::{
    SyntaxNode,
    ast::{
        AddColumn, AlterColumn, AlterColumnOption, AlterTable, AlterTableAction, AstNode as _,
        CallExpr, Constraint, DetachPartitionOption, ForeignKeyConstraint, GeneratedAs,
        ReferencesConstraint, normalize_name_node,
    },
};

use super::{
    locks::{
        Mode::{self, AccessExclusive, ShareRowExclusive, ShareUpdateExclusive},
        one,
    },
    sql::{name_of, text},
    touches::{Touch, Work},
};

/// Functions that give one value to all rows of a statement: a new column needs no rewrite.
const STABLE: [&str; 4] = ["now", "transaction_timestamp", "statement_timestamp", "timezone"];

/// What an ALTER TABLE touches: its table, and those that its forms name.
pub fn alter_table(alter: &AlterTable) -> Vec<Touch> {
    let Some(table) = name_of(alter.table_relation_name()) else { return Vec::new() };
    let forms: Vec<(Mode, Work)> = alter.actions().map(|action| form(&action)).collect();
    let lock = forms.iter().map(|(mode, _)| *mode).max();
    let work = forms.into_iter().map(|(_, work)| work).max().unwrap_or(Work::None);
    let others: Vec<Touch> = alter.actions().flat_map(|action| others(&table, &action)).collect();
    lock.map(|_| Touch { table, lock, work }).into_iter().chain(others).collect()
}

/// The tables that foreign keys below a node refer to: triggers are put on them.
pub fn referred(node: &SyntaxNode) -> Vec<Touch> {
    let mut tables = Vec::new();
    for node in node.descendants() {
        let table = match ForeignKeyConstraint::cast(node.clone()) {
            Some(key) => key.table_name_ref(),
            None => ReferencesConstraint::cast(node).and_then(|key| key.table()),
        };
        tables.extend(one(table, ShareRowExclusive, Work::None));
    }
    tables
}

fn others(table: &Name, action: &AlterTableAction) -> Vec<Touch> {
    let unlink = |node: &SyntaxNode| {
        let work = Work::Unlink(Some(normalize_name_node(node)));
        vec![Touch { table: table.clone(), lock: Some(AccessExclusive), work }]
    };
    match action {
        AlterTableAction::DropColumn(drop) => {
            drop.column_name_ref().map(|name| unlink(name.syntax())).unwrap_or_default()
        }
        AlterTableAction::DropConstraint(drop) => {
            let path = drop.constraint_name_ref().and_then(|name| name.path_ref());
            let name = path.and_then(|path| path.segment());
            name.map(|name| unlink(name.syntax())).unwrap_or_default()
        }
        AlterTableAction::AddColumn(_) | AlterTableAction::AddConstraint(_) => {
            referred(action.syntax())
        }
        AlterTableAction::AttachPartition(attach) => {
            one(attach.table_name_ref(), AccessExclusive, Work::Scan)
        }
        AlterTableAction::DetachPartition(detach) => {
            one(detach.table_name_ref(), AccessExclusive, Work::None)
        }
        AlterTableAction::InheritTable(inherit) => {
            one(Some(inherit.clone()), ShareUpdateExclusive, Work::None)
        }
        _ => Vec::new(),
    }
}

fn form(action: &AlterTableAction) -> (Mode, Work) {
    use AlterTableAction as Action;
    match action {
        Action::AddColumn(add) => (AccessExclusive, added(add)),
        Action::AddConstraint(add) => match add.constraint() {
            Some(constraint) => constrained(&constraint),
            None => (AccessExclusive, Work::Scan),
        },
        Action::AlterColumn(alter) => column(alter),
        Action::ValidateConstraint(_) => (ShareUpdateExclusive, Work::Scan),
        Action::AttachPartition(_)
        | Action::ClusterOn(_)
        | Action::ResetOptions(_)
        | Action::SetOptions(_)
        | Action::SetWithoutCluster(_) => (ShareUpdateExclusive, Work::None),
        Action::DetachPartition(detach) => match detach.detach_partition_option() {
            Some(DetachPartitionOption::DetachConcurrently(_)) => {
                (ShareUpdateExclusive, Work::None)
            }
            Some(DetachPartitionOption::DetachFinalize(_)) | None => (AccessExclusive, Work::None),
        },
        Action::DisableTrigger(_)
        | Action::EnableAlwaysTrigger(_)
        | Action::EnableReplicaTrigger(_)
        | Action::EnableTrigger(_) => (ShareRowExclusive, Work::None),
        Action::MergePartitions(_)
        | Action::SetAccessMethod(_)
        | Action::SetLogged(_)
        | Action::SetTablespace(_)
        | Action::SetUnlogged(_)
        | Action::SplitPartition(_) => (AccessExclusive, Work::Rewrite),
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
        | Action::TableRenameTo(_) => (AccessExclusive, Work::None),
    }
}

/// A value that differs from row to row is written into each; any other is kept once, in the
/// catalog. An index is built, and a check made, by reading.
fn added(add: &AddColumn) -> Work {
    let serial = add.ty().is_some_and(|ty| text(ty.syntax()).to_lowercase().contains("serial"));
    let works = add.constraints().map(|constraint| match constraint {
        Constraint::GeneratedConstraint(generated) => match generated.generated_as() {
            Some(GeneratedAs::GeneratedStored(stored))
                if text(stored.syntax()).to_lowercase().ends_with("virtual") =>
            {
                Work::None
            }
            _ => Work::Rewrite,
        },
        Constraint::DefaultConstraint(default) => {
            let mut calls = default.syntax().descendants().filter_map(CallExpr::cast);
            let volatile = |call: CallExpr| {
                let call = text(call.syntax()).to_lowercase();
                !STABLE.iter().any(|name| call.split('(').next() == Some(name))
            };
            if calls.any(volatile) { Work::Rewrite } else { Work::None }
        }
        Constraint::CheckConstraint(_)
        | Constraint::ExcludeConstraint(_)
        | Constraint::PrimaryKeyConstraint(_)
        | Constraint::UniqueConstraint(_) => Work::Scan,
        Constraint::ForeignKeyConstraint(_)
        | Constraint::NotNullConstraint(_)
        | Constraint::NullConstraint(_)
        | Constraint::ReferencesConstraint(_) => Work::None,
    });
    works.max().unwrap_or(Work::None).max(if serial { Work::Rewrite } else { Work::None })
}

fn constrained(constraint: &Constraint) -> (Mode, Work) {
    let checked = if constraint.is_not_valid() { Work::None } else { Work::Scan };
    match constraint {
        Constraint::ForeignKeyConstraint(_) | Constraint::ReferencesConstraint(_) => {
            (ShareRowExclusive, checked)
        }
        Constraint::PrimaryKeyConstraint(key) if key.using_index().is_some() => {
            (AccessExclusive, Work::None)
        }
        Constraint::UniqueConstraint(key) if key.using_index().is_some() => {
            (AccessExclusive, Work::None)
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

fn column(alter: &AlterColumn) -> (Mode, Work) {
    match alter.option() {
        Some(
            AlterColumnOption::ResetOptions(_)
            | AlterColumnOption::SetOptions(_)
            | AlterColumnOption::SetStatistics(_),
        ) => (ShareUpdateExclusive, Work::None),
        Some(AlterColumnOption::SetNotNull(_)) => (AccessExclusive, Work::Scan),
        Some(AlterColumnOption::SetExpression(_)) => (AccessExclusive, Work::Rewrite),
        // Whether it is a rewrite depends on the type that the column has: `types` says.
        Some(AlterColumnOption::SetType(_)) => (AccessExclusive, Work::None),
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
        | None => (AccessExclusive, Work::None),
    }
}
