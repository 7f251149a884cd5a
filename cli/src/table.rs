//! The table of commands: help, completion, the man page and the reading of arguments are all made from it.

use crate::args::Given;
use crate::out::Done;
use crate::{commands, doctor, listen, manual, sign, story, trigger, verbs};

/// One word with two dashes before it.
pub struct Flag {
    /// Its name, without the dashes.
    pub name: &'static str,
    /// What its value is called; empty if it takes none.
    pub value: &'static str,
    /// What it does.
    pub doc: &'static str,
}

/// One argument without dashes.
pub struct Arg {
    /// What it is called.
    pub name: &'static str,
    /// Whether the command cannot do without it.
    pub needed: bool,
    /// What it is.
    pub doc: &'static str,
}

/// Whose settings a command works with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Account {
    /// It has nothing to do with accounts.
    None,
    /// It uses one.
    One,
}

/// One command.
pub struct Verb {
    /// Its one or two words.
    pub words: &'static [&'static str],
    /// The functions of C that do the same, without kl_. Each is a name of the command too, with dashes or as it is.
    pub also: &'static [&'static str],
    /// Its arguments, in their order.
    pub args: &'static [Arg],
    /// Its own flags.
    pub flags: &'static [Flag],
    /// Whether it uses an account.
    pub account: Account,
    /// Whether it can be answered in JSON.
    pub json: bool,
    /// What it does, in one line.
    pub doc: &'static str,
    /// What else is to be said.
    pub more: &'static str,
    /// Examples, without the name of the program.
    pub examples: &'static [&'static str],
    /// Does it.
    pub run: fn(&Given) -> Done,
}

const fn flag(name: &'static str, value: &'static str, doc: &'static str) -> Flag {
    Flag { name, value, doc }
}

const fn need(name: &'static str, doc: &'static str) -> Arg {
    Arg { name, needed: true, doc }
}

const fn may(name: &'static str, doc: &'static str) -> Arg {
    Arg { name, needed: false, doc }
}

/// The flags of every command.
pub const ALWAYS: &[Flag] = &[
    flag("help", "", "Shows this help, and stops."),
    flag("lang", "en|zh", "The language of what is printed. Default: as LC_ALL, LC_MESSAGES or LANG say."),
    flag("version", "", "Shows the version, and stops."),
];

/// The flag of every command that can answer in JSON.
pub const JSON: Flag = flag("json", "", "JSON instead of words: one object a line.");

/// The flags of every command that uses an account, beside the settings.
pub const ACCOUNT: &[Flag] = &[
    flag(
        "accounts",
        "FILE",
        "The JSON file of accounts that the firmware uses. Default: /etc/kiosklink/accounts.json.",
    ),
    flag("account", "NAME", "Which of its accounts; not needed if it holds one."),
    flag(
        "platform",
        "yopoint|dingshang|youzan|zhiyun",
        "No file: yopoint, dingshang, youzan or zhiyun, with its settings as flags.",
    ),
    flag(
        "secrets-in-arguments",
        "",
        "Permits secrets as arguments, where every user of the device can read them. Without it a secret's flag takes @FILE or - for the standard input.",
    ),
];

const VENDING: Flag = flag("vending", "", "Orders of vending machines instead of cabinets.");
const CABINET: Flag = flag("cabinet", "ID", "The cabinet, where the platform asks for it.");
const EXTRA: Flag = flag("extra", "JSON", "More parameters for the platform, a JSON object.");
const RECORD: Flag = flag("raw", "", "The platform's own records instead of the common fields; with --json.");
const FROM: Flag = flag(
    "from",
    "TIME",
    "From this time on: 2026-01-31, 2026-01-31T12:00:00+08:00 or Unix seconds. Default: 24 hours ago.",
);
const TZ: Flag = flag(
    "tz",
    "+HH:MM",
    "The zone of times and days that name none, and of those that are shown: +08:00 for China. Default: UTC.",
);
const TO: Flag =
    flag("to", "TIME", "To this time, itself included; a day is meant to its end. Default: now.");
