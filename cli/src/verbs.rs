//! The verbs of the library, one function each.

use crate::args::Given;
use crate::export;
use crate::names::Named;
use crate::out::{Cell, Done, Progress, Row, Stop, Table, card, json_of, note, quoted, say, say_of_command};
use crate::tr;
use kiosklink::client::{Client, Pages};
use kiosklink::command::Command;
use kiosklink::config::KEYS;
use kiosklink::error::{Error, Outcome};
use kiosklink::event::{Event, SignedWith};
use kiosklink::json::{Json, Kind as JsonKind, Writer};
use kiosklink::model::*;
use kiosklink::platform::Kind;
use kiosklink::status::KL_E_ARGUMENT;
use kiosklink::time::clock::{Source, format_time};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// A clock that is off by less needs no word.
pub const CLOCK_OFF_S: i64 = 5;
const DAY_S: i64 = 86_400;

/// This device's clock, Unix milliseconds.
pub fn system_ms() -> i64 {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => since.as_millis() as i64,
        Err(before) => -(before.duration().as_millis() as i64),
    }
}

fn client(given: &Given) -> Result<Client, Stop> {
    Ok(Client::new(&given.config()?)?)
}

fn extra(given: &Given) -> Option<String> {
    given.get("extra").map(str::to_owned)
}

fn text(value: &str) -> Cell {
    Cell::Text(value.to_owned())
}

fn told(value: impl Into<i64>) -> Cell {
    let value = value.into();
    Cell::Number((value >= 0).then_some(value))
}

fn money(fen: i64) -> Cell {
    Cell::Money((fen >= 0).then_some(fen))
}

fn tri(value: Tri) -> Cell {
    Cell::Bool(match value {
        Tri::Unknown => None,
        Tri::No => Some(false),
        Tri::Yes => Some(true),
    })
}

/// A variant in the header's word; nothing for what is not told.
pub fn word(variant: impl Named) -> Cell {
    text(variant.named())
}

/// `kiosklink ping`
pub fn ping(given: &Given) -> Done {
    let client = client(given)?;
    let started = Instant::now();
    client.ping()?;
    let ms = started.elapsed().as_millis();
    let (time_ms, source) = (client.now_ms(), client.time_source());
    let time_s = time_ms.div_euclid(1000);
    let ahead_s = (source == Source::Platform).then(|| (system_ms() - time_ms) / 1000);
    if given.json() {
        let mut w = Writer::new();
        w.raw("ok", "true").text("platform", client.platform()).int("ms", ms as i64);
        w.int("time", time_s).text("time_source", source_word(source));
        if let Some(s) = ahead_s {
            w.int("clock_ahead_s", s);
        }
        say(&w.finish())?;
        return Ok(0);
    }
    say(&tr!("{} answers and takes the credentials, in {} ms with the connection.", client.platform(), ms))?;
    say(&match ahead_s {
        None => tr!("It did not report the time."),
        Some(s) if s.abs() < CLOCK_OFF_S => {
            tr!("It is {}; this device's clock is right.", format_time(time_s))
        }
        Some(s) => tr!(
            "It is {}; this device's clock is {} s {}: set it.",
            format_time(time_s),
            s.abs(),
            if s > 0 { crate::lang::t("ahead") } else { crate::lang::t("behind") }
        ),
    })?;
    Ok(0)
}

/// Where a client's time comes from, in a word.
pub fn source_word(source: Source) -> &'static str {
    match source {
        Source::Platform => "platform",
        Source::Firmware => "firmware",
        Source::System => "system",
        Source::Floor => "floor",
    }
}

/// Prints a list as its pages come.
fn list<T: kiosklink::client::Record>(
    given: &Given,
    mut pages: Pages<T>,
    what: &str,
    limit: u64,
    row: impl Fn(&T) -> Row,
) -> Done {
    let mut table = Table::new(given.json(), given.has("raw"));
    let mut progress = Progress::new();
    let mut count = 0u64;
    while count < limit {
        let Some(item) = pages.next_item()? else { break };
        count += 1;
        table.add(row(&item), item.json())?;
        progress.tell(&format!("{count} {what} ..."));
    }
    drop(progress);
    table.finish(what)
}

