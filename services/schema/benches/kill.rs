//! kill -9 at any moment of an Upgrade or a Downgrade through ten mixed migrations, in a
//! transaction and outside one, a hundred times on each database: after a restart and one more
//! call the catalog is what it must be.
//!
//! ```sh
//! TEST_POSTGRES_URL=postgres://postgres@127.0.0.1:5432/postgres cargo bench -p schema --bench kill
//! ```
#![expect(clippy::unwrap_used, reason = "a failed benchmark panics")]

use std::{fs, path::Path};

use testing::{Backend, Process, TestDatabase};
use tokio::time::Instant;

const ROUNDS: u32 = 100;

/// Name, up, down, and whether it is a transaction.
type Migration = (&'static str, &'static str, &'static str, bool);

const POSTGRES: [Migration; 10] = [
    (
        "0001_a",
        "create type kind as enum ('one');\ncreate table a (id integer primary key, n integer, k kind);",
        "drop table a;\ndrop type kind;",
        true,
    ),
    (
        "0002_rows",
        "insert into a select i, i % 100, 'one' from generate_series(1, 20000) i;",
        "delete from a;",
        true,
    ),
    (
        "0003_index",
        "create index concurrently ix_a_n on a (n);",
        "drop index concurrently ix_a_n;",
        false,
    ),
    (
        "0004_b",
        "create table b (id integer primary key, a integer not null references a (id));\ncreate index ix_b_a on b (a);",
        "drop table b;",
        true,
    ),
    (
        "0005_pieces",
        "insert into b select i, i from generate_series(1, 5000) i;\nalter table b add column note text;\nupdate b set note = 'x';\nvacuum b;",
        "alter table b drop column note;\ndelete from b;",
        false,
    ),
    (
        "0006_value",
        "alter type kind add value if not exists 'two';\ncomment on type kind is 'kinds';",
        "comment on type kind is null;",
        false,
    ),
    (
        "0007_unique",
        "create unique index concurrently uq_a on a (id, n);\ncreate index concurrently if not exists ix_a_k on a (k);",
        "drop index concurrently ix_a_k;\ndrop index concurrently uq_a;",
        false,
    ),
    (
        "0008_column",
        "alter table a add column late timestamptz not null default now();",
        "alter table a drop column late;",
        true,
    ),
    (
        "0009_view",
        "create view v as select a.id, b.note from a join b on b.a = a.id;",
        "drop view v;",
        true,
    ),
    (
        "0010_drop",
        "drop index concurrently ix_a_n;\nanalyze a;",
        "create index concurrently ix_a_n on a (n);",
        false,
    ),
];

const SQLITE: [Migration; 10] = [
    ("0001_a", "create table a (id integer primary key, n integer);", "drop table a;", true),
    (
        "0002_rows",
        "with recursive r(i) as (select 1 union all select i + 1 from r where i < 20000) insert into a select i, i % 100 from r;",
        "delete from a;",
        true,
    ),
    ("0003_index", "create index ix_a_n on a (n);\nvacuum;", "drop index ix_a_n;", false),
    (
        "0004_b",
        "create table b (id integer primary key, a integer not null references a (id) on delete cascade);\ninsert into b select id, id from a where id <= 5000;",
        "drop table b;",
        true,
    ),
    (
        "0005_pieces",
        "alter table b add column note text;\nupdate b set note = 'x';\ncreate index ix_b_a on b (a);",
        "drop index ix_b_a;\nalter table b drop column note;",
        false,
    ),
    (
        "0006_rebuild",
        "create table a_new (id integer primary key, n integer not null);\ninsert into a_new select id, n from a;\ndrop table a;\nalter table a_new rename to a;\ncreate index ix_a_n on a (n);",
        "create table a_old (id integer primary key, n integer);\ninsert into a_old select id, n from a;\ndrop table a;\nalter table a_old rename to a;\ncreate index ix_a_n on a (n);",
        true,
    ),
    (
        "0007_unique",
        "create unique index uq_a on a (id, n);\nvacuum;\nanalyze;",
        "drop index uq_a;",
        false,
    ),
    ("0008_column", "alter table a add column late text;", "alter table a drop column late;", true),
    (
        "0009_view",
        "create view v as select a.id, b.note from a join b on b.a = a.id;",
        "drop view v;",
        true,
    ),
    ("0010_drop", "drop index ix_a_n;\nvacuum;", "create index ix_a_n on a (n);", false),
];

#[tokio::main]
async fn main() {
    // `cargo test --benches` runs them too, to see that they run.
    let quick = !std::env::args().any(|argument| argument == "--bench");
    let rounds = if quick { 3 } else { ROUNDS };
    for (backend, migrations) in [(Backend::Postgres, POSTGRES), (Backend::Sqlite, SQLITE)] {
        let directory = tempfile::tempdir().unwrap();
        write(directory.path(), &migrations);
        kill(backend, directory.path(), rounds).await;
    }
}

fn write(directory: &Path, migrations: &[Migration]) {
    for (name, up, down, transactional) in migrations {
        let path = directory.join(name);
        fs::create_dir(&path).unwrap();
        fs::write(path.join("up.sql"), up).unwrap();
        fs::write(path.join("down.sql"), down).unwrap();
        let metadata = format!("run_in_transaction = {transactional}\n");
        fs::write(path.join("metadata.toml"), metadata).unwrap();
    }
}

async fn kill(backend: Backend, migrations: &Path, rounds: u32) {
    let database = backend.empty().await;
    let mut server = start(&database, migrations);
    let started = Instant::now();
    to(&mut server, "head").await;
    let up = started.elapsed();
    let head = catalog(backend, &database).await;
    let started = Instant::now();
    to(&mut server, "base").await;
    let down = started.elapsed();
    let base = catalog(backend, &database).await;
    assert!(head.len() > base.len());

    let mut landed_inside = 0;
    for round in 0..rounds {
        for (target, took, wanted) in [("head", up, &head), ("base", down, &base)] {
            // From before the first statement to behind the last one, in even steps.
            let moment = took.mul_f64(1.2 * f64::from(round) / f64::from(rounds));
            let address = server.address("schema").await;
            let running = tokio::spawn(async move { call(address, target).await });
            tokio::time::sleep(moment).await;
            server.kill().await;
            landed_inside += u32::from(running.await.unwrap().is_err());
            server.restart();
            to(&mut server, target).await;
            assert_eq!(&catalog(backend, &database).await, wanted, "round {round}, to {target}");
        }
    }
    println!(
        "{backend:?}: {rounds} kills of an Upgrade ({up:?}) and {rounds} of a Downgrade ({down:?}), \
         {landed_inside} of them inside; the catalog was right after each"
    );
}

fn start(database: &TestDatabase, migrations: &Path) -> Process {
    let directory = migrations.to_str().unwrap();
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--migrations-dir", directory];
    Process::start(env!("CARGO_BIN_EXE_schema"), &arguments, &[("DATABASE_URL", database.url())])
}

async fn to(server: &mut Process, target: &str) {
    let address = server.address("schema").await;
    call(address, target).await.unwrap();
}

async fn call(address: std::net::SocketAddr, target: &str) -> Result<(), tonic::Status> {
    match target {
        "base" => testing::downgrade(address, target).await.map(drop),
        target => testing::upgrade(address, target).await.map(drop),
    }
}

/// What is there, the enum's labels aside, which have no way down; and how many rows.
async fn catalog(backend: Backend, database: &TestDatabase) -> Vec<String> {
    let columns = match backend {
        Backend::Postgres => {
            "select c.relname || ' ' || c.relkind::text || ' ' || coalesce(a.attname, '') || ' ' || \
             coalesce(i.indisvalid::text, '') from pg_class c \
             left join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped \
             left join pg_index i on i.indexrelid = c.oid \
             where c.relnamespace = 'public'::regnamespace and c.relname not like '%schema%' order by 1"
        }
        Backend::Sqlite => {
            "select type || ' ' || name || ' ' || coalesce(sql, '') from sqlite_schema \
             where name not like '%schema%' and name not like 'sqlite%' order by 1"
        }
    };
    let mut all: Vec<String> = database.column(columns).await.into_iter().flatten().collect();
    for table in ["a", "b"] {
        if all.iter().any(|line| {
            line.starts_with(&format!("{table} r")) || line.starts_with(&format!("table {table} "))
        }) {
            let count = database.column(&format!("select count(*) from {table}")).await;
            all.push(format!("{table}: {count:?}"));
        }
    }
    all
}
