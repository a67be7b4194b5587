package configs

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/nyaruka/phonenumbers"
)

// checker holds values against each other: names that are referred to,
// numbers, what excludes what.
type checker struct {
	*decoder
	cfg        *Config
	trunks     []string
	extensions []string
	lines      []string
	engines    []string
}

func check(d *decoder, cfg *Config) {
	c := &checker{decoder: d, cfg: cfg}
	c.trunks = c.unique("trunks", "name", "trunk", len(cfg.Trunks), func(i int) string { return cfg.Trunks[i].Name })
	c.extensions = c.unique("extensions", "number", "extension", len(cfg.Extensions), func(i int) string { return cfg.Extensions[i].Number })
	c.lines = c.unique("lines", "id", "line", len(cfg.Lines), func(i int) string { return cfg.Lines[i].ID })
	c.engines = c.unique("tts.engines", "name", "engine", len(cfg.TTS.Engines), func(i int) string { return cfg.TTS.Engines[i].Name })

	c.general()
	c.http()
	c.sip()
	c.sockets()
	c.media()
	for i := range cfg.Trunks {
		c.trunk(index("trunks", i), &cfg.Trunks[i])
	}
	for i := range cfg.Extensions {
		c.extension(index("extensions", i), &cfg.Extensions[i])
	}
	for i := range cfg.Lines {
		c.line(index("lines", i), &cfg.Lines[i])
	}
	for i := range cfg.Outgoing {
		c.outgoing(index("outgoing", i), &cfg.Outgoing[i])
	}
	c.sameNumber()
	c.tts()
	c.destinations()
	if p := &cfg.Perimeter; c.ok("perimeter.ban") && c.ok("perimeter.max_ban") && p.MaxBan < p.Ban {
		path := "perimeter.max_ban"
		if !c.has(path) {
			path = "perimeter.ban"
		}
		c.fail(path, "the longest ban, max_ban %s, is shorter than the first, ban %s", shortDuration(p.MaxBan), shortDuration(p.Ban))
	}
}

func index(list string, i int) string { return fmt.Sprintf("%s[%d]", list, i) }

// unique reports names that come twice or are no names, and returns them.
func (c *checker) unique(list, key, what string, n int, name func(i int) string) []string {
	first := make(map[string]int, n)
	names := make([]string, 0, n)
	for i := range n {
		path, v := index(list, i)+"."+key, name(i)
		if v == "" {
			continue
		}
		if !word.MatchString(v) {
			c.fail(path, "%s is not a name: letters, digits and . _ - are, at most 64 of them", show(v))
			continue
		}
		if at, twice := first[v]; twice {
			c.fail(path, "%s %s is already %s", what, show(v), index(list, at))
			continue
		}
		first[v] = i
		names = append(names, v)
	}
	return names
}

// refer reports a name that nothing bears.
func (c *checker) refer(path, what, name string, known []string) {
	switch {
	case name == "" || slices.Contains(known, name):
	case len(known) == 0:
		c.fail(path, "unknown %s %s; there are no %ss in this file", what, show(name), what)
	default:
		c.fail(path, "unknown %s %s%s", what, show(name), hint(name, known))
	}
}

// repeated reports entries of a list that stand there twice.
func repeated[T comparable](c *checker, path string, list []T) {
	for i, v := range list {
		if slices.Contains(list[:i], v) {
			c.fail(index(path, i), "the same entry again")
		}
	}
}

func (c *checker) general() {
	if c.ok("region") && !phonenumbers.GetSupportedRegions()[c.cfg.Region] {
		c.fail("region", "unknown region %s; %s", show(c.cfg.Region), regionAdvice(c.cfg.Region))
	}
	c.sound("music", c.cfg.Music)
}

func regionAdvice(region string) string {
	if up := strings.ToUpper(region); phonenumbers.GetSupportedRegions()[up] {
		return fmt.Sprintf("write %s", up)
	}
	return "expected two capital letters of ISO 3166-1, such as RU"
}

