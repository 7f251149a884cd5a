//! The simulator seen from outside: every byte that these tests send or expect is written here, not taken from
//! the simulator's own code.

mod binary;
mod common;
mod control;
mod dialect;
mod faults;
mod flow;
mod gateway;
mod others;
mod slow;
mod tls;
mod vending;
