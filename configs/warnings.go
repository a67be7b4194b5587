package configs

import (
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
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
		if k := &c.HTTP.Keys[i]; len(k.Key.Reveal()) < shortKey && !variable.MatchString(k.Key.Reveal()) {
			add("http.keys[%d].key: the key of %s has fewer than %d characters and can be guessed", i, k.Name, shortKey)
		}
		c.HTTP.Keys[i].Key.warn(fmt.Sprintf("http.keys[%d].key", i), add)
	}
	if !c.HTTP.Listen.Addr().IsLoopback() && !strings.HasPrefix(c.HTTP.PublicURL, "https:") {
		add("http.listen: keys and numbers travel unencrypted; put a proxy with TLS before the API")
	}
	if c.Store.plain() {
		add("store: calls and numbers travel to Redis unencrypted; use rediss://, or a network that nobody else is on")
	}
	if slices.Contains(c.Limits.Destinations, "*") {
		add("limits.destinations: every country may be dialled at your cost")
	}
	w = append(w, c.KeptWarnings()...)
	if kept := c.Calls.Keep; kept > 0 && kept < c.Recordings.Keep {
		add("recordings.keep: no recording is kept longer than its call, of which calls.keep says %s", days(kept))
	}
	if c.Recordings.MinFree == (Room{}) {
		add("recordings.min_free: recordings may fill the disk, and then no call is taken")
	}
	if c.SIP.TLS.Cert != "" && !c.listens("tls") {
		add("sip.tls: not used, for sip.listen has no tls:// address")
	}
	for i := range c.TTS.Engines {
		e := &c.TTS.Engines[i]
		e.Key.warn(fmt.Sprintf("tts.engines[%d].key", i), add)
		if at, err := url.Parse(e.URL); err == nil && at.Scheme == "http" && !localHost(at.Host) && (!e.Key.IsZero() || e.TokenFile != "") {
			add("tts.engines[%d].url: the key of engine %s travels readable over http; use https", i, e.Name)
		}
	}
	if len(c.Lines) == 0 {
		add("lines: there are none, so nobody can be called")
	}
	for i := range c.Trunks {
		t := &c.Trunks[i]
		t.Password.warn(fmt.Sprintf("trunks[%d].password", i), add)
		if key, at := t.next(); c.listensAt(t.Transport, at) {
			add("trunks[%d].%s: %s is where Perezvon itself listens, so that calls would come back; give the provider's address", i, key, at)
		}
		if c.sipOnlyLocal() && !localHost(t.Host) {
			add("sip.listen: trunk %s cannot reach an address of this machine alone; listen on 0.0.0.0", t.Name)
		}
		if t.Register && t.Password.IsZero() {
			add("trunks[%d].register: trunk %s has no password; most providers refuse to register without one", i, t.Name)
		}
		if t.Transport != "udp" && !t.Register && !c.listens(t.Transport) {
			_, port := HostPort("", t.Transport)
			add("trunks[%d].transport: trunk %s can only be called; for calls from it add %s://0.0.0.0:%d to sip.listen", i, t.Name, t.Transport, port)
		}
		if t.Transport == "tls" && !t.TLS.Verified() {
			add("trunks[%d].tls.verify: whoever sits on the way can pretend to be trunk %s and listen; name the certificate of its authority in tls.ca instead", i, t.Name)
		}
		if t.SRTP != defaultSRTP && t.Transport != "tls" {
			add("trunks[%d].srtp: the keys of encrypted sound travel readable over %s; with transport: tls they do not", i, t.Transport)
		}
		if !slices.ContainsFunc(c.Lines, func(l Line) bool { return l.Uses(t.Name) }) {
			add("trunks[%d]: no line uses trunk %s", i, t.Name)
		}
	}
	for i := range c.Extensions {
		c.Extensions[i].warnings(fmt.Sprintf("extensions[%d]", i), add)
	}
	for i := range c.Lines {
		c.Lines[i].warnings(fmt.Sprintf("lines[%d]", i), add)
	}
	for i := range c.Outgoing {
		if first := c.hidden(i); first >= 0 {
			add("outgoing[%d]: never used, for outgoing[%d] takes all that it is for", i, first)
		}
	}
	return w
}

