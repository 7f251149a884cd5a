//! One hub alone: SQLite in a folder. One thread writes; what was asked for while it synced goes into its next transaction, so
//! that many commands share a sync.

use super::*;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// The most changes in one transaction.
const BATCH: usize = 256;
/// The most that wait for the writer; whoever comes then is told that the database is away.
const QUEUE: usize = 16_384;
/// A checkpoint that empties the log is made when it is longer, in bytes.
const LOG_MAX: u64 = 64 << 20;
/// How long somebody else's transaction is waited for: the commands of the operator write too.
const PATIENCE: Duration = Duration::from_secs(5);
/// The same when the last one was waited for in vain: a database that is away is away at once.
const NO_PATIENCE: Duration = Duration::from_millis(50);
/// Refused callbacks that are kept for each account.
const ASIDE: i64 = 1000;
/// How long events are kept that every owner has taken, so that a repetition is known: in seconds.
const KNOWN_S: i64 = 30 * 86_400;
const VERSION: i64 = 1;

const SCHEMA: &str = "
CREATE TABLE meta(key TEXT PRIMARY KEY, value ANY NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE accounts(name TEXT PRIMARY KEY, last_n INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE records(account TEXT NOT NULL, n INTEGER NOT NULL, record TEXT NOT NULL, PRIMARY KEY(account, n)) STRICT, WITHOUT ROWID;
CREATE TABLE codes(hash BLOB PRIMARY KEY, account TEXT NOT NULL, policy TEXT NOT NULL, device TEXT, until INTEGER NOT NULL,
  expires_at INTEGER NOT NULL, used_by TEXT, used_key INTEGER) STRICT, WITHOUT ROWID;
CREATE TABLE devices(id TEXT PRIMARY KEY, account TEXT NOT NULL, policy TEXT NOT NULL, enrolled_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL, revoked_at INTEGER NOT NULL, seen_at INTEGER NOT NULL, seq INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE keys(device TEXT NOT NULL, number INTEGER NOT NULL, point BLOB NOT NULL UNIQUE, added_at INTEGER NOT NULL,
  used INTEGER NOT NULL, ended INTEGER NOT NULL, PRIMARY KEY(device, number)) STRICT, WITHOUT ROWID;
CREATE TABLE cabinets(account TEXT NOT NULL, cabinet TEXT NOT NULL, device TEXT NOT NULL, PRIMARY KEY(account, cabinet, device)) STRICT, WITHOUT ROWID;
CREATE TABLE owners(account TEXT NOT NULL, kind TEXT NOT NULL, value TEXT NOT NULL, device TEXT NOT NULL, at INTEGER NOT NULL,
  note TEXT, PRIMARY KEY(account, kind, value)) STRICT, WITHOUT ROWID;
CREATE TABLE events(id INTEGER PRIMARY KEY AUTOINCREMENT, account TEXT NOT NULL, identity BLOB, digest BLOB NOT NULL,
  at INTEGER NOT NULL, owned INTEGER NOT NULL, body TEXT NOT NULL) STRICT;
CREATE UNIQUE INDEX events_identity ON events(account, identity) WHERE identity IS NOT NULL;
CREATE INDEX events_unowned ON events(account, id) WHERE owned = 0;
CREATE INDEX events_at ON events(at);
CREATE TABLE unowned(account TEXT NOT NULL, kind TEXT NOT NULL, value TEXT NOT NULL, event INTEGER NOT NULL,
  PRIMARY KEY(account, kind, value, event)) STRICT, WITHOUT ROWID;
CREATE TABLE inbox(device TEXT NOT NULL, seq INTEGER NOT NULL, event INTEGER NOT NULL, PRIMARY KEY(device, seq)) STRICT, WITHOUT ROWID;
CREATE TABLE aside(id INTEGER PRIMARY KEY AUTOINCREMENT, account TEXT NOT NULL, at INTEGER NOT NULL, reason TEXT NOT NULL,
  line TEXT NOT NULL, head TEXT NOT NULL, body BLOB NOT NULL) STRICT;
CREATE INDEX aside_account ON aside(account, id);
INSERT INTO meta VALUES('version', 1), ('changes', 0), ('start', 0), ('proved', 0);
";

/// A change; without a transaction it only says that it was not done.
type Work = Box<dyn FnOnce(Option<&Transaction<'_>>) -> Done + Send>;
/// Says how a change ended, when it is known whether the transaction was.
type Tell = Box<dyn FnOnce(Option<&str>) + Send>;

/// What a change has come to inside its transaction.
enum Done {
    /// It stands if the transaction does.
    Good(Tell),
    /// It was refused, and what it wrote is taken back.
    Bad(Tell),
    /// The database refused to work: nothing of this transaction stands.
    Broken(String, Tell),
}

/// SQLite in a folder.
pub struct Sqlite {
    jobs: Mutex<Option<SyncSender<Work>>>,
    writer: Mutex<Option<JoinHandle<()>>>,
    readers: Mutex<Vec<Connection>>,
    file: std::path::PathBuf,
    secret: [u8; 32],
    start: u64,
    commits: Arc<AtomicU64>,
    _lock: Option<File>,
}

fn away(e: impl fmt::Display) -> Trouble {
    Trouble::Away(e.to_string())
}

fn open(file: &Path) -> rusqlite::Result<Connection> {
    let db = Connection::open(file)?;
    db.busy_timeout(PATIENCE)?;
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.pragma_update(None, "synchronous", "FULL")?;
    db.pragma_update(None, "foreign_keys", "OFF")?;
    db.set_prepared_statement_cache_capacity(64);
    Ok(db)
}

/// What is set is read back: nothing is promised on the strength of a setting that was not taken.
fn check(db: &Connection) -> Answer<()> {
    let mode: String = db.pragma_query_value(None, "journal_mode", |r| r.get(0)).map_err(away)?;
    let sync: i64 = db.pragma_query_value(None, "synchronous", |r| r.get(0)).map_err(away)?;
    if mode != "wal" || sync != 2 {
        return Err(Trouble::Away(format!(
            "it does not promise what is written: {mode}, synchronous {sync}"
        )));
    }
    Ok(())
}

/// Only one hub has a folder.
fn lock(folder: &Path) -> Answer<File> {
    let path = folder.join("lock");
    let file =
        OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path).map_err(away)?;
    rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive)
        .map_err(|_| Trouble::Away(format!("another hub has {}", folder.display())))?;
    Ok(file)
}

impl Sqlite {
    /// Opens the folder, and makes it if it is not there. `hub`: this is the one hub of the folder; otherwise a command of
    /// the operator, beside the hub or without.
    pub fn open(folder: &Path, hub: bool) -> Answer<Sqlite> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(away)?;
        let held = if hub { Some(lock(folder)?) } else { None };
        let file = folder.join("hub.sqlite");
        // Readable by its owner only, from its first moment.
        OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&file).map_err(away)?;
        let mut db = open(&file).map_err(away)?;
        check(&db)?;
        let t = db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(away)?;
        let made: i64 = t
            .query_row("SELECT count(*) FROM sqlite_schema WHERE name = 'meta'", [], |r| r.get(0))
            .map_err(away)?;
        if made == 0 {
            t.execute_batch(SCHEMA).map_err(away)?;
            let secret: [u8; 32] = crate::random();
            t.execute("INSERT INTO meta VALUES('secret', ?1)", params![secret]).map_err(away)?;
        }
        let value =
            |key: &str| t.query_row("SELECT value FROM meta WHERE key = ?1", [key], |r| r.get::<_, i64>(0));
        let version = value("version").map_err(away)?;
        if version != VERSION {
            return Err(Trouble::Away(format!("it is of version {version}; this hub knows {VERSION}")));
        }
        if hub {
            t.execute("UPDATE meta SET value = value + 1 WHERE key = 'start'", []).map_err(away)?;
        }
        let start = value("start").map_err(away)? as u64;
        let secret = t
            .query_row("SELECT value FROM meta WHERE key = 'secret'", [], |r| r.get::<_, [u8; 32]>(0))
            .map_err(away)?;
        t.commit().map_err(away)?;
        let (jobs, come) = sync_channel(QUEUE);
        let commits = Arc::new(AtomicU64::new(0));
        let (counted, log) = (commits.clone(), folder.join("hub.sqlite-wal"));
        let writer = std::thread::Builder::new()
            .name("hub-writer".into())
            .spawn(move || write(db, &come, &counted, &log))
            .map_err(away)?;
        Ok(Sqlite {
            jobs: Mutex::new(Some(jobs)),
            writer: Mutex::new(Some(writer)),
            readers: Mutex::default(),
            file,
            secret,
            start,
            commits,
            _lock: held,
        })
    }

    /// How many transactions were committed.
    pub fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    fn submit(&self, work: Work) -> bool {
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        // Never waited for here: a queue that is full is a database that is away.
        jobs.as_ref().is_some_and(|jobs| jobs.try_send(work).is_ok())
    }

    fn change<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, Stop> + Send + 'static,
    ) -> Coming<T> {
        let (give, coming) = Coming::new();
        let told = |answer: Answer<T>| -> Tell {
            Box::new(move |broken| {
                let _ = give.send(broken.map_or(answer, |why| Err(Trouble::Away(why.to_owned()))));
            })
        };
        // Dropped unasked if there is no room: whoever waits is told that it was closed.
        self.submit(Box::new(move |t| match t.map(work) {
            Some(Ok(value)) => Done::Good(told(Ok(value))),
            Some(Err(Stop::Refused(refused))) => Done::Bad(told(Err(Trouble::Refused(refused)))),
            Some(Err(Stop::Broken(e))) => Done::Broken(e.to_string(), told(Err(away(e)))),
            None => Done::Bad(told(Err(Trouble::Away("no transaction".into())))),
        }));
        coming
    }

    fn ask<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Answer<T> {
        let spare = self.readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let db = match spare {
            Some(db) => db,
            None => open(&self.file).map_err(away)?,
        };
        let answer = work(&db).map_err(away)?;
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        if readers.len() < 16 {
            readers.push(db);
        }
        Ok(answer)
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        // The writer ends when it has done all that was asked for.
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = writer.join();
        }
    }
}

