package sip

import (
	"net/netip"
	"strconv"
	"strings"
	"time"

	sipmsg "github.com/emiago/sipgo/sip"
)

// What a registrar answers, taken apart (RFC 3261 10.2.4).

const (
	statusIntervalTooBrief = 423 // RFC 3261 21.4.17

	// maxExpires bounds every time that a registrar names.
	maxExpires = 7 * 24 * time.Hour
	// maxRetryAfter bounds how long a registrar can send us away: one that is
	// wrong about itself must not silence us for good.
	maxRetryAfter = time.Hour
)

// ownership says which of the Contacts in a response are ours: those with our
// token, and those at our address. Seen is where the registrar saw us; some
// write that instead.
type ownership struct {
	token, user  string
	sentBy, seen netip.AddrPort
	contact      string // without the token
}

// granted returns for how long the registrar keeps our Contact: its expires
// parameter, else the Expires header, else what was asked for. It is false if
// our Contact is not listed, or for no time.
func granted(res *sipmsg.Response, own ownership, asked time.Duration) (time.Duration, bool) {
	fallback := asked
	if d, ok := seconds(header(res, "expires")); ok {
		fallback = d
	}
	for _, name := range []string{"contact", "m"} {
		for _, h := range headersOf(res, name) {
			for _, value := range splitQuoted(h.Value(), ',') {
				uri, expires := contactParts(value)
				if !own.of(uri) {
					continue
				}
				d, ok := seconds(expires)
				if !ok {
					d = fallback
				}
				return d, d > 0
			}
		}
	}
	return 0, false
}

// contactParts are the URI of one Contact, and its expires parameter as it
// stands there.
func contactParts(value string) (uri, expires string) {
	parts := splitQuoted(value, ';')
	uri = strings.TrimSpace(parts[0])
	if i, j := strings.LastIndexByte(uri, '<'), strings.LastIndexByte(uri, '>'); i >= 0 && j > i {
		uri = uri[i+1 : j]
	}
	for _, p := range parts[1:] {
		if k, v, _ := strings.Cut(p, "="); strings.EqualFold(strings.TrimSpace(k), "expires") {
			expires = unquote(strings.TrimSpace(v))
		}
	}
	return uri, expires
}

// of reports whether a URI is our Contact.
func (o ownership) of(uri string) bool {
	u, err := parseURI(uri)
	if err != nil {
		return false
	}
	if token, ok := param(u.UriParams, tokenParam); ok {
		return token == o.token
	}
	if userOf(u.User) != o.user {
		return false
	}
	port := u.Port
	if port == 0 {
		port = sipmsg.DefaultUdpPort
	}
	at, err := netip.ParseAddrPort(hostPort(u.Host, port))
	return err == nil && (at == o.sentBy || at == o.seen)
}

// seenAt is where the registrar says that our request came from (RFC 3581).
func seenAt(res *sipmsg.Response) netip.AddrPort {
	v := res.Via()
	if v == nil {
		return netip.AddrPort{}
	}
	host, _ := param(v.Params, "received")
	if host == "" {
		host = v.Host
	}
	rport, _ := param(v.Params, "rport")
	port, err := strconv.ParseUint(rport, 10, 16)
	ip, ipErr := netip.ParseAddr(host)
	if err != nil || ipErr != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(ip.Unmap(), uint16(port))
}

// retryAfterOf reads Retry-After (RFC 3261 20.33); 0 without one.
func retryAfterOf(res *sipmsg.Response) time.Duration {
	value := header(res, "retry-after")
	if i := strings.IndexAny(value, "(;"); i >= 0 { // a comment, or a parameter
		value = value[:i]
	}
	d, _ := seconds(value)
	return min(d, maxRetryAfter)
}

// seconds reads delta-seconds, at most maxExpires.
func seconds(s string) (time.Duration, bool) {
	n, err := strconv.ParseUint(strings.TrimSpace(s), 10, 32)
	if err != nil {
		return 0, false
	}
	return min(time.Duration(n)*time.Second, maxExpires), true
}
