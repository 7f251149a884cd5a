//! `listen`: verified, answered, handed on; bounded against whoever is slow, large or many.

mod common;

use common::*;
use kiosklink::cancel::CancelToken;
use kiosklink::time::clock::Clock;
use kiosklink::transport::{Deadline, Options, Purpose, Request, Roots, Transport, Url};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

struct Listener {
    child: Child,
    errors: BufReader<std::process::ChildStderr>,
    address: String,
}

impl Listener {
    fn start(file: &Path, account: &str, args: &[&str]) -> Listener {
        let mut child =
            command(file, account, &[&["listen", "--bind", "127.0.0.1:0", "--json"], args].concat())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .process_group(0)
                .spawn()
                .unwrap();
        let mut errors = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        errors.read_line(&mut line).unwrap();
        let address = line.trim().rsplit_once("://").unwrap_or_else(|| panic!("{line}")).1;
        let address = address.split('/').next().unwrap().to_owned();
        Listener { child, errors, address }
    }

    fn connect(&self) -> TcpStream {
        let socket = TcpStream::connect(&self.address).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        socket
    }

    /// A signal to it and to what it started in its group, as a terminal sends one.
    fn signal(&self, name: &str) {
        let group = format!("-{}", self.child.id());
        assert!(Command::new("kill").args([&format!("-{name}"), "--", &group]).status().unwrap().success());
    }

    fn post(&self, body: &str) -> String {
        let mut socket = self.connect();
        write!(socket, "POST /cb HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n{body}", body.len())
            .unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        answer
    }

    /// Exit code, output and errors, when it ends by itself.
    fn end(mut self) -> (i32, String, String) {
        let (mut out, mut err) = (String::new(), String::new());
        self.child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
        self.errors.read_to_string(&mut err).unwrap();
        (self.child.wait().unwrap().code().unwrap_or(-1), out, err)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_callback_is_verified_answered_and_handed_on_once() {
    let file = account("listen-exec");
    let got = file.parent().unwrap().join("got");
    let exec = format!("cat >> '{}'", got.display());
    let listener = Listener::start(&file, "yopoint", &["--exec", &exec, "--count", "3"]);
    let answer = listener.post(&callback("VI1"));
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"error_code\":0"), "{answer}");
    assert!(listener.post(&callback("VI1").replace("VI1", "VI9")).starts_with("HTTP/1.1 403"), "forged");
    assert!(listener.post("what is this").starts_with("HTTP/1.1 403"));
    assert!(listener.post("{").starts_with("HTTP/1.1 400"));
    // A repetition is answered again, and not handed on again.
    assert!(listener.post(&callback("VI1")).contains("\"error_code\":0"));
    assert!(listener.post(&callback("VI2")).contains("\"error_code\":0"));
    let (code, out, err) = listener.end();
    assert_eq!((code, out.lines().count()), (0, 3), "{out}{err}");
    let first: Value = serde_json::from_str(out.lines().next().unwrap()).unwrap();
    assert_eq!((&first["kind"], &first["order_no"]), (&json!("door_closed"), &json!("VI1")));
    let handed: Vec<Value> =
        std::fs::read_to_string(&got).unwrap().lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(handed.iter().map(|e| e["order_no"].as_str().unwrap()).collect::<Vec<_>>(), ["VI1", "VI2"]);
    assert!(err.contains("sign diagnose") && !err.contains("test-secret"), "{err}");
}

#[test]
fn what_is_not_taken_is_asked_for_again() {
    let file = account("listen-fails");
    let flag = file.parent().unwrap().join("ready");
    let exec = format!("cat > /dev/null; test -e '{}'", flag.display());
    let listener = Listener::start(&file, "yopoint", &["--exec", &exec, "--count", "1"]);
    assert!(listener.post(&callback("VI1")).contains("\"error_code\":1"));
    std::fs::write(&flag, "").unwrap();
    // The repetition is no duplicate then.
    assert!(listener.post(&callback("VI1")).contains("\"error_code\":0"));
    let (code, _, err) = listener.end();
    assert!(code == 0 && err.contains("come again"), "{err}");
}

