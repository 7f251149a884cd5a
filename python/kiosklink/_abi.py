"""What include/kiosklink.h declares, for ctypes. Written by generate.py; do not edit."""

from ctypes import (
    CFUNCTYPE,
    POINTER,
    Structure,
    c_char,
    c_char_p,
    c_double,
    c_int32,
    c_int64,
    c_size_t,
    c_uint32,
    c_uint64,
    c_void_p,
)
from typing import Any, Dict, Tuple, Type

KL_ABI_VERSION = 1
KL_VERSION_NUMBER = 200
KL_OK = 0
KL_E_NULL = 1
KL_E_ARGUMENT = 2
KL_E_UTF8 = 3
KL_E_HANDLE = 4
KL_E_FORKED = 5
KL_E_RETIRED = 6
KL_E_INTERNAL = 7
KL_E_UNSUPPORTED = 8
KL_E_BUSY = 9
KL_E_RESOURCE = 10
KL_E_PLATFORM_NAME = 100
KL_E_CONFIG_KEY = 101
KL_E_CONFIG_VALUE = 102
KL_E_CONFIG_MISSING = 103
KL_E_CONFIG_FILE = 104
KL_E_ROOTS = 105
KL_E_CLIENT_CERT = 106
KL_E_CANCELLED = 200
KL_E_DNS = 201
KL_E_CONNECT = 202
KL_E_LOST = 203
KL_E_PROXY = 204
KL_E_TIMEOUT_DNS = 210
KL_E_TIMEOUT_CONNECT = 211
KL_E_TIMEOUT_TLS = 212
KL_E_TIMEOUT_SEND = 213
KL_E_TIMEOUT_REPLY = 214
KL_E_TLS = 300
KL_E_TLS_UNTRUSTED = 301
KL_E_TLS_EXPIRED = 302
KL_E_TLS_NOT_YET_VALID = 303
KL_E_TLS_WRONG_NAME = 304
KL_E_TLS_PIN = 305
KL_E_TLS_CLIENT_CERT = 306
KL_E_CLOCK = 307
KL_E_HTTP = 400
KL_E_PROTOCOL = 401
KL_E_TOO_LARGE = 402
KL_E_RATE_LIMIT = 403
KL_E_PLATFORM = 500
KL_E_AUTH = 501
KL_E_PERMISSION = 502
KL_E_NOT_FOUND = 503
KL_E_PARAMETER = 504
KL_E_OFFLINE = 505
KL_E_NOT_READY = 506
KL_E_OUT_OF_STOCK = 507
KL_E_TIMESTAMP = 508
KL_E_CODE_USED = 520
KL_E_CODE_EXPIRED = 521
KL_E_ORDER_STATE = 522
KL_E_ACCOUNT = 523
KL_E_DUPLICATE = 524
KL_E_TOKEN = 525
KL_E_CODE_TRIES = 526
KL_E_REQUEST_ID = 600
KL_E_STALE = 601
KL_E_IN_FLIGHT = 602
KL_E_UNSETTLED = 603
KL_E_BLOCKED = 604
KL_E_PENDING = 605
KL_E_NOT_MOVED = 606
KL_E_UNKNOWABLE = 607
KL_E_TOO_EARLY = 608
KL_E_REQUEST_TOO_OLD = 609
KL_E_JOURNAL = 610
KL_E_JOURNAL_FULL = 611
KL_E_JOURNAL_READ_ONLY = 612
KL_E_JOURNAL_OWNER = 613
KL_E_JOURNAL_VERSION = 614
KL_E_JOURNAL_DAMAGED = 615
KL_E_JOURNAL_BUSY = 616
KL_E_JOURNAL_MISSING = 617
KL_E_JOURNAL_OLDER = 618
KL_E_JOURNAL_COPIED = 619
KL_E_STATE_DIR = 620
KL_E_KEPT = 630
KL_E_EVENT_SIGNATURE = 700
KL_E_EVENT = 701
KL_E_EVENT_TIME = 702
KL_DONE = 1
KL_NOT_DONE = 2
KL_UNKNOWN = 3
KL_ADVICE_NONE = 0
KL_ADVICE_RETRY = 1
KL_ADVICE_ASK_FIRST = 2
KL_ADVICE_CALL_PERSON = 3
KL_ADVICE_FIX = 4
KL_PLATFORM_YOPOINT = "yopoint"
KL_PLATFORM_DINGSHANG = "dingshang"
KL_PLATFORM_YOUZAN = "youzan"
KL_PLATFORM_ZHIYUN = "zhiyun"
KL_KEY_BASE_URL = "base_url"
KL_KEY_ALLOW_HTTP = "allow_http"
KL_KEY_CA_FILE = "ca_file"
KL_KEY_CA_PEM = "ca_pem"
KL_KEY_PIN_SHA256 = "pin_sha256"
KL_KEY_CLIENT_CERT_FILE = "client_cert_file"
KL_KEY_CLIENT_KEY_FILE = "client_key_file"
KL_KEY_CONNECT_TIMEOUT_MS = "connect_timeout_ms"
KL_KEY_TIMEOUT_MS = "timeout_ms"
KL_KEY_IDLE_TIMEOUT_MS = "idle_timeout_ms"
KL_KEY_MAX_REPLY_BYTES = "max_reply_bytes"
KL_KEY_ADDRESS_FAMILY = "address_family"
KL_KEY_PROXY = "proxy"
KL_KEY_COMMAND_TTL_MS = "command_ttl_ms"
KL_KEY_STATE_DIR = "state_dir"
KL_KEY_STATE_DIR_SHARED = "state_dir_shared"
KL_KEY_REFUSALS_FILE = "refusals_file"
KL_KEY_CODE_TRIES_PER_MINUTE = "code_tries_per_minute"
KL_KEY_TASK_THREADS = "task_threads"
KL_KEY_TASK_STACK_KIB = "task_stack_kib"
KL_KEY_APP_ID = "app_id"
KL_KEY_APP_SECRET = "app_secret"
KL_KEY_PAY_KEY = "pay_key"
KL_KEY_TIMESTAMP_UNIT = "timestamp_unit"
KL_KEY_FORMAT = "format"
KL_KEY_OWN_TRADE_NO = "own_trade_no"
KL_KEY_MACHINES = "machines"
KL_KEY_ALLOW_HTTP_REPORT = "allow_http_report"
KL_KEY_APP_KEY = "app_key"
KL_KEY_SIGN_VALUE_ENCODING = "sign_value_encoding"
KL_KEY_CLIENT_ID = "client_id"
KL_KEY_CLIENT_SECRET = "client_secret"
KL_KEY_GRANT_ID = "grant_id"
KL_KEY_SOLE_REDEEMER = "sole_redeemer"
KL_KEY_ACCESS_TOKEN = "access_token"
KL_VERB_PING = 1
KL_VERB_CABINET_LIST = 2
KL_VERB_STOCK_FETCH = 3
KL_VERB_DOOR_OPEN = 4
KL_VERB_CODE_REDEEM = 5
KL_VERB_CODE_LOOKUP = 6
KL_VERB_CODE_LIST = 7
KL_VERB_CODE_CREATE = 8
KL_VERB_CODE_CANCEL = 9
KL_VERB_ORDER_GET = 10
KL_VERB_ORDER_LIST = 11
KL_VERB_ORDER_CREATE = 12
KL_VERB_PAYMENT_REPORT = 13
KL_VERB_REFUND_APPLY = 14
KL_VERB_APPEAL_FILE = 15
KL_VERB_USER_GET = 16
KL_VERB_COMPANY_GET = 17
KL_VERB_EVENT_PARSE = 18
KL_VERB_CALL = 19
KL_SALE_STATE_UNKNOWN = 0
KL_SALE_STATE_SELLING = 1
KL_SALE_STATE_STOPPED = 2
KL_SALE_STATE_TO_BE_DEPLOYED = 3
KL_REQUEST_ID_MAX = 128
KL_VISIT_ID_MAX = 64
KL_CONTEXT_MAX = 512
KL_TEXT_MAX = 1024
KL_EXTRA_JSON_MAX = 8192
KL_DOOR_STATE_UNKNOWN = 0
KL_DOOR_STATE_OPEN = 1
KL_DOOR_STATE_SHUT = 2
KL_DOOR_STATE_NEVER_OPENED = 3
KL_COMMAND_KIND_DOOR = 1
KL_COMMAND_KIND_REDEEM = 2
KL_COMMAND_KIND_WRITE = 3
KL_PHYSICAL_STATE_NONE = 0
KL_PHYSICAL_STATE_PENDING = 1
KL_PHYSICAL_STATE_CONFIRMED = 2
KL_PHYSICAL_STATE_FAILED = 3
KL_PHYSICAL_STATE_UNKNOWABLE = 4
KL_SETTLED_BY_NOBODY = 0
KL_SETTLED_BY_ANSWER = 1
KL_SETTLED_BY_QUERY = 2
KL_SETTLED_BY_EVENT = 3
KL_SETTLED_BY_SENSOR = 4
KL_SETTLED_BY_PERSON = 5
KL_SETTLED_BY_JOURNAL = 6
KL_ORDER_KIND_CABINET = 0
KL_ORDER_KIND_VENDING = 1
KL_DELIVERY_STATE_UNKNOWN = 0
KL_DELIVERY_STATE_PENDING = 1
KL_DELIVERY_STATE_DELIVERED = 2
KL_DELIVERY_STATE_FAILED = 3
KL_DELIVERY_STATE_AWAITING_PICKUP = 4
KL_DELIVERY_STATE_OUT_OF_STOCK = 5
KL_PAYMENT_STATE_UNKNOWN = 0
KL_PAYMENT_STATE_UNPAID = 1
KL_PAYMENT_STATE_PAID = 2
KL_PAYMENT_STATE_FAILED = 3
KL_SERVICE_STATE_UNKNOWN = 0
KL_SERVICE_STATE_NOT_STARTED = 1
KL_SERVICE_STATE_IN_SERVICE = 2
KL_SERVICE_STATE_ENDED = 3
KL_PAYMENT_RESULT_PAID = 1
KL_PAYMENT_RESULT_FAILED = -1
KL_CODE_KIND_PICKUP = 0
KL_CODE_KIND_VIRTUAL = 1
KL_CODE_KIND_VOUCHER = 2
KL_CODE_STATE_UNKNOWN = 0
KL_CODE_STATE_UNUSED = 1
KL_CODE_STATE_USED = 2
KL_CODE_STATE_EXPIRED = 3
KL_CODE_STATE_REFUNDING = 4
KL_CODE_STATE_DISABLED = 5
KL_COMMAND_FILTER_ANY = 0
KL_COMMAND_FILTER_OPEN = 1
KL_COMMAND_FILTER_DONE = 2
KL_COMMAND_FILTER_NOT_DONE = 3
KL_COMMAND_FILTER_UNKNOWN = 4
KL_TASK_STATE_WAITING = 1
KL_TASK_STATE_RUNNING = 2
KL_TASK_STATE_RETURNED = 3
KL_TASK_STATE_NOT_STARTED = 4
KL_TASK_STATE_ABANDONED = 5
KL_EVENT_KIND_OTHER = 0
KL_EVENT_KIND_TEST = 1
KL_EVENT_KIND_DOOR_CLOSED = 2
KL_EVENT_KIND_RECOGNIZED = 3
KL_EVENT_KIND_ORDER_PAID = 4
KL_EVENT_KIND_REFUND_APPROVED = 5
KL_EVENT_KIND_ORDER_REPLACED = 6
KL_EVENT_KIND_DELIVERY = 7
KL_EVENT_KIND_VOUCHER_REDEEMED = 8
KL_EVENT_KIND_CABINET_CHANGED = 9
KL_EVENT_KIND_RETURN_SLIP = 10
KL_EVENT_KIND_REFUND_REQUESTED = 11
KL_EVENT_KIND_REFUND_FINISHED = 12
KL_EVENT_KIND_PAY_PAGE = 13
KL_EVENT_KIND_ORDER_CHANGED = 14
KL_EVENT_KIND_ORDER_FINISHED = 15
KL_EVENT_KIND_ORDER_CLOSED = 16
KL_EVENT_KIND_REFUND_CHANGED = 17
KL_EVENT_KIND_STOCK_CHANGED = 18
KL_EVENT_KIND_APP_CHANGED = 19
KL_SIGNED_WITH_NOTHING = 0
KL_SIGNED_WITH_APP_SECRET = 1
KL_SIGNED_WITH_PAY_KEY = 2
KL_SIGNED_WITH_CONTENT_ONLY = 3
KL_SIGNED_WITH_ENCRYPTED = 4
KL_HTTP_ACTION_READ = 1
KL_HTTP_ACTION_EVENT = 2
KL_HTTP_ACTION_CLOSE = 3
KL_LOG_LEVEL_OFF = 0
KL_LOG_LEVEL_ERROR = 1
KL_LOG_LEVEL_WARN = 2
KL_LOG_LEVEL_INFO = 3
KL_LOG_LEVEL_DEBUG = 4
KL_TIME_SOURCE_SYSTEM = 0
KL_TIME_SOURCE_FLOOR = 1
KL_TIME_SOURCE_FIRMWARE = 2
KL_TIME_SOURCE_PLATFORM = 3

