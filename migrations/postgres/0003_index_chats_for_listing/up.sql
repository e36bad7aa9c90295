-- ListChats walks these backwards, from the keyset of the page's first row: one for all
-- chats, one for the chats of a type. A page costs the same wherever it starts.
create index ix_chats_listing on chats (last_message_at, created_at, id);
create index ix_chats_listing_by_type on chats (chat_type, last_message_at, created_at, id);
-- Now the first column of the one above; the planner would take it for the first page, and sort
-- every chat that shares a time.
drop index ix_chats_last_message_at;
