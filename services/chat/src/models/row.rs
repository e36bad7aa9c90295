//! Row values, `(a, b) < (x, y)`, which both databases follow through an index and Diesel lacks.

use diesel::{
    AppearsOnTable, Expression, QueryResult, SelectableExpression,
    backend::Backend,
    expression::ValidGrouping,
    query_builder::{AstPass, QueryFragment, QueryId},
    sql_types::Bool,
};

/// Whether the left row sorts before the right one, compared column by column.
#[derive(Clone, Copy, Debug, QueryId, ValidGrouping)]
pub(super) struct RowBefore<L, R> {
    left: L,
    right: R,
}

/// `(left) < (right)`, each a tuple of expressions.
pub(super) fn row_before<L: Expression, R: Expression<SqlType = L::SqlType>>(
    left: L,
    right: R,
) -> RowBefore<L, R> {
    RowBefore { left, right }
}

impl<L: Expression, R: Expression> Expression for RowBefore<L, R> {
    type SqlType = Bool;
}

impl<L, R, DB: Backend> QueryFragment<DB> for RowBefore<L, R>
where
    L: QueryFragment<DB>,
    R: QueryFragment<DB>,
{
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        out.push_sql("(");
        self.left.walk_ast(out.reborrow())?;
        out.push_sql(") < (");
        self.right.walk_ast(out.reborrow())?;
        out.push_sql(")");
        Ok(())
    }
}

impl<L, R, T> AppearsOnTable<T> for RowBefore<L, R>
where
    L: AppearsOnTable<T>,
    R: AppearsOnTable<T>,
{
}

impl<L, R, T> SelectableExpression<T> for RowBefore<L, R>
where
    L: SelectableExpression<T>,
    R: SelectableExpression<T>,
{
}
