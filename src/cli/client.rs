//! Asks a running daemon through the socket in its data folder.

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;
use url::Url;

use crate::exit::{Exit, Failure, chain};
use crate::history::Outcome;
use crate::web::{self, Refused};

/// A healthy daemon answers within milliseconds.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// What reads the whole log may take so long, with collecting going on beside it.
const LONG_LIMIT: Duration = Duration::from_secs(900);

/// The one who asks.
pub(super) struct Client {
    client: reqwest::Client,
    socket: PathBuf,
}

/// How long an answer is waited for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Patience {
    /// It is known at once.
    Usual,
    /// The log has to be read for it.
    Long,
}

/// What is to be done with what is at a path.
#[derive(Debug, Clone, Copy)]
pub(super) enum Verb {
    /// Do something, or add to it.
    Post,
    /// Make it so.
    Put,
    /// Change it in part.
    Patch,
    /// Take it away.
    Delete,
}

impl Client {
    /// A client of the daemon with this data folder, running or not.
    pub(super) fn new(data_dir: &Path) -> Result<Self, Failure> {
        let socket = web::socket_path(data_dir);
        let client = reqwest::Client::builder()
            .unix_socket(socket.clone())
            .no_proxy()
            .connect_timeout(ANSWER_LIMIT)
            .read_timeout(LONG_LIMIT)
            .build()
            .map_err(|error| Failure::new(Exit::Software, error))?;
        Ok(Self { client, socket })
    }

