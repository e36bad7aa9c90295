drop index ix_chats_last_message_at;
alter table chats drop column last_message_at;
