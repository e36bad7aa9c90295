drop table bot_cursor;
drop table bot_deliveries;
alter table chat_bots drop column since_position;
-- Of several answers to a message, the first stays.
delete from processed_messages where exists (
    select from processed_messages as earlier
    where earlier.message_id = processed_messages.message_id
    and (earlier.processed_at, earlier.id) < (processed_messages.processed_at, processed_messages.id)
);
alter table processed_messages drop constraint uq_processed_message_bot;
alter table processed_messages
    add constraint processed_messages_message_id_key unique (message_id);
