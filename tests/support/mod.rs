//! What tests of the MQTT sink share: a real broker, and one that does what its script says.
#![allow(clippy::unwrap_used, reason = "a test may fail")]
#![allow(dead_code, unreachable_pub, reason = "no test needs everything")]

pub mod mosquitto;

use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use mosquitto::{entries_of, free_port, until};

/// What the scripted broker does with a message from the log.
#[derive(Debug, Clone, Copy)]
pub enum Reaction {
    Take,
    Refuse(u8),
    Ignore,
    HangUp,
}

/// Which connection, which message from the log on it; both count from 1.
pub type Script = fn(connection: usize, message: usize) -> Reaction;

/// Speaks just enough MQTT. Never remembers a session. Takes everything that is not from the log.
pub struct Scripted {
    pub port: u16,
    /// Entries that it has taken, in order.
    taken: Arc<Mutex<Vec<(u64, Value)>>>,
    connections: Arc<Mutex<usize>>,
    /// Messages from the log that have come, whatever became of them.
    messages: Arc<Mutex<usize>>,
    _task: JoinSet<()>,
}

impl Scripted {
    pub async fn new(script: Script) -> Self {
        let port = free_port();
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let taken = Arc::new(Mutex::new(Vec::new()));
        let connections = Arc::new(Mutex::new(0));
        let mut task = JoinSet::new();
        let messages = Arc::new(Mutex::new(0));
        let (for_task, count, come) = (taken.clone(), connections.clone(), messages.clone());
        task.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let number = {
                    let mut count = count.lock().unwrap();
                    *count += 1;
                    *count
                };
                // One at a time. Its end, however it came about, is part of the script.
                let _ = converse(stream, number, script, &for_task, &come).await;
            }
        });
        Self { port, taken, connections, messages, _task: task }
    }

    pub fn taken(&self) -> Vec<(u64, Value)> {
        self.taken.lock().unwrap().clone()
    }

    pub fn taken_so_far(&self) -> usize {
        self.taken.lock().unwrap().len()
    }

    pub fn connections(&self) -> usize {
        *self.connections.lock().unwrap()
    }

    pub fn messages(&self) -> usize {
        *self.messages.lock().unwrap()
    }

    pub async fn connected(&self, n: usize) {
        until("a connection", || (self.connections() >= n).then_some(())).await;
    }
}

async fn converse(
    mut stream: TcpStream,
    connection: usize,
    script: Script,
    taken: &Mutex<Vec<(u64, Value)>>,
    messages: &Mutex<usize>,
) -> std::io::Result<()> {
    let mut version = 0;
    let mut message = 0;
    loop {
        let kind = stream.read_u8().await?;
        let (mut length, mut shift) = (0, 0);
        loop {
            let byte = stream.read_u8().await?;
            length |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await?;
        match kind >> 4 {
            1 => {
                // After `00 04 MQTT`.
                version = body[6];
                let connack: &[u8] =
                    if version == 5 { &[0x20, 3, 0, 0, 0] } else { &[0x20, 2, 0, 0] };
                stream.write_all(connack).await?;
            }
            3 => {
                let topic_end = 2 + usize::from(u16::from_be_bytes([body[0], body[1]]));
                let topic = String::from_utf8(body[2..topic_end].to_vec()).unwrap();
                if kind & 0b0110 == 0 {
                    continue;
                }
                let id = [body[topic_end], body[topic_end + 1]];
                let mut payload = topic_end + 2;
                if version == 5 {
                    // Short properties: one byte of length.
                    payload += 1 + usize::from(body[payload]);
                }
                let entries = entries_of(&topic, &body[payload..]);
                let reaction = if entries.is_empty() {
                    Reaction::Take
                } else {
                    message += 1;
                    *messages.lock().unwrap() += 1;
                    script(connection, message)
                };
                match reaction {
                    Reaction::Take => {
                        taken.lock().unwrap().extend(entries);
                        stream.write_all(&[0x40, 2, id[0], id[1]]).await?;
                    }
                    Reaction::Refuse(reason) => {
                        stream.write_all(&[0x40, 4, id[0], id[1], reason, 0]).await?;
                    }
                    Reaction::Ignore => {}
                    Reaction::HangUp => {
                        // Properly, so that what was acknowledged arrives as such.
                        stream.shutdown().await?;
                        tokio::io::copy(&mut stream, &mut tokio::io::sink()).await?;
                        return Ok(());
                    }
                }
            }
            12 => stream.write_all(&[0xD0, 0]).await?,
            _ => return Ok(()),
        }
    }
}
