//! Servers that a test starts for itself.

use std::{
    env, fmt, fs, io,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread::sleep,
    time::Duration,
};

/// A real server in a directory of its own, stopped and removed when it is dropped.
///
/// The program is looked for in `PATH` and where packages put it. Without it the test is skipped, and
/// says so; under `make test`, which installs it and sets `TEST_SERVERS=required`, that is a failure:
///
/// ```no_run
/// let Some(server) = testkit::TestServer::postgres() else {
///     return; // it was said that this test is skipped
/// };
/// println!("{}", server.url());
/// ```
pub struct TestServer {
    dir: PathBuf,
    url: String,
    start: Vec<String>,
    stop: Vec<String>,
}

impl TestServer {
    /// Postgres, on a Unix socket in its directory. It refuses to run as root: there it runs as `postgres`
    /// or `nobody`.
    ///
    /// # Panics
    /// If it is there and does not start, and without it where servers are required.
    pub fn postgres() -> Option<Self> {
        const PLACES: [&str; 4] = [
            "/usr/lib/postgresql/*/bin",
            "/opt/homebrew/opt/postgresql*/bin",
            "/usr/local/opt/postgresql*/bin",
            "/usr/pgsql-*/bin",
        ];
        let Some(initdb) = find("initdb", &PLACES) else {
            return skipped("Postgres");
        };
        let control = initdb.with_file_name("pg_ctl");
        let dir = directory("postgres");
        let data = dir.join("data").display().to_string();
        let run = |program: &Path, arguments: &[&str]| {
            let program = program.display().to_string();
            let command: Vec<String> = as_another(&dir)
                .into_iter()
                .chain([program])
                .chain(arguments.iter().map(ToString::to_string))
                .collect();
            command
        };
        let options = format!("-k {} -c listen_addresses= -c fsync=off", dir.display());
        let log = dir.join("log").display().to_string();
        start(&run(
            &initdb,
            &["-D", &data, "-U", "postgres", "-A", "trust", "--no-sync"],
        ));
        let begin = run(
            &control,
            &["-D", &data, "-w", "-l", &log, "-o", &options, "start"],
        );
        start(&begin);
        Some(Self {
            url: format!(
                "postgresql:///postgres?host={}&user=postgres",
                dir.display()
            ),
            start: begin,
            stop: run(&control, &["-D", &data, "-m", "immediate", "stop"]),
            dir,
        })
    }

    /// Redis, on a free port of this machine. The program is `REDIS_SERVER`, or `redis-server`.
    ///
    /// # Panics
    /// If it is there and does not start, and without it where servers are required.
    #[allow(
        clippy::disallowed_methods,
        reason = "the server's time is not tokio's"
    )]
    pub fn redis() -> Option<Self> {
        let program = env::var("REDIS_SERVER").unwrap_or_else(|_| "redis-server".into());
        if quietly(&[program.clone(), "--version".into()]).is_err() {
            return skipped("redis-server");
        }
        let dir = directory("redis");
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let port = free.expect("TestServer: a free port").port();
        let pid = dir.join("pid").display().to_string();
        let options = format!("--port {port} --bind 127.0.0.1 --appendonly no --daemonize yes");
        let command = as_another(&dir).into_iter().chain([program]);
        let command = command.chain(options.split(' ').map(str::to_owned));
        let places = [
            "--save",
            "",
            "--pidfile",
            &pid,
            "--dir",
            &dir.display().to_string(),
        ];
        let begin: Vec<_> = command.chain(places.map(str::to_owned)).collect();
        start(&begin);
        // it says that it has started before it listens
        let comes_up = (0..500).any(|_| {
            sleep(Duration::from_millis(10));
            TcpStream::connect(("127.0.0.1", port)).is_ok() && Path::new(&pid).is_file()
        });
        assert!(comes_up, "TestServer: redis-server does not come up");
        let process = fs::read_to_string(&pid).expect("TestServer: its pid");
        Some(Self {
            url: format!("redis://127.0.0.1:{port}/"),
            start: begin,
            stop: ["kill", "-9", process.trim()].map(str::to_owned).to_vec(),
            dir,
        })
    }

    /// Stops it at once, in the middle of whatever it does. What it was told to keep is there when it is
    /// started again.
    ///
    /// # Panics
    /// If it can't be stopped.
    pub fn kill(&self) {
        start(&self.stop);
    }

    /// Starts it again, at the same place.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start_again(&self) {
        start(&self.start);
    }

    /// Where it is, as its clients write it.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        let stopped = quietly(&self.stop);
        let removed = fs::remove_dir_all(&self.dir);
        if let (Err(error), _) | (_, Err(error)) = (stopped, removed) {
            eprintln!("TestServer: {}: {error}", self.dir.display());
        }
    }
}

