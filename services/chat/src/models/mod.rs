//! The tables as Rust, and every query on them.
//!
//! `Foo` is a row and `NewFoo` an insert; queries are functions on the model, take a connection
//! and return what Diesel returns. What an error means is decided by the caller.

pub mod answering;
pub mod assignment;
pub mod bot;
pub mod chat;
pub mod claiming;
pub mod clock;
pub mod delivery;
pub mod fanning;
mod first;
pub mod import;
mod labels;
pub mod listing;
pub mod message;
mod row;
pub mod running;
pub mod schedule;
pub mod sending;
pub mod tables;

use answering::Processed;
use assignment::Assignment;
use bot::Bot;
use chat::Chat;
use database::{Connection, with_conn};
use delivery::Delivery;
use diesel::{QueryDsl as _, QueryResult, SelectableHelper as _};
use diesel_async::RunQueryDsl as _;
use message::Message;
use schedule::Schedule;
use tables::{
    bot_cursor, bot_deliveries, bots, chat_bots, chats, messages, processed_messages,
    scheduled_messages,
};

/// Asks for every column of every model, and for no row.
pub async fn answer(connection: &mut Connection) -> QueryResult<()> {
    with_conn!(connection, c => {
        chats::table.select(Chat::as_select()).limit(0).load(c).await?;
        messages::table.select(Message::as_select()).limit(0).load(c).await?;
        scheduled_messages::table.select(Schedule::as_select()).limit(0).load(c).await?;
        bots::table.select(Bot::as_select()).limit(0).load(c).await?;
        chat_bots::table.select(Assignment::as_select()).limit(0).load(c).await?;
        bot_deliveries::table.select(Delivery::as_select()).limit(0).load(c).await?;
        bot_cursor::table.limit(0).load::<(i32, i64)>(c).await?;
        processed_messages::table.select(Processed::as_select()).limit(0).load(c).await?;
    });
    Ok(())
}

/// The oldest revision that this build can run on: every table and column is there. A Downgrade
/// below it is refused while a replica lives; the gate asks for the one that it was built with.
pub const REQUIRES: &str = "0006";

/// The newest revision that the build knew.
pub const BUILT_WITH: &str = env!("BUILT_WITH");
