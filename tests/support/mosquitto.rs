//! A real broker for a test, on a port of its own: started, stopped, killed, started again. And a subscriber with a
//! durable session that writes down what comes.
//!
//! Nothing here sleeps to be safe: every wait is for something, and bounded.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rumqttc::{AsyncClient, Event, MqttOptions, Packet, QoS, SessionMode};
use rustix::process::{Pid, Signal, kill_process};
use tokio::task::JoinSet;

/// Longest wait for anything.
const WITHIN: Duration = Duration::from_secs(60);

/// Waits until `there` gives something, looking every 20 ms.
pub async fn until<T>(what: &str, mut there: impl FnMut() -> Option<T>) -> T {
    let look = async {
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        loop {
            tick.tick().await;
            if let Some(it) = there() {
                return it;
            }
        }
    };
    match tokio::time::timeout(WITHIN, look).await {
        Ok(it) => it,
        Err(_) => panic!("not within {} s: {what}", WITHIN.as_secs()),
    }
}

/// A port that nobody listens on.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Not everybody has the last two in the search path.
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/usr/local/sbin".into()])
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

/// A mosquitto. Killed when dropped.
pub struct Mosquitto {
    folder: tempfile::TempDir,
    program: PathBuf,
    child: Option<Child>,
    pub port: u16,
}

impl Mosquitto {
    /// A broker that is not running yet. `None` when none is installed: the test is skipped, or fails in CI.
    pub fn new(test: &str) -> Option<Self> {
        let Some(program) = program("mosquitto") else {
            let told =
                format!("SKIPPED {test}: mosquitto is not installed (apt-get install mosquitto)");
            assert!(std::env::var("CI").as_deref() != Ok("true"), "{told}");
            println!("{told}");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let broker = Self { folder, program, child: None, port: free_port() };
        broker.configure(&format!("listener {} 127.0.0.1\nallow_anonymous true\n", broker.port));
        Some(broker)
    }

    /// Replaces listener and authentication; what makes sessions survive a kill stays.
    pub fn configure(&self, listener: &str) {
        let folder = self.folder().display();
        // `user root`: started as root it would become another user, who cannot write here.
        // No limit in flight: what is acknowledged has been written to a connected subscriber.
        let text = format!(
            "{listener}user root\npersistence true\npersistence_location {folder}/\n\
             autosave_interval 1\nautosave_on_changes true\nmax_inflight_messages 0\n\
             max_queued_messages 0\nset_tcp_nodelay true\n"
        );
        std::fs::write(self.folder().join("mosquitto.conf"), text).unwrap();
    }

    /// Lets in only this user.
    pub fn require_password(&self, user: &str, password: &str) {
        let file = self.folder().join("passwords");
        let program = program("mosquitto_passwd").unwrap();
        let mut command = Command::new(program);
        command.arg("-c").arg("-b").arg(&file).args([user, password]);
        assert!(output(&mut command).status.success());
        let (port, file) = (self.port, file.display());
        self.configure(&format!(
            "listener {port} 127.0.0.1\nallow_anonymous false\npassword_file {file}\n"
        ));
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub async fn start(&mut self) {
        let log = std::fs::File::create(self.folder().join("log")).unwrap();
        let child = Command::new(&self.program)
            .arg("-c")
            .arg(self.folder().join("mosquitto.conf"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
        let port = self.port;
        until("mosquitto listens", || std::net::TcpStream::connect(("127.0.0.1", port)).ok()).await;
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(self.child.as_ref().unwrap()), signal).unwrap();
    }

    /// SIGTERM: it saves its sessions and says goodbye.
    pub async fn stop(&mut self) {
        self.signal(Signal::TERM);
        let mut child = self.child.take().unwrap();
        until("mosquitto stops", || child.try_wait().unwrap()).await;
    }

    /// SIGSTOP: it stands still, and its connections stand.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Bytes that the broker has not read yet, and bytes that its clients have not.
    pub fn unread(&self) -> (u64, u64) {
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let (mut by_broker, mut by_clients) = (0, 0);
        for line in table.lines().skip(1) {
            // Local and remote address, state, and what waits to be sent and read; all in hex.
            let fields: Vec<&str> = line.split_whitespace().collect();
            let port = |field: &str| u16::from_str_radix(field.split(':').nth(1).unwrap(), 16);
            let waits = fields[4].split(':').nth(1).unwrap();
            let waits = u64::from_str_radix(waits, 16).unwrap();
            let listens = fields[3] == "0A";
            if port(fields[1]) == Ok(self.port) && !listens {
                by_broker += waits;
            } else if port(fields[2]) == Ok(self.port) {
                by_clients += waits;
            }
        }
        (by_broker, by_clients)
    }

    /// SIGKILL: it does nothing more.
    pub fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        if self.child.is_some() {
            self.kill();
        }
    }
}

fn output(command: &mut Command) -> std::process::Output {
    command.output().unwrap()
}

/// Certificates for `localhost` and their authority, made with the `openssl` program: `ca.pem`, `cert.pem`, `key.pem`.
/// `None` when there is no such program.
pub fn certificates(folder: &Path) -> Option<()> {
    let openssl = program("openssl")?;
    let run = |words: &str| {
        let result =
            output(Command::new(&openssl).current_dir(folder).args(words.split_whitespace()));
        assert!(result.status.success(), "{}", String::from_utf8_lossy(&result.stderr));
    };
    std::fs::write(folder.join("san"), "subjectAltName=DNS:localhost\n").unwrap();
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    run(&format!("req -x509 {key} -keyout ca.key -out ca.pem -days 2 -subj /CN=test-ca"));
    run(&format!("req {key} -keyout key.pem -out cert.csr -subj /CN=localhost"));
    run(
        "x509 -req -in cert.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile san -out cert.pem",
    );
    Some(())
}

/// One message as it came.
#[derive(Debug, Clone, PartialEq)]
pub struct Received {
    pub topic: String,
    pub payload: Vec<u8>,
    pub retained: bool,
    pub at_least_once: bool,
    pub content_type: Option<String>,
    pub user_properties: Vec<(String, String)>,
}

impl Received {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.payload).unwrap()
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.payload.clone()).unwrap()
    }
}

