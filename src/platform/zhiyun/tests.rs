//! The document's vectors, both formats, every code, odd answers.

use super::*;
use crate::config::Config;
use crate::error::Advice;
use crate::error::Outcome;
use crate::model::*;
use crate::transport::{Headers, Timing};

fn zhiyun(format: &str) -> Zhiyun {
    let mut c = Config::new("zhiyun").unwrap();
    for (key, value) in [
        ("base_url", "https://auth.example.com/x"),
        ("client_id", "1102084294"),
        ("client_secret", "aku8hCyXBd9SqYkT"),
        ("access_token", "abc123"),
        ("format", format),
    ] {
        c.set(key, value).unwrap();
    }
    Zhiyun::new(&c).unwrap()
}

fn reply(body: &str) -> Reply {
    Reply {
        status: 200,
        headers: Headers::default(),
        body: body.as_bytes().to_vec(),
        timing: Timing::default(),
    }
}

fn request(draft: Draft<'_>, token: &str) -> Request {
    (draft.seal)(&Moment { now_ms: 1_422_339_152_058, token })
}

#[test]
fn the_documents_vectors() {
    for (t, p) in [
        (1_422_339_152_058, 8519),
        (1_700_000_000_000, 2345),
        (1_422_339_159_999, 32_342),
        (1_522_404_566, 16_043),
    ] {
        assert_eq!(proof(t), p);
    }
    assert_eq!(zhiyun("json").basic, "Basic MTEwMjA4NDI5NDpha3U4aEN5WEJkOVNxWWtU");
}