/// Prints one record.
fn one(given: &Given, row: &Row, record: &str) -> Done {
    if given.has("raw") {
        say(record)?;
    } else if given.json() {
        say(&json_of(row))?;
    } else {
        say(&card(row))?;
    }
    Ok(0)
}

/// `kiosklink cabinets`
pub fn cabinets(given: &Given) -> Done {
    list(given, client(given)?.cabinets(0), "cabinets", u64::MAX, |c| {
        vec![
            ("id", text(&c.id)),
            ("name", text(&c.name)),
            ("online", tri(c.online)),
            ("sale", word(c.sale)),
            ("doors", told(c.door_count)),
            ("device", text(&c.device_code)),
            ("code", text(&c.code)),
            ("address", text(&c.address)),
        ]
    })
}

/// `kiosklink stock`
pub fn stock(given: &Given) -> Done {
    let pages = client(given)?.stock(&given.arg(0), 0, given.get("extra"));
    list(given, pages, "goods", u64::MAX, |s| {
        vec![
            ("lanes", text(&s.lanes)),
            ("name", text(&s.name)),
            ("price", money(s.price)),
            ("stock", told(s.stock)),
            ("capacity", told(s.capacity)),
            ("sold", told(s.sold)),
            ("id", text(&s.id)),
            ("product_id", text(&s.product_id)),
            ("barcode", text(&s.barcode)),
        ]
    })
}

/// An order as a record; the same fields everywhere.
pub fn order_row(o: &Order) -> Row {
    let goods: Vec<String> = o
        .lines
        .iter()
        .map(|l| {
            let name = if l.name.is_empty() { &l.barcode } else { &l.name };
            if l.quantity > 1 { format!("{} x {name}", l.quantity) } else { name.clone() }
        })
        .collect();
    let lines: Vec<String> = o
        .lines
        .iter()
        .map(|l| {
            json_of(&vec![
                ("name", text(&l.name)),
                ("barcode", text(&l.barcode)),
                ("quantity", Cell::Number(Some(l.quantity.into()))),
                ("price", money(l.price)),
            ])
        })
        .collect();
    vec![
        ("order_no", text(&o.order_no)),
        ("trade_no", text(&o.trade_no)),
        ("cabinet_id", text(&o.cabinet_id)),
        ("created_at", Cell::Time(o.created_at)),
        ("payment", word(o.payment)),
        ("paid_at", Cell::Time(o.paid_at)),
        ("amount", money(o.amount)),
        ("refunded", Cell::Money((o.refunded > 0).then_some(o.refunded))),
        ("service", word(o.service)),
        ("door", word(o.door)),
        ("delivery", word(o.delivery)),
        ("delivery_error", text(&o.delivery_error)),
        ("state", text(&o.state_text)),
        ("user_id", text(&o.user_id)),
        ("goods", Cell::Text(goods.join(", "))),
        (
            "lines",
            Cell::Json(if lines.is_empty() { String::new() } else { format!("[{}]", lines.join(",")) }),
        ),
    ]
}

fn kind(given: &Given) -> OrderKind {
    if given.has("vending") { OrderKind::Vending } else { OrderKind::Cabinet }
}

/// The period that is asked for.
pub fn query(given: &Given) -> Result<OrderQuery, Stop> {
    let now = system_ms() / 1000;
    let to = given.time("to", now)?;
    // A day alone is meant to its end.
    let to =
        if given.get("to").is_some_and(|t| t.len() == 10 && t.contains('-')) { to + DAY_S - 1 } else { to };
    let from = given.time("from", to - DAY_S)?;
    if from > to {
        return Err(Stop::Usage(tr!("--from is after --to")));
    }
    Ok(OrderQuery { kind: kind(given), from, to, extra_json: extra(given) })
}

