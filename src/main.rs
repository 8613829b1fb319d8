//! The binary `slipring`: its components behind its command line.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Where the machine gives huge pages to everyone, a small process would hold megabytes that it never uses. A kernel
    // that cannot be asked changes nothing else.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    slipring::run(&slipring::components(), std::env::args_os())
}
