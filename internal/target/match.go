package target

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// keyValue checks KEY:VALUE with any number of levels between them.
func keyValue(s, delimiter string) string {
	key, _, found := strings.Cut(s, delimiter)
	switch {
	case !found:
		return fmt.Sprintf("%q has no %q between a key and a value", s, delimiter)
	case strings.TrimSpace(key) == "":
		return fmt.Sprintf("%q has no key before its first %q", s, delimiter)
	}
	return ""
}

// maxLevels is how many ways to cut an expression are tried. One with more levels is left to Salt.
const maxLevels = 50

// keyRegex checks KEY:REGEX. The delimiter may also stand in the expression, so it is enough that one way to cut it makes sense.
func keyRegex(s, delimiter string) string {
	if p := keyValue(s, delimiter); p != "" {
		return p
	}
	first := ""
	rest := s
	for range maxLevels {
		_, after, found := strings.Cut(rest, delimiter)
		if !found {
			return first
		}
		p := regex(after)
		if p == "" {
			return ""
		}
		if first == "" {
			first = p
		}
		rest = after
	}
	return ""
}

// ipcidr checks an address or a network as Python's ipaddress reads them.
func ipcidr(s string) string {
	addr, bits, isNet := strings.Cut(s, "/")
	ip, err := netip.ParseAddr(addr)
	if err != nil {
		return fmt.Sprintf("%q is neither an IP address nor a network", s)
	}
	if !isNet {
		return ""
	}
	n, ok := prefixLength(ip, bits)
	if !ok {
		return fmt.Sprintf("%q is no network: %q is not a prefix length of an IPv%d address", s, bits, version(ip))
	}
	prefix, err := ip.WithZone("").Prefix(n)
	if err != nil {
		return fmt.Sprintf("%q is no network", s)
	}
	if prefix.Addr() != ip.WithZone("") {
		return fmt.Sprintf("%q has bits set behind its prefix, which Salt refuses; the network is %q", s, prefix)
	}
	return ""
}

func version(ip netip.Addr) int {
	if ip.Is4() {
		return 4
	}
	return 6
}

// prefixLength reads 24, or for IPv4 also 255.255.255.0 and 0.0.0.255.
func prefixLength(ip netip.Addr, s string) (int, bool) {
	if s != "" && strings.Trim(s, "0123456789") == "" {
		n, err := strconv.Atoi(s)
		return n, err == nil && n <= ip.BitLen()
	}
	mask, err := netip.ParseAddr(s)
	if err != nil || !mask.Is4() || !ip.Is4() {
		return 0, false
	}
	b := mask.As4()
	m := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
	for n := range 33 {
		net := ^uint32(0) << (32 - n)
		if m == net || m == ^net {
			return n, true
		}
	}
	return 0, false
}
