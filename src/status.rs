//! The codes that every call answers with. A code keeps its number and its meaning; a retired one
//! leaves its number unused. Gaps of a hundred separate the areas.

#![allow(non_camel_case_types)]

/// What to do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Advice {
    /// Nothing in particular.
    None = 0,
    /// Trying again is safe, after `retry_after_ms` if that is not 0.
    Retry = 1,
    /// Ask what became of it before anything else: the same `request_id` again, or a query.
    AskFirst = 2,
    /// Only a person or a sensor can decide.
    CallPerson = 3,
    /// Trying again will not help: a setting, a credential or a parameter must change.
    Fix = 4,
}

/// What a call answers: 0 is `KL_OK`, anything else one of the `KL_E_*` codes.
///
/// Any call can give `KL_E_NULL` to `KL_E_INTERNAL` and `KL_E_RESOURCE`. What a function can give beyond these stands at the end
/// of its comment, after *Codes*; many go together:
///
/// - *network*: `KL_E_CANCELLED` to `KL_E_RATE_LIMIT`, `KL_E_CONFIG_VALUE`.
/// - *platform*: `KL_E_UNSUPPORTED`, `KL_E_CONFIG_MISSING`, `KL_E_PLATFORM` to `KL_E_TOKEN`.
/// - *journal*: `KL_E_CANCELLED`, `KL_E_JOURNAL` to `KL_E_STATE_DIR`.
/// - *command*: `KL_E_BUSY`, `KL_E_REQUEST_ID` to `KL_E_BLOCKED`, `KL_E_REQUEST_TOO_OLD`, *network*, *platform*, *journal*.
pub type kl_status = i32;

// What follows is made of src/codes.tsv by `make header`.
/// It worked.
pub const KL_OK: kl_status = 0;

/// A pointer that must not be NULL is NULL.
pub const KL_E_NULL: kl_status = 1;
/// An argument is out of its range or has the wrong format; the message names it.
pub const KL_E_ARGUMENT: kl_status = 2;
/// A text is not valid UTF-8.
pub const KL_E_UTF8: kl_status = 3;
/// The handle was freed, is of another kind, or never was one.
pub const KL_E_HANDLE: kl_status = 4;
/// The handle was made before a `fork` and belongs to the parent process.
pub const KL_E_FORKED: kl_status = 5;
/// The client was retired after an internal error.
pub const KL_E_RETIRED: kl_status = 6;
/// A bug in kiosklink was caught. The client it happened in is retired; others go on.
pub const KL_E_INTERNAL: kl_status = 7;
/// The platform has no such call; nothing was sent. Or the platform says that it does not know the method.
pub const KL_E_UNSUPPORTED: kl_status = 8;
/// Not now, and nothing was sent. Another command is under way at the same door, for the same code or for the same
/// order; the message names it. Or codes are being made for the same cabinet. Or an event of the callback connection
/// waits for its reply, or the same callback does on another connection. Or `kl_set_log` was called inside the log
/// callback. Or as many jobs as may be wait, run, or were not taken.
pub const KL_E_BUSY: kl_status = 9;
/// The system refused memory, a thread or a file descriptor; or more than 131072 handles are alive.
pub const KL_E_RESOURCE: kl_status = 10;

/// No such platform; the message suggests the nearest.
pub const KL_E_PLATFORM_NAME: kl_status = 100;
/// No such key; the message suggests the nearest.
pub const KL_E_CONFIG_KEY: kl_status = 101;
/// The value of a key does not have its format.
pub const KL_E_CONFIG_VALUE: kl_status = 102;
/// A key that this platform or this call needs is not set. Commands need `state_dir`.
pub const KL_E_CONFIG_MISSING: kl_status = 103;
/// The JSON file of accounts cannot be read, does not have its format, or has no such account.
pub const KL_E_CONFIG_FILE: kl_status = 104;
/// The CA roots cannot be read, do not parse, or are none.
pub const KL_E_ROOTS: kl_status = 105;
/// The client certificate or its key cannot be read, does not parse, or the two do not match.
pub const KL_E_CLIENT_CERT: kl_status = 106;

