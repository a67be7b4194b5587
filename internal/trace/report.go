package trace

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"perezvon/internal/store"
)

// Report is a trace together with the record of its call, ready to be told.
type Report struct {
	Parties    []Party // in the order in which they appear; without us
	Steps      []Step
	Milestones []Milestone
	LeftOut    int // messages that are not kept
	Gap        time.Time
	Story      []Line

	call store.Call
	here string // our address; empty: there are several
}

// Party is somebody at the other end of messages.
type Party struct {
	Name string // extension, trunk, or what else is known
	Addr netip.AddrPort
	Via  string // transport
}

// Step is one message of the ladder.
type Step struct {
	Message
	N     int    // from 1
	Party int    // index in Parties
	Text  string // method or status
	Again int    // N of the message that this one repeats; 0: none
	SIPID string // its Call-ID

	p *parsed
}

// Line is a sentence of the story.
type Line struct {
	Kind string // fact, problem or advice
	Text string
}

// Kinds of lines.
const (
	Fact    = "fact"
	Problem = "problem" // what did not work
	Advice  = "advice"  // what to do about it
)

// NewReport reads a trace. The call may be in progress.
func NewReport(t Trace, c store.Call) *Report {
	r := &Report{Milestones: t.Milestones, LeftOut: t.LeftOut, Gap: t.Gap, call: c}
	callers := make(map[string]string) // Call-IDs of INVITEs that came before their leg was known
	first := make(map[string]int)      // what was sent when first
	for i := range t.Messages {
		s := Step{Message: t.Messages[i], N: i + 1, p: parse(t.Messages[i].Data)}
		s.Text, s.SIPID = s.p.label(), s.p.callID
		if s.Leg == "" {
			if _, seen := callers[s.SIPID]; !seen {
				callers[s.SIPID] = r.caller()
			}
			s.Leg = callers[s.SIPID]
		}
		s.Party = r.party(&s)
		key := fmt.Sprint(s.Sent, s.Remote, string(s.Data))
		if n := first[key]; n > 0 {
			s.Again = n
		} else {
			first[key] = s.N
		}
		if here := s.Local.Addr().String(); i == 0 {
			r.here = here
		} else if r.here != here {
			r.here = ""
		}
		r.Steps = append(r.Steps, s)
	}
	r.tell()
	return r
}

// caller is the leg of who called us; empty: nobody did.
func (r *Report) caller() string {
	for _, l := range r.call.Legs {
		if l.Role == store.RoleCaller {
			return l.ID
		}
	}
	return ""
}

// party finds the column of a message: who is at one address under one name.
func (r *Report) party(s *Step) int {
	name := r.name(s.Leg)
	if i := slices.IndexFunc(r.Parties, func(p Party) bool {
		return p.Addr.Addr() == s.Remote.Addr() && p.Name == cmp.Or(name, p.Name)
	}); i >= 0 {
		return i
	}
	r.Parties = append(r.Parties, Party{Name: cmp.Or(name, "peer"), Addr: s.Remote, Via: s.Transport})
	return len(r.Parties) - 1
}

// name is how a leg is called: by its extension or its trunk, with the number
// where others are reached by that trunk, too.
func (r *Report) name(leg string) string {
	l := r.leg(leg)
	switch {
	case l == nil:
		return ""
	case r.sharesTrunk(l):
		return l.Trunk + " " + l.Number
	}
	return cmp.Or(l.Extension, l.Trunk)
}

// sharesTrunk reports whether another number was reached by the trunk of a leg.
func (r *Report) sharesTrunk(l *store.Leg) bool {
	return l.Extension == "" && slices.ContainsFunc(r.call.Legs, func(other store.Leg) bool {
		return other.Extension == "" && other.Trunk == l.Trunk && other.Number != l.Number
	})
}

func (r *Report) leg(id string) *store.Leg {
	if i := slices.IndexFunc(r.call.Legs, func(l store.Leg) bool { return l.ID == id && id != "" }); i >= 0 {
		return &r.call.Legs[i]
	}
	return nil
}

// began is the moment from which times are counted.
func (r *Report) began() time.Time {
	if !r.call.CreatedAt.IsZero() {
		return r.call.CreatedAt
	}
	if len(r.Steps) > 0 {
		return r.Steps[0].At
	}
	return time.Time{}
}

// offset is a moment of the call: minutes, seconds and thousandths since it
// began.
func (r *Report) offset(at time.Time) string {
	d := max(0, at.Sub(r.began())).Truncate(time.Millisecond)
	h, m, s := int(d.Hours()), int(d.Minutes())%60, (d % time.Minute).Seconds()
	if h > 0 {
		return fmt.Sprintf("%d:%02d:%06.3f", h, m, s)
	}
	return fmt.Sprintf("%d:%06.3f", m, s)
}
