//! LIMIT, as a number that the planner sees.
//!
//! Diesel sends it as a parameter. PostgreSQL then makes a plan for each execution, since without
//! the number it would have to expect a tenth of all rows
//! (<https://www.postgresql.org/docs/current/sql-prepare.html>), and making it takes as long as
//! reading a page does. With the number in the statement it keeps one plan.

use diesel::{
    QueryResult,
    backend::Backend,
    query_builder::{AstPass, Query, QueryFragment, QueryId},
    serialize::ToSql,
    sql_types::{BigInt, HasSqlType},
};
use wire::page::USUAL;

/// The first rows of a query.
pub(super) struct First<Q> {
    rows: i64,
    is_written: bool,
    query: Q,
}

/// At most `rows` rows of a query. That number is one of few: with each, it is another statement,
/// which every connection keeps.
pub(super) fn first<Q>(rows: usize, query: Q) -> First<Q> {
    First { rows: i64::try_from(rows).unwrap_or(i64::MAX), is_written: true, query }
}

/// At most `rows` rows of a query, as many as a caller thought of.
pub(super) fn first_asked<Q>(rows: usize, query: Q) -> First<Q> {
    First { is_written: USUAL.contains(&rows), ..first(rows, query) }
}

impl<Q: Query> Query for First<Q> {
    type SqlType = Q::SqlType;
}

impl<Q> QueryId for First<Q> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<Q, DB> QueryFragment<DB> for First<Q>
where
    DB: Backend + HasSqlType<BigInt>,
    i64: ToSql<BigInt, DB>,
    Q: QueryFragment<DB>,
{
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        self.query.walk_ast(out.reborrow())?;
        out.push_sql(" LIMIT ");
        if self.is_written {
            out.push_sql(&self.rows.to_string());
            return Ok(());
        }
        out.push_bind_param::<BigInt, _>(&self.rows)
    }
}
