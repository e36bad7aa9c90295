//! The whole path, with the real binaries, on both databases.
#![cfg(test)]

mod dependents;
mod killed;
mod load;
mod main_job;
mod mutual;
mod one_command;
mod racing;
mod rolling;
mod services;
