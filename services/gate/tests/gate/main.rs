//! The gate from outside: a schema service that says what it is told to, a gated service beside
//! it, both on real sockets.

#[cfg(test)]
mod ending;
#[cfg(test)]
mod fake;
#[cfg(test)]
mod metrics;
#[cfg(test)]
mod opening;
#[cfg(test)]
mod proving;
#[cfg(test)]
mod staying;