/// `kiosklink order get`
pub fn order_get(given: &Given) -> Done {
    let order = client(given)?.order_get(&OrderRef {
        kind: kind(given),
        order_no: given.arg(0),
        trade_no: given.text("trade-no"),
        cabinet_id: given.text("cabinet"),
        extra_json: extra(given),
    })?;
    one(given, &order_row(&order), &order.json)
}

/// `kiosklink orders list`
pub fn orders_list(given: &Given) -> Done {
    let (query, limit) = (query(given)?, given.number("limit", u64::MAX)?);
    list(given, client(given)?.orders(&query, 0), "orders", limit, order_row)
}

/// `kiosklink orders export`
pub fn orders_export(given: &Given) -> Done {
    let query = query(given)?;
    export::run(given, &client(given)?, &query)
}

/// The client and the caller's name for a command; a made-up one is told before anything is sent. Of a name that was given
/// every error speaks, and what became of it is unknown if the journal cannot be looked at.
fn named(given: &Given) -> Result<(Client, String), Stop> {
    let own = given.text("request-id");
    let outcome = if own.is_empty() { Outcome::NotDone } else { Outcome::Unknown };
    let fail = |e: Error| Stop::Act(e.with(|d| d.outcome = outcome), own.clone());
    let client = client(given).map_err(|stop| match stop {
        Stop::Failed(e) => fail(e),
        other => other,
    })?;
    if !own.is_empty() {
        return Ok((client, own));
    }
    let id = client.request_id_new().map_err(fail)?;
    note(&format!("request_id {id}"));
    Ok((client, id))
}

/// An act that has a name ends with it.
fn act<T>(request_id: &str, done: kiosklink::error::Result<T>) -> Result<T, Stop> {
    done.map_err(|error| Stop::Act(error, request_id.to_owned()))
}

fn taken(given: &Given, command: &Command) -> Done {
    let r = &command.receipt;
    let row: Row = vec![
        ("outcome", text("done")),
        ("request_id", text(&command.request_id)),
        ("order_no", text(&r.order_no)),
        ("item_no", text(&r.item_no)),
        ("delivery_no", text(&r.delivery_no)),
        ("report_url", text(&r.report_url)),
        ("recorded", Cell::Bool(command.recorded.then_some(true))),
        ("data", Cell::Json(r.json.clone())),
    ];
    say_of_command(&if given.json() { json_of(&row) } else { card(&row) }, 0)
}

/// `kiosklink open`
pub fn open(given: &Given) -> Done {
    let (client, request_id) = named(given)?;
    let done = client.door_open(&DoorRequest {
        request_id: request_id.clone(),
        cabinet_id: given.arg(0),
        door: given.text("door"),
        user_id: given.text("user"),
        order_no: given.text("order-no"),
        item_no: given.text("item-no"),
        notify_url: given.text("notify-url"),
        ttl_ms: given.number("ttl-ms", 0)?,
        extra_json: extra(given),
        visit_id: given.text("visit-id"),
        context: given.text("context"),
        ..DoorRequest::default()
    });
    let command = act(&request_id, done)?;
    if given.has("wait-ms") {
        return crate::commands::moved(given, &client, &command.request_id, given.number("wait-ms", 0)?);
    }
    taken(given, &command)
}

fn code_kind(given: &Given) -> Result<CodeKind, Stop> {
    match given.get("kind") {
        None | Some("pickup") => Ok(CodeKind::Pickup),
        Some("virtual") => Ok(CodeKind::Virtual),
        Some("voucher") => Ok(CodeKind::Voucher),
        Some(other) => {
            Err(Stop::Usage(tr!("--kind takes pickup, virtual or voucher, not {}", quoted(other))))
        }
    }
}

