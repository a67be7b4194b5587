package sip

import (
	"bytes"
	"io"
	"strings"

	sipmsg "github.com/emiago/sipgo/sip"
	"github.com/icholy/digest"
)

const (
	// maxStale bounds how often a server may call its own nonce stale.
	maxStale = 3
	// maxChallenge bounds, in bytes, what of a server's we would have to repeat
	// in every request.
	maxChallenge = 4 << 10
)

// login answers the digest challenges to one request (RFC 3261 22, RFC 8760).
type login struct {
	user, password string
	proxy, origin  challenge
}

// challenge is the one that was chosen, of a proxy or of the far end.
type challenge struct {
	chosen *digest.Challenge
	count  int // how often its nonce was used
	tries  int
	stale  int
}

// challenged takes a 401 or 407. It is false where there is nothing to answer
// with: no password, no algorithm we know, or our answer was refused before.
func (l *login) challenged(res *sipmsg.Response) bool {
	if l.user == "" || l.password == "" {
		return false
	}
	c, name := l.challenger(res)
	chosen := choose(res, name)
	if chosen == nil {
		return false
	}
	if c.tries > 0 {
		if c.stale++; !chosen.Stale || c.stale > maxStale {
			return false
		}
	}
	c.tries++
	if c.chosen == nil || c.chosen.Nonce != chosen.Nonce {
		c.count = 0
	}
	c.chosen = chosen
	return true
}

// renew prepares for another request of the same kind: the last nonces are used
// on, so that it need not be challenged, and may be refused once again.
func (l *login) renew() {
	for _, c := range []*challenge{&l.origin, &l.proxy} {
		c.tries, c.stale = 0, 0
	}
}

// used reports whether a password was asked for.
func (l *login) used() bool { return l.origin.chosen != nil || l.proxy.chosen != nil }

// forget drops nonces that were answered in vain.
func (l *login) forget() { l.origin, l.proxy = challenge{}, challenge{} }

// follow takes the nonce that a server wants to be used next (RFC 7616 3.5).
func (l *login) follow(res *sipmsg.Response) {
	for _, one := range []struct {
		c    *challenge
		name string
	}{{&l.origin, "authentication-info"}, {&l.proxy, "proxy-authentication-info"}} {
		next := digestValue(header(res, one.name), "nextnonce")
		if one.c.chosen == nil || next == "" || len(next) > maxChallenge || next == one.c.chosen.Nonce {
			continue
		}
		renewed := *one.c.chosen
		renewed.Nonce = next
		one.c.chosen, one.c.count = &renewed, 0
	}
}

// digestValue returns one name=value of a comma list, without its quotes.
func digestValue(list, name string) string {
	for _, item := range splitQuoted(list, ',') {
		if k, v, _ := strings.Cut(item, "="); strings.EqualFold(strings.TrimSpace(k), name) {
			return unquote(strings.TrimSpace(v))
		}
	}
	return ""
}

// answerable reports whether a 401 or 407 has a challenge of a kind we know.
func (l *login) answerable(res *sipmsg.Response) bool {
	_, name := l.challenger(res)
	return choose(res, name) != nil
}

// oversized reports whether a 401 or 407 has only challenges that are too large
// to be answered.
func (l *login) oversized(res *sipmsg.Response) bool {
	_, name := l.challenger(res)
	for _, h := range headersOf(res, name) {
		if len(h.Value()) > maxChallenge {
			return choose(res, name) == nil
		}
	}
	return false
}

// challenger is who asks, and in which header.
func (l *login) challenger(res *sipmsg.Response) (c *challenge, name string) {
	if res.StatusCode == sipmsg.StatusProxyAuthRequired {
		return &l.proxy, "proxy-authenticate"
	}
	return &l.origin, "www-authenticate"
}

// sign adds the credentials to a request that has its final form.
func (l *login) sign(req *sipmsg.Request) error {
	for _, one := range []struct {
		c    *challenge
		name string
	}{{&l.origin, "Authorization"}, {&l.proxy, "Proxy-Authorization"}} {
		if one.c.chosen == nil {
			continue
		}
		one.c.count++
		cred, err := digest.Digest(one.c.chosen, digest.Options{
			Method: string(req.Method), URI: req.Recipient.String(),
			Username: l.user, Password: l.password, Count: one.c.count,
			GetBody: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(req.Body())), nil },
		})
		if err != nil {
			return err
		}
		req.AppendHeader(sipmsg.NewHeader(one.name, cred.String()))
	}
	return nil
}

// choose returns the first challenge we can answer: servers name the one they
// like best first.
func choose(res *sipmsg.Response, name string) *digest.Challenge {
	for _, h := range headersOf(res, name) {
		for _, value := range challenges(h.Value()) {
			if len(value) > maxChallenge {
				continue
			}
			c, err := digest.ParseChallenge(value)
			if err != nil {
				continue
			}
			for i, q := range c.QOP {
				c.QOP[i] = strings.ToLower(strings.TrimSpace(q))
			}
			if digest.CanDigest(c) {
				return c
			}
		}
	}
	return nil
}

// challenges splits a header value that holds several: a new one begins where
// a list item starts with a scheme instead of name=value.
func challenges(value string) []string {
	var out []string
	for _, item := range splitQuoted(value, ',') {
		item = strings.TrimSpace(item)
		name, _, _ := strings.Cut(item, "=")
		if len(out) == 0 || strings.ContainsAny(strings.TrimSpace(name), " \t") {
			out = append(out, item)
			continue
		}
		out[len(out)-1] += ", " + item
	}
	return out
}