    /// Whether somebody listens.
    pub(super) async fn is_answered(&self) -> Result<Answered, Failure> {
        match UnixStream::connect(&self.socket).await {
            Ok(_) => Ok(Answered::Yes),
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                let text = format!(
                    "{}: {error}. The folder belongs to the daemon's user, try sudo.",
                    self.socket.display()
                );
                Err(Failure::new(Exit::Unavailable, text))
            }
            // No socket, or one that a killed daemon left behind.
            Err(_) => Ok(Answered::No),
        }
    }

    /// What there is at `path`.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        let request = self.client.get(url(path, &[])?).timeout(ANSWER_LIMIT);
        self.json(self.send(request).await?).await
    }

    /// Asks for something to be done, or looked for.
    pub(super) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
        patience: Patience,
    ) -> Result<T, Failure> {
        self.ask(Verb::Post, path, body, patience).await
    }

    /// The same, by any verb.
    pub(super) async fn ask<T: DeserializeOwned>(
        &self,
        verb: Verb,
        path: &str,
        body: &impl Serialize,
        patience: Patience,
    ) -> Result<T, Failure> {
        let limit = match patience {
            Patience::Usual => ANSWER_LIMIT,
            Patience::Long => LONG_LIMIT,
        };
        let method = match verb {
            Verb::Post => reqwest::Method::POST,
            Verb::Put => reqwest::Method::PUT,
            Verb::Patch => reqwest::Method::PATCH,
            Verb::Delete => reqwest::Method::DELETE,
        };
        let request = self.client.request(method, url(path, &[])?).json(body).timeout(limit);
        self.json(self.send(request).await?).await
    }

    /// Has a file taken in.
    pub(super) async fn import(
        &self,
        file: File,
        name: &str,
        athlete: Option<&str>,
    ) -> Result<Vec<Outcome>, Failure> {
        let mut query = vec![("name", name.to_owned())];
        query.extend(athlete.map(|who| ("athlete", who.to_owned())));
        let url = url("/api/v1/import", &query)?;
        let file = tokio::fs::File::from_std(file);
        let request = self.client.post(url).body(file).timeout(LONG_LIMIT);
        let answer = request.send().await.map_err(|error| self.silent(&error))?;
        if answer.status().as_u16() == 413 {
            let refused: Refused = self.json(answer).await?;
            return Ok(vec![Outcome::rejected(name, refused.error)]);
        }
        let text = self.answered(answer).await?.text().await;
        let text = text.map_err(|error| self.silent(&error))?;
        let outcomes: Result<_, _> = text.lines().map(serde_json::from_str).collect();
        outcomes.map_err(|error| Failure::new(Exit::Software, error))
    }

    /// Lines of JSON, however many.
    pub(super) async fn lines(
        &self,
        path: &str,
        query: &[(&'static str, String)],
    ) -> Result<Pieces, Failure> {
        let answer = self.send(self.client.get(url(path, query)?)).await?;
        Ok(Pieces { answer, socket: self.socket.clone() })
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<reqwest::Response, Failure> {
        let answer = request.send().await.map_err(|error| self.silent(&error))?;
        self.answered(answer).await
    }

    async fn answered(&self, answer: reqwest::Response) -> Result<reqwest::Response, Failure> {
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let told = answer.json::<Refused>().await.map(|refused| refused.error);
        let exit = match (status.as_u16(), &told) {
            // A daemon of an older release does not know the path, and says nothing.
            (404 | 405, Err(_)) => {
                let text = format!(
                    "the daemon at {} does not know this question: it is of an older release; restart it",
                    self.socket.display()
                );
                return Err(Failure::new(Exit::Unavailable, text));
            }
            (400..=499, _) => Exit::Usage,
            _ => Exit::Io,
        };
        let text = told.unwrap_or_else(|_| format!("the daemon answers {status}"));
        Err(Failure::new(exit, text))
    }

    async fn json<T: DeserializeOwned>(&self, answer: reqwest::Response) -> Result<T, Failure> {
        answer.json().await.map_err(|error| self.silent(&error))
    }

    fn silent(&self, error: &reqwest::Error) -> Failure {
        if error.is_decode() {
            let text = format!(
                "the daemon at {} answers in other words than this program knows: {}\n\
                 One of them is of an older release; restart the daemon.",
                self.socket.display(),
                chain(error)
            );
            return Failure::new(Exit::Unavailable, text);
        }
        let text = format!(
            "no daemon answers at {}: {}\nIs it running (`systemctl status pulsegate`)? With another data \
             folder, give its --config or --data-dir; the folder belongs to the daemon's user, so try sudo.",
            self.socket.display(),
            chain(error)
        );
        Failure::new(Exit::Unavailable, text)
    }
}

/// Whether a daemon answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answered {
    /// It does.
    Yes,
    /// Nobody is there.
    No,
}

/// An answer that comes in pieces.
pub(super) struct Pieces {
    answer: reqwest::Response,
    socket: PathBuf,
}

impl Pieces {
    /// The next piece; `None` when the answer is whole.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        let piece = self.answer.chunk().await.map_err(|error| {
            let text = format!(
                "the daemon at {} broke off in the middle, what was printed is not all: {}\n\
                 It was stopped, or could not read on; its log (`journalctl -u pulsegate`) tells.",
                self.socket.display(),
                chain(&error)
            );
            Failure::new(Exit::Io, text)
        })?;
        Ok(piece.map(|piece| piece.to_vec()))
    }
}

/// A path below another, of parts with any characters in them.
pub(super) fn under(path: &str, parts: &[&str]) -> Result<String, Failure> {
    // Whatever is there is not there by one of these.
    if let Some(part) = parts.iter().find(|part| matches!(**part, "" | "." | "..")) {
        return Err(Failure::new(Exit::Usage, format!("there is nothing of the name {part:?}")));
    }
    let mut url = url(path, &[])?;
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.extend(parts);
    }
    Ok(url.path().to_owned())
}

fn url(path: &str, query: &[(&'static str, String)]) -> Result<Url, Failure> {
    let base = format!("http://pulsegate{path}");
    let url =
        if query.is_empty() { Url::parse(&base) } else { Url::parse_with_params(&base, query) };
    url.map_err(|error| Failure::new(Exit::Software, error))
}
