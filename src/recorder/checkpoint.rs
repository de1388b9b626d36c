//! How far the log has been followed, and the sessions that go on: a small file that is there whole or not at all.
//!
//! It may be behind: what comes after it is in the log, and gives the same sessions again.

use serde::{Deserialize, Serialize};
use tracing::warn;

use crate::exit::chain;
use crate::history::{History, HistoryError};
use crate::session::tracker::State;

/// What the file holds.
#[derive(Serialize, Deserialize)]
struct Document<S> {
    /// The box whose log it is.
    gateway: String,
    sessions: S,
}

/// What was kept, if it can be used.
pub(super) fn load(history: &History, gateway: &str) -> Option<State> {
    let text = match history.load_sessions() {
        Ok(text) => text?,
        Err(error) => {
            warn!(error = chain(&error), "the log is followed from its beginning");
            return None;
        }
    };
    match serde_json::from_slice::<Document<State>>(&text) {
        Ok(document) if document.gateway == gateway => Some(document.sessions),
        _ => {
            warn!(
                "what was kept of sessions says nothing of use, the log is followed from its beginning"
            );
            None
        }
    }
}

/// Keeps it. It is there for good when this returns.
pub(super) fn save(history: &History, gateway: &str, state: &State) -> Result<(), HistoryError> {
    let document = Document { gateway: gateway.to_owned(), sessions: state };
    let text = serde_json::to_vec(&document).expect("plain numbers and texts become JSON");
    history.save_sessions(&text)
}