/// Ended by `kl_client_cancel` or `kl_client_free`. As the `status` of a command: it is *not done*, and nothing
/// failed.
pub const KL_E_CANCELLED: kl_status = 200;
/// The platform's name has no address.
pub const KL_E_DNS: kl_status = 201;
/// No connection: refused, unreachable, or reset while it was made.
pub const KL_E_CONNECT: kl_status = 202;
/// The connection ended before the answer was whole.
pub const KL_E_LOST: kl_status = 203;
/// The proxy refused or answered nonsense.
pub const KL_E_PROXY: kl_status = 204;
/// The deadline passed while the name was looked up.
pub const KL_E_TIMEOUT_DNS: kl_status = 210;
/// The deadline passed while the TCP connection was made.
pub const KL_E_TIMEOUT_CONNECT: kl_status = 211;
/// The deadline passed in the TLS handshake.
pub const KL_E_TIMEOUT_TLS: kl_status = 212;
/// The deadline passed while the request was sent.
pub const KL_E_TIMEOUT_SEND: kl_status = 213;
/// The deadline passed before the answer was whole.
pub const KL_E_TIMEOUT_REPLY: kl_status = 214;

/// The TLS handshake failed for a reason that has no code of its own.
pub const KL_E_TLS: kl_status = 300;
/// No trusted root vouches for the certificate.
pub const KL_E_TLS_UNTRUSTED: kl_status = 301;
/// The certificate has expired.
pub const KL_E_TLS_EXPIRED: kl_status = 302;
/// The certificate is not valid yet.
pub const KL_E_TLS_NOT_YET_VALID: kl_status = 303;
/// The certificate is for another host.
pub const KL_E_TLS_WRONG_NAME: kl_status = 304;
/// No certificate of the chain has the pinned key.
pub const KL_E_TLS_PIN: kl_status = 305;
/// The server wants a client certificate, or does not accept ours.
pub const KL_E_TLS_CLIENT_CERT: kl_status = 306;
/// The device's clock is far past the certificate's end and nothing confirms it.
pub const KL_E_CLOCK: kl_status = 307;

/// An HTTP status that is no answer of the platform: a redirect, a captive portal, a server error.
pub const KL_E_HTTP: kl_status = 400;
/// The answer is not in the platform's format; the message says where.
pub const KL_E_PROTOCOL: kl_status = 401;
/// The answer is larger than `max_reply_bytes`, or its head is larger than 16 KiB.
pub const KL_E_TOO_LARGE: kl_status = 402;
/// The platform asks for fewer calls; see `retry_after_ms`.
pub const KL_E_RATE_LIMIT: kl_status = 403;

/// The platform refused for a reason that has no code here; see `platform_code` and `platform_message`.
pub const KL_E_PLATFORM: kl_status = 500;
/// The platform does not accept the credentials or the signature.
pub const KL_E_AUTH: kl_status = 501;
/// The account may not make this call.
pub const KL_E_PERMISSION: kl_status = 502;
/// The platform knows no such thing.
pub const KL_E_NOT_FOUND: kl_status = 503;
/// The platform says that a parameter is missing or wrong.
pub const KL_E_PARAMETER: kl_status = 504;
/// The platform cannot reach the cabinet.
pub const KL_E_OFFLINE: kl_status = 505;
/// The cabinet or the door is in use, or not selling.
pub const KL_E_NOT_READY: kl_status = 506;
/// Nothing left of the goods.
pub const KL_E_OUT_OF_STOCK: kl_status = 507;
/// The signature's time was outside the platform's window. If the answer carried a time, it has been learned and the
/// next call uses it.
pub const KL_E_TIMESTAMP: kl_status = 508;
/// The pickup code was used before. *Not done*: another request is proved to have used it. *Unknown*: it may have
/// been this one.
pub const KL_E_CODE_USED: kl_status = 520;
/// The pickup code has expired.
pub const KL_E_CODE_EXPIRED: kl_status = 521;
/// The order is in no state for this: unpaid, expired, closed, refunded, or delivered before.
pub const KL_E_ORDER_STATE: kl_status = 522;
/// The account itself is expired, not verified, or closed; its owner must act.
pub const KL_E_ACCOUNT: kl_status = 523;
/// Your own number was used before: the order or code may exist already.
pub const KL_E_DUPLICATE: kl_status = 524;
/// A person must renew the credentials: the shop's authorisation or the user's access token has ended.
pub const KL_E_TOKEN: kl_status = 525;
/// Too many wrong codes at this cabinet in a short time (`code_tries_per_minute`); nothing was sent or written, *not
/// done*.
pub const KL_E_CODE_TRIES: kl_status = 526;

