-- position is the order in which everybody sees messages. It is handed out under a lock that the
-- table itself takes and that lasts until the commit, so that whoever sees a position sees every
-- one before it. services/chat/src/messages/mod.rs says why that holds.
create table messages (
    position bigint generated always as identity primary key,
    id varchar(36) not null unique,
    chat_id varchar(36) not null references chats (id) on delete cascade,
    sender varchar(255) not null,
    body text not null,
    -- In the same chat, which the writer sees to: messages go only with their chat.
    reply_to varchar(36),
    metadata json not null default '{}',
    sent_at timestamptz not null default now()
);

create function messages_in_order() returns trigger language plpgsql as $$
begin
    -- 'messages', as eight bytes.
    perform pg_advisory_xact_lock(7882833662174520691);
    return null;
end
$$;
create trigger messages_in_order before insert on messages
    for each statement execute function messages_in_order();