const REQUEST_ID: Flag = flag(
    "request-id",
    "NAME",
    "Your name for this act; the same name never acts twice (with state_dir: not after a restart either). Default: one is made and printed first.",
);
const WAIT: Flag = flag("wait-ms", "MS", "Wait this long for what the machine did.");
const NAMED: Flag = flag(
    "request-id",
    "NAME",
    "Your name for this act; under the same name it is sent at most once. Default: none.",
);
const VISIT: Flag = flag("visit-id", "NAME", "The customer's visit that it belongs to; see visits list.");
const CONTEXT: Flag = flag("context", "TEXT", "Your own text, kept with it.");
const NOTE: Flag = flag("note", "TEXT", "Who decides, and how they know. Needed.");
const YES: Flag = flag("yes", "", "Does not ask; needed without a terminal.");
const TTL: Flag = flag("ttl-ms", "MS", "Not to be sent later than this.");
const KIND: Flag =
    flag("kind", "pickup|virtual|voucher", "pickup, virtual or voucher (Youzan). Default: pickup.");

/// Every command.
pub const VERBS: &[Verb] = &[
    Verb {
        words: &["ping"],
        also: &["ping"],
        args: &[],
        flags: &[],
        account: Account::One,
        json: true,
        doc: "Is the platform there, does it take the credentials, and is this device's clock right?",
        more: "",
        examples: &["ping --accounts accounts.json --account yopoint"],
        run: verbs::ping,
    },
    Verb {
        words: &["doctor"],
        also: &[],
        args: &[may("ACCOUNT", "The account; not needed if the file holds one.")],
        flags: &[
            flag(
                "watch",
                "",
                "Asks a small question again and again over the same connection, and shows how long the answers took, what was lost and whose fault it was, until SIGINT.",
            ),
            flag("count", "N", "With --watch: stop after this many checks."),
            flag(
                "interval-ms",
                "MS",
                "With --watch: the pause between two checks, at least 100. Default: 2000.",
            ),
        ],
        account: Account::One,
        json: true,
        doc: "Looks at everything between this device and the platform, and says what to do about what is wrong.",
        more: "Name lookup, TCP, the TLS chain and its days, the clock against the platform, the credentials, the folder for \
               state, the file system under it and the journal in it, whose journal it is, free space, the refusals_file, the versions. Each line says good, look or bad and is printed as soon as it is known; the last sentence says whose fault it is, \
               the link's or the platform's. Nothing is changed, no \
               door opens. Ends with 0 if nothing is bad, with 5 otherwise.",
        examples: &[
            "doctor --accounts accounts.json",
            "doctor yopoint --json",
            "doctor yopoint --watch --count 100",
        ],
        run: doctor::run,
    },
    Verb {
        words: &["sign", "explain"],
        also: &[],
        args: &[may("PLATFORM", "yopoint, dingshang, youzan or zhiyun; not needed with an account.")],
        flags: &[
            flag("method", "NAME", "The platform's name of the call. Default: one that only reads."),
            flag("params", "JSON", "Its parameters. Default: some of the usual ones."),
            flag("at", "UNIX", "As if it were this time, in Unix seconds. Default: now."),
            flag(
                "token",
                "TEXT",
                "The token or code that is shown, where the platform gives one. Default: a made-up one.",
            ),
        ],
        account: Account::One,
        json: true,
        doc: "Shows, step by step, the exact text that is signed, and the signature that results.",
        more: "The request is made by the library itself, as the firmware would send it; nothing is sent. Without an account \
               made-up credentials are used. The secret is shown as ***.",
        examples: &[
            "sign explain yopoint",
            "sign explain --accounts accounts.json --account dingshang --method 'POST /products' --params '{\"machine_no\":\"16327129\"}'",
        ],
        run: sign::explain,
    },
    Verb {
        words: &["sign", "diagnose"],
        also: &[],
        args: &[may("FILE", "The refused request; - or nothing for the standard input.")],
        flags: &[
            flag("sign", "HEX", "The signature to be explained, if it is not in the request."),
            flag("secret", "@FILE", "A file that holds the secret, if there is no account."),
            flag("show-request", "", "Prints how the request was read."),
        ],
        account: Account::One,
        json: true,
        doc: "Finds the mistake in a refused request or a callback that does not verify, and prints the corrected request.",
        more: "The request may be a curl line, a raw HTTP request, a form, a JSON body or an address with its query. The known \
               mistakes are tried alone, then in pairs. Ends with 0 if the mistake was found (or there is none), with 5 if not.",
        examples: &[
            "sign diagnose refused.txt --accounts accounts.json --account yopoint",
            "sign diagnose --platform dingshang --app-key @key.txt < request.http",
        ],
        run: sign::diagnose,
    },
    Verb {
        words: &["sign", "mistakes"],
        also: &[],
        args: &[],
        flags: &[],
        account: Account::None,
        json: true,
        doc: "Lists the mistakes that diagnose knows by name.",
        more: "",
        examples: &["sign mistakes"],
        run: sign::list_mistakes,
    },
    Verb {
        words: &["cabinets"],
        also: &["cabinet_list"],
        args: &[],
        flags: &[RECORD],
        account: Account::One,
        json: true,
        doc: "Lists the account's cabinets.",
        more: "",
        examples: &["cabinets", "cabinets --json --raw"],
        run: verbs::cabinets,
    },
    Verb {
        words: &["stock"],
        also: &["stock_fetch"],
        args: &[need("CABINET", "The cabinet.")],
        flags: &[EXTRA, RECORD],
        account: Account::One,
        json: true,
        doc: "Lists what a cabinet holds.",
        more: "",
        examples: &["stock 5f6da2362201410011000001"],
        run: verbs::stock,
    },
    Verb {
        words: &["open"],
        also: &["door_open"],
        args: &[need("CABINET", "The cabinet.")],
        flags: &[
            REQUEST_ID,
            flag("door", "NAME", "Which of its doors or lanes, where the platform knows them."),
            flag("user", "ID", "The customer, where the platform wants to know."),
            flag("order-no", "NO", "The order, or your own number."),
            flag("item-no", "NO", "The item, where the platform opens by goods."),
            flag("notify-url", "URL", "The address that the platform reports to, where it takes one."),
            VISIT,
            CONTEXT,
            TTL,
            WAIT,
            EXTRA,
        ],
        account: Account::One,
        json: true,
        doc: "Opens a door: a command, sent at most once.",
        more: "Ends with 0 if the platform took it, with 2 if nothing happened, and with 3 if it is not known whether the door \
               opened: then never open it again under another name, but ask (pending resolve).",
        examples: &["open 5f6da2362201410011000001 --door 1 --request-id visit-4711"],
        run: verbs::open,
    },
    Verb {
        words: &["redeem"],
        also: &["code_redeem"],
        args: &[need("CODE", "The code that the customer typed.")],
        flags: &[
            REQUEST_ID,
            KIND,
            CABINET,
            flag("product", "ID", "The goods of the code, where the platform asks for them."),
            flag("trade-no", "NO", "Your own order number, where the platform keeps one."),
            flag("notify-url", "URL", "The address that the platform reports to, where it takes one."),
            flag("redeemer", "TEXT", "Who redeems, for the platform's books."),
            VISIT,
            CONTEXT,
            TTL,
            EXTRA,
        ],
        account: Account::One,
        json: true,
        doc: "Redeems a pickup code: a command, sent at most once.",
        more: "Ends like open.",
        examples: &[
            "redeem 9388106 --cabinet 16327129 --product 131 --notify-url https://example.org/done --request-id visit-4711",
        ],
        run: verbs::redeem,
    },
    Verb {
        words: &["order", "get"],
        also: &["order_get"],
        args: &[may("ORDER_NO", "The platform's number.")],
        flags: &[
            flag("trade-no", "NO", "The payment channel's or your own number."),
            CABINET,
            VENDING,
            EXTRA,
            RECORD,
        ],
        account: Account::One,
        json: true,
        doc: "Shows one order.",
        more: "",
        examples: &["order get VI231228102118586561"],
        run: verbs::order_get,
    },
    Verb {
        words: &["order", "create"],
        also: &["order_create"],
        args: &[need("CABINET", "The cabinet.")],
        flags: &[
            NAMED,
            VISIT,
            CONTEXT,
            flag(
                "item",
                "ID[:N]",
                "The platform's id of the goods, and how many; may be given more than once.",
            ),
            flag("trade-no", "NO", "Your own number for it, unique."),
            flag("notify-url", "URL", "The address that the platform reports the delivery to."),
            EXTRA,
        ],
        account: Account::One,
        json: true,
        doc: "Makes an order.",
        more: "",
        examples: &[
            "order create 16327129 --item 131:1 --trade-no 80000000000000000001 --notify-url https://example.org/done",
        ],
        run: verbs::order_create,
    },
    Verb {
        words: &["orders", "list"],
        also: &["order_list"],
        args: &[],
        flags: &[FROM, TO, TZ, VENDING, EXTRA, RECORD, flag("limit", "N", "Stops after this many.")],
        account: Account::One,
        json: true,
        doc: "Lists the orders of a period.",
        more: "",
        examples: &[
            "orders list --from 2026-11-28 --to 2026-11-28 --tz +08:00",
            "orders list --json --limit 10",
        ],
        run: verbs::orders_list,
    },
    Verb {
        words: &["orders", "export"],
        also: &[],
        args: &[],
        flags: &[
            FROM,
            TO,
            TZ,
            VENDING,
            EXTRA,
            flag(
                "format",
                "csv|jsonl",
                "Comma-separated values, or one JSON object a line. Default: by the file's name, else csv.",
            ),
            flag(
                "output",
                "FILE",
                "Where to. The same command again continues where it was stopped. Needed.",
            ),
            flag("bom", "", "Begins CSV with a byte order mark, by which Excel knows UTF-8."),
            flag("restart", "", "Throws away what an earlier export left in the file."),
        ],
        account: Account::One,
        json: true,
        doc: "Writes the orders of any period to a file; goes on where it was stopped.",
        more: "What is finished is written to FILE.state beside it, a slice of the period at a time. After a kill or a power cut the same \
               command cuts the file back to the last whole slice and goes on: no order is missing and none is there twice. \
               The state is removed when all is done.",
        examples: &["orders export --from 2026-01-01 --to 2026-12-31 --output orders.csv"],
        run: verbs::orders_export,
    },
    Verb {
        words: &["code", "lookup"],
        also: &["code_lookup"],
        args: &[need("CODE", "The code.")],
        flags: &[
            KIND,
            CABINET,
            flag("product", "ID", "The goods, where the platform asks for them."),
            EXTRA,
            RECORD,
        ],
        account: Account::One,
        json: true,
        doc: "Looks a pickup code up without using it.",
        more: "",
        examples: &["code lookup 9388106 --cabinet 16327129 --product 131"],
        run: verbs::code_lookup,
    },
    Verb {
        words: &["code", "list"],
        also: &["code_list"],
        args: &[],
        flags: &[
            KIND,
            CABINET,
            flag("product", "ID", "The goods, where the platform lists by goods."),
            EXTRA,
            RECORD,
        ],
        account: Account::One,
        json: true,
        doc: "Lists the codes that can still be used.",
        more: "",
        examples: &["code list --cabinet 16327129 --product 131"],
        run: verbs::code_list,
    },
    Verb {
        words: &["code", "create"],
        also: &["code_create"],
        args: &[need("CABINET", "The cabinet.")],
        flags: &[
            flag("product", "ID", "The goods; without it one code for each of the cabinet's goods."),
            flag("count", "N", "How many. Default: 1."),
            flag("length", "N", "How many digits."),
            flag("expires", "TIME", "When they end. Default: never."),
            TZ,
            EXTRA,
            RECORD,
        ],
        account: Account::One,
        json: true,
        doc: "Makes pickup codes.",
        more: "",
        examples: &["code create 16327129 --product 131 --count 2"],
        run: verbs::code_create,
    },
    Verb {
        words: &["code", "cancel"],
        also: &["code_cancel"],
        args: &[need("CABINET", "The cabinet.")],
        flags: &[flag("id", "ID", "The id of one code."), flag("all", "", "All of the cabinet."), EXTRA],
        account: Account::One,
        json: true,
        doc: "Cancels one pickup code, or all of a cabinet.",
        more: "",
        examples: &["code cancel 16327129 --id 12", "code cancel 16327129 --all"],
        run: verbs::code_cancel,
    },
    Verb {
        words: &["payment", "report"],
        also: &["payment_report"],
        args: &[need("ORDER_NO", "The platform's number.")],
        flags: &[
            flag(
                "report-url",
                "URL",
                "The address that the platform gave for this order, where it gives one.",
            ),
            NAMED,
            VISIT,
            CONTEXT,
            CABINET,
            flag("trade-no", "NO", "The payment channel's number."),
            flag("amount", "FEN", "What was paid, in fen."),
            flag("failed", "", "The customer did not pay."),
            flag("channel", "JSON", "The payment channel's raw answer."),
            EXTRA,
        ],
        account: Account::One,
        json: true,
        doc: "Reports a payment.",
        more: "",
        examples: &[
            "payment report VI231228102118586561 --report-url https://… --trade-no 42000 --amount 350",
        ],
        run: verbs::payment_report,
    },
    Verb {
        words: &["refund"],
        also: &["refund_apply"],
        args: &[need("ORDER_NO", "The platform's number.")],
        flags: &[
            NAMED,
            VISIT,
            CONTEXT,
            CABINET,
            flag("reason", "NAME", "Why, as the platform names it."),
            flag("remarks", "TEXT", "The customer's message."),
            flag("phone", "NO", "The customer's phone number."),
            EXTRA,
        ],
        account: Account::One,
        json: true,
        doc: "Asks for a refund on the customer's behalf.",
        more: "",
        examples: &["refund VI231228102118586561 --remarks 'the door stayed shut'"],
        run: verbs::refund,
    },
    Verb {
        words: &["appeal"],
        also: &["appeal_file"],
        args: &[need("ORDER_NO", "The platform's number.")],
        flags: &[
            NAMED,
            VISIT,
            CONTEXT,
            CABINET,
            flag("reason", "NAME", "Why, as the platform names it."),
            flag("remarks", "TEXT", "The customer's message."),
            flag("phone", "NO", "The customer's phone number."),
            EXTRA,
        ],
        account: Account::One,
        json: true,
        doc: "Disputes an order on the customer's behalf.",
        more: "",
        examples: &["appeal VI231228102118586561 --remarks 'two bottles, not three'"],
        run: verbs::appeal,
    },
    Verb {
        words: &["user"],
        also: &["user_get"],
        args: &[],
        flags: &[RECORD],
        account: Account::One,
        json: true,
        doc: "Shows the person behind the account.",
        more: "",
        examples: &["user --account zhiyun"],
        run: verbs::user,
    },
    Verb {
        words: &["company"],
        also: &["company_get"],
        args: &[],
        flags: &[RECORD],
        account: Account::One,
        json: true,
        doc: "Shows the company behind the account.",
        more: "",
        examples: &["company --account zhiyun"],
        run: verbs::company,
    },
    Verb {
        words: &["call"],
        also: &["call"],
        args: &[
            need("METHOD", "The platform's own name of the call."),
            may("PARAMS", "Its parameters, a JSON object; - for the standard input."),
        ],
        flags: &[],
        account: Account::One,
        json: true,
        doc: "Makes any call of the platform by its own name, and prints its data as JSON.",
        more: "",
        examples: &["call cabinet.list '{\"Page\":1,\"PageSize\":5}'", "call 'POST /rent/machines'"],
        run: verbs::call,
    },
    Verb {
        words: &["event", "parse"],
        also: &["event_parse"],
        args: &[may(
            "FILE",
            "The callback: a raw HTTP request or its body alone; - or nothing for the standard input.",
        )],
        flags: &[flag("headers", "FILE", "The head's lines, if FILE is the body alone.")],
        account: Account::One,
        json: true,
        doc: "Verifies and reads a callback that was saved.",
        more: "",
        examples: &["event parse callback.http --account yopoint"],
        run: verbs::event_parse,
    },
    Verb {
        words: &["listen"],
        also: &[],
        args: &[],
        flags: &[
            flag("bind", "ADDRESS", "Where to listen. Default: 127.0.0.1:8080."),
            flag("cert", "FILE", "PEM file of a certificate chain: speak HTTPS."),
            flag("key", "FILE", "PEM file of its private key."),
            flag("path", "PATH", "Answer only this path, which begins with /. Default: any."),
            flag(
                "exec",
                "COMMAND",
                "Run this with /bin/sh for each callback, the event's JSON on its standard input. If it fails, the platform is asked to come again.",
            ),
            flag(
                "forward",
                "URL",
                "Post the event's JSON there. If that is not answered with 2xx, the platform is asked to come again.",
            ),
            flag(
                "save",
                "FOLDER",
                "Keep each refused request there as a file, at most 100, for sign diagnose and event parse.",
            ),
            flag(
                "table",
                "",
                "Print a table of the callbacks by their types at the end. A terminal shows it all the time, below the lines.",
            ),
            flag("count", "N", "Stop after this many callbacks that verified."),
            flag("max-body", "BYTES", "The largest callback, at most 16777216. Default: 262144."),
            flag(
                "max-connections",
                "N",
                "The most connections at a time; one more takes the place of the one that has waited longest for its request, of the peer with the most. Default: 16.",
            ),
            flag("client-timeout-ms", "MS", "The most that one connection may take. Default: 10000."),
        ],
        account: Account::One,
        json: true,
        doc: "Receives the platform's callbacks, verifies them, answers as the platform expects, and prints or forwards them.",
        more: "SIGINT and SIGTERM end it when the callback under way is answered; a second one ends it at once. What does not verify is printed with the reason and answered with 403; see sign diagnose.",
        examples: &[
            "listen --bind 0.0.0.0:8443 --cert chain.pem --key key.pem --account yopoint",
            "listen --exec 'jq .order_no'",
        ],
        run: listen::run,
    },
    Verb {
        words: &["pending", "list"],
        also: &["command_pending"],
        args: &[],
        flags: &[flag("all", "", "Every command that is remembered, the settled ones too.")],
        account: Account::One,
        json: true,
        doc: "Lists the commands of which it is not known what became of them, the oldest first.",
        more: "Of an account with state_dir. mature_in_ms is the time that must pass before not done is accepted; kept_for_ms the \
               time in which the firmware's library may still send what could not leave, at most; mark is the \
               number by which the platform's record shows that the act is ours. Sends nothing.",
        examples: &["pending list", "pending list --all --json"],
        run: commands::list,
    },
    Verb {
        words: &["pending", "resolve"],
        also: &["command_resolve"],
        args: &[may("REQUEST_ID", "One command; without it all of them.")],
        flags: &[],
        account: Account::One,
        json: true,
        doc: "Asks the platform what became of a command. Never does it again.",
        more: "Ends with 0 if it was done, with 2 if it was not, with 3 if it is still not known; for all of them with 0 if every one \
               is known now.",
        examples: &["pending resolve visit-4711", "pending resolve"],
        run: commands::resolve,
    },
    Verb {
        words: &["pending", "wait"],
        also: &["command_wait"],
        args: &[need("REQUEST_ID", "The command.")],
        flags: &[WAIT],
        account: Account::One,
        json: true,
        doc: "Waits until it is known what the machine did.",
        more: "Ends with 0 if it moved, with 4 if it did not move or if that is not known.",
        examples: &["pending wait visit-4711 --wait-ms 30000"],
        run: commands::wait,
    },
    Verb {
        words: &["pending", "settle"],
        also: &["command_settle"],
        args: &[need("REQUEST_ID", "The command."), need("OUTCOME", "done or not-done.")],
        flags: &[
            flag("note", "TEXT", "How you know; it is kept."),
            flag("sensor", "", "A sensor says so, not a person."),
            flag(
                "overrule",
                "",
                "Not done, although the request may still take effect: if it does, the door opens after all. Needs --note.",
            ),
        ],
        account: Account::One,
        json: true,
        doc: "Decides an unknown command by what a person or a sensor saw.",
        more: "The door is free for new commands then. What is settled already does not change. While the request may still take effect \
               not-done ends with 6 (KL_E_TOO_EARLY) and says when it is taken; done is taken at once.",
        examples: &[
            "pending settle visit-4711 not-done --note 'the seal is whole'",
            "pending settle visit-4711 not-done --overrule --note 'the modem was unplugged before'",
        ],
        run: commands::settle,
    },
    Verb {
        words: &["visits", "list"],
        also: &["visit_list"],
        args: &[],
        flags: &[],
        account: Account::One,
        json: true,
        doc: "Lists the visits that were not closed, each with its commands, the oldest first.",
        more: "After a restart they show which customer paid or gave a code and did not get the goods. Sends nothing.",
        examples: &["visits list"],
        run: commands::visits,
    },
    Verb {
        words: &["visits", "close"],
        also: &["visit_close"],
        args: &[need("VISIT_ID", "The visit.")],
        flags: &[],
        account: Account::One,
        json: true,
        doc: "Ends a visit: it is not listed any more.",
        more: "Its commands do not change. Sends nothing.",
        examples: &["visits close visit-4711"],
        run: commands::visit_close,
    },
    Verb {
        words: &["refusals"],
        also: &[],
        args: &[],
        flags: &[],
        account: Account::One,
        json: true,
        doc: "Collects the refusals that commands met and that no row of a table explains.",
        more: "To be put to the vendor. With --json it is a refusals_file with each row unknown and source and signed_off left \
               empty: doctor and the library refuse a row until both are filled in. Sends nothing.",
        examples: &["refusals", "refusals --json > refusals.json"],
        run: commands::refusals,
    },
    Verb {
        words: &["adopt"],
        also: &["journal_adopt"],
        args: &[],
        flags: &[NOTE, YES],
        account: Account::One,
        json: true,
        doc: "Goes on with a journal that is missing, older than it was, or copied, after a person has looked.",
        more: "The installation gets a new secret and epoch. What the lost journal knew stays lost: a request_id from there would \
               be sent again.",
        examples: &["adopt --note 'A. Person: card replaced, all doors looked at' --yes"],
        run: commands::adopt,
    },
    Verb {
        words: &["repair"],
        also: &["journal_repair"],
        args: &[],
        flags: &[NOTE, YES],
        account: Account::One,
        json: true,
        doc: "Goes on with a damaged journal, after a person has looked.",
        more: "The damaged file is put aside, and every record that can be read is kept. A request_id from the damaged part would \
               be sent again.",
        examples: &["repair --note 'A. Person: all doors looked at' --yes"],
        run: commands::repair,
    },
    Verb {
        words: &["evidence"],
        also: &[],
        args: &[need("REQUEST_ID", "The command.")],
        flags: &[
            flag("output", "FILE", "Where to; it must not be there yet. Default: the standard output."),
            flag("offline", "", "Do not ask the platform for the order."),
        ],
        account: Account::One,
        json: true,
        doc: "Puts everything that is known of one command into one JSON file, for a dispute.",
        more: "The record and the journal's lines, the platform's answer, the order as the platform has it now, the clock and the \
               versions. Secrets are left out; the customer's order is in it.",
        examples: &["evidence visit-4711 --output visit-4711.json"],
        run: commands::evidence,
    },
    Verb {
        words: &["story"],
        also: &[],
        args: &[need("REQUEST_ID", "The command.")],
        flags: &[
            flag("log", "FILE", "A log that the firmware kept of the library's lines, each with its time."),
            flag(
                "simulator",
                "URL",
                "A simulator on this computer that stood in for the platform: the console's address, or any other of its port.",
            ),
            flag("svg", "FILE", "Draws it there too, as a picture; the file must not be there yet."),
            TZ,
        ],
        account: Account::One,
        json: true,
        doc: "Tells what became of one command, on one line of time, to be pasted into a vendor's ticket.",
        more: "From the journal: claimed, sent, lost, asked, found, moved, and who settled it. Each moment has the device's time in the \
               zone of --tz, and how long after the intent it was. The boot clock says how long; where the device's clock was \
               set or the system started again, that is said. Secrets and what is the customer's are left out. Sends nothing to the platform.",
        examples: &[
            "story visit-4711 --tz +08:00",
            "story visit-4711 --log kiosk.log --svg visit-4711.svg",
            "story visit-4711 --simulator http://localhost:8443/",
        ],
        run: story::run,
    },
    Verb {
        words: &["trigger"],
        also: &[],
        args: &[may("NAME", "The callback, as listen names its kind; without it all of them are listed.")],
        flags: &[
            flag(
                "simulator",
                "URL",
                "A simulator on this computer that stood in for the platform: the console's address, or any other of its port.",
            ),
            flag("to", "URL", "Sets the address of the platform's callbacks first; on this computer."),
            flag("order", "NO", "The order that it is about. Default: the platform's latest."),
            flag("cabinet", "ID", "The cabinet that it is about. Default: the first."),
            flag("failed", "", "It reports a failure: the door stayed shut, nothing came out."),
        ],
        account: Account::One,
        json: true,
        doc: "Makes the simulator send a callback by name.",
        more: "The simulator is that of --simulator, else the one that the account's base_url leads to; a vendor cannot be made to send anything. \
               Waits for the answer: ends with 0 if the callback was taken, with 5 if it was not.",
        examples: &[
            "trigger --accounts accounts.json --account yopoint",
            "trigger door_closed --to http://127.0.0.1:8080/ --account yopoint",
        ],
        run: trigger::run,
    },
    Verb {
        words: &["accounts"],
        also: &[],
        args: &[],
        flags: &[],
        account: Account::One,
        json: true,
        doc: "Shows an account's settings, secrets as ***.",
        more: "",
        examples: &["accounts --accounts accounts.json --account yopoint"],
        run: verbs::accounts,
    },
    Verb {
        words: &["completion"],
        also: &[],
        args: &[need("SHELL", "bash, zsh or fish.")],
        flags: &[],
        account: Account::None,
        json: false,
        doc: "Prints the completion for a shell.",
        more: "",
        examples: &["completion bash > /etc/bash_completion.d/kiosklink"],
        run: manual::completion,
    },
    Verb {
        words: &["man"],
        also: &[],
        args: &[],
        flags: &[],
        account: Account::None,
        json: false,
        doc: "Prints the man page.",
        more: "",
        examples: &["man > kiosklink.1"],
        run: manual::man,
    },
];

