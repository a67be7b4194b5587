package configs

import (
	"fmt"
	"net"
	"net/netip"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nyaruka/phonenumbers"
)

var (
	hostName    = regexp.MustCompile(`^([0-9A-Za-z_]([0-9A-Za-z_-]{0,61}[0-9A-Za-z])?\.)*[0-9A-Za-z_]([0-9A-Za-z_-]{0,61}[0-9A-Za-z])?$`)
	contact     = regexp.MustCompile(`^sip:([0-9A-Za-z*_.+-]{1,64})@([^@:;?\s]+):([0-9]+)(;transport=(udp|tcp|tls))?$`)
	rawNumber   = regexp.MustCompile(`^[0-9A-Za-z+#_.*-]{1,32}$`)
	e164Number  = regexp.MustCompile(`^\+[1-9][0-9]{5,14}$`)
	dialPrefix  = regexp.MustCompile(`^\+[1-9][0-9]{0,14}$`)
	digitsOnly  = regexp.MustCompile(`^[0-9]+$`)
	engineVoice = regexp.MustCompile(`^[0-9A-Za-z/][0-9A-Za-z_+./:@=-]{0,127}$`)
	sipUser     = regexp.MustCompile(`^[0-9A-Za-z*#_.+~!@$&='()-]{1,128}$`)
)

const (
	formatRaw  = "raw"
	optionsOff = "off"
)

func (c *checker) trunk(path string, t *Trunk) {
	c.host(path+".host", t.Host)
	c.host(path+".proxy", t.Proxy)
	if t.Domain != "" && !validHost(t.Domain) {
		c.fail(path+".domain", "expected a host name such as sip.example.net, found %s", show(t.Domain))
	}
	if t.Register && t.Username == "" && c.ok(path+".username") {
		c.fail(path+".register", "registering needs the username that the provider knows; write it, or register: false")
	}
	if _, err := parseOptions(t.Options); err != nil {
		c.fail(path+".options", "%v", err)
	}
	for _, key := range []struct{ name, value string }{{"username", t.Username}, {"auth_user", t.AuthUser}} {
		if key.value != "" && c.has(path+"."+key.name) && !sipUser.MatchString(key.value) {
			c.fail(path+"."+key.name, "%s contains a character that a SIP user name does not", show(key.value))
		}
	}
	if t.AuthUser == "" && !t.Password.IsZero() && c.ok(path+".username") {
		c.fail(path+".password", "a password needs a username")
	}
	repeated(c, path+".peers", t.Peers)
	c.secureTrunk(path+".tls", t)
	repeated(c, path+".caller_id_out", t.CallerIDOut)
	if slices.Equal(t.CallerIDOut, []string{"diversion"}) {
		c.fail(path+".caller_id_out", "diversion tells who passed a call on, not who calls: add from or p-asserted-identity")
	}
}

// optionsRange is how often a trunk may be asked with OPTIONS.
const optionsRange reflect.StructTag = `range:"5s..10m"`

// parseOptions reads how often a trunk is asked whether it is there, 0 for
// never.
func parseOptions(text string) (time.Duration, error) {
	if text == optionsOff {
		return 0, nil
	}
	every, err := parseDuration(text)
	_, unitless := strconv.Atoi(text)
	const form = "expected a duration such as " + defaultOptions + ", or off, found %s"
	switch {
	case slices.Contains([]string{"false", "no", "never", "0"}, text):
		return 0, fmt.Errorf(form+"; write off", show(text))
	case slices.Contains([]string{"true", "yes", "on"}, text):
		return 0, fmt.Errorf(form+"; write "+defaultOptions, show(text))
	case err != nil && unitless == nil && !strings.HasPrefix(text, "-"):
		return 0, (&durationError{text}).within(optionsRange)
	case err != nil:
		return 0, fmt.Errorf(form, show(text))
	}
	if err := checkTags(every, optionsRange); err != nil {
		return 0, fmt.Errorf("%w, or off", err)
	}
	return every, nil
}

// OptionsEvery returns how often the trunk is asked with OPTIONS whether it is
// there, 0 for never.
func (t *Trunk) OptionsEvery() time.Duration {
	every, err := parseOptions(t.Options)
	if err != nil {
		return 0
	}
	return every
}