#[test]
fn requests() {
    let z = zhiyun("json");
    let r = request(TokenSource::draft(&z, Way::Usual, None).unwrap(), "");
    assert_eq!(
        r.url.path_and_query,
        "/x/apis/rest/authService/authorize/json?access_token=abc123&client_id=1102084294&t_=1422339152058&p_=8519"
    );
    assert_eq!((r.method, r.body.len()), ("GET", 0));
    let x = zhiyun("xml");
    let r = request(Speaks::draft(&x, &Op::UserGet).unwrap(), "c0de");
    assert_eq!(
        r.url.path_and_query,
        "/x/apis/rest/userService/getUserInfo/xml?access_token=abc123&client_id=1102084294&auth_code=c0de&t_=1422339152058&p_=8519"
    );
    let op = Op::Call { method: "userService/getUserInfo", params_json: r#"{"a":"x y","n":1}"# };
    assert!(request(Speaks::draft(&z, &op).unwrap(), "c").url.path_and_query.ends_with("&a=x%20y&n=1"));
    assert_eq!(z.nature(&op).unwrap(), Nature::Read);
    assert!(z.needed(&op) && !z.needed(&Op::Call { method: AUTHORIZE, params_json: "" }));
    for method in ["", "userService", "a/b/c", "../x", "a/b?c"] {
        let op = Op::Call { method, params_json: "" };
        assert_eq!(z.nature(&op).unwrap_err().status(), KL_E_ARGUMENT, "{method}");
    }
    let op = Op::Call { method: GET_USER, params_json: r#"{"a":[]}"# };
    assert_eq!(Speaks::draft(&z, &op).err().unwrap().status(), KL_E_ARGUMENT);
    assert_eq!(
        z.nature(&Op::Stock { cabinet_id: "", page: PageRequest { number: 1, size: 0 }, extra_json: None })
            .unwrap_err()
            .status(),
        KL_E_UNSUPPORTED
    );
}

const USER_JSON: &str = r#"{"data":{"username":"u","truename":"\u738b","sex":"3","phone":"138","is_admin":"1","status":null,"avatar":"http:\/\/a\/000\/00\/11\/52_avatar_small","created":"2017-11-30 10:37:30","nowtime":1522404566},"code":200,"message":"ok"}"#;
const USER_XML: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<apiResponse>\n  <data>\n    <username>u</username>\n    <truename>王</truename>\n    <sex>3</sex>\n    <phone>138</phone>\n    <is_admin>1</is_admin>\n    <status />\n    <avatar>http://a/000/00/11/52_avatar_small</avatar>\n    <created>2017-11-30 10:37:30</created>\n    <nowtime>1522404566</nowtime>\n  </data>\n  <code>200</code>\n  <message>ok</message>\n</apiResponse>";

#[test]
fn both_formats_say_the_same() {
    let get = |format: &str, body: &str| match Speaks::answer(&zhiyun(format), &Op::UserGet, &reply(body)) {
        Ok(Answer::User(user)) => *user,
        other => panic!("{other:?}"),
    };
    let (a, b) = (get("json", USER_JSON), get("xml", USER_XML));
    assert_eq!(
        (a.name.as_str(), a.is_admin, a.now, a.created_at),
        ("王", Tri::Yes, 1_522_404_566, 1_512_009_450)
    );
    assert!(a.raw.starts_with("{\"username\"") && b.raw.starts_with("<data>"));
    assert_eq!(User { raw: String::new(), ..a }, User { raw: String::new(), ..b });
    let op = Op::Call { method: GET_USER, params_json: "" };
    let Answer::Json(json) = Speaks::answer(&zhiyun("xml"), &op, &reply(USER_XML)).unwrap() else { panic!() };
    assert!(json.contains(r#""truename":"王""#) && json.contains(r#""status":null"#));
    let body = r#"{"data":{"company_name":"c","company_type":"1","province":"","city":"","zone":"","address":"x","tel_phone":"","legal_person_name":"n","nowtime":1},"code":200,"message":"ok"}"#;
    let Answer::Company(c) = Speaks::answer(&zhiyun("json"), &Op::CompanyGet, &reply(body)).unwrap() else {
        panic!()
    };
    assert_eq!((c.name.as_str(), c.address.as_str(), c.legal_person.as_str()), ("c", "x", "n"));
}

#[test]
fn codes() {
    let z = zhiyun("json");
    #[rustfmt::skip]
    let table = [
        (304, "", KL_E_PLATFORM, Advice::None),
        (400, "", KL_E_PARAMETER, Advice::Fix),
        (401, "Unauthorized", KL_E_TIMESTAMP, Advice::Retry),
        (500, "", KL_E_PLATFORM, Advice::Retry),
        (501, "Service or method not found!", KL_E_UNSUPPORTED, Advice::Fix),
        (601, "Invalid argument", KL_E_PARAMETER, Advice::Fix),
        (602, "", KL_E_NOT_FOUND, Advice::None),
        (704, "user does not exist", KL_E_NOT_FOUND, Advice::None),
        (714, "", KL_E_TOKEN, Advice::Fix),
        (905, "No information query the user belongs to the company", KL_E_NOT_FOUND, Advice::None),
        (100_002, "Client_id access is illegal", KL_E_AUTH, Advice::Fix),
        (100_008, "The client_id  does not exist.", KL_E_AUTH, Advice::Fix),
        (100_009, "http header authentication is illegal", KL_E_AUTH, Advice::Fix),
        (100_013, "client_secret  access is illegal", KL_E_AUTH, Advice::Fix),
        (100_014, "The access token has expired", KL_E_TOKEN, Advice::Fix),
        (100_018, "The authorization code does not have permission to access", KL_E_PERMISSION, Advice::Fix),
        (100_019, "", KL_E_AUTH, Advice::Fix),
        (100_020, "", KL_E_AUTH, Advice::Fix),
        (100_021, "", KL_E_AUTH, Advice::Fix),
        (100_023, "", KL_E_AUTH, Advice::Fix),
    ];
    for (code, message, status, advice) in table {
        let bodies = [
            ("json", format!(r#"{{"code":{code},"message":"{message}"}}"#)),
            ("xml", format!("<apiResponse><code>{code}</code><message>{message}</message></apiResponse>")),
        ];
        for (format, body) in bodies {
            let e = Speaks::answer(&zhiyun(format), &Op::UserGet, &reply(&body)).unwrap_err();
            let d = e.details();
            assert_eq!((d.platform_code, d.status, d.advice), (code, status, advice), "{body}");
            assert_eq!(d.platform_name, code.to_string());
            assert_eq!(z.is_dead(&e), matches!(code, 100_019 | 100_020));
        }
    }
}

#[test]
// FAULTS A1: what a code means depends on what was asked for, never on words.
fn a_code_that_could_not_be_stored_is_told_by_the_call() {
    let z = zhiyun("json");
    for words in
        ["Failed to create authorization code. Please contact Zhicloud administrator", "no permission"]
    {
        let body = reply(&format!(r#"{{"code":100018,"message":"{words}"}}"#));
        let asked = Speaks::answer(&z, &Op::UserGet, &body).unwrap_err();
        assert_eq!((asked.status(), asked.details().outcome), (KL_E_PERMISSION, Outcome::NotDone));
        let raw = Op::Call { method: AUTHORIZE, params_json: "" };
        for e in
            [TokenSource::answer(&z, &body, 0).unwrap_err(), Speaks::answer(&z, &raw, &body).unwrap_err()]
        {
            let d = e.details();
            assert_eq!((d.status, d.advice, d.outcome), (KL_E_PLATFORM, Advice::Retry, Outcome::None));
        }
    }
    // A code that no row has proves nothing, whatever its words.
    let e =
        Speaks::answer(&z, &Op::UserGet, &reply(r#"{"code":1000140,"message":"Unauthorized"}"#)).unwrap_err();
    assert_eq!((e.status(), e.details().outcome), (KL_E_PLATFORM, Outcome::None));
}

#[test]
// FAULTS A2: the envelope decides, and a success under a bad status is none.
fn an_http_status_proves_nothing_over_an_envelope() {
    let wrap = |format: &str, code: u32| match format {
        "json" => format!(r#"{{"data":{{"auth_code":"c0de"}},"code":{code},"message":"x"}}"#),
        _ => {
            format!("<apiResponse><data><auth_code>c0de</auth_code></data><code>{code}</code></apiResponse>")
        }
    };
    for format in ["json", "xml"] {
        let z = zhiyun(format);
        let ask = |http: u16, body: &str| {
            Speaks::answer(&z, &Op::UserGet, &Reply { status: http, ..reply(body) }).unwrap_err()
        };
        for http in [400, 401, 403, 404, 429, 500, 503] {
            let e = ask(http, &wrap(format, 200));
            assert_eq!((e.status(), e.details().outcome), (KL_E_HTTP, Outcome::None), "{http}: {e}");
            let e = ask(http, &wrap(format, 100_013));
            assert_eq!((e.status(), e.details().outcome), (KL_E_AUTH, Outcome::NotDone), "{http}: {e}");
            let e = ask(http, &wrap(format, 777));
            assert_eq!(e.details().outcome, Outcome::None, "{http}: {e}");
            // Half of it may have been a success.
            let whole = wrap(format, 200);
            assert_eq!(ask(http, &whole[..whole.len() - 3]).details().outcome, Outcome::None, "{http}");
            let behind = format!("<br />Notice: x\n{whole}");
            assert_eq!(ask(http, &behind).details().outcome, Outcome::None, "{http} {behind}");
        }
        // What calls itself the platform's format and is none may have been the envelope.
        for kind in ["application/json", "text/xml;charset=utf-8"] {
            let reply = Reply { status: 429, headers: Headers::of_type(kind), ..reply("") };
            let e = Speaks::answer(&z, &Op::UserGet, &reply).unwrap_err();
            assert_eq!(e.details().outcome, Outcome::None, "{kind}: {e}");
        }
        for (http, body, status, outcome) in [
            (429, "slow down", KL_E_RATE_LIMIT, Outcome::NotDone),
            (403, "<html>no</html>", KL_E_PERMISSION, Outcome::NotDone),
            (502, "<html>no</html>", KL_E_HTTP, Outcome::None),
        ] {
            let e = ask(http, body);
            assert_eq!((e.status(), e.details().outcome), (status, outcome), "{http}: {e}");
        }
    }
}

#[test]
// FAULTS D: nothing hangs on a field of these, so an odd one is not told.
fn odd_fields_lose_nothing() {
    let body = r#"{"data":{"username":7,"truename":"\ud83d","sex":3,"phone":[],"is_admin":"maybe","status":{},"avatar":false,"created":"0000-00-00 00:00:00","nowtime":"soon"},"code":"200","message":[]}"#;
    let Ok(Answer::User(u)) = Speaks::answer(&zhiyun("json"), &Op::UserGet, &reply(body)) else { panic!() };
    assert_eq!((u.username.as_str(), u.sex.as_str(), u.phone.as_str()), ("7", "3", ""));
    assert_eq!((u.name.as_str(), u.is_admin, u.created_at, u.now), ("\u{fffd}", Tri::Unknown, 0, 0));
    let body = r#"{"data":{"company_name":["x"],"company_type":1,"tax_number":null,"address":"a","created":"?","nowtime":1.5},"code":200.0}"#;
    let Ok(Answer::Company(c)) = Speaks::answer(&zhiyun("json"), &Op::CompanyGet, &reply(body)) else {
        panic!()
    };
    assert_eq!((c.name.as_str(), c.kind.as_str(), c.address.as_str(), c.now), ("", "1", "a", 0));
    // Words in GBK beside a clear refusal, and beside a clear answer.
    let gbk = [&b"{\"code\":100013,\"message\":\""[..], b"\xc3\xdc\xd4\xbf\"}"].concat();
    let e = Speaks::answer(&zhiyun("json"), &Op::UserGet, &Reply { body: gbk, ..reply("") }).unwrap_err();
    assert_eq!(e.status(), KL_E_AUTH);
    let gbk = [
        &b"<apiResponse><data><username>"[..],
        b"\xc3\xdc</username><phone>138</phone></data><code>200</code></apiResponse>",
    ]
    .concat();
    let answer = Speaks::answer(&zhiyun("xml"), &Op::UserGet, &Reply { body: gbk, ..reply("") });
    let Ok(Answer::User(u)) = answer else { panic!("{answer:?}") };
    assert_eq!(u.phone, "138");
    // The code is what every later call shows: by name.
    for odd in [r#"{"auth_code":[]}"#, r#"{"auth_code":""}"#, "{}", "[]"] {
        let body = format!(r#"{{"data":{odd},"code":200,"message":"ok"}}"#);
        let e = TokenSource::answer(&zhiyun("json"), &reply(&body), 0).unwrap_err();
        assert_eq!(e.status(), KL_E_PROTOCOL, "{odd}");
    }
}

#[test]
// FAULTS A14: a call's own parameters do not replace who asks and when.
fn a_calls_parameters_replace_nothing() {
    let z = zhiyun("json");
    for name in ["access_token", "client_id", "auth_code", "t_", "p_", "P_", "Client_ID"] {
        let params = format!(r#"{{"{name}":"1"}}"#);
        let op = Op::Call { method: GET_USER, params_json: &params };
        let e = Speaks::draft(&z, &op).err().unwrap();
        assert!(e.status() == KL_E_ARGUMENT && e.message().contains(name), "{e}");
    }
}

#[test]
fn every_code_is_in_the_documentation() {
    let doc = include_str!("../../../docs/platforms/zhiyun.md");
    let start = doc.find("| code | kl_status |").unwrap();
    let table = &doc[start..start + doc[start..].find("\n\n").unwrap()];
    for row in answers::ROWS.iter().filter(|r| !r.name.is_empty()) {
        let cell = |line: &str| line.split('|').nth(1).unwrap_or_default().to_owned();
        let found = table.lines().map(cell).any(|cell| cell.split([',', ' ']).any(|t| t == row.name));
        assert!(found, "docs/platforms/zhiyun.md lacks {}", row.name);
    }
}

#[test]
fn odd_answers_are_named() {
    for (format, body, words) in [
        ("json", "", "is empty"),
        ("json", "<br />\n<b>Fatal error</b>", "web page"),
        ("json", r#"{"code":200,"message":"ok"}"#, "data is null"),
        ("json", r#"{"message":"ok"}"#, "code is missing"),
        ("xml", "", "is empty (byte 0)"),
        ("xml", "<apiResponse/>", "is empty"),
        ("xml", "<other><code>200</code></other>", "expected <apiResponse>"),
        ("xml", "<!DOCTYPE a><apiResponse/>", "DOCTYPE"),
        ("xml", "<apiResponse><code>2x2</code></apiResponse>", "code is no whole number"),
    ] {
        let e = Speaks::answer(&zhiyun(format), &Op::UserGet, &reply(body)).unwrap_err();
        assert!(e.status() == KL_E_PROTOCOL && e.message().contains(words), "{body}: {e}");
    }
}

#[test]
fn a_code_lives_less_than_half_a_minute() {
    let body =
        r#"{"data":{"auth_code":"c3a8ad070c745db455e30a51511dca819b607bf7"},"code":200,"message":"ok"}"#;
    let token = TokenSource::answer(&zhiyun("json"), &reply(body), 1_000_000).unwrap();
    assert_eq!((token.access.len(), token.expires_ms), (40, 1_028_000));
    assert!(
        TokenSource::answer(&zhiyun("json"), &reply(r#"{"data":{},"code":200,"message":"ok"}"#), 0).is_err()
    );
}
