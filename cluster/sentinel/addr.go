package sentinel

import (
	"net/netip"
	"strconv"
	"strings"
)

// Addr is where an instance is. The host is an IP address or a name, as it was
// written; what it resolves to is an attribute.
type Addr struct {
	Host string
	Port uint16 // 0: not known
}

// String is the address as a replica is named: an IPv6 address in brackets.
func (a Addr) String() string {
	port := strconv.Itoa(int(a.Port))
	if strings.Contains(a.Host, ":") {
		return "[" + a.Host + "]:" + port
	}
	return a.Host + ":" + port
}

// ip is the IP address of a host, empty if it is a name that has not been
// resolved.
func (n *Node) ip(host string) string {
	if a, err := netip.ParseAddr(host); err == nil {
		return a.String()
	}
	return n.resolved[strings.ToLower(host)]
}

// sameHost reports whether two hosts are one, by address or, as long as one of
// them is not resolved, by name (sentinelAddrEqualsHostname).
func (n *Node) sameHost(a, b string) bool {
	if strings.EqualFold(a, b) {
		return true
	}
	ip := n.ip(a)
	return ip != "" && ip == n.ip(b)
}

// same reports whether two addresses are one.
func (n *Node) same(a, b Addr) bool { return a.Port == b.Port && n.sameHost(a.Host, b.Host) }

// announced is an address as others are told: by name or, if it is known, by IP
// address (announceSentinelAddr).
func (n *Node) announced(a Addr) Addr {
	if n.cfg.AnnounceHostnames {
		return a
	}
	if ip := n.ip(a.Host); ip != "" {
		a.Host = ip
	}
	return a
}

// validHost reports whether host may be an address: an IP address or, with
// resolve-hostnames, a name. What passes may be written into a line of the
// configuration file.
func (n *Node) validHost(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil {
		return !strings.Contains(host, "%") // a zone may be any text
	}
	return n.cfg.ResolveHostnames && validHostname(host)
}

func validHostname(host string) bool {
	if host == "" || len(host) > 253 {
		return false
	}
	for i := 0; i < len(host); i++ {
		c := host[i]
		if !isAlphanumeric(c) && c != '.' && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

func isAlphanumeric(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// validID reports whether id is 40 hexadecimal digits.
func validID(id string) bool {
	if len(id) != idLen {
		return false
	}
	for i := 0; i < len(id); i++ {
		if !strings.Contains("0123456789abcdefABCDEF", id[i:i+1]) {
			return false
		}
	}
	return true
}

// idLen is the length of the id of a Sentinel and of a run id.
const idLen = 40

// validName reports whether a master may be called so: the name stands in lines
// of the configuration file, and between commas in hellos.
func validName(name string) bool {
	for i := 0; i < len(name); i++ {
		if c := name[i]; c <= ' ' || c == 0x7f || strings.IndexByte(`,"'#`, c) >= 0 {
			return false
		}
	}
	return name != ""
}
