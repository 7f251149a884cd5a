//! Through an HTTP proxy by CONNECT. The proxy looks the platform's name up.

use super::FirstWrite;
use super::conn::{Bound, Conn, Fault};
use super::url::{Url, parse_authority};
use crate::error::{Advice, Error};
use crate::status::KL_E_PROXY;
use kiosklink_wire::head::read_head;
use std::fmt;

/// A proxy's answer to CONNECT may have this many bytes.
const MAX_ANSWER: usize = 8 * 1024;

/// An HTTP proxy.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// `Basic ...`, if a user name is given.
    authorization: Option<String>,
}

impl Proxy {
    /// Reads `http://[user:password@]host[:port]`; the port is 8080 if not given. The error is a clause that can
    /// follow the setting's name, and never repeats the value.
    pub fn parse(text: &str) -> Result<Proxy, String> {
        let rest = match text.split_once("://") {
            Some((s, rest)) if s.eq_ignore_ascii_case("http") => rest,
            Some(_) => return Err("must be an http:// proxy".into()),
            None => text,
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (user, authority) = match rest.rsplit_once('@') {
            Some((user, authority)) => (Some(user), authority),
            None => (None, rest),
        };
        if rest.bytes().any(|b| b <= b' ' || b == 0x7f) || authority.contains(['/', '?', '#']) {
            return Err("must have the form http://[user:password@]host:port".into());
        }
        let (host, port) = parse_authority(authority, 8080)?;
        let authorization = match user {
            None => None,
            Some(user) => {
                let plain = percent_decode(user).ok_or("has a user name with a broken %-sequence")?;
                let encoded = kiosklink_wire::hex::base64(&plain);
                Some(format!("Basic {encoded}"))
            }
        };
        Ok(Proxy { host, port, authorization })
    }
}

/// Without user name and password.
impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}:{}", self.host, self.port)
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn percent_decode(text: &str) -> Option<Vec<u8>> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        if bytes[i] == b'%' {
            let digits = std::str::from_utf8(bytes.get(i + 1..i + 3)?).ok()?;
            out.push(u8::from_str_radix(digits, 16).ok()?);
            i += 3;
        } else {
            out.push(bytes[i]);
            i += 1;
        }
    }
    Some(out)
}

/// Asks the proxy at the other end of the connection for a tunnel.
pub(super) fn tunnel(conn: &mut Conn, proxy: &Proxy, target: &Url, bound: &Bound<'_>) -> Result<(), Fault> {
    let target = target.host_port();
    let mut ask = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n");
    if let Some(authorization) = &proxy.authorization {
        ask.push_str("Proxy-Authorization: ");
        ask.push_str(authorization);
        ask.push_str("\r\n");
    }
    ask.push_str("\r\n");
    // Not a byte of the request: the platform never sees it.
    conn.send(ask.as_bytes(), bound, &mut FirstWrite::default())?;
    let failed = |why: &str| Fault::Final(Error::new(KL_E_PROXY, format!("the proxy {proxy} {why}")));
    let head = loop {
        match read_head(conn.input()) {
            Ok(Some((length, head))) => {
                conn.consume(length);
                if head.status >= 200 {
                    break head;
                }
            }
            Ok(None) if conn.input().len() > MAX_ANSWER => {
                return Err(failed("answers with more than it may"));
            }
            Ok(None) => {
                if !conn.receive(bound)? {
                    return Err(failed("closed the connection instead of answering"));
                }
            }
            Err(_) => return Err(failed("does not answer in HTTP")),
        }
    };
    match head.status {
        200..=299 if conn.input().is_empty() => Ok(()),
        200..=299 => Err(failed("sends data before the tunnel is used")),
        407 => Err(failed("wants a user name and password, or others than those given")),
        code => {
            // With these three the proxy is right, and what is behind it is not there now.
            let absent = matches!(code, 502..=504);
            let what = if absent { "does not reach " } else { "refuses the connection to " };
            let fault = failed(&[what, &target, ", status ", &code.to_string()].concat());
            match fault {
                Fault::Final(error) if absent => Err(Fault::Final(error.with(|d| d.advice = Advice::Retry))),
                fault => Err(fault),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_proxies_and_hides_their_password() {
        let proxy = Proxy::parse("http://kiosk:p%40ss@10.0.0.1:3128/").unwrap();
        assert_eq!((proxy.host.as_str(), proxy.port), ("10.0.0.1", 3128));
        assert_eq!(proxy.authorization.as_deref(), Some("Basic a2lvc2s6cEBzcw=="));
        assert_eq!(proxy.to_string(), "http://10.0.0.1:3128");
        assert_eq!(format!("{proxy:?}"), "http://10.0.0.1:3128");
        assert_eq!(Proxy::parse("proxy.local").unwrap().port, 8080);
        for bad in
            ["", "https://a:1", "socks5://a", "http://a:1/x", "http://a b", "http://u%zz@a", "http://:80"]
        {
            assert!(Proxy::parse(bad).is_err(), "{bad}");
        }
    }
}
