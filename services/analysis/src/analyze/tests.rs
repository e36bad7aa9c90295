//! Plans, analysed.

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use sql::Name;

use super::*;
use crate::{CascadeRoot, lint};

/// What a plan of these bodies takes away, on both databases if they are written alike there.
fn losses(dialects: &[Dialect], bodies: &[&str]) -> Vec<PossibleLoss> {
    let bodies: Vec<Body<'_>> = bodies.iter().map(|sql| Body { sql, completed: 0 }).collect();
    let read_losses = |dialect: &Dialect| {
        let schema = if *dialect == Dialect::Sqlite { "main" } else { "public" };
        analyze(*dialect, schema, &bodies)
            .possible_losses
            .into_iter()
            .map(|at| at.value)
            .collect::<Vec<_>>()
    };
    let found: Vec<_> = dialects.iter().map(read_losses).collect();
    assert!(found.windows(2).all(|pair| pair[0] == pair[1]), "{found:?}");
    found.into_iter().next().unwrap()
}

fn name(text: &str) -> Name {
    match text.split_once('.') {
        Some((schema, name)) => Name { schema: Some(schema.into()), name: name.into() },
        None => Name { schema: None, name: text.into() },
    }
}

fn table(text: &str) -> PossibleLoss {
    PossibleLoss::Table(name(text))
}

fn column(table: &str, column: &str) -> PossibleLoss {
    PossibleLoss::Column(name(table), column.into())
}

#[test]
fn drops_and_deletes_are_possible_losses() {
    let both = &Dialect::ALL;
    assert_eq!(losses(both, &["drop table if exists A"]), [table("a")]);
    assert_eq!(losses(both, &["alter table a drop column b"]), [column("a", "b")]);
    assert_eq!(losses(both, &["alter table a drop b"]), [column("a", "b")]);
    assert_eq!(losses(both, &["delete from a"]), [PossibleLoss::Rows(name("a"), DeletedRows::All)]);
    let found = DeletedRows::Matching("a  where b = 'C;'".into());
    assert_eq!(
        losses(both, &["delete from a where b = 'C;'"]),
        [PossibleLoss::Rows(name("a"), found)]
    );
    let nested = "with g as (delete from a returning *) insert into b select * from g";
    assert_eq!(losses(both, &[nested]), [PossibleLoss::Rows(name("a"), DeletedRows::Unknown)]);

    let postgres = &[Dialect::Postgres];
    let two = losses(postgres, &["drop table public.a, x.b"]);
    assert_eq!(two, [table("a"), table("x.b")]);
    let columns = "alter table a drop column b, drop column if exists \"C\", drop constraint d";
    assert_eq!(losses(postgres, &[columns]), [column("a", "b"), column("a", "C")]);
    let emptied = |cascade| PossibleLoss::Truncate(name("a"), cascade);
    assert_eq!(
        losses(postgres, &["truncate a; truncate a cascade"]),
        [emptied(false), emptied(true)]
    );
    let typed = PossibleLoss::Cascade(CascadeRoot::Type, name("mood"));
    assert_eq!(losses(postgres, &["drop type mood; drop type mood cascade"]), [typed]);
    let using =
        DeletedRows::Matching("a  WHERE EXISTS (SELECT 1 FROM  b where a.id = b.id)".into());
    let sql = "delete from a using b where a.id = b.id";
    assert_eq!(losses(postgres, &[sql]), [PossibleLoss::Rows(name("a"), using)]);
}

#[test]
fn what_does_not_run_loses_nothing() {
    let sql = "create table a (b integer references c on delete cascade); alter table a \
               rename to d; alter table d drop constraint e; drop index f; select 'drop table a'";
    assert_eq!(losses(&Dialect::ALL, &[sql]), []);
    let sql = "create function f() returns int language sql begin atomic delete from a; \
               select 1; end; create rule r as on insert to a do also delete from b";
    assert_eq!(losses(&[Dialect::Postgres], &[sql]), []);
    let sql = "create trigger t after insert on a begin delete from b; end";
    assert_eq!(losses(&[Dialect::Sqlite], &[sql]), []);
}

#[test]
fn names_are_those_of_the_database() {
    let both = &Dialect::ALL;
    let renamed = [
        "alter table a rename to b; alter table b rename column c to d",
        "alter table b drop column d; drop table b",
    ];
    assert_eq!(losses(both, &renamed), [column("a", "c"), table("a")]);
    let made = [
        "create table a (b integer); alter table c add column d integer",
        "alter table c drop column d; drop table a",
    ];
    assert_eq!(losses(both, &made), []);
    // Perhaps it was there.
    assert_eq!(
        losses(both, &["create table if not exists a (b integer); drop table a"]),
        [table("a")]
    );
    assert_eq!(
        losses(both, &["drop table a; create table a (b integer); drop table a"]),
        [table("a")]
    );
}