/// This `request_id` was already used for another act, or is settled the other way; nothing was sent.
pub const KL_E_REQUEST_ID: kl_status = 600;
/// The command's time to live passed before it could be sent (also its `send_within_ms`), or a job's
/// `start_within_ms` before it was begun; nothing was sent.
pub const KL_E_STALE: kl_status = 601;
/// The command with this `request_id` is under way on another thread or in another process; or this process was taken
/// for dead and its command is in other hands. Nothing was sent this time.
pub const KL_E_IN_FLIGHT: kl_status = 602;
/// What became of the command is not known; nothing was sent this time.
pub const KL_E_UNSETTLED: kl_status = 603;
/// What became of another command at the same door, for the same code or of the same order is not known; the message
/// names it. Nothing was sent, *not done*.
pub const KL_E_BLOCKED: kl_status = 604;
/// `kl_command_wait`: the time was up before it was known what the machine did. `kl_task_next`: no job has ended, and
/// some will.
pub const KL_E_PENDING: kl_status = 605;
/// The platform took the command, but the machine did not do it: the door never opened, or nothing was pushed out.
pub const KL_E_NOT_MOVED: kl_status = 606;
/// The platform never reports what the machine did, or nothing moves by this command.
pub const KL_E_UNKNOWABLE: kl_status = 607;
/// Too early to say *not done*: the request may still reach the platform. `retry_after_ms` is the time left. *Done*
/// is taken at any time.
pub const KL_E_TOO_EARLY: kl_status = 608;
/// `kl_request_id_new` issued this name so long ago that its outcome may have been forgotten; nothing was sent,
/// *unknown*.
pub const KL_E_REQUEST_TOO_OLD: kl_status = 609;
/// The journal cannot be read or written, see `os_errno`; or this process lost it in an internal error. Nothing was
/// sent.
pub const KL_E_JOURNAL: kl_status = 610;
/// The disk is full, or unsettled commands fill the journal; nothing was sent.
pub const KL_E_JOURNAL_FULL: kl_status = 611;
/// The journal's file system is read-only; nothing was sent.
pub const KL_E_JOURNAL_READ_ONLY: kl_status = 612;
/// The journal belongs to another user; nothing was sent.
pub const KL_E_JOURNAL_OWNER: kl_status = 613;
/// A library with another format version wrote the journal; nothing was sent.
pub const KL_E_JOURNAL_VERSION: kl_status = 614;
/// The journal is damaged in its middle. Nothing is sent before `kl_journal_repair`.
pub const KL_E_JOURNAL_DAMAGED: kl_status = 615;
/// Another process holds the journal's lock and does not let go; nothing was sent.
pub const KL_E_JOURNAL_BUSY: kl_status = 616;
/// The journal is gone, but something beside it remembers that there was one. Nothing is sent before
/// `kl_journal_adopt`.
pub const KL_E_JOURNAL_MISSING: kl_status = 617;
/// The journal is older than it was: a backup or an old card. Nothing is sent before `kl_journal_adopt`.
pub const KL_E_JOURNAL_OLDER: kl_status = 618;
/// The journal was made on another machine: a copied card or folder. Nothing is sent before `kl_journal_adopt`.
pub const KL_E_JOURNAL_COPIED: kl_status = 619;
/// `state_dir` cannot keep a journal: others can write to it, or its file system has no locks or no sync. There is no
/// client.
pub const KL_E_STATE_DIR: kl_status = 620;
/// No byte of this payment report, refund or appeal could leave; the library keeps it (`send_within_ms`) and sends it
/// by itself. *Unknown* until then.
pub const KL_E_KEPT: kl_status = 630;

/// The callback's signature is wrong or missing.
pub const KL_E_EVENT_SIGNATURE: kl_status = 700;
/// The callback is not in the platform's format; the message says where.
pub const KL_E_EVENT: kl_status = 701;
/// The callback's timestamp is too old or too far ahead: Yopoint a day, its payment pages 60 s; Youzan eight days.
pub const KL_E_EVENT_TIME: kl_status = 702;