// host checks host or host:port.
func (c *checker) host(path, text string) {
	if text == "" || !c.ok(path) {
		return
	}
	if strings.Contains(text, "@") {
		c.fail(path, "expected a host without a user, such as sip.example.net or 192.0.2.10:5060")
		return
	}
	host, port := text, ""
	if strings.Contains(text, ":") {
		var err error
		if host, port, err = net.SplitHostPort(text); err != nil || strings.Contains(host, ":") {
			c.fail(path, "expected a host such as sip.example.net or 192.0.2.10:5060, found %s", show(text))
			return
		}
	}
	switch {
	case strings.HasPrefix(text, "sip:") || strings.HasPrefix(text, "sips:"):
		c.fail(path, "expected a host without sip:, such as sip.example.net or 192.0.2.10:5060")
	case !validHost(host):
		c.fail(path, "expected a host such as sip.example.net or 192.0.2.10:5060, found %s", show(text))
	case port != "" && !isPort(port):
		c.fail(path, "%s is not a port: 1 to 65535", show(port))
	}
}

// validHost reports whether this is an IPv4 address or can be looked up.
func validHost(s string) bool {
	if digitsOnly.MatchString(s[strings.LastIndex(s, ".")+1:]) {
		a, err := netip.ParseAddr(s)
		return err == nil && a.Is4() && !a.IsUnspecified()
	}
	return len(s) <= 253 && hostName.MatchString(s)
}

func (c *checker) extension(path string, e *Extension) {
	if e.Contact != "" && c.ok(path+".contact") {
		m := contact.FindStringSubmatch(e.Contact)
		switch {
		case m == nil:
			c.fail(path+".contact", "expected user, host and port such as sip:%s@192.0.2.20:5060, found %s", exampleUser(e.Number), show(e.Contact))
		case !validHost(m[2]):
			c.fail(path+".contact", "%s is not a host", show(m[2]))
		case !isPort(m[3]):
			c.fail(path+".contact", "%s is not a port: 1 to 65535", show(m[3]))
		}
	}
	password := c.has(path + ".password")
	switch {
	case password && !e.Password.IsZero() && e.Password.Reveal() == e.Number:
		c.fail(path+".password", "is the number itself, which whoever tries passwords tries first: choose a long one by chance")
	case !password && !c.has(path+".contact"):
		c.fail(path, "needs a password, for phones that register, or the contact of a phone at a fixed address such as sip:%s@192.0.2.20:5060", exampleUser(e.Number))
	case !password && c.has(path+".digest"):
		c.fail(path+".digest", "says how phones are asked for a password, and there is none: write one, or leave digest out")
	}
	if e.Mobile != "" {
		c.e164(path+".mobile", e.Mobile)
	}
	c.refer(path+".line", "line", e.Line, c.lines)
}

func exampleUser(number string) string {
	if word.MatchString(number) {
		return number
	}
	return "101"
}

// e164 checks a number in international form and shows how a readable one is
// written.
func (c *checker) e164(path, number string) {
	if number == "" || !c.ok(path) {
		return
	}
	n, err := phonenumbers.Parse(number, c.cfg.Region)
	if err != nil || !phonenumbers.IsPossibleNumber(n) {
		c.fail(path, "%s is not a telephone number in international form such as \"+74950000000\"", show(number))
		return
	}
	if written := phonenumbers.Format(n, phonenumbers.E164); written != number || !e164Number.MatchString(number) {
		c.fail(path, "expected the international form: write %q", written)
	}
}

func (c *checker) line(path string, l *Line) {
	for i, name := range l.Trunks {
		c.refer(index(path+".trunks", i), "trunk", name, c.trunks)
	}
	repeated(c, path+".trunks", l.Trunks)
	raw := c.lineRaw(path, l)
	c.lineNumber(path+".number", l, raw)
	for i := range l.Route {
		c.step(index(path+".route", i), l, &l.Route[i], raw)
	}
	if l.Hours != nil {
		c.hours(path+".hours", l.Hours)
	}
	for i := range l.Otherwise {
		c.step(index(path+".otherwise", i), l, &l.Otherwise[i], raw)
	}
}

// lineRaw reports whether numbers of the line are free. A line whose trunks
// have mistakes counts as free: its number is not to blame.
func (c *checker) lineRaw(path string, l *Line) bool {
	for _, name := range l.Trunks {
		at := slices.IndexFunc(c.cfg.Trunks, func(t Trunk) bool { return t.Name == name })
		if at < 0 || !c.ok(index("trunks", at)+".format") {
			return true
		}
	}
	return len(l.Trunks) == 0 || c.cfg.AllRaw(l)
}

