//! Steps that take long, or do not end, so that a kill falls inside them.

use testing::{Backend, TestDatabase};

/// Diesel's table with a trigger that takes `{seconds}`. A step's row in this table is the step's
/// last write, so an endless one cannot commit.
const POSTGRES: &str = "
    create table if not exists __diesel_schema_migrations (
        version varchar(50) primary key, run_on timestamp not null default current_timestamp);
    create function linger() returns trigger language plpgsql as
        $$ begin perform pg_sleep({seconds}); return new; end $$;
    create trigger linger before insert on __diesel_schema_migrations
        for each row execute function linger()";

/// SQLite has no sleep function; it counts.
const SQLITE: &str = "
    create table if not exists __diesel_schema_migrations (
        version varchar(50) primary key not null, run_on text not null default current_timestamp);
    create trigger linger before insert on __diesel_schema_migrations begin
        select count(*) from (
            with recursive t(n) as (select 1 union all select n + 1 from t where n < {count})
            select n from t);
    end";

/// Makes every step endless.
pub async fn add_endless_trigger(backend: Backend, database: &TestDatabase) {
    add_trigger(backend, database, "600", "1e10").await;
}

/// Makes every step take about a tenth of a second.
pub async fn add_slow_trigger(backend: Backend, database: &TestDatabase) {
    add_trigger(backend, database, "0.1", "2e5").await;
}

async fn add_trigger(backend: Backend, database: &TestDatabase, seconds: &str, count: &str) {
    let sql = match backend {
        Backend::Postgres => POSTGRES.replace("{seconds}", seconds),
        Backend::Sqlite => SQLITE.replace("{count}", count),
    };
    database.execute(&sql).await;
}

pub async fn drop_trigger(backend: Backend, database: &TestDatabase) {
    let sql = match backend {
        Backend::Postgres => "drop function linger cascade",
        Backend::Sqlite => "drop trigger linger",
    };
    database.execute(sql).await;
}
