/* kiosklink: open doors, check stock and redeem pickup codes on the platforms behind kiosks,
 * lockers and vending cabinets.
 *
 * The rules, in short (docs/conventions.md has them whole):
 *  1. What acts at a platform, or reports what became of an act, returns kl_outcome: KL_DONE, KL_NOT_DONE or KL_UNKNOWN.
 *     What reads, prepares, waits or settles returns kl_status: 0 is KL_OK. Both write err, which is yours and may be NULL.
 *  2. NULL, bad UTF-8, a freed or foreign handle: an error, never a crash. Every _free(NULL) does nothing.
 *  3. Out-pointers are NULL from the beginning of a call, and hold a handle only if it worked.
 *  4. Nothing here is for free(): handles and results have one _free each, every const char * is borrowed.
 *  5. Structs that you allocate begin with struct_size; use their _INIT macros, or {0}.
 *  6. Durations are milliseconds, points in time Unix seconds, money fen, text UTF-8.
 *  7. A client may be used from any number of threads; everything else from one at a time.
 *  8. Nothing is printed, no environment variable is read, SIGPIPE is never raised.
 *
 * Generated from the Rust sources; do not edit. SPDX-License-Identifier: MIT OR Apache-2.0 */

#ifndef KIOSKLINK_H
#define KIOSKLINK_H

#include <stddef.h>
#include <stdint.h>

/* What a call returns is to be looked at. Define it to nothing before the include to do without the warnings. */
#ifndef KL_MUST_USE
#if defined(__GNUC__)
#define KL_MUST_USE __attribute__((__warn_unused_result__))
#else
#define KL_MUST_USE
#endif
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Versions ----------------------------------------------------------------------------------------------------
 * What was built, and whether this header fits it. */

/** The number of this header's ABI. It moves when a program built with an older header would break. */
#define KL_ABI_VERSION 1

/** The version of this header as a number that grows: 10000 * major + 100 * minor + patch. */
#define KL_VERSION_NUMBER 200

/** The library's version, "0.2.0". Static; never NULL. */
const char *kl_version(void);

/**
 * The ABI that the library was built with. A program compares it with its header's KL_ABI_VERSION at start.
 */
uint32_t kl_abi_version(void);

/**
 * What was built, in one line: version, ABI, target, time. For a log or a support call. Static; never NULL.
 */
const char *kl_build_info(void);

/* ---- Errors ------------------------------------------------------------------------------------------------------
 * What every call that acts or can fail returns and writes: docs/errors.md. */

/**
 * What a call answers: 0 is KL_OK, anything else one of the KL_E_* codes.
 *
 * Any call can give KL_E_NULL to KL_E_INTERNAL and KL_E_RESOURCE. What a function can give beyond these stands at the end
 * of its comment, after *Codes*; many go together:
 *
 * - *network*: KL_E_CANCELLED to KL_E_RATE_LIMIT, KL_E_CONFIG_VALUE.
 * - *platform*: KL_E_UNSUPPORTED, KL_E_CONFIG_MISSING, KL_E_PLATFORM to KL_E_TOKEN.
 * - *journal*: KL_E_CANCELLED, KL_E_JOURNAL to KL_E_STATE_DIR.
 * - *command*: KL_E_BUSY, KL_E_REQUEST_ID to KL_E_BLOCKED, KL_E_REQUEST_TOO_OLD, *network*, *platform*, *journal*.
 */
typedef int32_t kl_status;
/** It worked. */
#define KL_OK 0
/** A pointer that must not be NULL is NULL. */
#define KL_E_NULL 1
/** An argument is out of its range or has the wrong format; the message names it. */
#define KL_E_ARGUMENT 2
/** A text is not valid UTF-8. */
#define KL_E_UTF8 3
/** The handle was freed, is of another kind, or never was one. */
#define KL_E_HANDLE 4
/** The handle was made before a fork and belongs to the parent process. */
#define KL_E_FORKED 5
/** The client was retired after an internal error. */
#define KL_E_RETIRED 6
/** A bug in kiosklink was caught. The client it happened in is retired; others go on. */
#define KL_E_INTERNAL 7
/**
 * The platform has no such call; nothing was sent. Or the platform says that it does not know the method.
 */
#define KL_E_UNSUPPORTED 8
/**
 * Not now, and nothing was sent. Another command is under way at the same door, for the same code or for the same
 * order; the message names it. Or codes are being made for the same cabinet. Or an event of the callback connection
 * waits for its reply, or the same callback does on another connection. Or kl_set_log was called inside the log
 * callback. Or as many jobs as may be wait, run, or were not taken.
 */
#define KL_E_BUSY 9
/** The system refused memory, a thread or a file descriptor; or more than 131072 handles are alive. */
#define KL_E_RESOURCE 10
/** No such platform; the message suggests the nearest. */
#define KL_E_PLATFORM_NAME 100
/** No such key; the message suggests the nearest. */
#define KL_E_CONFIG_KEY 101
/** The value of a key does not have its format. */
#define KL_E_CONFIG_VALUE 102
/** A key that this platform or this call needs is not set. Commands need state_dir. */
#define KL_E_CONFIG_MISSING 103
/** The JSON file of accounts cannot be read, does not have its format, or has no such account. */
#define KL_E_CONFIG_FILE 104
/** The CA roots cannot be read, do not parse, or are none. */
#define KL_E_ROOTS 105
/** The client certificate or its key cannot be read, does not parse, or the two do not match. */
#define KL_E_CLIENT_CERT 106
/**
 * Ended by kl_client_cancel or kl_client_free. As the status of a command: it is *not done*, and nothing
 * failed.
 */
#define KL_E_CANCELLED 200
/** The platform's name has no address. */
#define KL_E_DNS 201
/** No connection: refused, unreachable, or reset while it was made. */
#define KL_E_CONNECT 202
/** The connection ended before the answer was whole. */
#define KL_E_LOST 203
/** The proxy refused or answered nonsense. */
#define KL_E_PROXY 204
/** The deadline passed while the name was looked up. */
#define KL_E_TIMEOUT_DNS 210
/** The deadline passed while the TCP connection was made. */
#define KL_E_TIMEOUT_CONNECT 211
/** The deadline passed in the TLS handshake. */
#define KL_E_TIMEOUT_TLS 212
/** The deadline passed while the request was sent. */
#define KL_E_TIMEOUT_SEND 213
/** The deadline passed before the answer was whole. */
#define KL_E_TIMEOUT_REPLY 214
/** The TLS handshake failed for a reason that has no code of its own. */
#define KL_E_TLS 300
/** No trusted root vouches for the certificate. */
#define KL_E_TLS_UNTRUSTED 301
/** The certificate has expired. */
#define KL_E_TLS_EXPIRED 302
/** The certificate is not valid yet. */
#define KL_E_TLS_NOT_YET_VALID 303
/** The certificate is for another host. */
#define KL_E_TLS_WRONG_NAME 304
/** No certificate of the chain has the pinned key. */
#define KL_E_TLS_PIN 305
/** The server wants a client certificate, or does not accept ours. */
#define KL_E_TLS_CLIENT_CERT 306
/** The device's clock is far past the certificate's end and nothing confirms it. */
#define KL_E_CLOCK 307
/** An HTTP status that is no answer of the platform: a redirect, a captive portal, a server error. */
#define KL_E_HTTP 400
/** The answer is not in the platform's format; the message says where. */
#define KL_E_PROTOCOL 401
/** The answer is larger than max_reply_bytes, or its head is larger than 16 KiB. */
#define KL_E_TOO_LARGE 402
/** The platform asks for fewer calls; see retry_after_ms. */
#define KL_E_RATE_LIMIT 403
/** The platform refused for a reason that has no code here; see platform_code and platform_message. */
#define KL_E_PLATFORM 500
/** The platform does not accept the credentials or the signature. */
#define KL_E_AUTH 501
/** The account may not make this call. */
#define KL_E_PERMISSION 502
/** The platform knows no such thing. */
#define KL_E_NOT_FOUND 503
/** The platform says that a parameter is missing or wrong. */
#define KL_E_PARAMETER 504
/** The platform cannot reach the cabinet. */
#define KL_E_OFFLINE 505
/** The cabinet or the door is in use, or not selling. */
#define KL_E_NOT_READY 506
/** Nothing left of the goods. */
#define KL_E_OUT_OF_STOCK 507
/**
 * The signature's time was outside the platform's window. If the answer carried a time, it has been learned and the
 * next call uses it.
 */
#define KL_E_TIMESTAMP 508
/**
 * The pickup code was used before. *Not done*: another request is proved to have used it. *Unknown*: it may have
 * been this one.
 */
#define KL_E_CODE_USED 520
/** The pickup code has expired. */
#define KL_E_CODE_EXPIRED 521
/** The order is in no state for this: unpaid, expired, closed, refunded, or delivered before. */
#define KL_E_ORDER_STATE 522
/** The account itself is expired, not verified, or closed; its owner must act. */
#define KL_E_ACCOUNT 523
/** Your own number was used before: the order or code may exist already. */
#define KL_E_DUPLICATE 524
/** A person must renew the credentials: the shop's authorisation or the user's access token has ended. */
#define KL_E_TOKEN 525
/**
 * Too many wrong codes at this cabinet in a short time (code_tries_per_minute); nothing was sent or written, *not
 * done*.
 */
#define KL_E_CODE_TRIES 526
/** This request_id was already used for another act, or is settled the other way; nothing was sent. */
#define KL_E_REQUEST_ID 600
/**
 * The command's time to live passed before it could be sent (also its send_within_ms), or a job's
 * start_within_ms before it was begun; nothing was sent.
 */
#define KL_E_STALE 601
/**
 * The command with this request_id is under way on another thread or in another process; or this process was taken
 * for dead and its command is in other hands. Nothing was sent this time.
 */
#define KL_E_IN_FLIGHT 602
/** What became of the command is not known; nothing was sent this time. */
#define KL_E_UNSETTLED 603
/**
 * What became of another command at the same door, for the same code or of the same order is not known; the message
 * names it. Nothing was sent, *not done*.
 */
#define KL_E_BLOCKED 604
/**
 * kl_command_wait: the time was up before it was known what the machine did. kl_task_next: no job has ended, and
 * some will.
 */
#define KL_E_PENDING 605
/**
 * The platform took the command, but the machine did not do it: the door never opened, or nothing was pushed out.
 */
#define KL_E_NOT_MOVED 606
/** The platform never reports what the machine did, or nothing moves by this command. */
#define KL_E_UNKNOWABLE 607
/**
 * Too early to say *not done*: the request may still reach the platform. retry_after_ms is the time left. *Done*
 * is taken at any time.
 */
#define KL_E_TOO_EARLY 608
/**
 * kl_request_id_new issued this name so long ago that its outcome may have been forgotten; nothing was sent,
 * *unknown*.
 */
#define KL_E_REQUEST_TOO_OLD 609
/**
 * The journal cannot be read or written, see os_errno; or this process lost it in an internal error. Nothing was
 * sent.
 */
#define KL_E_JOURNAL 610
/** The disk is full, or unsettled commands fill the journal; nothing was sent. */
#define KL_E_JOURNAL_FULL 611
/** The journal's file system is read-only; nothing was sent. */
#define KL_E_JOURNAL_READ_ONLY 612
/** The journal belongs to another user; nothing was sent. */
#define KL_E_JOURNAL_OWNER 613
/** A library with another format version wrote the journal; nothing was sent. */
#define KL_E_JOURNAL_VERSION 614
/** The journal is damaged in its middle. Nothing is sent before kl_journal_repair. */
#define KL_E_JOURNAL_DAMAGED 615
/** Another process holds the journal's lock and does not let go; nothing was sent. */
#define KL_E_JOURNAL_BUSY 616
/**
 * The journal is gone, but something beside it remembers that there was one. Nothing is sent before
 * kl_journal_adopt.
 */
#define KL_E_JOURNAL_MISSING 617
/** The journal is older than it was: a backup or an old card. Nothing is sent before kl_journal_adopt. */
#define KL_E_JOURNAL_OLDER 618
/**
 * The journal was made on another machine: a copied card or folder. Nothing is sent before kl_journal_adopt.
 */
#define KL_E_JOURNAL_COPIED 619
/**
 * state_dir cannot keep a journal: others can write to it, or its file system has no locks or no sync. There is no
 * client.
 */
#define KL_E_STATE_DIR 620
/**
 * No byte of this payment report, refund or appeal could leave; the library keeps it (send_within_ms) and sends it
 * by itself. *Unknown* until then.
 */
#define KL_E_KEPT 630
/** The callback's signature is wrong or missing. */
#define KL_E_EVENT_SIGNATURE 700
/** The callback is not in the platform's format; the message says where. */
#define KL_E_EVENT 701
/**
 * The callback's timestamp is too old or too far ahead: Yopoint a day, its payment pages 60 s; Youzan eight days.
 */
#define KL_E_EVENT_TIME 702

/**
 * The name of a status, "KL_E_TIMEOUT_DNS"; "KL_E_?" for a number that this version does not know. Static; never
 * NULL.
 */
const char *kl_status_name(kl_status status);

/**
 * What became of an act: KL_DONE, KL_NOT_DONE or KL_UNKNOWN. 0 is none of them, so a zeroed struct never says done.
 */
typedef int32_t kl_outcome;
/** The platform took it. */
#define KL_DONE 1
/** It did not happen and will not. */
#define KL_NOT_DONE 2
/** It may have happened. Find out; never send it again under another request_id. */
#define KL_UNKNOWN 3

/** What to do about an error: KL_ADVICE_*. */
typedef int32_t kl_advice;
/** Nothing in particular. */
#define KL_ADVICE_NONE 0
/** Trying again is safe, after retry_after_ms if that is not 0. */
#define KL_ADVICE_RETRY 1
/** Ask what became of it before anything else: the same request_id again, or a query. */
#define KL_ADVICE_ASK_FIRST 2
/** Only a person or a sensor can decide. */
#define KL_ADVICE_CALL_PERSON 3
/** Trying again will not help: a setting, a credential or a parameter must change. */
#define KL_ADVICE_FIX 4

/**
 * Why a call failed. Yours, on the stack if you like: kl_error err = KL_ERROR_INIT; or = {0}. Every call that is given
 * one writes it, on success too. Texts are UTF-8, terminated, cut at a character, and never hold a secret.
 */
typedef struct kl_error {
  /** sizeof(kl_error), set by KL_ERROR_INIT; 0 for the size that it had in the first release. */
  uint32_t struct_size;
  /** Why: KL_OK or KL_E_*. What a function that returns kl_status returned. */
  kl_status status;
  /**
   * What became of the act; 0 for a call that only reads. What a function that returns kl_outcome returned.
   */
  kl_outcome outcome;
  /** What to do about it: KL_ADVICE_*. */
  kl_advice advice;
  /** The HTTP status of the answer, 0 if there was none. */
  int32_t http_status;
  /** The platform's own code, 0 if it gave none, or none that is a number. */
  int32_t platform_code;
  /** The system's errno, 0 if the system was not the reason. */
  int32_t os_errno;
  /** How long to wait before the next try, in milliseconds; 0 if no time is known. */
  uint32_t retry_after_ms;
  /** The platform's own name or code of the refusal, whole (ERR_SIGN, 10025); empty if it gave none. */
  char platform_name[96];
  /** The platform's own message. */
  char platform_message[128];
  /** One sentence for a log or a technician. */
  char message[256];
} kl_error;
#define KL_ERROR_INIT {sizeof(kl_error), 0, 0, 0, 0, 0, 0, 0, {0}, {0}, {0}}