#[test]
fn forwarded_over_http() {
    let file = account("listen-forward");
    let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/events", server.local_addr().unwrap());
    let listener = Listener::start(&file, "yopoint", &["--forward", &url, "--count", "1"]);
    let receiver = std::thread::spawn(move || {
        let (mut socket, _) = server.accept().unwrap();
        let mut bytes = [0; 8192];
        let mut all = String::new();
        while !all.contains("VI7") {
            let n = socket.read(&mut bytes).unwrap();
            assert!(n > 0, "{all}");
            all.push_str(&String::from_utf8_lossy(&bytes[..n]));
        }
        socket.write_all(b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n").unwrap();
        all
    });
    assert!(listener.post(&callback("VI7")).contains("\"error_code\":0"));
    let sent = receiver.join().unwrap();
    assert!(sent.starts_with("POST /events HTTP/1.1") && sent.contains("\"kind\":\"door_closed\""), "{sent}");
    assert_eq!(listener.end().0, 0);
}

#[test]
fn bounded_in_every_direction() {
    let file = account("listen-bounds");
    let listener = Listener::start(
        &file,
        "yopoint",
        &["--max-body", "1000", "--max-connections", "2", "--client-timeout-ms", "1500", "--path", "/cb"],
    );
    let answer = |request: &str| {
        let mut socket = listener.connect();
        socket.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        // It may be reset when the server does not read all of it.
        let _ = socket.read_to_string(&mut answer);
        answer.split("\r\n").next().unwrap_or("").to_owned()
    };
    assert_eq!(answer("POST /cb HTTP/1.1\r\nContent-Length: 1001\r\n\r\n"), "HTTP/1.1 413 Content Too Large");
    assert_eq!(
        answer("POST /cb HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nfff\r\n"),
        "HTTP/1.1 413 Content Too Large"
    );
    assert_eq!(
        answer("POST /cb HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n"),
        "HTTP/1.1 400 Bad Request"
    );
    assert_eq!(answer("POST /cb HTTP/1.1\r\nContent-Length: -1\r\n\r\n"), "HTTP/1.1 400 Bad Request");
    assert_eq!(answer("GET /other HTTP/1.1\r\n\r\n"), "HTTP/1.1 404 Not Found");
    assert_eq!(answer("GET /cb HTTP/1.1\r\n\r\n"), "HTTP/1.1 405 Method Not Allowed");
    assert_eq!(answer("hello\r\n\r\n"), "HTTP/1.1 400 Bad Request");
    let long = format!("GET /cb HTTP/1.1\r\nX: {}", "x".repeat(17 << 10));
    assert_eq!(answer(&long), "HTTP/1.1 431 Request Header Fields Too Large");
    // In pieces, as a proxy sends it.
    let body = callback("VI1");
    let (a, b) = body.split_at(20);
    let chunked = format!(
        "POST /cb HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{a}\r\n{:x};x=y\r\n{b}\r\n0\r\n\r\n",
        a.len(),
        b.len()
    );
    assert_eq!(answer(&chunked), "HTTP/1.1 200 OK");
    // A pair of callers who say nothing have their time, no more.
    let mut slow: Vec<TcpStream> = (0..2).map(|_| listener.connect()).collect();
    slow.iter_mut().for_each(|s| s.write_all(b"POST /cb HTTP/1.1\r\n").unwrap());
    for socket in &mut slow {
        let mut said = String::new();
        socket.read_to_string(&mut said).unwrap();
        assert!(said.starts_with("HTTP/1.1 408"), "{said}");
    }
    assert_eq!(answer("GET /other HTTP/1.1\r\n\r\n"), "HTTP/1.1 404 Not Found");
}

// FAULTS F12: 16 idle connections silenced it.
#[test]
fn idle_connections_keep_no_callback_out() {
    let file = account("listen-idle");
    let listener = Listener::start(&file, "yopoint", &["--client-timeout-ms", "60000"]);
    // Some say nothing at all, some stop in the middle of a head, some in a body.
    let mut idle: Vec<TcpStream> = (0..40).map(|_| listener.connect()).collect();
    for (i, socket) in idle.iter_mut().enumerate() {
        let begun: &[&str] =
            &["", "POST /cb HTTP/1.1\r\nX: ", "POST /cb HTTP/1.1\r\nContent-Length: 9\r\n\r\na"];
        // Who came first may have lost their place already.
        let _ = socket.write_all(begun[i % 3].as_bytes());
    }
    let began = Instant::now();
    let answer = listener.post(&callback("VI1"));
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"error_code\":0"), "{answer}");
    assert!(began.elapsed() < Duration::from_secs(20), "not when the others' time is up");
    // The platform is told to come again when it was it that lost its place.
    let mut said = String::new();
    idle[0].read_to_string(&mut said).unwrap();
    assert!(said.starts_with("HTTP/1.1 503"), "{said}");
}

