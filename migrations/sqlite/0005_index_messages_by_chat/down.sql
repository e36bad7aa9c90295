drop index ix_messages_chat_position;