#[test]
fn a_rebuild_loses_what_it_leaves_behind() {
    let copied = |kept: Option<&[&str]>, found: Option<&str>| PossibleLoss::Copied {
        table: name("a"),
        kept_columns: kept.map(|kept| kept.iter().map(|&column| column.into()).collect()),
        queries: found.map(|found| vec![found.into()]),
    };
    let both = &Dialect::ALL;
    let rebuild = |select: &str| {
        format!(
            "create table n (b integer); insert into n {select}; drop table a; \
             alter table n rename to a"
        )
    };
    let all = "select * from a";
    assert_eq!(losses(both, &[&rebuild(all)]), [copied(None, None)]);
    for some in [
        "select b, lower(c) from a where d",
        "select b, c from a limit 1",
        "select distinct b, c from a",
        "select b, c from (select * from a where d) x",
        "select b, c from a join e on true",
        "select b, max(c) from a group by b",
    ] {
        let [found] = &losses(both, &[&rebuild(some)])[..] else { panic!("{some}") };
        assert_eq!(*found, copied(Some(&["b", "c"]), Some(some)));
    }
    // The new columns' names are not the old ones'.
    let renamed = "select b as e from a";
    assert_eq!(losses(both, &[&rebuild(renamed)]), [copied(Some(&["b"]), None)]);
    let first = "alter table a rename to o; create table a (b integer); \
                 insert into a select b from o; drop table o";
    assert_eq!(losses(both, &[first]), [copied(Some(&["b"]), None)]);
    let there_and_back = "create temp table t (b integer); insert into t select b from a; \
                          drop table a; create table a (b integer); \
                          insert into a select b from t; drop table t";
    assert_eq!(losses(both, &[there_and_back]), [copied(Some(&["b"]), None)]);
}

#[test]
fn a_copy_that_does_not_stay_saves_nothing() {
    for sql in [
        "create table n (b integer); insert into n select * from a; drop table a; drop table n",
        "create temp table n (b integer); insert into n select * from a; drop table a",
        "create temp table n as select * from a; drop table a",
        "create table n (b integer); insert into n select * from a; drop table a; delete from n",
        "insert into n select * from a on conflict do nothing; drop table a",
    ] {
        assert_eq!(losses(&Dialect::ALL, &[sql])[0], table("a"), "{sql}");
    }
    let sql = "create table n (b integer); insert or ignore into n select * from a; drop table a";
    assert_eq!(losses(&[Dialect::Sqlite], &[sql]), [table("a")]);
}

#[test]
fn statements_that_cannot_be_parsed_are_reported() {
    let unparsed_lines = |dialect, sql| {
        let lines = analyze(dialect, "public", &[Body { sql, completed: 0 }]).unparsed;
        lines.into_iter().map(|at| at.line).collect::<Vec<_>>()
    };
    let code = "select 1;\ndo $$ begin delete from a; end $$;\ndo $$ begin perform 1; end $$";
    assert_eq!(unparsed_lines(Dialect::Postgres, code), [2]);
    assert_eq!(unparsed_lines(Dialect::Postgres, "drop florble a"), [1]);
    assert_eq!(
        unparsed_lines(Dialect::Sqlite, "pragma foo;\ncreate virtual table drop using x"),
        [2]
    );
}

#[test]
fn committed_statements_are_skipped() {
    let body = Body { sql: "alter table a rename to b; drop table b", completed: 1 };
    let found = analyze(Dialect::Sqlite, "main", &[body]).possible_losses;
    assert_eq!(found[0].value, table("b"));
}

/// Random texts, made of pieces of real statements.
#[test]
fn no_text_makes_it_panic() {
    const WORDS: &str = "create table if not exists a ( b integer primary key autoincrement , c \
        text collate nocase default 'x' ) without rowid strict ; drop column alter rename to add \
        constraint insert or ignore into select * from where delete using truncate cascade do $$ \
        begin end ; trigger after update of on [d] `e` \"f\" ' \" [ $$ $x$ -- /* */ :: + é 🦀 0x1f 1e9 \
        x'00' E'\\n' ?1 :a @b $1 with recursive as ( values ) merge when matched then type set data \
        using concurrently index view virtual fts5 pragma vacuum reindex || -> ->> is not distinct \
        between glob like escape raise abort replace returning generated always stored";
    let words: Vec<&str> = WORDS.split_whitespace().collect();
    let mut random = StdRng::seed_from_u64(1);
    for _ in 0..2_000 {
        let count = random.random_range(1..40);
        let mut text = String::new();
        for _ in 0..count {
            text.push_str(words[random.random_range(0..words.len())]);
            text.push_str([" ", "", "\n"][random.random_range(0..3)]);
        }
        for dialect in Dialect::ALL {
            analyze(dialect, "public", &[Body { sql: &text, completed: 0 }]);
        }
        lint(&text, true, "15.4");
    }
}

/// A chain and a nesting right below the bound, and far above it.
#[test]
fn a_statement_that_is_too_deep_is_reported_and_not_parsed() {
    let too_deep = |sql: &str, dialect| {
        let analysis = analyze(dialect, "public", &[Body { sql, completed: 0 }]);
        lint(sql, true, "15.4");
        (analysis.too_deep.len(), analysis.unparsed.len())
    };
    let nested = |part: &str, count| format!("delete from a where {}1", part.repeat(count));
    let chain = |part: &str, count| format!("delete from a where 1{}", part.repeat(count));
    for dialect in Dialect::ALL {
        for sql in [
            nested("(", 240),
            nested("not ", 4_900),
            nested("- ", 4_900),
            nested("(select ", 230),
            chain(" or 1", 2_400),
            chain("[1]", 2_400),
        ] {
            assert_eq!(too_deep(&sql, dialect).0, 0, "{}", &sql[..40]);
        }
        for sql in [
            nested("(", 100_000),
            nested("not ", 100_000),
            chain(" or 1", 100_000),
            nested("case when ", 100_000),
        ] {
            assert_eq!(too_deep(&sql, dialect), (1, 1), "{}", &sql[..40]);
        }
    }
}
