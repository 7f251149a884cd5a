//! What a platform's refusals mean: one type of table for all platforms.
//!
//! A refusal proves *not done* only where a row says so, and each row names its source. Names and codes are compared whole.
//! Words inside texts prove nothing. An operator may add rows of their own, signed off by a person, in a `refusals_file`;
//! vendors publish few names.

use crate::error::{Error, Result, quoted};
use crate::json::{Bad, Json, Object};
use crate::platform::fields::strict;
use crate::settings::{Settings, read_file};
use crate::status::{self, *};
use crate::switch::off;

/// What one refusal means.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The platform's whole name or code; empty for an answer that bears none, of a gateway.
    pub name: &'static str,
    /// Only under this HTTP status; 0 for any.
    pub http: u16,
    /// As which status it is reported.
    pub status: kl_status,
    /// Whether it proves that nothing was done and nothing will be.
    pub proves: bool,
    /// Where that is written: the vendor's page.
    pub source: &'static str,
    /// What it means, for a technician.
    pub hint: &'static str,
}

/// A platform's rows as the library carries them: a quarter of the bytes, because it needs no sources, and offsets need no
/// relocation at every start.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    rows: &'static [Packed],
    text: &'static [u8],
}

/// What a [`Table`] is of; `N` rows with `B` bytes of text.
pub struct Pack<const N: usize, const B: usize> {
    rows: [Packed; N],
    text: [u8; B],
}

#[derive(Clone, Copy, Debug)]
struct Packed {
    name: Place,
    hint: Place,
    http: u16,
    status: u16,
    proves: bool,
}

/// Where something stands in the text.
#[derive(Clone, Copy, Debug)]
struct Place {
    at: u16,
    len: u8,
}

/// How many bytes of text the rows need.
pub const fn text_of(rows: &[Row]) -> usize {
    let (mut len, mut i) = (0, 0);
    while i < rows.len() {
        len += rows[i].name.len();
        if same_hint(rows, i).is_none() {
            len += rows[i].hint.len();
        }
        i += 1;
    }
    len
}

/// An earlier row with the same hint.
const fn same_hint(rows: &[Row], of: usize) -> Option<usize> {
    let mut i = 0;
    while i < of {
        if same(rows[i].hint.as_bytes(), rows[of].hint.as_bytes()) {
            return Some(i);
        }
        i += 1;
    }
    None
}

const fn same(a: &[u8], b: &[u8]) -> bool {
    let mut i = 0;
    while i < a.len() && i < b.len() && a[i] == b[i] {
        i += 1;
    }
    i == a.len() && i == b.len()
}

impl<const N: usize, const B: usize> Pack<N, B> {
    /// Packs them; `N` is their number and `B` what [`text_of`] says.
    pub const fn of(rows: &[Row]) -> Pack<N, B> {
        let nowhere = Place { at: 0, len: 0 };
        let none = Packed { name: nowhere, hint: nowhere, http: 0, status: 0, proves: false };
        let mut pack = Pack { rows: [none; N], text: [0; B] };
        let (mut end, mut i) = (0, 0);
        while i < N {
            let row = rows[i];
            let name = put(&mut pack.text, &mut end, row.name);
            let hint = match same_hint(rows, i) {
                Some(earlier) => pack.rows[earlier].hint,
                None => put(&mut pack.text, &mut end, row.hint),
            };
            assert!(0 < row.status && row.status <= u16::MAX as kl_status);
            pack.rows[i] =
                Packed { name, hint, http: row.http, status: row.status as u16, proves: row.proves };
            i += 1;
        }
        assert!(end == B);
        pack
    }

    /// The rows, for [`Refusals`].
    pub const fn table(&'static self) -> Table {
        Table { rows: &self.rows, text: &self.text }
    }
}

const fn put(text: &mut [u8], end: &mut usize, what: &str) -> Place {
    assert!(what.len() <= u8::MAX as usize && *end <= u16::MAX as usize);
    let place = Place { at: *end as u16, len: what.len() as u8 };
    let mut i = 0;
    while i < what.len() {
        text[*end] = what.as_bytes()[i];
        *end += 1;
        i += 1;
    }
    place
}

impl Table {
    /// Of no platform.
    pub const fn none() -> Table {
        Table { rows: &[], text: &[] }
    }

    fn find(self, http: u16, name: &str) -> Option<&'static Packed> {
        self.rows.iter().find(|r| (r.http == 0 || r.http == http) && is_named(self.text(r.name), name))
    }

    fn text(self, place: Place) -> &'static str {
        let at = usize::from(place.at);
        let bytes = self.text.get(at..at + usize::from(place.len)).unwrap_or_default();
        std::str::from_utf8(bytes).unwrap_or_default()
    }
}

/// The same, from the operator's own table.
#[derive(Clone, Debug)]
struct Own {
    name: String,
    http: u16,
    status: kl_status,
    proves: bool,
    hint: String,
}

