//! Arguments in, exit code out.

use std::process::ExitCode;

/// Measured here as 16 to 20 % less CPU a request than the system's allocator: see
/// benches/README.md.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    tidegate::cli::main()
}
