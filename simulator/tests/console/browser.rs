//! A real Chromium, driven over the WebDriver protocol, which is HTTP and JSON.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

/// How long anything on the page may take before a test gives up on it.
const PATIENCE_MS: u64 = 20_000;

/// Holds chromedriver. When its standard input ends, because the browser is dropped or because the test process is gone
/// in whatever way, it kills chromedriver and every process that works in the browser's own folder, and removes that.
const GUARD: &str = r#"
"$DRIVER" --port=0 --log-path="$LOG" &
driver=$!
cat >/dev/null
kill "$driver" 2>/dev/null
for tries in 1 2 3 4 5 6 7 8 9 10; do
  left=
  for one in $(grep -lsF -- "$PROFILE" /proc/[0-9]*/cmdline); do
    one=${one#/proc/}; one=${one%/cmdline}
    [ "$one" = "$$" ] || { kill -9 "$one" 2>/dev/null && left=1; }
  done
  [ -n "$left" ] || break
done
wait
rm -rf "$PROFILE"
"#;

/// The keys that tests press, as WebDriver names them.
pub mod key {
    pub const TAB: &str = "\u{E004}";
    pub const ENTER: &str = "\u{E007}";
    pub const SPACE: &str = " ";
    pub const LEFT: &str = "\u{E012}";
    pub const RIGHT: &str = "\u{E014}";
}

/// The browser that all tests of this file share, one after the other.
pub struct Browser {
    guard: Child,
    stdin: Option<ChildStdin>,
    port: u16,
    session: String,
}

/// The browser, with an empty page and no log.
pub fn browser() -> MutexGuard<'static, Browser> {
    static SHARED: OnceLock<Mutex<Browser>> = OnceLock::new();
    let shared = SHARED.get_or_init(|| Mutex::new(Browser::start()));
    // A test that failed leaves a browser that is as good as before.
    let browser = shared.lock().unwrap_or_else(PoisonError::into_inner);
    browser.go("about:blank");
    browser.desk(1280, 800);
    browser.media(&[("prefers-color-scheme", "light"), ("prefers-reduced-motion", "no-preference")]);
    let _ = (browser.log("browser"), browser.log("performance"));
    browser
}

