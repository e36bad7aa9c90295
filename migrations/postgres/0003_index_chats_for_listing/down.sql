create index ix_chats_last_message_at on chats (last_message_at);
drop index ix_chats_listing_by_type;
drop index ix_chats_listing;
