//! The gate from outside: a fake schema service and a gated service, both on real sockets.

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
