drop table bot_cursor;
drop table bot_deliveries;
alter table chat_bots drop column since_position;

-- Of several answers to a message, the first stays.
create table processed_messages_of_one (
    id varchar(36) not null primary key,
    message_id varchar(255) not null unique,
    chat_id varchar(36) references chats (id) on delete cascade,
    bot_id varchar(36) references bots (id) on delete cascade,
    content text,
    response text,
    metadata text not null default '{}',
    processed_at text not null default current_timestamp
);
insert into processed_messages_of_one
    (id, message_id, chat_id, bot_id, content, response, metadata, processed_at)
select id, message_id, chat_id, bot_id, content, response, metadata, processed_at
from processed_messages
where not exists (
    select 1 from processed_messages as earlier
    where earlier.message_id = processed_messages.message_id
    and (earlier.processed_at, earlier.id) < (processed_messages.processed_at, processed_messages.id)
);
drop table processed_messages;
alter table processed_messages_of_one rename to processed_messages;
create index ix_processed_messages_chat_bot on processed_messages (chat_id, bot_id);
create index ix_processed_messages_message_id on processed_messages (message_id);
create index ix_processed_messages_processed_at on processed_messages (processed_at);
