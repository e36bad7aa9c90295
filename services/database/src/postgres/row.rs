//! A row of PostgreSQL's, as Diesel reads it.

use std::{error::Error, num::NonZeroU32, ops::Range, sync::Arc};

use diesel::{
    pg::{Pg, PgValue},
    row::{Field, PartialRow, Row, RowIndex, RowSealed},
};
use tokio_postgres::{
    Column,
    types::{FromSql, Type},
};

/// A row, with the types of its columns.
pub struct PostgresRow {
    row: tokio_postgres::Row,
    oids: Arc<[NonZeroU32]>,
}

impl PostgresRow {
    pub(super) const fn new(row: tokio_postgres::Row, oids: Arc<[NonZeroU32]>) -> Self {
        Self { row, oids }
    }

    /// The types of a statement's columns, which every row of it has.
    pub(super) fn oids(columns: &[Column]) -> Arc<[NonZeroU32]> {
        // A column always has a type.
        let oid = |column: &Column| NonZeroU32::new(column.type_().oid());
        columns.iter().map(|column| oid(column).unwrap_or(NonZeroU32::MAX)).collect()
    }
}

impl RowSealed for PostgresRow {}

impl<'a> Row<'a, Pg> for PostgresRow {
    type InnerPartialRow = Self;
    type Field<'b>
        = PostgresField<'b>
    where
        Self: 'b,
        'a: 'b;

    fn field_count(&self) -> usize {
        self.row.len()
    }

    fn get<'b, I>(&'b self, index: I) -> Option<Self::Field<'b>>
    where
        'a: 'b,
        Self: RowIndex<I>,
    {
        Some(PostgresField { row: self, index: self.idx(index)? })
    }

    fn partial_row(&self, range: Range<usize>) -> PartialRow<'_, Self::InnerPartialRow> {
        PartialRow::new(self, range)
    }
}

impl RowIndex<usize> for PostgresRow {
    fn idx(&self, index: usize) -> Option<usize> {
        (index < self.row.len()).then_some(index)
    }
}

impl<'a> RowIndex<&'a str> for PostgresRow {
    fn idx(&self, name: &'a str) -> Option<usize> {
        self.row.columns().iter().position(|column| column.name() == name)
    }
}

/// A value in a row.
pub struct PostgresField<'a> {
    row: &'a PostgresRow,
    index: usize,
}

impl<'a> Field<'a, Pg> for PostgresField<'a> {
    fn field_name(&self) -> Option<&str> {
        self.row.row.columns().get(self.index).map(Column::name)
    }

    fn value(&self) -> Option<PgValue<'_>> {
        // Neither fails: the index was checked, and bytes are not interpreted.
        let Raw(bytes) = self.row.row.try_get(self.index).ok()?;
        Some(PgValue::new(bytes?, self.row.oids.get(self.index)?))
    }
}

/// The bytes of a value of any type; none where it is NULL.
struct Raw<'a>(Option<&'a [u8]>);

impl<'a> FromSql<'a> for Raw<'a> {
    fn from_sql(_type: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(Some(raw)))
    }

    fn from_sql_null(_type: &Type) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(None))
    }

    fn accepts(_type: &Type) -> bool {
        true
    }
}
