//! How far the log has been followed, and the sessions that go on: a small file that is there whole or not at all.
//!
//! It may be behind: what comes after it is in the log, and gives the same sessions again.

use serde::{Deserialize, Serialize};
use tracing::warn;

use crate::exit::chain;
use crate::history::{History, HistoryError};
use crate::session::tracker::State;

use super::undated::Kept;

/// What the file holds.
#[derive(Serialize, Deserialize)]
struct Document<S> {
    /// The box whose log it is.
    gateway: String,
    sessions: S,
    /// Of before a boot that does not know the time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    undated: Option<Kept>,
}

/// What was kept, if it can be used.
pub(super) fn load(history: &History, gateway: &str) -> Option<(State, Option<Kept>)> {
    let text = match history.load_sessions() {
        Ok(text) => text?,
        Err(error) => {
            warn!(error = chain(&error), "the log is followed from its beginning");
            return None;
        }
    };
    match serde_json::from_slice::<Document<State>>(&text) {
        Ok(document) if document.gateway == gateway => Some((document.sessions, document.undated)),
        _ => {
            warn!(
                "what was kept of sessions says nothing of use, the log is followed from its beginning"
            );
            None
        }
    }
}

/// Keeps it. It is there for good when this returns.
pub(super) fn save(
    history: &History,
    gateway: &str,
    state: &State,
    undated: Option<Kept>,
) -> Result<(), HistoryError> {
    let document = Document { gateway: gateway.to_owned(), sessions: state, undated };
    let text = serde_json::to_vec(&document).expect("plain numbers and texts become JSON");
    history.save_sessions(&text)
}
