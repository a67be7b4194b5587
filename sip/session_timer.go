package sip

import (
	"math"
	"strconv"
	"strings"
	"time"

	sipmsg "github.com/emiago/sipgo/sip"
)

// Session timers, RFC 4028.
const (
	sessionInterval = 30 * time.Minute // what we ask for
	minSession      = 90 * time.Second // no shorter one is agreed to (section 5)
	maxMinSE        = 24 * time.Hour   // who asks for more in a 422 does not want to be asked
	sessionMargin   = 32 * time.Second // the end comes so long before the expiry, or a third of it (section 10)

	timerTag     = "timer" // the option tag
	tooSmall     = 422     // Session Interval Too Small
	refresherUAC = "uac"   // who sent the request refreshes
	refresherUAS = "uas"   // who answered it
)

// terms are what a message says about session timers.
type terms struct {
	interval  time.Duration // Session-Expires; 0: it has none
	refresher string        // refresherUAC or refresherUAS; empty: left open
	min       time.Duration // Min-SE; 0: it has none
	capable   bool          // its sender knows session timers
}

// termsOf reads Session-Expires, Min-SE and Supported. What is malformed
// counts as absent.
func termsOf(m sipmsg.Message) terms {
	var t terms
	parts := splitQuoted(header(m, "session-expires"), ';')
	t.interval = parseDelta(parts[0])
	for _, p := range parts[1:] {
		name, value, _ := strings.Cut(p, "=")
		if !strings.EqualFold(strings.TrimSpace(name), "refresher") {
			continue
		}
		if who := strings.ToLower(strings.TrimSpace(value)); who == refresherUAC || who == refresherUAS {
			t.refresher = who
		}
	}
	least, _, _ := strings.Cut(header(m, "min-se"), ";")
	t.min = parseDelta(least)
	t.capable = lists(m, "supported", timerTag) || lists(m, "require", timerTag)
	return t
}

// parseDelta reads whole seconds, of which it takes at least one and at most
// 2^32-1 (RFC 3261 25.1). It is 0 for anything else.
func parseDelta(s string) time.Duration {
	s = strings.TrimSpace(s)
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0
	}
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		n = math.MaxUint32
	}
	return time.Duration(max(n, 1)) * time.Second
}

// agreement is what both sides hold to: the session ends unless it is
// refreshed within the interval.
type agreement struct {
	interval time.Duration // 0: it never expires
	ours     bool          // we refresh
}

// margin is how long before the expiry a session without a refresh is ended.
func (g agreement) margin() time.Duration { return min(sessionMargin, g.interval/3) }

// tooBrief reports whether a request asks for a session that is shorter than
// we allow, of somebody who can ask for a longer one (section 9).
func (t terms) tooBrief() bool {
	return t.capable && t.interval > 0 && t.interval < minSession
}

// answer is what we agree to when a request with these terms is accepted:
// table 2 of section 9, where the choice is ours the peer refreshes. A request
// without Session-Expires begins no session timer, and ends none that runs.
func (t terms) answer(now agreement) agreement {
	switch {
	case t.interval > 0:
		return agreement{max(t.interval, minSession), !t.capable || t.refresher == refresherUAS}
	case now.interval > 0:
		return agreement{max(now.interval, t.min), !t.capable || now.ours}
	}
	return agreement{}
}

// granted is what a 2xx with these terms to a request of ours agrees to.
// Without Session-Expires the session does not expire (section 7.2).
func (t terms) granted() agreement {
	if t.interval == 0 {
		return agreement{}
	}
	return agreement{max(t.interval, minSession), t.refresher != refresherUAS}
}

// headers are those of a 2xx that agrees. Who must refresh has to know how.
func (g agreement) headers() []sipmsg.Header {
	if g.interval == 0 {
		return []sipmsg.Header{sipmsg.NewHeader("Supported", timerTag)}
	}
	if g.ours {
		return []sipmsg.Header{sipmsg.NewHeader("Supported", timerTag), sessionExpires(g.interval, refresherUAS)}
	}
	return []sipmsg.Header{
		sipmsg.NewHeader("Supported", timerTag), sipmsg.NewHeader("Require", timerTag), sessionExpires(g.interval, refresherUAC),
	}
}

// askFor are the headers of a request of ours that asks for a session timer.
func askFor(interval, least time.Duration, refresher string) []sipmsg.Header {
	return []sipmsg.Header{
		sipmsg.NewHeader("Supported", timerTag), sessionExpires(max(interval, least), refresher), minSE(least),
	}
}

func sessionExpires(interval time.Duration, refresher string) sipmsg.Header {
	return sipmsg.NewHeader("Session-Expires", wholeSeconds(interval)+before(";refresher=", refresher))
}

func minSE(least time.Duration) sipmsg.Header {
	return sipmsg.NewHeader("Min-SE", wholeSeconds(max(least, minSession)))
}

func wholeSeconds(d time.Duration) string { return strconv.Itoa(int(d / time.Second)) }