/// What a subscriber has written down.
#[derive(Default)]
struct Book {
    received: Vec<Received>,
    /// Entries from `batch` and `event` topics, with repeats.
    entries: Vec<(u64, serde_json::Value)>,
    distinct: BTreeSet<u64>,
    subscriptions: usize,
}

/// Subscribes to everything with a session that outlives connections, and comes back by itself.
pub struct Subscriber {
    book: Arc<Mutex<Book>>,
    _task: JoinSet<()>,
}

impl Subscriber {
    /// Connected and subscribed when this returns.
    pub async fn new(port: u16, id: &str) -> Self {
        let subscriber = Self::coming(port, id, None);
        subscriber.subscribed(1).await;
        subscriber
    }

    /// Not connected yet.
    pub fn coming(port: u16, id: &str, credentials: Option<(&str, &str)>) -> Self {
        let mut options = MqttOptions::new(id, ("127.0.0.1", port));
        options
            .set_session_mode(SessionMode::Persistent)
            .set_clean_start(false)
            .set_session_expiry_interval(Some(3600))
            .set_keep_alive(30)
            // One by one: of a larger batch the client forgets what it has read when the connection ends in it.
            .set_read_batch_size(1)
            .set_broker_session_resume_policy(rumqttc::BrokerSessionResumePolicy::AllowBrokerOnly)
            .set_max_packet_size(Some(1 << 20));
        if let Some((user, password)) = credentials {
            options.set_credentials(user.to_owned(), password.to_owned());
        }
        let book = Arc::new(Mutex::new(Book::default()));
        let mut task = JoinSet::new();
        task.spawn(listen(options, book.clone()));
        Self { book, _task: task }
    }

    fn book(&self) -> std::sync::MutexGuard<'_, Book> {
        self.book.lock().unwrap()
    }

    /// Waits for the `n`th time that the broker has confirmed the subscription.
    pub async fn subscribed(&self, n: usize) {
        until("the subscription", || (self.book().subscriptions >= n).then_some(())).await;
    }

    /// Everything so far, in the order of arrival.
    pub fn received(&self) -> Vec<Received> {
        self.book().received.clone()
    }

    /// Waits for a message.
    pub async fn message(&self, what: &str, wanted: impl Fn(&Received) -> bool) -> Received {
        until(what, || self.book().received.iter().find(|m| wanted(m)).cloned()).await
    }

    /// How many entries have come, repeats included.
    pub fn count(&self) -> usize {
        self.book().entries.len()
    }

    /// Waits until so many different entries have come; in the order of arrival, with repeats.
    pub async fn distinct(&self, count: usize) -> Vec<(u64, serde_json::Value)> {
        until(&format!("{count} different entries"), || {
            let book = self.book();
            (book.distinct.len() >= count).then(|| book.entries.clone())
        })
        .await
    }
}

/// The entries in one message.
pub fn entries_of(topic: &str, payload: &[u8]) -> Vec<(u64, serde_json::Value)> {
    let json = || serde_json::from_slice::<serde_json::Value>(payload).unwrap();
    let samples = match topic.rsplit('/').next() {
        Some("batch") => json()["readings"].as_array().unwrap().clone(),
        Some("event") => vec![json()],
        _ => Vec::new(),
    };
    samples.into_iter().map(|sample| (sample["seq"].as_u64().unwrap(), sample)).collect()
}

async fn listen(options: MqttOptions, book: Arc<Mutex<Book>>) {
    let (client, mut events) = AsyncClient::builder(options).capacity(10).build();
    let mut pause = tokio::time::interval(Duration::from_millis(50));
    loop {
        match events.poll().await {
            Ok(Event::Incoming(Packet::ConnAck(_))) => {
                client.try_subscribe("#", QoS::AtLeastOnce).unwrap();
            }
            Ok(Event::Incoming(Packet::SubAck(_))) => book.lock().unwrap().subscriptions += 1,
            Ok(Event::Incoming(Packet::Publish(publish))) => {
                let properties = publish.properties.unwrap_or_default();
                let topic = String::from_utf8(publish.topic.to_vec()).unwrap();
                let entries = entries_of(&topic, &publish.payload);
                let mut book = book.lock().unwrap();
                book.distinct.extend(entries.iter().map(|(id, _)| *id));
                book.entries.extend(entries);
                book.received.push(Received {
                    topic,
                    payload: publish.payload.to_vec(),
                    retained: publish.retain,
                    at_least_once: publish.qos == QoS::AtLeastOnce,
                    content_type: properties.content_type,
                    user_properties: properties.user_properties,
                });
            }
            Ok(_) => {}
            // The broker is away; it will be back.
            Err(_) => {
                pause.tick().await;
            }
        }
    }
}
