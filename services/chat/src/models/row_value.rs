//! Row comparison, `(a, b) < (x, y)`: both databases use an index for it, and Diesel lacks it.

use diesel::{
    AppearsOnTable, Expression, QueryResult, SelectableExpression,
    backend::Backend,
    expression::ValidGrouping,
    query_builder::{AstPass, QueryFragment, QueryId},
    sql_types::Bool,
};

#[derive(Clone, Copy, Debug, QueryId, ValidGrouping)]
pub(super) struct RowLessThan<L, R> {
    left: L,
    right: R,
}

/// `(left) < (right)` for two tuples of expressions.
pub(super) fn row_less_than<L: Expression, R: Expression<SqlType = L::SqlType>>(
    left: L,
    right: R,
) -> RowLessThan<L, R> {
    RowLessThan { left, right }
}

impl<L: Expression, R: Expression> Expression for RowLessThan<L, R> {
    type SqlType = Bool;
}

impl<L, R, DB: Backend> QueryFragment<DB> for RowLessThan<L, R>
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

impl<L, R, T> AppearsOnTable<T> for RowLessThan<L, R>
where
    L: AppearsOnTable<T>,
    R: AppearsOnTable<T>,
{
}

impl<L, R, T> SelectableExpression<T> for RowLessThan<L, R>
where
    L: SelectableExpression<T>,
    R: SelectableExpression<T>,
{
}
