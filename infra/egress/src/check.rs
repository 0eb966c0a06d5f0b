//! What a URL must look like. Judged before every request, and when a webhook is created.
//!
//! The parsed URL goes to the HTTP client as it is: were it parsed twice, two parsers could disagree
//! about its host.

use std::net::{IpAddr, Ipv4Addr};

use url::{Host, Url};
use wharf_domain::ports::{HttpError, TrustClass};

use crate::addresses::Addresses;

/// Ports of other protocols, which must not be spoken to in HTTP: the list of the Fetch standard
/// (<https://fetch.spec.whatwg.org/#port-blocking>), and 0. Sorted.
const OTHER_PROTOCOLS: &[u16] = &[
    0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101,
    102, 103, 104, 109, 110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427,
    465, 512, 513, 514, 515, 526, 530, 531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990,
    993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667,
    6668, 6669, 6679, 6697, 10080,
];

/// Parses `url` and judges all that can be judged without a resolver.
pub(crate) fn check(url: &str, trust: TrustClass, addresses: &Addresses) -> Result<Url, HttpError> {
    // The parser's messages are fixed texts; they repeat nothing of the URL.
    let url = Url::parse(url).map_err(|error| HttpError::BadUrl(error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(HttpError::BadUrl("the scheme is http or https".to_owned()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(HttpError::BadUrl(
            "user and password do not belong in a URL; use a header".to_owned(),
        ));
    }
    let host = url
        .host()
        .ok_or_else(|| HttpError::BadUrl("the host is missing".to_owned()))?;
    let (ip, shown) = match host {
        // The parser has made `2130706433`, `0x7f.1` and full-width digits the address they mean.
        Host::Ipv4(ip) => (Some(IpAddr::V4(ip)), ip.to_string()),
        Host::Ipv6(ip) => (Some(IpAddr::V6(ip)), ip.to_string()),
        // Loopback whatever a resolver says (RFC 6761 §6.3).
        Host::Domain(name) if is_localhost(name) => {
            (Some(Ipv4Addr::LOCALHOST.into()), "localhost".to_owned())
        }
        Host::Domain(_) => (None, String::new()),
    };
    if ip.is_some_and(|ip| !addresses.is_allowed(ip, trust)) {
        return Err(HttpError::Blocked(match trust {
            TrustClass::Caller => format!("{shown} is not a public address"),
            TrustClass::Hub => format!("{shown} is not a loopback address"),
        }));
    }
    let port = url.port_or_known_default().unwrap_or(0);
    if OTHER_PROTOCOLS.binary_search(&port).is_ok() {
        return Err(HttpError::Blocked(format!(
            "port {port} belongs to another protocol"
        )));
    }
    Ok(url)
}

fn is_localhost(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    name == "localhost" || name.ends_with(".localhost")
}
