//! Enums that the database stores by a label: an enum type on PostgreSQL, text on SQLite.

/// Implements Diesel's conversions for an enum that derives strum's `EnumString` and
/// `IntoStaticStr`: `sql_enum!(Kind, KindEnum)`.
macro_rules! sql_enum {
    ($type:ident, $sql:ty) => {
        impl $type {
            fn from_label(label: &str) -> diesel::deserialize::Result<Self> {
                label.parse().map_err(|_| format!("unknown {} '{label}'", stringify!($type)).into())
            }
        }

        impl diesel::deserialize::FromSql<$sql, diesel::pg::Pg> for $type {
            fn from_sql(value: diesel::pg::PgValue<'_>) -> diesel::deserialize::Result<Self> {
                Self::from_label(str::from_utf8(value.as_bytes())?)
            }
        }

        impl diesel::serialize::ToSql<$sql, diesel::pg::Pg> for $type {
            fn to_sql<'b>(
                &'b self,
                out: &mut diesel::serialize::Output<'b, '_, diesel::pg::Pg>,
            ) -> diesel::serialize::Result {
                std::io::Write::write_all(out, <&'static str>::from(self).as_bytes())?;
                Ok(diesel::serialize::IsNull::No)
            }
        }

        impl diesel::deserialize::FromSql<$sql, diesel::sqlite::Sqlite> for $type {
            fn from_sql(
                value: <diesel::sqlite::Sqlite as diesel::backend::Backend>::RawValue<'_>,
            ) -> diesel::deserialize::Result<Self> {
                let label = <String as diesel::deserialize::FromSql<
                    diesel::sql_types::Text,
                    diesel::sqlite::Sqlite,
                >>::from_sql(value)?;
                Self::from_label(&label)
            }
        }

        impl diesel::serialize::ToSql<$sql, diesel::sqlite::Sqlite> for $type {
            fn to_sql<'b>(
                &'b self,
                out: &mut diesel::serialize::Output<'b, '_, diesel::sqlite::Sqlite>,
            ) -> diesel::serialize::Result {
                out.set_value(<&'static str>::from(self));
                Ok(diesel::serialize::IsNull::No)
            }
        }
    };
}

pub(super) use sql_enum;
