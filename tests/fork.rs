//! Children of a process whose other threads are in the middle of things. One test a process: nothing else may run beside
//! it.

use kiosklink::client::Client;
use kiosklink::config::Config;
use kiosklink::ffi::client::{kl_client, kl_client_free, kl_client_new, kl_client_warm};
use kiosklink::ffi::config::{kl_config_free, kl_config_new, kl_config_set};
use kiosklink::log::{self, Level, Masked};
use kiosklink::status::*;
use kiosklink::time::clock::{self, BUILD_TIME, Clock, Source};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const TOLD: i64 = BUILD_TIME + 5_000_000;

/// Does something in a child, and says how that ended: its code, or `None` if it hung.
fn in_child(child: libc::pid_t, work: impl FnOnce() -> i32) -> Option<i32> {
    if child == 0 {
        let code = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).unwrap_or(99);
        // SAFETY: ends the child without running what the parent registered.
        unsafe { libc::_exit(code) };
    }
    assert!(child > 0, "no child: {}", std::io::Error::last_os_error());
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        let mut status = 0;
        // SAFETY: `status` is a valid place; the child is ours and not waited for yet.
        match unsafe { libc::waitpid(child, &mut status, libc::WNOHANG) } {
            0 if Instant::now() < end => std::thread::sleep(Duration::from_millis(1)),
            0 => {
                // SAFETY: the child is ours and not waited for yet.
                unsafe {
                    libc::kill(child, libc::SIGKILL);
                    libc::waitpid(child, &mut status, 0);
                }
                return None;
            }
            _ => return Some(if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { -1 }),
        }
    }
}

fn settings(state_dir: &str) -> Config {
    let mut config = Config::new("youzan").unwrap();
    for (key, value) in [
        ("client_id", "0123456789abcdef"),
        ("client_secret", "0123456789abcdef0123456789abcdef"),
        ("grant_id", "1"),
        ("state_dir", state_dir),
    ] {
        config.set(key, value).unwrap();
    }
    config
}

// FAULTS F11: 3 of 247 children that were forked while two threads read the clock hung in their first call.
#[test]
fn a_child_waits_for_no_lock_of_its_parents_threads() {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("fork");
    std::fs::create_dir_all(&folder).unwrap();
    let config = settings(folder.to_str().unwrap());
    clock::set_time(TOLD).unwrap();
    log::set(Level::Debug as i32, Some(Arc::new(|_, _| {})));
    let stop = AtomicBool::new(false);
    let busy = |work: &(dyn Fn() + Sync)| {
        while !stop.load(Ordering::Relaxed) {
            work();
        }
    };
    std::thread::scope(|s| {
        for _ in 0..2 {
            s.spawn(|| {
                busy(&|| {
                    Clock::new().now_ms();
                    Clock::new().certificate();
                })
            });
        }
        s.spawn(|| busy(&|| clock::set_time(TOLD).unwrap()));
        s.spawn(|| {
            busy(&|| {
                let _masked = Masked::new("a secret of this test");
                log::mask("a line");
            })
        });
        s.spawn(|| busy(&|| drop(Client::new(&config).unwrap())));
        let mut ended = Vec::new();
        for _ in 0..400 {
            // SAFETY: the child does only what this test does, and ends in `in_child`.
            let child = unsafe { libc::fork() };
            ended.push(in_child(child, || {
                let clock = Clock::new();
                let told = clock.source() == Source::Firmware && (clock.now_ms() / 1000 - TOLD).abs() < 600;
                let certificate = clock.certificate();
                clock::set_time(TOLD + 1_000).unwrap();
                let masked = Masked::new("a secret of the child");
                let hidden = log::mask("a secret of the child") == "***";
                drop(masked);
                let replaced = log::set(0, None);
                let made = Client::new(&config).is_ok();
                let said = [told, certificate.confirmed, hidden, replaced, made];
                said.iter().position(|good| !good).map_or(0, |at| at as i32 + 1)
            }));
            if *ended.last().unwrap() != Some(0) {
                break;
            }
        }
        stop.store(true, Ordering::Relaxed);
        assert!(ended.iter().all(|end| *end == Some(0)), "{:?} at child {}", ended.last(), ended.len());
    });
    // The parent has what it had.
    assert!((Clock::new().now_ms() / 1000 - TOLD).abs() < 600);
    raw_clone();
}

/// A child that no handler of `fork` is told of.
fn raw_clone() {
    let mut config = std::ptr::null_mut();
    let mut client: *mut kl_client = std::ptr::null_mut();
    // SAFETY: the places are valid, the texts are terminated, and the handles are the library's own.
    unsafe {
        let none = std::ptr::null_mut();
        assert_eq!(kl_config_new(c"yopoint".as_ptr(), &mut config, none), KL_OK);
        assert_eq!(kl_config_set(config, c"app_id".as_ptr(), c"1".as_ptr(), none), KL_OK);
        assert_eq!(kl_config_set(config, c"app_secret".as_ptr(), c"0123456789".as_ptr(), none), KL_OK);
        assert_eq!(kl_client_new(config, &mut client, none), KL_OK);
        kl_config_free(config);
    }
    // SAFETY: as `fork`, but no handler runs; the child does only what follows here, and ends in `in_child`.
    let child = unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) } as libc::pid_t;
    let told = in_child(child, || {
        let told = kl_client_warm(client, std::ptr::null_mut());
        kl_client_free(client);
        if told == KL_E_FORKED { 0 } else { 1 }
    });
    assert_eq!(told, Some(0));
    kl_client_free(client);
}
