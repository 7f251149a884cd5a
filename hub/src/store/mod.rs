//! What the hub keeps: devices and their keys, codes, records of commands, events and who owns what.
//!
//! [`Store`] is the boundary. Everything behind it is one database; whoever is in front knows no SQL. Each change is one
//! transaction: its answer comes when it is durable, and not before. [`sqlite`] is a folder for one hub alone.

pub mod sqlite;

use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;
use tokio::sync::oneshot;

/// Why the store did not do something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The database is away, full or damaged: what was asked for is not durable and will not be.
    Away(String),
    /// What was asked for cannot be.
    Refused(Refused),
}

/// A refusal that is no fault of the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// There is no such code, it was used, or its time is up.
    Code,
    /// Another device has this key.
    KeyTaken,
    /// There is no such device, or it was revoked.
    Device,
    /// The device says that it has events that it was never given.
    Cursor,
    /// Records of this account were lost on their way; what follows them is not taken.
    Gap,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Away(why) => write!(f, "the database: {why}"),
            Trouble::Refused(Refused::Code) => {
                f.write_str("there is no such code, or it was used, or its time is up")
            }
            Trouble::Refused(Refused::KeyTaken) => f.write_str("another device has this key"),
            Trouble::Refused(Refused::Device) => f.write_str("there is no such device, or it was revoked"),
            Trouble::Refused(Refused::Cursor) => f.write_str("the cursor is ahead of this inbox"),
            Trouble::Refused(Refused::Gap) => f.write_str("records before this one were lost"),
        }
    }
}

/// What the store answers.
pub type Answer<T> = Result<T, Trouble>;

/// An answer that comes when the change is durable.
pub struct Coming<T>(oneshot::Receiver<Answer<T>>);

impl<T> Coming<T> {
    /// The answer to come, and the end that gives it.
    pub fn new() -> (oneshot::Sender<Answer<T>>, Coming<T>) {
        let (give, take) = oneshot::channel();
        (give, Coming(take))
    }

    /// Waits on a thread that may block.
    pub fn wait(self) -> Answer<T> {
        self.0.blocking_recv().unwrap_or_else(|_| Err(Trouble::Away("it was closed".into())))
    }

    /// Waits in a task. The change goes on if nobody waits any more.
    pub async fn done(self) -> Answer<T> {
        self.0.await.unwrap_or_else(|_| Err(Trouble::Away("it was closed".into())))
    }
}

/// What a device may do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// The cabinets that it may name.
    pub cabinets: Vec<String>,
    /// The verbs that it may use.
    pub verbs: Vec<String>,
    /// How many wrong codes a minute; 0 for none at all.
    pub code_tries: u32,
}

/// One device.
#[derive(Clone, Debug)]
pub struct Device {
    /// Its name at the hub.
    pub id: String,
    /// The account that it works for.
    pub account: String,
    /// What it may do.
    pub policy: Policy,
    /// When it was enrolled, Unix seconds.
    pub enrolled_at: i64,
    /// When its right to act ends, Unix seconds; 0 for never.
    pub expires_at: i64,
    /// When it was revoked; 0 if it was not.
    pub revoked_at: i64,
    /// When it was heard of last.
    pub seen_at: i64,
}

/// A key of a device, which may sign its requests.
#[derive(Clone, Debug)]
pub struct Key {
    /// Its number with the device.
    pub number: u32,
    /// The point of the curve, uncompressed.
    pub point: Vec<u8>,
    /// It was used at least once.
    pub used: bool,
}

/// What a code is good for.
#[derive(Clone, Debug)]
pub struct Invitation {
    /// SHA-256 of the code.
    pub hash: [u8; 32],
    /// The account.
    pub account: String,
    /// The policy that the device gets.
    pub policy: Policy,
    /// For a device that is there and lost its key.
    pub device: Option<String>,
    /// Until when it may be used, Unix seconds.
    pub until: i64,
    /// When the right of the device to act ends, Unix seconds; 0 for never.
    pub expires_at: i64,
}

/// A callback that was verified.
#[derive(Clone, Debug, Default)]
pub struct NewEvent {
    /// The account.
    pub account: String,
    /// The same for two callbacks that are one notice.
    pub identity: Option<[u8; 16]>,
    /// SHA-256 of what it says, so that a changed repetition is noticed.
    pub digest: [u8; 32],
    /// When it came, Unix seconds.
    pub at: i64,
    /// What it is about, the surest first: `order`, `trade`, `code`, and its text.
    pub about: Vec<(&'static str, String)>,
    /// The cabinet that it names, by all names that it has there.
    pub cabinets: Vec<String>,
    /// The platform signed it.
    pub signed: bool,
    /// Where the payment of its order is reported to, which is noted with the order; empty for none.
    pub report_url: String,
    /// As the kiosk gets it.
    pub body: String,
}

/// What became of a callback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is new, and these devices have it in their inbox; none: nobody owns it.
    New(Vec<String>),
    /// It was taken before.
    Duplicate,
    /// It was taken before and said something else.
    Changed,
}

