package configs

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// shortKey is the length in bytes below which an API key can be guessed.
const shortKey = 16

// Warnings returns what is allowed in a valid configuration and yet is likely
// not meant or a risk. Each is a sentence that begins with the path of the
// key.
func (c *Config) Warnings() []string {
	var w []string
	add := func(format string, args ...any) { w = append(w, fmt.Sprintf(format, args...)) }
	for i := range c.HTTP.Keys {
		if k := &c.HTTP.Keys[i]; len(k.Key.Reveal()) < shortKey {
			add("http.keys[%d].key: the key of %s has fewer than %d characters and can be guessed", i, k.Name, shortKey)
		}
	}
	if !c.HTTP.Listen.Addr().IsLoopback() && !strings.HasPrefix(c.HTTP.PublicURL, "https:") {
		add("http.listen: keys and numbers travel unencrypted; put a proxy with TLS before the API")
	}
	if slices.Contains(c.Limits.Destinations, "*") {
		add("limits.destinations: every country may be dialled at your cost")
	}
	if len(c.Lines) == 0 {
		add("lines: there are none, so nobody can be called")
	}
	for i := range c.Trunks {
		t := &c.Trunks[i]
		if c.sipOnlyLocal() && !localHost(t.Host) {
			add("sip.listen: trunk %s cannot reach an address of this machine alone; listen on 0.0.0.0", t.Name)
		}
		if !slices.ContainsFunc(c.Lines, func(l Line) bool { return l.uses(t.Name) }) {
			add("trunks[%d]: no line uses trunk %s", i, t.Name)
		}
	}
	for i := range c.Lines {
		c.Lines[i].warnings(fmt.Sprintf("lines[%d]", i), add)
	}
	return w
}

func (c *Config) sipOnlyLocal() bool {
	return !slices.ContainsFunc(c.SIP.Listen, func(l Listen) bool { return !l.Addr.Addr().IsLoopback() })
}

func localHost(text string) bool {
	host, _ := HostPort(text)
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || (err == nil && ip.IsLoopback())
}

// uses reports whether calls of the line go through the trunk.
func (l *Line) uses(trunk string) bool {
	return slices.Contains(l.Trunks, trunk) || slices.ContainsFunc(l.Route, func(s Step) bool {
		return s.Forward != nil && s.Forward.Trunk == trunk
	})
}

func (l *Line) warnings(path string, add func(format string, args ...any)) {
	for i, s := range l.Route {
		if s.Hangup != nil && i+1 < len(l.Route) {
			add("%s.route[%d]: what follows a hangup is never reached", path, i)
			break
		}
		if s.Forward != nil && s.Forward.Number == "" && slices.Equal(l.Trunks, []string{s.Forward.Trunk}) {
			add("%s.route[%d].forward: a call goes back to trunk %s, where it came from", path, i, s.Forward.Trunk)
		}
	}
}
