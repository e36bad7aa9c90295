-- The catalog of the file, one row a fact. SQLite tells names apart by their letters, not case.
with things as (
    select type, lower(name) as name, tbl_name, sql from sqlite_schema
    where lower(tbl_name) not glob 'schemagate_*'
        and lower(tbl_name) not in ('__diesel_schema_migrations', 'alembic_version')
        and lower(tbl_name) not glob 'sqlite_*'
),
tables as (select name, sql from things where type = 'table')
select 'table' as kind, t.name as relation, '' as name, t.sql as definition,
    null as detail, true as flag
from tables t
union all
select 'view', v.name, '', v.sql, null, true from things v where v.type = 'view'
union all
-- The columns of a key count as not null: only an old bug of SQLite's lets them be.
select 'column', t.name, lower(c.name), c.type,
    case when c.hidden in (2, 3) then 'generated' else 'default ' || c.dflt_value end,
    c."notnull" or c.pk > 0
from tables t, pragma_table_xinfo(t.name) c
where c.hidden <> 1
union all
select 'constraint', t.name, '',
    'primary key (' || group_concat(lower(c.name), ', ' order by c.pk) || ')', null, true
from tables t, pragma_table_xinfo(t.name) c
where c.pk > 0
group by t.name
union all
select 'constraint', t.name, '',
    'foreign key (' || group_concat(lower(k."from"), ', ' order by k.seq) || ') references '
    || lower(k."table") || '(' || group_concat(lower(coalesce(k."to", (
        select p.name from pragma_table_xinfo(k."table") p where p.pk = k.seq + 1
    ))), ', ' order by k.seq) || ')'
    || case k.on_update when 'NO ACTION' then '' else ' on update ' || k.on_update end
    || case k.on_delete when 'NO ACTION' then '' else ' on delete ' || k.on_delete end,
    null, true
from tables t, pragma_foreign_key_list(t.name) k
group by t.name, k.id
union all
select case when i.origin = 'u' then 'constraint' when i."unique" then 'unique index' else 'index' end,
    t.name, lower(i.name),
    case when i.origin = 'u' then 'unique ' else '' end || '(' || group_concat(
        lower(x.name) || case when x.coll = 'BINARY' then '' else ' collate ' || x.coll end
        || case when x.desc then ' desc' else '' end, ', ' order by x.seqno) || ')',
    -- With an expression or a condition in it, only its text says what it covers.
    case when i.partial or max(x.cid) is null or min(x.cid) = -2
        then (select s.sql from things s where s.type = 'index' and s.name = lower(i.name)) end,
    true
from tables t, pragma_index_list(t.name) i, pragma_index_xinfo(i.name) x
where i.origin <> 'pk' and x.key
group by t.name, i.name
union all
select 'trigger', lower(g.tbl_name), g.name, g.sql, null, true from things g where g.type = 'trigger'