impl fmt::Debug for TestServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestServer")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

fn skipped(what: &str) -> Option<TestServer> {
    assert!(
        env::var_os("TEST_SERVERS").is_none_or(|value| value != "required"),
        "{what} is not installed, and TEST_SERVERS=required"
    );
    eprintln!("SKIPPED: {what} is not installed; `make test` installs it");
    None
}

/// A program in `PATH`, or in the last of the places that match.
fn find(program: &str, places: &[&str]) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let in_path = env::split_paths(&path).map(|dir| dir.join(program));
    let in_places = places
        .iter()
        .flat_map(|place| expand(place))
        .map(|dir| dir.join(program));
    let found = in_path.chain(in_places).find(|file| file.is_file())?;
    // a link may stand where its neighbours are not
    found.canonicalize().ok()
}

/// The directories that a path with at most one `*` in a name stands for, the latest version first.
fn expand(place: &str) -> Vec<PathBuf> {
    let Some((before, after)) = place.split_once('*') else {
        return vec![place.into()];
    };
    let (parent, start) = before.rsplit_once('/').unwrap_or(("", before));
    let after = after.trim_start_matches('/');
    let names = fs::read_dir(parent).into_iter().flatten().flatten();
    let mut found: Vec<_> = names
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(start))
        .map(|entry| entry.path().join(after))
        .collect();
    found.sort();
    found.reverse();
    found
}

/// A new directory that the server's user owns, with a name short enough for a socket in it.
fn directory(server: &str) -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    let dir = env::temp_dir().join(format!("test-{server}-{}-{next}", std::process::id()));
    fs::create_dir_all(&dir).expect("TestServer: a directory for temporary files");
    if let Some(user) = other_user(&dir) {
        start(&["chown".into(), user, dir.display().to_string()]);
    }
    dir
}

/// What comes before a command so that it does not run as root.
fn as_another(dir: &Path) -> Vec<String> {
    other_user(dir).map_or_else(Vec::new, |user| {
        ["runuser", "-u", &user, "--"].map(str::to_owned).to_vec()
    })
}

#[cfg(unix)]
fn other_user(_: &Path) -> Option<String> {
    let id = |arguments: &[&str]| {
        Command::new("id")
            .args(arguments)
            .stderr(Stdio::null())
            .output()
    };
    let me = id(&["-u"]).ok()?;
    if me.stdout.trim_ascii() != b"0" {
        return None;
    }
    let known = id(&["-u", "postgres"]).is_ok_and(|found| found.status.success());
    Some(if known { "postgres" } else { "nobody" }.to_owned())
}

#[cfg(not(unix))]
fn other_user(_: &Path) -> Option<String> {
    None
}

fn start(command: &[String]) {
    if let Err(error) = quietly(command) {
        panic!("TestServer: {}: {error}", command.join(" "));
    }
}

fn quietly(command: &[String]) -> io::Result<()> {
    let (program, arguments) = command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    // a server that lives on must not hold the pipe of its starter
    let status = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .current_dir("/")
        .status()?;
    if status.success() {
        Ok(())
    } else {
        Err(io::Error::other(status.to_string()))
    }
}