/* ---- Settings ----------------------------------------------------------------------------------------------------
 * The settings of one account: docs/settings.md. */

/* The platforms, for kl_config_new. */
#define KL_PLATFORM_YOPOINT "yopoint"
#define KL_PLATFORM_DINGSHANG "dingshang"
#define KL_PLATFORM_YOUZAN "youzan"
#define KL_PLATFORM_ZHIYUN "zhiyun"

/** The settings of one account. Opaque; one thread at a time. */
typedef struct kl_config kl_config;

/**
 * Starts the settings of an account on a platform, named as in KL_PLATFORM_*. End it with kl_config_free.
 *
 * Codes: KL_E_PLATFORM_NAME.
 */
KL_MUST_USE kl_status kl_config_new(const char *platform, kl_config **out, kl_error *err);

/**
 * Reads the settings of account from a JSON file, {"accounts": {"NAME": {"platform": "yopoint", …}}}, with the
 * keys of kl_config_set. account may be NULL if the file holds one. Relative paths in the file count from its own
 * folder. KL_E_CONFIG_FILE, KL_E_CONFIG_KEY or KL_E_CONFIG_VALUE say what is wrong and where.
 *
 * Codes: KL_E_CONFIG_FILE, KL_E_CONFIG_KEY, KL_E_CONFIG_VALUE, KL_E_PLATFORM_NAME.
 */
KL_MUST_USE kl_status kl_config_load(const char *json_path, const char *account, kl_config **out, kl_error *err);

/* The settings, for kl_config_set; the same words in the JSON file of accounts. */
/**
 * Where the platform is, https://host[:port][/prefix]. Default: the platform's own gateway; Dingshang has
 * none.
 */
#define KL_KEY_BASE_URL "base_url"
/**
 * yes permits a base_url of plain http, for tests on a desk. Nothing is verified or hidden then. yes or no.
 * Default: no.
 */
#define KL_KEY_ALLOW_HTTP "allow_http"
/**
 * PEM file of the only roots to trust, instead of the built-in ones. A path.
 */
#define KL_KEY_CA_FILE "ca_file"
/**
 * The same as text.
 */
#define KL_KEY_CA_PEM "ca_pem"
/**
 * SHA-256 of a public key (SPKI) that the server's chain must hold, in Base64 or hex; several are separated
 * by commas.
 */
#define KL_KEY_PIN_SHA256 "pin_sha256"
/**
 * PEM file with this device's certificate chain, for mutual TLS. A path.
 */
#define KL_KEY_CLIENT_CERT_FILE "client_cert_file"
/**
 * PEM file with the private key of that certificate. A path.
 */
#define KL_KEY_CLIENT_KEY_FILE "client_key_file"
/**
 * The most that lookup, TCP and TLS may take together, within timeout_ms. Milliseconds, 1 to 600000. Default:
 * 8000.
 */
#define KL_KEY_CONNECT_TIMEOUT_MS "connect_timeout_ms"
/**
 * The most that a call may take from entry to answer, everything included. Milliseconds, 1 to 3600000.
 * Default: 20000.
 */
#define KL_KEY_TIMEOUT_MS "timeout_ms"
/**
 * How long an unused connection is kept. Milliseconds, 0 to 3600000. Default: 60000.
 */
#define KL_KEY_IDLE_TIMEOUT_MS "idle_timeout_ms"
/**
 * The largest answer that is read. Bytes, 1024 to 268435456. Default: 4194304.
 */
#define KL_KEY_MAX_REPLY_BYTES "max_reply_bytes"
/**
 * Which addresses are used: any, ipv4 or ipv6. One of: any, ipv4, ipv6. Default: any.
 */
#define KL_KEY_ADDRESS_FAMILY "address_family"
/**
 * An HTTP proxy that knows CONNECT, http://[user:password@]host:port.
 */
#define KL_KEY_PROXY "proxy"
/**
 * A command that could not be sent within this time is not sent any more. Milliseconds, 1 to 3600000.
 * Default: 15000.
 */
#define KL_KEY_COMMAND_TTL_MS "command_ttl_ms"
/**
 * A folder that exists and is writable, kept across power cuts: the journal of commands is there, by which a
 * door never opens twice for one request_id, and the token (Youzan). Processes may share it. Commands are
 * refused without it; none says that a client is to remember its commands for its own life only. The path of
 * a folder.
 */
#define KL_KEY_STATE_DIR "state_dir"
/**
 * yes takes a state_dir to which others than its owner may write, as on vfat. A user who can write there can
 * make a door open again. yes or no. Default: no.
 */
#define KL_KEY_STATE_DIR_SHARED "state_dir_shared"
/**
 * JSON file with the operator's own table of refusals: which of the platform's names prove that nothing was
 * done, each with its source and who signed it off (docs/proof.md). A path.
 */
#define KL_KEY_REFUSALS_FILE "refusals_file"
/**
 * How many pickup codes may be tried at one cabinet in a minute before the next is refused (KL_E_CODE_TRIES),
 * before anything is sent or written. A good code gives all tries back. 0: no bound. A number, 0 to 6000.
 * Default: 30.
 */
#define KL_KEY_CODE_TRIES_PER_MINUTE "code_tries_per_minute"
/**
 * How many jobs (kl_task_start) of this client may run at a time. One of the threads takes only jobs that
 * act. A number, 2 to 16. Default: 3.
 */
#define KL_KEY_TASK_THREADS "task_threads"
/**
 * The stack of each of these threads, in KiB: for the library's calls and what your own function needs
 * (docs/threads.md). A number, 128 to 65536. Default: 256.
 */
#define KL_KEY_TASK_STACK_KIB "task_stack_kib"
/**
 * The developer's AppID, from the operator console or the merchant's dashboard. Only yopoint.
 * The developer's AppID, from the operator console or the merchant's dashboard. Only dingshang.
 */
#define KL_KEY_APP_ID "app_id"
/**
 * The developer's AppSecret. Yopoint: signs every request and verifies callbacks. Dingshang: sent as a
 * header; signs nothing. Only yopoint.
 * The developer's AppSecret. Yopoint: signs every request and verifies callbacks. Dingshang: sent as a
 * header; signs nothing. Only dingshang.
 */
#define KL_KEY_APP_SECRET "app_secret"
/**
 * The payment sign key agreed with Yopoint. It signs payment reports and verifies payment callbacks. Only
 * yopoint.
 */
#define KL_KEY_PAY_KEY "pay_key"
/**
 * The unit of the signed timestamp: s as Yopoint's tables say, ms as its sample script does. One of: s, ms.
 * Default: s. Only yopoint.
 */
#define KL_KEY_TIMESTAMP_UNIT "timestamp_unit"
/**
 * How requests are written: form (urlencoded) or json. One of: form, json. Default: form. Only yopoint.
 * How answers are written: json or xml. One of: json, xml. Default: json. Only zhiyun.
 */
#define KL_KEY_FORMAT "format"
/**
 * yes sends a TradeNo of 24 digits that the library makes, when a door is opened without an order_no or an
 * order is made without a trade_no: by it a command whose answer was lost is found again. The parameter is
 * inferred; no if the platform refuses it. yes or no. Default: yes. Only yopoint.
 */
#define KL_KEY_OWN_TRADE_NO "own_trade_no"
/**
 * Which machines kl_cabinet_list and kl_stock_fetch are about: cabinets with doors, or vending machines. One
 * account file may hold an account for each. One of: cabinets, vending. Default: cabinets. Only yopoint.
 */
#define KL_KEY_MACHINES "machines"
/**
 * yes permits payment reports to a NotifyUrl of plain http, whose network can read and change them. base_url
 * stays https. yes or no. Default: no. Only yopoint.
 */
#define KL_KEY_ALLOW_HTTP_REPORT "allow_http_report"
/**
 * The merchant key (AppKey, older: merchant_id) from the dashboard. It signs every payload; it is neither
 * AppID nor AppSecret. Only dingshang.
 */
#define KL_KEY_APP_KEY "app_key"
/**
 * How values stand in the signed text: raw as in every genuine sample, query (URL-encoded) as in the vendor's
 * newer library. Try it if only calls with times or addresses are refused. One of: raw, query. Default: raw.
 * Only dingshang.
 */
#define KL_KEY_SIGN_VALUE_ENCODING "sign_value_encoding"
/**
 * The application's client_id. Only youzan.
 * The client_id, 10 digits. Only zhiyun.
 */
#define KL_KEY_CLIENT_ID "client_id"
/**
 * The application's client_secret. It fetches tokens and verifies messages. Only youzan.
 * The client_secret. Sent with every call (Basic). Only zhiyun.
 */
#define KL_KEY_CLIENT_SECRET "client_secret"
/**
 * The shop that authorised the application (kdt_id). Only youzan.
 */
#define KL_KEY_GRANT_ID "grant_id"
/**
 * yes declares that only this kiosk redeems codes of this shop: no other kiosk, no shop assistant, no other
 * program. A code that was used while a lost request could be carried out then counts as redeemed by it. A
 * false declaration gives goods out twice. yes or no. Default: no. Only youzan.
 */
#define KL_KEY_SOLE_REDEEMER "sole_redeemer"
/**
 * The user's access token, from a login with the vendor's desktop program; a person renews it about every
 * three months. Only zhiyun.
 */
#define KL_KEY_ACCESS_TOKEN "access_token"

/**
 * Sets one value; the same key again replaces it. Keys are the macros KL_KEY_*. A key that the platform does not
 * know is KL_E_CONFIG_KEY and the message names the nearest one; a value of the wrong format is KL_E_CONFIG_VALUE.
 * The value is copied.
 *
 * Codes: KL_E_CONFIG_KEY, KL_E_CONFIG_VALUE.
 */
KL_MUST_USE kl_status kl_config_set(kl_config *config,
                                    const char *key,
                                    const char *value,
                                    kl_error *err);

/** Frees settings; clients made from them keep their own copy. NULL does nothing. */
void kl_config_free(kl_config *config);

/* ---- Client ------------------------------------------------------------------------------------------------------
 * One account on one platform, for any number of threads: docs/threads.md. */

/**
 * One account on one platform, or a view of it (kl_client_view). Opaque; any number of threads may use it at the same
 * time.
 */
typedef struct kl_client kl_client;

/**
 * Makes a client. Checks every setting, reads the CA and certificate files, and looks into the journal whether an earlier
 * client left something to be sent (send_within_ms), which a thread then does; else it starts none. Sends nothing itself; works
 * without a network. config may be freed afterwards. End it with kl_client_free.
 *
 * Codes: KL_E_CONFIG_VALUE, KL_E_CONFIG_MISSING, KL_E_CONFIG_FILE, KL_E_ROOTS, KL_E_CLIENT_CERT,
 * KL_E_JOURNAL to KL_E_STATE_DIR.
 */
KL_MUST_USE kl_status kl_client_new(const kl_config *config,
                                    kl_client **out,
                                    kl_error *err);

/**
 * Frees a client, or a view. Its calls in flight on other threads end with KL_E_CANCELLED, its iterators with
 * KL_E_HANDLE; what they returned before stays valid. The views made from it answer KL_E_HANDLE from now on: free
 * them too, before or after it. What a view was made from goes on. Jobs that wait are not begun; for those that run this
 * waits, if they are of the client and not of a view, for 3 s at most, and not at all inside one of them. NULL does nothing.
 */
void kl_client_free(kl_client *client);

/** A verb, for kl_client_can: KL_VERB_*, named as the functions are. */
typedef int32_t kl_verb;
/** kl_ping. */
#define KL_VERB_PING 1
/** kl_cabinet_list, kl_cabinet_iter_new. */
#define KL_VERB_CABINET_LIST 2
/** kl_stock_fetch, kl_stock_fetch_page, kl_stock_iter_new. */
#define KL_VERB_STOCK_FETCH 3
/** kl_door_open. */
#define KL_VERB_DOOR_OPEN 4
/** kl_code_redeem. */
#define KL_VERB_CODE_REDEEM 5
/** kl_code_lookup. */
#define KL_VERB_CODE_LOOKUP 6
/** kl_code_list. */
#define KL_VERB_CODE_LIST 7
/** kl_code_create. */
#define KL_VERB_CODE_CREATE 8
/** kl_code_cancel. */
#define KL_VERB_CODE_CANCEL 9
/** kl_order_get. */
#define KL_VERB_ORDER_GET 10
/** kl_order_list, kl_order_iter_new. */
#define KL_VERB_ORDER_LIST 11
/** kl_order_create. */
#define KL_VERB_ORDER_CREATE 12
/** kl_payment_report. */
#define KL_VERB_PAYMENT_REPORT 13
/** kl_refund_apply. */
#define KL_VERB_REFUND_APPLY 14
/** kl_appeal_file. */
#define KL_VERB_APPEAL_FILE 15
/** kl_user_get. */
#define KL_VERB_USER_GET 16
/** kl_company_get. */
#define KL_VERB_COMPANY_GET 17
/** kl_event_parse. */
#define KL_VERB_EVENT_PARSE 18
/** kl_call. */
#define KL_VERB_CALL 19

/**
 * Whether the client's platform has such a call: 1, or 0 (also for what is no client or no verb). The others answer
 * KL_E_UNSUPPORTED. Sends nothing.
 */
int32_t kl_client_can(kl_client *client, kl_verb verb);

/**
 * Ends every call in flight on this client and on its views with KL_E_CANCELLED, from any other thread; given a view,
 * those of that view only, and of views of it. Calls that start later work. A command whose first byte had left is then
 * unknown, as its error says. Waits for nothing; not for signal handlers.
 *
 * Codes: none of its own.
 */
KL_MUST_USE kl_status kl_client_cancel(kl_client *client,
                                       kl_error *err);

/**
 * Opens the connection before it is needed, or proves that the open one is alive: the next call is one round trip.
 * Call it when a customer walks up. Blocks up to timeout_ms.
 *
 * Codes: *network*, *platform*.
 */
KL_MUST_USE kl_status kl_client_warm(kl_client *client, kl_error *err);

/* ---- First calls -------------------------------------------------------------------------------------------------
 * The platform, its cabinets and their goods, as whole lists, single pages, or one item after the other. Nothing
 * is changed by them, so they are tried again when the network fails. */

/**
 * Asks the platform whether it is there and takes the credentials (Yopoint: api.test; Dingshang: POST /ping;
 * Youzan: a token; Zhiyun: authorize). Tried again inside timeout_ms when the network fails.
 *
 * Codes: *network*, *platform*.
 */
KL_MUST_USE kl_status kl_ping(kl_client *client, kl_error *err);

