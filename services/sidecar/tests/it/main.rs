//! The `gate` binary beside real schema services, on both databases.
#![cfg(test)]

mod ext_authz;
mod http;
mod proxy;
mod serve;
mod upstream;
mod wait;
mod world;
