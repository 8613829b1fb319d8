//! The binary `slipring`: its components behind its command line.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    slipring::run(&slipring::components(), std::env::args_os())
}