/** Which page of a list: kl_page p = KL_PAGE_INIT;. */
typedef struct kl_page {
  /** sizeof this struct. */
  uint32_t struct_size;
  /** From 1. */
  uint32_t number;
  /**
   * Items a page; 0 for the most that the platform documents (Yopoint: 100), or its own default (Dingshang: 10).
   */
  uint32_t size;
} kl_page;
#define KL_PAGE_INIT {sizeof(kl_page), 0, 0}

/** A list of cabinets. Opaque. */
typedef struct kl_cabinets kl_cabinets;

/**
 * The account's cabinets (Yopoint: cabinet.list, https://yopointapi.apifox.cn/api-140618274, or with
 * machines=vending terminal.terminal.list; Dingshang: POST /rent/machines, which is always one page; Youzan: pickup points, multistore.offline.search): one page, or all of
 * them if page is NULL. Tried again inside timeout_ms when the network fails. End the result with
 * kl_cabinets_free.
 *
 * Codes: *network*, *platform*.
 */
KL_MUST_USE kl_status kl_cabinet_list(kl_client *client,
                                      const kl_page *page,
                                      kl_cabinets **out,
                                      kl_error *err);

/** How many cabinets the list holds; 0 if the handle is not a list. */
size_t kl_cabinets_count(const kl_cabinets *list);

/** Whether a cabinet sells: KL_SALE_STATE_*. */
typedef int32_t kl_sale_state;
/** The platform does not say. */
#define KL_SALE_STATE_UNKNOWN 0
/** It sells. */
#define KL_SALE_STATE_SELLING 1
/** It was stopped. */
#define KL_SALE_STATE_STOPPED 2
/** It is still to be deployed. */
#define KL_SALE_STATE_TO_BE_DEPLOYED 3

/**
 * A cabinet, locker or vending machine. Texts are never NULL, and empty where the platform does not say.
 */
typedef struct kl_cabinet {
  /** The id that the other calls take. */
  const char *id;
  /** Its name. */
  const char *name;
  /** The id of the device inside. */
  const char *device_code;
  /** The production code. */
  const char *code;
  /** Its address, from province to street. */
  const char *address;
  /** The platform's own record as JSON. */
  const char *json;
  /** Degrees in the platform's own system (Yopoint: Baidu); both 0 if unknown. */
  double longitude;
  /** See longitude. */
  double latitude;
  /** Whether the platform can reach it: 1, 0, or -1 if unknown. */
  int32_t online;
  /** Whether it sells: KL_SALE_STATE_*. */
  kl_sale_state sale;
  /** How many doors; -1 if unknown. */
  int32_t door_count;
} kl_cabinet;

/** A cabinet of the list; NULL if index is not below the count. Borrowed from the list. */
const kl_cabinet *kl_cabinets_at(const kl_cabinets *list, size_t index);

/** How many cabinets there are in all; -1 if the platform does not say. */
int64_t kl_cabinets_total(const kl_cabinets *list);

/** Whether more pages follow: 1, 0, or -1 if unknown until the next one is asked for. */
int32_t kl_cabinets_more(const kl_cabinets *list);

/** Frees a list. NULL does nothing. */
void kl_cabinets_free(kl_cabinets *list);

/** Cabinets, one after the other. Opaque; one thread at a time. */
typedef struct kl_cabinet_iter kl_cabinet_iter;

/**
 * Walks the account's cabinets page by page, page_size at a time (0 for the most that the platform documents),
 * holding one page in memory. Sends nothing yet. End it with kl_cabinet_iter_free.
 *
 * Codes: none of its own.
 */
KL_MUST_USE kl_status kl_cabinet_iter_new(kl_client *client,
                                          uint32_t page_size,
                                          kl_cabinet_iter **out,
                                          kl_error *err);

/**
 * The next cabinet in *item, or NULL there after the last one, both with KL_OK. It is borrowed until the next call.
 * After an error the same page is asked for again.
 *
 * Codes: *network*, *platform*.
 */
KL_MUST_USE kl_status kl_cabinet_iter_next(kl_cabinet_iter *iter,
                                           const kl_cabinet **item,
                                           kl_error *err);

/** Frees an iterator. NULL does nothing. */
void kl_cabinet_iter_free(kl_cabinet_iter *iter);

/** Goods, one after the other. Opaque; one thread at a time. */
typedef struct kl_stock_iter kl_stock_iter;

/** One kind of goods in one cabinet. Texts are never NULL, and empty where the platform does not say. */
typedef struct kl_stock_item {
  /** The cabinet. */
  const char *cabinet_id;
  /** The platform's id of the goods in this cabinet. */
  const char *id;
  /** The provider's product id. */
  const char *product_id;
  /** The bar code. */
  const char *barcode;
  /** The name. */
  const char *name;
  /** The address of a picture. */
  const char *image_url;
  /**
   * The lanes that hold it, row-column separated by commas (Dingshang: the lane's name, A21, which is the door of
   * kl_door_open).
   */
  const char *lanes;
  /** The platform's own record as JSON. */
  const char *json;
  /** The price of one, in fen; -1 if unknown. */
  int64_t price;
  /** When it was put on the shelf, Unix seconds; 0 if unknown. */
  int64_t shelved_at;
  /** How many there are; -1 if unknown. */
  int32_t stock;
  /** How many fit; -1 if unknown. */
  int32_t capacity;
  /** How many were sold; -1 if unknown. */
  int32_t sold;
} kl_stock_item;

/** A list of goods. Opaque. */
typedef struct kl_stock kl_stock;

/**
 * All goods of a cabinet with price and number (Yopoint: cabinet.product.stock; the shape of its records is inferred
 * from its documented relative cabinet.product.stock.with.replenishment; with machines=vending
 * terminal.product.layout.get; Dingshang: POST /products, one item for each
 * lane of the main cabinet A: the others with kl_stock_fetch_page and {"cabinet_name":"B"}; Youzan:
 * items.onsale.get, the goods of the whole shop whatever cabinet_id says). Tried again inside timeout_ms when the
 * network fails; each page has that long. End the result with kl_stock_free.
 *
 * Codes: *network*, *platform*.
 */
KL_MUST_USE kl_status kl_stock_fetch(kl_client *client,
                                     const char *cabinet_id,
                                     kl_stock **out,
                                     kl_error *err);

/**
 * One page of the goods of a cabinet, with more parameters for the platform if extra_json, a JSON object, is not
 * NULL. page NULL means all pages. End the result with kl_stock_free.
 *
 * Codes: *network*, *platform*.
 */
KL_MUST_USE kl_status kl_stock_fetch_page(kl_client *client,
                                          const char *cabinet_id,
                                          const kl_page *page,
                                          const char *extra_json,
                                          kl_stock **out,
                                          kl_error *err);

/** How many kinds of goods the list holds; 0 if the handle is not a list. */
size_t kl_stock_count(const kl_stock *stock);

/** An item of the list; NULL if index is not below the count. Borrowed from the list. */
const kl_stock_item *kl_stock_at(const kl_stock *stock, size_t index);

/** How many kinds of goods there are in all; -1 if the platform does not say. */
int64_t kl_stock_total(const kl_stock *stock);

/** Whether more pages follow: 1, 0, or -1 if unknown until the next one is asked for. */
int32_t kl_stock_more(const kl_stock *stock);

/** Frees a list. NULL does nothing. */
void kl_stock_free(kl_stock *stock);

/**
 * Walks the goods of a cabinet page by page, holding one page in memory. page_size 0 means the most that the
 * platform documents; extra_json may be NULL. Sends nothing yet. End it with kl_stock_iter_free.
 *
 * Codes: none of its own.
 */
KL_MUST_USE kl_status kl_stock_iter_new(kl_client *client,
                                        const char *cabinet_id,
                                        uint32_t page_size,
                                        const char *extra_json,
                                        kl_stock_iter **out,
                                        kl_error *err);

/**
 * The next item in *item, or NULL there after the last one, both with KL_OK. It is borrowed until the next call.
 * After an error the same page is asked for again.
 *
 * Codes: *network*, *platform*.
 */
KL_MUST_USE kl_status kl_stock_iter_next(kl_stock_iter *iter, const kl_stock_item **item, kl_error *err);

/** Frees an iterator. NULL does nothing. */
void kl_stock_iter_free(kl_stock_iter *iter);

/* ---- Doors -------------------------------------------------------------------------------------------------------
 * Acts that cannot be undone, each sent at most once for its request_id: docs/journal.md. */

/** The longest request_id, in bytes. */
#define KL_REQUEST_ID_MAX 128

/** The longest visit_id, in bytes. */
#define KL_VISIT_ID_MAX 64

/** The longest context, in bytes. */
#define KL_CONTEXT_MAX 512

/** The longest of the other texts of a command, in bytes. */
#define KL_TEXT_MAX 1024

/** The longest extra_json or channel_json of a command, in bytes. */
#define KL_EXTRA_JSON_MAX 8192

/**
 * A new name for an act, written to buf: this library never gives it again, nor does another. Make it when the act is
 * decided on, keep it (a file, a row of your own) before the first try, and use it at every try. size bytes are yours;
 * KL_REQUEST_ID_MAX + 1 always do. KL_E_ARGUMENT, and an empty text, if they do not. Sends nothing.
 *
 * Codes: *journal*.
 */
KL_MUST_USE kl_status kl_request_id_new(kl_client *client,
                                        char *buf,
                                        size_t size,
                                        kl_error *err);

/** What is known of a door: KL_DOOR_STATE_*. */
typedef int32_t kl_door_state;
/** The platform does not say. */
#define KL_DOOR_STATE_UNKNOWN 0
/** The door is open. */
#define KL_DOOR_STATE_OPEN 1
/** The door was open and is shut. */
#define KL_DOOR_STATE_SHUT 2
/** The door never opened. */
#define KL_DOOR_STATE_NEVER_OPENED 3

/**
 * A door to be opened: kl_door_request r = KL_DOOR_REQUEST_INIT;. Texts may be NULL but for the first two.
 */
typedef struct kl_door_request {
  /** sizeof this struct. */
  uint32_t struct_size;
  /** Not to be sent later than this after the call, in milliseconds; 0 for the setting command_ttl_ms. */
  uint32_t ttl_ms;
  /**
   * Your name for this customer's action, 1 to 128 bytes. Make it before the first try and keep it: under the same
   * name the door opens at most once.
   */
  const char *request_id;
  /** The cabinet. */
  const char *cabinet_id;
  /**
   * Which door, where the platform knows doors (Dingshang: a lane by its name, A21; a test that belongs to no order).
   */
  const char *door;
  /** The customer, where the platform wants to know (Yopoint: sent as OpenID, inferred). */
  const char *user_id;
  /**
   * Your own order or trade number, where the platform keeps one (Yopoint: sent as TradeNo, inferred). Dingshang: the
   * platform's number of the order, with item_no.
   */
  const char *order_no;
  /** The item of the order, where the platform dispenses by it (Dingshang: record_id; not Yopoint). */
  const char *item_no;
  /**
   * Callback URL for the delivery, on platforms that take one (Dingshang: needed with a lane; an order has its own already.
   * Not Yopoint).
   */
  const char *notify_url;
  /** More parameters for the platform, a JSON object. */
  const char *extra_json;
  /**
   * The customer's visit that it belongs to, at most KL_VISIT_ID_MAX bytes. Commands of one visit are found again by it.
   */
  const char *visit_id;
  /**
   * Your own text, at most KL_CONTEXT_MAX bytes: kept with the command and given back by it, after a restart too.
   */
  const char *context;
} kl_door_request;
#define KL_DOOR_REQUEST_INIT {sizeof(kl_door_request), 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL}

/** A command that the platform took. Opaque. */
typedef struct kl_command kl_command;

/**
 * Opens a door (Yopoint: cabinet.open.door). What is returned is what became of the *name*, of this call and of any
 * before it:
 *
 * - KL_DONE: the platform took the command, and out holds it. That the bolt moved is reported later, by
 *   KL_EVENT_KIND_DOOR_CLOSED or the order, and kl_command_wait waits for it.
 * - KL_NOT_DONE: it did not happen and will not. The same name may be tried again.
 * - KL_UNKNOWN: it may have opened. kl_command_resolve, a callback, a sensor or a person settles it.
 *
 * The same request_id again never opens twice: after *done* it gives the recorded answer; after *unknown* it asks the
 * platform what became of it, and only if that proves that nothing happened is it sent, else the answer is
 * KL_E_UNSETTLED. With state_dir that holds across restarts and power cuts, as docs/journal.md says: the record of
 * the sending is on the disk before the first byte leaves (KL_E_JOURNAL... and nothing sent if it cannot be), and all
 * processes that share the folder share it. Without state_dir it is KL_E_CONFIG_MISSING, unless the setting is none.
 * While a command at a door is unknown and its request may still arrive, others there are KL_E_BLOCKED.
 *
 * Sent at most once, over a new connection or one that was in use a moment ago, never later than ttl_ms. What its result
 * needs is reserved before (KL_E_RESOURCE, and nothing is sent).
 *
 * Dingshang: dispenses the item item_no of the order order_no (POST /deliveries), or, as a test, what the lane
 * door holds (POST /deliveries/debug); the result is in the order after 120 s at the latest, and comes as
 * KL_EVENT_KIND_DELIVERY.
 *
 * End the result with kl_command_free.
 *
 * Codes: *command*.
 */
KL_MUST_USE kl_outcome kl_door_open(kl_client *client,
                                    const kl_door_request *request,
                                    kl_command **out,
                                    kl_error *err);

/**
 * What kl_door_open would refuse of this request, by the same rules: KL_OK if nothing. Sends nothing and records nothing,
 * so it says nothing of what the platform or an earlier command of this name will say. Check the door of a visit before its
 * code is redeemed.
 *
 * Codes: KL_E_UNSUPPORTED, KL_E_CONFIG_MISSING.
 */
KL_MUST_USE kl_status kl_door_check(kl_client *client,
                                    const kl_door_request *request,
                                    kl_error *err);

/** What a command does: KL_COMMAND_KIND_*. */
typedef int32_t kl_command_kind;
/** The command opens a door or pushes goods out. */
#define KL_COMMAND_KIND_DOOR 1
/** The command uses up a pickup code. */
#define KL_COMMAND_KIND_REDEEM 2
/** The command is another write: an order, a payment report, a refund, an appeal. */
#define KL_COMMAND_KIND_WRITE 3

/** What the machine did after a command: KL_PHYSICAL_STATE_*. */
typedef int32_t kl_physical_state;
/** Nothing moves by this command. */
#define KL_PHYSICAL_STATE_NONE 0
/** It is not known yet what the machine did. */
#define KL_PHYSICAL_STATE_PENDING 1
/** The door opened, or the goods came out. */
#define KL_PHYSICAL_STATE_CONFIRMED 2
/** The machine reports that it did not. */
#define KL_PHYSICAL_STATE_FAILED 3
/** The platform does not know what the machine did. */
#define KL_PHYSICAL_STATE_UNKNOWABLE 4

