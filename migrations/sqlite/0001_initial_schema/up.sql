create table bots (
    id varchar(36) not null primary key,
    type varchar(100) not null,
    name varchar(255) not null,
    description text,
    config text not null default '{}',
    enabled boolean not null default 1,
    created_at text not null default current_timestamp,
    updated_at text not null default current_timestamp
);
create index ix_bots_type on bots (type);

create table chats (
    id varchar(36) not null primary key,
    jid varchar(100) not null unique,
    name varchar(255),
    chat_type varchar(50),
    metadata text not null default '{}',
    created_at text not null default current_timestamp,
    updated_at text not null default current_timestamp
);
-- Beside the unique constraint: the databases that are adopted have both.
create unique index ix_chats_jid on chats (jid);

create table chat_bots (
    id varchar(36) not null primary key,
    chat_id varchar(36) not null references chats (id) on delete cascade,
    bot_id varchar(36) not null references bots (id) on delete cascade,
    config_override text not null default '{}',
    enabled boolean not null default 1,
    priority integer not null default 0,
    created_at text not null default current_timestamp,
    updated_at text not null default current_timestamp,
    constraint uq_chat_bot unique (chat_id, bot_id)
);
create index ix_chat_bots_bot_id on chat_bots (bot_id);
create index ix_chat_bots_chat_id on chat_bots (chat_id);

create table processed_messages (
    id varchar(36) not null primary key,
    message_id varchar(255) not null unique,
    chat_id varchar(36) references chats (id) on delete cascade,
    bot_id varchar(36) references bots (id) on delete cascade,
    content text,
    response text,
    metadata text not null default '{}',
    processed_at text not null default current_timestamp
);
create index ix_processed_messages_chat_bot on processed_messages (chat_id, bot_id);
create index ix_processed_messages_message_id on processed_messages (message_id);
create index ix_processed_messages_processed_at on processed_messages (processed_at);

create table scheduled_messages (
    id varchar(36) not null primary key,
    chat_id varchar(36) not null references chats (id) on delete cascade,
    message text not null,
    schedule_type varchar(50) not null,
    schedule_expression varchar(255) not null,
    timezone varchar(100) not null default 'UTC',
    next_run_at text,
    last_run_at text,
    enabled boolean not null default 1,
    metadata text not null default '{}',
    created_at text not null default current_timestamp,
    updated_at text not null default current_timestamp
);
create index ix_scheduled_messages_chat_id on scheduled_messages (chat_id);
create index ix_scheduled_messages_next_run on scheduled_messages (next_run_at);