/// Why a change stops.
enum Stop {
    Refused(Refused),
    Broken(rusqlite::Error),
}

impl From<rusqlite::Error> for Stop {
    fn from(e: rusqlite::Error) -> Stop {
        Stop::Broken(e)
    }
}

fn write(mut db: Connection, jobs: &Receiver<Work>, commits: &AtomicU64, log: &Path) {
    let (mut count, mut sound) = (0u64, true);
    while let Ok(first) = jobs.recv() {
        let mut batch = vec![first];
        while batch.len() < BATCH {
            match jobs.try_recv() {
                Ok(more) => batch.push(more),
                Err(_) => break,
            }
        }
        let stands = run(&mut db, batch);
        if stands {
            commits.fetch_add(1, Ordering::Relaxed);
        }
        if stands != sound {
            sound = stands;
            let _ = db.busy_timeout(if sound { PATIENCE } else { NO_PATIENCE });
        }
        count += 1;
        if count.is_multiple_of(64) && fs::metadata(log).is_ok_and(|m| m.len() > LOG_MAX) {
            let _ = db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        }
    }
    let _ = db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
}

/// One transaction. Nobody is told anything before it is known whether it stands.
fn run(db: &mut Connection, batch: Vec<Work>) -> bool {
    let mut tells: Vec<Tell> = Vec::with_capacity(batch.len());
    let mut batch = batch.into_iter();
    let broken = match db.transaction_with_behavior(TransactionBehavior::Immediate) {
        Err(e) => Some(e.to_string()),
        Ok(t) => {
            let mut broken = None;
            // SQLite takes a transaction back by itself when the disk is full: nothing more is written in it.
            while let (None, Some(work)) = (&broken, batch.next()) {
                broken = one(&t, work, &mut tells);
            }
            match broken {
                Some(why) => {
                    let _ = t.rollback();
                    Some(why)
                }
                None => t.commit().err().map(|e| e.to_string()),
            }
        }
    };
    tells.extend(batch.map(|work| match work(None) {
        Done::Good(tell) | Done::Bad(tell) | Done::Broken(_, tell) => tell,
    }));
    if let Some(why) = &broken {
        tracing::error!(why, "the database: a transaction was lost");
    }
    for tell in tells {
        tell(broken.as_deref());
    }
    broken.is_none()
}

