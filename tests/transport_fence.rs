//! What this kernel delivers of a command after its call is over, its process is dead, stopped, or lives on in a forked
//! child: nothing. The server's receive window is as small as can be, so that a request which is sent, as far as the
//! client can tell, still lies in the client's kernel.
//!
//! Each test is a program of its own by the environment: processes are killed, stopped and forked here.

mod net;

use kiosklink::cancel::{CancelSource, CancelToken};
use kiosklink::status::*;
use kiosklink::transport::{Deadline, Purpose, Transport, Url};
use net::*;
use socket2::{Domain, Socket, Type};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const CHILD: &str = "KIOSKLINK_TEST_FENCE_CHILD";
const BODY: usize = 24_000;

/// A server that reads when it is told to, and not before.
struct Slow {
    listener: Socket,
    address: SocketAddr,
}

impl Slow {
    fn new() -> Slow {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        // The kernel makes it as small as it allows.
        listener.set_recv_buffer_size(1).unwrap();
        listener.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
        listener.listen(8).unwrap();
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        Slow { listener, address }
    }

    fn accept(&self) -> TcpStream {
        self.listener.accept().unwrap().0.into()
    }
}

/// Everything that still comes, to the end of the connection.
fn drain(mut stream: TcpStream) -> usize {
    stream.set_read_timeout(Some(LONG)).unwrap();
    let (mut total, mut buffer) = (0, [0; 4096]);
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return total,
            Ok(n) => total += n,
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => panic!("the connection never ends"),
            Err(_) => return total,
        }
    }
}

fn url_of(address: SocketAddr) -> Url {
    Url::parse(&format!("http://{address}/")).unwrap()
}

fn large(address: SocketAddr, purpose: Purpose, time: Duration) -> Outcome {
    large_over(&transport(options()), address, purpose, time)
}

fn large_over(t: &Transport, address: SocketAddr, purpose: Purpose, time: Duration) -> Outcome {
    let url = url_of(address);
    let body = "x".repeat(BODY);
    t.call(&url, purpose, Deadline::after(time), &CancelToken::never(), &mut || Ok(post(&url, &body)))
}

/// This test as a process of its own, which makes the call and says "sent" when its request is with the kernel.
fn child(
    test: &str,
    address: SocketAddr,
    time: Duration,
    how: &str,
) -> (Ended, BufReader<std::process::ChildStdout>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(CHILD, format!("{address} {} {how}", time.as_millis()))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    until(&mut lines, "sent");
    (Ended(child), lines)
}

/// A process that a test does not leave behind, whatever becomes of the test.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn until(lines: &mut impl BufRead, word: &str) -> String {
    let mut line = String::new();
    while !line.contains(word) {
        line.clear();
        assert_ne!(lines.read_line(&mut line).unwrap(), 0, "the child ended before it said {word}");
    }
    line
}

/// The child's part, if this process is one: true after the call.
fn be_the_child() -> bool {
    let Ok(told) = std::env::var(CHILD) else { return false };
    let mut words = told.split(' ');
    let address: SocketAddr = words.next().unwrap().parse().unwrap();
    let time = Duration::from_millis(words.next().unwrap().parse().unwrap());
    let how = words.next().unwrap().to_owned();
    let t = transport(options());
    if how == "warm" {
        // The connection is there, and is inherited, before there is a command.
        t.warm(&url_of(address), Deadline::after(time), &CancelToken::never()).unwrap();
        fork();
    }
    let call = std::thread::spawn(move || large_over(&t, address, Purpose::Command, time));
    // The request is out when the kernel has as much of it as it can; it is known by the queue of the socket.
    let begun = Instant::now();
    while queued(address) == 0 {
        assert!(begun.elapsed() < LONG);
        std::thread::yield_now();
    }
    if how == "fork" {
        fork();
    }
    println!("sent");
    let _ = std::io::stdout().flush();
    let failure = call.join().unwrap().unwrap_err();
    println!("over {} {}", failure.error.status(), failure.left);
    true
}

/// A child that lives for a while. Its number is said when it is there, its handlers have run.
fn fork() {
    let (mut here, there) = std::os::unix::net::UnixStream::pair().unwrap();
    // SAFETY: the child makes only calls that are allowed after a fork: it writes, sleeps, and ends.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        // SAFETY: as above; the byte is a static one.
        unsafe {
            libc::write(std::os::fd::AsRawFd::as_raw_fd(&there), b"x".as_ptr().cast(), 1);
            libc::sleep(40);
            libc::_exit(0);
        }
    }
    here.read_exact(&mut [0]).unwrap();
    println!("forked {pid} .");
}

/// Bytes that this machine's sockets to the address have not got acknowledged.
fn queued(to: SocketAddr) -> u64 {
    let SocketAddr::V4(v4) = to else { panic!("IPv4 only") };
    let wanted = format!("{:08X}:{:04X}", u32::from_ne_bytes(v4.ip().octets()), to.port());
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let rows = table.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        (fields.get(2) == Some(&wanted.as_str())).then(|| fields[4].split(':').next().unwrap().to_owned())
    });
    rows.map(|hex| u64::from_str_radix(&hex, 16).unwrap()).sum()
}