/// Every code with its name, in the order of their numbers.
pub const ALL: &[(kl_status, &str)] = &[
    (KL_OK, "KL_OK"),
    (KL_E_NULL, "KL_E_NULL"),
    (KL_E_ARGUMENT, "KL_E_ARGUMENT"),
    (KL_E_UTF8, "KL_E_UTF8"),
    (KL_E_HANDLE, "KL_E_HANDLE"),
    (KL_E_FORKED, "KL_E_FORKED"),
    (KL_E_RETIRED, "KL_E_RETIRED"),
    (KL_E_INTERNAL, "KL_E_INTERNAL"),
    (KL_E_UNSUPPORTED, "KL_E_UNSUPPORTED"),
    (KL_E_BUSY, "KL_E_BUSY"),
    (KL_E_RESOURCE, "KL_E_RESOURCE"),
    (KL_E_PLATFORM_NAME, "KL_E_PLATFORM_NAME"),
    (KL_E_CONFIG_KEY, "KL_E_CONFIG_KEY"),
    (KL_E_CONFIG_VALUE, "KL_E_CONFIG_VALUE"),
    (KL_E_CONFIG_MISSING, "KL_E_CONFIG_MISSING"),
    (KL_E_CONFIG_FILE, "KL_E_CONFIG_FILE"),
    (KL_E_ROOTS, "KL_E_ROOTS"),
    (KL_E_CLIENT_CERT, "KL_E_CLIENT_CERT"),
    (KL_E_CANCELLED, "KL_E_CANCELLED"),
    (KL_E_DNS, "KL_E_DNS"),
    (KL_E_CONNECT, "KL_E_CONNECT"),
    (KL_E_LOST, "KL_E_LOST"),
    (KL_E_PROXY, "KL_E_PROXY"),
    (KL_E_TIMEOUT_DNS, "KL_E_TIMEOUT_DNS"),
    (KL_E_TIMEOUT_CONNECT, "KL_E_TIMEOUT_CONNECT"),
    (KL_E_TIMEOUT_TLS, "KL_E_TIMEOUT_TLS"),
    (KL_E_TIMEOUT_SEND, "KL_E_TIMEOUT_SEND"),
    (KL_E_TIMEOUT_REPLY, "KL_E_TIMEOUT_REPLY"),
    (KL_E_TLS, "KL_E_TLS"),
    (KL_E_TLS_UNTRUSTED, "KL_E_TLS_UNTRUSTED"),
    (KL_E_TLS_EXPIRED, "KL_E_TLS_EXPIRED"),
    (KL_E_TLS_NOT_YET_VALID, "KL_E_TLS_NOT_YET_VALID"),
    (KL_E_TLS_WRONG_NAME, "KL_E_TLS_WRONG_NAME"),
    (KL_E_TLS_PIN, "KL_E_TLS_PIN"),
    (KL_E_TLS_CLIENT_CERT, "KL_E_TLS_CLIENT_CERT"),
    (KL_E_CLOCK, "KL_E_CLOCK"),
    (KL_E_HTTP, "KL_E_HTTP"),
    (KL_E_PROTOCOL, "KL_E_PROTOCOL"),
    (KL_E_TOO_LARGE, "KL_E_TOO_LARGE"),
    (KL_E_RATE_LIMIT, "KL_E_RATE_LIMIT"),
    (KL_E_PLATFORM, "KL_E_PLATFORM"),
    (KL_E_AUTH, "KL_E_AUTH"),
    (KL_E_PERMISSION, "KL_E_PERMISSION"),
    (KL_E_NOT_FOUND, "KL_E_NOT_FOUND"),
    (KL_E_PARAMETER, "KL_E_PARAMETER"),
    (KL_E_OFFLINE, "KL_E_OFFLINE"),
    (KL_E_NOT_READY, "KL_E_NOT_READY"),
    (KL_E_OUT_OF_STOCK, "KL_E_OUT_OF_STOCK"),
    (KL_E_TIMESTAMP, "KL_E_TIMESTAMP"),
    (KL_E_CODE_USED, "KL_E_CODE_USED"),
    (KL_E_CODE_EXPIRED, "KL_E_CODE_EXPIRED"),
    (KL_E_ORDER_STATE, "KL_E_ORDER_STATE"),
    (KL_E_ACCOUNT, "KL_E_ACCOUNT"),
    (KL_E_DUPLICATE, "KL_E_DUPLICATE"),
    (KL_E_TOKEN, "KL_E_TOKEN"),
    (KL_E_CODE_TRIES, "KL_E_CODE_TRIES"),
    (KL_E_REQUEST_ID, "KL_E_REQUEST_ID"),
    (KL_E_STALE, "KL_E_STALE"),
    (KL_E_IN_FLIGHT, "KL_E_IN_FLIGHT"),
    (KL_E_UNSETTLED, "KL_E_UNSETTLED"),
    (KL_E_BLOCKED, "KL_E_BLOCKED"),
    (KL_E_PENDING, "KL_E_PENDING"),
    (KL_E_NOT_MOVED, "KL_E_NOT_MOVED"),
    (KL_E_UNKNOWABLE, "KL_E_UNKNOWABLE"),
    (KL_E_TOO_EARLY, "KL_E_TOO_EARLY"),
    (KL_E_REQUEST_TOO_OLD, "KL_E_REQUEST_TOO_OLD"),
    (KL_E_JOURNAL, "KL_E_JOURNAL"),
    (KL_E_JOURNAL_FULL, "KL_E_JOURNAL_FULL"),
    (KL_E_JOURNAL_READ_ONLY, "KL_E_JOURNAL_READ_ONLY"),
    (KL_E_JOURNAL_OWNER, "KL_E_JOURNAL_OWNER"),
    (KL_E_JOURNAL_VERSION, "KL_E_JOURNAL_VERSION"),
    (KL_E_JOURNAL_DAMAGED, "KL_E_JOURNAL_DAMAGED"),
    (KL_E_JOURNAL_BUSY, "KL_E_JOURNAL_BUSY"),
    (KL_E_JOURNAL_MISSING, "KL_E_JOURNAL_MISSING"),
    (KL_E_JOURNAL_OLDER, "KL_E_JOURNAL_OLDER"),
    (KL_E_JOURNAL_COPIED, "KL_E_JOURNAL_COPIED"),
    (KL_E_STATE_DIR, "KL_E_STATE_DIR"),
    (KL_E_KEPT, "KL_E_KEPT"),
    (KL_E_EVENT_SIGNATURE, "KL_E_EVENT_SIGNATURE"),
    (KL_E_EVENT, "KL_E_EVENT"),
    (KL_E_EVENT_TIME, "KL_E_EVENT_TIME"),
];

