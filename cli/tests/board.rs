//! The live table of `listen`, as a terminal shows it.

mod common;

use common::*;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::Winsize;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A terminal with the command in it.
struct Terminal {
    master: File,
    screen: vt100::Parser,
    /// All bytes that came.
    raw: Vec<u8>,
    child: Child,
}

impl Terminal {
    fn start(file: &Path, columns: u16, term: &str, args: &[&str]) -> Terminal {
        use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
        let size = Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        rustix::termios::tcsetwinsize(&master, size).unwrap();
        let slave = || File::options().read(true).write(true).open(&name).unwrap();
        let args = [&["listen", "--bind", "127.0.0.1:0", "--client-timeout-ms", "60000"], args].concat();
        let mut command = command(file, "yopoint", &args);
        let child =
            command.env("TERM", term).stdout(slave()).stderr(slave()).stdin(Stdio::null()).spawn().unwrap();
        let screen = vt100::Parser::new(24.try_into().unwrap(), columns.try_into().unwrap(), 0);
        Terminal { master: File::from(master), screen, raw: Vec::new(), child }
    }

    /// What is on the screen, once that is so.
    fn until(&mut self, what: &str, so: impl Fn(&str) -> bool) -> String {
        loop {
            let shown = self.screen.screen().contents();
            if so(&shown) {
                return shown;
            }
            let mut ready = [PollFd::new(&self.master, PollFlags::IN)];
            let limit = Timespec { tv_sec: 60, tv_nsec: 0 };
            let came = poll(&mut ready, Some(&limit)).unwrap();
            let mut piece = [0; 4096];
            let read = if came == 0 { 0 } else { self.master.read(&mut piece).unwrap_or(0) };
            assert!(read > 0, "{what} is not to be seen:\n{shown}");
            self.raw.extend_from_slice(&piece[..read]);
            self.screen.process(&piece[..read]);
        }
    }

    fn address(&mut self) -> String {
        let shown = self.until("the address", |s| s.replace('\n', "").contains("http://127.0.0.1:"));
        let shown = shown.replace('\n', "");
        let rest = shown.split("http://").nth(1).unwrap();
        rest.split('/').next().unwrap().to_owned()
    }

    /// Ends it, and gives what the screen shows then.
    fn end(mut self) -> String {
        assert!(
            Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap().success()
        );
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
        let mut rest = Vec::new();
        // The end of a terminal is an error.
        let _ = self.master.read_to_end(&mut rest);
        self.screen.process(&rest);
        self.screen.screen().contents()
    }
}

fn post(address: &str, body: &str) -> String {
    let mut socket = TcpStream::connect(address).unwrap();
    write!(socket, "POST /cb HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n{body}", body.len()).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    answer
}

