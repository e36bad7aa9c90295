-- The roles of the chats' database on PostgreSQL, with no more than each needs. For a superuser, in that
-- database; again at any time, for it changes only what is otherwise:
--
--   psql -v ON_ERROR_STOP=1 -1 -f docs/roles.sql postgres://postgres@host/chat
--
--   schemagate_owner  the schema service's: it owns the schema, and so may move it
--   schemagate_chat   the chat service's: it reads and writes the rows of the tables that migrations
--                     make, and owns nothing
--
-- Neither can log in before it is given a password, \password schemagate_owner, or another way in.

do $$
begin
  if not exists (select from pg_roles where rolname = 'schemagate_owner') then
    create role schemagate_owner login;
  end if;
  if not exists (select from pg_roles where rolname = 'schemagate_chat') then
    create role schemagate_chat login;
  end if;
end $$;

-- The server's messages reach these services' logs in English, whatever language the server speaks. No
-- service decides by them: SQLSTATE codes are for that.
alter role schemagate_owner set lc_messages = 'C';
alter role schemagate_chat set lc_messages = 'C';

-- Nobody else is here: not to connect, nor with temporary tables, nor (before PostgreSQL 15) with tables.
do $$
begin
  execute format('revoke all on database %I from public', current_database());
  execute format('grant connect on database %I to schemagate_owner, schemagate_chat', current_database());
end $$;
revoke all on schema public from public;
grant usage, create on schema public to schemagate_owner;
grant usage on schema public to schemagate_chat;

-- What is there already changes hands.
do $$
declare
  statement text;
begin
  for statement in
    select format('alter table %s owner to schemagate_owner', oid::regclass)
    from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p', 'v', 'm')
    union all
    select format('alter routine %s owner to schemagate_owner', oid::regprocedure)
    from pg_proc where pronamespace = 'public'::regnamespace
    union all
    select format('alter type %s owner to schemagate_owner', oid::regtype)
    from pg_type where typnamespace = 'public'::regnamespace and typtype in ('e', 'd')
  loop
    execute statement;
  end loop;
end $$;

-- Rows, of what is there and of what migrations will make. The schema service takes this away again from
-- the tables of its own bookkeeping, which chat may read and not write.
grant select, insert, update, delete on all tables in schema public to schemagate_chat;
grant usage, select on all sequences in schema public to schemagate_chat;
alter default privileges for role schemagate_owner in schema public
  grant select, insert, update, delete on tables to schemagate_chat;
alter default privileges for role schemagate_owner in schema public
  grant usage, select on sequences to schemagate_chat;