/// The usual advice of a code.
#[rustfmt::skip]
pub(crate) fn default_advice(status: kl_status) -> Advice {
    match status {
        KL_OK | KL_E_PLATFORM | KL_E_NOT_FOUND | KL_E_OUT_OF_STOCK | KL_E_CODE_USED | KL_E_CODE_EXPIRED |
        KL_E_ORDER_STATE | KL_E_KEPT => Advice::None,
        KL_E_BUSY | KL_E_RESOURCE | KL_E_CANCELLED | KL_E_DNS | KL_E_CONNECT | KL_E_LOST | KL_E_TIMEOUT_DNS |
        KL_E_TIMEOUT_CONNECT | KL_E_TIMEOUT_TLS | KL_E_TIMEOUT_SEND | KL_E_TIMEOUT_REPLY | KL_E_HTTP |
        KL_E_RATE_LIMIT | KL_E_OFFLINE | KL_E_NOT_READY | KL_E_TIMESTAMP | KL_E_CODE_TRIES | KL_E_STALE |
        KL_E_PENDING | KL_E_TOO_EARLY | KL_E_JOURNAL_BUSY => Advice::Retry,
        KL_E_DUPLICATE | KL_E_IN_FLIGHT | KL_E_UNSETTLED | KL_E_BLOCKED => Advice::AskFirst,
        KL_E_NOT_MOVED | KL_E_UNKNOWABLE | KL_E_JOURNAL_DAMAGED | KL_E_JOURNAL_MISSING | KL_E_JOURNAL_OLDER |
        KL_E_JOURNAL_COPIED => Advice::CallPerson,
        _ => Advice::Fix,
    }
}

// To here.

/// The name of a code, `"KL_E_TIMEOUT_DNS"`, or `None` for a number that is no code.
pub fn name(status: kl_status) -> Option<&'static str> {
    ALL.iter().find(|(code, _)| *code == status).map(|(_, name)| *name)
}