"""The keys of a client's settings."""
KEYS = (
    "base_url",
    "allow_http",
    "ca_file",
    "ca_pem",
    "pin_sha256",
    "client_cert_file",
    "client_key_file",
    "connect_timeout_ms",
    "timeout_ms",
    "idle_timeout_ms",
    "max_reply_bytes",
    "address_family",
    "proxy",
    "command_ttl_ms",
    "state_dir",
    "state_dir_shared",
    "refusals_file",
    "code_tries_per_minute",
    "task_threads",
    "task_stack_kib",
    "app_id",
    "app_secret",
    "pay_key",
    "timestamp_unit",
    "format",
    "own_trade_no",
    "machines",
    "allow_http_report",
    "app_key",
    "sign_value_encoding",
    "client_id",
    "client_secret",
    "grant_id",
    "sole_redeemer",
    "access_token",
)

kl_task_fn = CFUNCTYPE(c_int32, c_void_p, c_void_p)
kl_task_release_fn = CFUNCTYPE(None, c_void_p)
kl_log_fn = CFUNCTYPE(None, c_void_p, c_int32, c_char_p)


class kl_error(Structure):
    _fields_ = [
        ("struct_size", c_uint32),
        ("status", c_int32),
        ("outcome", c_int32),
        ("advice", c_int32),
        ("http_status", c_int32),
        ("platform_code", c_int32),
        ("os_errno", c_int32),
        ("retry_after_ms", c_uint32),
        ("platform_name", c_char * 96),
        ("platform_message", c_char * 128),
        ("message", c_char * 256),
    ]


