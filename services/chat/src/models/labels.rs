//! Enums that the database keeps by a label: an enum type on PostgreSQL, text on SQLite.

/// Gives an enum its labels, and both databases' ways to read and write them:
/// `labelled!(Kind as KindEnum, "kind", { One => "one" })`.
macro_rules! labelled {
    ($type:ident as $sql:ty, $what:literal, { $($variant:ident => $label:literal),+ $(,)? }) => {
        impl $type {
            /// The database's label.
            pub const fn label(self) -> &'static str {
                match self {
                    $(Self::$variant => $label),+
                }
            }

            fn from_label(label: &str) -> diesel::deserialize::Result<Self> {
                match label {
                    $($label => Ok(Self::$variant),)+
                    _ => Err(format!("'{label}' is no {}", $what).into()),
                }
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
                std::io::Write::write_all(out, self.label().as_bytes())?;
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
                out.set_value(self.label());
                Ok(diesel::serialize::IsNull::No)
            }
        }
    };
}

pub(super) use labelled;
