drop table scheduled_messages;
drop table processed_messages;
drop table chat_bots;
drop table chats;
drop table bots;
drop type schedule_type_enum;
drop type chat_type_enum;
