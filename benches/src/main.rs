//! Benchmarks: `benches <name> [arguments]`.
#![allow(clippy::print_stdout, reason = "a program that prints its results")]

mod wire;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("wire") => wire::run(arguments.get(1).map_or("", String::as_str)),
        _ => println!("usage: benches wire [part of a name]"),
    }
}