func (c *checker) http() {
	h := &c.cfg.HTTP
	c.unique("http.keys", "name", "key", len(h.Keys), func(i int) string { return h.Keys[i].Name })
	for i := range h.Keys {
		path := index("http.keys", i)
		repeated(c, path+".scopes", h.Keys[i].Scopes)
		repeated(c, path+".lines", h.Keys[i].Lines)
		for j, id := range h.Keys[i].Lines {
			c.refer(index(path+".lines", j), "line", id, c.lines)
		}
		for j := range i {
			if k := h.Keys[i].Key; !k.IsZero() && k.Equal(h.Keys[j].Key) {
				c.fail(path+".key", "the same secret as key %s: every client needs its own", show(h.Keys[j].Name))
			}
		}
	}
	if h.PublicURL != "" && c.ok("http.public_url") {
		c.publicURL(h.PublicURL)
	}
	if len(h.Keys) > 0 || !c.ok("http.keys") {
		return
	}
	const advice = "without http.keys the API serves this machine only; add keys"
	if c.ok("http.listen") && !h.Listen.Addr().IsLoopback() {
		c.fail("http.listen", "%s or listen on 127.0.0.1:%d", advice, h.Listen.Port())
	}
	if h.PublicURL != "" {
		c.fail("http.public_url", "%s or leave public_url out", advice)
	}
}

func (c *checker) publicURL(text string) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Hostname() == "" || (u.Scheme != "http" && u.Scheme != "https"):
		c.fail("http.public_url", "expected an address such as https://pbx.example.com, found %s", show(text))
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		c.fail("http.public_url", "only scheme, host, port and path may be given, such as https://pbx.example.com")
	}
}

func (c *checker) sip() {
	s := &c.cfg.SIP
	repeated(c, "sip.listen", s.Listen)
	c.secureListening()
	if c.ok("sip.listen") && !c.failedBelow("sip.listen") && !c.cfg.listens("udp") {
		c.fail("sip.listen", "needs a udp:// address as well, such as %s: phones are called over UDP", Listen{Transport: "udp", Addr: s.Listen[0].Addr})
	}
	if s.PublicIP == "auto" || !c.ok("sip.public_ip") {
		return
	}
	if server, ok := s.STUN(); ok {
		if c.host("sip.public_ip", server); server == "" {
			c.fail("sip.public_ip", "the server is missing: write stun:stun.example.net, or auto")
		}
		return
	}
	ip, err := netip.ParseAddr(s.PublicIP)
	switch {
	case err != nil:
		c.fail("sip.public_ip", "expected auto, stun: and a server, or an IPv4 address, found %s", show(s.PublicIP))
	case !ip.Is4():
		c.fail("sip.public_ip", "IPv6 is not available in this version: give an IPv4 address or auto")
	case ip.IsUnspecified() || ip.IsMulticast():
		c.fail("sip.public_ip", "%s is not an address that others can send to; write auto or the address they see", ip)
	}
}

// STUN returns the server, host or host:port, that is asked for the public
// address; false where none is.
func (s *SIP) STUN() (server string, ok bool) { return strings.CutPrefix(s.PublicIP, "stun:") }

func (c *checker) media() {
	m := &c.cfg.Media
	repeated(c, "media.codecs", m.Codecs)
	for i, l := range c.cfg.SIP.Listen {
		if p := l.Addr.Port(); l.Transport == "udp" && c.ok("media.ports") && p >= m.Ports.First && p <= m.Ports.Last {
			path := "media.ports"
			if !c.has(path) {
				path = index("sip.listen", i)
			}
			c.fail(path, "SIP port %d lies in media.ports %s: keep them apart", p, m.Ports)
		}
	}
}

// destinations checks the rules of what may be dialled.
func (c *checker) destinations() {
	for i, text := range c.cfg.Limits.Destinations {
		path := index("limits.destinations", i)
		if !c.has(path) || !c.ok(path) {
			continue
		}
		rule := strings.TrimPrefix(text, "!")
		switch {
		case rule == "*" && rule != text:
			c.fail(path, "!* excludes everything: leave the entry out")
		case rule == "*" || dialPrefix.MatchString(rule) || phonenumbers.GetSupportedRegions()[rule]:
		case strings.HasPrefix(rule, "+"):
			c.fail(path, "%s is not a prefix: a + and up to 15 digits, such as +7495", show(rule))
		case digitsOnly.MatchString(rule):
			c.fail(path, "a prefix begins with a +: write %q", strings.Replace(text, rule, "+"+rule, 1))
		default:
			c.fail(path, "unknown destination %s: %s; or a prefix such as +7495, or *", show(text), regionAdvice(rule))
		}
	}
}