/// A thousand that say nothing, all held open: the thousand-and-first callback is answered, and the program is there for the next.
#[test]
fn a_thousand_idle_peers_keep_no_callback_out() {
    let (soft, hard) = {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        (limit.current.unwrap_or(u64::MAX), limit.maximum)
    };
    let wanted = soft.max(4096).min(hard.unwrap_or(u64::MAX));
    let raised = rustix::process::Rlimit { current: Some(wanted), maximum: hard };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, raised).unwrap();
    let file = account("listen-thousand");
    let mut listener = Listener::start(&file, "yopoint", &["--client-timeout-ms", "60000"]);
    // Each that loses its place is a line, which must be read or the pipe is full.
    std::thread::scope(|scope| {
        let address = listener.address.clone();
        let errors = &mut listener.errors;
        let reader = scope.spawn(move || std::io::copy(errors, &mut std::io::sink()).unwrap());
        let connect = || {
            let socket = TcpStream::connect(&address).unwrap();
            socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
            socket
        };
        let idle: Vec<TcpStream> = (0..1000).map(|_| connect()).collect();
        for receipt in ["VI1", "VI2"] {
            let body = callback(receipt);
            let mut socket = connect();
            write!(socket, "POST /cb HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n{body}", body.len())
                .unwrap();
            let mut answer = String::new();
            socket.read_to_string(&mut answer).unwrap();
            assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"error_code\":0"), "{answer}");
        }
        drop(idle);
        listener.child.kill().unwrap();
        assert!(reader.join().unwrap() > 0);
    });
}

#[test]
fn what_was_refused_is_kept_for_diagnosis() {
    let file = account("listen-save");
    let kept = file.parent().unwrap().join("kept");
    let wrong = command(&file, "yopoint", &["listen", "--save", kept.to_str().unwrap()]).output().unwrap();
    assert_eq!(wrong.status.code(), Some(64), "there is no such folder");
    std::fs::create_dir(&kept).unwrap();
    let listener = Listener::start(&file, "yopoint", &["--save", kept.to_str().unwrap()]);
    // Signed by a program that sorts nothing.
    let right = callback("VI1");
    let (rest, _) = right.rsplit_once("sign=").unwrap();
    let answer = listener.post(&format!("{rest}sign=0123456789abcdef0123456789abcdef"));
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    assert!(listener.post(&right).starts_with("HTTP/1.1 200"));
    let files: Vec<PathBuf> = std::fs::read_dir(&kept).unwrap().map(|e| e.unwrap().path()).collect();
    assert_eq!(files.len(), 1, "only what was refused: {files:?}");
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(files[0].metadata().unwrap().permissions().mode() & 0o777, 0o600);
    listener.signal("TERM");
    let (_, _, err) = listener.end();
    assert!(err.contains(&format!("kiosklink sign diagnose {}", files[0].display())), "{err}");
    // The file is what diagnose reads: it finds the very text that should have been signed.
    let (code, out, _) = run(&file, "yopoint", &["sign", "diagnose", files[0].to_str().unwrap(), "--json"]);
    let said: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, said["explained"].as_bool()), (5, Some(false)), "{out}");
    assert!(right.ends_with(said["right_sign"].as_str().unwrap()), "{out}");
}

