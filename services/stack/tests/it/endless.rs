//! A step that does not end: a kill is certain to fall inside it.

use testing::{Backend, TestDatabase};

/// Diesel's table with a trigger that takes longer than any test. A step's row in this table is the
/// step's last write, so the step cannot commit.
const POSTGRES: &str = "
    create table if not exists __diesel_schema_migrations (
        version varchar(50) primary key, run_on timestamp not null default current_timestamp);
    create function linger() returns trigger language plpgsql as
        $$ begin perform pg_sleep(600); return new; end $$;
    create trigger linger before insert on __diesel_schema_migrations
        for each row execute function linger()";

/// SQLite has no sleep function; it counts.
const SQLITE: &str = "
    create table if not exists __diesel_schema_migrations (
        version varchar(50) primary key not null, run_on text not null default current_timestamp);
    create trigger linger before insert on __diesel_schema_migrations begin
        select count(*) from (
            with recursive t(n) as (select 1 union all select n + 1 from t where n < 1e10)
            select n from t);
    end";

/// Makes the next step endless.
pub async fn add_endless_trigger(backend: Backend, database: &TestDatabase) {
    let sql = match backend {
        Backend::Postgres => POSTGRES,
        Backend::Sqlite => SQLITE,
    };
    database.execute(sql).await;
}

pub async fn drop_endless_trigger(backend: Backend, database: &TestDatabase) {
    let sql = match backend {
        Backend::Postgres => "drop function linger cascade",
        Backend::Sqlite => "drop trigger linger",
    };
    database.execute(sql).await;
}
