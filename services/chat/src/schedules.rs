//! Schedules: when a message is due, and the task of this process that sends due messages.
//!
//! # Why each run is sent once
//!
//! A run is sent by the transaction that moves its schedule to the next run, if the schedule is
//! still at that run: the first replica wins, and the others find the schedule moved. A crash
//! leaves both or neither. If an update that overtook the run sets the schedule back to it, the id
//! of the run's message, which is derived from the schedule and the run's time, exists already, and
//! nothing is sent again.

pub(crate) mod calendar;
pub(crate) mod message;
pub(crate) mod runner;