#[test]
fn why_there_was_no_tls_is_said() {
    let file = account("listen-no-tls");
    let folder = file.parent().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    std::fs::write(folder.join("cert.pem"), made.cert.pem()).unwrap();
    std::fs::write(folder.join("key.pem"), made.key_pair.serialize_pem()).unwrap();
    let (cert, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    let args =
        ["--cert", cert.to_str().unwrap(), "--key", key.to_str().unwrap(), "--client-timeout-ms", "1000"];
    let mut listener = Listener::start(&file, "yopoint", &args);
    let mut said = || {
        let mut line = String::new();
        listener.errors.read_line(&mut line).unwrap();
        line
    };
    let address = listener.address.clone();
    let connect = || TcpStream::connect(&address).unwrap();
    // One that trusts another CA.
    let other = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let options = Options { roots: Roots::Pem(other.cert.pem().into_bytes()), ..Options::default() };
    let transport = Transport::new(options, Arc::new(Clock::new())).unwrap();
    let url = Url::parse(&format!("https://localhost:{}/cb", address.rsplit_once(':').unwrap().1)).unwrap();
    let refused = transport.call(
        &url,
        Purpose::Command,
        Deadline::after(Duration::from_secs(20)),
        &CancelToken::never(),
        &mut || {
            Ok(Request {
                method: "GET",
                url: std::sync::Arc::new(url.clone()),
                headers: Vec::new(),
                body: Vec::new(),
            })
        },
    );
    assert!(refused.is_err());
    let line = said();
    assert!(line.contains("no TLS: the caller does not "), "{line}");
    // One that speaks plain HTTP.
    write!(connect(), "GET / HTTP/1.1\r\n\r\n").unwrap();
    let line = said();
    assert!(line.contains("this is not TLS"), "{line}");
    // One that leaves, and one that says nothing.
    drop(connect());
    let line = said();
    assert!(line.contains("the caller left during the handshake"), "{line}");
    let _silent = connect();
    let line = said();
    assert!(line.contains("did not finish the handshake in time"), "{line}");
}

#[test]
fn a_callback_under_way_keeps_its_place() {
    let file = account("listen-place");
    let (exec, begun, go) = held(file.parent().unwrap());
    let args = ["--exec", &exec, "--client-timeout-ms", "60000", "--max-connections", "2"];
    let listener = Listener::start(&file, "yopoint", &args);
    std::thread::scope(|scope| {
        let first = scope.spawn(|| listener.post(&callback("VI1")));
        until("the command begins", || begun.exists());
        let idle: Vec<TcpStream> = (0..10).map(|_| listener.connect()).collect();
        // The last of them was let in, so nine lost the other place.
        let mut said = String::new();
        (&idle[8]).read_to_string(&mut said).unwrap();
        assert!(said.starts_with("HTTP/1.1 503") || said.is_empty(), "{said}");
        std::fs::write(&go, "").unwrap();
        let answer = first.join().unwrap();
        assert!(answer.contains("\"error_code\":0"), "{answer}");
    });
}

// FAULTS D: the last part, as far as the listener reads it.
#[test]
fn callbacks_are_read_as_they_are_sent() {
    let file = account("listen-shapes");
    let listener = Listener::start(&file, "yopoint", &["--client-timeout-ms", "60000"]);
    let send = |head: &[u8], body: &[u8]| {
        let mut socket = listener.connect();
        socket.write_all(&[head, b"\r\n\r\n", body].concat()).unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        assert!(answer.contains("\"error_code\":0"), "{}: {answer}", String::from_utf8_lossy(head));
    };
    let length = |body: &str| format!("POST /cb HTTP/1.1\r\nContent-Length: {}", body.len());
    // A line end behind the body, which the length counts or not; one before the head.
    let body = callback("VI1");
    send(length(&body).as_bytes(), format!("{body}\r\n").as_bytes());
    let body = callback("VI2") + "\r\n";
    send(length(&body).as_bytes(), body.as_bytes());
    let body = callback("VI3");
    send(format!("\r\n{}", length(&body)).as_bytes(), body.as_bytes());
    // Latin-1 in a header.
    let body = callback("VI4");
    let head = [length(&body).as_bytes(), b"\r\nX-City: M\xfcnchen\r\nUser-Agent: caf\xe9"].concat();
    send(&head, body.as_bytes());
    // As a form of several parts.
    let mut body = String::new();
    for (name, value) in fields("VI5") {
        body += &format!("--b0undary\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
    }
    body += "--b0undary--\r\n";
    let head = format!("{}\r\nContent-Type: multipart/form-data; boundary=b0undary", length(&body));
    send(head.as_bytes(), body.as_bytes());
    // Chunks with an extension and a trailer.
    let body = callback("VI6");
    let (a, b) = body.split_at(33);
    let chunks = format!("{:X};a=b\r\n{a}\r\n{:x} \r\n{b}\r\n0\r\nX-Trailer: 1\r\n\r\n", a.len(), b.len());
    send(b"POST /cb HTTP/1.1\r\nTransfer-Encoding: Chunked", chunks.as_bytes());
}

// FAULTS D: Expect: 100-continue.
#[test]
fn a_caller_that_expects_100_continue_gets_it() {
    let file = account("listen-expect");
    let listener = Listener::start(&file, "yopoint", &["--client-timeout-ms", "60000", "--max-body", "1000"]);
    let body = callback("VI1");
    let mut socket = listener.connect();
    write!(socket, "POST /cb HTTP/1.1\r\nExpect: 100-Continue\r\nContent-Length: {}\r\n\r\n", body.len())
        .unwrap();
    let mut go_on = [0; 25];
    socket.read_exact(&mut go_on).unwrap();
    assert_eq!(go_on, *b"HTTP/1.1 100 Continue\r\n\r\n");
    socket.write_all(body.as_bytes()).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"error_code\":0"), "{answer}");
    // What is too large is refused before it is sent.
    let mut socket = listener.connect();
    write!(socket, "POST /cb HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 1001\r\n\r\n").unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}

