//! The rule itself, at the edges of its ranges.

use std::net::IpAddr;

use wharf_domain::ports::TrustClass;

use crate::addresses::Addresses;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn public(text: &str) -> bool {
    Addresses::default().is_allowed(ip(text), TrustClass::Caller)
}

#[test]
fn the_first_and_last_address_of_each_blocked_range_are_refused_and_their_neighbours_are_not() {
    // before, first, last, after; `-` where the neighbour is blocked as well
    let ranges = [
        ("-", "0.0.0.0", "0.255.255.255", "1.0.0.0"),
        ("9.255.255.255", "10.0.0.0", "10.255.255.255", "11.0.0.0"),
        (
            "100.63.255.255",
            "100.64.0.0",
            "100.127.255.255",
            "100.128.0.0",
        ),
        (
            "126.255.255.255",
            "127.0.0.0",
            "127.255.255.255",
            "128.0.0.0",
        ),
        (
            "169.253.255.255",
            "169.254.0.0",
            "169.254.255.255",
            "169.255.0.0",
        ),
        (
            "172.15.255.255",
            "172.16.0.0",
            "172.31.255.255",
            "172.32.0.0",
        ),
        ("191.255.255.255", "192.0.0.0", "192.0.0.255", "192.0.1.0"),
        ("192.0.1.255", "192.0.2.0", "192.0.2.255", "192.0.3.0"),
        (
            "192.88.98.255",
            "192.88.99.0",
            "192.88.99.255",
            "192.88.100.0",
        ),
        (
            "192.167.255.255",
            "192.168.0.0",
            "192.168.255.255",
            "192.169.0.0",
        ),
        (
            "198.17.255.255",
            "198.18.0.0",
            "198.19.255.255",
            "198.20.0.0",
        ),
        (
            "198.51.99.255",
            "198.51.100.0",
            "198.51.100.255",
            "198.51.101.0",
        ),
        (
            "203.0.112.255",
            "203.0.113.0",
            "203.0.113.255",
            "203.0.114.0",
        ),
        ("223.255.255.255", "224.0.0.0", "239.255.255.255", "-"),
        ("-", "240.0.0.0", "255.255.255.255", "-"),
        (
            "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            "::",
            "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            "2000::",
        ),
        (
            "2000:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            "2001::",
            "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff",
            "2001:200::",
        ),
        (
            "2001:db7:ffff:ffff:ffff:ffff:ffff:ffff",
            "2001:db8::",
            "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
            "2001:db9::",
        ),
        (
            "2001:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            "2002::",
            "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            "2003::",
        ),
        (
            "3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            "3fff::",
            "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff",
            "3fff:1000::",
        ),
        (
            "3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            "4000::",
            "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            "-",
        ),
    ];
    for (row, (before, first, last, after)) in ranges.into_iter().enumerate() {
        assert!(!public(first), "{first}");
        assert!(!public(last), "{last}");
        // Row 15 is everything below the global block: what is before it is itself.
        for neighbour in [before, after] {
            if neighbour != "-" && !(row == 15 && neighbour == before) {
                assert!(public(neighbour), "{neighbour}");
            }
        }
    }
}

#[test]
fn addresses_that_lead_back_into_ipv4_are_judged_as_such_or_refused() {
    for hidden in [
        "::ffff:127.0.0.1",
        "::ffff:a00:1",
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::808:808",
        "64:ff9b:1::7f00:1",
        "2002:7f00:1::",
        "2001:0:7f00:1::",
        "::1",
        "fe80::1",
        "fc00::1",
        "fd00:ec2::254",
        "ff02::1",
    ] {
        assert!(!public(hidden), "{hidden}");
    }
    assert!(public("::ffff:8.8.8.8"));
    assert!(public("2606:4700:4700::1111"));
}

#[test]
fn the_operators_exceptions_are_for_callers_and_loopback_is_for_the_hub() {
    let addresses = Addresses::new(vec![
        "192.168.7.0/24".parse().unwrap(),
        "fd00::/8".parse().unwrap(),
    ]);
    let allowed = |text, trust| addresses.is_allowed(ip(text), trust);
    assert!(allowed("192.168.7.9", TrustClass::Caller));
    assert!(allowed("::ffff:192.168.7.9", TrustClass::Caller));
    assert!(allowed("fd12::1", TrustClass::Caller));
    assert!(!allowed("192.168.8.1", TrustClass::Caller));
    assert!(!allowed("127.0.0.1", TrustClass::Caller));

    assert!(allowed("127.0.0.1", TrustClass::Hub));
    assert!(allowed("::1", TrustClass::Hub));
    assert!(allowed("::ffff:127.0.0.1", TrustClass::Hub));
    for elsewhere in ["8.8.8.8", "192.168.7.9", "169.254.169.254", "0.0.0.0"] {
        assert!(!allowed(elsewhere, TrustClass::Hub), "{elsewhere}");
    }
}