/// One change in a transaction with others. Gives why the transaction cannot stand.
fn one(t: &Transaction<'_>, work: Work, tells: &mut Vec<Tell>) -> Option<String> {
    if let Err(e) = t.execute_batch("SAVEPOINT job") {
        tells.push(match work(None) {
            Done::Good(tell) | Done::Bad(tell) | Done::Broken(_, tell) => tell,
        });
        return Some(e.to_string());
    }
    let (end, tell) = match work(Some(t)) {
        Done::Good(tell) => ("RELEASE job", tell),
        Done::Bad(tell) => ("ROLLBACK TO job; RELEASE job", tell),
        Done::Broken(why, tell) => {
            tells.push(tell);
            return Some(why);
        }
    };
    tells.push(tell);
    t.execute_batch(end).err().map(|e| e.to_string())
}

fn device_of(row: &rusqlite::Row<'_>) -> rusqlite::Result<Device> {
    let policy: String = row.get(2)?;
    Ok(Device {
        id: row.get(0)?,
        account: row.get(1)?,
        policy: serde_json::from_str(&policy).map_err(|e| {
            rusqlite::Error::FromSqlConversionFailure(2, rusqlite::types::Type::Text, Box::new(e))
        })?,
        enrolled_at: row.get(3)?,
        expires_at: row.get(4)?,
        revoked_at: row.get(5)?,
        seen_at: row.get(6)?,
    })
}

