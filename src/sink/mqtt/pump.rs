//! Hands messages to a client and waits for the broker's answers. Knows no client library: both are driven by it.
//!
//! Everything handed over is waited for, so the client's own queue can neither fill up nor hide anything: what is not
//! answered in time ends the connection, and with it the client and all its state. The log sends it again.

use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use tokio::sync::{mpsc, oneshot};

use super::message::{Message, Publish, Refused};

/// Messages handed to the client and not answered yet. Room for the sink's window and for what is shown live.
pub(super) const IN_FLIGHT: usize = 64;

/// How a connection ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    /// By us, properly.
    Closed,
    /// It broke, or could not be made; another may be better.
    Lost(String),
    /// The broker will not have us until somebody has mended something.
    Refused(String),
}

/// Why a message has no answer.
#[derive(Debug)]
pub(super) enum Unanswered {
    /// The client is going down and will say itself why.
    Gone,
    /// The connection is of no use any more.
    Broken(String),
}

/// Runs until all senders of `queue` are gone and everything is answered.
///
/// `hand_over` gives a message to the client and returns the wait for its answer.
///
/// # Errors
/// Why the connection has to be broken.
pub(super) async fn pump<Answer>(
    mut queue: mpsc::Receiver<Publish>,
    answer_within: Duration,
    mut hand_over: impl FnMut(Message) -> Result<Answer, String>,
) -> Result<(), String>
where
    Answer: Future<Output = Result<Result<(), Refused>, Unanswered>>,
{
    let mut answers = FuturesUnordered::new();
    let mut open = true;
    while open || !answers.is_empty() {
        // Biased: an answer that is there is taken before another message goes out.
        tokio::select! {
            biased;
            Some((answer, done)) = answers.next() => match answer {
                Ok(Ok(answer)) => tell(done, answer),
                // The end of the client ends this future too; the answer never comes.
                Ok(Err(Unanswered::Gone)) => {}
                Ok(Err(Unanswered::Broken(reason))) => return Err(reason),
                Err(_) => {
                    let seconds = answer_within.as_secs();
                    return Err(format!("the broker has not acknowledged a message for {seconds} s"));
                }
            },
            publish = queue.recv(), if open && answers.len() < IN_FLIGHT => match publish {
                None => open = false,
                Some(Publish { message, done }) => {
                    let answer = hand_over(message)?;
                    answers.push(async move {
                        (tokio::time::timeout(answer_within, answer).await, done)
                    });
                }
            },
        }
    }
    Ok(())
}

/// Runs a client's connection beside what feeds it, until one of them ends. Neither is run any further then: the client
/// goes as a whole.
pub(super) async fn together(
    connection: impl Future<Output = End>,
    feeding: impl Future<Output = End>,
) -> End {
    let mut feeding = std::pin::pin!(feeding);
    tokio::select! {
        biased;
        end = connection => {
            // Acknowledgements may have come together with the end. They count: one look, no more.
            let _ = feeding.now_or_never();
            end
        }
        end = &mut feeding => end,
    }
}

fn tell(done: Option<oneshot::Sender<Result<(), Refused>>>, answer: Result<(), Refused>) {
    if let Some(done) = done {
        // Whoever asked may have stopped waiting.
        let _ = done.send(answer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::mqtt::message::{Content, Qos, Retain};

    fn publish() -> (Publish, oneshot::Receiver<Result<(), Refused>>) {
        let (done, answer) = oneshot::channel();
        let message = Message {
            topic: "t".into(),
            payload: Vec::new(),
            qos: Qos::AtLeastOnce,
            retain: Retain::No,
            content: Content::Text,
            about: None,
        };
        (Publish { message, done: Some(done) }, answer)
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_message_without_an_answer_ends_the_connection_at_its_time() {
        let (queue, requests) = mpsc::channel(8);
        let started = tokio::time::Instant::now();
        let (first, mut first_done) = publish();
        let (second, second_done) = publish();
        queue.send(first).await.unwrap();
        queue.send(second).await.unwrap();
        let mut count = 0;
        let ended = pump(requests, Duration::from_secs(5), |_| {
            count += 1;
            let never = count == 1;
            Ok(async move { if never { std::future::pending().await } else { Ok(Ok(())) } })
        });
        assert!(ended.await.unwrap_err().contains("5 s"));
        assert_eq!(started.elapsed(), Duration::from_secs(5));
        assert_eq!(second_done.await, Ok(Ok(())));
        assert_eq!(first_done.try_recv(), Err(oneshot::error::TryRecvError::Closed));
    }

    #[tokio::test]
    async fn when_nobody_has_more_to_send_it_ends_after_the_last_answer() {
        let (queue, requests) = mpsc::channel(8);
        let (message, done) = publish();
        queue.send(message).await.unwrap();
        drop(queue);
        let refused = Refused::Later("full".into());
        let answer = refused.clone();
        let hand_over = |_| Ok(std::future::ready(Ok(Err(answer.clone()))));
        assert_eq!(pump(requests, Duration::from_secs(5), hand_over).await, Ok(()));
        assert_eq!(done.await, Ok(Err(refused)));
    }
}
