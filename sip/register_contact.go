package sip

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"

	sipmsg "github.com/emiago/sipgo/sip"
)

// tokenParam is the URI parameter of our Contact that a call to it is
// recognised by. Phones have named it so for long, and proxies let it be.
const (
	tokenParam = "line"
	tokenBytes = 16
)

// contactToken is unguessable for who has not seen the trunk's REGISTER, and
// the same after a restart: the new process then replaces the registration of
// the old one, where it would be one device more.
func contactToken(t *Trunk, secret []byte) string {
	key := secret
	if t.Password != "" {
		key = []byte(t.Password)
	}
	mac := hmac.New(sha256.New, key)
	for _, part := range []string{"contact", t.Name, t.Username, t.Domain, t.Host} {
		_, _ = mac.Write([]byte(strconv.Quote(part)))
	}
	return hex.EncodeToString(mac.Sum(nil)[:tokenBytes])
}

// named is a Contact of ours with the trunk's token.
func (t *trunk) named(contact string) string {
	return strings.TrimSuffix(contact, ">") + ";" + tokenParam + "=" + t.token + ">"
}

// addressee is the trunk whose registered Contact a request is sent to, nil if
// it is none.
func (d *directory) addressee(token string) *trunk {
	if token == "" {
		return nil
	}
	var found *trunk
	for _, t := range d.trunks() {
		if t.token != "" && subtle.ConstantTimeCompare([]byte(t.token), []byte(token)) == 1 {
			found = t
		}
	}
	return found
}

// expected reports whether a packet is addressed to a registered Contact: then
// it comes from the provider, from whatever address. It sees what anybody
// sends.
func (a *Agent) expected(p []byte) bool {
	return len(a.peers.trunks()) > 0 && a.peers.addressee(sniffToken(p)) != nil
}

// sniffToken returns the token in the Request-URI of an unparsed request, empty
// without one.
func sniffToken(p []byte) string {
	line, _, ok := bytes.Cut(p, crlf)
	if !ok {
		return ""
	}
	_, rest, found := bytes.Cut(line, []byte(";"+tokenParam+"="))
	if !found {
		return ""
	}
	if i := bytes.IndexAny(rest, ";? \t"); i >= 0 {
		rest = rest[:i]
	}
	if len(rest) != 2*tokenBytes {
		return ""
	}
	return string(rest)
}

// whose says whose a request is: that of the trunk whose registered Contact it
// is sent to, else as match says. Where several trunks share an address, those
// whose user name it is sent to come before the others: a provider that does
// not keep the parameters of a Contact keeps its user.
func (a *Agent) whose(req *sipmsg.Request) (trunks []string, ext string) {
	token, _ := param(req.Recipient.UriParams, tokenParam)
	if t := a.peers.addressee(token); t != nil {
		return []string{t.Name}, ""
	}
	trunks, ext = a.peers.match(sourceOf(req), userOf(req.From().Address.User))
	user := uriUser(&req.Recipient)
	named := slices.DeleteFunc(slices.Clone(trunks), func(name string) bool {
		t := a.peers.trunk(name)
		return t == nil || !t.Register || t.Username != user
	})
	if len(named) > 0 {
		return named, ""
	}
	return trunks, ext
}
