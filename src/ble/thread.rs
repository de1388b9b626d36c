//! A thread with a runtime of its own, for work that leaves something behind.
//!
//! btleplug's D-Bus connections are held by a detached task: nothing less than the end of its runtime closes them.

use tokio::sync::oneshot;

/// Runs `work` on a thread and a runtime of its own, and then drops all of it.
///
/// # Errors
/// In words, when there is no thread to be had, or it panicked.
pub(super) async fn on_its_own<T: Send + 'static>(
    name: String,
    work: impl Future<Output = T> + Send + 'static,
) -> Result<T, String> {
    let (done, outcome) = oneshot::channel();
    let thread = std::thread::Builder::new().name(name).spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let outcome = runtime.map(|runtime| {
            let outcome = runtime.block_on(work);
            // What btleplug still has running may hang on a dead bus.
            runtime.shutdown_background();
            outcome
        });
        let _ = done.send(outcome);
    });
    let thread = thread.map_err(|error| format!("no thread for it: {error}"))?;
    let outcome = outcome.await.map_err(|_| "its thread panicked".to_owned())?;
    // It has nothing left to do.
    let _ = thread.join();
    outcome.map_err(|error| format!("no runtime for it: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_left_running_is_dropped_and_a_panic_is_told() {
        let (left_behind, dropped) = oneshot::channel::<()>();
        let work = async move {
            let mut tasks = tokio::task::JoinSet::new();
            tasks.spawn(async move {
                let _held = left_behind;
                std::future::pending::<()>().await;
            });
            tasks.detach_all();
            7
        };
        assert_eq!(on_its_own("test".into(), work).await, Ok(7));
        assert!(dropped.await.is_err(), "the task is gone with its runtime");
        let panics = on_its_own("test".into(), async { panic!("as a test") });
        assert_eq!(panics.await, Err::<(), _>("its thread panicked".to_owned()));
    }
}
