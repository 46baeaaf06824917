//! Which addresses a site that is called by a name may have: public ones alone. They are looked at where they are
//! looked up to connect, every time, so what was looked at is what is connected to.
//!
//! Not here: an origin that is an address itself, which nobody looks up, and `localhost`, which is this machine
//! whatever a name server says (`client`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Looks names up as the machine does, and refuses an answer with an address that is not public, but for the
/// proxy: whoever set its name meant it. Through one nothing else is connected to, and the proxy looks the
/// site up.
pub(crate) struct PublicAddresses {
    /// The proxy's name, if there is a proxy that has one.
    pub(crate) proxy: Option<String>,
}

/// An answer that may not be connected to.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{name} has the address {address}, which is not a public one: nothing is asked there, unless the origin is set to that address"
)]
struct NotPublic {
    name: String,
    address: IpAddr,
}

impl Resolve for PublicAddresses {
    fn resolve(&self, name: Name) -> Resolving {
        let is_proxy = self.proxy.as_deref() == Some(name.as_str());
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            if is_proxy {
                return Ok(Box::new(found.collect::<Vec<_>>().into_iter()) as Addrs);
            }
            let public = all_public(name.as_str(), found)?;
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}

/// One that is not is enough: who may put it there may put it first.
fn all_public(
    name: &str,
    found: impl Iterator<Item = SocketAddr>,
) -> Result<Vec<SocketAddr>, NotPublic> {
    found
        .map(|address| match address.ip() {
            ip if is_public(ip) => Ok(address),
            ip => Err(NotPublic {
                name: name.to_owned(),
                address: ip,
            }),
        })
        .collect()
}

/// Whether it is an address of one machine that the whole internet can mean (IANA's registries of special
/// purpose addresses, RFC 6890).
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = match a {
        // This network, private, loopback, multicast, reserved.
        0 | 10 | 127 | 224.. => true,
        // Behind a provider's address translation.
        100 => (64..128).contains(&b),
        169 => b == 254,
        172 => (16..32).contains(&b),
        // Private, protocols, examples.
        192 => b == 168 || (b == 0 && (c == 0 || c == 2)),
        // Benchmarks, examples.
        198 => b == 18 || b == 19 || (b == 51 && c == 100),
        203 => b == 0 && c == 113,
        _ => false,
    };
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let bits = address.to_bits();
    let (first, second) = (bits >> 112, bits >> 96 & 0xffff);
    // The way from networks without IPv4 to an IPv4 address, which stands at its end.
    if bits >> 32 == 0x64_ff9b << 64 {
        return is_public_v4(Ipv4Addr::from_bits(bits as u32));
    }
    // Of 2000::/3, all that is given out; outside it are ::, ::1, IPv4 in other clothes, fc00::, fe80:: and ff00::.
    let given_out = (0x2000..0x4000).contains(&first);
    let special = match first {
        // Protocols (Teredo among them), examples.
        0x2001 => second < 0x200 || second == 0xdb8,
        // 6to4: any IPv4 address.
        0x2002 => true,
        0x3fff => second < 0x1000,
        _ => false,
    };
    given_out && !special
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The edges of each block, and what is just beyond them.
    const PUBLIC: &str = "
        1.0.0.0 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.0
        169.253.255.255 169.255.0.0 172.15.255.255 172.32.0.0 192.0.1.0 192.0.3.0
        192.167.255.255 192.169.0.0 198.17.255.255 198.20.0.0 203.0.114.0 223.255.255.255
        64:ff9b::8.8.8.8 2001:200::1 2400:cb00::1 2a00:1450::1 3fff:1000::1";
    const SPECIAL: &str = "
        0.0.0.0 0.255.255.255 10.0.0.0 10.255.255.255 100.64.0.0 100.127.255.255 127.0.0.1
        127.255.255.255 169.254.169.254 172.16.0.0 172.31.255.255 192.0.0.8 192.0.2.1
        192.168.0.1 198.18.0.0 198.19.255.255 198.51.100.1 203.0.113.1 224.0.0.1 239.255.255.255
        240.0.0.0 255.255.255.255 :: ::1 ::8.8.8.8 ::ffff:127.0.0.1 ::ffff:8.8.8.8
        64:ff9b::10.0.0.1 64:ff9b:1::8.8.8.8 100::1 1fff:ffff::1 2001::1 2001:1ff:ffff::1
        2001:db8::1 2002:808:808::1 3fff:fff::1 4000::1 fc00::1 fdff::1 fe80::1 fec0::1 ff02::1";

    #[test]
    fn the_internets_addresses_are_public_and_no_others() {
        for (all, public) in [(PUBLIC, true), (SPECIAL, false)] {
            assert!(all.split_whitespace().count() > 20);
            for text in all.split_whitespace() {
                assert_eq!(is_public(text.parse().unwrap()), public, "{text}");
            }
        }
    }

    #[test]
    fn one_address_that_is_not_public_refuses_the_answer() {
        let look = |all: &[&str]| {
            let found: Vec<SocketAddr> = all.iter().map(|one| one.parse().unwrap()).collect();
            all_public("tiki.vn", found.into_iter()).map(|found| found.len())
        };
        assert_eq!(look(&["8.8.8.8:0", "[2400:cb00::1]:0"]), Ok(2));
        for all in [
            &["10.0.0.1:0", "8.8.8.8:0"][..],
            &["8.8.8.8:0", "10.0.0.1:0"],
        ] {
            let error = look(all).unwrap_err();
            assert!(
                error
                    .to_string()
                    .contains("tiki.vn has the address 10.0.0.1"),
                "{error}"
            );
        }
    }
}
