//! From a statement to its effects.

use sql::Name;
use squawk_syntax::{
    SyntaxKind, SyntaxNode,
    ast::{self, AstNode as _, Stmt, normalize_name_node as identifier},
};

use crate::{
    effect::{CascadeRoot, DeletedRows, Effect},
    parse::{name_of, node_text},
};

/// What a statement does, in order.
pub fn effects(stmt: &Stmt) -> Vec<Effect> {
    match stmt {
        Stmt::CreateTable(create) => {
            let temporary =
                create.persistence().is_some_and(|kind| matches!(kind, ast::Persistence::Temp(_)));
            let created = name_of(create.table_name()).map(|table| Effect::CreateTable {
                table,
                if_not_exists: create.if_not_exists().is_some(),
                temporary,
            });
            created.into_iter().collect()
        }
        Stmt::CreateTableAs(create) => {
            let Some(table) = name_of(create.table_name()) else { return Vec::new() };
            let query = create.query().and_then(|query| query.select_variant());
            let copied = query.map(|query| copied_rows(&query, &table)).unwrap_or_default();
            let temporary =
                create.persistence().is_some_and(|kind| matches!(kind, ast::Persistence::Temp(_)));
            let if_not_exists = create.if_not_exists().is_some();
            [vec![Effect::CreateTable { table, if_not_exists, temporary }], copied].concat()
        }
        Stmt::DropTable(drop) => drop
            .table_name_refs()
            .filter_map(|table| name_of(Some(table)))
            .map(Effect::DropTable)
            .collect(),
        Stmt::AlterTable(alter) => match name_of(alter.table_relation_name()) {
            Some(table) => {
                alter.actions().filter_map(|action| table_change(&table, &action)).collect()
            }
            None => Vec::new(),
        },
        Stmt::Truncate(truncate) => {
            let cascade = is_cascade(truncate.drop_behavior());
            let tables = truncate.table_list().into_iter();
            tables
                .flat_map(|list| list.table_relation_names())
                .filter_map(|table| name_of(Some(table)))
                .map(|table| Effect::Truncate { table, cascade })
                .collect()
        }
        Stmt::Insert(insert) => [deletions(stmt), inserted_rows(insert)].concat(),
        Stmt::Delete(_) | Stmt::Select(_) | Stmt::Update(_) => deletions(stmt),
        Stmt::Merge(merge) => {
            let deletes = contains(stmt, SyntaxKind::MERGE_DELETE);
            let table = name_of(merge.table_relation_name()).filter(|_| deletes);
            table.map(|table| Effect::DeleteRows(table, DeletedRows::Unknown)).into_iter().collect()
        }
        Stmt::DropSchema(drop) if is_cascade(drop.drop_behavior()) => {
            let schemas = drop.schema_refs().map(|schema| unqualified(identifier(schema.syntax())));
            schemas.map(|name| Effect::DropCascade(CascadeRoot::Schema, name)).collect()
        }
        Stmt::DropExtension(drop) if is_cascade(drop.drop_behavior()) => {
            let extensions =
                drop.extension_refs().map(|name| unqualified(identifier(name.syntax())));
            extensions.map(|name| Effect::DropCascade(CascadeRoot::Extension, name)).collect()
        }
        Stmt::DropType(drop) if is_cascade(drop.drop_behavior()) => {
            let names = drop.type_name_refs().filter_map(|name| name_of(Some(name)));
            names.map(|name| Effect::DropCascade(CascadeRoot::Type, name)).collect()
        }
        Stmt::DropDomain(drop) if is_cascade(drop.drop_behavior()) => {
            let names = drop.domain_refs().filter_map(|name| name_of(Some(name)));
            names.map(|name| Effect::DropCascade(CascadeRoot::Type, name)).collect()
        }
        Stmt::CreateIndex(create) => {
            let names = name_of(create.index()).zip(name_of(create.table_relation_name()));
            // It is in its table's schema, which SQLite lets one write before either.
            let created = names.map(|(index, table)| Effect::CreateIndex {
                index: table.sibling(index.name),
                table,
            });
            created.into_iter().collect()
        }
        Stmt::CreateTrigger(create) => {
            let name = create.trigger().map(|trigger| identifier(trigger.syntax()));
            name.map(Effect::CreateTrigger).into_iter().collect()
        }
        _ => Vec::new(),
    }
}

fn table_change(table: &Name, action: &ast::AlterTableAction) -> Option<Effect> {
    let table = table.clone();
    Some(match action {
        ast::AlterTableAction::TableRenameTo(rename) => {
            let to = name_of(rename.table_name())?.name;
            Effect::RenameTable(table.clone(), table.sibling(to))
        }
        ast::AlterTableAction::SetSchema(set) => {
            let schema = identifier(set.schema_ref()?.syntax());
            let to = Name { schema: Some(schema), name: table.name.clone() };
            Effect::RenameTable(table, to)
        }
        // With IF NOT EXISTS it may be an old one.
        ast::AlterTableAction::AddColumn(add) if add.if_not_exists().is_none() => {
            Effect::AddColumn(table, add.column_name()?.text())
        }
        ast::AlterTableAction::DropColumn(drop) => {
            Effect::DropColumn(table, identifier(drop.column_name_ref()?.syntax()))
        }
        ast::AlterTableAction::RenameColumn(rename) => {
            let from = identifier(rename.column_name_ref()?.syntax());
            Effect::RenameColumn(table, from, rename.column_name()?.text())
        }
        ast::AlterTableAction::AlterColumn(alter) => {
            let Some(ast::AlterColumnOption::SetType(set)) = alter.option() else { return None };
            let column = identifier(alter.column_name_ref()?.syntax());
            let computed = set.using_expr().is_some_and(|using| !is_plain_cast(&using, &column));
            Effect::SetType { table, column, to: node_text(set.ty()?.syntax()), computed }
        }
        _ => return None,
    })
}

