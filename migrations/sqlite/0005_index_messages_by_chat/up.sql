-- ListMessages walks it backwards, and Subscribe to one chat forwards.
create index ix_messages_chat_position on messages (chat_id, position);
