//! A Redis server of the test's own. Its program is `REDIS_SERVER`, or `redis-server` on the path; without one
//! a test says so and passes.

use std::{
    net::TcpListener,
    path::PathBuf,
    process::Stdio,
    time::{Duration, Instant},
};

use cache_layer::RedisStore;
use tokio::process::{Child, Command};

pub(super) const SECRET: &[u8] = b"sixteen bytes or more";

pub(super) struct Server {
    process: Child,
    port: u16,
    folder: PathBuf,
}

impl Server {
    /// A server of its own on a free port. `None`: there is no program.
    pub(super) async fn start() -> Option<Self> {
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        Self::start_at(port).await
    }

    pub(super) async fn start_at(port: u16) -> Option<Self> {
        let program = std::env::var("REDIS_SERVER").unwrap_or_else(|_| "redis-server".into());
        let folder = std::env::temp_dir().join(format!("cache-layer-redis-{port}"));
        std::fs::create_dir_all(&folder).unwrap();
        let started = Command::new(program)
            .args([
                "--port",
                &port.to_string(),
                "--bind",
                "127.0.0.1",
                "--save",
                "",
            ])
            .args(["--appendonly", "no", "--dir"])
            .arg(&folder)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn();
        let Ok(process) = started else {
            let required = std::env::var("TEST_SERVERS").is_ok_and(|value| value == "required");
            assert!(
                !required,
                "redis-server is not installed, and TEST_SERVERS=required"
            );
            eprintln!("SKIPPED: there is no redis-server (set REDIS_SERVER, or install it)");
            return None;
        };
        let server = Self {
            process,
            port,
            folder,
        };
        for _ in 0..500 {
            if tokio::net::TcpStream::connect(("127.0.0.1", port))
                .await
                .is_ok()
            {
                return Some(server);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("redis-server does not come up");
    }

    pub(super) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    pub(super) fn store(&self) -> RedisStore {
        RedisStore::new(&self.url(), SECRET).unwrap()
    }

    /// For what is to be found whatever else this machine does just now.
    pub(super) fn patient(&self) -> RedisStore {
        RedisStore::with(&self.url(), SECRET, "llm-cache:", Duration::from_secs(2)).unwrap()
    }

    pub(super) async fn kill(mut self) -> u16 {
        self.process.kill().await.unwrap();
        self.port
    }

    /// `STOP`: it takes connections and bytes, and does nothing until `CONT`.
    pub(super) async fn signal(&self, name: &str) {
        let process = self.process.id().unwrap().to_string();
        let sent = Command::new("kill").args(["-s", name, &process]).status();
        assert!(sent.await.unwrap().success());
    }

    /// How often this command was asked of it.
    pub(super) async fn commands(&self, name: &str) -> usize {
        let client = redis::Client::open(self.url()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let info: String = redis::cmd("INFO")
            .arg("commandstats")
            .query_async(&mut connection)
            .await
            .unwrap();
        let start = format!("cmdstat_{name}:calls=");
        let line = info.lines().find_map(|line| line.strip_prefix(&start));
        line.map_or(0, |line| line.split(',').next().unwrap().parse().unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "the server's time is not tokio's"
)]
pub(super) fn now() -> Instant {
    Instant::now()
}