/// Whether USING only casts the column, which PostgreSQL would do without it.
fn is_plain_cast(using: &ast::UsingExpr, column: &str) -> bool {
    let clause = node_text(using.syntax());
    let expression = clause.get("using".len()..).unwrap_or_default();
    let value = expression.split("::").next().unwrap_or_default();
    let value = value.trim_matches(|c: char| c.is_whitespace() || "()\"".contains(c));
    value.eq_ignore_ascii_case(column)
}

/// The rows that the DELETEs of a statement delete, those in its WITH included. Bodies of functions,
/// rules and triggers do not run here; they are statements of other kinds.
fn deletions(stmt: &Stmt) -> Vec<Effect> {
    let found = stmt.syntax().descendants().filter_map(ast::Delete::cast);
    let top = |delete: &ast::Delete| delete.syntax() == stmt.syntax();
    found.filter_map(|delete| deleted_rows(&delete, top(&delete))).collect()
}

fn deleted_rows(delete: &ast::Delete, top: bool) -> Option<Effect> {
    let relation = delete.relation_name()?;
    let table = name_of(Some(relation.clone()))?;
    let alias = delete.alias().map(|alias| node_text(alias.syntax())).unwrap_or_default();
    let from = format!("{} {alias}", node_text(relation.syntax()));
    let rows = match (delete.where_clause_or_current_of(), delete.using_clause()) {
        _ if !top || delete.with_clause().is_some() => DeletedRows::Unknown,
        (None, None) => DeletedRows::All,
        (Some(found), None) => {
            DeletedRows::Matching(format!("{from} {}", node_text(found.syntax())))
        }
        // USING is a FROM of its own.
        (found, Some(using)) => {
            let others = node_text(using.syntax());
            let others = others.get("using".len()..)?;
            let found = found.map(|found| node_text(found.syntax())).unwrap_or_default();
            DeletedRows::Matching(format!("{from} WHERE EXISTS (SELECT 1 FROM {others} {found})"))
        }
    };
    Some(Effect::DeleteRows(table, rows))
}

fn inserted_rows(insert: &ast::Insert) -> Vec<Effect> {
    match (name_of(insert.relation_name_ref()), insert.insert_source()) {
        // With ON CONFLICT, rows may be left out.
        (Some(into), Some(ast::InsertSource::SelectVariant(query)))
            if insert.on_conflict_clause().is_none() && insert.with_clause().is_none() =>
        {
            copied_rows(&query, &into)
        }
        _ => Vec::new(),
    }
}

/// The rows that a query copies from the tables that it reads.
fn copied_rows(query: &ast::SelectVariant, into: &Name) -> Vec<Effect> {
    let ast::SelectVariant::Select(select) = query else { return Vec::new() };
    let (Some(targets), Some(from)) = (query.target_list(), select.from_clause()) else {
        return Vec::new();
    };
    let all = targets.syntax().descendants().any(|node| {
        matches!(node.kind(), SyntaxKind::TARGET | SyntaxKind::FIELD_EXPR)
            && node.children_with_tokens().any(|child| child.kind() == SyntaxKind::STAR)
    });
    let called = |name: &SyntaxNode| {
        name.parent().is_some_and(|parent| parent.kind() == SyntaxKind::CALL_EXPR)
    };
    let names = targets.syntax().descendants().filter(|node| !called(node));
    let named = names.filter_map(ast::NameRef::cast);
    let columns = (!all).then(|| named.map(|name| name.text()).collect());
    let is_partial = may_leave_rows_out(select, &from);
    let tables = from.syntax().descendants().filter_map(ast::RelationFromItem::cast);
    tables
        .filter_map(|table| name_of(table.relation_name_ref()))
        .map(|table| Effect::CopyRows {
            from: table,
            into: into.clone(),
            columns: columns.clone(),
            query: is_partial.then(|| node_text(query.syntax())),
        })
        .collect()
}

/// Whether a query may select fewer rows than its table has.
fn may_leave_rows_out(select: &ast::Select, from: &ast::FromClause) -> bool {
    let from = node_text(from.syntax()).to_lowercase();
    let table = match from.split_whitespace().collect::<Vec<_>>()[..] {
        [_, table] | [_, table, _] => Some(table),
        [_, table, "as", _] => Some(table),
        _ => None,
    };
    table.is_none_or(|table| table == "only" || table.contains(['(', ',']))
        || from.contains(',')
        || select.where_clause().is_some()
        || select.group_by_clause().is_some()
        || select.having_clause().is_some()
        || select.with_clause().is_some()
        || select
            .tail_clauses()
            .any(|tail| !matches!(tail, ast::SelectTailClause::OrderByClause(_)))
        || select.select_clause().is_some_and(|clause| clause.select_quantifier().is_some())
}

fn unqualified(name: String) -> Name {
    Name { schema: None, name }
}

fn is_cascade(behavior: Option<ast::DropBehavior>) -> bool {
    matches!(behavior, Some(ast::DropBehavior::Cascade(_)))
}

fn contains(stmt: &Stmt, kind: SyntaxKind) -> bool {
    stmt.syntax().descendants().any(|node| node.kind() == kind)
}
