//! The whole path, with the real binaries, on both databases.
#![cfg(test)]

mod compatibility;
mod dependents;

#[path = "../../benches/figures/figures.rs"]
#[expect(dead_code, reason = "the benchmarks use the rest")]
mod figures;
mod hostile;
mod killed;
mod leaks;
mod load;
mod main_job;
mod migrations;
mod mutual;
mod one_command;
mod privileges;
mod racing;
mod rolling;
mod services;
mod slow_steps;
#[path = "../soak/soak.rs"]
mod soak;
mod soaked;
mod tokens;