/** Who settled what became of a command: KL_SETTLED_BY_*. */
typedef int32_t kl_settled_by;
/** The outcome is not known yet. */
#define KL_SETTLED_BY_NOBODY 0
/** The platform's answer; or the call itself, if it could not be sent. */
#define KL_SETTLED_BY_ANSWER 1
/** The platform, asked later (a query). */
#define KL_SETTLED_BY_QUERY 2
/** The platform, by a callback. */
#define KL_SETTLED_BY_EVENT 3
/** A sensor at the machine. */
#define KL_SETTLED_BY_SENSOR 4
/** A person. */
#define KL_SETTLED_BY_PERSON 5
/** The journal: the process ended before it had sent anything. */
#define KL_SETTLED_BY_JOURNAL 6

/** What is known of a command. Lives as long as its kl_command; texts are never NULL. */
typedef struct kl_command_info {
  /** Your name for it. */
  const char *request_id;
  /** The customer's visit that it belongs to; empty for none. */
  const char *visit_id;
  /** Your own text, as they were given with it. */
  const char *context;
  /**
   * The number by which the platform's record shows that it is ours; empty where the platform keeps none.
   */
  const char *mark;
  /** The platform's order that it made or belongs to. */
  const char *order_no;
  /**
   * The item of that order that can be dispensed, where the platform numbers them (Dingshang: record_id).
   */
  const char *item_no;
  /** The number by which a delivery can be asked for (Dingshang: delivery_id). */
  const char *delivery_no;
  /**
   * Where the payment of that order must be reported (kl_payment_report); empty if the platform gave none.
   */
  const char *report_url;
  /** The platform's data as JSON. */
  const char *json;
  /** The cabinet. */
  const char *cabinet_id;
  /** The door, or the lane. */
  const char *door;
  /** Why the machine did not do it, in the platform's message. */
  const char *physical_error;
  /** status as a sentence, or the note of whoever settled it. */
  const char *message;
  /** What it does: KL_COMMAND_KIND_*. */
  kl_command_kind kind;
  /** What became of it. */
  kl_outcome outcome;
  /** Physical result, independent of the outcome: KL_PHYSICAL_STATE_*. */
  kl_physical_state physical;
  /** Source of the outcome: KL_SETTLED_BY_*. */
  kl_settled_by settled_by;
  /**
   * Why it is not done: KL_E_IN_FLIGHT while it is under way, KL_E_KEPT while it waits to be sent, else how its call ended;
   * KL_OK for done.
   */
  kl_status status;
  /** 1 if this was answered from memory and nothing was sent this time. */
  int32_t recorded;
  /** How long it is too early to settle it as not done, in milliseconds; 0: it is taken now. */
  uint32_t mature_in_ms;
  /** Which verb it is: KL_VERB_*; 0 if it was so long ago that only its fingerprint is left. */
  kl_verb verb;
  /** Its place in the order of all commands of the account; grows whatever the clock does. */
  uint64_t sequence;
  /** How long ago it was begun, in milliseconds, whatever the clocks were set to meanwhile. */
  uint64_t age_ms;
  /** When it was begun, Unix seconds by the device's clock; for people. */
  int64_t started_at;
  /** When its first byte was about to leave, Unix seconds by the device's clock; 0 if none was. */
  int64_t sent_at;
  /**
   * It waits to be sent by the library (KL_E_KEPT): for so many milliseconds at most, then it is not done. 0: it does not
   * wait.
   */
  uint32_t kept_for_ms;
} kl_command_info;

/** What is known of a command. Borrowed from it; NULL if this is no command. */
const kl_command_info *kl_command_view(const kl_command *command);

/** Frees a command's record here; the door stays as it is. NULL does nothing. */
void kl_command_free(kl_command *command);

/* ---- Orders and money --------------------------------------------------------------------------------------------
 * Orders are read, made and paid for. Each write is sent at most once; what is returned says whether it is done,
 * not done or unknown. */

/** Which kind of machine an order is of: KL_ORDER_KIND_*. */
typedef int32_t kl_order_kind;
/** Orders of cabinets with doors. */
#define KL_ORDER_KIND_CABINET 0
/** Orders of vending machines that push the goods out. */
#define KL_ORDER_KIND_VENDING 1

/** Which order: kl_order_ref r = KL_ORDER_REF_INIT;. At least one of the two numbers must be there. */
typedef struct kl_order_ref {
  /** sizeof this struct. */
  uint32_t struct_size;
  /** KL_ORDER_KIND_CABINET or KL_ORDER_KIND_VENDING. */
  kl_order_kind kind;
  /** The platform's number; may be NULL. */
  const char *order_no;
  /** The payment channel's or your own number; may be NULL. */
  const char *trade_no;
  /** The cabinet, where the platform asks for it (Dingshang); may be NULL. */
  const char *cabinet_id;
  /** More parameters for the platform, a JSON object; may be NULL. */
  const char *extra_json;
} kl_order_ref;
#define KL_ORDER_REF_INIT {sizeof(kl_order_ref), 0, NULL, NULL, NULL, NULL}

/** A list of orders. Opaque. */
typedef struct kl_orders kl_orders;

/**
 * One order (Yopoint: cabinet.order.get, https://yopointapi.apifox.cn/api-150924989, or consumer.order.get;
 * Dingshang: POST /orders/{order_no}, which needs cabinet_id too), as a list of one. Tried again inside
 * timeout_ms when the network fails. End the result with kl_orders_free.
 *
 * Codes: *network*, *platform*.
 */
KL_MUST_USE kl_status kl_order_get(kl_client *client,
                                   const kl_order_ref *order,
                                   kl_orders **out,
                                   kl_error *err);

/** Which orders: kl_order_query q = KL_ORDER_QUERY_INIT;. */
typedef struct kl_order_query {
  /** sizeof this struct. */
  uint32_t struct_size;
  /** KL_ORDER_KIND_CABINET or KL_ORDER_KIND_VENDING. */
  kl_order_kind kind;
  /** From this time on, Unix seconds. */
  int64_t from;
  /** To this time, Unix seconds, itself included. */
  int64_t to;
  /** More parameters for the platform, a JSON object; may be NULL. */
  const char *extra_json;
} kl_order_query;
#define KL_ORDER_QUERY_INIT {sizeof(kl_order_query), 0, 0, 0, NULL}

/**
 * The orders of a period (Yopoint: cabinet.order.list, https://yopointapi.apifox.cn/api-151045316, or
 * consumer.order.list; Youzan: trades.sold.get): one page, or all of them if page is NULL. Periods longer than a
 * platform lists at once (Youzan: 89 days) are split and joined, oldest first; a page of one is refused. Tried again
 * inside timeout_ms when the network fails. End the result with kl_orders_free.
 *
 * Codes: *network*, *platform*.
 */
KL_MUST_USE kl_status kl_order_list(kl_client *client,
                                    const kl_order_query *query,
                                    const kl_page *page,
                                    kl_orders **out,
                                    kl_error *err);

/** How many orders the list holds; 0 if the handle is not a list. */
size_t kl_orders_count(const kl_orders *list);

/** What became of goods that a machine pushes out: KL_DELIVERY_STATE_*. */
typedef int32_t kl_delivery_state;
/** The platform does not say. */
#define KL_DELIVERY_STATE_UNKNOWN 0
/** The machine is to push the goods out. */
#define KL_DELIVERY_STATE_PENDING 1
/** The goods came out. */
#define KL_DELIVERY_STATE_DELIVERED 2
/** The goods did not come out. */
#define KL_DELIVERY_STATE_FAILED 3
/** The goods wait to be picked up. */
#define KL_DELIVERY_STATE_AWAITING_PICKUP 4
/** There were no goods; they are owed. */
#define KL_DELIVERY_STATE_OUT_OF_STOCK 5

/** Goods in an order. */
typedef struct kl_order_line {
  /** The bar code. */
  const char *barcode;
  /** The name. */
  const char *name;
  /** The price of one, in fen; -1 if unknown. */
  int64_t price;
  /** The price of all, in fen; -1 if unknown. */
  int64_t total;
  /** How many; -1 if unknown. */
  int32_t quantity;
  /** What became of it: KL_DELIVERY_STATE_*. */
  kl_delivery_state delivery;
  /**
   * The platform's number of this item, by which it is dispensed (Dingshang: record_id, the item_no of
   * kl_door_open).
   */
  const char *item_no;
  /** The platform's id of the goods in this cabinet. */
  const char *product_id;
  /** What became of it in the platform's own word. */
  const char *state_text;
} kl_order_line;

/** Whether an order is paid: KL_PAYMENT_STATE_*. */
typedef int32_t kl_payment_state;
/** The platform does not say. */
#define KL_PAYMENT_STATE_UNKNOWN 0
/** Not paid yet. */
#define KL_PAYMENT_STATE_UNPAID 1
/** Paid. */
#define KL_PAYMENT_STATE_PAID 2
/** The payment failed. */
#define KL_PAYMENT_STATE_FAILED 3

/** How far a customer's visit is, as the platform sees it: KL_SERVICE_STATE_*. */
typedef int32_t kl_service_state;
/** The platform does not say. */
#define KL_SERVICE_STATE_UNKNOWN 0
/** The visit has not begun. */
#define KL_SERVICE_STATE_NOT_STARTED 1
/** A visit is in progress. */
#define KL_SERVICE_STATE_IN_SERVICE 2
/** The visit is over. */
#define KL_SERVICE_STATE_ENDED 3

/** A purchase. Texts are never NULL, and empty where the platform does not say. */
typedef struct kl_order {
  /** The platform's number (Yopoint: ReceiptNo). */
  const char *order_no;
  /** The payment channel's or your own number. */
  const char *trade_no;
  /** The cabinet or machine. */
  const char *cabinet_id;
  /** The platform's id of the customer. */
  const char *user_id;
  /** The payment channel's id of the customer. */
  const char *open_id;
  /** Why a delivery failed, in the platform's message. */
  const char *delivery_error;
  /** Why a refund was asked for, as the platform names it. */
  const char *refund_reason;
  /** The platform's own record as JSON. */
  const char *json;
  /** The goods, a pointer to each; NULL if line_count is 0. */
  const kl_order_line *const *lines;
  /** The goods that went back, a pointer to each; NULL if refunded_line_count is 0. */
  const kl_order_line *const *refunded_lines;
  /** How many lines. */
  size_t line_count;
  /** How many refunded lines. */
  size_t refunded_line_count;
  /** The sum, in fen; -1 if unknown. */
  int64_t amount;
  /** What went back, in fen. */
  int64_t refunded;
  /** When it was made, Unix seconds; 0 if unknown. */
  int64_t created_at;
  /** When it was paid, Unix seconds; 0 if not, or unknown. */
  int64_t paid_at;
  /** When a refund was asked for, Unix seconds; 0 if not, or unknown. */
  int64_t refund_at;
  /** Which kind of machine it is of: KL_ORDER_KIND_*. */
  kl_order_kind kind;
  /** Whether it is paid: KL_PAYMENT_STATE_*. */
  kl_payment_state payment;
  /** How it was paid, as the platform numbers it; -1 if unknown. */
  int32_t pay_type;
  /** How far the visit is: KL_SERVICE_STATE_*. */
  kl_service_state service;
  /** The door: KL_DOOR_STATE_*. */
  kl_door_state door;
  /** What became of the goods, where they are pushed out: KL_DELIVERY_STATE_*. */
  kl_delivery_state delivery;
  /** The platform marked it for review: 1, 0, or -1 if unknown. */
  int32_t suspicious;
  /** The refund the customer asked for, as the platform numbers it; 0 for none. */
  int32_t refund_state;
  /** The order's state in the platform's own word (Dingshang: SUCCESS, PICKUPCODE, NOTPAY, …). */
  const char *state_text;
} kl_order;

/** An order of the list; NULL if index is not below the count. Borrowed from the list. */
const kl_order *kl_orders_at(const kl_orders *list, size_t index);

/** How many orders there are in all; -1 if the platform does not say. */
int64_t kl_orders_total(const kl_orders *list);

/** Whether more pages follow: 1, 0, or -1 if unknown until the next one is asked for. */
int32_t kl_orders_more(const kl_orders *list);

/** Frees a list. NULL does nothing. */
void kl_orders_free(kl_orders *list);

/** Orders, one after the other. Opaque; one thread at a time. */
typedef struct kl_order_iter kl_order_iter;

/**
 * Walks the orders of a period page by page, holding one page in memory. page_size 0 means the most that the
 * platform documents. Sends nothing yet; the query is copied. End it with kl_order_iter_free.
 *
 * Codes: none of its own.
 */
KL_MUST_USE kl_status kl_order_iter_new(kl_client *client,
                                        const kl_order_query *query,
                                        uint32_t page_size,
                                        kl_order_iter **out,
                                        kl_error *err);

/**
 * The next order in *item, or NULL there after the last one, both with KL_OK. It is borrowed until the next call.
 * After an error the same page is asked for again.
 *
 * Codes: *network*, *platform*.
 */
KL_MUST_USE kl_status kl_order_iter_next(kl_order_iter *iter, const kl_order **item, kl_error *err);

/** Frees an iterator. NULL does nothing. */
void kl_order_iter_free(kl_order_iter *iter);

/** What is reported of a payment: KL_PAYMENT_RESULT_*. */
typedef int32_t kl_payment_result;
/** The customer paid. */
#define KL_PAYMENT_RESULT_PAID 1
/** The payment failed. */
#define KL_PAYMENT_RESULT_FAILED -1

/**
 * A payment to be reported: kl_payment_report_request r = KL_PAYMENT_REPORT_REQUEST_INIT;. Texts may be NULL where
 * it says so.
 */
typedef struct kl_payment_report_request {
  /** sizeof this struct. */
  uint32_t struct_size;
  /** KL_PAYMENT_RESULT_PAID or KL_PAYMENT_RESULT_FAILED. */
  kl_payment_result result;
  /** What was paid, in fen; negative leaves it out. */
  int64_t amount;
  /**
   * Yopoint: the address that the platform gave for this order, from the opened door or from an event. Elsewhere NULL.
   */
  const char *report_url;
  /** The platform's order number. */
  const char *order_no;
  /** The cabinet, where the platform asks for it (Dingshang); may be NULL. */
  const char *cabinet_id;
  /** The payment channel's number; may be NULL. */
  const char *trade_no;
  /** The payment channel's raw answer, a JSON object; NULL sends {}. */
  const char *channel_json;
  /** More fields, a JSON object; may be NULL. */
  const char *extra_json;
  /**
   * Your name for this act, 1 to 128 bytes: under the same name it is sent at most once, as kl_door_open says. NULL: this
   * call sends it at most once, and nothing is remembered.
   */
  const char *request_id;
  /** The customer's visit that it belongs to, at most KL_VISIT_ID_MAX bytes; may be NULL. */
  const char *visit_id;
  /** Your own text, kept with it and given back, at most KL_CONTEXT_MAX bytes; may be NULL. */
  const char *context;
  /**
   * If no byte of it can leave now (no network, no connection, no TLS), the library keeps it in the journal and sends it by
   * itself, within so many milliseconds of this call: KL_UNKNOWN with KL_E_KEPT. 0: it does not. Needs state_dir.
   */
  uint32_t send_within_ms;
} kl_payment_report_request;
#define KL_PAYMENT_REPORT_REQUEST_INIT {sizeof(kl_payment_report_request), 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 0}

/** What a platform answered, as JSON. Opaque. */
typedef struct kl_response kl_response;

