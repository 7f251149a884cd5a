//! The platforms behind kiosklink, on the loopback: cabinets with doors that open, callbacks that arrive late,
//! and every fault on demand.
//!
//! ```
//! use kiosklink_sim::{Options, Simulator};
//! use serde_json::json;
//!
//! let sim = Simulator::start(Options::default())?;
//! let (status, _) = sim.control("POST", "/_sim/faults", json!({"fault": "act_then_drop"}));
//! assert_eq!(status, 200);
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! The simulator is a reading of the protocol notes of its own. It shares no code with the library it tests.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod act;
mod callback;
mod clock;
mod connection;
mod console;
mod control;
mod crowd;
mod dialect;
mod fault;
mod link;
mod message;
mod platform;
mod server;
mod state;
mod story;
mod tls;
mod world;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use serde_json::{Value, json};

use server::Shared;

/// How a simulator is started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Where it listens; the loopback only. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// The seed of everything that is made up: receipt numbers, noise.
    pub seed: u64,
    /// How many requests the log remembers.
    pub log_limit: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 0)), seed: 1, log_limit: 10_000 }
    }
}

/// A running simulator. Dropping it stops everything.
pub struct Simulator {
    shared: Arc<Shared>,
    address: SocketAddr,
    origin: String,
    http_origin: String,
    threads: Vec<JoinHandle<()>>,
}

impl Simulator {
    /// Starts a simulator; it answers as soon as this returns.
    pub fn start(options: Options) -> io::Result<Self> {
        if !options.listen.ip().is_loopback() {
            let why =
                format!("{} is not a loopback address; the simulator serves nothing else", options.listen);
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        let tls = tls::Tls::new()?;
        let listener = TcpListener::bind(options.listen)?;
        let address = listener.local_addr()?;
        let origin = format!("https://localhost:{}", address.port());
        let http_origin = format!("http://localhost:{}", address.port());
        let state = state::State::new(options.seed, options.log_limit, origin.clone(), http_origin.clone());
        let (crowd, poll) = crowd::Crowd::new()?;
        let shared = Arc::new(Shared::new(tls, state, crowd));
        let mut simulator = Self { shared, address, origin, http_origin, threads: Vec::new() };
        simulator.run("sim-sockets", move |shared| {
            if let Err(why) = crowd::attend(shared, listener, poll) {
                eprintln!("the simulator can no longer wait for connections: {why}");
            }
        })?;
        simulator.run("sim-timers", |shared| shared.run_timers())?;
        simulator.run("sim-callbacks", |shared| shared.run_callbacks())?;
        Ok(simulator)
    }

    fn run(&mut self, name: &str, job: impl FnOnce(&Arc<Shared>) + Send + 'static) -> io::Result<()> {
        let shared = self.shared.clone();
        let thread = std::thread::Builder::new().name(name.into()).spawn(move || job(&shared))?;
        self.threads.push(thread);
        Ok(())
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// `https://localhost:PORT`
    pub fn origin(&self) -> String {
        self.origin.clone()
    }

    /// `http://localhost:PORT`; the same port speaks both.
    pub fn http_origin(&self) -> String {
        self.http_origin.clone()
    }

    /// The certificate authority to trust, in PEM. It is a new one at every start.
    pub fn ca_pem(&self) -> &str {
        self.shared.tls.ca_pem()
    }

    /// A client certificate and its key in PEM, for when the simulator is told to require one.
    pub fn client_pair_pem(&self) -> (&str, &str) {
        self.shared.tls.client_pair_pem()
    }

    /// The control API without HTTP: the same paths and bodies, the same answers.
    pub fn control(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        control::handle(&self.shared, method, path, &body)
    }

    /// Switches the dialect of a platform, or of all, on: so large a share of its answers is drawn from the kinds
    /// named, or from all. A share of 0 switches it off. The same as `POST /_sim/dialect`; wrong names are explained.
    pub fn set_dialect(
        &self,
        platform: Option<&str>,
        seed: u64,
        share: f64,
        kinds: Option<&[&str]>,
    ) -> Result<(), String> {
        let mut body = json!({"platform": platform, "seed": seed, "share": share});
        if let Some(kinds) = kinds {
            body["kinds"] = json!(kinds);
        }
        match self.control("POST", "/_sim/dialect", body) {
            (200, _) => Ok(()),
            (_, answer) => Err(answer["error"].as_str().unwrap_or_default().to_owned()),
        }
    }

    /// Everything that physically happened or was booked, oldest first, whatever any answer said of it: the same as
    /// `GET /_sim/acts`.
    pub fn acts(&self) -> Vec<Value> {
        match self.control("GET", "/_sim/acts", Value::Null) {
            (200, Value::Array(acts)) => acts,
            _ => Vec::new(),
        }
    }

    /// Addresses and accounts; what the binary prints when it is ready.
    pub fn info(&self) -> Value {
        let mut info = control::info(&self.shared);
        info["port"] = json!(self.port());
        info
    }

    /// A kiosklink accounts file for this simulator, trusting the authority in `ca_file`. It names no `state_dir`:
    /// [`Simulator::write_accounts`] does.
    pub fn accounts(&self, ca_file: &str) -> Value {
        let mut accounts = self.shared.state().accounts();
        for account in accounts.values_mut() {
            account["ca_file"] = json!(ca_file);
        }
        json!({"accounts": accounts})
    }

    /// Writes that file whole or not at all, and makes a folder beside it that its accounts name as their `state_dir`:
    /// `accounts.state` for `accounts.json`, mode 0700. A folder that is there already keeps what is in it.
    pub fn write_accounts(&self, file: &Path, ca_file: &str) -> io::Result<()> {
        let mut folder = file.to_owned();
        folder.set_extension("state");
        make_private(&folder)?;
        let name = folder.file_name().map(|n| n.to_string_lossy().into_owned());
        let mut all = self.accounts(ca_file);
        for (_, account) in all["accounts"].as_object_mut().into_iter().flatten() {
            // Relative: it is taken from the folder of the file.
            account["state_dir"] = json!(name);
        }
        let mut part = file.as_os_str().to_owned();
        part.push(format!(".{}.part", std::process::id()));
        std::fs::write(&part, format!("{all:#}\n"))?;
        std::fs::rename(&part, file)
    }
}

/// Each connection is a descriptor: lets this process have as many as the system allows. It does what it can without: a connection
/// for which there is none waits until one is closed.
pub fn raise_descriptors() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    if let Err(why) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        eprintln!("the limit of descriptors stays as it is: {why}");
    }
}

/// Makes a folder that only its owner can use, with its parents.
fn make_private(folder: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt;
        builder.mode(0o700);
    }
    builder.create(folder)
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.shared.stop();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}
