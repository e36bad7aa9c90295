//! The locks that the analysis predicts, compared with those that a server takes.

use std::collections::BTreeMap;

use database::Database;
use sql::Dialect;
use testing::{Backend, TestDatabase};

use super::relations::foreign_key_peers;
use analysis::{
    Body, Located,
    LockMode::{self, *},
    TableAccess, TableWork, analyze,
};

const TABLES: &str = "create table p (id int primary key, a text, n int, v varchar(10)); \
    create table q (id int primary key, p_id int references p); \
    create table solo (id int primary key, p_id int, x int, check (x > 0) not valid); \
    alter table solo add constraint later foreign key (p_id) references p not valid; \
    create unique index p_n on p (n); create index p_a on p (a); \
    create table parts (id int) partition by range (id); \
    create table part partition of parts for values from (0) to (10); \
    create table lone (id int); create table free (id int); create table child () inherits (lone); \
    create materialized view mv as select id from p; create unique index on mv (id); \
    create function f() returns trigger language plpgsql as 'begin return new; end'; \
    create trigger t after insert on p execute function f(); \
    create policy pol on p; create statistics st on a, n from p; \
    insert into p values (1, 'a', 1, 'v'); insert into q values (1, 1); \
    insert into solo values (1, 1, 1)";

/// One of each form that the table above tells from the others.
const FORMS: [&str; 68] = [
    "alter table p add column b int",
    "alter table p add column b int default 1",
    "alter table p add column b timestamptz not null default now()",
    "alter table p add column b double precision default random()",
    "alter table p add column b serial",
    "alter table p add column b int generated always as identity",
    "alter table p add column b int generated always as (n + 1) stored",
    "alter table solo add column b int references p",
    "alter table p add column b int unique",
    "alter table p drop column a",
    "alter table q drop column p_id",
    "alter table p alter column a set default 'x'",
    "alter table p alter column a set not null",
    "alter table p alter column id drop default",
    "alter table p alter column a set statistics 10",
    "alter table p alter column a set (n_distinct = 5)",
    "alter table p alter column a set storage external",
    "alter table p alter column v type varchar(20)",
    "alter table p alter column n type bigint",
    "alter table p add constraint c check (n > 0)",
    "alter table p add constraint c check (n > 0) not valid",
    "alter table p add constraint c unique (a)",
    "alter table p add constraint c unique using index p_n",
    "alter table q add constraint c foreign key (id) references p",
    "alter table q add constraint c foreign key (id) references p not valid",
    "alter table solo validate constraint solo_x_check",
    "alter table solo validate constraint later",
    "alter table solo drop constraint solo_x_check",
    "alter table q drop constraint q_p_id_fkey",
    "alter table p rename column a to b",
    "alter table p rename to pp",
    "alter table p enable row level security",
    "alter table p disable trigger t",
    "alter table p set (fillfactor = 50)",
    "alter table p set (autovacuum_enabled = false)",
    "alter table p reset (fillfactor)",
    "alter table p cluster on p_pkey",
    "alter table p set without cluster",
    "alter table p replica identity full",
    "alter table p owner to current_user",
    "alter table solo set unlogged",
    "alter table parts attach partition free for values from (10) to (20)",
    "alter table parts detach partition part",
    "alter table solo inherit lone",
    "alter table child no inherit lone",
    "alter table p add column b int, alter column a set statistics 10",
    "alter table p set (fillfactor = 50), alter column a set statistics 10",
    "analyze p",
    "cluster p using p_pkey",
    "comment on table p is 'x'",
    "comment on column p.a is 'x'",
    "create index on p (a)",
    "create policy pp on p",
    "drop policy pol on p",
    "create rule r as on insert to p do also select 1",
    "create statistics s on id, n from p",
    "create table n (id int references p)",
    "create table n (id int) inherits (lone)",
    "create trigger u after insert on p execute function f()",
    "drop trigger t on p",
    "drop table solo",
    "lock table p in share mode",
    "refresh materialized view mv",
    "refresh materialized view concurrently mv",
    "reindex table p",
    "truncate q, solo",
    "update p set a = 'b' where id = 1",
    "merge into solo using q on solo.id = q.id when matched then delete",
];

/// What the analysis predicts: of each relation the strongest lock, and those rewritten.
async fn predicted_locks(database: &TestDatabase, sql: &str) -> BTreeMap<String, (LockMode, bool)> {
    let analysis = analyze(Dialect::Postgres, "public", &[Body { sql, completed: 0 }]);
    let url = database.url().parse().unwrap();
    let mut connection = Database::new(&url, "test", 1).connection().await.unwrap();
    let mut predicted = BTreeMap::new();
    for Located { value: TableAccess { table, lock, work }, .. } in analysis.accesses {
        let tables = match &work {
            TableWork::ForeignKeyPeers(part) => {
                foreign_key_peers(&mut connection, &table, part.as_deref()).await.unwrap()
            }
            _ => vec![table],
        };
        for table in tables {
            let entry = predicted.entry(table.name).or_insert((AccessShare, false));
            *entry = (entry.0.max(lock.unwrap()), entry.1 | (work == TableWork::Rewrite));
        }
    }
    predicted
}

/// What a server does, readers' locks left out.
async fn taken_locks(database: &TestDatabase, sql: &str) -> BTreeMap<String, (LockMode, bool)> {
    let watched = format!(
        "{sql}; create table seen.after as \
         select relname, mode, pg_relation_filenode(oid) is distinct from file as rewritten \
         from pg_locks join seen.before on oid = relation \
         where pid = pg_backend_pid() and locktype = 'relation'"
    );
    // One message is one transaction.
    database.execute(&watched).await;
    let mut taken = BTreeMap::new();
    let rows =
        database.column("select concat_ws(' ', relname, mode, rewritten) from seen.after").await;
    for row in rows.into_iter().flatten() {
        let mut words = row.split(' ');
        let (table, mode, rewritten) = (words.next(), words.next(), words.next());
        let mode = match mode.unwrap() {
            "RowExclusiveLock" => RowExclusive,
            "ShareUpdateExclusiveLock" => ShareUpdateExclusive,
            "ShareLock" => Share,
            "ShareRowExclusiveLock" => ShareRowExclusive,
            "ExclusiveLock" => Exclusive,
            "AccessExclusiveLock" => AccessExclusive,
            _ => continue,
        };
        let entry = taken.entry(table.unwrap().to_owned()).or_insert((mode, false));
        *entry = (entry.0.max(mode), rewritten == Some("t"));
    }
    taken
}

#[tokio::test]
async fn locks_are_those_that_a_server_takes() {
    let database = Backend::Postgres.empty().await;
    let mut wrong = Vec::new();
    for form in FORMS {
        let tables = format!(
            "drop schema if exists public, seen cascade; create schema public; \
             create schema seen; {TABLES}; create table seen.before as \
             select oid, relname, pg_relation_filenode(oid) as file from pg_class \
             where relnamespace = 'public'::regnamespace and relkind in ('r', 'p', 'm')"
        );
        database.execute(&tables).await;
        let mut predicted = predicted_locks(&database, form).await;
        let mut taken = taken_locks(&database, form).await;
        // A type's rewrite depends on the column's, a table that goes has no file.
        if ["truncate", "drop table", " type "].iter().any(|words| form.contains(words)) {
            predicted
                .values_mut()
                .chain(taken.values_mut())
                .for_each(|(_, rewritten)| *rewritten = false);
        }
        if predicted != taken {
            wrong.push(format!("{form}\n  predicted {predicted:?}\n  taken {taken:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