/**
 * Reports to the platform that an order was paid, or that the payment failed. Required for every order that a door
 * made, or it stays unpaid forever. Signed with pay_key. Yopoint, scenario 1 (doc-3556228); the fields follow the
 * older vending form of the same report, which is inferred to hold for cabinets. Dingshang: PUT /orders/{order_no}
 * with status 1 or 6, within 20 minutes of making the order; the amount and the channel's answer are not sent. It is
 * recorded like a door's command and needs state_dir as that does. With send_within_ms a report that cannot leave now
 * (KL_E_KEPT) is sent later by the library: do nothing, and do not repeat it under another name. End the result with
 * kl_response_free.
 *
 * Codes: KL_E_KEPT, *command*.
 */
KL_MUST_USE kl_outcome kl_payment_report(kl_client *client,
                                         const kl_payment_report_request *request,
                                         kl_response **out,
                                         kl_error *err);

/** A refund or an appeal: kl_claim_request r = KL_CLAIM_REQUEST_INIT;. */
typedef struct kl_claim_request {
  /** sizeof this struct. */
  uint32_t struct_size;
  /**
   * If no byte of it can leave now (no network, no connection, no TLS), the library keeps it in the journal and sends it by
   * itself, within so many milliseconds of this call: KL_UNKNOWN with KL_E_KEPT. 0: it does not. Needs state_dir.
   */
  uint32_t send_within_ms;
  /** The platform's order number. */
  const char *order_no;
  /** The cabinet, where the platform asks for it (Dingshang); may be NULL. */
  const char *cabinet_id;
  /** Why, as the platform names it (Yopoint: REFUNDS_REASON_PRODUCT_NOT_MATCH, …); may be NULL. */
  const char *reason;
  /** The customer's message; may be NULL. */
  const char *remarks;
  /** The customer's phone number; may be NULL. */
  const char *phone;
  /** More parameters, a JSON object; may be NULL. */
  const char *extra_json;
  /**
   * Your name for this act, 1 to 128 bytes: under the same name it is sent at most once, as kl_door_open says. NULL: this
   * call sends it at most once, and nothing is remembered.
   */
  const char *request_id;
  /** The customer's visit that it belongs to, at most KL_VISIT_ID_MAX bytes; may be NULL. */
  const char *visit_id;
  /** Your own text, kept with it and given back, at most KL_CONTEXT_MAX bytes; may be NULL. */
  const char *context;
} kl_claim_request;
#define KL_CLAIM_REQUEST_INIT {sizeof(kl_claim_request), 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL}

/**
 * Asks for a full refund on the customer's behalf (Yopoint: cabinet.order.refund.apply). Staff approve it later; the
 * event KL_EVENT_KIND_REFUND_APPROVED then asks you to pay back. Parameter names beside the order number are inferred.
 * Dingshang: PUT /orders/{order_no} with status 2 marks the order and returns the stock; it moves no money.
 * KL_E_BLOCKED, and nothing sent, while it is not known what became of a command of this order. It is recorded like
 * a door's command and needs state_dir as that does. send_within_ms as for kl_payment_report. End the result with
 * kl_response_free.
 *
 * Codes: KL_E_KEPT, *command*.
 */
KL_MUST_USE kl_outcome kl_refund_apply(kl_client *client,
                                       const kl_claim_request *request,
                                       kl_response **out,
                                       kl_error *err);

/**
 * Disputes the goods of an order on the customer's behalf (Yopoint: cabinet.order.user.appeal). Before payment the
 * corrected goods come as KL_EVENT_KIND_RECOGNIZED again; after it a new order comes as KL_EVENT_KIND_ORDER_REPLACED and the
 * old one is refunded. Parameter names beside the order number are inferred. It is recorded like a door's command and
 * needs state_dir as that does. send_within_ms as for kl_payment_report. End the result with kl_response_free.
 *
 * Codes: KL_E_KEPT, *command*.
 */
KL_MUST_USE kl_outcome kl_appeal_file(kl_client *client,
                                      const kl_claim_request *request,
                                      kl_response **out,
                                      kl_error *err);

/** Goods for an order to be made: kl_order_create_line l = KL_ORDER_CREATE_LINE_INIT;. */
typedef struct kl_order_create_line {
  /** sizeof this struct. */
  uint32_t struct_size;
  /** How many. */
  uint32_t quantity;
  /** The platform's id of the goods in this cabinet. */
  const char *product_id;
} kl_order_create_line;
#define KL_ORDER_CREATE_LINE_INIT {sizeof(kl_order_create_line), 0, NULL}

/** An order to be made: kl_order_create_request r = KL_ORDER_CREATE_REQUEST_INIT;. */
typedef struct kl_order_create_request {
  /** sizeof this struct. */
  uint32_t struct_size;
  /** How many lines. */
  uint32_t line_count;
  /** The goods, a pointer to each. */
  const kl_order_create_line *const *lines;
  /** The cabinet. */
  const char *cabinet_id;
  /** Your own number for it, unique (Dingshang: 20 to 32 characters, digits preferred). */
  const char *trade_no;
  /** Callback URL for the delivery. */
  const char *notify_url;
  /** More parameters, a JSON object; may be NULL. */
  const char *extra_json;
  /**
   * Your name for this act, 1 to 128 bytes: under the same name it is sent at most once, as kl_door_open says. NULL: this
   * call sends it at most once, and nothing is remembered.
   */
  const char *request_id;
  /** The customer's visit that it belongs to, at most KL_VISIT_ID_MAX bytes; may be NULL. */
  const char *visit_id;
  /** Your own text, kept with it and given back, at most KL_CONTEXT_MAX bytes; may be NULL. */
  const char *context;
} kl_order_create_request;
#define KL_ORDER_CREATE_REQUEST_INIT {sizeof(kl_order_create_request), 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL}

/**
 * Makes an order (Yopoint: consumer.order.create, for a vending machine; Dingshang: POST /orders). The result holds one order with its number and yours, and nothing else
 * yet: ask for the rest with kl_order_get. Sent at most once; after *unknown* look for your number before you make
 * another. It is recorded like a door's command and needs state_dir as that does. End the result with
 * kl_orders_free.
 *
 * Codes: *command*.
 */
KL_MUST_USE kl_outcome kl_order_create(kl_client *client,
                                       const kl_order_create_request *request,
                                       kl_orders **out,
                                       kl_error *err);

/**
 * The platform's data as JSON text; "null" if it sent none. Borrowed from the response. NULL if this is no
 * response.
 */
const char *kl_response_json(const kl_response *response);

/** Frees a response. NULL does nothing. */
void kl_response_free(kl_response *response);

/* ---- Pickup codes ------------------------------------------------------------------------------------------------
 * Redeemed, which is a command as the opening of a door is; looked up, listed, made, cancelled. */

/** What a pickup code is for: KL_CODE_KIND_*. */
typedef int32_t kl_code_kind;
/**
 * The platform's usual kind of code (Yopoint: a voucher code; Dingshang: a pickup code; Youzan: a self-fetch code).
 */
#define KL_CODE_KIND_PICKUP 0
/** Youzan: a code for virtual goods. */
#define KL_CODE_KIND_VIRTUAL 1
/** Youzan: an e-voucher. */
#define KL_CODE_KIND_VOUCHER 2

/**
 * A code to be redeemed: kl_redeem_request r = KL_REDEEM_REQUEST_INIT;. Texts may be NULL but for request_id and code.
 */
typedef struct kl_redeem_request {
  /** sizeof this struct. */
  uint32_t struct_size;
  /** Not to be sent later than this after the call, in milliseconds; 0 for the setting command_ttl_ms. */
  uint32_t ttl_ms;
  /** What the code is for: KL_CODE_KIND_*. */
  kl_code_kind kind;
  /** 0. */
  uint32_t reserved;
  /**
   * Your name for this customer's action, 1 to 128 bytes; under the same name a code is redeemed at most once. Name the
   * visit, never the code: codes come again.
   */
  const char *request_id;
  /** The code that the customer typed. */
  const char *code;
  /** The cabinet, where the platform asks for it (Dingshang). */
  const char *cabinet_id;
  /** The goods of the code, where the platform asks for them (Dingshang). */
  const char *product_id;
  /**
   * Your own order number, where the platform keeps one (Dingshang: trade_id, 20 to 32 characters); NULL to have one
   * made.
   */
  const char *trade_no;
  /** Callback URL for the delivery (Dingshang: required). */
  const char *notify_url;
  /** Who redeems, for the platform's books (Youzan: extra_info). */
  const char *redeemer;
  /** More parameters for the platform, a JSON object. */
  const char *extra_json;
  /**
   * The customer's visit that it belongs to, at most KL_VISIT_ID_MAX bytes. Commands of one visit are found again by it.
   */
  const char *visit_id;
  /**
   * Your own text, at most KL_CONTEXT_MAX bytes: kept with the command and given back by it, after a restart too.
   */
  const char *context;
} kl_redeem_request;
#define KL_REDEEM_REQUEST_INIT {sizeof(kl_redeem_request), 0, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL}

/**
 * What kl_code_redeem would refuse of this request, as kl_door_check says for doors. Sends nothing and records nothing.
 *
 * Codes: KL_E_UNSUPPORTED, KL_E_CONFIG_MISSING.
 */
KL_MUST_USE kl_status kl_redeem_check(kl_client *client,
                                      const kl_redeem_request *request,
                                      kl_error *err);

/**
 * Redeems a pickup code (Yopoint: activity.voucher.exchange; Dingshang: POST /consumes; Youzan:
 * trade.selffetchcode.apply and its like). KL_DONE: the code is used, and the goods may be released. KL_NOT_DONE and
 * KL_UNKNOWN as for kl_door_open; a code that another request is proved to have used is KL_E_CODE_USED and *not
 * done*. KL_E_CODE_TRIES: too many wrong codes at this cabinet, nothing was sent.
 *
 * Sent at most once for a request_id, except on Dingshang: there the same call again under the same request_id is the
 * way to ask. It cannot use a code twice: the refusal of a used code names its order, and if that order bears this
 * request's number the answer is *done*. kl_command_resolve never redeems; what it asks each platform is in
 * docs/proof.md.
 *
 * Dingshang moves nothing yet: dispense item_no of order_no with kl_door_open, under a request_id of its own.
 *
 * End the result with kl_command_free.
 *
 * Codes: KL_E_CODE_TRIES, *command*.
 */
KL_MUST_USE kl_outcome kl_code_redeem(kl_client *client,
                                      const kl_redeem_request *request,
                                      kl_command **out,
                                      kl_error *err);

/**
 * Which codes: kl_code_query q = KL_CODE_QUERY_INIT;. Texts may be NULL where the platform does not ask for them.
 */
typedef struct kl_code_query {
  /** sizeof this struct. */
  uint32_t struct_size;
  /** What the code is for: KL_CODE_KIND_*. */
  kl_code_kind kind;
  /** The code itself, for kl_code_lookup. */
  const char *code;
  /** The cabinet (Dingshang). */
  const char *cabinet_id;
  /** The goods (Dingshang lists by goods). */
  const char *product_id;
  /** More parameters, a JSON object. */
  const char *extra_json;
} kl_code_query;
#define KL_CODE_QUERY_INIT {sizeof(kl_code_query), 0, NULL, NULL, NULL, NULL}

/** A list of pickup codes. Opaque. */
typedef struct kl_codes kl_codes;

/**
 * Looks a code up without using it, as a list of one (Yopoint: activity.vouchercode.get, activity.voucher.get;
 * Dingshang: by POST /products/{id}/pickup_code, which finds only codes that can still be used; Youzan:
 * trade.selffetchcode.get and its like). KL_E_NOT_FOUND if there is no such code. It does not settle an *unknown*
 * redemption: kl_command_resolve does. Tried again inside timeout_ms when the network fails. End the result with kl_codes_free.
 *
 * Codes: *network*, *platform*.
 */
KL_MUST_USE kl_status kl_code_lookup(kl_client *client,
                                     const kl_code_query *query,
                                     kl_codes **out,
                                     kl_error *err);

/**
 * The codes of some goods that can still be used (Dingshang: POST /products/{id}/pickup_code). Tried again inside
 * timeout_ms when the network fails. End the result with kl_codes_free.
 *
 * Codes: *network*, *platform*.
 */
KL_MUST_USE kl_status kl_code_list(kl_client *client,
                                   const kl_code_query *query,
                                   kl_codes **out,
                                   kl_error *err);

/** How many codes the list holds; 0 if the handle is not a list. */
size_t kl_codes_count(const kl_codes *list);

/** The state of a pickup code: KL_CODE_STATE_*. */
typedef int32_t kl_code_state;
/** The platform does not say. */
#define KL_CODE_STATE_UNKNOWN 0
/** It can be redeemed. */
#define KL_CODE_STATE_UNUSED 1
/** It was redeemed. */
#define KL_CODE_STATE_USED 2
/** It has expired. */
#define KL_CODE_STATE_EXPIRED 3
/** A refund is in progress. */
#define KL_CODE_STATE_REFUNDING 4
/** It is disabled. */
#define KL_CODE_STATE_DISABLED 5

/** A pickup code. Texts are never NULL, and empty where the platform does not say. */
typedef struct kl_pickup_code {
  /** The text that the customer types. */
  const char *code;
  /** The platform's id of it, by which it is cancelled. */
  const char *id;
  /** The cabinet. */
  const char *cabinet_id;
  /** The goods. */
  const char *product_id;
  /** The order behind it. */
  const char *order_no;
  /** The state in the platform's own word. */
  const char *state_text;
  /** The platform's own record as JSON. */
  const char *json;
  /** The order's fields, where the platform sends them along, else NULL. */
  const kl_order *order;
  /** When it was made, Unix seconds; 0 if unknown. */
  int64_t created_at;
  /** When it ends, Unix seconds; 0 for never or unknown. */
  int64_t expires_at;
  /** When it was used, Unix seconds; 0 if not, or unknown. */
  int64_t used_at;
  /** What it is for: KL_CODE_KIND_*. */
  kl_code_kind kind;
  /** What state it is in: KL_CODE_STATE_*. */
  kl_code_state state;
  /** How many items it is good for; -1 if unknown. */
  int32_t quantity;
} kl_pickup_code;

/** A code of the list; NULL if index is not below the count. Borrowed from the list. */
const kl_pickup_code *kl_codes_at(const kl_codes *list, size_t index);

/** Frees a list. NULL does nothing. */
void kl_codes_free(kl_codes *list);

/** Codes to be made: kl_code_create_request r = KL_CODE_CREATE_REQUEST_INIT;. */
typedef struct kl_code_create_request {
  /** sizeof this struct. */
  uint32_t struct_size;
  /** How many; 0 for one. */
  uint32_t count;
  /** How many digits; 0 for the platform's default (Dingshang: 6; 6 to 10). */
  uint32_t length;
  /** 0. */
  uint32_t reserved;
  /** When they end, Unix seconds; 0 for never. */
  int64_t expires_at;
  /** The cabinet. */
  const char *cabinet_id;
  /** The goods; NULL for one code for each of the cabinet's goods. */
  const char *product_id;
  /** More parameters, a JSON object; may be NULL. */
  const char *extra_json;
} kl_code_create_request;
#define KL_CODE_CREATE_REQUEST_INIT {sizeof(kl_code_create_request), 0, 0, 0, 0, NULL, NULL, NULL}

