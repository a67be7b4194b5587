package configs

import "net/netip"

func sameAddr(a, b netip.AddrPort) bool { return a == b }
