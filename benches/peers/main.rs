//! The Rust side of the comparison with other programs: the peers that are a few lines of Rust, the physical limits, our own
//! engine on the same bytes, and the clients that feed and watch the servers. `benches/peers/run` drives it.
//!
//! Every subcommand prints one JSON object. Input is made before the clock starts.

mod consume;
mod corpus;
mod follow;
mod http;
mod kafka;
mod keys;
mod latency;
mod measure;
mod memory;
mod parse;
mod pauses;
mod weekend;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(about = "Peers and limits of the benches; see benches/README.md")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// Cargo says so; nothing follows from it.
    #[arg(long, hide = true, global = true)]
    bench: bool,
}

#[derive(Subcommand)]
enum Command {
    /// The version of a weekend: `serde_json::Value`, a text as fingerprint, hash maps, one thread
    Weekend(corpus::Input),
    /// Nothing but JSON: simd-json, typed or as a tape
    Parse(parse::Args),
    /// Our engine: bytes in memory to epochs that only have to be written
    Memory(memory::Args),
    /// Our engine, on repeats of so many fingerprints that no cache holds them
    Keys(keys::Args),
    /// How long an alert takes through our engine, offered in an open loop
    Latency(latency::Args),
    /// What the machine itself takes: threads that only look at the clock
    Pauses(pauses::Args),
    /// Nothing but librdkafka: its batch interface, one thread
    Consume(consume::Args),
    /// Requests over keep-alive connections, rendered beforehand
    HttpLoad(http::Args),
    /// Makes a topic
    KafkaCreate(kafka::CreateArgs),
    /// Deletes topics
    KafkaDelete(kafka::DeleteArgs),
    /// Writes what is committed in a topic to standard output, one value a line
    KafkaRead(kafka::ReadArgs),
    /// Waits until a daemon has committed all that is in a topic
    KafkaFollow(follow::Args),
}

fn main() -> Result<()> {
    match Arguments::parse().command {
        Command::Weekend(input) => weekend::run(&input),
        Command::Parse(args) => parse::run(&args),
        Command::Memory(args) => memory::run(&args),
        Command::Keys(args) => keys::run(&args),
        Command::Latency(args) => latency::run(&args),
        Command::Pauses(args) => pauses::run(&args),
        Command::Consume(args) => consume::run(&args),
        Command::HttpLoad(args) => http::run(&args),
        Command::KafkaCreate(args) => kafka::create(&args),
        Command::KafkaDelete(args) => kafka::delete(&args),
        Command::KafkaRead(args) => kafka::read(&args),
        Command::KafkaFollow(args) => follow::run(&args),
    }
}
