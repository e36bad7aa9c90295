//! From a statement to what it does.

use ::sql::Name;
use squawk_syntax::{
    SyntaxKind, SyntaxNode,
    ast::{self, AstNode as _, Stmt, normalize_name_node as identifier},
};

use super::{
    ops::{Object, Op, Rows},
    sql::{name_of, text},
};

/// What a statement does, in order.
pub fn effects(stmt: &Stmt) -> Vec<Op> {
    match stmt {
        Stmt::CreateTable(create) => {
            let temporary =
                create.persistence().is_some_and(|kind| matches!(kind, ast::Persistence::Temp(_)));
            let made = name_of(create.table_name()).map(|table| Op::Create {
                table,
                if_not_exists: create.if_not_exists().is_some(),
                temporary,
            });
            made.into_iter().collect()
        }
        Stmt::CreateTableAs(create) => {
            let Some(table) = name_of(create.table_name()) else { return Vec::new() };
            let query = create.query().and_then(|query| query.select_variant());
            let copied = query.map(|query| copies(&query, &table)).unwrap_or_default();
            let temporary =
                create.persistence().is_some_and(|kind| matches!(kind, ast::Persistence::Temp(_)));
            let if_not_exists = create.if_not_exists().is_some();
            [vec![Op::Create { table, if_not_exists, temporary }], copied].concat()
        }
        Stmt::DropTable(drop) => {
            drop.table_name_refs().filter_map(|table| name_of(Some(table))).map(Op::Drop).collect()
        }
        Stmt::AlterTable(alter) => match name_of(alter.table_relation_name()) {
            Some(table) => alter.actions().filter_map(|action| altered(&table, &action)).collect(),
            None => Vec::new(),
        },
        Stmt::Truncate(truncate) => {
            let cascade = cascades(truncate.drop_behavior());
            let tables = truncate.table_list().into_iter();
            tables
                .flat_map(|list| list.table_relation_names())
                .filter_map(|table| name_of(Some(table)))
                .map(|table| Op::Truncate { table, cascade })
                .collect()
        }
        Stmt::Insert(insert) => [deletes(stmt), inserted(insert)].concat(),
        Stmt::Delete(_) | Stmt::Select(_) | Stmt::Update(_) => deletes(stmt),
        Stmt::Merge(merge) => {
            let deletes = holds(stmt, SyntaxKind::MERGE_DELETE);
            let table = name_of(merge.table_relation_name()).filter(|_| deletes);
            table.map(|table| Op::Delete(table, Rows::Some)).into_iter().collect()
        }
        Stmt::DropSchema(drop) if cascades(drop.drop_behavior()) => {
            let schemas = drop.schema_refs().map(|schema| bare(identifier(schema.syntax())));
            schemas.map(|name| Op::Cascade(Object::Schema, name)).collect()
        }
        Stmt::DropExtension(drop) if cascades(drop.drop_behavior()) => {
            let extensions = drop.extension_refs().map(|name| bare(identifier(name.syntax())));
            extensions.map(|name| Op::Cascade(Object::Extension, name)).collect()
        }
        Stmt::DropType(drop) if cascades(drop.drop_behavior()) => {
            let names = drop.type_name_refs().filter_map(|name| name_of(Some(name)));
            names.map(|name| Op::Cascade(Object::Type, name)).collect()
        }
        Stmt::DropDomain(drop) if cascades(drop.drop_behavior()) => {
            let names = drop.domain_refs().filter_map(|name| name_of(Some(name)));
            names.map(|name| Op::Cascade(Object::Type, name)).collect()
        }
        Stmt::CreateIndex(create) => {
            let names = name_of(create.index()).zip(name_of(create.table_relation_name()));
            // It is in its table's schema, which SQLite lets one write before either.
            let made =
                names.map(|(index, table)| Op::Index { index: table.sibling(index.name), table });
            made.into_iter().collect()
        }
        Stmt::CreateTrigger(create) => {
            let name = create.trigger().map(|trigger| identifier(trigger.syntax()));
            name.map(Op::Trigger).into_iter().collect()
        }
        _ => Vec::new(),
    }
}