// lineNumber checks a line's own number or pattern.
func (c *checker) lineNumber(path string, l *Line, raw bool) {
	switch {
	case l.Number == "" || !c.ok(path):
	case raw && !rawNumber.MatchString(l.Number):
		c.fail(path, "%s is not a number: 1 to 32 of the characters 0-9 A-Z a-z + # _ . - and at the end *", show(l.Number))
	case raw && strings.Contains(strings.TrimSuffix(l.Number, "*"), "*"):
		c.fail(path, "a * may stand only at the end, for any digits")
	case raw:
	case strings.Contains(l.Number, "*"):
		c.fail(path, "a pattern needs trunks that all have format: raw; give this line's number")
	default:
		c.e164(path, l.Number)
	}
}

// step checks one step of a route.
func (c *checker) step(path string, l *Line, s *Step, raw bool) {
	if !c.oneKind(path, s) {
		return
	}
	switch {
	case s.Extension != nil:
		c.refer(path+".extension.number", "extension", s.Extension.Number, c.extensions)
	case s.Group != nil:
		for i, m := range s.Group.Members {
			c.refer(index(path+".group.members", i), "extension", m, c.extensions)
		}
		repeated(c, path+".group.members", s.Group.Members)
	case s.Mobile != nil:
		c.outside(path+".mobile.number", s.Mobile.Number, raw)
		c.notOwn(path+".mobile.number", s.Mobile.Number, l.Trunks)
	case s.Forward != nil:
		f := s.Forward
		c.refer(path+".forward.trunk", "trunk", f.Trunk, c.trunks)
		t := c.cfg.Trunk(f.Trunk)
		c.outside(path+".forward.number", f.Number, t == nil || t.Format == formatRaw)
		c.notOwn(path+".forward.number", f.Number, []string{f.Trunk})
	case s.Announce != nil:
		c.announcement(path+".announce", s.Announce)
	case s.Voicemail != nil:
		c.speech(path+".voicemail", s.Voicemail.Text, s.Voicemail.Voice)
	}
}

// oneKind reports whether a step says exactly one thing to do.
func (c *checker) oneKind(path string, s *Step) bool {
	var kinds []string
	for _, k := range keysOf(stepType) {
		if c.has(path + "." + k) {
			kinds = append(kinds, k)
		}
	}
	switch {
	case len(kinds) == 1:
		return true
	case len(kinds) > 1:
		c.fail(path, "a step does one thing, here are %d: %s; make each a step of its own", len(kinds), strings.Join(kinds, " and "))
	case !c.failedBelow(path):
		c.fail(path, "an empty step; a step is one of %s", strings.Join(keysOf(stepType), ", "))
	}
	return false
}

// failedBelow reports whether anything inside a value has a mistake already.
func (c *checker) failedBelow(path string) bool {
	for p := range c.failed {
		if rest, ok := strings.CutPrefix(p, path); ok && rest != "" && strings.ContainsRune(".[", rune(rest[0])) {
			return true
		}
	}
	return false
}

// outside checks a number that is dialled through trunks.
func (c *checker) outside(path, number string, raw bool) {
	switch {
	case number == "" || !c.ok(path):
	case !raw:
		c.e164(path, number)
	case !rawNumber.MatchString(number):
		c.fail(path, "%s is not a number: 1 to 32 of the characters 0-9 A-Z a-z + * # _ . -", show(number))
	}
}

// notOwn refuses a number that comes back to one of our lines.
func (c *checker) notOwn(path, number string, trunks []string) {
	if number == "" || !c.ok(path) {
		return
	}
	for i := range c.cfg.Lines {
		own := &c.cfg.Lines[i]
		shared := slices.ContainsFunc(trunks, func(t string) bool { return slices.Contains(own.Trunks, t) })
		if own.Number == number && (shared || e164Number.MatchString(number)) {
			c.fail(path, "%s is the number of line %s: the call would come back", number, show(own.ID))
			return
		}
	}
}

// sameNumber reports lines between which an incoming call cannot choose.
func (c *checker) sameNumber() {
	for i := range c.cfg.Lines {
		for j := range i {
			a, b := &c.cfg.Lines[i], &c.cfg.Lines[j]
			if a.Number == "" || a.Number != b.Number {
				continue
			}
			for _, t := range a.Trunks {
				if slices.Contains(b.Trunks, t) {
					c.fail(index("lines", i)+".number", "line %s has the same number on trunk %s: a call could belong to both", show(b.ID), show(t))
					break
				}
			}
		}
	}
}

// HostPort splits what a trunk's host or proxy says; port is that of the
// transport where none is given.
func HostPort(text, transport string) (host string, port uint16) {
	port = 5060
	if transport == "tls" {
		port = 5061
	}
	h, p, err := net.SplitHostPort(text)
	if err != nil {
		return text, port
	}
	if n, err := strconv.ParseUint(p, 10, 16); err == nil && n > 0 {
		port = uint16(n)
	}
	return h, port
}