/**
 * Makes codes and gives exactly the new ones (Dingshang: POST /pickup_codes, whose own answer is empty: the codes are
 * listed before and after, each step within timeout_ms, and one creation at a time for each cabinet; another one waits,
 * and ends with KL_E_BUSY). Sent at most once: if the answer is lost but the list shows the new codes, that is KL_DONE;
 * after *unknown* list the codes before you make more. Codes that another program makes for the same goods at the same
 * moment cannot always be told apart; then the outcome is *unknown* too. End the result with kl_codes_free.
 *
 * Codes: KL_E_BUSY, *network*, *platform*.
 */
KL_MUST_USE kl_outcome kl_code_create(kl_client *client,
                                      const kl_code_create_request *request,
                                      kl_codes **out,
                                      kl_error *err);

/** Codes to be cancelled: kl_code_cancel_request r = KL_CODE_CANCEL_REQUEST_INIT;. */
typedef struct kl_code_cancel_request {
  /** sizeof this struct. */
  uint32_t struct_size;
  /** 0. */
  uint32_t reserved;
  /** The cabinet. */
  const char *cabinet_id;
  /** The id of one code; NULL for all of the cabinet. */
  const char *id;
  /** More parameters, a JSON object; may be NULL. */
  const char *extra_json;
} kl_code_cancel_request;
#define KL_CODE_CANCEL_REQUEST_INIT {sizeof(kl_code_cancel_request), 0, NULL, NULL, NULL}

/**
 * Cancels one code, or all of a cabinet (Dingshang: PUT /pickup_codes; the codes are deleted, so that cancelling twice
 * answers KL_E_NOT_FOUND). Sent at most once. End the result with
 * kl_response_free.
 *
 * Codes: *network*, *platform*.
 */
KL_MUST_USE kl_outcome kl_code_cancel(kl_client *client,
                                      const kl_code_cancel_request *request,
                                      kl_response **out,
                                      kl_error *err);

/* ---- Commands and what became of them ----------------------------------------------------------------------------
 * What is recorded of doors, codes and other writes, and how what is unknown is settled: docs/journal.md. */

/**
 * Waits until it is known what the machine did, for at most timeout_ms; 0 asks once. KL_OK: the door opened, or the
 * goods came out. Otherwise outcome is what became of the command itself, and the status says:
 *
 * - KL_E_NOT_MOVED: the platform took the command but the machine did not do it; platform_message says why.
 * - KL_E_PENDING: the time was up.
 * - KL_E_UNKNOWABLE: the platform does not know, or nothing moves.
 * - KL_E_UNSETTLED: it is not known whether the command was taken at all.
 *
 * Fed by callbacks (kl_event_parse on any thread) and by questions at growing intervals: Yopoint by
 * notify.close.door and cabinet.order.get, Dingshang by POST /orders/{id} and POST /deliveries/{id}, up to 120 s
 * after the command. End the result with kl_command_free.
 *
 * Codes: KL_E_PENDING, KL_E_NOT_MOVED, KL_E_UNKNOWABLE, *command*.
 */
KL_MUST_USE kl_status kl_command_wait(kl_client *client,
                                      const char *request_id,
                                      uint32_t timeout_ms,
                                      kl_command **out,
                                      kl_error *err);

/**
 * What is recorded of a command, whatever its outcome: read outcome, physical and status of the result. Sends
 * nothing. KL_E_NOT_FOUND if there is none of this name. End the result with kl_command_free.
 *
 * Codes: KL_E_NOT_FOUND, *journal*.
 */
KL_MUST_USE kl_status kl_command_get(kl_client *client,
                                     const char *request_id,
                                     kl_command **out,
                                     kl_error *err);

/** A list of commands. Opaque. */
typedef struct kl_commands kl_commands;

/**
 * The commands that are under way, unknown, or wait to be sent (kept_for_ms), the oldest first: after a start, what the last run
 * left behind. Sends nothing.
 * End the result with kl_commands_free.
 *
 * Codes: *journal*.
 */
KL_MUST_USE kl_status kl_command_pending(kl_client *client,
                                         kl_commands **out,
                                         kl_error *err);

/** Which commands kl_command_list lists: KL_COMMAND_FILTER_*. */
typedef int32_t kl_command_filter;
/** All that are remembered. */
#define KL_COMMAND_FILTER_ANY 0
/** Those under way, those unknown, and those that wait to be sent. */
#define KL_COMMAND_FILTER_OPEN 1
/** Those that are done. */
#define KL_COMMAND_FILTER_DONE 2
/** Those that are not done. */
#define KL_COMMAND_FILTER_NOT_DONE 3
/** Those of which it is not known, without those under way. */
#define KL_COMMAND_FILTER_UNKNOWN 4

/**
 * The commands that are remembered by name, the oldest first: those with a sequence above since (0 for all) that
 * filter selects. Done ones that are remembered by their fingerprints only are not in it (docs/journal.md). Sends nothing. End the result with kl_commands_free.
 *
 * Codes: *journal*.
 */
KL_MUST_USE kl_status kl_command_list(kl_client *client,
                                      uint64_t since,
                                      kl_command_filter filter,
                                      kl_commands **out,
                                      kl_error *err);

/** How many commands the list holds; 0 if the handle is not a list. */
size_t kl_commands_count(const kl_commands *list);

/** A command of the list; NULL if index is not below the count. Borrowed from the list. */
const kl_command_info *kl_commands_at(const kl_commands *list, size_t index);

/** Frees a list. NULL does nothing. */
void kl_commands_free(kl_commands *list);

/**
 * Finds out what became of a command without ever doing it again: from the record, or by asking the platform in the way
 * that docs/proof.md lists. KL_DONE, and out holds it; KL_NOT_DONE: the same request_id may be tried again;
 * KL_UNKNOWN: it is still not known. After a restart call it for each that kl_command_pending lists. When the advice is
 * KL_ADVICE_CALL_PERSON, asking again will not help: a sensor or a person decides (kl_command_settle). A name that was
 * never begun is KL_E_NOT_FOUND and *not done*; one that waits to be sent is KL_E_KEPT. End the result with kl_command_free.
 *
 * Codes: KL_E_KEPT, *command*.
 */
KL_MUST_USE kl_outcome kl_command_resolve(kl_client *client,
                                          const char *request_id,
                                          kl_command **out,
                                          kl_error *err);

/**
 * Decides an unknown command by what was seen at the machine: outcome is KL_DONE or KL_NOT_DONE, by is
 * KL_SETTLED_BY_SENSOR or KL_SETTLED_BY_PERSON, note may be NULL and is kept. Frees the door for new commands. Sends nothing. Settling
 * twice with the same outcome is not an error; a command that is settled the other way is not changed (KL_E_REQUEST_ID).
 *
 * *Done* is taken at any time. *Not done* is KL_E_TOO_EARLY while the request may still reach the machine
 * (mature_in_ms of the command, retry_after_ms of the error): look at the door after that time, not before.
 * KL_E_IN_FLIGHT while the process that sends it lives. A command that waits to be sent by the library is
 * withdrawn by *not done*, at once.
 *
 * Codes: KL_E_NOT_FOUND, KL_E_REQUEST_ID, KL_E_IN_FLIGHT, KL_E_TOO_EARLY, *journal*.
 */
KL_MUST_USE kl_status kl_command_settle(kl_client *client,
                                        const char *request_id,
                                        kl_outcome outcome,
                                        kl_settled_by by,
                                        const char *note,
                                        kl_error *err);

/**
 * A person decides an unknown command although it is too early to say *not done*: they take it on themselves that nothing
 * is on its way any more. Never for a program to call by itself. Otherwise as kl_command_settle with KL_SETTLED_BY_PERSON;
 * note says who and why, and is kept. Sends nothing.
 *
 * Codes: KL_E_NOT_FOUND, KL_E_REQUEST_ID, KL_E_IN_FLIGHT, *journal*.
 */
KL_MUST_USE kl_status kl_command_overrule(kl_client *client,
                                          const char *request_id,
                                          kl_outcome outcome,
                                          const char *note,
                                          kl_error *err);

/** How the journal of commands does. Yours: kl_journal_info info = KL_JOURNAL_INFO_INIT;. */
typedef struct kl_journal_info {
  /** sizeof(kl_journal_info). */
  uint32_t struct_size;
  /** 1 if it is damaged: nothing is sent before kl_journal_repair. */
  int32_t damaged;
  /** Its length in bytes; 0 without state_dir. */
  uint64_t bytes;
  /** Commands that are known to be done or not done. */
  uint64_t settled;
  /** Commands that are unknown or under way. */
  uint64_t unsettled;
  /** How often this process synced it to the disk: once for each command. */
  uint64_t syncs;
  /** How long the last sync took, in microseconds. */
  uint64_t sync_last_us;
  /** The longest of them, in microseconds. */
  uint64_t sync_max_us;
  /** All of them together, in microseconds. */
  uint64_t sync_total_us;
  /** Where it is; cut if it is longer. */
  char path[256];
  /** The names of done commands that are remembered. */
  uint64_t names;
  /** How often a person adopted the installation's journal. */
  uint32_t epoch;
  /** 0. */
  uint32_t reserved;
  /** Where it is damaged. */
  char damage[64];
  /** The installation that it belongs to; empty without state_dir. */
  char installation[64];
  /** The kind of file system that it is on, ext4; empty if that is not known. */
  char file_system[32];
  /** Visits that are open. */
  uint64_t visits;
} kl_journal_info;
#define KL_JOURNAL_INFO_INIT {sizeof(kl_journal_info), 0, 0, 0, 0, 0, 0, 0, 0, {0}, 0, 0, 0, {0}, {0}, {0}, 0}

/**
 * How the journal does: its size, what is unsettled, how long the disk takes. Sends nothing.
 *
 * Codes: *journal*.
 */
KL_MUST_USE kl_status kl_journal_read(kl_client *client, kl_journal_info *out, kl_error *err);

/**
 * After KL_E_JOURNAL_DAMAGED, when a person has decided to go on: puts the damaged file aside, beside the new one, and
 * keeps every record that could be read. What the damaged part knew is lost: a request_id from there would be sent
 * again. Does nothing to a journal that is whole. Sends nothing.
 *
 * Codes: *journal*.
 */
KL_MUST_USE kl_status kl_journal_repair(kl_client *client,
                                        kl_error *err);

/**
 * After KL_E_JOURNAL_MISSING, KL_E_JOURNAL_OLDER or KL_E_JOURNAL_COPIED, when a person has decided to go on with what
 * there is: a new epoch begins, and names from before are not given again. What the lost journal knew is lost: look at what
 * was under way first. note says who and why, and is kept. Sends nothing.
 *
 * Codes: *journal*.
 */
KL_MUST_USE kl_status kl_journal_adopt(kl_client *client,
                                       const char *note,
                                       kl_error *err);

/* ---- Visits ------------------------------------------------------------------------------------------------------
 * The commands of one customer, kept together until they are closed. */

/** A list of visits. Opaque. */
typedef struct kl_visits kl_visits;

/**
 * The visits that are open, the oldest first, each with its commands and what became of them: after a start, what the power
 * or a crash interrupted, also where every command is settled. A code that was redeemed and whose goods never came stands
 * here until kl_visit_close. A visit begins with the first command that bears its visit_id. Open visits never keep a
 * command from being sent; of those that nobody closes the newest 256 are kept (docs/journal.md). Sends nothing. End the
 * result with kl_visits_free.
 *
 * Codes: *journal*.
 */
KL_MUST_USE kl_status kl_visit_list(kl_client *client,
                                    kl_visits **out,
                                    kl_error *err);

/**
 * Ends a visit: it is not listed any more. Its commands stay as they are; one that is unknown stays in
 * kl_command_pending. Closing it again, or one that has no commands, is no error. Another command with its visit_id
 * opens it again. It is on the disk when this returns KL_OK. Sends nothing.
 *
 * Codes: *journal*.
 */
KL_MUST_USE kl_status kl_visit_close(kl_client *client,
                                     const char *visit_id,
                                     kl_error *err);

/** How many visits the list holds; 0 if the handle is not a list. */
size_t kl_visits_count(const kl_visits *list);

/**
 * A customer's visit: the commands that bear its visit_id. Lives as long as its list; texts are never NULL.
 */
typedef struct kl_visit {
  /** Your name for it. */
  const char *visit_id;
  /** Its commands that are remembered, the oldest first. */
  const kl_command_info *const *commands;
  /** How many; at least one. */
  size_t command_count;
  /** When the first of them was begun, Unix seconds by the device's clock; for people. */
  int64_t started_at;
  /** How long ago that was, in milliseconds, as age_ms of the command. */
  uint64_t age_ms;
  /** How many of them are KL_DONE. */
  uint32_t done_count;
  /** How many are KL_UNKNOWN: unknown, under way, or waiting to be sent. */
  uint32_t unknown_count;
} kl_visit;

/** A visit of the list; NULL if index is not below the count. Borrowed from the list. */
const kl_visit *kl_visits_at(const kl_visits *list, size_t index);

/** Frees a list. NULL does nothing. */
void kl_visits_free(kl_visits *list);

/* ---- Views -------------------------------------------------------------------------------------------------------
 * The same client with a timeout and a cancel of its own: docs/threads.md. */

/** What a view has of its own: kl_view_options o = KL_VIEW_OPTIONS_INIT;. */
typedef struct kl_view_options {
  /** sizeof(kl_view_options). */
  uint32_t struct_size;
  /**
   * The most that a call may take, from entry to answer, up to one hour. It counts anew for each call. 0: that of the
   * client.
   */
  uint32_t timeout_ms;
} kl_view_options;
#define KL_VIEW_OPTIONS_INIT {sizeof(kl_view_options), 0}

/**
 * Makes a view of a client: the same account, journal, connections, token and time, with a timeout and a cancel of its
 * own. Every function takes it for a client. So a stock page can be given up without touching a door, and a call be
 * shorter than the others. options may be NULL. A view may be made of a view. Sends nothing. End it with
 * kl_client_free.
 * A timeout longer than an hour is KL_E_ARGUMENT.
 *
 * Codes: none of its own.
 */
KL_MUST_USE kl_status kl_client_view(kl_client *client,
                                     const kl_view_options *options,
                                     kl_client **view,
                                     kl_error *err);

/* ---- Jobs --------------------------------------------------------------------------------------------------------
 * Functions of your own on threads of the library, for a loop that must not block: docs/threads.md. */

/**
 * The function of a job. It runs on a thread of the library, with a view of the client that is its own: every blocking call
 * is made through that. The library frees the view when the function has returned. What it returns is the job's result.
 */
typedef int32_t (*kl_task_fn)(kl_client *client, void *user);

/** Ends what a job was given, as free does. */
typedef void (*kl_task_release_fn)(void *user);