class kl_page(Structure):
    _fields_ = [
        ("struct_size", c_uint32),
        ("number", c_uint32),
        ("size", c_uint32),
    ]


class kl_cabinet(Structure):
    _fields_ = [
        ("id", c_char_p),
        ("name", c_char_p),
        ("device_code", c_char_p),
        ("code", c_char_p),
        ("address", c_char_p),
        ("json", c_char_p),
        ("longitude", c_double),
        ("latitude", c_double),
        ("online", c_int32),
        ("sale", c_int32),
        ("door_count", c_int32),
    ]


class kl_stock_item(Structure):
    _fields_ = [
        ("cabinet_id", c_char_p),
        ("id", c_char_p),
        ("product_id", c_char_p),
        ("barcode", c_char_p),
        ("name", c_char_p),
        ("image_url", c_char_p),
        ("lanes", c_char_p),
        ("json", c_char_p),
        ("price", c_int64),
        ("shelved_at", c_int64),
        ("stock", c_int32),
        ("capacity", c_int32),
        ("sold", c_int32),
    ]


class kl_door_request(Structure):
    _fields_ = [
        ("struct_size", c_uint32),
        ("ttl_ms", c_uint32),
        ("request_id", c_char_p),
        ("cabinet_id", c_char_p),
        ("door", c_char_p),
        ("user_id", c_char_p),
        ("order_no", c_char_p),
        ("item_no", c_char_p),
        ("notify_url", c_char_p),
        ("extra_json", c_char_p),
        ("visit_id", c_char_p),
        ("context", c_char_p),
    ]


