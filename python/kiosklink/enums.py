"""The numbers of the C header as enumerations. Written by generate.py; do not edit.

They may grow: a number that this version has no name for becomes a member called ``UNKNOWN_n``, so a value that
comes from the library never raises. Write an ``else`` for what you do not expect.
"""

from enum import IntEnum
from typing import Any


class _Open(IntEnum):
    """An enumeration that takes numbers it does not know."""

    @classmethod
    def _missing_(cls, value: object) -> Any:
        if not isinstance(value, int):
            return None
        member = int.__new__(cls, value)
        member._name_ = "UNKNOWN_%d" % value
        member._value_ = value
        return member


class Outcome(_Open):
    """What became of a command or another write."""

    NONE = 0
    """The call only read."""

    DONE = 1
    """The platform took it."""

    NOT_DONE = 2
    """It did not happen and will not."""

    UNKNOWN = 3
    """It may have happened. Find out; never send it again under another request_id."""


class Advice(_Open):
    """What to do about an error."""

    NONE = 0
    """Nothing in particular."""

    RETRY = 1
    """Trying again is safe, after retry_after_ms if that is not 0."""

    ASK_FIRST = 2
    """Ask what became of it before anything else: the same request_id again, or a query."""

    CALL_PERSON = 3
    """Only a person or a sensor can decide."""

    FIX = 4
    """Trying again will not help: a setting, a credential or a parameter must change."""


class TaskState(_Open):
    """How far a job is."""

    WAITING = 1
    """It waits for a thread."""

    RUNNING = 2
    """Its function runs."""

    RETURNED = 3
    """Its function returned; result is what."""

    NOT_STARTED = 4
    """Its function was not called and will not be: nothing was sent. status says why."""

    ABANDONED = 5
    """Its function left its thread by pthread_exit, or was torn out of it by pthread_cancel. What it had begun is in
    the journal."""


class TimeSource(_Open):
    """Where a client's time comes from."""

    SYSTEM = 0
    """The time comes from the device's own clock."""

    FLOOR = 1
    """The device's clock is unset; the time is the library's build time and certainly too early."""

    FIRMWARE = 2
    """The time was handed in with kl_set_time."""

    PLATFORM = 3
    """The time was learned from the platform."""


class CodeState(_Open):
    """The state of a pickup code."""

    UNKNOWN = 0
    """The platform does not say."""

    UNUSED = 1
    """It can be redeemed."""

    USED = 2
    """It was redeemed."""

    EXPIRED = 3
    """It has expired."""

    REFUNDING = 4
    """A refund is in progress."""

    DISABLED = 5
    """It is disabled."""


class CodeKind(_Open):
    """What a pickup code is for."""

    PICKUP = 0
    """The platform's usual kind of code (Yopoint: a voucher code; Dingshang: a pickup code; Youzan: a self-fetch
    code)."""

    VIRTUAL = 1
    """Youzan: a code for virtual goods."""

    VOUCHER = 2
    """Youzan: an e-voucher."""


class EventKind(_Open):
    """What a callback is about."""

    OTHER = 0
    """A kind that this version does not know; see method and json."""

    TEST = 1
    """The platform probes the callback address."""

    DOOR_CLOSED = 2
    """A door was shut, or never opened: see door."""

    RECOGNIZED = 3
    """The goods a customer took are recognised: charge, then report the payment to report_url."""

    ORDER_PAID = 4
    """An order is paid."""

    REFUND_APPROVED = 5
    """A refund was approved: refund through your own channel and answer with the result."""

    ORDER_REPLACED = 6
    """After an appeal: a new order replaces an old one. Charge it and report to report_url."""

    DELIVERY = 7
    """A vending machine pushed goods out, or failed to: see delivery."""

    VOUCHER_REDEEMED = 8
    """A voucher code was redeemed."""

    CABINET_CHANGED = 9
    """A cabinet's settings changed: see cabinet."""

    RETURN_SLIP = 10
    """A return slip was made."""

    REFUND_REQUESTED = 11
    """Older vending flow: refund this order now and answer with the channel's raw result."""

    REFUND_FINISHED = 12
    """Older vending flow: a refund is finished."""

    PAY_PAGE = 13
    """Older vending flow: the customer was sent to the payment page."""

    ORDER_CHANGED = 14
    """An order was made, shipped or changed; method says what happened."""

    ORDER_FINISHED = 15
    """An order is finished: the goods are handed over."""

    ORDER_CLOSED = 16
    """An order was closed: it will not be handed over."""

    REFUND_CHANGED = 17
    """A refund was asked for, decided or made; method says which."""

    STOCK_CHANGED = 18
    """The goods on sale or their stock changed: fetch them again."""

    APP_CHANGED = 19
    """The application's own subscription on the platform's market changed."""


