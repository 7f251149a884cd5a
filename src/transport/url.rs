//! Web addresses, as narrow as a platform's base URL needs them.

use crate::time::clock::Origin;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// How a server is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// TLS.
    Https,
    /// In the clear; only where the configuration allows it.
    Http,
}

impl Scheme {
    fn default_port(self) -> u16 {
        match self {
            Scheme::Https => 443,
            Scheme::Http => 80,
        }
    }
}

/// An absolute address. Holds no user name, no password and no fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// `https` or `http`.
    pub scheme: Scheme,
    /// A name in lower case or an IP address, IPv6 without brackets.
    pub host: String,
    /// The port, given or implied.
    pub port: u16,
    /// From the first `/` on; at least `/`. May hold secrets: never logged.
    pub path_and_query: String,
}

impl Url {
    /// Reads `https://host[:port][/path][?query]`. The error is a clause that can follow the setting's name.
    pub fn parse(text: &str) -> Result<Url, String> {
        if text.bytes().any(|b| b <= b' ' || b == 0x7f) {
            return Err("contains a space or a control character".into());
        }
        if !text.is_ascii() {
            return Err(
                "contains a character outside ASCII: write it percent-encoded, or the host as xn--".into()
            );
        }
        let (scheme, rest) = match text.split_once("://") {
            Some((s, rest)) if s.eq_ignore_ascii_case("https") => (Scheme::Https, rest),
            Some((s, rest)) if s.eq_ignore_ascii_case("http") => (Scheme::Http, rest),
            _ => return Err("must begin with https:// or http://".into()),
        };
        if rest.contains('#') {
            return Err("must not contain a fragment (#)".into());
        }
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, tail) = rest.split_at(end);
        if authority.contains('@') {
            return Err("must not contain a user name or password (@)".into());
        }
        let (host, port) = parse_authority(authority, scheme.default_port())?;
        if tail.bytes().any(|b| matches!(b, b'\\' | b'"' | b'<' | b'>' | b'^' | b'`' | b'{' | b'|' | b'}')) {
            return Err("contains a character in its path or query that must be percent-encoded".into());
        }
        let path_and_query = if tail.starts_with('/') { tail.to_owned() } else { format!("/{tail}") };
        Ok(Url { scheme, host, port, path_and_query })
    }

    /// Whose clock answers come by.
    pub fn clock(&self) -> Origin<'_> {
        Origin { host: &self.host, port: self.port }
    }

    /// Whether both lead to the same server: scheme, host and port.
    pub fn same_origin(&self, other: &Url) -> bool {
        self.scheme == other.scheme && self.port == other.port && self.host == other.host
    }

    /// The server alone.
    pub(super) fn without_path(&self) -> Url {
        Url { scheme: self.scheme, host: self.host.clone(), port: self.port, path_and_query: String::new() }
    }

    /// `host` or `host:port`, as the `Host` header has it.
    pub fn authority(&self) -> String {
        if self.port != self.scheme.default_port() {
            return self.host_port();
        }
        match self.brackets() {
            ["", ""] => self.host.clone(),
            [open, close] => [open, &self.host, close].concat(),
        }
    }

    /// `host:port`, always with the port.
    pub(super) fn host_port(&self) -> String {
        let [open, close] = self.brackets();
        [open, &self.host, close, ":", &self.port.to_string()].concat()
    }

    /// What an IPv6 address stands between.
    fn brackets(&self) -> [&'static str; 2] {
        if self.host.contains(':') { ["[", "]"] } else { ["", ""] }
    }
}

/// Scheme, host and port. The path may hold secrets, so it is left out.
impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.scheme == Scheme::Https { "https://" } else { "http://" })?;
        f.write_str(&self.authority())
    }
}

/// Splits `host[:port]`, `[v6][:port]`.
pub(super) fn parse_authority(text: &str, default_port: u16) -> Result<(String, u16), String> {
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let (inside, after) = rest.split_once(']').ok_or("has a [ without a ]")?;
        let address: Ipv6Addr = inside.parse().map_err(|_| "has no IPv6 address between [ and ]")?;
        (address.to_string(), after)
    } else {
        let end = text.find(':').unwrap_or(text.len());
        let (host, after) = text.split_at(end);
        if host.is_empty() {
            return Err("has no host".into());
        }
        if host.parse::<IpAddr>().is_err() {
            let good = |label: &str| {
                !label.is_empty()
                    && label.len() <= 63
                    && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            };
            let name = host.strip_suffix('.').unwrap_or(host);
            if host.len() > 253 || !name.split('.').all(good) {
                return Err("has a host that is neither a name nor an IP address".into());
            }
            if name.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit())) {
                return Err("has a host that looks like an IP address but is none".into());
            }
        }
        (host.to_ascii_lowercase(), after)
    };
    let port = match port.strip_prefix(':') {
        None if port.is_empty() => default_port,
        Some(digits) if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => {
            digits.parse::<u16>().ok().filter(|p| *p > 0).ok_or("has a port outside 1 to 65535")?
        }
        _ => return Err("has something after the host that is no port".into()),
    };
    Ok((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_a_base_url_looks_like() {
        let url = Url::parse("https://Open.Example.com/api/v1?x=1").unwrap();
        assert_eq!((url.host.as_str(), url.port), ("open.example.com", 443));
        assert_eq!(url.path_and_query, "/api/v1?x=1");
        assert_eq!(url.authority(), "open.example.com");
        assert_eq!(Url::parse("https://a").unwrap().path_and_query, "/");
        assert_eq!(Url::parse("https://a?b=c").unwrap().path_and_query, "/?b=c");
        let url = Url::parse("http://[::1]:8080/x").unwrap();
        assert_eq!((url.host.as_str(), url.port, url.scheme), ("::1", 8080, Scheme::Http));
        assert_eq!(url.authority(), "[::1]:8080");
        assert_eq!(Url::parse("HTTPS://10.0.0.1:443").unwrap().authority(), "10.0.0.1");
        assert_eq!(url.to_string(), "http://[::1]:8080");
    }

    #[test]
    fn refuses_what_it_does_not_understand() {
        for bad in [
            "",
            "example.com",
            "ftp://a",
            "https://",
            "https://a b",
            "https://a/\r\nX: y",
            "https://u:p@a/",
            "https://a/#f",
            "https://a:0",
            "https://a:65536",
            "https://a:x",
            "https://[::1",
            "https://[1.2.3.4]",
            "https://1.2.3",
            "https://a..b",
            "https://a/{id}",
            "https://例子.cn",
            "https://a:",
            "https://-%2f",
        ] {
            assert!(Url::parse(bad).is_err(), "{bad}");
        }
    }
}
