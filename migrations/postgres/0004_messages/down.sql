drop table messages;
drop function messages_in_order();