class HttpAction(_Open):
    """What to do with a connection on which callbacks come."""

    READ = 1
    """Read, and feed what came; call kl_http_tick when nothing came for wait_ms."""

    EVENT = 2
    """A callback came: handle event, then call kl_http_reply."""

    CLOSE = 3
    """Close it: end the writing side, read what is left for a moment, close. At once, and the answer may be lost."""


class SignedWith(_Open):
    """What a callback was signed with."""

    NOTHING = 0
    """Signed with nothing (Dingshang): any sender who knows your address could have sent it. Treat it as a hint: put
    a token that cannot be guessed into notify_url, check it in your HTTP server, and confirm with kl_order_get."""

    APP_SECRET = 1
    """Signed with the account's secret."""

    PAY_KEY = 2
    """Signed with the payment key."""

    CONTENT_ONLY = 3
    """Signed with the account's secret, but over the content alone: method and what else stands beside it is not
    covered (Youzan without the header Event-Sign; hand the headers in)."""

    ENCRYPTED = 4
    """Not signed but encrypted with the account's secret (Youzan's market messages)."""


class SaleState(_Open):
    """Whether a cabinet sells."""

    UNKNOWN = 0
    """The platform does not say."""

    SELLING = 1
    """It sells."""

    STOPPED = 2
    """It was stopped."""

    TO_BE_DEPLOYED = 3
    """It is still to be deployed."""


class OrderKind(_Open):
    """Which kind of machine an order is of."""

    CABINET = 0
    """Orders of cabinets with doors."""

    VENDING = 1
    """Orders of vending machines that push the goods out."""


class PaymentState(_Open):
    """Whether an order is paid."""

    UNKNOWN = 0
    """The platform does not say."""

    UNPAID = 1
    """Not paid yet."""

    PAID = 2
    """Paid."""

    FAILED = 3
    """The payment failed."""


class ServiceState(_Open):
    """How far a customer's visit is."""

    UNKNOWN = 0
    """The platform does not say."""

    NOT_STARTED = 1
    """The visit has not begun."""

    IN_SERVICE = 2
    """A visit is in progress."""

    ENDED = 3
    """The visit is over."""


class DoorState(_Open):
    """What is known of a door."""

    UNKNOWN = 0
    """The platform does not say."""

    OPEN = 1
    """The door is open."""

    SHUT = 2
    """The door was open and is shut."""

    NEVER_OPENED = 3
    """The door never opened."""


class DeliveryState(_Open):
    """What became of goods that a machine pushes out."""

    UNKNOWN = 0
    """The platform does not say."""

    PENDING = 1
    """The machine is to push the goods out."""

    DELIVERED = 2
    """The goods came out."""

    FAILED = 3
    """The goods did not come out."""

    AWAITING_PICKUP = 4
    """The goods wait to be picked up."""

    OUT_OF_STOCK = 5
    """There were no goods; they are owed."""


class PaymentResult(_Open):
    """What is reported of a payment."""

    PAID = 1
    """The customer paid."""

    FAILED = -1
    """The payment failed."""


class CommandKind(_Open):
    """What a command is."""

    DOOR = 1
    """The command opens a door or pushes goods out."""

    REDEEM = 2
    """The command uses up a pickup code."""

    WRITE = 3
    """The command is another write: an order, a payment report, a refund, an appeal."""


class CommandFilter(_Open):
    """Which commands to list."""

    ANY = 0
    """All that are remembered."""

    OPEN = 1
    """Those under way, those unknown, and those that wait to be sent."""

    DONE = 2
    """Those that are done."""

    NOT_DONE = 3
    """Those that are not done."""

    UNKNOWN = 4
    """Those of which it is not known, without those under way."""


class Verb(_Open):
    """What a platform may be asked for."""

    PING = 1
    """kl_ping."""

    CABINET_LIST = 2
    """kl_cabinet_list, kl_cabinet_iter_new."""

    STOCK_FETCH = 3
    """kl_stock_fetch, kl_stock_fetch_page, kl_stock_iter_new."""

    DOOR_OPEN = 4
    """kl_door_open."""

    CODE_REDEEM = 5
    """kl_code_redeem."""

    CODE_LOOKUP = 6
    """kl_code_lookup."""

    CODE_LIST = 7
    """kl_code_list."""

    CODE_CREATE = 8
    """kl_code_create."""

    CODE_CANCEL = 9
    """kl_code_cancel."""

    ORDER_GET = 10
    """kl_order_get."""

    ORDER_LIST = 11
    """kl_order_list, kl_order_iter_new."""

    ORDER_CREATE = 12
    """kl_order_create."""

    PAYMENT_REPORT = 13
    """kl_payment_report."""

    REFUND_APPLY = 14
    """kl_refund_apply."""

    APPEAL_FILE = 15
    """kl_appeal_file."""

    USER_GET = 16
    """kl_user_get."""

    COMPANY_GET = 17
    """kl_company_get."""

    EVENT_PARSE = 18
    """kl_event_parse."""

    CALL = 19
    """kl_call."""