const DEVICE: &str = "SELECT id, account, policy, enrolled_at, expires_at, revoked_at, seen_at FROM devices";

fn changed(t: &Transaction<'_>) -> rusqlite::Result<()> {
    t.prepare_cached("UPDATE meta SET value = value + 1 WHERE key = 'changes'")?.execute([]).map(drop)
}

fn policy_text(policy: &Policy) -> String {
    serde_json::to_string(policy).unwrap_or_default()
}

/// The key's number, or that another device has it.
fn add_key(t: &Transaction<'_>, device: &str, point: &[u8], now: i64) -> Result<u32, Stop> {
    let known: Option<(String, u32)> = t
        .prepare_cached("SELECT device, number FROM keys WHERE point = ?1")?
        .query_row([point], |r| Ok((r.get(0)?, r.get(1)?)))
        .optional()?;
    match known {
        Some((whose, number)) if whose == device => return Ok(number),
        Some(_) => return Err(Stop::Refused(Refused::KeyTaken)),
        None => {}
    }
    let number: u32 = t
        .prepare_cached("SELECT coalesce(max(number), 0) + 1 FROM keys WHERE device = ?1")?
        .query_row([device], |r| r.get(0))?;
    t.prepare_cached("INSERT INTO keys VALUES(?1, ?2, ?3, ?4, 0, 0)")?
        .execute(params![device, number, point, now])?;
    Ok(number)
}

fn enrol(t: &Transaction<'_>, hash: &[u8], point: &[u8], id: &str, now: i64) -> Result<(Device, u32), Stop> {
    type Row = (String, String, Option<String>, i64, i64, Option<String>, Option<u32>);
    let row: Option<Row> = t
        .prepare_cached(
            "SELECT account, policy, device, until, expires_at, used_by, used_key FROM codes WHERE hash = ?1",
        )?
        .query_row([hash], |r| {
            Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?, r.get(4)?, r.get(5)?, r.get(6)?))
        })
        .optional()?;
    let Some((account, policy, device, until, expires_at, used_by, used_key)) = row else {
        return Err(Stop::Refused(Refused::Code));
    };
    let find = |id: &str| {
        t.prepare_cached(&format!("{DEVICE} WHERE id = ?1 AND revoked_at = 0"))?
            .query_row([id], device_of)
            .optional()
    };
    if let (Some(used_by), Some(number)) = (used_by, used_key) {
        // The answer was lost: the same key gets it again.
        let same: i64 = t
            .prepare_cached("SELECT count(*) FROM keys WHERE device = ?1 AND number = ?2 AND point = ?3")?
            .query_row(params![used_by, number, point], |r| r.get(0))?;
        return match find(&used_by)? {
            Some(device) if same == 1 => Ok((device, number)),
            _ => Err(Stop::Refused(Refused::Code)),
        };
    }
    if until < now {
        return Err(Stop::Refused(Refused::Code));
    }
    let id = match device {
        Some(known) => {
            if find(&known)?.is_none() {
                return Err(Stop::Refused(Refused::Device));
            }
            known
        }
        None => {
            t.prepare_cached("INSERT INTO devices VALUES(?1, ?2, ?3, ?4, ?5, 0, 0, 0)")?
                .execute(params![id, account, policy, now, expires_at])?;
            let policy: Policy = serde_json::from_str(&policy).unwrap_or(Policy {
                cabinets: Vec::new(),
                verbs: Vec::new(),
                code_tries: 0,
            });
            for cabinet in &policy.cabinets {
                call(t, &account, id, cabinet)?;
            }
            id.to_owned()
        }
    };
    let number = add_key(t, &id, point, now)?;
    t.prepare_cached("UPDATE codes SET used_by = ?2, used_key = ?3 WHERE hash = ?1")?
        .execute(params![hash, id, number])?;
    changed(t)?;
    let device = find(&id)?.ok_or(Stop::Refused(Refused::Device))?;
    Ok((device, number))
}

