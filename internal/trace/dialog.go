package trace

import (
	"strings"
	"time"
)

// talk is what the messages of one SIP Call-ID come to.
type talk struct {
	leg    string
	party  Party
	out    bool // we sent the INVITE
	began  time.Time
	target string // whom the INVITE is for

	invites    int       // times the INVITE went before anything came back
	lastInvite time.Time // when it went last
	asked      int       // challenges
	signed     bool      // an INVITE carried credentials
	heard      bool      // something came back
	rang       time.Time
	final      *Step // the last final response to the first INVITE; nil: none
	answers    int   // times the 200 went
	acked      bool
	cancel     *Step // nil: none
	bye        *Step // nil: none
	byeSent    int   // times it went
	byeDone    bool  // it was answered

	ours, theirs *description // the first ones of each side
	offered      bool         // ours was the first of all
	held         bool         // they have put us on hold
	holds        int          // how often they did
	refers       []string
}

// talks groups the messages by Call-ID and party, in the order in which they
// begin. Those that do not begin with an INVITE are what a crash left.
func (r *Report) talks() []*talk {
	var all []*talk
	byID := make(map[string]*talk)
	for i := range r.Steps {
		s := &r.Steps[i]
		t := byID[s.SIPID]
		if t == nil {
			t = &talk{leg: s.Leg, party: r.Parties[s.Party], out: s.Sent, began: s.At}
			byID[s.SIPID] = t
			all = append(all, t)
		}
		t.take(s)
	}
	return all
}

func (t *talk) take(s *Step) {
	mine := s.Sent == t.out // of who sent the INVITE
	if !mine && t.out {
		t.heard = true
	}
	t.describe(s)
	if s.p.status != 0 {
		t.response(s)
		return
	}
	switch s.p.method {
	case "INVITE":
		if !mine || t.final != nil && t.final.p.status < 300 {
			return // later in the dialog
		}
		t.target = s.p.uri
		if !t.heard {
			t.invites++
			t.lastInvite = s.At
		}
		if t.out && (len(s.p.headers["authorization"]) > 0 || len(s.p.headers["proxy-authorization"]) > 0) {
			t.signed = true
		}
	case "ACK":
		t.acked = true
	case "CANCEL":
		if t.cancel == nil {
			t.cancel = s
		}
	case "BYE":
		if t.bye == nil {
			t.bye = s
		}
		t.byeSent++
	case "REFER":
		if s.Again == 0 {
			t.refers = append(t.refers, s.p.header("refer-to"))
		}
	}
}

func (t *talk) response(s *Step) {
	status := s.p.status
	switch {
	case s.p.method == "BYE" && status >= 200:
		t.byeDone = true
	case s.p.method != "INVITE" || s.Sent == t.out: // of a later INVITE of the other side
	case status == 401 || status == 407:
		if s.Again == 0 {
			t.asked++
		}
		t.final = s
	case status >= 180 && status < 200:
		if t.rang.IsZero() {
			t.rang = s.At
		}
	case status >= 200:
		if status < 300 && (t.final == nil || t.final.p.status == status) && s.Sent {
			t.answers++
		}
		if t.final == nil || t.final.p.status >= 300 {
			t.final = s
		}
	}
}

// describe takes the session description of a message.
func (t *talk) describe(s *Step) {
	d := s.p.sdp
	if d == nil || s.Again > 0 {
		return
	}
	first := &t.theirs
	if s.Sent {
		first = &t.ours
	}
	if *first == nil {
		*first = d
		t.offered = t.offered || s.Sent && t.theirs == nil
		return
	}
	if !s.Sent {
		if d.held() && !t.held {
			t.holds++
		}
		t.held = d.held()
	}
}

// answered reports whether the call came about.
func (t *talk) answered() bool { return t.final != nil && t.final.p.status < 300 }

// reachesNothing reports whether a side told an address for sound that means
// nothing where the other side is.
func reachesNothing(d *description, party Party) bool {
	return d != nil && d.addr.Addr().IsValid() && d.addr.Addr().IsPrivate() &&
		!party.Addr.Addr().IsPrivate() && !party.Addr.Addr().IsLoopback()
}

// list is names in a sentence.
func list(names []string) string {
	if len(names) == 0 {
		return "no codec that we know"
	}
	return strings.Join(names, ", ")
}