class PhysicalState(_Open):
    """Whether something moved after a command."""

    NONE = 0
    """Nothing moves by this command."""

    PENDING = 1
    """It is not known yet what the machine did."""

    CONFIRMED = 2
    """The door opened, or the goods came out."""

    FAILED = 3
    """The machine reports that it did not."""

    UNKNOWABLE = 4
    """The platform does not know what the machine did."""


class SettledBy(_Open):
    """Who settled what became of a command."""

    NOBODY = 0
    """The outcome is not known yet."""

    ANSWER = 1
    """The platform's answer; or the call itself, if it could not be sent."""

    QUERY = 2
    """The platform, asked later (a query)."""

    EVENT = 3
    """The platform, by a callback."""

    SENSOR = 4
    """A sensor at the machine."""

    PERSON = 5
    """A person."""

    JOURNAL = 6
    """The journal: the process ended before it had sent anything."""


class Status(_Open):
    """What a call answers."""

    OK = 0
    """It worked."""

    NULL = 1
    """A pointer that must not be NULL is NULL."""

    ARGUMENT = 2
    """An argument is out of its range or has the wrong format; the message names it."""

    UTF8 = 3
    """A text is not valid UTF-8."""

    HANDLE = 4
    """The handle was freed, is of another kind, or never was one."""

    FORKED = 5
    """The handle was made before a fork and belongs to the parent process."""

    RETIRED = 6
    """The client was retired after an internal error."""

    INTERNAL = 7
    """A bug in kiosklink was caught. The client it happened in is retired; others go on."""

    UNSUPPORTED = 8
    """The platform has no such call; nothing was sent. Or the platform says that it does not know the method."""

    BUSY = 9
    """Not now, and nothing was sent. Another command is under way at the same door, for the same code or for the same
    order; the message names it. Or codes are being made for the same cabinet. Or an event of the callback connection
    waits for its reply, or the same callback does on another connection. Or kl_set_log was called inside the log
    callback. Or as many jobs as may be wait, run, or were not taken."""

    RESOURCE = 10
    """The system refused memory, a thread or a file descriptor; or more than 131072 handles are alive."""

    PLATFORM_NAME = 100
    """No such platform; the message suggests the nearest."""

    CONFIG_KEY = 101
    """No such key; the message suggests the nearest."""

    CONFIG_VALUE = 102
    """The value of a key does not have its format."""

    CONFIG_MISSING = 103
    """A key that this platform or this call needs is not set. Commands need state_dir."""

    CONFIG_FILE = 104
    """The JSON file of accounts cannot be read, does not have its format, or has no such account."""

    ROOTS = 105
    """The CA roots cannot be read, do not parse, or are none."""

    CLIENT_CERT = 106
    """The client certificate or its key cannot be read, does not parse, or the two do not match."""

    CANCELLED = 200
    """Ended by kl_client_cancel or kl_client_free. As the status of a command: it is *not done*, and nothing
    failed."""

    DNS = 201
    """The platform's name has no address."""

    CONNECT = 202
    """No connection: refused, unreachable, or reset while it was made."""

    LOST = 203
    """The connection ended before the answer was whole."""

    PROXY = 204
    """The proxy refused or answered nonsense."""

    TIMEOUT_DNS = 210
    """The deadline passed while the name was looked up."""

    TIMEOUT_CONNECT = 211
    """The deadline passed while the TCP connection was made."""

    TIMEOUT_TLS = 212
    """The deadline passed in the TLS handshake."""

    TIMEOUT_SEND = 213
    """The deadline passed while the request was sent."""

    TIMEOUT_REPLY = 214
    """The deadline passed before the answer was whole."""

    TLS = 300
    """The TLS handshake failed for a reason that has no code of its own."""

    TLS_UNTRUSTED = 301
    """No trusted root vouches for the certificate."""

    TLS_EXPIRED = 302
    """The certificate has expired."""

    TLS_NOT_YET_VALID = 303
    """The certificate is not valid yet."""

    TLS_WRONG_NAME = 304
    """The certificate is for another host."""

    TLS_PIN = 305
    """No certificate of the chain has the pinned key."""

    TLS_CLIENT_CERT = 306
    """The server wants a client certificate, or does not accept ours."""

    CLOCK = 307
    """The device's clock is far past the certificate's end and nothing confirms it."""

    HTTP = 400
    """An HTTP status that is no answer of the platform: a redirect, a captive portal, a server error."""

    PROTOCOL = 401
    """The answer is not in the platform's format; the message says where."""

    TOO_LARGE = 402
    """The answer is larger than max_reply_bytes, or its head is larger than 16 KiB."""

    RATE_LIMIT = 403
    """The platform asks for fewer calls; see retry_after_ms."""

    PLATFORM = 500
    """The platform refused for a reason that has no code here; see platform_code and platform_message."""

    AUTH = 501
    """The platform does not accept the credentials or the signature."""

    PERMISSION = 502
    """The account may not make this call."""

    NOT_FOUND = 503
    """The platform knows no such thing."""

    PARAMETER = 504
    """The platform says that a parameter is missing or wrong."""

    OFFLINE = 505
    """The platform cannot reach the cabinet."""

    NOT_READY = 506
    """The cabinet or the door is in use, or not selling."""

    OUT_OF_STOCK = 507
    """Nothing left of the goods."""

    TIMESTAMP = 508
    """The signature's time was outside the platform's window. If the answer carried a time, it has been learned and
    the next call uses it."""

    CODE_USED = 520
    """The pickup code was used before. *Not done*: another request is proved to have used it. *Unknown*: it may have
    been this one."""

    CODE_EXPIRED = 521
    """The pickup code has expired."""

    ORDER_STATE = 522
    """The order is in no state for this: unpaid, expired, closed, refunded, or delivered before."""

    ACCOUNT = 523
    """The account itself is expired, not verified, or closed; its owner must act."""

    DUPLICATE = 524
    """Your own number was used before: the order or code may exist already."""

    TOKEN = 525
    """A person must renew the credentials: the shop's authorisation or the user's access token has ended."""

    CODE_TRIES = 526
    """Too many wrong codes at this cabinet in a short time (code_tries_per_minute); nothing was sent or written, *not
    done*."""

    REQUEST_ID = 600
    """This request_id was already used for another act, or is settled the other way; nothing was sent."""

    STALE = 601
    """The command's time to live passed before it could be sent (also its send_within_ms), or a job's start_within_ms
    before it was begun; nothing was sent."""

    IN_FLIGHT = 602
    """The command with this request_id is under way on another thread or in another process; or this process was
    taken for dead and its command is in other hands. Nothing was sent this time."""

    UNSETTLED = 603
    """What became of the command is not known; nothing was sent this time."""

    BLOCKED = 604
    """What became of another command at the same door, for the same code or of the same order is not known; the
    message names it. Nothing was sent, *not done*."""

    PENDING = 605
    """kl_command_wait: the time was up before it was known what the machine did. kl_task_next: no job has ended, and
    some will."""

    NOT_MOVED = 606
    """The platform took the command, but the machine did not do it: the door never opened, or nothing was pushed
    out."""

    UNKNOWABLE = 607
    """The platform never reports what the machine did, or nothing moves by this command."""

    TOO_EARLY = 608
    """Too early to say *not done*: the request may still reach the platform. retry_after_ms is the time left. *Done*
    is taken at any time."""

    REQUEST_TOO_OLD = 609
    """kl_request_id_new issued this name so long ago that its outcome may have been forgotten; nothing was sent,
    *unknown*."""

    JOURNAL = 610
    """The journal cannot be read or written, see os_errno; or this process lost it in an internal error. Nothing was
    sent."""

    JOURNAL_FULL = 611
    """The disk is full, or unsettled commands fill the journal; nothing was sent."""

    JOURNAL_READ_ONLY = 612
    """The journal's file system is read-only; nothing was sent."""

    JOURNAL_OWNER = 613
    """The journal belongs to another user; nothing was sent."""

    JOURNAL_VERSION = 614
    """A library with another format version wrote the journal; nothing was sent."""

    JOURNAL_DAMAGED = 615
    """The journal is damaged in its middle. Nothing is sent before kl_journal_repair."""

    JOURNAL_BUSY = 616
    """Another process holds the journal's lock and does not let go; nothing was sent."""

    JOURNAL_MISSING = 617
    """The journal is gone, but something beside it remembers that there was one. Nothing is sent before
    kl_journal_adopt."""

    JOURNAL_OLDER = 618
    """The journal is older than it was: a backup or an old card. Nothing is sent before kl_journal_adopt."""

    JOURNAL_COPIED = 619
    """The journal was made on another machine: a copied card or folder. Nothing is sent before kl_journal_adopt."""

    STATE_DIR = 620
    """state_dir cannot keep a journal: others can write to it, or its file system has no locks or no sync. There is
    no client."""

    KEPT = 630
    """No byte of this payment report, refund or appeal could leave; the library keeps it (send_within_ms) and sends
    it by itself. *Unknown* until then."""

    EVENT_SIGNATURE = 700
    """The callback's signature is wrong or missing."""

    EVENT = 701
    """The callback is not in the platform's format; the message says where."""

    EVENT_TIME = 702
    """The callback's timestamp is too old or too far ahead: Yopoint a day, its payment pages 60 s; Youzan eight
    days."""