/** How a job is run: kl_task_options o = KL_TASK_OPTIONS_INIT;. */
typedef struct kl_task_options {
  /** sizeof(kl_task_options). */
  uint32_t struct_size;
  /** The most that each call through the job's view may take, up to one hour; 0: that of the client. */
  uint32_t timeout_ms;
  /**
   * The job is not begun later than this after kl_task_start; 0: no bound. One that was not begun has ended as
   * KL_TASK_STATE_NOT_STARTED with KL_E_STALE.
   */
  uint32_t start_within_ms;
  /**
   * 1 for a job that opens a door or acts otherwise: it is taken before those that only read, and never waits for them to
   * end.
   */
  int32_t acts;
  /**
   * Called with user once, when the job has ended and its handle is freed: in kl_task_free, or where the job ends
   * after that, on a thread of the library or in kl_client_free. NULL: nothing is.
   */
  kl_task_release_fn release;
} kl_task_options;
#define KL_TASK_OPTIONS_INIT {sizeof(kl_task_options), 0, 0, 0, 0}

/** How far a job is: KL_TASK_STATE_*. */
typedef int32_t kl_task_state;
/** It waits for a thread. */
#define KL_TASK_STATE_WAITING 1
/** Its function runs. */
#define KL_TASK_STATE_RUNNING 2
/** Its function returned; result is what. */
#define KL_TASK_STATE_RETURNED 3
/** Its function was not called and will not be: nothing was sent. status says why. */
#define KL_TASK_STATE_NOT_STARTED 4
/**
 * Its function left its thread by pthread_exit, or was torn out of it by pthread_cancel. What it had begun is in the
 * journal.
 */
#define KL_TASK_STATE_ABANDONED 5

/**
 * What is known of a job at the time of kl_task_view. Borrowed from the job, and written anew by the next kl_task_view
 * of it.
 */
typedef struct kl_task_info {
  /** What kl_task_start was given. */
  void *user;
  /** How far it is. */
  kl_task_state state;
  /** What its function returned; 0 in every other state. */
  int32_t result;
  /**
   * Why it was not started: KL_E_CANCELLED (kl_task_cancel, kl_client_free), KL_E_STALE (start_within_ms),
   * KL_E_RESOURCE, KL_E_RETIRED. KL_OK in every other state.
   */
  kl_status status;
  /** 1 after kl_task_cancel, in whatever state. */
  int32_t cancelled;
  /**
   * How long ago it was started by kl_task_start, in milliseconds; the time that the device sleeps counts.
   */
  uint64_t age_ms;
  /** How long its function has been running, or ran in all, in milliseconds. */
  uint64_t run_ms;
} kl_task_info;

/** A job. Opaque; it outlives its client. */
typedef struct kl_task kl_task;

/**
 * Runs function on a thread of the library, with a view of the client of its own, and returns at once. Inside it the ordinary
 * calls are made: to redeem a code and then open a door is one job. When the job has ended, kl_client_fd is readable and
 * kl_task_next gives it. The first job makes the threads (docs/threads.md); what they are made of is set by
 * task_threads and task_stack_kib. function may start jobs. It may leave its thread by pthread_exit, not by longjmp or a
 * C++ exception. options may be NULL. End the job's handle with kl_task_free, before or after it has ended.
 *
 * Errors: KL_E_BUSY at once if 32 jobs wait, run, or have ended and were not taken by kl_task_next (those with acts
 * are counted by themselves, up to 32 too); KL_E_RESOURCE for no thread or descriptor; KL_E_CANCELLED through the view
 * of a job that was cancelled; KL_E_ARGUMENT.
 *
 * Codes: KL_E_BUSY, KL_E_CANCELLED.
 */
KL_MUST_USE kl_status kl_task_start(kl_client *client,
                                    kl_task_fn function,
                                    void *user,
                                    const kl_task_options *options,
                                    kl_task **task,
                                    kl_error *err);

/**
 * The next job that has ended, in the order in which they did: each is given once, cancelled or not, unless its handle was
 * freed before. *task is the handle that kl_task_start gave. Waits for nothing.
 *
 * KL_OK with NULL there: none is under way, so none will come. KL_E_PENDING: none now, and some will.
 *
 * Codes: KL_E_PENDING.
 */
KL_MUST_USE kl_status kl_task_next(kl_client *client,
                                   kl_task **task,
                                   kl_error *err);

/**
 * Cancels a job for good. One that was not begun is not: it has ended as KL_TASK_STATE_NOT_STARTED. In one that runs, the
 * call under way ends with KL_E_CANCELLED and every later one answers it; its function goes on with that. After its end
 * nothing happens: a result is never replaced. Waits for nothing, takes no lock and may be called in a signal handler; so it
 * has no error, and does nothing for what is no job.
 */
void kl_task_cancel(kl_task *task);

/**
 * What is known of a job now; NULL for what is none. Borrowed, until the next kl_task_view of the same job or its
 * kl_task_free. Waits for nothing.
 */
const kl_task_info *kl_task_view(const kl_task *task);

/**
 * Frees a job's handle. One that waits or runs goes on, and only its result is forgotten: kl_task_next does not give it.
 * NULL does nothing.
 */
void kl_task_free(kl_task *task);

/**
 * A descriptor that is readable (poll, select, epoll) exactly while kl_task_next has a job to give: one for a client
 * and all its views, the same until kl_client_free, which closes it. Take it out of your loop first. Never read or close it.
 *
 * Codes: none of its own.
 */
KL_MUST_USE kl_status kl_client_fd(kl_client *client,
                                   int32_t *fd,
                                   kl_error *err);

/* ---- Callbacks ---------------------------------------------------------------------------------------------------
 * What a platform sends by itself, verified and taken apart: docs/flows.md has them step by step. */

/** What a callback is about: KL_EVENT_KIND_*. */
typedef int32_t kl_event_kind;
/** A kind that this version does not know; see method and json. */
#define KL_EVENT_KIND_OTHER 0
/** The platform probes the callback address. */
#define KL_EVENT_KIND_TEST 1
/** A door was shut, or never opened: see door. */
#define KL_EVENT_KIND_DOOR_CLOSED 2
/** The goods a customer took are recognised: charge, then report the payment to report_url. */
#define KL_EVENT_KIND_RECOGNIZED 3
/** An order is paid. */
#define KL_EVENT_KIND_ORDER_PAID 4
/** A refund was approved: refund through your own channel and answer with the result. */
#define KL_EVENT_KIND_REFUND_APPROVED 5
/** After an appeal: a new order replaces an old one. Charge it and report to report_url. */
#define KL_EVENT_KIND_ORDER_REPLACED 6
/** A vending machine pushed goods out, or failed to: see delivery. */
#define KL_EVENT_KIND_DELIVERY 7
/** A voucher code was redeemed. */
#define KL_EVENT_KIND_VOUCHER_REDEEMED 8
/** A cabinet's settings changed: see cabinet. */
#define KL_EVENT_KIND_CABINET_CHANGED 9
/** A return slip was made. */
#define KL_EVENT_KIND_RETURN_SLIP 10
/** Older vending flow: refund this order now and answer with the channel's raw result. */
#define KL_EVENT_KIND_REFUND_REQUESTED 11
/** Older vending flow: a refund is finished. */
#define KL_EVENT_KIND_REFUND_FINISHED 12
/** Older vending flow: the customer was sent to the payment page. */
#define KL_EVENT_KIND_PAY_PAGE 13
/** An order was made, shipped or changed; method says what happened. */
#define KL_EVENT_KIND_ORDER_CHANGED 14
/** An order is finished: the goods are handed over. */
#define KL_EVENT_KIND_ORDER_FINISHED 15
/** An order was closed: it will not be handed over. */
#define KL_EVENT_KIND_ORDER_CLOSED 16
/** A refund was asked for, decided or made; method says which. */
#define KL_EVENT_KIND_REFUND_CHANGED 17
/** The goods on sale or their stock changed: fetch them again. */
#define KL_EVENT_KIND_STOCK_CHANGED 18
/** The application's own subscription on the platform's market changed. */
#define KL_EVENT_KIND_APP_CHANGED 19

/** What a callback was signed with: KL_SIGNED_WITH_*. */
typedef int32_t kl_signed_with;
/**
 * Signed with nothing (Dingshang): any sender who knows your address could have sent it. Treat it as a hint: put a token
 * that cannot be guessed into notify_url, check it in your HTTP server, and confirm with kl_order_get.
 */
#define KL_SIGNED_WITH_NOTHING 0
/** Signed with the account's secret. */
#define KL_SIGNED_WITH_APP_SECRET 1
/** Signed with the payment key. */
#define KL_SIGNED_WITH_PAY_KEY 2
/**
 * Signed with the account's secret, but over the content alone: method and what else stands beside it is not covered
 * (Youzan without the header Event-Sign; hand the headers in).
 */
#define KL_SIGNED_WITH_CONTENT_ONLY 3
/** Not signed but encrypted with the account's secret (Youzan's market messages). */
#define KL_SIGNED_WITH_ENCRYPTED 4

/**
 * What a callback says. Lives as long as its kl_event; texts are never NULL, and empty where the callback does not
 * tell.
 */
typedef struct kl_event_info {
  /** What it is about: KL_EVENT_KIND_*. */
  kl_event_kind kind;
  /** 1 if this client saw it before and took it: answer it again, do nothing else. */
  int32_t duplicate;
  /** What it was signed with: KL_SIGNED_WITH_*. */
  kl_signed_with signed_with;
  /** The door: KL_DOOR_STATE_*. */
  kl_door_state door;
  /** What became of the goods: KL_DELIVERY_STATE_*. */
  kl_delivery_state delivery;
  /** When the platform signed it, Unix seconds; 0 if it does not say. */
  int64_t sent_at;
  /** When it was paid, or made, Unix seconds; 0 if unknown. */
  int64_t at;
  /** The sum, in fen; -1 if unknown. */
  int64_t amount;
  /** The platform's own name for the callback. */
  const char *method;
  /** The account it is for. */
  const char *app_id;
  /** The platform's id of this notice. */
  const char *notice_id;
  /** The order. */
  const char *order_no;
  /** The payment channel's number. */
  const char *trade_no;
  /** The cabinet or machine. */
  const char *cabinet_id;
  /** The platform's message about it. */
  const char *message;
  /** Where the payment must be reported. */
  const char *report_url;
  /** The voucher. */
  const char *voucher_id;
  /** The voucher's code. */
  const char *voucher_code;
  /** The store room of a return slip. */
  const char *depot_id;
  /** The account of the restocker. */
  const char *account_id;
  /** The business number of a return slip. */
  const char *biz_id;
  /** The platform's own content as JSON. */
  const char *json;
  /** The goods, a pointer to each; NULL if line_count is 0. */
  const kl_order_line *const *lines;
  /** How many lines. */
  size_t line_count;
  /** The order's fields, where the callback carries them, else NULL. */
  const kl_order *order;
  /** The cabinet's fields, where the callback carries them, else NULL. */
  const kl_cabinet *cabinet;
  /** The item of the order, where the platform numbers them (Dingshang: record_id). */
  const char *item_no;
  /** The platform's version of what the callback is about, higher for newer; 0 if it gives none. */
  int64_t version;
  /**
   * 1 if a newer version of the same was seen before by this client: what this callback says is no longer true.
   */
  int32_t stale;
} kl_event_info;

/** A callback, verified where the platform signs it. Opaque; one thread at a time. */
typedef struct kl_event kl_event;

/**
 * Verifies and parses a callback. headers are the header lines of the HTTP request, separated by newlines (may
 * be NULL); body is its body, byte for byte, len long. For a payment page of the older vending flow the body is the
 * query string, and for Youzan's encrypted market messages as well (message=…). Where no web server cuts the requests, use
 * kl_http_feed.
 *
 * - KL_E_EVENT_SIGNATURE: the sign fits no secret, so answer HTTP 403 and do nothing.
 * - KL_E_EVENT: not in the platform's format.
 *
 * Yopoint: doc-3787821. Dingshang signs nothing (KL_SIGNED_WITH_NOTHING): JSON or form, one kind, KL_EVENT_KIND_DELIVERY;
 * success and failure of the same item may both arrive, and neither is a duplicate of the other.
 *
 * What it says about your commands is recorded: what a machine did (kl_command_wait), and that an opening whose answer was
 * lost was taken (KL_SETTLED_BY_EVENT: Yopoint's recognition, by the number that was sent with the opening).
 *
 * Sends nothing. End the result with kl_event_free.
 *
 * Codes: KL_E_UNSUPPORTED, KL_E_EVENT, KL_E_EVENT_SIGNATURE, KL_E_EVENT_TIME, *journal*.
 */
KL_MUST_USE kl_status kl_event_parse(kl_client *client,
                                     const char *headers,
                                     const uint8_t *body,
                                     size_t len,
                                     kl_event **out,
                                     kl_error *err);

/** What the callback says. Borrowed from the event; NULL if this is no event. */
const kl_event_info *kl_event_view(const kl_event *event);

/**
 * The exact body that the platform expects as the answer; send it with HTTP 200 and Content-Type: application/json.
 * Unless kl_event_set_reply said otherwise it means *taken*. Borrowed until the next kl_event_set_reply or the
 * event's end; NULL if this is no event.
 */
const char *kl_event_reply(const kl_event *event);

/**
 * Changes the answer. code 0 means taken; any other code asks the platform to come again, and the repetition then is
 * no duplicate (Dingshang documents no repetition). message may be NULL. data_json, a JSON object or NULL, becomes
 * data: the result of a refund that KL_EVENT_KIND_REFUND_APPROVED asks for (its fields are not published). For
 * KL_EVENT_KIND_REFUND_REQUESTED its fields stand beside the code, as the older flow reads refundsRawData and
 * refundsTime.
 *
 * Codes: none of its own.
 */
KL_MUST_USE kl_status kl_event_set_reply(kl_event *event,
                                         int32_t code,
                                         const char *message,
                                         const char *data_json,
                                         kl_error *err);

/** Frees an event. NULL does nothing. */
void kl_event_free(kl_event *event);

/** The bounds of a connection: kl_http_options o = KL_HTTP_OPTIONS_INIT;. 0 stands for what is usual. */
typedef struct kl_http_options {
  /** sizeof(kl_http_options). */
  uint32_t struct_size;
  /**
   * The most that the head of a request may have, in bytes: 1,024 to 65,536; 0: 16,384. Answered with 431, or 414.
   */
  uint32_t max_head;
  /** The same of its body: up to 16,777,216; 0: 262,144. A longer one is answered with 413. */
  uint32_t max_body;
  /**
   * From kl_http_new, or the answer before, to the last byte of a request: up to one hour; 0: 10,000. Answered with 408.
   * Bytes that come do not push it on.
   */
  uint32_t timeout_ms;
  /** 1: the connection ends after one answer, also where the caller would keep it. */
  int32_t one_request;
} kl_http_options;
#define KL_HTTP_OPTIONS_INIT {sizeof(kl_http_options), 0, 0, 0, 0}

/** What to do with a connection when the bytes of the step are written: KL_HTTP_ACTION_*. */
typedef int32_t kl_http_action;
/** Read, and feed what came; call kl_http_tick when nothing came for wait_ms. */
#define KL_HTTP_ACTION_READ 1
/** A callback came: handle event, then call kl_http_reply. */
#define KL_HTTP_ACTION_EVENT 2
/**
 * Close it: end the writing side, read what is left for a moment, close. At once, and the answer may be lost.
 */