/// `kiosklink redeem`
pub fn redeem(given: &Given) -> Done {
    let kind = code_kind(given)?;
    let (client, request_id) = named(given)?;
    let done = client.code_redeem(&RedeemRequest {
        request_id: request_id.clone(),
        kind,
        code: given.arg(0),
        cabinet_id: given.text("cabinet"),
        product_id: given.text("product"),
        trade_no: given.text("trade-no"),
        notify_url: given.text("notify-url"),
        redeemer: given.text("redeemer"),
        ttl_ms: given.number("ttl-ms", 0)?,
        extra_json: extra(given),
        visit_id: given.text("visit-id"),
        context: given.text("context"),
        ..RedeemRequest::default()
    });
    let command = act(&request_id, done)?;
    taken(given, &command)
}

fn code_row(c: &PickupCode) -> Row {
    vec![
        ("code", text(&c.code)),
        ("id", text(&c.id)),
        ("kind", word(c.kind)),
        ("state", word(c.state)),
        ("quantity", told(c.quantity)),
        ("product_id", text(&c.product_id)),
        ("cabinet_id", text(&c.cabinet_id)),
        ("order_no", text(&c.order_no)),
        ("created_at", Cell::Time(c.created_at)),
        ("expires_at", Cell::Time(c.expires_at)),
        ("used_at", Cell::Time(c.used_at)),
    ]
}

fn code_query(given: &Given, code: String) -> Result<CodeQuery, Stop> {
    Ok(CodeQuery {
        kind: code_kind(given)?,
        code,
        cabinet_id: given.text("cabinet"),
        product_id: given.text("product"),
        extra_json: extra(given),
    })
}

/// `kiosklink code lookup`
pub fn code_lookup(given: &Given) -> Done {
    let code = client(given)?.code_lookup(&code_query(given, given.arg(0))?)?;
    one(given, &code_row(&code), &code.json)
}

fn codes(given: &Given, all: &[PickupCode]) -> Done {
    let mut table = Table::new(given.json(), given.has("raw"));
    for code in all {
        table.add(code_row(code), &code.json)?;
    }
    table.finish("codes")
}

/// `kiosklink code list`
pub fn code_list(given: &Given) -> Done {
    codes(given, &client(given)?.code_list(&code_query(given, String::new())?)?.items)
}

/// `kiosklink code create`
pub fn code_create(given: &Given) -> Done {
    let made = client(given)?.code_create(&CodeCreate {
        cabinet_id: given.arg(0),
        product_id: given.text("product"),
        count: given.number("count", 0)?,
        length: given.number("length", 0)?,
        expires_at: given.time("expires", 0)?,
        extra_json: extra(given),
    })?;
    kept(codes(given, &made))
}

/// The end of something that happened, whoever reads of it.
fn kept(done: Done) -> Done {
    match done {
        Err(Stop::Pipe) => Ok(0),
        other => other,
    }
}

/// The platform's data after a write.
fn data(json: &str) -> Done {
    say_of_command(json, 0)
}

/// `kiosklink code cancel`
pub fn code_cancel(given: &Given) -> Done {
    if given.has("all") == given.has("id") {
        return Err(Stop::Usage(tr!("code cancel needs --id ID, or --all for all of the cabinet")));
    }
    let request = CodeCancel { cabinet_id: given.arg(0), id: given.text("id"), extra_json: extra(given) };
    data(&client(given)?.code_cancel(&request)?)
}

