//! Schedules: when a message is due, and the one task of this process that sends what is.
//!
//! # Why each run is sent once
//!
//! A run is sent by the transaction that moves its schedule on to the next one, if the schedule
//! still stands at that run: whichever replica is first, the others find it gone. What a crash
//! leaves is either both or neither. Should a schedule be set back to a run that was sent, by an
//! update that overtook it, the message's id, which is made of the schedule and the run's time,
//! is there already, and nothing is sent again.

pub(crate) mod calendar;
pub(crate) mod runner;
