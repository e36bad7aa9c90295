//! LIMIT as a literal that the planner sees.
//!
//! Diesel sends it as a parameter. PostgreSQL then makes a new plan for each execution, because a
//! generic plan would assume a tenth of all rows
//! (<https://www.postgresql.org/docs/current/sql-prepare.html>), and planning takes as long as
//! reading a page. With a literal PostgreSQL keeps one plan.

use diesel::{
    QueryResult,
    backend::Backend,
    query_builder::{AstPass, Query, QueryFragment, QueryId},
    serialize::ToSql,
    sql_types::{BigInt, HasSqlType},
};
use wire::page::USUAL;

/// A query with a LIMIT.
pub(super) struct Limited<Q> {
    rows: i64,
    is_literal: bool,
    query: Q,
}

/// Limits a query by a literal. Every value makes a statement of its own, which each connection
/// keeps prepared: pass constants only.
pub(super) fn limit_literal<Q>(rows: usize, query: Q) -> Limited<Q> {
    Limited { rows: i64::try_from(rows).unwrap_or(i64::MAX), is_literal: true, query }
}

/// Limits a query by a page size that a caller chose: a literal for the usual sizes, else a
/// parameter.
pub(super) fn limit_page<Q>(rows: usize, query: Q) -> Limited<Q> {
    Limited { is_literal: USUAL.contains(&rows), ..limit_literal(rows, query) }
}

impl<Q: Query> Query for Limited<Q> {
    type SqlType = Q::SqlType;
}

impl<Q> QueryId for Limited<Q> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<Q, DB> QueryFragment<DB> for Limited<Q>
where
    DB: Backend + HasSqlType<BigInt>,
    i64: ToSql<BigInt, DB>,
    Q: QueryFragment<DB>,
{
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        self.query.walk_ast(out.reborrow())?;
        out.push_sql(" LIMIT ");
        if self.is_literal {
            out.push_sql(&self.rows.to_string());
            return Ok(());
        }
        out.push_bind_param::<BigInt, _>(&self.rows)
    }
}
