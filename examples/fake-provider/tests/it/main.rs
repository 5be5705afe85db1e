//! Every behaviour over real sockets.

mod client;

mod errors;
mod faults;
mod healthy;
mod log;
mod scripts;
mod streams;
