//! The console in a real Chromium: by mouse, by keyboard, on a telephone, and against pages that mean harm.
//!
//! Pictures go into the target folder; with `BLESS=1` those of the documentation are written anew.

mod browser;
#[path = "../../../tests/common/built.rs"]
mod built;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use browser::{Browser, browser, key};
use kiosklink_sim::{Options, Simulator};
use serde_json::{Value, json};

const CABINET: &str = "5f6da2362201410011000001";
const TWO_DOORS: &str = "5f6da2362201410011000002";
const LOCKER: &str = "5f6da2362201410011000005";
const HOSTILE: &str = "<img src=x onerror=\"window.harmed = true\"><script>window.harmed = true</script>";

fn simulator() -> Simulator {
    Simulator::start(Options::default()).expect("the simulator starts")
}

fn control(sim: &Simulator, method: &str, path: &str, body: Value) -> Value {
    let (status, answer) = sim.control(method, path, body);
    assert_eq!(status, 200, "{method} {path}: {answer}");
    answer
}

fn openings(sim: &Simulator) -> Vec<Value> {
    control(sim, "GET", "/_sim/openings", Value::Null).as_array().cloned().unwrap_or_default()
}

/// Waits until the simulator has counted so many openings.
fn await_openings(sim: &Simulator, count: usize) {
    control(sim, "POST", "/_sim/wait", json!({"for": "openings", "count": count, "timeout_ms": 20_000}));
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The console of a simulator, in the browser, when the first news has come.
fn open_console(browser: &Browser, sim: &Simulator) {
    browser.go(&format!("{}/", sim.http_origin()));
    settled(browser);
}

fn settled(browser: &Browser) {
    browser
        .until("document.querySelector('#link').textContent === 'Live' && document.querySelector('.leaf')");
}

fn door(cabinet: &str, number: u32) -> String {
    format!("[data-cabinet=\"{cabinet}\"] [data-door=\"{number}\"]")
}

/// What the door's picture says.
fn door_is(browser: &Browser, cabinet: &str, number: u32, state: &str) {
    browser.until(&format!(
        "document.querySelector({}).dataset.state === '{state}'",
        json!(door(cabinet, number))
    ));
}

/// The C example, as its user runs it.
struct Example {
    child: Child,
    folder: PathBuf,
}

impl Example {
    fn open_door(sim: &Simulator, cabinet: &str, name: &str) -> Self {
        static BUILT: OnceLock<()> = OnceLock::new();
        BUILT.get_or_init(|| built::build("make", &["-s", "c-programs"]));
        let folder =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("console-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let (ca, accounts) = (folder.join("ca.pem"), folder.join("accounts.json"));
        std::fs::write(&ca, sim.ca_pem()).expect("written");
        sim.write_accounts(&accounts, &ca.display().to_string()).expect("written");
        let child = Command::new(built::target().join("c/bin/open_door"))
            .arg(&accounts)
            .args(["yopoint", cabinet, name])
            .current_dir(&folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the example runs");
        Self { child, folder }
    }

    /// Its exit code and what it said.
    fn end(mut self) -> (Option<i32>, String) {
        let mut text = String::new();
        self.child.stdout.take().expect("a pipe").read_to_string(&mut text).expect("text");
        (self.child.wait().expect("it ends").code(), text)
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Takes a picture of all that is to be seen, or of one part, for the documentation: into it when asked, else into
/// the target folder.
fn picture(browser: &Browser, name: &str, part: Option<&str>) {
    let png = browser.picture(part);
    assert!(png.starts_with(b"\x89PNG") && png.len() > 10_000, "{name}: {} bytes", png.len());
    assert!(png.len() < 200_000, "{name}: {} bytes are too many for the documentation", png.len());
    let folder = if std::env::var_os("BLESS").is_some_and(|b| b == "1") {
        root().join("docs/img")
    } else {
        Path::new(env!("CARGO_TARGET_TMPDIR")).join("pictures")
    };
    std::fs::create_dir_all(&folder).expect("a folder for pictures");
    std::fs::write(folder.join(format!("console-{name}.png")), png).expect("written");
}

/// Sends a request as it stands and gives the status, the head and the body.
fn raw(sim: &Simulator, request: &str) -> (u16, String, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", sim.port())).expect("connected");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("set");
    stream.write_all(request.as_bytes()).expect("sent");
    let mut got = BufReader::new(stream);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        got.read_line(&mut line).expect("a line");
        if let Some((name, value)) = line.split_once(": ") {
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().expect("a length");
            }
        }
        if line.trim().is_empty() {
            break;
        }
        head.push_str(&line);
    }
    let mut body = vec![0; length];
    got.read_exact(&mut body).expect("a body");
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).expect("a status");
    (status, head, String::from_utf8_lossy(&body).into_owned())
}

fn post_with(sim: &Simulator, path: &str, headers: &str, body: &str) -> (u16, String) {
    let length = body.len();
    let (status, _, body) = raw(
        sim,
        &format!(
            "POST {path} HTTP/1.1\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        ),
    );
    (status, body)
}

/// A request for a door whose parameters were signed in the order sent.
fn door_with_wrong_signature(sim: &Simulator) {
    use md5::{Digest, Md5};
    let now = control(sim, "GET", "/_sim/clock", Value::Null)["now_ms"].as_i64().expect("a time") / 1000;
    let text = format!(
        "method=cabinet.open.door&appid=100000000001&version=1.0.0&sign_type=md5&timestamp={now}&\
         biz_content={{\"CID\":\"{CABINET}\",\"OpenID\":\"o-1\"}}"
    );
    let sign: String =
        Md5::digest(format!("{text}&test-secret")).iter().map(|b| format!("{b:02x}")).collect();
    let body = format!("{text}&sign={sign}");
    let kind = "Host: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n";
    let (status, answer) = post_with(sim, "/yopoint/api/gateway/index", kind, &body);
    assert_eq!(status, 200);
    assert!(answer.contains("ERR_SIGN"), "{answer}");
}

/// Ends a test: nothing was logged as an error, and nobody else was asked for anything.
fn nothing_odd(browser: &Browser, sim: &Simulator) {
    let log = browser.log("browser");
    let errors: Vec<_> = log.iter().filter(|e| e["level"] != "INFO" && e["level"] != "DEBUG").collect();
    assert!(errors.is_empty(), "{errors:?}");
    let asked = browser.requested();
    assert!(asked.iter().any(|url| url.ends_with("/console/console.js")), "the log works: {asked:?}");
    let own = [sim.http_origin(), sim.origin(), "about:".into()];
    let odd: Vec<_> = asked.iter().filter(|url| !own.iter().any(|o| url.starts_with(o.as_str()))).collect();
    assert!(odd.is_empty(), "{odd:?}");
    assert_eq!(browser.js("return window.harmed === undefined", &[]), true);
}

#[test]
fn a_click_opens_a_door_and_the_c_program_is_seen_live() {
    let browser = browser();
    let sim = simulator();
    control(&sim, "POST", "/_sim/yopoint/settings", json!({"door_open_ms": null, "recognition_ms": 100}));
    open_console(&browser, &sim);
    assert_eq!(
        browser.js("return document.querySelector('#time').textContent", &[]).as_str().map(str::len),
        Some(8)
    );

    browser.click(&format!("{} .leaf", door(TWO_DOORS, 2)));
    door_is(&browser, TWO_DOORS, 2, "open");
    let opened = openings(&sim);
    assert_eq!((opened.len(), &opened[0]["cabinet"], &opened[0]["door"]), (1, &json!(TWO_DOORS), &json!(2)));
    assert_eq!(opened[0]["cause"]["by"], "control");
    browser.until("document.querySelector('#said').textContent.includes('opened by hand')");
    browser.click(&format!("{} .leaf", door(TWO_DOORS, 2)));
    door_is(&browser, TWO_DOORS, 2, "shut");

    browser.click(&format!("{} .doordo button:nth-child(2)", door(TWO_DOORS, 2)));
    door_is(&browser, TWO_DOORS, 2, "jammed");
    browser.click(&format!("{} .leaf", door(TWO_DOORS, 2)));
    browser.until("document.querySelector('#trouble.shown').textContent.includes('jammed')");
    let log = browser.log("browser");
    assert!(log.len() == 1 && log[0]["message"].as_str().is_some_and(|m| m.contains("409")), "{log:?}");

    // The C example opens a door, and the page shows it while it stands open.
    let example = Example::open_door(&sim, CABINET, "live");
    door_is(&browser, CABINET, 1, "open");
    browser.until("/opened by Yopoint, request [0-9]+/.test(document.querySelector('#said').textContent)");
    let state = format!("document.querySelector({}).textContent", json!(door(CABINET, 1) + " .state"));
    browser.until(&format!("{state}.startsWith('Open since ')"));
    browser.until(
        "[...document.querySelectorAll('.request b')].some((b) => b.textContent === 'cabinet.open.door')",
    );
    browser.until("!document.querySelector('#trouble.shown')");
    picture(&browser, "door", None);
    browser.click(&format!("{} .leaf", door(CABINET, 1)));
    door_is(&browser, CABINET, 1, "shut");
    let (code, text) = example.end();
    assert_eq!(code, Some(0), "{text}");
    browser.until("[...document.querySelectorAll('.block .badge')].some((b) => b.textContent === 'paid')");
    assert_eq!(openings(&sim).len(), 2);
    nothing_odd(&browser, &sim);
}

/// Presses Tab until the focus is on something that fits.
fn tab_to(browser: &Browser, selector: &str) {
    for _ in 0..150 {
        browser.press(key::TAB);
        if browser.js("return document.activeElement.matches(arguments[0])", &[json!(selector)]) == true {
            let outline = browser.js(
                "const s = getComputedStyle(document.activeElement); return [s.outlineStyle, s.outlineWidth]",
                &[],
            );
            assert!(outline[0] != "none" && outline[1] != "0px", "the focus on {selector} shows: {outline}");
            return;
        }
    }
    panic!("{selector} cannot be reached by Tab");
}

#[test]
fn a_keyboard_is_enough() {
    let browser = browser();
    let sim = simulator();
    open_console(&browser, &sim);

    let leaf = |number| format!("{} .leaf", door(TWO_DOORS, number));
    tab_to(&browser, &leaf(1));
    browser.press(key::ENTER);
    door_is(&browser, TWO_DOORS, 1, "open");
    // What was drawn anew is still what the focus is on.
    assert_eq!(browser.js("return document.activeElement.matches(arguments[0])", &[json!(leaf(1))]), true);
    browser.press(key::SPACE);
    door_is(&browser, TWO_DOORS, 1, "shut");
    browser.press(key::RIGHT);
    browser.press(key::ENTER);
    door_is(&browser, TWO_DOORS, 2, "open");
    browser.press(key::LEFT);
    assert_eq!(browser.js("return document.activeElement.matches(arguments[0])", &[json!(leaf(1))]), true);
    assert_eq!(openings(&sim).len(), 2);
    let (role, name) = browser.spoken(&leaf(2));
    assert_eq!(role, "button");
    assert!(
        name.starts_with("Door 2 of 二号柜(双门): Open since ") && name.ends_with("Press to shut."),
        "{name}"
    );

    // The tabs are one stop; the arrows go on from there.
    tab_to(&browser, "#tab-requests");
    browser.press(key::RIGHT);
    browser.until("document.activeElement.id === 'tab-faults' && document.querySelector('.fault')");
    tab_to(&browser, "[data-fault=\"act_then_drop\"] [role=switch]");
    browser.press(key::SPACE);
    browser.until(
        "document.querySelector('[data-fault=\"act_then_drop\"] [role=switch]').ariaChecked === 'true'",
    );
    assert_eq!(
        control(&sim, "GET", "/_sim/faults", Value::Null)["rules"][0]["faults"][0]["fault"],
        "act_then_drop"
    );
    assert_eq!(
        browser.spoken("[data-fault=\"late\"] [role=switch]"),
        ("switch".into(), "Fault late: answer in full, but late".into())
    );

    // Everything that can be operated has a name and can be reached.
    let unnamed = browser.js(
        "return [...document.querySelectorAll('button, input, select')].filter((e) => e.tabIndex < 0 && e.role !== 'tab' && !e.matches('.wall .box')
            || !(e.ariaLabel || e.textContent.trim() || e.labels?.length)).map((e) => e.outerHTML)",
        &[],
    );
    assert_eq!(unnamed, json!([]));
    nothing_odd(&browser, &sim);
}

#[test]
fn a_fault_switched_on_by_click_is_met_by_a_client() {
    let browser = browser();
    let sim = simulator();
    control(&sim, "POST", "/_sim/yopoint/settings", json!({"door_open_ms": 100}));
    open_console(&browser, &sim);
    browser.click("#tab-faults");
    browser.type_into("#fault-method", "cabinet.open.door");
    browser.click("[data-fault=\"act_then_drop\"] [role=switch]");
    browser.until(
        "document.querySelector('[data-fault=\"act_then_drop\"] [role=switch]').ariaChecked === 'true'",
    );
    let rule = &control(&sim, "GET", "/_sim/faults", Value::Null)["rules"][0];
    assert_eq!((&rule["method"], &rule["left"]), (&json!("cabinet.open.door"), &json!(1)));
    picture(&browser, "faults", Some(".side"));

    let (code, text) = Example::open_door(&sim, CABINET, "lost").end();
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("KL_E_LOST") && text.contains("It may have opened"), "{text}");
    browser.until(
        "document.querySelector('[data-fault=\"act_then_drop\"] [role=switch]').ariaChecked === 'false'",
    );
    browser.until("document.querySelector('.force').textContent.includes('applied 1 time')");
    browser.click("#tab-requests");
    browser.until("document.querySelector('.request .badge.flash').textContent === 'act_then_drop'");

    // Off again before anybody meets it, with parameters, and at random with a seed.
    browser.click("#tab-faults");
    browser.click("[data-fault=\"late\"] [aria-expanded]");
    browser.type_into("[data-fault=\"late\"] input[type=number]", "1234");
    browser.click("[data-fault=\"late\"] [role=switch]");
    browser.until("document.querySelector('[data-fault=\"late\"] [role=switch]').ariaChecked === 'true'");
    let shown = control(&sim, "GET", "/_sim/faults", Value::Null);
    assert_eq!(shown["rules"][1]["faults"][0]["ms"], 1234, "{shown}");
    browser.click("[data-fault=\"late\"] [role=switch]");
    browser.until("document.querySelector('[data-fault=\"late\"] [role=switch]').ariaChecked === 'false'");
    assert_eq!(control(&sim, "GET", "/_sim/faults", Value::Null)["rules"].as_array().map(Vec::len), Some(1));
    browser.js("const f = document.querySelector('#dice-seed'); f.value = ''; f.focus()", &[]);
    browser.type_into("#dice-seed", "42");
    browser.click("#dice-switch");
    browser.until("document.querySelector('#dice-switch').ariaChecked === 'true'");
    let random = &control(&sim, "GET", "/_sim/faults", Value::Null)["random"];
    assert_eq!((&random["seed"], &random["probability"]), (&json!(42), &json!(0.2)));
    browser.click("#dice-switch");
    browser.until("document.querySelector('#dice-switch').ariaChecked === 'false'");
    nothing_odd(&browser, &sim);
}

#[test]
fn a_wrong_signature_shows_what_was_signed_and_where_it_differs() {
    let browser = browser();
    let sim = simulator();
    open_console(&browser, &sim);
    door_with_wrong_signature(&sim);
    browser.until("document.querySelector('#tab-requests').textContent.includes('1 wrong')");
    browser.click(".request.wrong .summary");
    browser.until("document.querySelector('.differs').textContent.includes('must be sorted by key')");
    let texts =
        browser.js("return ['.was', '.should'].map((c) => document.querySelector(c).textContent)", &[]);
    let logged = &control(&sim, "GET", "/_sim/requests", Value::Null)[0]["signature"];
    assert_eq!(texts, json!([logged["signed"], logged["base"]]));
    assert!(texts[0].as_str().is_some_and(|t| t.starts_with("method=cabinet.open.door&appid=")), "{texts}");
    let marked = browser.js(
        "return ['.was', '.should'].map((c) => [...document.querySelector(c).querySelectorAll('mark')].map((m) => m.textContent).join('|'))",
        &[],
    );
    let (was, should) = (marked[0].as_str().unwrap_or_default(), marked[1].as_str().unwrap_or_default());
    assert!(was.contains("method") && should.contains("method") && !was.contains("[secret]"), "{marked}");
    assert!(was.len() < texts[0].as_str().map_or(0, str::len) / 2, "only what differs is marked: {marked}");
    picture(&browser, "signature", Some(".side"));
    nothing_odd(&browser, &sim);
}

#[test]
fn hostile_names_are_only_names() {
    let browser = browser();
    let sim = simulator();
    control(
        &sim,
        "PATCH",
        "/_sim/world",
        json!({
            "goods": [{"barcode": "6900000000011", "name": HOSTILE}], "cabinets": [{"id": CABINET, "name": HOSTILE}],
            "platforms": {
                "dingshang": {"machines": [{"machine_no": "16327129", "machine_name": HOSTILE}]},
                "zhiyun": {"users": [{"uid": 1152, "username": HOSTILE, "truename": HOSTILE}]},
            },
        }),
    );
    control(&sim, "PATCH", "/_sim/dingshang/machines/16327129/lanes/A20", json!({"name": HOSTILE}));
    control(&sim, "POST", "/_sim/youzan/orders", json!({"fetcher_name": HOSTILE}));
    let text = format!("method={HOSTILE}&appid={HOSTILE}&biz_content={HOSTILE}&sign={HOSTILE}");
    post_with(
        &sim,
        "/yopoint/api/gateway/index",
        "Host: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n",
        &text,
    );
    open_console(&browser, &sim);
    browser.click(&format!("{} .leaf", door(CABINET, 1)));
    browser.until("document.querySelector('#said').textContent.includes('<img src=x')");
    browser.click(".request .summary");
    for view in ["faults", "callbacks", "openings", "story", "requests"] {
        browser.click(&format!("#tab-{view}"));
        browser.until(&format!("document.querySelector('#tab-{view}').ariaSelected === 'true'"));
    }
    for platform in ["zhiyun", "youzan", "dingshang", "yopoint"] {
        browser.click(&format!("#tab-{platform}"));
        browser.until(&format!(
            "document.querySelector('#tab-{platform}').ariaSelected === 'true' && document.querySelector('#platform').textContent.includes('<img src=x onerror=')"
        ));
    }
    assert_eq!(browser.js("return [document.images.length, document.scripts.length]", &[]), json!([1, 2]));

    // The policy would not let it be otherwise.
    let tried = browser.js(
        "try { document.querySelector('#said').innerHTML = '<b>x</b>'; return 'taken'; } catch (error) { return error.name; }",
        &[],
    );
    assert_eq!(tried, "TypeError");
    let (status, head, _) = raw(&sim, "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    assert_eq!(status, 200);
    assert!(head.contains("Content-Security-Policy: default-src 'self'; "), "{head}");
    assert!(!head.contains("unsafe"), "{head}");
    browser.log("browser");
    nothing_odd(&browser, &sim);
}

#[test]
fn a_telephone_is_wide_enough() {
    let browser = browser();
    let sim = simulator();
    control(&sim, "POST", "/_sim/doors", json!({"cabinet": CABINET, "door": 1, "action": "open"}));
    door_with_wrong_signature(&sim);
    for width in [390, 320] {
        browser.phone(width, 844);
        open_console(&browser, &sim);
        for view in ["requests", "faults", "callbacks", "openings", "story"] {
            browser.click(&format!("#tab-{view}"));
            browser.until(&format!("document.querySelector('#tab-{view}').ariaSelected === 'true'"));
            if view == "requests" {
                browser.click(".request .summary");
                browser.until("document.querySelector('.details')");
            }
            fits(&browser, &format!("{view} at {width}"));
        }
        for platform in ["dingshang", "youzan", "zhiyun", "yopoint"] {
            browser.js("scrollTo(0, 0)", &[]);
            browser.click(&format!("#tab-{platform}"));
            browser.until(&format!("document.querySelector('#tab-{platform}').ariaSelected === 'true'"));
            fits(&browser, &format!("{platform} at {width}"));
        }
    }
    browser.phone(390, 844);
    browser.js("scrollTo(0, 0)", &[]);
    picture(&browser, "phone", None);
    browser.media(&[("prefers-color-scheme", "dark")]);
    picture(&browser, "phone-dark", None);
    // By finger, too.
    browser.click(&format!("{} .leaf", door(CABINET, 1)));
    door_is(&browser, CABINET, 1, "shut");
    nothing_odd(&browser, &sim);
}

/// Nothing sticks out sideways, and what can be touched is big enough to be touched.
fn fits(browser: &Browser, what: &str) {
    let wide = browser.js("const d = document.documentElement; return [d.scrollWidth, innerWidth]", &[]);
    assert_eq!(wide[0], wide[1], "{what} scrolls sideways");
    let small = browser.js(
        "return [...document.querySelectorAll('button, select, label.check, input:not([type=checkbox])')]
            .filter((e) => e.checkVisibility() && (e.offsetHeight < 44 || e.offsetWidth < 40)).map((e) => `${e.outerHTML.slice(0, 90)} ${e.offsetWidth} ${e.offsetHeight}`)",
        &[],
    );
    assert_eq!(small, json!([]), "{what}");
    let cut = browser.js(
        "return [...document.querySelectorAll('button')].filter((e) => e.checkVisibility() && e.scrollWidth > e.clientWidth + 1).map((e) => e.textContent)",
        &[],
    );
    assert_eq!(cut, json!([]), "{what}");
}

#[test]
fn what_the_user_has_asked_the_browser_for_is_respected() {
    let browser = browser();
    let sim = simulator();
    open_console(&browser, &sim);
    let looks = "const s = getComputedStyle(document.querySelector('.leaf')); return [getComputedStyle(document.body).backgroundColor, s.transitionDuration]";
    let light = browser.js(looks, &[]);
    browser.media(&[("prefers-color-scheme", "dark"), ("prefers-reduced-motion", "reduce")]);
    let dark = browser.js(looks, &[]);
    assert_ne!(light[0], dark[0]);
    assert_ne!(light[1], "0s");
    assert_eq!(dark[1], "0s");
    // State is a word and a sign beside its colour.
    control(&sim, "POST", "/_sim/doors", json!({"cabinet": CABINET, "door": 1, "action": "jam"}));
    door_is(&browser, CABINET, 1, "jammed");
    let said = browser.js(
        "return [...document.querySelectorAll('.state')].map((s) => [s.textContent, s.querySelectorAll('svg').length])",
        &[],
    );
    assert_eq!(said, json!([["Jammed", 1], ["Shut", 1], ["Shut", 1], ["Shut, offline", 1], ["Shut", 1]]));
    picture(&browser, "dark", None);

    // Text stands out from what it stands on.
    for scheme in ["light", "dark"] {
        browser.media(&[("prefers-color-scheme", scheme), ("prefers-reduced-motion", "reduce")]);
        let pale = browser.js(CONTRAST, &[]);
        assert_eq!(pale, json!([]), "{scheme}");
    }
    nothing_odd(&browser, &sim);
}

/// Every text whose contrast is below 4.5 to 1, as WCAG counts it.
const CONTRAST: &str = r"
    const light = ([r, g, b]) => [r, g, b].map((c) => c / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
        .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
    const colour = (text) => text.match(/[\d.]+/g).map(Number);
    const below = (element) => {
        for (let e = element; e; e = e.parentElement) {
            const c = colour(getComputedStyle(e).backgroundColor);
            if (c.length < 4 || c[3] === 1) return c;
        }
        return [255, 255, 255];
    };
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const pale = [];
    while (texts.nextNode()) {
        const e = texts.currentNode.parentElement;
        if (!texts.currentNode.data.trim() || !e.checkVisibility() || e.closest('.unseen, noscript, button:disabled, .skip')) continue;
        const [a, b] = [light(colour(getComputedStyle(e).color)), light(below(e))];
        const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        if (ratio < 4.5) pale.push(`${texts.currentNode.data} ${ratio.toFixed(2)}`);
    }
    return [...new Set(pale)];";

#[test]
fn all_four_platforms_have_their_page() {
    let browser = browser();
    let sim = simulator();
    open_console(&browser, &sim);

    browser.click("#tab-dingshang");
    let lane = |name: &str| format!("[data-machine=\"16327129\"] [data-lane=\"{name}\"]");
    browser.click(&format!("{} .main", lane("A20")));
    browser.until(&format!(
        "document.querySelector({}).textContent.includes('by hand')",
        json!(lane("A20") + " .last")
    ));
    browser.until(&format!(
        "document.querySelector({}).textContent === '5 / 10'",
        json!(lane("A20") + " .celltop span")
    ));
    assert_eq!(openings(&sim)[0]["lane"], "A20");
    browser.click(&format!("{} .doordo button:nth-child(3)", lane("A21")));
    browser.until(&format!(
        "document.querySelector({}).textContent === 'empty'",
        json!(lane("A21") + " .celltop span")
    ));
    browser.click(&format!("{} .doordo button:nth-child(2)", lane("A22")));
    browser.until(&format!(
        "document.querySelector({}).textContent.includes('Goods are Stuck')",
        json!(lane("A22"))
    ));
    picture(&browser, "dingshang", None);
    browser.click("[data-machine=\"16327129\"] footer button:last-child");
    browser.until("document.querySelector('[data-machine=\"16327129\"]').classList.contains('away')");
    let machine = control(&sim, "GET", "/_sim/dingshang/machines/16327129", Value::Null);
    assert_eq!((&machine["is_online"], &machine["lanes"][1]["stock"]), (&json!(false), &json!(0)));

    browser.click("#tab-youzan");
    browser.until(
        "[...document.querySelectorAll('.ticket .code')].some((c) => c.textContent === '10000000001')",
    );
    browser.click("#tab-zhiyun");
    let token = "test0access0token0000000000000001152";
    browser.click(&format!("[aria-label=\"Expire the token {token}\"]"));
    browser.until("document.querySelector('.rows .badge.bad').textContent === 'expired'");
    let tokens = control(&sim, "GET", "/_sim/zhiyun/tokens", Value::Null);
    assert_eq!(tokens[0]["access_token"], token);
    let now = control(&sim, "GET", "/_sim/clock", Value::Null)["now_ms"].as_i64().map(|ms| ms / 1000);
    assert!(tokens[0]["expires_s"].as_i64() < now, "{tokens}");

    browser.click("#tab-yopoint");
    let cabinet = format!("[data-cabinet=\"{CABINET}\"]");
    browser.click(&format!("{} .doordo button:nth-child(3)", door(CABINET, 1)));
    browser
        .until(&format!("document.querySelectorAll({}).length === 4", json!(format!("{cabinet} tr.gone"))));
    browser.click(&format!("{cabinet} footer button"));
    browser.until(&format!("document.querySelector({}).classList.contains('away')", json!(cabinet)));
    let shown = control(&sim, "GET", &format!("/_sim/cabinets/{CABINET}"), Value::Null);
    assert_eq!((&shown["online"], &shown["stock"][0]["stock"]), (&json!(false), &json!(0)));
    browser.click("#tools button:nth-child(4)");
    browser.click("#tools .danger");
    browser.until(&format!("!document.querySelector({}).classList.contains('away')", json!(cabinet)));
    nothing_odd(&browser, &sim);
}

#[test]
fn a_broken_line_is_told_and_mended() {
    let browser = browser();
    let sim = simulator();
    let port = sim.port();
    open_console(&browser, &sim);
    drop(sim);
    browser.until("document.querySelector('#link').dataset.link === 'lost' && document.querySelector('#link').textContent.includes('Trying again')");
    let again = Options { listen: ([127, 0, 0, 1], port).into(), ..Options::default() };
    let sim = Simulator::start(again).expect("the port is free again");
    settled(&browser);
    control(&sim, "POST", "/_sim/doors", json!({"cabinet": CABINET, "door": 1, "action": "open"}));
    door_is(&browser, CABINET, 1, "open");
    // What the browser logs of the time without a simulator is the browser's.
    browser.log("browser");
    nothing_odd(&browser, &sim);
}

#[test]
fn https_shows_the_same() {
    let browser = browser();
    let sim = simulator();
    browser.go(&format!("{}/", sim.origin()));
    settled(&browser);
    browser.click(&format!("{} .leaf", door(CABINET, 1)));
    door_is(&browser, CABINET, 1, "open");
    assert_eq!(openings(&sim).len(), 1);
    nothing_odd(&browser, &sim);
}

/// A page of somebody else's, at a port of its own, for as long as the answer lives.
fn elsewhere(page: String) -> (u16, std::thread::JoinHandle<()>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let serve = std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut line = String::new();
            let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
            let mut reader = BufReader::new(stream.try_clone().expect("a twin"));
            let _ = reader.read_line(&mut line);
            if line.starts_with("GET /end ") {
                return;
            }
            let mut rest = String::new();
            while reader.read_line(&mut rest).is_ok_and(|n| n > 2) {
                rest.clear();
            }
            let length = page.len();
            let _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{page}"
            );
        }
    });
    (port, serve)
}

