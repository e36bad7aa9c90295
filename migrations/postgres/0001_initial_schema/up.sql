create type chat_type_enum as enum ('private', 'group', 'channel');
create type schedule_type_enum as enum ('once', 'cron');

create table bots (
    id varchar(36) primary key,
    type varchar(100) not null,
    name varchar(255) not null,
    description text,
    config json not null default '{}',
    enabled boolean not null default true,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
create index ix_bots_type on bots (type);

create table chats (
    id varchar(36) primary key,
    jid varchar(100) not null unique,
    name varchar(255),
    chat_type chat_type_enum,
    metadata json not null default '{}',
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
-- Beside the unique constraint: the databases that are adopted have both.
create unique index ix_chats_jid on chats (jid);

create table chat_bots (
    id varchar(36) primary key,
    chat_id varchar(36) not null references chats (id) on delete cascade,
    bot_id varchar(36) not null references bots (id) on delete cascade,
    config_override json not null default '{}',
    enabled boolean not null default true,
    priority integer not null default 0,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint uq_chat_bot unique (chat_id, bot_id)
);
create index ix_chat_bots_bot_id on chat_bots (bot_id);
create index ix_chat_bots_chat_id on chat_bots (chat_id);

create table processed_messages (
    id varchar(36) primary key,
    message_id varchar(255) not null unique,
    chat_id varchar(36) references chats (id) on delete cascade,
    bot_id varchar(36) references bots (id) on delete cascade,
    content text,
    response text,
    metadata json not null default '{}',
    processed_at timestamptz not null default now()
);
create index ix_processed_messages_chat_bot on processed_messages (chat_id, bot_id);
create index ix_processed_messages_message_id on processed_messages (message_id);
create index ix_processed_messages_processed_at on processed_messages (processed_at);

create table scheduled_messages (
    id varchar(36) primary key,
    chat_id varchar(36) not null references chats (id) on delete cascade,
    message text not null,
    schedule_type schedule_type_enum not null,
    schedule_expression varchar(255) not null,
    timezone varchar(100) not null default 'UTC',
    next_run_at timestamptz,
    last_run_at timestamptz,
    enabled boolean not null default true,
    metadata json not null default '{}',
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
create index ix_scheduled_messages_chat_id on scheduled_messages (chat_id);
create index ix_scheduled_messages_next_run on scheduled_messages (next_run_at) where enabled;
