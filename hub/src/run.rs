//! The life of the hub: start, ready, stop.

use crate::args::Args;
use crate::hub::Hub;
use crate::pool::Pool;
use crate::store::Store;
use crate::store::sqlite::Sqlite;
use crate::{accounts, server, tls};
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// Calls of one account that may wait for a thread.
const QUEUE: usize = 256;
/// How long commands under way are waited for at the stop. What is not through then is unknown at the next start, and asked.
const PATIENCE: Duration = Duration::from_secs(25);

/// Runs the hub until SIGTERM or SIGINT.
pub fn serve(args: &Args) -> Result<(), String> {
    tracing_subscriber::fmt().json().with_writer(std::io::stderr).with_target(false).init();
    raise_descriptors();
    let (data, file) = (args.path("data")?, args.path("accounts")?);
    let store: Arc<dyn Store> = Arc::new(Sqlite::open(&data, true).map_err(|e| e.to_string())?);
    let accounts = accounts::load(&file, &data, &store)?;
    let tls = tls_of(args, &data)?;
    let pin = tls.as_ref().map_or(String::new(), |t| t.pin.clone());
    std::fs::write(data.join("pin"), &pin).map_err(|e| format!("{}: {e}", data.display()))?;
    let public = match args.get("public") {
        Some(url) if url.starts_with("https://") || url.starts_with("http://") => {
            Some(url.trim_end_matches('/').to_owned())
        }
        Some(url) => return Err(format!("--public {url}: not an address like https://hub.example")),
        None => None,
    };
    let threads = args.number("threads", 32, 1024)?.max(1) as usize;
    let pool = Pool::new(threads, QUEUE).map_err(|e| format!("threads: {e}"))?;
    let hub = Arc::new(Hub::new(store, accounts, pool, public, pin));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| format!("threads: {e}"))?;
    // Without TLS only this machine reaches it, unless somebody says otherwise.
    let usual = if args.has("plain-http") { "127.0.0.1:8443" } else { "0.0.0.0:8443" };
    let listen = args.get("listen").unwrap_or(usual).to_owned();
    let admin = args.get("admin").unwrap_or("127.0.0.1:9443").to_owned();
    let served = runtime.block_on(live(hub.clone(), tls, &listen, &admin, &data));
    // What still blocks a thread is fenced by its claim, not by us.
    runtime.shutdown_timeout(Duration::from_secs(2));
    served
}

fn tls_of(args: &Args, data: &std::path::Path) -> Result<Option<tls::Tls>, String> {
    match (args.has("plain-http"), args.get("tls-cert"), args.get("tls-key")) {
        (true, None, None) => Ok(None),
        (true, ..) => Err("--plain-http and a certificate exclude each other".into()),
        (false, Some(cert), Some(key)) => tls::load(cert.as_ref(), key.as_ref()).map(Some),
        (false, None, None) => {
            let mut names = args.all("name");
            if names.is_empty() {
                names = vec!["localhost".into(), "127.0.0.1".into()];
            }
            tls::make(data, &names)?;
            let (cert, key) = tls::own_files(data);
            tls::load(&cert, &key).map(Some)
        }
        _ => Err("--tls-cert and --tls-key belong together".into()),
    }
}

async fn live(
    hub: Arc<Hub>,
    tls: Option<tls::Tls>,
    listen: &str,
    admin: &str,
    data: &std::path::Path,
) -> Result<(), String> {
    let bind = async |address: &str| TcpListener::bind(address).await.map_err(|e| format!("{address}: {e}"));
    let (public, operators) = (bind(listen).await?, bind(admin).await?);
    let address = |l: &TcpListener| l.local_addr().map(|a| a.to_string()).unwrap_or_default();
    let (listen, admin) = (address(&public), address(&operators));
    let scheme = if tls.is_some() { "https" } else { "http" };
    let mut term = signal(SignalKind::terminate()).map_err(|e| e.to_string())?;
    let mut int = signal(SignalKind::interrupt()).map_err(|e| e.to_string())?;
    let attending = tokio::spawn(hub.clone().attend());
    let acceptor = tls.map(|t| t.acceptor);
    let mut serving = tokio::spawn(server::serve(hub.clone(), public, acceptor, server::public(hub.clone())));
    let admins = tokio::spawn(server::serve(hub.clone(), operators, None, server::operators(hub.clone())));
    let desk = tokio::spawn(crate::desk::serve(hub.clone(), data.to_owned()));
    // One line for scripts; all else goes to the log.
    println!(
        "{}",
        serde_json::json!({"listen": format!("{scheme}://{listen}"), "admin": format!("http://{admin}"), "pin": hub.pin})
    );
    notify("READY=1");
    tracing::info!(listen, admin, accounts = hub.accounts.len(), "ready");
    let ended = tokio::select! {
        _ = term.recv() => Ok(()),
        _ = int.recv() => Ok(()),
        ended = &mut serving => Err(format!("connections are not accepted any more: {ended:?}")),
    };
    notify("STOPPING=1");
    tracing::info!("stopping");
    hub.stopping.send_replace(true);
    let pool = hub.pool.clone();
    let all = tokio::task::spawn_blocking(move || pool.stop(PATIENCE)).await.unwrap_or(false);
    if !all {
        tracing::warn!("commands were still under way; they are unknown at the next start");
    }
    let _ = attending.await;
    if let Ok(Err(e)) = desk.await {
        tracing::error!(error = %e, "the operator's socket");
    }
    drop(admins);
    // Answers that are ready get a moment to leave.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let durable = hub.store.barrier().done().await;
    tracing::info!(durable = durable.is_ok(), "stopped");
    ended
}

/// Tells systemd, if it asks.
fn notify(state: &str) {
    let Some(path) = std::env::var_os("NOTIFY_SOCKET") else { return };
    if let Ok(socket) = UnixDatagram::unbound() {
        let _ = socket.send_to(state.as_bytes(), path);
    }
}

/// Each connection is a descriptor: as many as the system allows.
fn raise_descriptors() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    if let Err(e) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::warn!(error = %e, "the limit of descriptors stays as it is");
    }
}