/// The cells of the line that begins so.
fn row(shown: &str, name: &str) -> Vec<String> {
    let line = shown.lines().find(|l| l.starts_with(name)).unwrap_or_default();
    line.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn a_terminal_shows_a_line_for_each_type_below_the_lines_that_came() {
    let file = account("board-live");
    let mut terminal = Terminal::start(&file, 80, "xterm", &["--table"]);
    let address = terminal.address();
    assert!(post(&address, &callback("VI1")).contains("\"error_code\":0"));
    let counted = |taken: &'static str, again: &'static str| {
        move |s: &str| row(s, "door_closed").get(1..3) == Some(&[taken.to_owned(), again.to_owned()][..])
    };
    terminal.until("the first", counted("1", "0"));
    assert!(post(&address, &callback("VI1")).contains("\"error_code\":0"));
    assert!(post(&address, &callback("VI2")).contains("\"error_code\":0"));
    terminal.until("three of them", counted("2", "1"));
    assert!(post(&address, &callback("VI3").replace("VI3", "VI9")).starts_with("HTTP/1.1 403"));
    let shown = terminal.until("the refused one", |s| row(s, "(refused)").get(3).is_some_and(|n| n == "1"));
    let time = row(&shown, "(refused)")[4].clone();
    assert!(time.len() == 8 && time.matches(':').count() == 2, "{shown}");
    let refused = shown.lines().find(|l| l.starts_with("(refused)")).unwrap();
    assert!(refused.contains("sign") && refused.len() > 60, "why: {shown}");
    // Once, below everything, though it is asked for at the end too: what came is still to be read above it.
    let shown = terminal.end();
    let heads = shown.lines().filter(|l| l.starts_with("yopoint ") && l.contains("last refusal")).count();
    assert_eq!(heads, 1, "{shown}");
    assert_eq!(shown.matches("notify.close.door from").count(), 3, "{shown}");
    let lines: Vec<&str> = shown.trim_end().lines().collect();
    assert!(
        lines[lines.len() - 3].starts_with("yopoint ") && lines[0].starts_with("listening at"),
        "{shown}"
    );
}

#[test]
fn what_a_command_writes_is_not_wiped_away() {
    let file = account("board-exec");
    let (begun, go) = (file.with_file_name("begun"), file.with_file_name("go"));
    let exec = format!(
        "cat > /dev/null; : > '{}'; until test -e '{}'; do sleep 0.02; done; echo one line; echo another line",
        begun.display(),
        go.display()
    );
    let mut terminal = Terminal::start(&file, 80, "xterm", &["--exec", &exec]);
    let address = terminal.address();
    std::thread::scope(|scope| {
        let first = scope.spawn(|| post(&address, &callback("VI1")));
        while !begun.exists() {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        // While the command has the screen, what others bring is a line and no table.
        assert!(post(&address, "what is this").starts_with("HTTP/1.1 403"));
        std::fs::write(&go, "").unwrap();
        assert!(first.join().unwrap().contains("\"error_code\":0"));
    });
    assert!(post(&address, &callback("VI2")).contains("\"error_code\":0"));
    terminal.until("both", |s| row(s, "door_closed").get(1).is_some_and(|n| n == "2"));
    let shown = terminal.end();
    assert_eq!((shown.matches("one line").count(), shown.matches("another line").count()), (2, 2), "{shown}");
    assert_eq!(shown.matches("last refusal").count(), 1, "{shown}");
}

#[test]
fn no_line_of_the_table_wraps_at_forty_columns_in_either_language() {
    for (language, head, refused) in [("en", "yopoint ", "(refused)"), ("zh", "yopoint ", "（拒绝）")] {
        let file = account(&format!("board-narrow-{language}"));
        let mut terminal = Terminal::start(&file, 40, "xterm", &["--lang", language]);
        let address = terminal.address();
        assert!(post(&address, &callback("VI1")).contains("\"error_code\":0"));
        assert!(post(&address, &callback("VI2").replace("VI2", "VI9")).starts_with("HTTP/1.1 403"));
        terminal.until("both", |s| {
            row(s, "door_closed").get(1).is_some_and(|n| n == "1")
                && row(s, refused).get(2).is_some_and(|n| n == "1")
        });
        let screen = terminal.screen.screen();
        let all: Vec<String> = screen.rows(0, 40).collect();
        let from = all.iter().rposition(|l| l.starts_with(head)).unwrap();
        let table: Vec<&String> = all[from..].iter().filter(|l| !l.is_empty()).collect();
        assert_eq!(table.len(), 4, "head, a type, what was refused and why: {all:#?}");
        assert!((from..from + 4).all(|at| !screen.row_wrapped(at as u16)), "{all:#?}");
        terminal.end();
    }
}

#[test]
fn elsewhere_lines_are_plain_and_the_table_comes_at_the_end_if_it_is_asked_for() {
    for (args, wanted) in [(&["--table"][..], true), (&[], false)] {
        let file = account(if wanted { "board-table" } else { "board-plain" });
        let args = [&["listen", "--bind", "127.0.0.1:0", "--count", "2"], args].concat();
        let mut command = command(&file, "yopoint", &args);
        let mut child =
            command.env("TERM", "xterm").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut errors = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        errors.read_line(&mut line).unwrap();
        let address = line.split("://").nth(1).unwrap().split('/').next().unwrap().to_owned();
        assert!(post(&address, &callback("VI1")).contains("\"error_code\":0"));
        assert!(post(&address, "what is this").starts_with("HTTP/1.1 403"));
        assert!(post(&address, &callback("VI1")).contains("\"error_code\":0"));
        let (code, out, _) = told(child.wait_with_output().unwrap());
        assert_eq!(code, 0, "{out}");
        assert!(
            !out.contains('\x1b') && out.lines().take(2).all(|l| l.starts_with("notify.close.door")),
            "{out}"
        );
        assert_eq!(out.lines().count(), if wanted { 5 } else { 2 }, "{out}");
        if wanted {
            assert_eq!(row(&out, "door_closed")[1..4], ["1", "1", "0"], "{out}");
            assert_eq!(row(&out, "(refused)")[1..4], ["0", "0", "1"], "{out}");
        }
    }
    // Nor on a terminal whose cursor cannot be moved.
    let file = account("board-dumb");
    let mut terminal = Terminal::start(&file, 80, "dumb", &[]);
    let address = terminal.address();
    assert!(post(&address, &callback("VI1")).contains("\"error_code\":0"));
    terminal.until("the line", |s| s.contains("notify.close.door from"));
    assert!(!terminal.raw.contains(&0x1b));
    assert!(!terminal.end().contains("last refusal"));
    let (code, _, err) = run(&file, "yopoint", &["listen", "--table", "--json"]);
    assert!(code == 64 && err.contains("exclude each other"), "{err}");
}
