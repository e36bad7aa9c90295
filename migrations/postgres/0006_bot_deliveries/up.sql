-- One row for each message and bot that answered it: two bots may answer one message.
alter table processed_messages drop constraint processed_messages_message_id_key;
alter table processed_messages
    add constraint uq_processed_message_bot unique (message_id, bot_id);

-- Only messages behind this position are for the bot: it is not handed what was said before it came.
alter table chat_bots add column since_position bigint not null default 0;
update chat_bots set since_position = (select coalesce(max(position), 0) from messages);

-- Messages on their way to a bot, until it has answered. services/chat/src/bots/mod.rs says how.
create table bot_deliveries (
    position bigint not null references messages (position) on delete cascade,
    bot_id varchar(36) not null,
    chat_id varchar(36) not null,
    priority integer not null,
    -- How often it was handed out: an answer counts for the last time only.
    attempt integer not null default 0,
    failures integer not null default 0,
    available_at timestamptz not null,
    leased_until timestamptz,
    parked_at timestamptz,
    last_error text,
    created_at timestamptz not null,
    primary key (position, bot_id),
    foreign key (chat_id, bot_id) references chat_bots (chat_id, bot_id) on delete cascade
);
create index ix_bot_deliveries_assignment on bot_deliveries (chat_id, bot_id);
create index ix_bot_deliveries_waiting on bot_deliveries (bot_id, position)
    where parked_at is null and leased_until is null;
create index ix_bot_deliveries_leased on bot_deliveries (leased_until) where leased_until is not null;
create index ix_bot_deliveries_parked on bot_deliveries (position, bot_id) where parked_at is not null;

-- One row, made with the first delivery: every message up to here was looked at.
create table bot_cursor (
    id integer primary key check (id = 1),
    position bigint not null
);