fn altered(table: &Name, action: &ast::AlterTableAction) -> Option<Op> {
    let table = table.clone();
    Some(match action {
        ast::AlterTableAction::TableRenameTo(rename) => {
            let to = name_of(rename.table_name())?.name;
            Op::Rename(table.clone(), table.sibling(to))
        }
        ast::AlterTableAction::SetSchema(set) => {
            let schema = identifier(set.schema_ref()?.syntax());
            let to = Name { schema: Some(schema), name: table.name.clone() };
            Op::Rename(table, to)
        }
        // With IF NOT EXISTS it may be an old one.
        ast::AlterTableAction::AddColumn(add) if add.if_not_exists().is_none() => {
            Op::AddColumn(table, add.column_name()?.text())
        }
        ast::AlterTableAction::DropColumn(drop) => {
            Op::DropColumn(table, identifier(drop.column_name_ref()?.syntax()))
        }
        ast::AlterTableAction::RenameColumn(rename) => {
            let from = identifier(rename.column_name_ref()?.syntax());
            Op::RenameColumn(table, from, rename.column_name()?.text())
        }
        ast::AlterTableAction::AlterColumn(alter) => {
            let Some(ast::AlterColumnOption::SetType(set)) = alter.option() else { return None };
            let column = identifier(alter.column_name_ref()?.syntax());
            let computed = set.using_expr().is_some_and(|using| !casts(&using, &column));
            Op::SetType { table, column, to: text(set.ty()?.syntax()), computed }
        }
        _ => return None,
    })
}

/// Whether an expression is the column itself, cast or not: as if there was none.
fn casts(using: &ast::UsingExpr, column: &str) -> bool {
    let words = text(using.syntax());
    let expression = words.get("using".len()..).unwrap_or_default();
    let value = expression.split("::").next().unwrap_or_default();
    let value = value.trim_matches(|c: char| c.is_whitespace() || "()\"".contains(c));
    value.eq_ignore_ascii_case(column)
}

/// The rows that DELETEs in a statement take, those in its WITH included. Bodies of functions,
/// rules and triggers are not run, and are statements of other kinds.
fn deletes(stmt: &Stmt) -> Vec<Op> {
    let found = stmt.syntax().descendants().filter_map(ast::Delete::cast);
    let top = |delete: &ast::Delete| delete.syntax() == stmt.syntax();
    found.filter_map(|delete| deleted(&delete, top(&delete))).collect()
}

fn deleted(delete: &ast::Delete, top: bool) -> Option<Op> {
    let relation = delete.relation_name()?;
    let table = name_of(Some(relation.clone()))?;
    let alias = delete.alias().map(|alias| text(alias.syntax())).unwrap_or_default();
    let from = format!("{} {alias}", text(relation.syntax()));
    let rows = match (delete.where_clause_or_current_of(), delete.using_clause()) {
        _ if !top || delete.with_clause().is_some() => Rows::Some,
        (None, None) => Rows::All,
        (Some(found), None) => Rows::From(format!("{from} {}", text(found.syntax()))),
        // USING is a FROM of its own.
        (found, Some(using)) => {
            let others = text(using.syntax());
            let others = others.get("using".len()..)?;
            let found = found.map(|found| text(found.syntax())).unwrap_or_default();
            Rows::From(format!("{from} WHERE EXISTS (SELECT 1 FROM {others} {found})"))
        }
    };
    Some(Op::Delete(table, rows))
}

fn inserted(insert: &ast::Insert) -> Vec<Op> {
    match (name_of(insert.relation_name_ref()), insert.insert_source()) {
        // One that gives way to rows that are there already leaves others out.
        (Some(into), Some(ast::InsertSource::SelectVariant(query)))
            if insert.on_conflict_clause().is_none() && insert.with_clause().is_none() =>
        {
            copies(&query, &into)
        }
        _ => Vec::new(),
    }
}

/// The tables that a query reads, as copied into another one.
fn copies(query: &ast::SelectVariant, into: &Name) -> Vec<Op> {
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
    let some = leaves_out(select, &from);
    let tables = from.syntax().descendants().filter_map(ast::RelationFromItem::cast);
    tables
        .filter_map(|table| name_of(table.relation_name_ref()))
        .map(|table| Op::Copy {
            from: table,
            into: into.clone(),
            columns: columns.clone(),
            select: some.then(|| text(query.syntax())),
        })
        .collect()
}

/// Whether a query may find fewer rows than the table has that it reads.
fn leaves_out(select: &ast::Select, from: &ast::FromClause) -> bool {
    let from = text(from.syntax()).to_lowercase();
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

fn bare(name: String) -> Name {
    Name { schema: None, name }
}

fn cascades(behavior: Option<ast::DropBehavior>) -> bool {
    matches!(behavior, Some(ast::DropBehavior::Cascade(_)))
}

fn holds(stmt: &Stmt, kind: SyntaxKind) -> bool {
    stmt.syntax().descendants().any(|node| node.kind() == kind)
}
