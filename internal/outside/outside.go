// Package outside speaks HTTP to addresses that strangers name: where events
// are to be told, where a sound is to be fetched. It reaches public addresses
// only, so that nobody makes this server ask the machines beside it.
//
// The address is looked at where the connection is made, after the name was
// resolved: a name that points elsewhere the second time gains nothing, nor does
// a redirect.
package outside

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"syscall"
	"time"
)

// ErrPrivate is about an address that is not public.
var ErrPrivate = errors.New("the address is not public")

// Limits of connections.
const (
	dialTimeout   = 5 * time.Second
	tlsTimeout    = 5 * time.Second
	headerTimeout = 20 * time.Second // until an answer begins
	idleTimeout   = 30 * time.Second
	maxHeader     = 32 << 10
	maxURL        = 2048 // bytes
)

// Policy says which addresses may be reached beside the public ones.
type Policy struct {
	Allow []netip.Prefix
}

// Client returns a client that keeps to the policy. It uses no proxy, which
// would resolve names by itself, and follows up to so many redirects; none: the
// answer is the redirect. Its transport is to be closed with
// CloseIdleConnections.
func (p Policy) Client(redirects int) *http.Client {
	dialer := &net.Dialer{Timeout: dialTimeout, Control: p.control}
	return &http.Client{
		Transport: &http.Transport{
			DialContext: dialer.DialContext, TLSHandshakeTimeout: tlsTimeout, ResponseHeaderTimeout: headerTimeout,
			IdleConnTimeout: idleTimeout, MaxIdleConns: 100, MaxIdleConnsPerHost: 4, MaxResponseHeaderBytes: maxHeader, ForceAttemptHTTP2: true,
		},
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if len(via) > redirects {
				if redirects == 0 {
					return http.ErrUseLastResponse
				}
				return fmt.Errorf("more than %d redirects", redirects)
			}
			return checkURL(r.URL)
		},
	}
}

// control looks at the address that is about to be connected to.
func (p Policy) control(_, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("connect to %s: %w", address, err)
	}
	if !p.allows(at.Addr()) {
		return fmt.Errorf("connect to %s: %w", at.Addr(), ErrPrivate)
	}
	return nil
}

func (p Policy) allows(addr netip.Addr) bool {
	addr = addr.Unmap()
	return Public(addr) || slices.ContainsFunc(p.Allow, func(n netip.Prefix) bool { return n.Contains(addr) })
}

// Check says what is wrong with a URL that a stranger names: whether it is one
// of http or https, and, where its host is an address, whether that is public. A
// host name is looked at when it is connected to.
func (p Policy) Check(raw string) error {
	if len(raw) > maxURL {
		return fmt.Errorf("is longer than %d bytes", maxURL)
	}
	u, err := url.Parse(raw)
	if err != nil {
		return errors.New("is no URL")
	}
	if err := checkURL(u); err != nil {
		return err
	}
	if addr, err := netip.ParseAddr(u.Hostname()); err == nil && !p.allows(addr) {
		return fmt.Errorf("%w; only public ones may be named", ErrPrivate)
	}
	return nil
}

func checkURL(u *url.URL) error {
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return errors.New("must begin with https:// or http://")
	case u.Hostname() == "":
		return errors.New("has no host")
	case u.User != nil:
		return errors.New("must hold no password")
	}
	return nil
}

// special are addresses that are global unicast and yet not public (RFC 6890
// and IANA's registries of special-purpose addresses), or that hold an IPv4
// address which may be any.
var special = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("192.88.99.0/24"), netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("::/96"), netip.MustParsePrefix("64:ff9b::/96"), netip.MustParsePrefix("64:ff9b:1::/48"), netip.MustParsePrefix("100::/64"),
	netip.MustParsePrefix("2001::/23"), netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("2002::/16"), netip.MustParsePrefix("3fff::/20"),
	netip.MustParsePrefix("5f00::/16"), netip.MustParsePrefix("fec0::/10"),
}

// Public reports whether an address can be reached from anywhere.
func Public(addr netip.Addr) bool {
	addr = addr.Unmap()
	if !addr.IsGlobalUnicast() || addr.IsPrivate() || addr.Zone() != "" {
		return false
	}
	return !slices.ContainsFunc(special, func(p netip.Prefix) bool { return p.Contains(addr) })
}
