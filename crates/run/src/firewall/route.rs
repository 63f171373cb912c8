//! Where the internet is: the interfaces of default routes (proc(5), `/proc/net/route` and `/proc/net/ipv6_route`).

use std::fs;

/// Names of interfaces that a default route leaves by. What cannot be read names none.
pub fn uplinks() -> Vec<String> {
    let read = |file: &str| fs::read_to_string(file).unwrap_or_default();
    let (four, six) = (read("/proc/net/route"), read("/proc/net/ipv6_route"));
    let mut found: Vec<String> =
        four.lines().filter_map(line4).chain(six.lines().filter_map(line6)).map(str::to_owned).collect();
    found.sort();
    found.dedup();
    found
}

/// Interface, destination, gateway, flags, three numbers, mask.
fn line4(line: &str) -> Option<&str> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let default = words.get(1) == Some(&"00000000") && words.get(7) == Some(&"00000000");
    words.first().copied().filter(|_| default)
}

/// Destination, its prefix, and eight more; the interface comes last. The kernel's own refusal is a route of `lo`.
fn line6(line: &str) -> Option<&str> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let default = words.first().is_some_and(|net| net.bytes().all(|digit| digit == b'0'))
        && words.get(1) == Some(&"00");
    words.last().copied().filter(|name| default && *name != "lo")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_routes_are_told_from_others() {
        assert_eq!(line4("eth0\t00000000\t0100000A\t0003\t0\t0\t0\t00000000\t0\t0\t0"), Some("eth0"));
        assert_eq!(line4("eth0\t0000000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0"), None);
        assert_eq!(line4("Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask"), None);
        let six = |net: &str, prefix: &str, name: &str| {
            format!("{net} {prefix} {0} 00 fd000000000000000000000000000001 400 1 0 3 {name}", "0".repeat(32))
        };
        let zero = "0".repeat(32);
        assert_eq!(line6(&six(&zero, "00", "eth0")), Some("eth0"));
        assert_eq!(line6(&six(&zero, "00", "lo")), None);
        assert_eq!(line6(&six(&zero, "80", "eth0")), None);
    }
}
