//! The real binary as a child process: started in a folder of its own, watched by its log, stopped or killed.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

/// Everything that is waited for comes within this, or the test fails.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// The binary, without anything of this machine's environment that would change what it does.
pub(crate) fn pulsegate(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pulsegate"));
    command
        .args(arguments)
        .env_remove("JOURNAL_STREAM")
        .env_remove("NOTIFY_SOCKET")
        .env_remove("STATE_DIRECTORY");
    command
}

/// Runs the binary to its end.
pub(crate) fn output(arguments: &[&str]) -> Output {
    pulsegate(arguments).output().unwrap()
}

/// A running daemon.
pub(crate) struct Daemon {
    child: Child,
    log: Receiver<String>,
    data_dir: PathBuf,
}

impl Daemon {
    /// Starts `pulsegate run` with this configuration and further arguments.
    pub(crate) fn start(folder: &Path, config: &str, arguments: &[&str]) -> Self {
        Self::start_with(folder, config, arguments, &[])
    }

    /// The same with this in its environment.
    pub(crate) fn start_with(
        folder: &Path,
        config: &str,
        arguments: &[&str],
        environment: &[(&str, String)],
    ) -> Self {
        let data_dir = folder.join("data");
        let config_path = folder.join("pulsegate.toml");
        std::fs::write(&config_path, format!("data_dir = {data_dir:?}\n{config}")).unwrap();
        let mut all = vec!["run", "--config", config_path.to_str().unwrap()];
        all.extend(arguments);
        let mut child = pulsegate(&all)
            .env("RUST_LOG", "info,pulsegate::buffer=trace")
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (sender, log) = mpsc::channel();
        // Ends with the child's standard error.
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, log, data_dir }
    }

    pub(crate) fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// Waits for a log line that the function likes, and returns what it made of it.
    pub(crate) fn wait_for<T>(&self, what: &str, mut look: impl FnMut(&str) -> Option<T>) -> T {
        let deadline = Instant::now() + LIMIT;
        let mut seen = Vec::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self
                .log
                .recv_timeout(left)
                .unwrap_or_else(|_| panic!("no {what} in:\n{}", seen.join("\n")));
            if let Some(found) = look(&line) {
                return found;
            }
            seen.push(line);
        }
    }

    /// Waits until everything up to `id` at least is durable; returns up to where it is.
    pub(crate) fn wait_committed(&self, id: u64) -> u64 {
        self.wait_for(&format!("commit of {id}"), |line| committed(line).filter(|up| *up >= id))
    }

    /// What `pulsegate status --json` says.
    pub(crate) fn status(&self) -> serde_json::Value {
        let output = output(&["status", "--json", "--data-dir", self.data_dir.to_str().unwrap()]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Asks it to stop.
    pub(crate) fn terminate(&self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    }

    /// Asks it to stop and waits for that.
    pub(crate) fn stop(mut self) -> ExitStatus {
        self.terminate();
        self.child.wait().unwrap()
    }

    /// Kills it like a crash, and returns the last commit that its log told.
    pub(crate) fn kill(mut self) -> Option<u64> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.log.iter().filter_map(|line| committed(&line)).last()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Already gone after `stop` and `kill`.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn committed(line: &str) -> Option<u64> {
    line.split_once("committed up=")?.1.split_whitespace().next()?.parse().ok()
}