#[test]
fn a_page_elsewhere_cannot_open_a_door() {
    let browser = browser();
    let sim = simulator();
    let target = sim.http_origin();
    let body = json!({"cabinet": CABINET, "door": 1, "action": "open"}).to_string();
    let page = format!(
        "<!doctype html><link rel=icon href=data:,><iframe name=nowhere></iframe><form method=post target=nowhere enctype=text/plain action='{target}/_sim/doors'>\
         <input name='{}' value='\"}}'></form><script>
         const body = {};
         const tries = [
           fetch('{target}/_sim/doors', {{method: 'POST', mode: 'no-cors', body}}),
           fetch('{target}/_sim/doors', {{method: 'POST', body, headers: {{'Content-Type': 'application/json'}}}}),
           fetch('{target}/_sim/world'),
           fetch('{target}/_sim/faults', {{method: 'DELETE'}}),
           navigator.sendBeacon('{target}/_sim/doors', body),
           new Promise((done) => {{ const f = document.querySelector('iframe'); f.onload = done; document.querySelector('form').submit(); }}),
         ];
         window.ended = Promise.allSettled(tries).then((all) => {{ window.results = all.map((r) => r.status); return true; }});
         </script>",
        body.replace("\"open\"}", "\"open\",\"x\":\""),
        json!(body),
    );
    control(&sim, "POST", "/_sim/faults", json!({"fault": "late"}));
    let (port, serving) = elsewhere(page);
    for host in ["localhost", "elsewhere.test"] {
        browser.go(&format!("http://{host}:{port}/"));
        browser.until("window.results && window.results.length === 6");
        let results = browser.js("return window.results", &[]);
        assert_eq!(results[2], "rejected", "the world cannot be read from {host}");
        assert_eq!(openings(&sim), Vec::<Value>::new(), "from {host}");
        assert_eq!(
            control(&sim, "GET", "/_sim/faults", Value::Null)["rules"].as_array().map(Vec::len),
            Some(1)
        );
    }
    TcpStream::connect(("127.0.0.1", port))
        .and_then(|mut s| s.write_all(b"GET /end HTTP/1.1\r\n\r\n"))
        .expect("told");
    serving.join().expect("it ends");

    // A name that was made to point here is not us.
    browser.go(&format!("http://rebound.test:{}/", sim.port()));
    browser.until("document.body.textContent.includes('must name the loopback')");
    let answer = browser.js(
        "const x = new XMLHttpRequest(); x.open('POST', '/_sim/doors', false); x.send(arguments[0]); return x.status",
        &[json!(body)],
    );
    assert_eq!(answer, 403);
    assert_eq!(openings(&sim), Vec::<Value>::new());

    // Nor can the console be put into a frame for somebody to click on.
    let (_, head, _) = raw(&sim, "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    assert!(head.contains("frame-ancestors 'none'") && head.contains("X-Frame-Options: DENY"), "{head}");
}

#[test]
fn programs_go_on_as_before() {
    let sim = simulator();
    let body = json!({"cabinet": CABINET, "door": 1, "action": "open"}).to_string();
    for (headers, want) in [
        ("Host: localhost\r\nOrigin: http://evil.example\r\n", 403),
        ("Host: localhost\r\nOrigin: null\r\n", 403),
        ("Host: localhost:9\r\nOrigin: http://localhost:10\r\n", 403),
        ("Host: evil.example\r\n", 403),
        ("Host: localhost\r\nSec-Fetch-Site: same-site\r\n", 403),
        ("", 200),
        ("Host: 127.0.0.1\r\n", 409),
        ("Host: [::1]:8443\r\n", 409),
        ("Host: localhost:9\r\nOrigin: https://localhost:9\r\nSec-Fetch-Site: same-origin\r\n", 409),
    ] {
        let (status, answer) = post_with(&sim, "/_sim/doors", headers, &body);
        assert_eq!(status, want, "{headers}: {answer}");
    }
    assert_eq!(openings(&sim).len(), 1);
    // The accounts of the platforms are no secret either.
    let (status, _) = post_with(
        &sim,
        "/yopoint/api/gateway/index",
        "Host: localhost\r\nOrigin: http://evil.example\r\n",
        "",
    );
    assert_eq!(status, 403);
    assert_eq!(control(&sim, "GET", "/_sim/stats", Value::Null)["requests"], 0);
    let (status, head, _) =
        raw(&sim, "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    assert_eq!(status, 405, "{head}");
}

/// A line of news, as a program reads it.
struct Line(BufReader<TcpStream>);

impl Line {
    fn open(sim: &Simulator) -> (u16, Self) {
        let mut stream = TcpStream::connect(("127.0.0.1", sim.port())).expect("connected");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("set");
        stream.write_all(b"GET /_sim/events HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("sent");
        let mut line = Self(BufReader::new(stream));
        let status = line.next().split(' ').nth(1).and_then(|s| s.parse().ok()).expect("a status");
        while !line.next().is_empty() {}
        (status, line)
    }

    fn next(&mut self) -> String {
        let mut text = String::new();
        self.0.read_line(&mut text).expect("a line");
        text.trim_end().to_owned()
    }

    /// The data of the next event of a name.
    fn event(&mut self, name: &str) -> Value {
        loop {
            if self.next() == format!("event: {name}") {
                let data = self.next();
                return serde_json::from_str(data.strip_prefix("data: ").expect("data")).expect("JSON");
            }
        }
    }
}

#[test]
fn the_news_are_bounded_and_end_with_the_simulator() {
    let sim = simulator();
    let (status, mut line) = Line::open(&sim);
    assert_eq!(status, 200);
    assert_eq!(line.event("openings")["count"], 0);
    assert_eq!(line.event("requests")["fresh"], true);
    control(&sim, "POST", "/_sim/doors", json!({"cabinet": CABINET, "door": 1, "action": "open"}));
    assert_eq!(line.event("openings")["list"][0]["cabinet"], CABINET);
    door_with_wrong_signature(&sim);
    assert_eq!(line.event("requests")["list"][0]["method"], "cabinet.open.door");
    control(&sim, "POST", "/_sim/reset", Value::Null);
    assert_eq!(line.event("requests"), json!({"fresh": true, "list": []}));

    // A million cabinets are not told one by one.
    control(&sim, "PATCH", "/_sim/world", json!({"generated": {"cabinets": 1_000_000, "stock_lines": 5}}));
    let world = line.event("world");
    assert_eq!(
        (&world["cabinet_count"], world["cabinets"].as_array().map(Vec::len)),
        (&json!(1_000_005), Some(60))
    );

    // So many may watch, and no more; one that goes makes room.
    let mut lines: Vec<_> = (1..32).map(|_| Line::open(&sim)).collect();
    assert!(lines.iter().all(|(status, _)| *status == 200));
    assert_eq!(Line::open(&sim).0, 503);
    lines.clear();
    control(&sim, "POST", "/_sim/wait", json!({"for": "connections", "count": 1, "timeout_ms": 60_000}));
    assert_eq!(Line::open(&sim).0, 200);

    // The last word is an end, not a silence.
    drop(sim);
    let mut rest = String::new();
    let _ = line.0.read_to_string(&mut rest);
}

#[test]
fn a_door_opened_without_the_console_is_in_the_news_of_others() {
    let sim = simulator();
    let (_, mut first) = Line::open(&sim);
    let (_, mut second) = Line::open(&sim);
    first.event("requests");
    second.event("requests");
    control(&sim, "POST", "/_sim/yopoint/settings", json!({"door_open_ms": 50}));
    let example = Example::open_door(&sim, CABINET, "news");
    await_openings(&sim, 1);
    for line in [&mut first, &mut second] {
        let opening = &line.event("openings")["list"][0];
        assert_eq!((&opening["cause"]["by"], &opening["door"]), (&json!("yopoint"), &json!(1)));
    }
    let (code, text) = example.end();
    assert_eq!(code, Some(0), "{text}");
}

/// The table of texts, as the page has it.
fn texts() -> serde_json::Map<String, Value> {
    let file = std::fs::read_to_string(root().join("simulator/assets/texts.js")).expect("the table");
    let json = file.split_once("const TEXTS = ").expect("a table").1.trim_end().trim_end_matches(';');
    serde_json::from_str(json).expect("JSON")
}

/// What stands in single quotes behind each `before` of a script.
fn quoted<'a>(script: &'a str, before: &str, end: &str) -> Vec<&'a str> {
    script.split(before).skip(1).filter_map(|rest| rest.split_once(end)).map(|(text, _)| text).collect()
}

#[test]
fn every_text_is_there_in_chinese_and_none_is_idle() {
    let table = texts();
    let script = std::fs::read_to_string(root().join("simulator/assets/console.js")).expect("the script");
    let page = std::fs::read_to_string(root().join("simulator/assets/console.html")).expect("the page");
    let mut said: Vec<String> = Vec::new();
    for (at, _) in script.match_indices("t('") {
        // The end of a longer name is not it.
        if !script[..at].ends_with(|c: char| c.is_alphanumeric() || c == '.' || c == '_') {
            said.extend(quoted(&script[at..], "t('", "'").first().map(|t| (*t).to_owned()));
        }
    }
    said.extend(quoted(&page, "data-t=\"", "\"").iter().map(|t| (*t).to_owned()));
    said.extend(quoted(&page, "data-t-label=\"", "\"").iter().map(|t| (*t).to_owned()));
    let sim = simulator();
    let faults = control(&sim, "GET", "/_sim/faults/known", Value::Null);
    said.extend(
        faults.as_array().expect("faults").iter().map(|f| f["about"].as_str().expect("text").to_owned()),
    );
    said.sort();
    said.dedup();
    assert!(said.len() > 300, "{}", said.len());
    let missing: Vec<&String> = said.iter().filter(|text| !table.contains_key(*text)).collect();
    assert!(missing.is_empty(), "texts.js has no row for {missing:#?}");
    let idle: Vec<&String> = table.keys().filter(|text| !said.contains(text)).collect();
    assert!(idle.is_empty(), "nothing says {idle:#?}");
    for (english, chinese) in &table {
        let chinese = chinese.as_str().expect("text");
        for n in 0..9 {
            let part = format!("{{{n}}}");
            assert_eq!(english.contains(&part), chinese.contains(&part), "{english}: {chinese}");
        }
    }
}

#[test]
fn the_console_speaks_chinese_by_a_switch_and_by_the_browsers_wish() {
    let browser = browser();
    let sim = simulator();
    open_console(&browser, &sim);
    assert_eq!(browser.js("return document.documentElement.lang", &[]), "en");
    let choose = |language: &str| {
        browser.js(
            "const s = document.querySelector('#language'); s.value = arguments[0]; s.dispatchEvent(new Event('change'))",
            &[json!(language)],
        );
    };
    choose("zh");
    browser.until("document.querySelector('#tab-faults').textContent.startsWith('故障')");
    browser.until("document.documentElement.lang === 'zh-CN' && document.querySelector('#link').textContent === '已连接'");
    browser.until("document.querySelector('.skip').textContent === '跳到机器'");
    browser.until(&format!(
        "document.querySelector({}).textContent === '关闭'",
        json!(door(CABINET, 1) + " .state")
    ));
    // It is kept, and nothing on the page is still English that is in the table.
    open_console_in(&browser, &sim, "已连接");
    let table = texts();
    let english: Vec<&String> =
        table.iter().filter(|(e, z)| e.as_str() != z.as_str().unwrap_or("")).map(|(e, _)| e).collect();
    for view in ["requests", "faults", "callbacks", "openings", "story"] {
        browser.click(&format!("#tab-{view}"));
        browser.until(&format!("document.querySelector('#tab-{view}').ariaSelected === 'true'"));
        let left = browser.js(
            "const all = new Set(arguments[0]); return [...document.querySelectorAll('body *')].filter((e) => e.checkVisibility() && !e.children.length && all.has(e.textContent.trim())).map((e) => e.textContent)",
            &[json!(english)],
        );
        assert_eq!(left, json!([]), "{view}");
    }
    browser.click("#tab-requests");
    picture(&browser, "chinese", None);
    choose("en");
    browser.until("document.querySelector('#tab-faults').textContent.startsWith('Faults')");
    // What was never chosen is as the browser wishes.
    browser.js("localStorage.clear()", &[]);
    browser.cdp("Emulation.setUserAgentOverride", json!({"userAgent": "x", "acceptLanguage": "zh-CN,zh"}));
    open_console_in(&browser, &sim, "已连接");
    browser.cdp("Emulation.setUserAgentOverride", json!({"userAgent": "x", "acceptLanguage": "en-GB,en"}));
    open_console(&browser, &sim);
    nothing_odd(&browser, &sim);
}

fn open_console_in(browser: &Browser, sim: &Simulator, live: &str) {
    browser.go(&format!("{}/", sim.http_origin()));
    browser.until(&format!(
        "document.querySelector('#link').textContent === '{live}' && document.querySelector('.leaf')"
    ));
}

/// A cell of a wall.
fn cell(number: u32) -> String {
    format!("[data-cabinet=\"{LOCKER}\"] [data-box=\"{number}\"]")
}

#[test]
fn a_locker_is_a_wall_of_cells_on_a_desk_and_on_a_telephone() {
    let browser = browser();
    let sim = simulator();
    open_console(&browser, &sim);
    let count = format!("document.querySelectorAll('[data-cabinet=\"{LOCKER}\"] .box').length");
    browser.until(&format!("{count} === 24"));
    // A click chooses, and moves nothing.
    browser.click(&cell(5));
    browser.until(&format!("document.querySelector({}).ariaPressed === 'true'", json!(cell(5))));
    assert_eq!(openings(&sim).len(), 0);
    let details = format!("[data-cabinet=\"{LOCKER}\"] .boxed");
    browser.click(&format!("{details} .doordo .main"));
    browser.until(&format!("document.querySelector({}).dataset.state === 'open'", json!(cell(5))));
    assert_eq!((&openings(&sim)[0]["cabinet"], &openings(&sim)[0]["door"]), (&json!(LOCKER), &json!(5)));
    let (role, name) = browser.spoken(&cell(5));
    assert!(
        role == "button" && name.starts_with("Door 5, Open since ") && name.ends_with("stocked"),
        "{role} {name}"
    );
    // By keyboard: one stop, then the arrows, down by a row.
    browser.js("document.querySelector(arguments[0]).focus()", &[json!(cell(5))]);
    browser.press(key::RIGHT);
    browser.press(key::ENTER);
    browser.until(&format!("document.querySelector({}).ariaPressed === 'true'", json!(cell(6))));
    assert_eq!(
        browser.js(
            "return document.querySelectorAll(arguments[0]).length",
            &[json!(format!("[data-cabinet=\"{LOCKER}\"] .box[tabindex=\"0\"]"))]
        ),
        1
    );
    control(&sim, "POST", "/_sim/doors", json!({"cabinet": LOCKER, "door": 9, "action": "jam"}));
    browser.until(&format!("document.querySelector({}).dataset.state === 'jammed'", json!(cell(9))));

    // Sixty cells: state by a sign of its own beside the colour.
    let sixty: Vec<Value> = (1..=60).map(|n| json!({"jammed": n == 33})).collect();
    control(&sim, "PATCH", &format!("/_sim/cabinets/{LOCKER}"), json!({"doors": sixty}));
    control(&sim, "POST", "/_sim/doors", json!({"cabinet": LOCKER, "door": 58, "action": "open"}));
    browser.until(&format!("{count} === 60"));
    browser.until(&format!("document.querySelector({}).dataset.state === 'open'", json!(cell(58))));
    let signs = browser.js(
        "return ['1', '33', '58'].map((n) => document.querySelector(`[data-box=\"${n}\"] path`).getAttribute('d'))",
        &[],
    );
    assert!(signs[0] != signs[1] && signs[1] != signs[2] && signs[0] != signs[2], "{signs}");
    browser.click(&cell(33));
    browser.until(&format!("document.querySelector({}).textContent.includes('Jammed')", json!(details)));
    let place = format!("[data-cabinet=\"{LOCKER}\"]");
    for scheme in ["light", "dark"] {
        browser.media(&[("prefers-color-scheme", scheme), ("prefers-reduced-motion", "reduce")]);
        assert_eq!(browser.js(CONTRAST, &[]), json!([]), "{scheme}");
    }
    browser.media(&[("prefers-color-scheme", "light"), ("prefers-reduced-motion", "reduce")]);
    browser.desk(1280, 1500);
    picture(&browser, "wall", Some(&place));
    for width in [390, 320] {
        browser.phone(width, 844);
        open_console(&browser, &sim);
        browser.until(&format!("{count} === 60"));
        fits(&browser, &format!("the wall at {width}"));
    }
    browser.phone(390, 844);
    browser.js("document.querySelector(arguments[0]).scrollIntoView()", &[json!(place)]);
    browser.click(&cell(58));
    browser.until(&format!("document.querySelector({}).textContent.includes('Open since')", json!(details)));
    picture(&browser, "wall-phone", None);
    nothing_odd(&browser, &sim);
}

#[test]
fn the_log_says_what_the_platform_said_and_leads_to_the_story() {
    let browser = browser();
    let sim = simulator();
    control(&sim, "POST", "/_sim/yopoint/settings", json!({"door_open_ms": 50}));
    control(&sim, "POST", "/_sim/callbacks", json!({"platform": "yopoint", "url": "http://127.0.0.1:9/"}));
    control(&sim, "POST", "/_sim/faults", json!({"method": "cabinet.open.door", "fault": "act_then_drop"}));
    open_console(&browser, &sim);
    let (code, text) = Example::open_door(&sim, CABINET, "story").end();
    assert_eq!(code, Some(2), "{text}");
    control(&sim, "POST", "/_sim/wait", json!({"for": "door_shut", "cabinet": CABINET}));
    browser.until(
        "[...document.querySelectorAll('.outcome')].some((o) => /^Door 1 of 一号柜.*opened · VI[0-9]+ · answer lost$/.test(o.textContent))",
    );
    let opening =
        "[...document.querySelectorAll('.request')].find((r) => r.textContent.includes('cabinet.open.door'))";
    let number = browser.js(&format!("return {opening}.dataset.number"), &[]);
    let number = number.as_str().expect("a number").to_owned();
    browser.click(&format!("[data-number=\"{number}\"] .summary"));
    browser.until("document.querySelector('.details')");
    browser.click(&format!("[aria-label=\"Story of request {number}\"]"));
    browser.until("document.querySelector('#tab-story').ariaSelected === 'true' && document.querySelector('.story [data-kind=shut]')");
    let kinds =
        browser.js("return [...document.querySelectorAll('.story li')].map((li) => li.dataset.kind)", &[]);
    let kinds: Vec<&str> = kinds.as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    let place =
        |kind: &str| kinds.iter().position(|k| *k == kind).unwrap_or_else(|| panic!("no {kind}: {kinds:?}"));
    assert!(place("received") < place("opened") && place("opened") < place("shut"), "{kinds:?}");
    assert!(place("answer_lost") < place("shut"), "{kinds:?}");
    browser.until("document.querySelector('.story [data-kind=callback]')");
    browser.js("scrollTo(0, 0)", &[]);
    picture(&browser, "story", Some(".side"));
    // An opening leads there, too.
    browser.js("scrollTo(0, 0)", &[]);
    browser.click("#tab-openings");
    browser.click(&format!("[data-opening] [aria-label=\"Story of request {number}\"]"));
    browser.until("document.querySelector('.story [data-kind=opened]')");
    // What was yesterday has its date.
    control(&sim, "POST", "/_sim/clock/advance", json!({"ms": 86_400_000}));
    browser.js("scrollTo(0, 0)", &[]);
    browser.click("#tab-requests");
    browser.until(&format!(
        "/^[0-9]+ [A-Z][a-z]+ [0-9:]{{8}}$/.test(document.querySelector('[data-number=\"{number}\"] .when').textContent)"
    ));
    nothing_odd(&browser, &sim);
}

#[test]
fn cabinets_doors_prices_addresses_and_dialects_are_changed_on_the_page() {
    let browser = browser();
    let sim = simulator();
    open_console(&browser, &sim);
    let set = |selector: &str, text: &str| {
        browser.js(
            "const i = document.querySelector(arguments[0]); i.value = ''; i.focus()",
            &[json!(selector)],
        );
        browser.type_into(selector, text);
    };
    let shown = |id: &str| control(&sim, "GET", &format!("/_sim/cabinets/{id}"), Value::Null);
    browser.click(&format!("[data-cabinet=\"{CABINET}\"] footer button:last-child"));
    browser.until("document.querySelector('.editor')");
    set("[data-edit=name]", "大厅");
    set("[data-edit=doors]", "5");
    set("[data-edit=p0]", "2.50");
    browser.click(".editor .main");
    browser.until(&format!("document.querySelectorAll('[data-cabinet=\"{CABINET}\"] .box').length === 5 && !document.querySelector('.editor')"));
    let cabinet = shown(CABINET);
    assert_eq!((&cabinet["name"], &cabinet["stock"][0]["price"]), (&json!("大厅"), &json!(250)));
    assert_eq!(
        (&cabinet["stock"][0]["stock"], cabinet["doors"].as_array().map(Vec::len)),
        (&json!(10), Some(5))
    );
    // A price that is none changes nothing.
    browser.click(&format!("[data-cabinet=\"{CABINET}\"] footer button:last-child"));
    browser.until("document.querySelector('.editor')");
    set("[data-edit=p0]", "free");
    browser.click(".editor .main");
    browser.until("document.querySelector('#trouble.shown').textContent.includes('A price is a number')");
    assert_eq!(shown(CABINET)["stock"][0]["price"], 250);

    browser.js("[...document.querySelectorAll('.blockhead button')].find((b) => b.textContent === 'Add a cabinet').click()", &[]);
    let fresh = "5f6da2362201410011000006";
    browser.until(&format!("document.querySelector('[data-cabinet=\"{fresh}\"]')"));
    assert_eq!(shown(fresh)["doors"].as_array().map(Vec::len), Some(2));
    browser.click(&format!("[data-cabinet=\"{fresh}\"] footer button:last-child"));
    browser.until(&format!("document.querySelector('[data-cabinet=\"{fresh}\"] .editor')"));
    for _ in 0..2 {
        browser.click(&format!("[data-cabinet=\"{fresh}\"] .editor .doordo button:last-child"));
    }
    browser.until(&format!("!document.querySelector('[data-cabinet=\"{fresh}\"]')"));
    assert_eq!(sim.control("GET", &format!("/_sim/cabinets/{fresh}"), Value::Null).0, 404);

    browser.js("scrollTo(0, 0)", &[]);
    browser.click("#tab-callbacks");
    browser.type_into("#target-url", "http://127.0.0.1:9/there");
    browser.click("#target-set");
    browser.until(
        "document.querySelector('#view').textContent.includes('Yopoint business → http://127.0.0.1:9/there')",
    );
    browser.click("[aria-label=\"Remove the address of Yopoint\"]");
    browser.until("document.querySelector('#view').textContent.includes('No address is set.')");
    assert_eq!(control(&sim, "GET", "/_sim/callbacks", Value::Null)["targets"], json!([]));

    browser.click("#tab-faults");
    set("#dialect-share", "1");
    browser.click("[data-dialect=yopoint] [role=switch]");
    browser.until("document.querySelector('[data-dialect=yopoint] [role=switch]').ariaChecked === 'true'");
    let on = control(&sim, "GET", "/_sim/dialect", Value::Null);
    assert_eq!((&on["on"]["yopoint"]["share"], &on["on"]["zhiyun"]), (&json!(1.0), &Value::Null), "{on}");
    browser.click("[data-dialect=yopoint] [role=switch]");
    browser.until("document.querySelector('[data-dialect=yopoint] [role=switch]').ariaChecked === 'false'");
    assert_eq!(control(&sim, "GET", "/_sim/dialect", Value::Null)["on"], json!({}));

    browser.js("scrollTo(0, 0)", &[]);
    browser.click("#tab-dingshang");
    browser.js("document.querySelector('[data-machine=\"16327129\"] footer button').click()", &[]);
    browser.until("document.querySelector('[data-lane=A20] label.price input')");
    set("[data-lane=A20] label.price input", "9.90");
    browser.press(key::TAB);
    browser
        .until("document.querySelector('[data-machine=\"16327129\"] footer button').ariaPressed === 'true'");
    browser.js("document.querySelector('[data-machine=\"16327129\"] footer button').click()", &[]);
    browser.until("document.querySelector('[data-lane=A20] p.price')?.textContent === '9.90'");
    let machine = control(&sim, "GET", "/_sim/dingshang/machines/16327129", Value::Null);
    assert_eq!(machine["lanes"][0]["price"], 990);
    browser.log("browser");
    nothing_odd(&browser, &sim);
}

/// axe-core is not ours to ship: `npm pack axe-core`, and `AXE=axe.min.js cargo test -p kiosklink-sim --test console -- --ignored`.
#[test]
#[ignore = "needs axe-core, AXE names its file"]
fn axe_finds_no_violation() {
    let axe = std::fs::read_to_string(std::env::var_os("AXE").expect("AXE names axe.min.js")).expect("axe");
    let browser = browser();
    let sim = simulator();
    door_with_wrong_signature(&sim);
    control(&sim, "POST", "/_sim/faults", json!({"method": "cabinet.open.door", "fault": "late"}));
    control(&sim, "POST", "/_sim/doors", json!({"cabinet": LOCKER, "door": 9, "action": "jam"}));
    control(&sim, "POST", "/_sim/trigger", json!({"name": "door_closed"}));
    let mut looked = 0;
    for (width, scheme, language) in [(1280, "light", "en"), (1280, "dark", "zh"), (390, "light", "zh")] {
        if width < 600 {
            browser.phone(width, 844);
        } else {
            browser.desk(width, 900);
        }
        browser.media(&[("prefers-color-scheme", scheme), ("prefers-reduced-motion", "reduce")]);
        browser.go(&format!("{}/", sim.http_origin()));
        browser.js("localStorage.setItem('language', arguments[0])", &[json!(language)]);
        browser.go(&format!("{}/", sim.http_origin()));
        browser.until(
            "document.querySelector('#link').dataset.link === 'live' && document.querySelector('.leaf')",
        );
        browser.js(&axe, &[]);
        browser.click(&cell(9));
        browser.js(
            "document.querySelector(arguments[0]).click()",
            &[json!(format!("[data-cabinet=\"{CABINET}\"] footer button:last-child"))],
        );
        browser.until("document.querySelector('.editor') && document.querySelector('.boxed')");
        for view in ["requests", "faults", "callbacks", "openings", "story"] {
            browser.js(
                "scrollTo(0, 0); document.querySelector(arguments[0]).click()",
                &[json!(format!("#tab-{view}"))],
            );
            browser.until(&format!("document.querySelector('#tab-{view}').ariaSelected === 'true'"));
            browser.js("document.querySelector('.request .summary[aria-expanded=false]')?.click()", &[]);
            axed(&browser, &format!("{view} {width} {scheme} {language}"));
            looked += 1;
        }
        for platform in ["dingshang", "youzan", "zhiyun", "yopoint"] {
            browser.js("document.querySelector(arguments[0]).click()", &[json!(format!("#tab-{platform}"))]);
            browser.until(&format!("document.querySelector('#tab-{platform}').ariaSelected === 'true'"));
            axed(&browser, &format!("{platform} {width} {scheme} {language}"));
            looked += 1;
        }
    }
    assert_eq!(looked, 27);
    browser.js("localStorage.clear()", &[]);
}

fn axed(browser: &Browser, what: &str) {
    browser.js(
        "window.axed = null; axe.run().then((r) => { window.axed = r.violations.map((v) => `${v.id}: ${v.nodes.slice(0, 4).map((n) => n.html.slice(0, 160)).join(' | ')}`); })",
        &[],
    );
    browser.until("window.axed !== null");
    assert_eq!(browser.js("return window.axed", &[]), json!([]), "{what}");
}
