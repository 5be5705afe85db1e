//! Every behaviour over real sockets.

mod bedrock;
mod client;

mod dialects;
mod errors;
mod faults;
mod grpc;
mod healthy;
mod kserve;
mod log;
mod scripts;
mod servers;
mod streams;