/// A platform's table with the operator's rows in front.
#[derive(Clone, Debug)]
pub struct Refusals {
    table: Table,
    own: Vec<Own>,
}

/// What a table says of one refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meaning<'a> {
    /// As which status it is reported.
    pub status: kl_status,
    /// Whether it proves that nothing was done.
    pub proves: bool,
    /// What it means, for a technician.
    pub hint: &'a str,
}

/// Why a `refusals_file` cannot be used, as a sentence.
type Wrong = String;

impl Refusals {
    /// The platform's own rows only.
    pub const fn new(table: Table) -> Refusals {
        Refusals { table, own: Vec::new() }
    }

    /// The same with the rows that an operator's table has for this platform. An error says what is wrong with the table.
    pub fn with_table(rows: Table, platform: &str, table: &[u8]) -> Result<Refusals> {
        own_rows(platform, table)
            .map(|own| Refusals { table: rows, own })
            .map_err(|why| Error::new(KL_E_CONFIG_FILE, ["refusals_file: ", &why].concat()))
    }

    /// The platform's rows with those of the account's `refusals_file`, if it names one.
    pub fn of_account(rows: Table, config: &Settings) -> Result<Refusals> {
        let Some(path) = config.get("refusals_file") else { return Ok(Refusals::new(rows)) };
        let table = read_file(path)
            .map_err(|e| Error::os(KL_E_CONFIG_FILE, ["refusals_file: ", path].concat(), &e))?;
        Refusals::with_table(rows, config.platform().name(), &table)
    }

    /// What this name means under this HTTP status; `None` if no row says so: then it proves nothing.
    pub fn meaning(&self, http: u16, name: &str) -> Option<Meaning<'_>> {
        let own = self.own.iter().find(|r| r.name == name && (r.http == 0 || r.http == http));
        if let Some(r) = own {
            return Some(Meaning { status: r.status, proves: r.proves, hint: &r.hint });
        }
        let row = self.table.find(http, name)?;
        Some(Meaning { status: row.status.into(), proves: row.proves, hint: self.table.text(row.hint) })
    }

    /// What an answer without the platform's envelope means: a gateway in front of the platform refused.
    pub fn gateway(&self, http: u16) -> Option<Meaning<'_>> {
        self.meaning(http, "")
    }

    /// How many rows the operator's table has for this platform.
    pub fn own_rows(&self) -> usize {
        self.own.len()
    }
}

/// Names are compared whole: a part of a word proves nothing.
fn is_named(row: &str, name: &str) -> bool {
    row == name || off("whole-names") && !row.is_empty() && name.contains(row.trim_start_matches("ERR_"))
}

/// What HTTP itself says of an answer without the platform's envelope: the request was not handed to the service. Each
/// platform takes these rows into its table unless its notes say otherwise.
#[rustfmt::skip]
pub const GATEWAY: [Row; 9] = [
    gateway(400, KL_E_HTTP, "the gateway did not understand the request"),
    gateway(401, KL_E_AUTH, "the gateway wants other credentials"),
    gateway(403, KL_E_PERMISSION, "the gateway forbids it"),
    gateway(404, KL_E_HTTP, "no such path; is base_url right?"),
    gateway(405, KL_E_HTTP, "no such path; is base_url right?"),
    gateway(407, KL_E_PROXY, "the proxy wants a password"),
    gateway(413, KL_E_HTTP, "the request is too large for the gateway"),
    gateway(415, KL_E_HTTP, "the gateway does not take this kind of body"),
    gateway(429, KL_E_RATE_LIMIT, "too many calls"),
];

const fn gateway(http: u16, status: kl_status, hint: &'static str) -> Row {
    Row { name: "", http, status, proves: true, source: "RFC 9110, section 15.5; RFC 6585", hint }
}

/// How a table begins.
const FORMAT: &str = "kiosklink-refusals";

fn own_rows(platform: &str, table: &[u8]) -> std::result::Result<Vec<Own>, Wrong> {
    let bad = |b: Bad| b.sentence("the table");
    let whole = Json::parse(table).and_then(Json::object).map_err(bad)?;
    if whole.int(&[FORMAT]).map_err(bad)? != Some(1) {
        return Err(["it must hold \"", FORMAT, "\": 1"].concat());
    }
    let mut own = Vec::new();
    for (i, row) in whole.array(&["rows"]).map_err(bad)?.unwrap_or_default().into_iter().enumerate() {
        let read = || -> std::result::Result<Option<Own>, Wrong> {
            let o = row.object().map_err(bad)?;
            let r = own_row(&o)?;
            Ok((strict::text(&o, "platform").map_err(bad)? == platform).then_some(r))
        };
        own.extend(read().map_err(|why| ["row ", &(i + 1).to_string(), ": ", &why].concat())?);
    }
    Ok(own)
}

