-- position is the order in which everybody sees messages. SQLite has one writer at a time, and
-- autoincrement never hands out a position again: whoever sees one sees every one before it.
create table messages (
    position integer primary key autoincrement,
    id varchar(36) not null unique,
    chat_id varchar(36) not null references chats (id) on delete cascade,
    sender varchar(255) not null,
    body text not null,
    -- In the same chat, which the writer sees to: messages go only with their chat.
    reply_to varchar(36),
    metadata text not null default '{}',
    sent_at text not null default current_timestamp
);