/// `kiosklink order create`
pub fn order_create(given: &Given) -> Done {
    let mut lines = Vec::new();
    for item in given.all("item") {
        let (id, count) = item.rsplit_once(':').unwrap_or((item, "1"));
        let count =
            count.parse().map_err(|_| Stop::Usage(tr!("--item takes ID or ID:N, not {}", quoted(item))))?;
        lines.push((id.to_owned(), count));
    }
    let done = client(given)?.order_create(&OrderCreate {
        cabinet_id: given.arg(0),
        trade_no: given.text("trade-no"),
        notify_url: given.text("notify-url"),
        lines,
        extra_json: extra(given),
        request_id: given.text("request-id"),
        visit_id: given.text("visit-id"),
        context: given.text("context"),
        ..OrderCreate::default()
    });
    let receipt = act(&given.text("request-id"), done)?;
    let row: Row = vec![
        ("order_no", text(&receipt.order_no)),
        ("item_no", text(&receipt.item_no)),
        ("report_url", text(&receipt.report_url)),
        ("data", Cell::Json(receipt.json.clone())),
    ];
    say_of_command(&if given.json() { json_of(&row) } else { card(&row) }, 0)
}

/// `kiosklink payment report`
pub fn payment_report(given: &Given) -> Done {
    let done = client(given)?.payment_report(&PaymentReport {
        report_url: given.text("report-url"),
        order_no: given.arg(0),
        cabinet_id: given.text("cabinet"),
        trade_no: given.text("trade-no"),
        paid: !given.has("failed"),
        amount: given.number("amount", -1)?,
        channel_json: given.get("channel").map(str::to_owned),
        extra_json: extra(given),
        request_id: given.text("request-id"),
        visit_id: given.text("visit-id"),
        context: given.text("context"),
        ..PaymentReport::default()
    });
    data(&act(&given.text("request-id"), done)?)
}

fn claim(given: &Given) -> Complaint {
    Complaint {
        order_no: given.arg(0),
        cabinet_id: given.text("cabinet"),
        reason: given.text("reason"),
        remarks: given.text("remarks"),
        phone: given.text("phone"),
        extra_json: extra(given),
        request_id: given.text("request-id"),
        visit_id: given.text("visit-id"),
        context: given.text("context"),
        ..Complaint::default()
    }
}

/// `kiosklink refund`
pub fn refund(given: &Given) -> Done {
    let done = client(given)?.refund_apply(&claim(given));
    data(&act(&given.text("request-id"), done)?)
}

/// `kiosklink appeal`
pub fn appeal(given: &Given) -> Done {
    let done = client(given)?.appeal_file(&claim(given));
    data(&act(&given.text("request-id"), done)?)
}

/// `kiosklink user`
pub fn user(given: &Given) -> Done {
    let u = client(given)?.user_get()?;
    let row: Row = vec![
        ("username", text(&u.username)),
        ("name", text(&u.name)),
        ("sex", text(&u.sex)),
        ("phone", text(&u.phone)),
        ("is_admin", tri(u.is_admin)),
        ("avatar_url", text(&u.avatar_url)),
        ("created_at", Cell::Time(u.created_at)),
        ("now", Cell::Time(u.now)),
    ];
    one(given, &row, &u.raw)
}

/// `kiosklink company`
pub fn company(given: &Given) -> Done {
    let c = client(given)?.company_get()?;
    let row: Row = vec![
        ("name", text(&c.name)),
        ("kind", text(&c.kind)),
        ("tax_number", text(&c.tax_number)),
        ("address", text(&c.address)),
        ("phone", text(&c.phone)),
        ("legal_person", text(&c.legal_person)),
        ("legal_person_phone", text(&c.legal_person_phone)),
        ("created_at", Cell::Time(c.created_at)),
        ("now", Cell::Time(c.now)),
    ];
    one(given, &row, &c.raw)
}

/// `kiosklink call`
pub fn call(given: &Given) -> Done {
    let params = match given.arg(1).as_str() {
        "-" => String::from_utf8(given.input("-")?)
            .map_err(|_| Error::new(KL_E_ARGUMENT, "the standard input is not UTF-8"))?,
        other => other.to_owned(),
    };
    let answer = client(given)?.call(&given.arg(0), &params)?;
    if given.json() {
        return data(&answer);
    }
    let mut pretty = String::new();
    match Json::parse(answer.as_bytes()) {
        Ok(json) => indent(&mut pretty, json, 0),
        Err(_) => pretty = answer,
    }
    data(&pretty)
}

