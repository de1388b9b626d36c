//! Arguments, logging, one runtime, and the exit code.

use std::process::ExitCode;

use clap::Parser;
use pulsegate::cli;
use pulsegate::exit::{Exit, Failure};

/// Two are enough for hundreds of straps; Bluetooth and the buffer have threads of their own.
const WORKERS: usize = 2;

fn main() -> ExitCode {
    let args = match cli::Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            // Help and version come this way too.
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::Ok };
            let _ = error.print();
            return exit.into();
        }
    };
    match start(args) {
        Ok(()) => Exit::Ok.into(),
        Err(failure) => {
            eprintln!("pulsegate: {}", failure.chain());
            failure.exit.into()
        }
    }
}

fn start(args: cli::Args) -> Result<(), Failure> {
    // Whatever is written holds health data or keys: for the owner only.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    // Whatever speaks TLS later takes this provider; without it the first connection would panic.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::Software, error))?;
    let result = runtime.block_on(cli::main(args));
    // A name that nobody resolves must not hold up the end: everything is safe by now.
    runtime.shutdown_background();
    result
}