class kl_command_info(Structure):
    _fields_ = [
        ("request_id", c_char_p),
        ("visit_id", c_char_p),
        ("context", c_char_p),
        ("mark", c_char_p),
        ("order_no", c_char_p),
        ("item_no", c_char_p),
        ("delivery_no", c_char_p),
        ("report_url", c_char_p),
        ("json", c_char_p),
        ("cabinet_id", c_char_p),
        ("door", c_char_p),
        ("physical_error", c_char_p),
        ("message", c_char_p),
        ("kind", c_int32),
        ("outcome", c_int32),
        ("physical", c_int32),
        ("settled_by", c_int32),
        ("status", c_int32),
        ("recorded", c_int32),
        ("mature_in_ms", c_uint32),
        ("verb", c_int32),
        ("sequence", c_uint64),
        ("age_ms", c_uint64),
        ("started_at", c_int64),
        ("sent_at", c_int64),
        ("kept_for_ms", c_uint32),
    ]


class kl_order_ref(Structure):
    _fields_ = [
        ("struct_size", c_uint32),
        ("kind", c_int32),
        ("order_no", c_char_p),
        ("trade_no", c_char_p),
        ("cabinet_id", c_char_p),
        ("extra_json", c_char_p),
    ]


class kl_order_query(Structure):
    _fields_ = [
        ("struct_size", c_uint32),
        ("kind", c_int32),
        ("from", c_int64),
        ("to", c_int64),
        ("extra_json", c_char_p),
    ]


class kl_order_line(Structure):
    _fields_ = [
        ("barcode", c_char_p),
        ("name", c_char_p),
        ("price", c_int64),
        ("total", c_int64),
        ("quantity", c_int32),
        ("delivery", c_int32),
        ("item_no", c_char_p),
        ("product_id", c_char_p),
        ("state_text", c_char_p),
    ]


class kl_order(Structure):
    _fields_ = [
        ("order_no", c_char_p),
        ("trade_no", c_char_p),
        ("cabinet_id", c_char_p),
        ("user_id", c_char_p),
        ("open_id", c_char_p),
        ("delivery_error", c_char_p),
        ("refund_reason", c_char_p),
        ("json", c_char_p),
        ("lines", POINTER(POINTER(kl_order_line))),
        ("refunded_lines", POINTER(POINTER(kl_order_line))),
        ("line_count", c_size_t),
        ("refunded_line_count", c_size_t),
        ("amount", c_int64),
        ("refunded", c_int64),
        ("created_at", c_int64),
        ("paid_at", c_int64),
        ("refund_at", c_int64),
        ("kind", c_int32),
        ("payment", c_int32),
        ("pay_type", c_int32),
        ("service", c_int32),
        ("door", c_int32),
        ("delivery", c_int32),
        ("suspicious", c_int32),
        ("refund_state", c_int32),
        ("state_text", c_char_p),
    ]


class kl_payment_report_request(Structure):
    _fields_ = [
        ("struct_size", c_uint32),
        ("result", c_int32),
        ("amount", c_int64),
        ("report_url", c_char_p),
        ("order_no", c_char_p),
        ("cabinet_id", c_char_p),
        ("trade_no", c_char_p),
        ("channel_json", c_char_p),
        ("extra_json", c_char_p),
        ("request_id", c_char_p),
        ("visit_id", c_char_p),
        ("context", c_char_p),
        ("send_within_ms", c_uint32),
    ]


class kl_claim_request(Structure):
    _fields_ = [
        ("struct_size", c_uint32),
        ("send_within_ms", c_uint32),
        ("order_no", c_char_p),
        ("cabinet_id", c_char_p),
        ("reason", c_char_p),
        ("remarks", c_char_p),
        ("phone", c_char_p),
        ("extra_json", c_char_p),
        ("request_id", c_char_p),
        ("visit_id", c_char_p),
        ("context", c_char_p),
    ]


class kl_order_create_line(Structure):
    _fields_ = [
        ("struct_size", c_uint32),
        ("quantity", c_uint32),
        ("product_id", c_char_p),
    ]