#[test]
fn over_https_and_ended_by_a_signal() {
    let file = account("listen-https");
    let folder = file.parent().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    std::fs::write(folder.join("cert.pem"), made.cert.pem()).unwrap();
    std::fs::write(folder.join("key.pem"), made.key_pair.serialize_pem()).unwrap();
    let (cert, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    let listener = Listener::start(
        &file,
        "yopoint",
        &["--cert", cert.to_str().unwrap(), "--key", key.to_str().unwrap()],
    );
    let port = listener.address.rsplit_once(':').unwrap().1.to_owned();
    let options = Options { roots: Roots::Pem(made.cert.pem().into_bytes()), ..Options::default() };
    let transport = Transport::new(options, Arc::new(Clock::new())).unwrap();
    let url = Url::parse(&format!("https://localhost:{port}/cb")).unwrap();
    let reply = transport
        .call(
            &url,
            Purpose::Command,
            Deadline::after(Duration::from_secs(20)),
            &CancelToken::never(),
            &mut || {
                Ok(Request {
                    method: "POST",
                    url: url.clone().into(),
                    headers: Vec::new(),
                    body: callback("VI3").into_bytes(),
                })
            },
        )
        .unwrap();
    assert!(reply.status == 200 && String::from_utf8_lossy(&reply.body).contains("\"error_code\":0"));
    let (code, out, err) = {
        listener.signal("TERM");
        listener.end()
    };
    assert_eq!((code, out.lines().count(), err.as_str()), (0, 1, ""));
}

/// A command of `--exec` that says that it has begun and ends when it may.
fn held(folder: &Path) -> (String, PathBuf, PathBuf) {
    let (begun, go) = (folder.join("begun"), folder.join("go"));
    let exec = format!(
        "cat > /dev/null; : > '{}'; until test -e '{}'; do sleep 0.02; done",
        begun.display(),
        go.display()
    );
    (exec, begun, go)
}

fn until(what: &str, mut true_now: impl FnMut() -> bool) {
    for _ in 0..3000 {
        if true_now() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("not within 30 s: {what}");
}

#[test]
fn a_signal_ends_it_and_nothing_is_said() {
    let file = account("listen-signals");
    for name in ["TERM", "INT"] {
        let listener = Listener::start(&file, "yopoint", &["--client-timeout-ms", "600000"]);
        // Whoever has not asked yet is not waited for.
        let mut half = listener.connect();
        half.write_all(b"POST /cb HTTP/1.1\r\n").unwrap();
        listener.signal(name);
        assert_eq!(listener.end(), (0, String::new(), String::new()), "{name}");
    }
}

#[test]
fn the_callback_under_way_is_answered_before_a_signal_ends_it() {
    let file = account("listen-finish");
    let (exec, begun, go) = held(file.parent().unwrap());
    let listener = Listener::start(&file, "yopoint", &["--exec", &exec, "--client-timeout-ms", "60000"]);
    std::thread::scope(|scope| {
        let first = scope.spawn(|| listener.post(&callback("VI1")));
        until("the command begins", || begun.exists());
        // As a terminal's Ctrl-C: to the whole group. The command does not belong to it.
        listener.signal("INT");
        until("nobody else is let in", || TcpStream::connect(&listener.address).is_err());
        std::fs::write(&go, "").unwrap();
        let answer = first.join().unwrap();
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"error_code\":0"), "{answer}");
    });
    let (code, out, err) = listener.end();
    assert_eq!((code, out.lines().count(), err.as_str()), (0, 1, ""), "{out}");
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let file = account("listen-twice");
    let (exec, begun, go) = held(file.parent().unwrap());
    let mut listener = Listener::start(&file, "yopoint", &["--exec", &exec, "--client-timeout-ms", "60000"]);
    let mut socket = listener.connect();
    let body = callback("VI1");
    write!(socket, "POST /cb HTTP/1.1\r\nContent-Length: {}\r\n\r\n{body}", body.len()).unwrap();
    until("the command begins", || begun.exists());
    listener.signal("TERM");
    until("nobody else is let in", || TcpStream::connect(&listener.address).is_err());
    listener.signal("TERM");
    let status = listener.child.wait().unwrap();
    // The command is left to itself.
    std::fs::write(&go, "").unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(15));
    let mut answer = String::new();
    let _ = socket.read_to_string(&mut answer);
    assert_eq!(answer, "");
}

