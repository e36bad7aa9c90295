drop table scheduled_messages;
drop table processed_messages;
drop table chat_bots;
drop table chats;
drop table bots;
