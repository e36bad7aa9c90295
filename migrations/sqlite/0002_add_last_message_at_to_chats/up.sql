alter table chats add column last_message_at text;
create index ix_chats_last_message_at on chats (last_message_at);
