//! Where the log goes: to journald when started by systemd, else to standard error.
//!
//! `RUST_LOG` chooses what is logged (`info` by default). Keys come first, then a sentence. WARN recovers alone, ERROR
//! means that data is lost or an operator is needed. No heart rate, name, key or password is ever logged at INFO or above.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Starts logging. Call it once.
pub fn start(default: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let registry = tracing_subscriber::registry().with(filter);
    if std::env::var_os("JOURNAL_STREAM").is_some()
        && let Ok(journald) = tracing_journald::layer()
    {
        registry.with(journald).init();
        return;
    }
    let color = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let format = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(color);
    registry.with(format).init();
}
