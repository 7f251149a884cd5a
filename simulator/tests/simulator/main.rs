//! The simulator seen from outside: every byte that these tests send or expect is written here, not taken from
//! the simulator's own code.

mod binary;
mod common;
mod control;
mod faults;
mod flow;
mod gateway;
mod tls;