class kl_order_create_request(Structure):
    _fields_ = [
        ("struct_size", c_uint32),
        ("line_count", c_uint32),
        ("lines", POINTER(POINTER(kl_order_create_line))),
        ("cabinet_id", c_char_p),
        ("trade_no", c_char_p),
        ("notify_url", c_char_p),
        ("extra_json", c_char_p),
        ("request_id", c_char_p),
        ("visit_id", c_char_p),
        ("context", c_char_p),
    ]


class kl_redeem_request(Structure):
    _fields_ = [
        ("struct_size", c_uint32),
        ("ttl_ms", c_uint32),
        ("kind", c_int32),
        ("reserved", c_uint32),
        ("request_id", c_char_p),
        ("code", c_char_p),
        ("cabinet_id", c_char_p),
        ("product_id", c_char_p),
        ("trade_no", c_char_p),
        ("notify_url", c_char_p),
        ("redeemer", c_char_p),
        ("extra_json", c_char_p),
        ("visit_id", c_char_p),
        ("context", c_char_p),
    ]


class kl_code_query(Structure):
    _fields_ = [
        ("struct_size", c_uint32),
        ("kind", c_int32),
        ("code", c_char_p),
        ("cabinet_id", c_char_p),
        ("product_id", c_char_p),
        ("extra_json", c_char_p),
    ]


class kl_pickup_code(Structure):
    _fields_ = [
        ("code", c_char_p),
        ("id", c_char_p),
        ("cabinet_id", c_char_p),
        ("product_id", c_char_p),
        ("order_no", c_char_p),
        ("state_text", c_char_p),
        ("json", c_char_p),
        ("order", POINTER(kl_order)),
        ("created_at", c_int64),
        ("expires_at", c_int64),
        ("used_at", c_int64),
        ("kind", c_int32),
        ("state", c_int32),
        ("quantity", c_int32),
    ]


class kl_code_create_request(Structure):
    _fields_ = [
        ("struct_size", c_uint32),
        ("count", c_uint32),
        ("length", c_uint32),
        ("reserved", c_uint32),
        ("expires_at", c_int64),
        ("cabinet_id", c_char_p),
        ("product_id", c_char_p),
        ("extra_json", c_char_p),
    ]


class kl_code_cancel_request(Structure):
    _fields_ = [
        ("struct_size", c_uint32),
        ("reserved", c_uint32),
        ("cabinet_id", c_char_p),
        ("id", c_char_p),
        ("extra_json", c_char_p),
    ]


class kl_journal_info(Structure):
    _fields_ = [
        ("struct_size", c_uint32),
        ("damaged", c_int32),
        ("bytes", c_uint64),
        ("settled", c_uint64),
        ("unsettled", c_uint64),
        ("syncs", c_uint64),
        ("sync_last_us", c_uint64),
        ("sync_max_us", c_uint64),
        ("sync_total_us", c_uint64),
        ("path", c_char * 256),
        ("names", c_uint64),
        ("epoch", c_uint32),
        ("reserved", c_uint32),
        ("damage", c_char * 64),
        ("installation", c_char * 64),
        ("file_system", c_char * 32),
        ("visits", c_uint64),
    ]


class kl_visit(Structure):
    _fields_ = [
        ("visit_id", c_char_p),
        ("commands", POINTER(POINTER(kl_command_info))),
        ("command_count", c_size_t),
        ("started_at", c_int64),
        ("age_ms", c_uint64),
        ("done_count", c_uint32),
        ("unknown_count", c_uint32),
    ]


class kl_view_options(Structure):
    _fields_ = [
        ("struct_size", c_uint32),
        ("timeout_ms", c_uint32),
    ]


class kl_task_options(Structure):
    _fields_ = [
        ("struct_size", c_uint32),
        ("timeout_ms", c_uint32),
        ("start_within_ms", c_uint32),
        ("acts", c_int32),
        ("release", kl_task_release_fn),
    ]


class kl_task_info(Structure):
    _fields_ = [
        ("user", c_void_p),
        ("state", c_int32),
        ("result", c_int32),
        ("status", c_int32),
        ("cancelled", c_int32),
        ("age_ms", c_uint64),
        ("run_ms", c_uint64),
    ]


class kl_event_info(Structure):
    _fields_ = [
        ("kind", c_int32),
        ("duplicate", c_int32),
        ("signed_with", c_int32),
        ("door", c_int32),
        ("delivery", c_int32),
        ("sent_at", c_int64),
        ("at", c_int64),
        ("amount", c_int64),
        ("method", c_char_p),
        ("app_id", c_char_p),
        ("notice_id", c_char_p),
        ("order_no", c_char_p),
        ("trade_no", c_char_p),
        ("cabinet_id", c_char_p),
        ("message", c_char_p),
        ("report_url", c_char_p),
        ("voucher_id", c_char_p),
        ("voucher_code", c_char_p),
        ("depot_id", c_char_p),
        ("account_id", c_char_p),
        ("biz_id", c_char_p),
        ("json", c_char_p),
        ("lines", POINTER(POINTER(kl_order_line))),
        ("line_count", c_size_t),
        ("order", POINTER(kl_order)),
        ("cabinet", POINTER(kl_cabinet)),
        ("item_no", c_char_p),
        ("version", c_int64),
        ("stale", c_int32),
    ]


