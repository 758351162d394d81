//! Where a master is: parsing of addresses and of `Location` headers. Pure.

use std::fmt;
use std::str::FromStr;

/// The port a master listens on unless told otherwise.
pub const MASTER_PORT: u16 = 5050;

/// One master's address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    /// Name or IP address, without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

/// Why a text is no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Nothing there.
    #[error("an address is missing: give host:port")]
    Empty,
    /// A scheme this build cannot speak.
    #[error("'{0}' cannot be used here: give host:port or http://host:port, several separated by commas")]
    Scheme(String),
    /// The port is no number from 1 to 65535.
    #[error("'{0}' is no port in '{1}': give a number from 1 to 65535")]
    Port(String, String),
    /// The host has blanks or other characters no host has.
    #[error("'{0}' is no host name or IP address")]
    Host(String),
}

impl Endpoint {
    /// Parses a list separated by commas.
    pub fn parse_list(text: &str) -> Result<Vec<Endpoint>, AddressError> {
        if text.trim().is_empty() {
            return Err(AddressError::Empty);
        }
        text.split(',').map(|part| part.trim().parse()).collect()
    }

    /// The address in a redirect: `//host:port/path`, an absolute URL, or a bare `host:port`.
    pub fn from_location(location: &str) -> Result<Endpoint, AddressError> {
        location
            .trim()
            .strip_prefix("//")
            .unwrap_or(location.trim())
            .parse()
    }

    /// `host:port` as it stands in a URL (IPv6 in brackets).
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// `http://host:port`.
    pub fn url(&self) -> String {
        format!("http://{}", self.authority())
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.authority())
    }
}

impl FromStr for Endpoint {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Endpoint, AddressError> {
        let rest = match text.split_once("://") {
            Some(("http", rest)) => rest,
            Some((scheme, _)) => return Err(AddressError::Scheme(format!("{scheme}://"))),
            None => text,
        };
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        if authority.is_empty() {
            return Err(AddressError::Empty);
        }
        let (host, port) = split_port(authority);
        let port = match port {
            None => MASTER_PORT,
            Some(p) => p
                .parse()
                .ok()
                .filter(|n| *n != 0)
                .ok_or_else(|| AddressError::Port(p.to_owned(), text.to_owned()))?,
        };
        let plausible = |c: char| c.is_ascii_alphanumeric() || "-._:%".contains(c);
        if host.is_empty() || !host.chars().all(plausible) {
            return Err(AddressError::Host(host.to_owned()));
        }
        Ok(Endpoint {
            host: host.to_owned(),
            port,
        })
    }
}

fn split_port(authority: &str) -> (&str, Option<&str>) {
    if let Some(rest) = authority.strip_prefix('[')
        && let Some((host, tail)) = rest.split_once(']')
    {
        return (host, tail.strip_prefix(':'));
    }
    match authority.split_once(':') {
        // More than one colon and no brackets: a bare IPv6 address.
        Some((_, port)) if port.contains(':') => (authority, None),
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, want: &str) {
        let got = match text.parse::<Endpoint>() {
            Ok(e) => e.to_string(),
            Err(e) => format!("error: {e}"),
        };
        assert_eq!(got, want, "{text}");
    }

    #[test]
    fn addresses_are_read_in_all_their_spellings() {
        check("m1", "m1:5050");
        check("m1:6060", "m1:6060");
        check("http://m1:6060/", "m1:6060");
        check("10.0.0.1:5050", "10.0.0.1:5050");
        check("[::1]:5050", "[::1]:5050");
        check("::1", "[::1]:5050");
    }

    #[test]
    fn errors_name_the_part_that_is_wrong() {
        check(
            "m1:0",
            "error: '0' is no port in 'm1:0': give a number from 1 to 65535",
        );
        check(
            "m1:x",
            "error: 'x' is no port in 'm1:x': give a number from 1 to 65535",
        );
        check("m 1", "error: 'm 1' is no host name or IP address");
        check("", "error: an address is missing: give host:port");
        check(
            "zk://z1/mesos",
            "error: 'zk://' cannot be used here: give host:port or http://host:port, several separated by commas",
        );
    }

    #[test]
    fn redirects_are_scheme_relative_or_absolute() {
        let at = |l| Endpoint::from_location(l).map(|e| e.to_string());
        assert_eq!(at("//m2:5050/master/api/v1/scheduler"), Ok("m2:5050".into()));
        assert_eq!(at("http://m2:5051/x?y=z"), Ok("m2:5051".into()));
    }
}