// KeptWarnings are those of Warnings about what is removed within a day: m is
// minutes, and months were meant most likely.
func (c *Config) KeptWarnings() []string {
	var w []string
	for _, k := range []struct {
		path, what string
		keep       time.Duration
	}{
		{"recordings.keep", "a recording is removed %s after its call", c.Recordings.Keep},
		{"calls.keep", "a call is removed %s after its end, with its recording", c.Calls.Keep},
		{"events.keep", "events of no call are removed after %s", c.Events.Keep},
	} {
		if k.keep > 0 && k.keep < 24*time.Hour {
			w = append(w, fmt.Sprintf("%s: "+k.what+", which is less than a day; m is minutes, and days are written %s", k.path, shortDuration(k.keep), exampleDays))
		}
	}
	return w
}

// shortPassword is the length in bytes below which a phone's password is found by
// trying.
const shortPassword = 10

func (e *Extension) warnings(path string, add func(format string, args ...any)) {
	p := e.Password.Reveal()
	if p != "" && len(p) < shortPassword && !variable.MatchString(p) {
		add("%s.password: the password of extension %s has fewer than %d characters; phones remember it, so make it long", path, e.Number, shortPassword)
	}
	e.Password.warn(path+".password", add)
	switch {
	case e.SRTP == defaultSRTP:
	case !e.Password.IsZero():
		add("%s.srtp: the keys of encrypted sound travel readable over udp and tcp; let the phones of extension %s register over tls", path, e.Number)
	case !strings.HasSuffix(e.Contact, ";transport=tls"):
		add("%s.srtp: the keys of encrypted sound travel readable to the contact of extension %s; where it ends in ;transport=tls they do not", path, e.Number)
	}
}

// variable is what a shell, not this file, would replace.
var variable = regexp.MustCompile(`^\$([A-Z_][0-9A-Z_]*|\{[0-9A-Za-z_]+\})$`)

// warn tells of a secret that is the name of one.
func (s Secret) warn(path string, add func(format string, args ...any)) {
	if variable.MatchString(s.value) {
		add("%s: the secret reads like a variable of a shell, which is not replaced here; write env:NAME", path)
	}
}

// next is where requests to the trunk go, and the key that says so.
func (t *Trunk) next() (key, at string) {
	if t.Proxy != "" {
		return "proxy", t.Proxy
	}
	return "host", t.Host
}

// listens reports whether SIP listens on a transport.
func (c *Config) listens(transport string) bool {
	return slices.ContainsFunc(c.SIP.Listen, func(l Listen) bool { return l.Transport == transport })
}

// listensAt reports whether a host is our own listening address, as far as
// that can be told without looking at the machine.
func (c *Config) listensAt(transport, text string) bool {
	host, port := HostPort(text, transport)
	return slices.ContainsFunc(c.SIP.Listen, func(l Listen) bool {
		own := l.Addr.Addr()
		return l.Transport == transport && l.Addr.Port() == port && (host == own.String() || host == c.SIP.PublicIP ||
			localHost(text) && (own.IsUnspecified() || (own.IsLoopback() && host == "localhost")))
	})
}

func (c *Config) sipOnlyLocal() bool {
	return !slices.ContainsFunc(c.SIP.Listen, func(l Listen) bool { return !l.Addr.Addr().IsLoopback() })
}

func localHost(text string) bool {
	host, _ := HostPort(text, "")
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || (err == nil && ip.IsLoopback())
}

func (l *Line) warnings(path string, add func(format string, args ...any)) {
	l.stepWarnings(path+".route", l.Route, add)
	l.stepWarnings(path+".otherwise", l.Otherwise, add)
	if l.Hours == nil && len(l.Otherwise) > 0 {
		add("%s.otherwise: never used, for the line has no hours and is always open", path)
	}
}

func (l *Line) stepWarnings(path string, steps []Step, add func(format string, args ...any)) {
	for i, s := range steps {
		if i+1 < len(steps) && s.Hangup != nil {
			add("%s[%d]: what follows a hangup is never reached", path, i)
			break
		}
		if i+1 < len(steps) && s.Voicemail != nil {
			add("%s[%d]: what follows a voicemail is never reached by calls that come in", path, i)
		}
		if s.Responsible != nil {
			add("%s[%d].responsible: passed over as long as there is no CRM to ask", path, i)
		}
		if s.Forward != nil && s.Forward.Number == "" && slices.Equal(l.Trunks, []string{s.Forward.Trunk}) {
			add("%s[%d].forward: a call goes back to trunk %s, where it came from", path, i, s.Forward.Trunk)
		}
	}
}