class kl_http_options(Structure):
    _fields_ = [
        ("struct_size", c_uint32),
        ("max_head", c_uint32),
        ("max_body", c_uint32),
        ("timeout_ms", c_uint32),
        ("one_request", c_int32),
    ]


class kl_http_step(Structure):
    _fields_ = [
        ("action", c_int32),
        ("wait_ms", c_uint32),
        ("bytes", c_void_p),
        ("len", c_size_t),
        ("event", POINTER(kl_event_info)),
        ("client", c_void_p),
    ]


class kl_user_info(Structure):
    _fields_ = [
        ("username", c_char_p),
        ("name", c_char_p),
        ("sex", c_char_p),
        ("phone", c_char_p),
        ("avatar_url", c_char_p),
        ("raw", c_char_p),
        ("created_at", c_int64),
        ("now", c_int64),
        ("is_admin", c_int32),
    ]


class kl_company_info(Structure):
    _fields_ = [
        ("name", c_char_p),
        ("kind", c_char_p),
        ("tax_number", c_char_p),
        ("address", c_char_p),
        ("phone", c_char_p),
        ("legal_person", c_char_p),
        ("legal_person_phone", c_char_p),
        ("raw", c_char_p),
        ("created_at", c_int64),
        ("now", c_int64),
    ]


class kl_stats(Structure):
    _fields_ = [
        ("struct_size", c_uint32),
        ("lookups", c_uint32),
        ("connects", c_uint32),
        ("handshakes", c_uint32),
        ("resumed", c_uint32),
        ("requests", c_uint32),
        ("reused", c_uint32),
        ("retries", c_uint32),
        ("calls", c_uint32),
        ("call_ms", c_uint32),
        ("call_max_ms", c_uint32),
        ("done", c_uint32),
        ("not_done", c_uint32),
        ("unknown", c_uint32),
        ("handles", c_uint32),
    ]


"""Every struct."""
STRUCTS: Dict[str, Type[Structure]] = {
    "kl_error": kl_error,
    "kl_page": kl_page,
    "kl_cabinet": kl_cabinet,
    "kl_stock_item": kl_stock_item,
    "kl_door_request": kl_door_request,
    "kl_command_info": kl_command_info,
    "kl_order_ref": kl_order_ref,
    "kl_order_query": kl_order_query,
    "kl_order_line": kl_order_line,
    "kl_order": kl_order,
    "kl_payment_report_request": kl_payment_report_request,
    "kl_claim_request": kl_claim_request,
    "kl_order_create_line": kl_order_create_line,
    "kl_order_create_request": kl_order_create_request,
    "kl_redeem_request": kl_redeem_request,
    "kl_code_query": kl_code_query,
    "kl_pickup_code": kl_pickup_code,
    "kl_code_create_request": kl_code_create_request,
    "kl_code_cancel_request": kl_code_cancel_request,
    "kl_journal_info": kl_journal_info,
    "kl_visit": kl_visit,
    "kl_view_options": kl_view_options,
    "kl_task_options": kl_task_options,
    "kl_task_info": kl_task_info,
    "kl_event_info": kl_event_info,
    "kl_http_options": kl_http_options,
    "kl_http_step": kl_http_step,
    "kl_user_info": kl_user_info,
    "kl_company_info": kl_company_info,
    "kl_stats": kl_stats,
}