fn program(names: &[&str], variable: &str) -> PathBuf {
    if let Some(given) = std::env::var_os(variable) {
        return given.into();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = names.iter().find_map(|name| {
        std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
    });
    found.unwrap_or_else(|| {
        panic!(
            "{} is not there: the console is tested in a real Chromium; `scripts/need console` gets it",
            names[0]
        )
    })
}

impl Browser {
    fn start() -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("browser-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder for the browser");
        let mut guard = Command::new("sh")
            .args(["-c", GUARD])
            .env("DRIVER", program(&["chromedriver"], "CHROMEDRIVER"))
            .env("PROFILE", &folder)
            // What a browser leaves in its user's home it leaves here.
            .env("HOME", &folder)
            .env("XDG_CONFIG_HOME", folder.join("config"))
            .env("XDG_CACHE_HOME", folder.join("cache"))
            .env("LOG", folder.with_file_name("chromedriver.log"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("sh runs");
        let stdin = guard.stdin.take();
        let mut said = BufReader::new(guard.stdout.take().expect("a pipe")).lines();
        let port = loop {
            let line = said.next().expect("chromedriver says its port").expect("a line");
            if let Some((_, rest)) = line.split_once("successfully on port ") {
                break rest.trim_end_matches('.').parse().expect("a port");
            }
        };
        let mut browser = Self { guard, stdin, port, session: String::new() };
        let profile = format!("--user-data-dir={}", folder.display());
        let answer = browser.ask(
            "POST",
            "/session",
            json!({"capabilities": {"alwaysMatch": {
                "acceptInsecureCerts": true,
                "timeouts": {"script": PATIENCE_MS + 10_000},
                "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
                "goog:chromeOptions": {
                    "binary": program(&["chromium", "chromium-browser", "google-chrome"], "CHROMIUM"),
                    "args": [
                        "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                        "--disable-background-networking", "--disable-component-update", "--disable-sync",
                        "--disable-dev-shm-usage", "--force-device-scale-factor=1", "--lang=en-GB",
                        "--no-proxy-server",
                        // Nothing but the loopback has a name here; one that an attacker made point to it has.
                        "--host-resolver-rules=MAP rebound.test 127.0.0.1, MAP elsewhere.test 127.0.0.1, \
                         MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
                        profile,
                    ],
                },
            }}}),
        );
        browser.session = answer["sessionId"].as_str().expect("a session").to_owned();
        browser
    }

    /// One WebDriver command; its value, or what went wrong.
    fn try_ask(&self, method: &str, path: &str, body: Value) -> Result<Value, String> {
        let body = if method == "GET" || method == "DELETE" { String::new() } else { body.to_string() };
        let length = body.len();
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).map_err(|e| e.to_string())?;
        stream.set_read_timeout(Some(Duration::from_millis(4 * PATIENCE_MS))).map_err(|e| e.to_string())?;
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\nConnection: close\r\n\r\n",
            self.port
        );
        stream
            .write_all(head.as_bytes())
            .and_then(|()| stream.write_all(body.as_bytes()))
            .map_err(|e| e.to_string())?;
        let mut got = BufReader::new(stream);
        let mut length = 0;
        loop {
            let mut line = String::new();
            if got.read_line(&mut line).map_err(|e| e.to_string())? == 0 {
                return Err("chromedriver hung up".into());
            }
            if let Some((name, value)) = line.split_once(':') {
                if name.eq_ignore_ascii_case("content-length") {
                    length = value.trim().parse().map_err(|_| "an odd length")?;
                }
            } else if line.trim().is_empty() {
                break;
            }
        }
        let mut text = vec![0; length];
        got.read_exact(&mut text).map_err(|e| e.to_string())?;
        let mut answer: Value = serde_json::from_slice(&text).map_err(|e| e.to_string())?;
        let value = answer["value"].take();
        match value["error"].as_str() {
            Some(error) => Err(format!("{error}: {}", value["message"].as_str().unwrap_or_default())),
            None => Ok(value),
        }
    }

    fn ask(&self, method: &str, path: &str, body: Value) -> Value {
        self.try_ask(method, path, body).unwrap_or_else(|why| panic!("{method} {path}: {why}"))
    }

    fn command(&self, method: &str, path: &str, body: Value) -> Value {
        self.ask(method, &format!("/session/{}/{path}", self.session), body)
    }

    /// A command of Chromium's own protocol.
    pub fn cdp(&self, command: &str, params: Value) -> Value {
        self.command("POST", "goog/cdp/execute", json!({"cmd": command, "params": params}))
    }

    /// Opens an address; the page has loaded when this returns.
    pub fn go(&self, url: &str) {
        self.command("POST", "url", json!({"url": url}));
    }

    /// What a function body answers on the page.
    pub fn js(&self, body: &str, args: &[Value]) -> Value {
        self.command("POST", "execute/sync", json!({"script": body, "args": args}))
    }

    /// Waits until an expression on the page is true, and answers its value.
    pub fn until(&self, expression: &str) -> Value {
        let body = "
            const [expression, patience, done] = arguments;
            const end = performance.now() + patience;
            let over = false;
            const look = () => {
                if (over) return;
                let value = null;
                try { value = eval(expression); } catch (error) { value = null; }
                if (value || performance.now() > end) {
                    over = true;
                    watch.disconnect();
                    clearInterval(timer);
                    done(value ? [value === true ? true : String(value)] : null);
                }
            };
            const watch = new MutationObserver(look);
            watch.observe(document, {subtree: true, childList: true, attributes: true, characterData: true});
            const timer = setInterval(look, 100);
            look();";
        // `eval` is for the page's policy to forbid; a function of our own is made by the driver.
        let body = body.replace("eval(expression)", &format!("({expression})"));
        let answer =
            self.command("POST", "execute/async", json!({"script": body, "args": [expression, PATIENCE_MS]}));
        if answer.is_null() {
            let page = self.js("return document.body.innerText.slice(0, 3000)", &[]);
            panic!("{expression} did not come about; the page says:\n{}", page.as_str().unwrap_or_default());
        }
        answer[0].clone()
    }

    fn element(&self, selector: &str) -> String {
        self.until(&format!("document.querySelector({})", json!(selector)));
        let found = self.command("POST", "element", json!({"using": "css selector", "value": selector}));
        let id = found.as_object().and_then(|o| o.values().next()).and_then(Value::as_str);
        id.expect("an element").to_owned()
    }

    /// Clicks on the first element that fits, with the mouse, as soon as it is there.
    pub fn click(&self, selector: &str) {
        // Between finding and clicking the page may have drawn it anew.
        let mut why = String::new();
        for _ in 0..5 {
            let path = format!("/session/{}/element/{}/click", self.session, self.element(selector));
            match self.try_ask("POST", &path, json!({})) {
                Ok(_) => return,
                Err(error) if error.contains("stale") || error.contains("intercepted") => why = error,
                Err(error) => panic!("click {selector}: {error}"),
            }
        }
        panic!("click {selector}: {why}");
    }

    /// Types into the first element that fits.
    pub fn type_into(&self, selector: &str, text: &str) {
        let element = self.element(selector);
        self.command("POST", &format!("element/{element}/value"), json!({"text": text}));
    }

    /// Presses and lets go a key.
    pub fn press(&self, key: &str) {
        let actions = json!([{"type": "keyDown", "value": key}, {"type": "keyUp", "value": key}]);
        self.command(
            "POST",
            "actions",
            json!({"actions": [{"type": "key", "id": "keys", "actions": actions}]}),
        );
    }

    /// What assistive technology calls the first element that fits: its role and its name.
    pub fn spoken(&self, selector: &str) -> (String, String) {
        let element = self.element(selector);
        let get = |what: &str| {
            self.command("GET", &format!("element/{element}/{what}"), Value::Null)
                .as_str()
                .unwrap_or_default()
                .to_owned()
        };
        (get("computedrole"), get("computedlabel"))
    }

    /// A window of a desk.
    pub fn desk(&self, width: u64, height: u64) {
        self.view(width, height, false);
    }

    /// A telephone, with fingers.
    pub fn phone(&self, width: u64, height: u64) {
        self.view(width, height, true);
    }

    fn view(&self, width: u64, height: u64, mobile: bool) {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile});
        self.cdp("Emulation.setDeviceMetricsOverride", size);
        self.cdp("Emulation.setTouchEmulationEnabled", json!({"enabled": mobile}));
    }

    /// What the user has asked the browser for.
    pub fn media(&self, features: &[(&str, &str)]) {
        let features: Vec<_> =
            features.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
        self.cdp("Emulation.setEmulatedMedia", json!({"features": features}));
    }

    /// What has been logged since the last call.
    pub fn log(&self, kind: &str) -> Vec<Value> {
        let entries = self.command("POST", "se/log", json!({"type": kind}));
        entries.as_array().cloned().unwrap_or_default()
    }

    /// Every address that pages have asked for since the last call.
    pub fn requested(&self) -> Vec<String> {
        let entries = self.log("performance");
        let messages =
            entries.iter().filter_map(|e| serde_json::from_str::<Value>(e["message"].as_str()?).ok());
        messages
            .filter(|m| m["message"]["method"] == "Network.requestWillBeSent")
            .filter_map(|m| m["message"]["params"]["request"]["url"].as_str().map(str::to_owned))
            .collect()
    }

    /// A picture of what is to be seen, or of one part of it as far as it is to be seen, as PNG.
    pub fn picture(&self, part: Option<&str>) -> Vec<u8> {
        use base64::Engine;
        // What moves comes to rest first.
        self.until("document.getAnimations().every((a) => a.playState !== 'running')");
        let clip = self.js(
            "const r = arguments[0] ? document.querySelector(arguments[0]).getBoundingClientRect() : document.documentElement.getBoundingClientRect();
             const edge = arguments[0] ? 10 : 0;
             const [x, y] = [Math.max(0, r.x - edge), arguments[0] ? Math.max(0, r.y - edge) : 0];
             return {x, y: y + scrollY, width: Math.min(r.right + edge, innerWidth) - x, height: Math.min(r.bottom, innerHeight) - y, scale: 1}",
            &[json!(part)],
        );
        let taken = self.cdp("Page.captureScreenshot", json!({"format": "png", "clip": clip}));
        base64::engine::general_purpose::STANDARD
            .decode(taken["data"].as_str().expect("a picture"))
            .expect("Base64")
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _ = self.guard.wait();
    }
}
