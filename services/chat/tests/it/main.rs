//! The chat service through its public API, on both databases.

#[cfg(test)]
mod access;
#[cfg(test)]
mod bots;
#[cfg(test)]
mod bus;
#[cfg(test)]
mod chats;
#[cfg(test)]
mod client;
#[cfg(test)]
mod ending;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod gate;
#[cfg(test)]
mod import;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod listing;
#[cfg(test)]
mod messages;
#[cfg(test)]
mod metrics;
#[cfg(test)]
mod models;
#[cfg(test)]
mod order;
#[cfg(test)]
mod plans;
#[cfg(test)]
mod ready;
#[cfg(test)]
mod schedules;
#[cfg(test)]
mod server_language;
#[cfg(test)]
mod subscribe;
