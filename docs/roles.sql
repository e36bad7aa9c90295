-- Creates the roles of the chat database on PostgreSQL, with the least privileges. Run it as a superuser in that
-- database; you can run it again at any time:
--
--   psql -v ON_ERROR_STOP=1 -1 -f docs/roles.sql postgres://postgres@host/chat
--
--   schemagate_owner  for the schema service: owns the schema, so it can migrate it
--   schemagate_chat   for the chat service: reads and writes the rows of the tables that migrations
--                     create, and owns nothing
--
-- Neither can log in until you set a password (\password schemagate_owner) or another authentication method.

do $$
begin
  if not exists (select from pg_roles where rolname = 'schemagate_owner') then
    create role schemagate_owner login;
  end if;
  if not exists (select from pg_roles where rolname = 'schemagate_chat') then
    create role schemagate_chat login;
  end if;
end $$;

-- PostgreSQL's messages reach the services' logs in English, whatever the server's language. The services decide by
-- SQLSTATE codes, not by messages.
alter role schemagate_owner set lc_messages = 'C';
alter role schemagate_chat set lc_messages = 'C';

-- No other role may connect, create temporary tables or (before PostgreSQL 15) create tables.
do $$
begin
  execute format('revoke all on database %I from public', current_database());
  execute format('grant connect on database %I to schemagate_owner, schemagate_chat', current_database());
end $$;
revoke all on schema public from public;
grant usage, create on schema public to schemagate_owner;
grant usage on schema public to schemagate_chat;

-- Existing objects get the new owner.
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

-- Rows of existing tables and of those that migrations will create. The schema service revokes the write
-- privileges on its bookkeeping tables, which chat may only read.
grant select, insert, update, delete on all tables in schema public to schemagate_chat;
grant usage, select on all sequences in schema public to schemagate_chat;
alter default privileges for role schemagate_owner in schema public
  grant select, insert, update, delete on tables to schemagate_chat;
alter default privileges for role schemagate_owner in schema public
  grant usage, select on sequences to schemagate_chat;
