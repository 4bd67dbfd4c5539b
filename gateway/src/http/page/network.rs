//! How the box stands in its network, by the kernel's own tables: its addresses, the way out, who answers
//! for names. Nothing is sent and nothing is changed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Addresses beyond loopback, gateways and name servers.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Network {
    /// Port and address.
    pub(super) addresses: Vec<(String, IpAddr)>,
    /// Port and the next hop of what is not near.
    pub(super) gateways: Vec<(String, IpAddr)>,
    /// Who is asked for names.
    pub(super) names: Vec<IpAddr>,
}

/// A row of the kernel's table of IPv4 routes.
struct Route {
    port: String,
    to: Ipv4Addr,
    mask: Ipv4Addr,
    by: Ipv4Addr,
}

impl Network {
    /// As it stands now; what cannot be read is not there.
    pub(super) fn read() -> Self {
        // `/proc/self/net`, because the unit sees no other part of `/proc`.
        let text = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        Self::of(
            &text("/proc/self/net/route"),
            &text("/proc/self/net/fib_trie"),
            &text("/proc/self/net/if_inet6"),
            &text("/proc/self/net/ipv6_route"),
            &text("/etc/resolv.conf"),
        )
    }

    fn of(route: &str, local: &str, inet6: &str, route6: &str, resolv: &str) -> Self {
        let routes: Vec<Route> = route.lines().skip(1).filter_map(route_of).collect();
        let port_of = |address: Ipv4Addr| {
            let near = |route: &&Route| {
                route.by.is_unspecified() && address & route.mask == route.to & route.mask
            };
            routes.iter().filter(near).max_by_key(|r| r.mask).map(|r| r.port.clone())
        };
        let mut addresses: Vec<(String, IpAddr)> = Vec::new();
        for address in locals(local).into_iter().filter(|address| !address.is_loopback()) {
            let one = (port_of(address).unwrap_or_default(), IpAddr::V4(address));
            if !addresses.contains(&one) {
                addresses.push(one);
            }
        }
        addresses.extend(inet6.lines().filter_map(address6));
        let mut gateways: Vec<(String, IpAddr)> = routes
            .iter()
            .filter(|route| route.mask.is_unspecified() && !route.by.is_unspecified())
            .map(|route| (route.port.clone(), IpAddr::V4(route.by)))
            .collect();
        gateways.extend(route6.lines().filter_map(gateway6));
        let names = resolv.lines().filter_map(|line| {
            let mut words = line.split_whitespace();
            words.next().filter(|word| *word == "nameserver")?;
            words.next()?.split('%').next()?.parse().ok()
        });
        Self { addresses, gateways, names: names.collect() }
    }
}

/// `eth0 00000000 0108A8C0 0003 …`: numbers as they lie in a little-endian machine's memory.
fn route_of(line: &str) -> Option<Route> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let number = |at: usize| {
        let number = u32::from_str_radix(words.get(at)?, 16).ok()?;
        Some(Ipv4Addr::from(number.to_ne_bytes()))
    };
    let port = (*words.first()?).to_owned();
    Some(Route { port, to: number(1)?, by: number(2)?, mask: number(7)? })
}

/// The addresses that the kernel itself answers: each stands above a line `/32 host LOCAL`.
fn locals(text: &str) -> Vec<Ipv4Addr> {
    let mut all = Vec::new();
    let mut last: Option<Ipv4Addr> = None;
    for line in text.lines().map(str::trim) {
        if let Some(address) = line.strip_prefix("|-- ") {
            last = address.parse().ok();
        } else if line.starts_with("/32 host LOCAL") {
            all.extend(last);
        }
    }
    all.sort_unstable();
    all.dedup();
    all
}

fn from_hex6(text: &str) -> Option<Ipv6Addr> {
    (text.len() == 32).then(|| u128::from_str_radix(text, 16).ok())?.map(Ipv6Addr::from)
}

/// `20010db8… 02 40 00 80 eth0`: address, index, prefix, scope, flags, port. Scope 0 leads beyond the link.
fn address6(line: &str) -> Option<(String, IpAddr)> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [address, _, _, "00", _, port] = words.as_slice() else { return None };
    Some(((*port).to_owned(), IpAddr::V6(from_hex6(address)?)))
}

/// A route to `::/0` with a next hop.
fn gateway6(line: &str) -> Option<(String, IpAddr)> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [to, "00", _, _, by, .., port] = words.as_slice() else { return None };
    let by = from_hex6(by).filter(|by| !by.is_unspecified())?;
    from_hex6(to)?.is_unspecified().then(|| ((*port).to_owned(), IpAddr::V6(by)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTE: &str =
        "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0
eth0\t0001A8C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0
usb0\t0002A8C0\t00000000\t0001\t0\t0\t101\t00FFFFFF\t0\t0\t0
";
    const LOCAL: &str = "Local:
  +-- 0.0.0.0/0 3 0 5
     |-- 127.0.0.0
        /8 host LOCAL
     |-- 127.0.0.1
        /32 host LOCAL
     +-- 192.168.1.0/24 2 0 1
        |-- 192.168.1.0
           /24 link UNICAST
        |-- 192.168.1.41
           /32 host LOCAL
        |-- 192.168.1.255
           /32 link BROADCAST
     |-- 192.168.2.1
        /32 host LOCAL
";
    const INET6: &str = "00000000000000000000000000000001 01 80 10 80       lo
20010db8000000000000000000000041 02 40 00 80     eth0
fe80000000000000020c29fffe123456 02 40 20 80     eth0
";
    const ROUTE6: &str = "20010db8000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0
00000000000000000000000000000000 00 00000000000000000000000000000000 00 fe800000000000000000000000000001 00000400 00000001 00000000 00000003     eth0
00000000000000000000000000000000 00 00000000000000000000000000000000 00 00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo
";

    #[test]
    fn the_kernel_s_tables_say_where_the_box_stands() {
        let resolv = "# by the net\nsearch lan\nnameserver 192.168.1.1\nnameserver fe80::1%eth0\n";
        let network = Network::of(ROUTE, LOCAL, INET6, ROUTE6, resolv);
        let port = |name: &str, text: &str| (name.to_owned(), text.parse().unwrap());
        let addresses = [
            port("eth0", "192.168.1.41"),
            port("usb0", "192.168.2.1"),
            port("eth0", "2001:db8::41"),
        ];
        assert_eq!(network.addresses, addresses);
        assert_eq!(network.gateways, [port("eth0", "192.168.1.1"), port("eth0", "fe80::1")]);
        assert_eq!(network.names, [IpAddr::from([192, 168, 1, 1]), "fe80::1".parse().unwrap()]);
        assert_eq!(
            Network::of("", "", "", "", ""),
            Network::default(),
            "nothing is known of nothing"
        );
        assert_eq!(
            Network::of("x\ny z", "|-- x\n/32 host LOCAL", "1 2", "3", "nameserver"),
            Network::default()
        );
    }
}
