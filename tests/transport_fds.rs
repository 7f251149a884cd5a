//! Descriptors: none below 3, none for programs that are started, and what is said when there are none left. In children,
//! because descriptors belong to the whole process.

mod net;

use kiosklink::status::*;
use kiosklink::transport::{Options, Url};
use net::*;
use std::process::Command;
use std::sync::Arc;

const CHILD: &str = "KIOSKLINK_TEST_FDS_CHILD";

/// Runs the test again in a process of its own and expects it to end well.
fn in_child(test: &str, told: &str) {
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(CHILD, told)
        .status()
        .unwrap();
    assert!(status.success(), "{status}");
}

fn flags(fd: i32) -> i32 {
    // SAFETY: asks for a number's flags; a number that is not open is an error.
    unsafe { libc::fcntl(fd, libc::F_GETFD) }
}

// FAULTS F14
#[test]
fn no_connection_is_standard_input_output_or_error() {
    if let Ok(url) = std::env::var(CHILD) {
        // SAFETY: nothing in this process uses its standard streams any more.
        (0..3).for_each(|fd| assert_eq!(unsafe { libc::close(fd) }, 0));
        let t = transport(options());
        let fine = read(&t, &Url::parse(&url).unwrap()).is_ok_and(|reply| reply.body == b"got hello");
        // The idle connection is open, under another number, and not for programs started from here.
        let low = (0..3).any(|fd| flags(fd) >= 0);
        let open: Vec<i32> = (3..64).filter(|fd| flags(*fd) >= 0).collect();
        let kept = open.iter().any(|fd| is_tcp(*fd));
        let leaks = open.iter().any(|fd| is_tcp(*fd) && flags(*fd) & libc::FD_CLOEXEC == 0);
        // SAFETY: ends the process at once; there is nowhere to print a result.
        unsafe {
            libc::_exit(
                i32::from(!fine) | i32::from(low) << 1 | i32::from(!kept) << 2 | i32::from(leaks) << 3,
            )
        };
    }
    let server = Server::start(|_, mut tcp| echo(&mut tcp));
    in_child("no_connection_is_standard_input_output_or_error", &format!("http://{}/", server.address));
}

fn is_tcp(fd: i32) -> bool {
    let (mut kind, mut length) = (0 as libc::c_int, size_of::<libc::c_int>() as libc::socklen_t);
    // SAFETY: both places are valid for what the call writes; a number that is no socket is an error.
    let result = unsafe {
        libc::getsockopt(fd, libc::SOL_SOCKET, libc::SO_PROTOCOL, (&raw mut kind).cast(), &mut length)
    };
    result == 0 && kind == libc::IPPROTO_TCP
}

// FAULTS G
#[test]
fn no_descriptor_left_is_said_and_is_no_matter_of_names() {
    if let Ok(port) = std::env::var(CHILD) {
        // The address of a name is asked for as the system does it.
        let system = || transport(Options { lookup: None, ..options() });
        let urls = [format!("http://localhost:{port}/"), format!("http://127.0.0.1:{port}/")];
        let urls = urls.map(|url| Url::parse(&url).unwrap());
        assert!(urls.iter().all(|url| read(&system(), url).is_ok()));
        let low = std::fs::File::open("/dev/null").unwrap();
        let limit = std::os::fd::AsRawFd::as_raw_fd(&low) as libc::rlim_t;
        let limits = libc::rlimit { rlim_cur: limit, rlim_max: limit };
        // SAFETY: `limits` is a valid value that the call only reads.
        assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limits) }, 0);
        for url in &urls {
            let failure = command(&system(), url).unwrap_err();
            let (status, errno) = (failure.error.status(), failure.error.details().os_errno);
            assert_eq!((status, errno), (KL_E_RESOURCE, libc::EMFILE), "{}", failure.error);
            assert!(!failure.left);
        }
        return;
    }
    let server = Arc::new(Server::start(|_, mut tcp| echo(&mut tcp)));
    in_child("no_descriptor_left_is_said_and_is_no_matter_of_names", &server.address.port().to_string());
}