"""Every function: its result, and its parameters."""
FUNCTIONS: Dict[str, Tuple[Any, Tuple[Any, ...]]] = {
    "kl_version": (c_char_p, ()),
    "kl_abi_version": (c_uint32, ()),
    "kl_build_info": (c_char_p, ()),
    "kl_status_name": (c_char_p, (c_int32,)),
    "kl_config_new": (c_int32, (c_char_p, POINTER(c_void_p), POINTER(kl_error))),
    "kl_config_load": (c_int32, (c_char_p, c_char_p, POINTER(c_void_p), POINTER(kl_error))),
    "kl_config_set": (c_int32, (c_void_p, c_char_p, c_char_p, POINTER(kl_error))),
    "kl_config_free": (None, (c_void_p,)),
    "kl_client_new": (c_int32, (c_void_p, POINTER(c_void_p), POINTER(kl_error))),
    "kl_client_free": (None, (c_void_p,)),
    "kl_client_can": (c_int32, (c_void_p, c_int32)),
    "kl_client_cancel": (c_int32, (c_void_p, POINTER(kl_error))),
    "kl_client_warm": (c_int32, (c_void_p, POINTER(kl_error))),
    "kl_ping": (c_int32, (c_void_p, POINTER(kl_error))),
    "kl_cabinet_list": (c_int32, (c_void_p, POINTER(kl_page), POINTER(c_void_p), POINTER(kl_error))),
    "kl_cabinets_count": (c_size_t, (c_void_p,)),
    "kl_cabinets_at": (POINTER(kl_cabinet), (c_void_p, c_size_t)),
    "kl_cabinets_total": (c_int64, (c_void_p,)),
    "kl_cabinets_more": (c_int32, (c_void_p,)),
    "kl_cabinets_free": (None, (c_void_p,)),
    "kl_cabinet_iter_new": (c_int32, (c_void_p, c_uint32, POINTER(c_void_p), POINTER(kl_error))),
    "kl_cabinet_iter_next": (c_int32, (c_void_p, POINTER(POINTER(kl_cabinet)), POINTER(kl_error))),
    "kl_cabinet_iter_free": (None, (c_void_p,)),
    "kl_stock_fetch": (c_int32, (c_void_p, c_char_p, POINTER(c_void_p), POINTER(kl_error))),
    "kl_stock_fetch_page": (
        c_int32,
        (c_void_p, c_char_p, POINTER(kl_page), c_char_p, POINTER(c_void_p), POINTER(kl_error)),
    ),
    "kl_stock_count": (c_size_t, (c_void_p,)),
    "kl_stock_at": (POINTER(kl_stock_item), (c_void_p, c_size_t)),
    "kl_stock_total": (c_int64, (c_void_p,)),
    "kl_stock_more": (c_int32, (c_void_p,)),
    "kl_stock_free": (None, (c_void_p,)),
    "kl_stock_iter_new": (c_int32, (c_void_p, c_char_p, c_uint32, c_char_p, POINTER(c_void_p), POINTER(kl_error))),
    "kl_stock_iter_next": (c_int32, (c_void_p, POINTER(POINTER(kl_stock_item)), POINTER(kl_error))),
    "kl_stock_iter_free": (None, (c_void_p,)),
    "kl_request_id_new": (c_int32, (c_void_p, c_char_p, c_size_t, POINTER(kl_error))),
    "kl_door_open": (c_int32, (c_void_p, POINTER(kl_door_request), POINTER(c_void_p), POINTER(kl_error))),
    "kl_door_check": (c_int32, (c_void_p, POINTER(kl_door_request), POINTER(kl_error))),
    "kl_command_view": (POINTER(kl_command_info), (c_void_p,)),
    "kl_command_free": (None, (c_void_p,)),
    "kl_order_get": (c_int32, (c_void_p, POINTER(kl_order_ref), POINTER(c_void_p), POINTER(kl_error))),
    "kl_order_list": (
        c_int32,
        (c_void_p, POINTER(kl_order_query), POINTER(kl_page), POINTER(c_void_p), POINTER(kl_error)),
    ),
    "kl_orders_count": (c_size_t, (c_void_p,)),
    "kl_orders_at": (POINTER(kl_order), (c_void_p, c_size_t)),
    "kl_orders_total": (c_int64, (c_void_p,)),
    "kl_orders_more": (c_int32, (c_void_p,)),
    "kl_orders_free": (None, (c_void_p,)),
    "kl_order_iter_new": (
        c_int32,
        (c_void_p, POINTER(kl_order_query), c_uint32, POINTER(c_void_p), POINTER(kl_error)),
    ),
    "kl_order_iter_next": (c_int32, (c_void_p, POINTER(POINTER(kl_order)), POINTER(kl_error))),
    "kl_order_iter_free": (None, (c_void_p,)),
    "kl_payment_report": (
        c_int32,
        (c_void_p, POINTER(kl_payment_report_request), POINTER(c_void_p), POINTER(kl_error)),
    ),
    "kl_refund_apply": (c_int32, (c_void_p, POINTER(kl_claim_request), POINTER(c_void_p), POINTER(kl_error))),
    "kl_appeal_file": (c_int32, (c_void_p, POINTER(kl_claim_request), POINTER(c_void_p), POINTER(kl_error))),
    "kl_order_create": (c_int32, (c_void_p, POINTER(kl_order_create_request), POINTER(c_void_p), POINTER(kl_error))),
    "kl_response_json": (c_char_p, (c_void_p,)),
    "kl_response_free": (None, (c_void_p,)),
    "kl_redeem_check": (c_int32, (c_void_p, POINTER(kl_redeem_request), POINTER(kl_error))),
    "kl_code_redeem": (c_int32, (c_void_p, POINTER(kl_redeem_request), POINTER(c_void_p), POINTER(kl_error))),
    "kl_code_lookup": (c_int32, (c_void_p, POINTER(kl_code_query), POINTER(c_void_p), POINTER(kl_error))),
    "kl_code_list": (c_int32, (c_void_p, POINTER(kl_code_query), POINTER(c_void_p), POINTER(kl_error))),
    "kl_codes_count": (c_size_t, (c_void_p,)),
    "kl_codes_at": (POINTER(kl_pickup_code), (c_void_p, c_size_t)),
    "kl_codes_free": (None, (c_void_p,)),
    "kl_code_create": (c_int32, (c_void_p, POINTER(kl_code_create_request), POINTER(c_void_p), POINTER(kl_error))),
    "kl_code_cancel": (c_int32, (c_void_p, POINTER(kl_code_cancel_request), POINTER(c_void_p), POINTER(kl_error))),
    "kl_command_wait": (c_int32, (c_void_p, c_char_p, c_uint32, POINTER(c_void_p), POINTER(kl_error))),
    "kl_command_get": (c_int32, (c_void_p, c_char_p, POINTER(c_void_p), POINTER(kl_error))),
    "kl_command_pending": (c_int32, (c_void_p, POINTER(c_void_p), POINTER(kl_error))),
    "kl_command_list": (c_int32, (c_void_p, c_uint64, c_int32, POINTER(c_void_p), POINTER(kl_error))),
    "kl_commands_count": (c_size_t, (c_void_p,)),
    "kl_commands_at": (POINTER(kl_command_info), (c_void_p, c_size_t)),
    "kl_commands_free": (None, (c_void_p,)),
    "kl_command_resolve": (c_int32, (c_void_p, c_char_p, POINTER(c_void_p), POINTER(kl_error))),
    "kl_command_settle": (c_int32, (c_void_p, c_char_p, c_int32, c_int32, c_char_p, POINTER(kl_error))),
    "kl_command_overrule": (c_int32, (c_void_p, c_char_p, c_int32, c_char_p, POINTER(kl_error))),
    "kl_journal_read": (c_int32, (c_void_p, POINTER(kl_journal_info), POINTER(kl_error))),
    "kl_journal_repair": (c_int32, (c_void_p, POINTER(kl_error))),
    "kl_journal_adopt": (c_int32, (c_void_p, c_char_p, POINTER(kl_error))),
    "kl_visit_list": (c_int32, (c_void_p, POINTER(c_void_p), POINTER(kl_error))),
    "kl_visit_close": (c_int32, (c_void_p, c_char_p, POINTER(kl_error))),
    "kl_visits_count": (c_size_t, (c_void_p,)),
    "kl_visits_at": (POINTER(kl_visit), (c_void_p, c_size_t)),
    "kl_visits_free": (None, (c_void_p,)),
    "kl_client_view": (c_int32, (c_void_p, POINTER(kl_view_options), POINTER(c_void_p), POINTER(kl_error))),
    "kl_task_start": (
        c_int32,
        (c_void_p, kl_task_fn, c_void_p, POINTER(kl_task_options), POINTER(c_void_p), POINTER(kl_error)),
    ),
    "kl_task_next": (c_int32, (c_void_p, POINTER(c_void_p), POINTER(kl_error))),
    "kl_task_cancel": (None, (c_void_p,)),
    "kl_task_view": (POINTER(kl_task_info), (c_void_p,)),
    "kl_task_free": (None, (c_void_p,)),
    "kl_client_fd": (c_int32, (c_void_p, POINTER(c_int32), POINTER(kl_error))),
    "kl_event_parse": (c_int32, (c_void_p, c_char_p, c_char_p, c_size_t, POINTER(c_void_p), POINTER(kl_error))),
    "kl_event_view": (POINTER(kl_event_info), (c_void_p,)),
    "kl_event_reply": (c_char_p, (c_void_p,)),
    "kl_event_set_reply": (c_int32, (c_void_p, c_int32, c_char_p, c_char_p, POINTER(kl_error))),
    "kl_event_free": (None, (c_void_p,)),
    "kl_http_new": (c_int32, (POINTER(kl_http_options), POINTER(c_void_p), POINTER(kl_error))),
    "kl_http_add": (c_int32, (c_void_p, c_void_p, c_char_p, POINTER(kl_error))),
    "kl_http_feed": (c_int32, (c_void_p, c_char_p, c_size_t, POINTER(POINTER(kl_http_step)), POINTER(kl_error))),
    "kl_http_tick": (c_int32, (c_void_p, POINTER(POINTER(kl_http_step)), POINTER(kl_error))),
    "kl_http_reply": (
        c_int32,
        (c_void_p, c_int32, c_char_p, c_char_p, POINTER(POINTER(kl_http_step)), POINTER(kl_error)),
    ),
    "kl_http_free": (None, (c_void_p,)),
    "kl_call": (c_int32, (c_void_p, c_char_p, c_char_p, POINTER(c_void_p), POINTER(kl_error))),
    "kl_user_get": (c_int32, (c_void_p, POINTER(c_void_p), POINTER(kl_error))),
    "kl_user_view": (POINTER(kl_user_info), (c_void_p,)),
    "kl_user_free": (None, (c_void_p,)),
    "kl_company_get": (c_int32, (c_void_p, POINTER(c_void_p), POINTER(kl_error))),
    "kl_company_view": (POINTER(kl_company_info), (c_void_p,)),
    "kl_company_free": (None, (c_void_p,)),
    "kl_set_log": (c_int32, (c_int32, kl_log_fn, c_void_p, POINTER(kl_error))),
    "kl_set_time": (c_int32, (c_int64, POINTER(kl_error))),
    "kl_client_time": (c_int32, (c_void_p, POINTER(c_int64), POINTER(c_int32), POINTER(kl_error))),
    "kl_client_stats": (c_int32, (c_void_p, POINTER(kl_stats), POINTER(kl_error))),
}

"""The functions that answer what became of an act, not a status."""
ACTS = (
    "kl_door_open",
    "kl_payment_report",
    "kl_refund_apply",
    "kl_appeal_file",
    "kl_order_create",
    "kl_code_redeem",
    "kl_code_create",
    "kl_code_cancel",
    "kl_command_resolve",
    "kl_call",
)
