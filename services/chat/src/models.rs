//! The tables as Rust types, and every query on them.
//!
//! `Foo` is a row and `NewFoo` an insert. A query is a function on the model; it takes a connection
//! and returns what Diesel returns, and the caller decides what an error means.

pub(crate) mod assignment;
pub(crate) mod bot;
pub mod chat;
pub(crate) mod chat_import;
pub mod chat_page;
pub(crate) mod clock;
pub(crate) mod delivery;
pub(crate) mod delivery_answer;
pub(crate) mod delivery_claim;
pub(crate) mod fanout;
mod limit;
pub(crate) mod message;
pub(crate) mod message_insert;
mod row_value;
pub(crate) mod schedule;
pub(crate) mod schedule_run;
mod sql_enum;
mod tables;

use assignment::Assignment;
use bot::Bot;
use chat::Chat;
use database::{Connection, with_conn};
use delivery::Delivery;
use delivery_answer::ProcessedMessage;
use diesel::{QueryDsl as _, QueryResult, SelectableHelper as _};
use diesel_async::RunQueryDsl as _;
use message::Message;
use schedule::Schedule;
use tables::{
    bot_cursor, bot_deliveries, bots, chat_bots, chats, messages, processed_messages,
    scheduled_messages,
};

/// Selects every column of every model and no row.
///
/// # Errors
/// A table or a column is missing or has another type, or the database cannot answer.
pub async fn probe_columns(connection: &mut Connection) -> QueryResult<()> {
    with_conn!(connection, c => {
        chats::table.select(Chat::as_select()).limit(0).load(c).await?;
        messages::table.select(Message::as_select()).limit(0).load(c).await?;
        scheduled_messages::table.select(Schedule::as_select()).limit(0).load(c).await?;
        bots::table.select(Bot::as_select()).limit(0).load(c).await?;
        chat_bots::table.select(Assignment::as_select()).limit(0).load(c).await?;
        bot_deliveries::table.select(Delivery::as_select()).limit(0).load(c).await?;
        bot_cursor::table.limit(0).load::<(i32, i64)>(c).await?;
        processed_messages::table.select(ProcessedMessage::as_select()).limit(0).load(c).await?;
    });
    Ok(())
}

/// The required revision: the oldest one that has every table and column of the models. A Downgrade
/// below it is refused while a replica runs.
pub const REQUIRES: &str = "0006";

/// The newest revision that existed when this build was made.
pub const BUILT_WITH: &str = env!("BUILT_WITH");