fn kill(pid: u32, signal: i32) {
    // SAFETY: sends a signal to a process that this test has started.
    assert_eq!(unsafe { libc::kill(pid as libc::pid_t, signal) }, 0);
}

/// Without a fence the same request is delivered when the call is long over: what the tests below see is the fence.
#[test]
fn a_read_that_was_given_up_is_still_delivered() {
    let server = Slow::new();
    let address = server.address;
    let call = std::thread::spawn(move || large(address, Purpose::Read, Duration::from_millis(300)));
    let stream = server.accept();
    let failure = call.join().unwrap().unwrap_err();
    assert_eq!((failure.error.status(), failure.left), (KL_E_TIMEOUT_REPLY, true));
    assert!(drain(stream) > BODY);
}

// FAULTS A6
#[test]
fn nothing_is_delivered_after_the_call() {
    let server = Slow::new();
    let address = server.address;
    let call = std::thread::spawn(move || large(address, Purpose::Command, Duration::from_millis(300)));
    let stream = server.accept();
    let failure = call.join().unwrap().unwrap_err();
    assert_eq!((failure.error.status(), failure.left), (KL_E_TIMEOUT_REPLY, true));
    assert_eq!(queued(address), 0);
    assert!(drain(stream) < BODY);
}

// FAULTS A6: a cancel shuts the connection down first, which by itself would send what is queued and an end.
#[test]
fn nothing_is_delivered_after_a_cancel() {
    let server = Slow::new();
    let (address, source) = (server.address, CancelSource::new());
    let token = source.token();
    let call = std::thread::spawn(move || {
        let url = url_of(address);
        let body = "x".repeat(BODY);
        let mut prepare = || Ok(post(&url, &body));
        transport(options()).call(&url, Purpose::Command, Deadline::after(LONG), &token, &mut prepare)
    });
    let stream = server.accept();
    while queued(address) == 0 {
        std::thread::yield_now();
    }
    source.cancel();
    let failure = call.join().unwrap().unwrap_err();
    assert_eq!((failure.error.status(), failure.left), (KL_E_CANCELLED, true));
    assert_eq!(queued(address), 0);
    assert!(drain(stream) < BODY);
}

// FAULTS A6: a child that no handler knows of holds the connection too, so that to close it ends nothing.
#[test]
fn nothing_is_delivered_after_the_call_though_a_child_holds_the_connection() {
    let server = Slow::new();
    let address = server.address;
    let call = std::thread::spawn(move || large(address, Purpose::Command, Duration::from_millis(1500)));
    let stream = server.accept();
    while queued(address) == 0 {
        std::thread::yield_now();
    }
    // SAFETY: as `fork`, but no handler runs; the child makes two calls that touch no memory.
    let child = unsafe {
        let child = libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) as libc::pid_t;
        if child == 0 {
            libc::sleep(40);
            libc::_exit(0);
        }
        child
    };
    let failure = call.join().unwrap().unwrap_err();
    let (left, got) = (queued(address), drain(stream));
    kill(child as u32, libc::SIGKILL);
    // SAFETY: a child of ours; where its end is written may be NULL.
    unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
    assert_eq!((failure.error.status(), failure.left, left), (KL_E_TIMEOUT_REPLY, true, 0));
    assert!(got < BODY, "{got}");
}

// FAULTS A6
#[test]
fn nothing_is_delivered_after_the_process_was_killed() {
    if be_the_child() {
        return;
    }
    let server = Slow::new();
    let (mut process, _lines) =
        child("nothing_is_delivered_after_the_process_was_killed", server.address, LONG, "stay");
    let stream = server.accept();
    kill(process.0.id(), libc::SIGKILL);
    process.0.wait().unwrap();
    assert!(drain(stream) < BODY);
}

// FAULTS A6
#[test]
fn nothing_is_delivered_by_a_forked_child_of_the_dead() {
    if be_the_child() {
        return;
    }
    for how in ["fork", "warm"] {
        let server = Slow::new();
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "nothing_is_delivered_by_a_forked_child_of_the_dead", "--nocapture"])
            .env(CHILD, format!("{} {} {how}", server.address, LONG.as_millis()))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap());
        let forked = until(&mut lines, "forked");
        let forked: u32 =
            forked.split_whitespace().skip_while(|w| *w != "forked").nth(1).unwrap().parse().unwrap();
        until(&mut lines, "sent");
        let stream = server.accept();
        kill(process.id(), libc::SIGKILL);
        process.wait().unwrap();
        let got = drain(stream);
        // The child has lived all the while.
        kill(forked, 0);
        kill(forked, libc::SIGKILL);
        assert!(got < BODY, "{how}: {got}");
    }
}