#[test]
fn the_command_has_its_signals_as_ever() {
    let file = account("listen-child");
    let listener =
        Listener::start(&file, "yopoint", &["--exec", "kill -TERM $$", "--client-timeout-ms", "60000"]);
    assert!(listener.post(&callback("VI1")).contains("\"error_code\":1"));
    listener.signal("TERM");
    let (code, _, err) = listener.end();
    assert!(code == 0 && err.contains("signal: 15"), "{err}");
}

#[test]
fn what_cannot_be_listened_with() {
    let file = account("listen-wrong");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = taken.local_addr().unwrap().to_string();
    let (code, _, err) = run(&file, "yopoint", &["listen", "--bind", &at]);
    assert!(code == 1 && err.contains("cannot listen"), "{err}");
    assert_eq!(run(&file, "yopoint", &["listen", "--cert", "x"]).0, 64);
    assert_eq!(run(&file, "yopoint", &["listen", "--forward", "ftp://x"]).0, 64);
}

#[test]
fn an_event_that_was_saved_is_parsed() {
    let file = account("event-parse");
    let saved = file.parent().unwrap().join("saved");
    std::fs::write(&saved, callback("VI4") + "\n").unwrap();
    let (code, told) = json_of(&file, "yopoint", &["event", "parse", saved.to_str().unwrap()]);
    assert_eq!((code, &told["order_no"], &told["door"]), (0, &json!("VI4"), &json!("shut")), "{told}");
    std::fs::write(&saved, format!("POST /cb HTTP/1.1\r\nHost: h\r\n\r\n{}", callback("VI5"))).unwrap();
    let (code, told) = json_of(&file, "yopoint", &["event", "parse", saved.to_str().unwrap()]);
    assert_eq!((code, &told["order_no"]), (0, &json!("VI5")), "{told}");
    std::fs::write(&saved, callback("VI5").replace("VI5", "VI6")).unwrap();
    let (code, told) = json_of(&file, "yopoint", &["event", "parse", saved.to_str().unwrap()]);
    assert_eq!((code, &told["status"]), (1, &json!("KL_E_EVENT_SIGNATURE")));
}