/// JSON over several lines.
fn indent(out: &mut String, json: Json<'_>, depth: usize) {
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", depth));
    };
    match json.kind() {
        JsonKind::Object => {
            let Ok(object) = json.object() else { return out.push_str(json.text()) };
            out.push('{');
            for (i, (name, value)) in object.fields().iter().enumerate() {
                out.push_str(if i == 0 { "" } else { "," });
                line(out, depth + 1);
                out.push_str(&quoted(name));
                out.push_str(": ");
                indent(out, *value, depth + 1);
            }
            if !object.fields().is_empty() {
                line(out, depth);
            }
            out.push('}');
        }
        JsonKind::Array => {
            let Ok(items) = json.array() else { return out.push_str(json.text()) };
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                out.push_str(if i == 0 { "" } else { "," });
                line(out, depth + 1);
                indent(out, *item, depth + 1);
            }
            if !items.is_empty() {
                line(out, depth);
            }
            out.push(']');
        }
        _ => out.push_str(json.text()),
    }
}

/// A callback as a record.
pub fn event_row(e: &Event) -> Row {
    let signed = match e.signed_with {
        SignedWith::Nothing => "nothing",
        SignedWith::AppSecret => "app_secret",
        SignedWith::PayKey => "pay_key",
        SignedWith::ContentOnly => "content_only",
        SignedWith::Encrypted => "encrypted",
    };
    vec![
        ("kind", word(e.kind)),
        ("method", text(&e.method)),
        ("signed_with", text(signed)),
        ("duplicate", Cell::Bool(e.duplicate.then_some(true))),
        ("stale", Cell::Bool(e.stale.then_some(true))),
        ("app_id", text(&e.app_id)),
        ("sent_at", Cell::Time(e.sent_at)),
        ("notice_id", text(&e.notice_id)),
        ("order_no", text(&e.order_no)),
        ("item_no", text(&e.item_no)),
        ("trade_no", text(&e.trade_no)),
        ("cabinet_id", text(&e.cabinet_id)),
        ("door", word(e.door)),
        ("delivery", word(e.delivery)),
        ("message", text(&e.message)),
        ("amount", money(e.amount)),
        ("at", Cell::Time(e.at)),
        ("report_url", text(&e.report_url)),
        ("data", Cell::Json(e.json.clone())),
    ]
}

/// `kiosklink event parse`
pub fn event_parse(given: &Given) -> Done {
    let client = client(given)?;
    let input = given.input(&given.arg(0))?;
    let (head, body) = match given.get("headers") {
        Some(file) => (String::from_utf8_lossy(&given.input(file)?).into_owned(), input),
        None => crate::sign::head_and_body(&input),
    };
    let event = client.event_parse(&head, &body)?;
    let row = event_row(&event);
    say(&if given.json() { json_of(&row) } else { card(&row) })?;
    Ok(0)
}

/// `kiosklink accounts`
pub fn accounts(given: &Given) -> Done {
    let config = given.config()?;
    let mut w = Writer::new();
    w.text("platform", config.platform().name());
    let mut lines = vec![("platform".to_owned(), config.platform().name().to_owned())];
    let mine = |platforms: &[Kind]| platforms.is_empty() || platforms.contains(&config.platform());
    for key in KEYS.iter().filter(|k| mine(k.platforms)) {
        let Some(value) = config.get(key.name) else { continue };
        let value = if key.secret { "***" } else { value };
        w.text(key.name, value);
        lines.push((key.name.to_owned(), value.lines().next().unwrap_or("").to_owned()));
    }
    if given.json() {
        say(&w.finish())?;
    } else {
        let wide = lines.iter().map(|(n, _)| n.len()).max().unwrap_or(0);
        for (name, value) in lines {
            say(&format!("{name:wide$}  {value}"))?;
        }
    }
    Ok(0)
}
