//! A Redis or Valkey server of a test's own.

use std::{
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::world::Folder;

/// `REDIS_SERVER` names the program; else it is looked for on the path.
fn program() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("REDIS_SERVER") {
        return Some(named.into());
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .flat_map(|folder| ["redis-server", "valkey-server"].map(|name| folder.join(name)))
        .find(|program| program.is_file())
}

/// A server on a port of its own, with its data in a folder of its own. It is killed when dropped.
pub struct Server {
    child: Option<Child>,
    port: u16,
    folder: Folder,
    durable: bool,
}

impl Server {
    /// `None`, and a word of it: there is no server on this machine. `make test` installs one.
    pub fn start(durable: bool) -> Option<Self> {
        if program().is_none() {
            assert!(
                std::env::var_os("TEST_SERVERS").is_none_or(|value| value != "required"),
                "there is no redis-server; `make servers` installs it"
            );
            eprintln!("SKIPPED: there is no redis-server on this machine");
            return None;
        }
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let mut server = Self {
            child: None,
            port,
            folder: Folder::new(),
            durable,
        };
        server.begin();
        Some(server)
    }

    /// Starts it again, with what it wrote.
    #[allow(clippy::disallowed_methods)] // a real server takes real time
    pub fn begin(&mut self) {
        let child = Command::new(program().unwrap())
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1"])
            .args([
                "--save",
                "",
                "--appendonly",
                if self.durable { "yes" } else { "no" },
            ])
            .args(["--appendfsync", "always", "--dir"])
            .arg(self.folder.path("."))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.child = Some(child);
        let start = Instant::now();
        while self.ping().is_none() {
            assert!(
                start.elapsed() < Duration::from_secs(10),
                "the server does not start"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn ping(&self) -> Option<()> {
        use std::io::{Read, Write};
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.write_all(b"PING\r\n").ok()?;
        let mut answer = [0; 5];
        stream.read_exact(&mut answer).ok()?;
        (&answer == b"+PONG").then_some(())
    }

    pub fn address(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// As `kill -9` does.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// It stops answering, or goes on.
    pub fn pause(&self, paused: bool) {
        let signal = if paused { "-STOP" } else { "-CONT" };
        let id = self.child.as_ref().unwrap().id().to_string();
        let told = Command::new("kill").args([signal, &id]).status().unwrap();
        assert!(told.success());
    }

    /// A raw command, for tests that look at the server itself.
    pub async fn ask<T: redis::FromRedisValue>(&self, command: &[&str]) -> T {
        let client = redis::Client::open(self.address()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let mut ask = redis::cmd(command[0]);
        command[1..].iter().for_each(|argument| {
            ask.arg(argument);
        });
        ask.query_async(&mut connection).await.unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}
