package configs

import (
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// Summary says in a few lines of plain text what the configuration does: where
// it listens, what may be dialled, which trunks and phones there are, whom each
// line rings. It shows no secrets.
func (c *Config) Summary() string {
	var b strings.Builder
	row := func(what, format string, args ...any) {
		fmt.Fprintf(&b, "%-10s %s\n", what, fmt.Sprintf(format, args...))
	}
	row("data", "%s (%s), recordings in %s", c.DataDir, c.Store, c.Recordings.Dir)
	row("kept", "%s", c.KeptInWords())
	row("api", "http://%s, %s", c.HTTP.Listen, c.whoMayAsk())
	listen := make([]string, 0, len(c.SIP.Listen))
	for _, l := range c.SIP.Listen {
		listen = append(listen, l.String())
	}
	row("sip", "%s, public address %s", strings.Join(listen, ", "), c.SIP.PublicIP)
	row("media", "ports %s, %d pairs, enough for %d calls of two pairs each; %s", c.Media.Ports, c.Media.Ports.Pairs(), c.Media.Ports.Calls(), strings.Join(c.Media.Codecs, ", "))
	row("numbers", "read as in %s; dialled: %s", c.Region, strings.Join(c.Limits.Destinations, ", "))
	engines := make([]string, 0, len(c.TTS.Engines))
	for _, e := range c.TTS.Engines {
		engines = append(engines, fmt.Sprintf("%s (%s)", e.Name, e.Type))
	}
	row("speech", "%s, one of %d; engines %s", c.TTS.Voice, len(c.TTS.Voices), strings.Join(engines, ", "))
	for i := range c.Trunks {
		row("trunk", "%s", c.Trunks[i].inWords())
	}
	for i := range c.Extensions {
		row("extension", "%s", c.Extensions[i].inWords())
	}
	for i := range c.Lines {
		l := &c.Lines[i]
		cb := c.CallbackOf(l)
		row("line", "%s: %s through %s; %s", l.ID, l.Number, strings.Join(l.Trunks, ", then "), stepsInWords(l.Route, cb.Ring))
		if l.Hours != nil {
			row("hours", "%s: %s; else %s", l.ID, l.Hours.inWords(), l.closedInWords(cb.Ring))
		}
	}
	for i := range c.Outgoing {
		row("outgoing", "%s", c.Outgoing[i].inWords())
	}
	return b.String()
}

func (c *Config) whoMayAsk() string {
	if len(c.HTTP.Keys) == 0 {
		return "no keys: this machine only"
	}
	names := make([]string, 0, len(c.HTTP.Keys))
	for i := range c.HTTP.Keys {
		names = append(names, c.HTTP.Keys[i].Name)
	}
	return "keys of " + strings.Join(names, ", ")
}

// Pairs returns how many sides of calls have ports in the range: two each.
func (p PortRange) Pairs() int { return (int(p.Last) - int(p.First) + 1) / 2 }

// Calls returns how many bridged calls have ports in the range: a pair for each
// of two sides.
func (p PortRange) Calls() int { return p.Pairs() / 2 }

// inWords tells where a trunk is and whom it is taken from.
func (t *Trunk) inWords() string {
	peers := make([]string, 0, len(t.Peers))
	for _, p := range t.Peers {
		if p.IsSingleIP() {
			peers = append(peers, p.Addr().String())
			continue
		}
		peers = append(peers, p.String())
	}
	from := strings.Join(peers, ", ")
	if from == "" {
		host, _ := HostPort(t.Host, t.Transport)
		if from = host; !isAddr(host) {
			from = "whatever " + host + " resolves to"
		}
	}
	through := ""
	if t.Proxy != "" {
		through = " through " + t.Proxy
	}
	if t.Transport != "udp" {
		through += " over " + strings.ToUpper(t.Transport)
	}
	if t.Register {
		through += ", registers as " + t.Username
	}
	return fmt.Sprintf("%s: %s%s, numbers as %s; calls come from %s", t.Name, t.Host, through, t.Format, from)
}

func isAddr(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil
}

// inWords tells where an extension's phone is.
func (e *Extension) inWords() string {
	name, mobile := "", ""
	if e.Name != "" {
		name = " " + e.Name
	}
	if e.Mobile != "" {
		mobile = ", then " + e.Mobile + " where a request names it"
	}
	where := e.Contact
	switch {
	case where == "":
		where = "phones that register"
	case !e.Password.IsZero():
		where = "phones that register, else " + where
	}
	set := ""
	if e.SRTP != defaultSRTP {
		set += ", srtp " + e.SRTP
	}
	if e.DND {
		set += ", do not disturb"
	}
	return fmt.Sprintf("%s%s: %s%s%s", e.Number, name, where, mobile, set)
}

// inWords tells what a rule of outgoing does.
func (o *Outgoing) inWords() string {
	numbers, strip, line, who := "all numbers", "", "the phone's line", "phones"
	if o.Prefix != "" {
		numbers = "numbers that begin with " + o.Prefix
	}
	if o.Strip > 0 {
		strip = fmt.Sprintf(", %d taken off,", o.Strip)
	}
	if o.Line != "" {
		line = "line " + o.Line
	}
	if len(o.Extensions) > 0 {
		who = strings.Join(o.Extensions, ", ")
	}
	return fmt.Sprintf("%s may dial %s%s through %s", who, numbers, strip, line)
}

// closedInWords tells what happens to callers while the line is closed.
func (l *Line) closedInWords(ring time.Duration) string {
	if len(l.Otherwise) == 0 {
		return "refuses with 480"
	}
	return stepsInWords(l.Otherwise, ring)
}

func stepsInWords(steps []Step, ring time.Duration) string {
	words := make([]string, 0, len(steps))
	for i := range steps {
		words = append(words, steps[i].inWords(ring))
	}
	return strings.Join(words, ", then ")
}

func (h *Hours) inWords() string {
	holidays := ""
	switch n := len(h.Holidays); n {
	case 0:
	case 1:
		holidays = " but for a holiday"
	default:
		holidays = fmt.Sprintf(" but for %d holidays", n)
	}
	return fmt.Sprintf("%s in %s%s", strings.Join(h.Open, ", "), h.Zone, holidays)
}

func (s *Step) inWords(ring time.Duration) string {
	lasting := func(own time.Duration) string {
		if own == 0 {
			own = ring
		}
		return shortDuration(own)
	}
	switch {
	case s.Responsible != nil:
		return "rings who is responsible for the caller for " + lasting(s.Responsible.Ring)
	case s.Extension != nil:
		return fmt.Sprintf("rings %s for %s", s.Extension.Number, lasting(s.Extension.Ring))
	case s.Group != nil:
		how, each := "together", ""
		switch s.Group.Strategy {
		case "in_order":
			how, each = "one after the other", " each"
		case "longest_idle":
			how, each = "one after the other, the longest idle first,", " each"
		}
		return fmt.Sprintf("rings %s %s for %s%s", strings.Join(s.Group.Members, " and "), how, lasting(s.Group.Ring), each)
	case s.Mobile != nil:
		key := ""
		if s.Mobile.Confirm == nil || *s.Mobile.Confirm {
			key = " and asks for a key"
		}
		return fmt.Sprintf("rings %s for %s%s", s.Mobile.Number, lasting(s.Mobile.Ring), key)
	case s.Forward != nil:
		number := s.Forward.Number
		if number == "" {
			number = "the dialled number"
		}
		return fmt.Sprintf("passes %s to %s", number, s.Forward.Trunk)
	case s.Announce != nil && s.Announce.Sound != "":
		return "plays " + s.Announce.Sound
	case s.Announce != nil:
		return fmt.Sprintf("says %q", s.Announce.Text)
	case s.Voicemail != nil:
		return "takes a message of up to " + shortDuration(s.Voicemail.Max)
	case s.Hangup != nil:
		return fmt.Sprintf("refuses with %d", s.Hangup.Code)
	}
	return ""
}
