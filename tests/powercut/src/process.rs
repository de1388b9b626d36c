//! The program under test: one-shot commands and the daemon, each in a process of its own, each with a limit.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::entries::{Entries, acknowledged};

/// Whatever is waited for comes within this, or something is wrong: a slow machine needs seconds.
const LIMIT: Duration = Duration::from_secs(60);
/// How often a file is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// Log lines quoted when something is wrong.
const QUOTED: usize = 6;

/// The program, and where it finds things.
pub(crate) struct Program {
    pub(crate) binary: PathBuf,
    /// The data folder, on the disk that was cut.
    pub(crate) data_dir: PathBuf,
    /// For configuration and deliveries; not on that disk.
    pub(crate) scratch: PathBuf,
}

/// How a daemon ends.
#[derive(Debug, Clone, Copy)]
pub(crate) enum End {
    /// By SIGTERM; it must end well.
    Asked,
    /// By SIGKILL.
    Killed,
}

/// Said by the daemon when it takes its files for damaged. After a power cut they are not.
const DAMAGE: [&str; 3] =
    ["database is damaged", "database does not open", "died each time it opened"];

impl Program {
    /// Every entry in the log, as `pulsegate buffer export` tells; the daemon must not run.
    pub(crate) fn stored(&self) -> Result<Entries> {
        let config = self.config("export", None)?;
        let program = self.command(&["buffer", "export", "--config"], &config);
        let mut limited = Command::new("timeout");
        limited.args(["--signal=KILL", &LIMIT.as_secs().to_string()]);
        limited.arg(program.get_program()).args(program.get_args());
        let output = limited.stdin(Stdio::null()).output().context("exporting")?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("no export ({}): {}", output.status, said.trim().replace('\n', " | "));
        }
        Ok(Entries::parse(&String::from_utf8_lossy(&output.stdout)))
    }

    /// Starts the daemon for a moment, and returns what it delivered to the file sink of this name.
    pub(crate) fn delivered(&self, sink: &str, end: End) -> Result<Entries> {
        let readings = self.scratch.join(format!("{sink}.ndjson"));
        let config = self.config(sink, Some(&readings))?;
        let _ = std::fs::remove_file(&readings);
        let arguments = ["run", "--simulate", "1", "--config"];
        let mut daemon = Daemon::start(self.command(&arguments, &config))?;
        // Older entries are delivered before those of this run.
        let up = daemon.first_commit()?;
        let delivered = daemon.wait_for_entry(&readings, up);
        daemon.end(end)?;
        delivered
    }

    /// Whether the daemon has ever set a database aside as damaged.
    pub(crate) fn has_quarantine(&self) -> bool {
        self.data_dir.join("quarantine").exists()
    }

    fn config(&self, sink: &str, readings: Option<&Path>) -> Result<PathBuf> {
        let path = self.scratch.join(format!("{sink}.toml"));
        let mut text = format!(
            "data_dir = {:?}\n[buffer]\ncommit_every_ms = 50\nmax_mb = 8\n[web]\nlisten = \"\"\n",
            self.data_dir
        );
        if let Some(readings) = readings {
            text += &format!("[sinks.{sink}.file]\npath = {readings:?}\n");
        }
        std::fs::write(&path, text).context("writing a configuration")?;
        Ok(path)
    }

    fn command(&self, arguments: &[&str], path: &Path) -> Command {
        let mut command = Command::new(&self.binary);
        command
            .args(arguments)
            .arg(path)
            .env("RUST_LOG", "info,pulsegate::buffer=trace")
            .env_remove("JOURNAL_STREAM")
            .env_remove("NOTIFY_SOCKET")
            .env_remove("STATE_DIRECTORY")
            .stdin(Stdio::null());
        command
    }
}

/// A running daemon. Killed when dropped.
struct Daemon {
    child: Child,
    log: Receiver<String>,
    seen: Vec<String>,
    deadline: Instant,
}

impl Daemon {
    fn start(mut command: Command) -> Result<Self> {
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("starting the daemon")?;
        let stderr = BufReader::new(child.stderr.take().context("no standard error")?);
        let (sender, log) = mpsc::channel();
        // Ends with the child's standard error.
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Self { child, log, seen: Vec::new(), deadline: Instant::now() + LIMIT })
    }

    /// The last id of the first commit that had entries.
    fn first_commit(&mut self) -> Result<u64> {
        loop {
            let left = self.deadline.saturating_duration_since(Instant::now());
            match self.log.recv_timeout(left) {
                Ok(line) => {
                    if DAMAGE.iter().any(|said| line.contains(said)) {
                        bail!("a power cut looks like damage: {line}");
                    }
                    let ids = acknowledged(&line).filter(|ids| !ids.is_empty());
                    self.seen.push(line);
                    if let Some(ids) = ids {
                        return Ok(*ids.end());
                    }
                }
                Err(RecvTimeoutError::Timeout) => bail!("no commit in time: {}", self.quote()),
                Err(RecvTimeoutError::Disconnected) => {
                    let status = self.child.wait().context("waiting for the daemon")?;
                    bail!("the daemon ended ({status}): {}", self.quote());
                }
            }
        }
    }

    /// Waits until the file has this entry; returns the file's entries.
    fn wait_for_entry(&mut self, readings: &Path, id: u64) -> Result<Entries> {
        loop {
            // Lines are long: only the end is looked at until it is there.
            let text = std::fs::read_to_string(readings).unwrap_or_default();
            let end = text.len().saturating_sub(4096);
            let end = (end..text.len()).find(|place| text.is_char_boundary(*place));
            let tail = Entries::parse(end.map_or("", |end| &text[end..]));
            if tail.ids().last() >= Some(id) {
                return Ok(Entries::parse(&text));
            }
            if Instant::now() >= self.deadline {
                self.seen.extend(self.log.try_iter());
                bail!("entry {id} was not delivered in time: {}", self.quote());
            }
            std::thread::park_timeout(LOOK_EVERY);
        }
    }

    fn end(mut self, how: End) -> Result<()> {
        match how {
            End::Killed => self.child.kill().context("killing the daemon")?,
            End::Asked => {
                kill_process(Pid::from_child(&self.child), Signal::TERM)
                    .context("stopping the daemon")?;
            }
        }
        while self.child.try_wait().context("waiting for the daemon")?.is_none() {
            if Instant::now() >= self.deadline {
                bail!("the daemon does not stop: {}", self.quote());
            }
            std::thread::park_timeout(LOOK_EVERY);
        }
        let status = self.child.wait().context("waiting for the daemon")?;
        if matches!(how, End::Asked) && !status.success() {
            self.seen.extend(self.log.iter());
            bail!("the daemon stopped badly ({status}): {}", self.quote());
        }
        Ok(())
    }

    fn quote(&self) -> String {
        let from = self.seen.len().saturating_sub(QUOTED);
        self.seen[from..].join(" | ")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Already gone, mostly.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