/// A callback that was refused, for a person to look at.
#[derive(Clone, Debug, Default)]
pub struct Aside {
    /// The account.
    pub account: String,
    /// When it came, Unix seconds.
    pub at: i64,
    /// Why it was refused.
    pub reason: String,
    /// The first line of the request.
    pub line: String,
    /// The lines of its head.
    pub head: String,
    /// Its body.
    pub body: Vec<u8>,
}

/// An event in an inbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Its place in the inbox: grows by one from event to event.
    pub seq: i64,
    /// When it came, Unix seconds.
    pub at: i64,
    /// JSON.
    pub body: String,
}

/// An event that nobody owns.
#[derive(Clone, Debug)]
pub struct Unowned {
    /// Its number.
    pub id: i64,
    /// The account.
    pub account: String,
    /// When it came, Unix seconds.
    pub at: i64,
    /// JSON.
    pub body: String,
}

/// What the hub keeps, and where. All changes are durable when their answer comes.
pub trait Store: Send + Sync {
    /// A secret of this store, the same for ever.
    fn secret(&self) -> [u8; 32];

    /// The number of this start of the hub.
    fn start(&self) -> u64;

    /// A number that grows whenever a device was changed by whomever.
    fn changes(&self) -> Answer<i64>;

    /// Whether it works: a small change is made durable.
    fn prove(&self) -> Coming<()>;

    // Records of commands.

    /// The highest number that a record of this account ever had.
    fn records_last(&self, account: &str) -> Answer<u64>;
    /// The records of an account after a number, in their order.
    fn records(&self, account: &str, after: u64) -> Answer<Vec<String>>;
    /// Takes a record, in the order of the calls; `take` is asked at its turn whether it still may be, and `done` is told.
    fn record_add(&self, account: &str, n: u64, record: &str, turn: Arc<dyn Turn>);
    /// Puts these in place of all records of the account.
    fn records_replace(&self, account: &str, records: Vec<(u64, String)>) -> Coming<()>;
    /// Answers when all that was asked for before is decided.
    fn barrier(&self) -> Coming<()>;

    // Devices.

    /// Makes an invitation.
    fn invite(&self, invitation: Invitation) -> Coming<()>;
    /// Enrols a device, or gives a new key to one that is there. The same code and key again give the same answer.
    fn enrol(&self, hash: [u8; 32], point: Vec<u8>, id: String, now: i64) -> Coming<(Device, u32)>;
    /// A device and its keys that may still sign.
    fn device(&self, id: &str) -> Answer<Option<(Device, Vec<Key>)>>;
    /// All devices.
    fn devices(&self) -> Answer<Vec<Device>>;
    /// Revokes a device.
    fn revoke(&self, id: &str, now: i64) -> Coming<()>;
    /// Sets when a device's right to act ends.
    fn expire(&self, id: &str, at: i64) -> Coming<()>;
    /// Adds a key to a device. Gives its number.
    fn key_add(&self, id: &str, point: Vec<u8>, now: i64) -> Coming<u32>;
    /// A key was used: those before it end.
    fn key_used(&self, id: &str, number: u32) -> Coming<()>;
    /// Devices were heard of.
    fn seen(&self, devices: Vec<(String, i64)>) -> Coming<()>;

    // Events.

    /// Takes an event and routes it.
    fn event_take(&self, event: NewEvent) -> Coming<Taken>;
    /// What this is about belongs to a device from now on; events of it that nobody owned go there. Gives whether there were any.
    fn own(&self, account: &str, device: &str, about: Vec<(&'static str, String)>, now: i64) -> Coming<bool>;
    /// The cabinets of a device are also called so by their platform. Gives whether events waited for that.
    fn also_called(&self, account: &str, device: &str, names: Vec<String>) -> Coming<bool>;
    /// Whose this is.
    fn owner(&self, account: &str, kind: &str, value: &str) -> Answer<Option<String>>;
    /// What is kept with something that is owned.
    fn note(&self, account: &str, kind: &'static str, value: &str, note: &str) -> Coming<()>;
    /// The note.
    fn noted(&self, account: &str, kind: &str, value: &str) -> Answer<Option<String>>;
    /// Events of an inbox after a place.
    fn inbox(&self, device: &str, after: i64, most: u32) -> Answer<Vec<Waiting>>;
    /// The device has all up to this place.
    fn acknowledge(&self, device: &str, upto: i64) -> Coming<()>;
    /// Keeps a refused callback.
    fn aside_add(&self, aside: Aside) -> Coming<()>;
    /// Refused callbacks, the newest first.
    fn aside(&self, most: u32) -> Answer<Vec<Aside>>;
    /// Events that nobody owns, the oldest first.
    fn unowned(&self, most: u32) -> Answer<Vec<Unowned>>;
}

/// A record's turn to be written.
pub trait Turn: Send + Sync {
    /// Whether it may be: no record before it was lost.
    fn may(&self) -> bool;
    /// It is durable, or it is not and never will be.
    fn done(&self, n: u64, durable: bool);
}