/// The values of arguments that have few.
pub const CHOICES: &[(&str, &[&str])] = &[
    ("SHELL", &["bash", "zsh", "fish"]),
    ("OUTCOME", &["done", "not-done"]),
    ("PLATFORM", &["yopoint", "dingshang", "youzan", "zhiyun"]),
    (
        "NAME",
        &[
            "test",
            "door_closed",
            "recognized",
            "order_paid",
            "order_changed",
            "order_finished",
            "order_closed",
            "order_replaced",
            "refund_approved",
            "refund_requested",
            "refund_finished",
            "refund_changed",
            "delivery",
            "voucher_redeemed",
            "cabinet_changed",
            "return_slip",
            "stock_changed",
            "app_changed",
        ],
    ),
];

/// How commands end, for scripts.
pub const EXITS: &[(u8, &str)] = &[
    (0, "It worked; a command is done."),
    (1, "It did not work, for a reason without a number of its own."),
    (2, "A command was not done: nothing happened, trying again is safe."),
    (3, "It is not known what became of a command. Ask; never try again under another name."),
    (4, "A command was taken, but the movement is not confirmed."),
    (
        5,
        "A check found something wrong: doctor, a signature that could not be explained, a callback that was not taken.",
    ),
    (6, "Too early: the request may still take effect, and not done is not taken yet."),
    (10, "No connection: lookup, TCP, TLS, timeouts, the proxy."),
    (11, "The credentials, the signature or the account's rights were refused."),
    (12, "The platform knows no such thing, or has no such call."),
    (13, "Too many calls; later again."),
    (64, "Called wrongly."),
    (74, "The output could not be written."),
    (141, "The reader of the output left early. A command's own end (0, 2, 3, 4) is kept instead."),
];