// FAULTS A6
#[test]
fn nothing_is_delivered_late_for_a_stopped_process() {
    if be_the_child() {
        return;
    }
    let server = Slow::new();
    let time = Duration::from_millis(800);
    let test = "nothing_is_delivered_late_for_a_stopped_process";
    let (mut process, mut lines) = child(test, server.address, time, "stay");
    let stream = server.accept();
    kill(process.0.id(), libc::SIGSTOP);
    // Its time passes while it is stopped, and the kernel gives up in its place.
    let begun = Instant::now();
    while queued(server.address) > 0 {
        assert!(begun.elapsed() < 10 * time, "the kernel goes on for a stopped process");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(drain(stream) < BODY);
    kill(process.0.id(), libc::SIGCONT);
    let over = until(&mut lines, "over");
    assert!(over.ends_with("true\n"), "{over}");
    process.0.wait().unwrap();
}

/// What the system was told of this process's connections to a server: whether it drops what is queued when one is closed, and for
/// how many milliseconds it tries to deliver.
fn told(server: u16) -> Vec<(bool, u32)> {
    fn option<T: Copy>(fd: i32, level: i32, name: i32, mut value: T) -> Option<T> {
        let mut length = size_of::<T>() as libc::socklen_t;
        // SAFETY: `value` is the place for so many bytes.
        let got = unsafe { libc::getsockopt(fd, level, name, (&raw mut value).cast(), &raw mut length) };
        (got == 0).then_some(value)
    }
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc/self/fd").unwrap() {
        let fd: i32 = entry.unwrap().file_name().to_str().unwrap().parse().unwrap();
        // SAFETY: plain integers, for which all zeros is a value.
        let mut peer: libc::sockaddr_in = unsafe { std::mem::zeroed() };
        let mut length = size_of::<libc::sockaddr_in>() as libc::socklen_t;
        // SAFETY: `peer` is the place for so many bytes.
        let got = unsafe { libc::getpeername(fd, (&raw mut peer).cast(), &raw mut length) };
        if got == 0 && i32::from(peer.sin_family) == libc::AF_INET && u16::from_be(peer.sin_port) == server {
            let linger = libc::linger { l_onoff: 0, l_linger: 1 };
            let linger = option(fd, libc::SOL_SOCKET, libc::SO_LINGER, linger).unwrap();
            let limit = option(fd, libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT, 0u32).unwrap();
            found.push((linger.l_onoff != 0 && linger.l_linger == 0, limit));
        }
    }
    found
}

#[test]
fn a_connection_that_carried_a_command_is_an_ordinary_one_afterwards() {
    let (said, end) = std::sync::mpsc::channel();
    let server = Server::start(move |_, mut tcp| {
        for _ in 0..4 {
            read_request(&mut tcp).unwrap();
            tcp.write_all(&answer("ok")).unwrap();
        }
        said.send(tcp.read(&mut [0])).unwrap();
    });
    let t = transport(options());
    let (url, second) = (server.http(), Duration::from_secs(1));
    let told = || told(url.port);
    let command = |time| call_in(&t, &url, Purpose::Command, time).unwrap();
    // In whole seconds if there are many, and never longer than the call.
    let is_whole = || matches!(told()[..], [(true, limit @ 10_000..20_000)] if limit % 1000 == 0);
    command(20 * second);
    assert!(is_whole(), "{:?}", told());
    command(9 * second);
    assert!(matches!(told()[..], [(true, 1..9_000)]), "{:?}", told());
    // A read after it has the limit of reads.
    assert!(read(&t, &url).unwrap().timing.reused);
    assert!(matches!(told()[..], [(_, 20_000)]), "{:?}", told());
    command(20 * second);
    assert!(is_whole(), "{:?}", told());
    assert_eq!(server.connections(), 1);
    // It ends as others do, and is not reset.
    drop(t);
    assert!(matches!(end.recv().unwrap(), Ok(0)));
}

#[test]
fn when_the_first_byte_left_is_told() {
    let server = Server::start(|_, mut tcp| echo(&mut tcp));
    let t = transport(options());
    let url = server.http();
    let before = boot_ms();
    let mut prepared = 0;
    let reply = call(&t, &url, Purpose::Command, &mut || {
        std::thread::sleep(Duration::from_millis(30));
        prepared = boot_ms();
        Ok(post(&url, "hello"))
    });
    let first = reply.unwrap().timing.first_write;
    assert!(first.left && before + 30 <= prepared && prepared <= first.before_ms);
    assert!(first.before_ms <= first.after_ms && first.after_ms <= boot_ms());
    let failure =
        call(&t, &url, Purpose::Command, &mut || Err(kiosklink::error::Error::new(KL_E_STALE, "too late")))
            .unwrap_err();
    assert!(!failure.left && !failure.first_write.left);
}

fn boot_ms() -> u64 {
    // SAFETY: plain integers, for which all zeros is a value.
    let mut t: libc::timespec = unsafe { std::mem::zeroed() };
    // SAFETY: `t` is a place for one `timespec`.
    assert_eq!(unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &mut t) }, 0);
    t.tv_sec as u64 * 1000 + t.tv_nsec as u64 / 1_000_000
}