/// Puts an event into an inbox. The place comes from the device's row, in this transaction: no place becomes visible before one
/// that is lower.
fn deliver(t: &Transaction<'_>, device: &str, event: i64) -> rusqlite::Result<()> {
    t.prepare_cached("UPDATE devices SET seq = seq + 1 WHERE id = ?1")?.execute([device])?;
    t.prepare_cached("INSERT INTO inbox SELECT id, seq, ?2 FROM devices WHERE id = ?1")?
        .execute(params![device, event])
        .map(drop)
}

fn take(t: &Transaction<'_>, event: &NewEvent) -> Result<Taken, Stop> {
    if let Some(identity) = event.identity {
        let known: Option<[u8; 32]> = t
            .prepare_cached("SELECT digest FROM events WHERE account = ?1 AND identity = ?2")?
            .query_row(params![event.account, identity], |r| r.get(0))
            .optional()?;
        match known {
            Some(digest) if digest == event.digest => return Ok(Taken::Duplicate),
            Some(_) => return Ok(Taken::Changed),
            None => {}
        }
    }
    let mut owners: Vec<String> = Vec::new();
    for (kind, value) in &event.about {
        let owner: Option<String> = t
            .prepare_cached(
                "SELECT o.device FROM owners o JOIN devices d ON d.id = o.device AND d.revoked_at = 0
                 WHERE o.account = ?1 AND o.kind = ?2 AND o.value = ?3",
            )?
            .query_row(params![event.account, kind, value], |r| r.get(0))
            .optional()?;
        if let Some(owner) = owner {
            owners.push(owner);
            break;
        }
    }
    if owners.is_empty() {
        for cabinet in &event.cabinets {
            let mut found = t.prepare_cached(
                "SELECT c.device FROM cabinets c JOIN devices d ON d.id = c.device AND d.revoked_at = 0
                 WHERE c.account = ?1 AND c.cabinet = ?2",
            )?;
            let rows = found.query_map(params![event.account, cabinet], |r| r.get(0))?;
            owners.extend(rows.collect::<rusqlite::Result<Vec<String>>>()?);
        }
        owners.sort();
        owners.dedup();
    }
    let identity = event.identity.map(|i| i.to_vec());
    t.prepare_cached(
        "INSERT INTO events(account, identity, digest, at, owned, body) VALUES(?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute(params![
        event.account,
        identity,
        event.digest,
        event.at,
        !owners.is_empty(),
        event.body
    ])?;
    let id = t.last_insert_rowid();
    if !event.report_url.is_empty() {
        for (kind, value) in event.about.iter().filter(|(kind, _)| *kind == "order") {
            t.prepare_cached("UPDATE owners SET note = ?4 WHERE account = ?1 AND kind = ?2 AND value = ?3")?
                .execute(params![event.account, kind, value, event.report_url])?;
        }
    }
    if let (true, [only]) = (event.signed, owners.as_slice()) {
        // What else it names is of the same kiosk; what came before of that and nobody owned comes first.
        own(t, &event.account, only, &event.about, event.at)?;
    }
    for owner in &owners {
        deliver(t, owner, id)?;
    }
    if owners.is_empty() {
        let cabinets = event.cabinets.iter().map(|c| ("cabinet", c));
        for (kind, value) in event.about.iter().map(|(kind, value)| (*kind, value)).chain(cabinets) {
            t.prepare_cached("INSERT OR IGNORE INTO unowned VALUES(?1, ?2, ?3, ?4)")?.execute(params![
                event.account,
                kind,
                value,
                id
            ])?;
        }
    }
    // Of a few old ones that every owner has taken only their repetition would be of interest.
    t.prepare_cached(
        "DELETE FROM events WHERE id IN (SELECT id FROM events e WHERE at < ?1 AND owned = 1
         AND NOT EXISTS (SELECT 1 FROM inbox i WHERE i.event = e.id) ORDER BY at LIMIT 4)",
    )?
    .execute([event.at - KNOWN_S])?;
    Ok(Taken::New(owners))
}