#define KL_HTTP_ACTION_CLOSE 3

/**
 * What to do next. Borrowed from its connection, with all that it leads to, until the next kl_http_feed, kl_http_tick,
 * kl_http_reply or kl_http_free of that connection.
 */
typedef struct kl_http_step {
  /** What to do when bytes are written: KL_HTTP_ACTION_*. */
  kl_http_action action;
  /** For KL_HTTP_ACTION_READ: how long to wait for more, in milliseconds, as poll takes it. Else 0. */
  uint32_t wait_ms;
  /** What to write first; NULL if len is 0. */
  const uint8_t *bytes;
  /** How many bytes; often none. */
  size_t len;
  /** For KL_HTTP_ACTION_EVENT: the callback, as kl_event_view gives it. Else NULL. */
  const kl_event_info *event;
  /** And whose it is: the handle that kl_http_add was given. Else NULL. */
  kl_client *client;
} kl_http_step;

/** One connection on which callbacks come. Opaque; one thread at a time. */
typedef struct kl_http kl_http;

/**
 * Makes what reads one connection on which callbacks come, once it is accepted: one for each. The socket, and TLS if there
 * is any, stay yours. options may be NULL. Add accounts, then read and feed. End it with kl_http_free.
 *
 * Errors: KL_E_ARGUMENT for bounds that are none, KL_E_RESOURCE.
 *
 * Codes: none of its own.
 */
KL_MUST_USE kl_status kl_http_new(const kl_http_options *options,
                                  kl_http **out,
                                  kl_error *err);

/**
 * Adds an account whose callbacks come on this connection: on path (/yopoint, compared byte for byte with what stands
 * before the ? in the request), or with NULL or an empty path on every path that no account has. Several may share a
 * path: whose secret fits has the callback. An account whose platform signs nothing (Dingshang) needs a path of its own. The
 * client may be freed before the connection: its callbacks are then answered with 503.
 *
 * Errors: KL_E_ARGUMENT for a path that is none or that cannot be shared, KL_E_UNSUPPORTED for a platform without
 * callbacks (Zhiyun), KL_E_RETIRED.
 *
 * Codes: KL_E_UNSUPPORTED.
 */
KL_MUST_USE kl_status kl_http_add(kl_http *http,
                                  kl_client *client,
                                  const char *path,
                                  kl_error *err);

/**
 * Takes what was read from the connection, all of it, in whatever pieces it came, and says in step what to do next: write
 * bytes if there are any, then do action. len 0 says that the other side has ended. Sends nothing itself.
 *
 * It reads heads in Latin-1, bodies with a length and in chunks, and GET with a query; it tells a caller that waits for 100
 * Continue to go on (bytes to write), keeps the connection as the caller wants, and answers wrong requests: 400, 404 (no
 * account has this path), 405, 408, 411, 413, 414, 415 (compressed), 417, 431, 501, 505, then KL_HTTP_ACTION_CLOSE. What a caller
 * sends behind a request without waiting for its answer is not read: answer, then KL_HTTP_ACTION_CLOSE.
 *
 * A whole request is verified and parsed, as kl_event_parse does; KL_HTTP_ACTION_EVENT says so. **This reads and writes the
 * account's journal (whether the callback came before, what it says of your commands) and may wait for the disk, and for
 * other processes that use the journal.** A callback that was taken before is an event too, with duplicate: do nothing, and
 * reply.
 *
 * step is there with these errors too. They say why a request was refused; the answer is in step, and the connection
 * goes on unless it says otherwise:
 *
 * - KL_E_EVENT_SIGNATURE, KL_E_EVENT_TIME: it does not verify (403, with the vendor's message).
 * - KL_E_EVENT: not in the platform's format (400, with the vendor's message), or a wrong request. http_status of the error is
 *   what it was answered with, 0 if it was cut off.
 * - KL_E_BUSY: the same callback waits for its reply on another connection of this client (503, so that the platform comes
 *   again, and finds out then).
 * - what else kl_event_parse answers, such as KL_E_HANDLE for a client that was freed (503).
 *
 * step is NULL with KL_E_NULL, KL_E_HANDLE and KL_E_FORKED for the connection itself, with KL_E_BUSY if an event
 * waits for its reply (nothing is taken), and with KL_E_INTERNAL.
 *
 * Codes: KL_E_BUSY, KL_E_UNSUPPORTED, KL_E_EVENT, KL_E_EVENT_SIGNATURE, KL_E_EVENT_TIME, *journal*.
 */
KL_MUST_USE kl_status kl_http_feed(kl_http *http,
                                   const uint8_t *bytes,
                                   size_t len,
                                   const kl_http_step **step,
                                   kl_error *err);

/**
 * Time has passed: gives up a request that has not come whole in timeout_ms (408, KL_E_EVENT with step), closes a
 * connection on which nothing came, else KL_HTTP_ACTION_READ with the wait_ms that is left. Call it before the first read, and
 * whenever nothing came for wait_ms. The time is the library's own, of a clock that never goes back. Errors: as
 * kl_http_feed.
 *
 * Codes: KL_E_BUSY, KL_E_EVENT.
 */
KL_MUST_USE kl_status kl_http_tick(kl_http *http,
                                   const kl_http_step **step,
                                   kl_error *err);

/**
 * Answers the event of KL_HTTP_ACTION_EVENT, and says in step what to do next: write, then KL_HTTP_ACTION_READ or KL_HTTP_ACTION_CLOSE.
 * code 0 means taken, and nothing else does: after any other, and after a crash or a power cut before this call, the platform
 * comes again and the repetition is no duplicate. **That it is taken is written to the journal, and on the disk when this
 * returns.** message and data_json as in kl_event_set_reply. The answer has the HTTP status
 * that the platform reads (200; Dingshang: 503 if not taken); that to KL_EVENT_KIND_PAY_PAGE has no body. An event may wait as
 * long as you like, but the platform does not.
 *
 * Errors, with step NULL: KL_E_ARGUMENT if no event waits, or for data_json that is no object; the event then still
 * waits.
 *
 * Codes: *journal*.
 */
KL_MUST_USE kl_status kl_http_reply(kl_http *http,
                                    int32_t code,
                                    const char *message,
                                    const char *data_json,
                                    const kl_http_step **step,
                                    kl_error *err);

/**
 * Frees a connection; the socket is yours to close. An event that waits for its reply was not taken. NULL does nothing.
 */
void kl_http_free(kl_http *http);

/* ---- Any other call ----------------------------------------------------------------------------------------------
 * The person and the company behind the account, and calls of a platform that have no function of their own. */

/**
 * Makes any call of the platform by its own name, with its own parameters as a JSON object, sent exactly as given;
 * NULL or "" sends none. The envelope is checked; kl_response_json is the platform's data.
 *
 * Yopoint: cabinet.order.list. Dingshang: POST /products, the method and the path below /api/openapi/v1; the
 * parameters are sent as texts, signed and wrapped (for POST /orders as they are).
 *
 * Calls that are known to only read are tried again when the network fails, and answer KL_DONE or KL_NOT_DONE; all
 * others are sent once, and KL_UNKNOWN says that they may have happened. A command that has a verb of its own is
 * refused (KL_E_ARGUMENT), because only the verb guards it. End the result with kl_response_free.
 *
 * Codes: *network*, *platform*.
 */
KL_MUST_USE kl_outcome kl_call(kl_client *client,
                               const char *method,
                               const char *params_json,
                               kl_response **out,
                               kl_error *err);

/** A person, as the platform knows them. Lives as long as its kl_user; texts are never NULL. */
typedef struct kl_user_info {
  /** The name they log in with. */
  const char *username;
  /** Their name. */
  const char *name;
  /** As the platform numbers it. */
  const char *sex;
  /** The phone number. */
  const char *phone;
  /** The address of a picture. */
  const char *avatar_url;
  /** The platform's own record: JSON, or XML if the account speaks XML. */
  const char *raw;
  /** When the account was made, Unix seconds; 0 if unknown. */
  int64_t created_at;
  /** The platform's time, Unix seconds; 0 if unknown. */
  int64_t now;
  /** Whether they administer the company: 1, 0, or -1 if unknown. */
  int32_t is_admin;
} kl_user_info;

/** A person. Opaque. */
typedef struct kl_user kl_user;

/**
 * The person behind the account (Zhiyun: userService/getUserInfo). Tried again inside timeout_ms when the network
 * fails. End the result with kl_user_free.
 *
 * Codes: *network*, *platform*.
 */
KL_MUST_USE kl_status kl_user_get(kl_client *client, kl_user **out, kl_error *err);

/** What is known of a person. Borrowed from it; NULL if this is no user. */
const kl_user_info *kl_user_view(const kl_user *user);

/** Frees a user. NULL does nothing. */
void kl_user_free(kl_user *user);

/** A company, as the platform knows it. Lives as long as its kl_company; texts are never NULL. */
typedef struct kl_company_info {
  /** The name. */
  const char *name;
  /** As the platform numbers it. */
  const char *kind;
  /** The tax number. */
  const char *tax_number;
  /** Province, city, zone and street. */
  const char *address;
  /** The phone number. */
  const char *phone;
  /** Its legal representative. */
  const char *legal_person;
  /** Their phone number. */
  const char *legal_person_phone;
  /** The platform's own record: JSON, or XML if the account speaks XML. */
  const char *raw;
  /** When the account was made, Unix seconds; 0 if unknown. */
  int64_t created_at;
  /** The platform's time, Unix seconds; 0 if unknown. */
  int64_t now;
} kl_company_info;

/** A company. Opaque. */
typedef struct kl_company kl_company;

/**
 * The company behind the account (Zhiyun: companyService/getCompanyInfo). Tried again inside timeout_ms when the
 * network fails. End the result with kl_company_free.
 *
 * Codes: *network*, *platform*.
 */
KL_MUST_USE kl_status kl_company_get(kl_client *client, kl_company **out, kl_error *err);

/** What is known of a company. Borrowed from it; NULL if this is no company. */
const kl_company_info *kl_company_view(const kl_company *company);

/** Frees a company. NULL does nothing. */
void kl_company_free(kl_company *company);

/* ---- Log, time and counters --------------------------------------------------------------------------------------
 * The log and a trusted time are for the whole process, with no client. */

/** How much is logged, and how grave a line is: KL_LOG_LEVEL_*. */
typedef int32_t kl_log_level;
/** Nothing is logged. */
#define KL_LOG_LEVEL_OFF 0
/** Something failed and needs attention. */
#define KL_LOG_LEVEL_ERROR 1
/** Something is odd but was dealt with. */
#define KL_LOG_LEVEL_WARN 2
/** Nothing is wrong, but worth a line: a callback came, a token was renewed. */
#define KL_LOG_LEVEL_INFO 3
/** Connections, lookups, handshakes. */
#define KL_LOG_LEVEL_DEBUG 4

/**
 * Takes one line of the log: UTF-8, terminated, without a newline, without a secret; yours only for the time of the
 * call. level is KL_LOG_LEVEL_*. Called from whichever thread makes a call, from several at a time, and must not call
 * kiosklink.
 */
typedef void (*kl_log_fn)(void *user, kl_log_level level, const char *line);

/**
 * Sends log lines up to level to callback; NULL ends that. user is handed back with each line. When this
 * returns, no line is being delivered to the callback that was set before, so what it uses may be freed. Any thread,
 * but not from inside the callback (KL_E_BUSY).
 *
 * Codes: KL_E_BUSY.
 */
KL_MUST_USE kl_status kl_set_log(kl_log_level level, kl_log_fn callback, void *user, kl_error *err);

/**
 * Hands in a time that the firmware trusts more than the device's clock (GPS, modem, NTP), in Unix seconds. From
 * then on certificates are checked by it, advanced by the monotonic clock, and requests are signed by it unless a
 * platform refuses it. 0 forgets it. For the whole process, from any thread. KL_E_ARGUMENT for a time
 * before this library was built or half a century after.
 *
 * Codes: none of its own.
 */
KL_MUST_USE kl_status kl_set_time(int64_t unix_seconds, kl_error *err);

/** Where a client's time comes from: KL_TIME_SOURCE_*. */
typedef int32_t kl_time_source;
/** The time comes from the device's own clock. */
#define KL_TIME_SOURCE_SYSTEM 0
/** The device's clock is unset; the time is the library's build time and certainly too early. */
#define KL_TIME_SOURCE_FLOOR 1
/** The time was handed in with kl_set_time. */
#define KL_TIME_SOURCE_FIRMWARE 2
/** The time was learned from the platform. */
#define KL_TIME_SOURCE_PLATFORM 3

/**
 * The time as this client knows it, in Unix seconds (0 if the call fails), and where it comes from (KL_TIME_SOURCE_*).
 * Sends nothing. A device without a clock may set its own by it once the source is KL_TIME_SOURCE_PLATFORM. source
 * may be NULL.
 *
 * Codes: none of its own.
 */
KL_MUST_USE kl_status kl_client_time(kl_client *client,
                                     int64_t *unix_seconds,
                                     kl_time_source *source,
                                     kl_error *err);

/**
 * What a client has done so far, with its views. Yours: kl_stats stats = KL_STATS_INIT;. Counts begin at 0 with the client
 * and start again from 0 after 4,294,967,295: what matters is how much they grew.
 */
typedef struct kl_stats {
  /** sizeof(kl_stats). */
  uint32_t struct_size;
  /** Name lookups that were started. */
  uint32_t lookups;
  /** TCP connections that were made. */
  uint32_t connects;
  /** TLS handshakes that succeeded. */
  uint32_t handshakes;
  /** Those of them that resumed a session. */
  uint32_t resumed;
  /** Requests of which at least one byte left. */
  uint32_t requests;
  /** Those of them that went over a kept connection. */
  uint32_t reused;
  /**
   * What was tried again: reads, tokens, and requests whose kept connection was found dead before a byte was answered.
   */
  uint32_t retries;
  /** Calls that have ended and that went to the platform, or would have: each has a timeout_ms. */
  uint32_t calls;
  /**
   * How long all of these took together, from entry to answer, in milliseconds: waiting for the journal, retries and pauses
   * included.
   */
  uint32_t call_ms;
  /** How long the slowest of them took, in milliseconds. */
  uint32_t call_max_ms;
  /** How often a function that returns kl_outcome returned KL_DONE. */
  uint32_t done;
  /** How often one returned KL_NOT_DONE. */
  uint32_t not_done;
  /** How often one returned KL_UNKNOWN. */
  uint32_t unknown;
  /**
   * Handles that are alive now: of every kind and client, in this process and this copy of the library. A number that only
   * grows tells of results that are not freed.
   */
  uint32_t handles;
} kl_stats;
#define KL_STATS_INIT {sizeof(kl_stats), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}

/**
 * Counts of what the client did, how long its calls took, and what became of its acts; for a status page and for tests. Sends
 * nothing.
 *
 * Codes: none of its own.
 */
KL_MUST_USE kl_status kl_client_stats(kl_client *client,
                                      kl_stats *out,
                                      kl_error *err);

#ifdef __cplusplus
}  // extern "C"
#endif

#endif  /* KIOSKLINK_H */