fn own_row(o: &Object<'_>) -> std::result::Result<Own, Wrong> {
    let text = |key: &str| strict::text(o, key).map_err(|b| b.sentence("it"));
    let http = strict::maybe_int(o, &["http"]).map_err(|b| b.sentence("it"))?.unwrap_or(0);
    let proves = match text("means")?.as_str() {
        "not_done" => true,
        "unknown" => false,
        other => return Err(["means must be \"not_done\" or \"unknown\", not ", &quoted(other)].concat()),
    };
    let status = text("status")?;
    // Who says so and who decided to believe it: a row without them is nobody's.
    let (source, by) = (text("source")?, text("signed_off")?);
    Ok(Own {
        name: text("name")?,
        http: u16::try_from(http).map_err(|_| "http is no HTTP status".to_owned())?,
        status: status::ALL
            .iter()
            .find(|(code, name)| *name == status && *code != KL_OK)
            .map(|(code, _)| *code)
            .ok_or_else(|| [&quoted(&status), " is no code of the library"].concat())?,
        proves,
        hint: ["the operator's table says so: ", &source, ", signed off by ", &by].concat(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROWS: &[Row] = &[
        Row { name: "ERR_SIGN", http: 0, status: KL_E_AUTH, proves: true, source: "page", hint: "sign" },
        Row { name: "ERR_SYSTEM", http: 200, status: KL_E_PLATFORM, proves: false, source: "page", hint: "" },
        GATEWAY[8],
    ];

    static PACK: Pack<{ ROWS.len() }, { text_of(ROWS) }> = Pack::of(ROWS);

    #[test]
    fn what_is_packed_is_what_was_written() {
        const MORE: &[Row] = &[
            GATEWAY[3],
            GATEWAY[4],
            Row {
                name: "订单未支付", http: 0, status: KL_E_INTERNAL, proves: false, source: "", hint: "未"
            },
            GATEWAY[0],
        ];
        static PACK: Pack<{ MORE.len() }, { text_of(MORE) }> = Pack::of(MORE);
        let table = PACK.table();
        for (row, packed) in MORE.iter().zip(table.rows) {
            assert_eq!((row.name, row.hint), (table.text(packed.name), table.text(packed.hint)));
            assert_eq!(
                (row.http, row.status, row.proves),
                (packed.http, kl_status::from(packed.status), packed.proves)
            );
        }
        // The hint that two rows share is there once.
        assert_eq!(table.rows[0].hint.at, table.rows[1].hint.at);
        assert_eq!(table.text.len(), GATEWAY[3].hint.len() + "订单未支付未".len() + GATEWAY[0].hint.len());
    }

    #[test]
    // FAULTS A1: whole names only.
    fn a_name_is_compared_whole() {
        let t = Refusals::new(PACK.table());
        assert!(t.meaning(200, "ERR_SIGN").unwrap().proves);
        for other in ["ERR_DEVICE_SIGNAL_LOST", "ERR_SIGN ", "err_sign", "ERR_SIG", "xERR_SIGN", ""] {
            assert_eq!(t.meaning(200, other), None, "{other}");
        }
        assert!(t.meaning(200, "ERR_SYSTEM").is_some() && t.meaning(500, "ERR_SYSTEM").is_none());
        assert!(t.gateway(429).unwrap().proves && t.gateway(500).is_none());
    }

    #[test]
    fn an_operators_row_wins_and_needs_its_source() {
        let table = |row: &str| ["{\"kiosklink-refusals\":1,\"rows\":[", row, "]}"].concat();
        let good = r#"{"platform":"yopoint","name":"ERR_SYSTEM","http":200,"means":"not_done","status":"KL_E_NOT_READY","source":"mail of the vendor","signed_off":"A. Person, 2026-01-01"}"#;
        let t = Refusals::with_table(PACK.table(), "yopoint", table(good).as_bytes()).unwrap();
        assert!(t.meaning(200, "ERR_SYSTEM").unwrap().proves && t.own_rows() == 1);
        assert_eq!(
            Refusals::with_table(PACK.table(), "youzan", table(good).as_bytes()).unwrap().own_rows(),
            0
        );
        for (from, to, names) in [
            ("\"source\":\"mail of the vendor\",", "", "source"),
            (",\"signed_off\":\"A. Person, 2026-01-01\"", "", "signed_off"),
            ("not_done", "done", "means"),
            ("KL_E_NOT_READY", "KL_OK", "KL_OK"),
            ("\"name\":\"ERR_SYSTEM\"", "\"name\":\"\"", "name"),
            ("200", "70000", "http"),
            (":1,", ":2,", FORMAT),
        ] {
            let e =
                Refusals::with_table(PACK.table(), "yopoint", table(good).replacen(from, to, 1).as_bytes())
                    .unwrap_err();
            assert!(e.status() == KL_E_CONFIG_FILE && e.message().contains(names), "{names}: {e}");
        }
    }
}