/// Events of this that nobody owned are the device's now. Gives whether there were any.
fn adopt(
    t: &Transaction<'_>,
    account: &str,
    device: &str,
    kind: &str,
    value: &str,
) -> rusqlite::Result<bool> {
    let mut any = false;
    let waiting: Vec<i64> = t
        .prepare_cached(
            "SELECT event FROM unowned WHERE account = ?1 AND kind = ?2 AND value = ?3 ORDER BY event",
        )?
        .query_map(params![account, kind, value], |r| r.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    for event in waiting {
        let free =
            t.prepare_cached("UPDATE events SET owned = 1 WHERE id = ?1 AND owned = 0")?.execute([event])?;
        if free == 1 {
            deliver(t, device, event)?;
            any = true;
        }
    }
    t.prepare_cached("DELETE FROM unowned WHERE account = ?1 AND kind = ?2 AND value = ?3")?
        .execute(params![account, kind, value])?;
    Ok(any)
}

/// A name of a cabinet that a device has.
fn call(t: &Transaction<'_>, account: &str, device: &str, name: &str) -> rusqlite::Result<bool> {
    t.prepare_cached("INSERT OR IGNORE INTO cabinets VALUES(?1, ?2, ?3)")?
        .execute(params![account, name, device])?;
    adopt(t, account, device, "cabinet", name)
}

fn own(
    t: &Transaction<'_>,
    account: &str,
    device: &str,
    about: &[(&'static str, String)],
    now: i64,
) -> Result<bool, Stop> {
    let mut any = false;
    for (kind, value) in about {
        // Who had it first keeps it.
        t.prepare_cached("INSERT OR IGNORE INTO owners VALUES(?1, ?2, ?3, ?4, ?5, NULL)")?
            .execute(params![account, kind, value, device, now])?;
        let owner: String = t
            .prepare_cached("SELECT device FROM owners WHERE account = ?1 AND kind = ?2 AND value = ?3")?
            .query_row(params![account, kind, value], |r| r.get(0))?;
        if owner != device {
            continue;
        }
        any |= adopt(t, account, device, kind, value)?;
    }
    Ok(any)
}

impl Store for Sqlite {
    fn secret(&self) -> [u8; 32] {
        self.secret
    }

    fn start(&self) -> u64 {
        self.start
    }

    fn changes(&self) -> Answer<i64> {
        self.ask(|db| {
            db.prepare_cached("SELECT value FROM meta WHERE key = 'changes'")?.query_row([], |r| r.get(0))
        })
    }

    fn prove(&self) -> Coming<()> {
        self.change(|t| {
            t.prepare_cached("UPDATE meta SET value = value + 1 WHERE key = 'proved'")?.execute([])?;
            Ok(())
        })
    }

    fn records_last(&self, account: &str) -> Answer<u64> {
        self.ask(|db| {
            let last: Option<i64> = db
                .prepare_cached("SELECT last_n FROM accounts WHERE name = ?1")?
                .query_row([account], |r| r.get(0))
                .optional()?;
            Ok(last.unwrap_or(0) as u64)
        })
    }

    fn records(&self, account: &str, after: u64) -> Answer<Vec<String>> {
        self.ask(|db| {
            db.prepare_cached("SELECT record FROM records WHERE account = ?1 AND n > ?2 ORDER BY n")?
                .query_map(params![account, after as i64], |r| r.get(0))?
                .collect()
        })
    }

    fn record_add(&self, account: &str, n: u64, record: &str, turn: Arc<dyn Turn>) {
        let (account, record, own) = (account.to_owned(), record.to_owned(), turn.clone());
        let work: Work = Box::new(move |t| {
            let tell = own.clone();
            let Some(t) = t.filter(|_| own.may()) else {
                return Done::Bad(Box::new(move |_| tell.done(n, false)));
            };
            let written = || {
                t.prepare_cached("INSERT INTO records VALUES(?1, ?2, ?3)")?
                    .execute(params![account, n as i64, record])?;
                t.prepare_cached(
                    "INSERT INTO accounts VALUES(?1, ?2) ON CONFLICT(name) DO UPDATE SET last_n = max(last_n, ?2)",
                )?
                .execute(params![account, n as i64])
            };
            match written() {
                Ok(_) => Done::Good(Box::new(move |broken| tell.done(n, broken.is_none()))),
                Err(e) => Done::Broken(e.to_string(), Box::new(move |_| tell.done(n, false))),
            }
        });
        if !self.submit(work) {
            turn.done(n, false);
        }
    }

    fn records_replace(&self, account: &str, records: Vec<(u64, String)>) -> Coming<()> {
        let account = account.to_owned();
        self.change(move |t| {
            t.prepare_cached("DELETE FROM records WHERE account = ?1")?.execute([&account])?;
            let mut last = 0;
            for (n, record) in records {
                t.prepare_cached("INSERT INTO records VALUES(?1, ?2, ?3)")?.execute(params![account, n as i64, record])?;
                last = last.max(n);
            }
            t.prepare_cached(
                "INSERT INTO accounts VALUES(?1, ?2) ON CONFLICT(name) DO UPDATE SET last_n = max(last_n, ?2)",
            )?
            .execute(params![account, last as i64])?;
            Ok(())
        })
    }

    fn barrier(&self) -> Coming<()> {
        self.change(|_| Ok(()))
    }

    fn invite(&self, i: Invitation) -> Coming<()> {
        self.change(move |t| {
            t.prepare_cached("INSERT INTO codes VALUES(?1, ?2, ?3, ?4, ?5, ?6, NULL, NULL)")?.execute(
                params![i.hash, i.account, policy_text(&i.policy), i.device, i.until, i.expires_at],
            )?;
            Ok(())
        })
    }

    fn enrol(&self, hash: [u8; 32], point: Vec<u8>, id: String, now: i64) -> Coming<(Device, u32)> {
        self.change(move |t| enrol(t, &hash, &point, &id, now))
    }

    fn device(&self, id: &str) -> Answer<Option<(Device, Vec<Key>)>> {
        self.ask(|db| {
            let device = db
                .prepare_cached(&format!("{DEVICE} WHERE id = ?1"))?
                .query_row([id], device_of)
                .optional()?;
            let Some(device) = device else { return Ok(None) };
            let keys = db
                .prepare_cached("SELECT number, point, used FROM keys WHERE device = ?1 AND ended = 0")?
                .query_map([id], |r| Ok(Key { number: r.get(0)?, point: r.get(1)?, used: r.get(2)? }))?
                .collect::<rusqlite::Result<_>>()?;
            Ok(Some((device, keys)))
        })
    }

    fn devices(&self) -> Answer<Vec<Device>> {
        self.ask(|db| {
            db.prepare_cached(&format!("{DEVICE} ORDER BY enrolled_at, id"))?
                .query_map([], device_of)?
                .collect()
        })
    }

    fn revoke(&self, id: &str, now: i64) -> Coming<()> {
        let id = id.to_owned();
        self.change(move |t| {
            let n = t
                .prepare_cached("UPDATE devices SET revoked_at = ?2 WHERE id = ?1 AND revoked_at = 0")?
                .execute(params![id, now])?;
            if n == 0 {
                return Err(Stop::Refused(Refused::Device));
            }
            // What it has not taken belongs to nobody from now on, and is listed.
            let left: Vec<i64> = t
                .prepare_cached("SELECT event FROM inbox WHERE device = ?1")?
                .query_map([&id], |r| r.get(0))?
                .collect::<rusqlite::Result<_>>()?;
            for event in left {
                t.prepare_cached(
                    "UPDATE events SET owned = 0 WHERE id = ?1
                     AND NOT EXISTS (SELECT 1 FROM inbox WHERE event = ?1 AND device <> ?2)",
                )?
                .execute(params![event, id])?;
            }
            t.prepare_cached("DELETE FROM inbox WHERE device = ?1")?.execute([&id])?;
            changed(t)?;
            Ok(())
        })
    }

    fn expire(&self, id: &str, at: i64) -> Coming<()> {
        let id = id.to_owned();
        self.change(move |t| {
            let n = t
                .prepare_cached("UPDATE devices SET expires_at = ?2 WHERE id = ?1 AND revoked_at = 0")?
                .execute(params![id, at])?;
            if n == 0 {
                return Err(Stop::Refused(Refused::Device));
            }
            changed(t)?;
            Ok(())
        })
    }

    fn key_add(&self, id: &str, point: Vec<u8>, now: i64) -> Coming<u32> {
        let id = id.to_owned();
        self.change(move |t| {
            let number = add_key(t, &id, &point, now)?;
            changed(t)?;
            Ok(number)
        })
    }

    fn key_used(&self, id: &str, number: u32) -> Coming<()> {
        let id = id.to_owned();
        self.change(move |t| {
            t.prepare_cached("UPDATE keys SET used = 1 WHERE device = ?1 AND number = ?2")?
                .execute(params![id, number])?;
            t.prepare_cached("UPDATE keys SET ended = 1 WHERE device = ?1 AND number < ?2")?
                .execute(params![id, number])?;
            changed(t)?;
            Ok(())
        })
    }

    fn seen(&self, devices: Vec<(String, i64)>) -> Coming<()> {
        self.change(move |t| {
            for (id, at) in devices {
                t.prepare_cached("UPDATE devices SET seen_at = max(seen_at, ?2) WHERE id = ?1")?
                    .execute(params![id, at])?;
            }
            Ok(())
        })
    }

    fn event_take(&self, event: NewEvent) -> Coming<Taken> {
        self.change(move |t| take(t, &event))
    }

    fn own(&self, account: &str, device: &str, about: Vec<(&'static str, String)>, now: i64) -> Coming<bool> {
        let (account, device) = (account.to_owned(), device.to_owned());
        self.change(move |t| own(t, &account, &device, &about, now))
    }

    fn also_called(&self, account: &str, device: &str, names: Vec<String>) -> Coming<bool> {
        let (account, device) = (account.to_owned(), device.to_owned());
        self.change(move |t| {
            let mut any = false;
            for name in &names {
                any |= call(t, &account, &device, name)?;
            }
            Ok(any)
        })
    }

    fn owner(&self, account: &str, kind: &str, value: &str) -> Answer<Option<String>> {
        self.ask(|db| {
            db.prepare_cached("SELECT device FROM owners WHERE account = ?1 AND kind = ?2 AND value = ?3")?
                .query_row(params![account, kind, value], |r| r.get(0))
                .optional()
        })
    }

    fn note(&self, account: &str, kind: &'static str, value: &str, note: &str) -> Coming<()> {
        let (account, value, note) = (account.to_owned(), value.to_owned(), note.to_owned());
        self.change(move |t| {
            t.prepare_cached("UPDATE owners SET note = ?4 WHERE account = ?1 AND kind = ?2 AND value = ?3")?
                .execute(params![account, kind, value, note])?;
            Ok(())
        })
    }

    fn noted(&self, account: &str, kind: &str, value: &str) -> Answer<Option<String>> {
        self.ask(|db| {
            let note: Option<Option<String>> = db
                .prepare_cached("SELECT note FROM owners WHERE account = ?1 AND kind = ?2 AND value = ?3")?
                .query_row(params![account, kind, value], |r| r.get(0))
                .optional()?;
            Ok(note.flatten())
        })
    }

    fn inbox(&self, device: &str, after: i64, most: u32) -> Answer<Vec<Waiting>> {
        self.ask(|db| {
            db.prepare_cached(
                "SELECT i.seq, e.at, e.body FROM inbox i JOIN events e ON e.id = i.event
                 WHERE i.device = ?1 AND i.seq > ?2 ORDER BY i.seq LIMIT ?3",
            )?
            .query_map(params![device, after, most], |r| {
                Ok(Waiting { seq: r.get(0)?, at: r.get(1)?, body: r.get(2)? })
            })?
            .collect()
        })
    }

    fn acknowledge(&self, device: &str, upto: i64) -> Coming<()> {
        let device = device.to_owned();
        self.change(move |t| {
            let last: i64 = t
                .prepare_cached("SELECT seq FROM devices WHERE id = ?1")?
                .query_row([&device], |r| r.get(0))?;
            if upto > last {
                return Err(Stop::Refused(Refused::Cursor));
            }
            t.prepare_cached("DELETE FROM inbox WHERE device = ?1 AND seq <= ?2")?
                .execute(params![device, upto])?;
            Ok(())
        })
    }

    fn aside_add(&self, a: Aside) -> Coming<()> {
        self.change(move |t| {
            t.prepare_cached(
                "INSERT INTO aside(account, at, reason, line, head, body) VALUES(?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![a.account, a.at, a.reason, a.line, a.head, a.body])?;
            t.prepare_cached(
                "DELETE FROM aside WHERE account = ?1 AND id <=
                 (SELECT id FROM aside WHERE account = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
            )?
            .execute(params![a.account, ASIDE])?;
            Ok(())
        })
    }

    fn aside(&self, most: u32) -> Answer<Vec<Aside>> {
        self.ask(|db| {
            db.prepare_cached(
                "SELECT account, at, reason, line, head, body FROM aside ORDER BY id DESC LIMIT ?1",
            )?
            .query_map([most], |r| {
                Ok(Aside {
                    account: r.get(0)?,
                    at: r.get(1)?,
                    reason: r.get(2)?,
                    line: r.get(3)?,
                    head: r.get(4)?,
                    body: r.get(5)?,
                })
            })?
            .collect()
        })
    }

    fn unowned(&self, most: u32) -> Answer<Vec<Unowned>> {
        self.ask(|db| {
            db.prepare_cached(
                "SELECT id, account, at, body FROM events WHERE owned = 0 ORDER BY id LIMIT ?1",
            )?
            .query_map([most], |r| {
                Ok(Unowned { id: r.get(0)?, account: r.get(1)?, at: r.get(2)?, body: r.get(3)? })
            })?
            .collect()
        })
    }
}
