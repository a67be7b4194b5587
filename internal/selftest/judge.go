package selftest

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"perezvon/internal/api"
	"perezvon/internal/lab"
	"perezvon/internal/store"
)

// got are the facts that came, in the order of those expected.
func (s *stage) got(ctx context.Context, expected Facts) Facts {
	var facts Facts
	for _, want := range expected {
		facts = facts.and(want.Name, s.fact(ctx, want.Name))
	}
	return facts
}

// fact measures one thing. What nobody has seen is none.
func (s *stage) fact(ctx context.Context, name string) string {
	if s.noted.has(name) {
		return s.noted.Get(name)
	}
	switch name {
	case factResult:
		return orNone(value(s.rec.Result))
	case factCode:
		return orNone(value(s.rec.Code))
	case factOwner:
		return orNone(value(s.rec.ReasonOwner))
	case factRung:
		return s.rung()
	case factHeard:
		return s.heard()
	case factTold:
		return s.told()
	case factLeft:
		return s.leftOver(ctx)
	case "hung up by":
		return orNone(value(s.rec.HangupBy))
	case "attempts":
		return fmt.Sprint(len(s.rec.Attempts))
	case "manager":
		return s.manager()
	case "call":
		return s.madeNone(ctx)
	case "customer got", "Anna got", "Boris got", "mobile got", "caller got":
		return s.ending(strings.TrimSuffix(name, " got"))
	}
	return none
}

func orNone(text string) string {
	if text == "" {
		return none
	}
	return text
}

// manager is who answered for us.
func (s *stage) manager() string {
	m := s.rec.Manager
	for _, who := range everybody() {
		if m != nil && (m.Extension == s.number(who) || m.Extension == "" && m.Number == s.number(who)) {
			return who
		}
	}
	return none
}

// madeNone looks whether a request left a call behind.
func (s *stage) madeNone(ctx context.Context) string {
	calls, err := s.stored(ctx, "")
	switch {
	case err != nil:
		return err.Error()
	case len(calls) > 0:
		return fmt.Sprintf("%d stored", len(calls))
	}
	return none
}

// ending is how somebody's last call was ended from our side.
func (s *stage) ending(who string) string {
	parties := s.parties(who)
	if len(parties) == 0 {
		return nothing
	}
	p := parties[len(parties)-1]
	var what []string
	for _, e := range p.Timeline() {
		switch e.Kind {
		case lab.Acked:
			if who != caller {
				what = append(what, "ACK")
			}
		case lab.Cancelled:
			if who != caller {
				what = append(what, "CANCEL")
			}
		case lab.ByeReceived:
			what = append(what, "BYE")
		case lab.Refused:
			if who == caller {
				what = append(what, fmt.Sprint(e.Status))
			}
		}
	}
	if len(what) == 0 {
		return nothing
	}
	return strings.Join(what, ", ")
}

// rung is who was, and how often.
func (s *stage) rung() string {
	times, order := make(map[string]int), everybody()
	for _, c := range s.carriers() {
		for _, p := range c.Parties() {
			who := s.who(c, p)
			if who == caller {
				continue
			}
			if !slices.Contains(order, who) {
				order = append(order, who)
			}
			times[who]++
		}
	}
	var list []string
	for _, who := range order {
		switch n := times[who]; {
		case n == 1:
			list = append(list, who)
		case n > 1:
			list = append(list, fmt.Sprintf("%s ×%d", who, n))
		}
	}
	return listed(list, nobody)
}

func listed(list []string, empty string) string {
	if len(list) == 0 {
		return empty
	}
	return strings.Join(list, ", ")
}

// How long somebody must sound to have been heard, and how long a sound may
// be that does not count: a tone that begins in the sound of another.
const (
	heardFor = 900 * time.Millisecond
	stray    = 300 * time.Millisecond
	sameTone = 7.0 // hertz between what is sent and what is measured, at most
)

// heard tells who heard whom, by their tones.
func (s *stage) heard() string {
	long := s.hearing()
	var list []string
	people := append(everybody(), "the network", "a stranger")
	for i, a := range people {
		if d := long[a][a]; d >= stray {
			list = append(list, a+" hears himself")
		}
		for _, b := range people[i+1:] {
			ab, ba := long[a][b], long[b][a]
			if ab >= heardFor && ba >= heardFor {
				list = append(list, a+" and "+b+" each other")
				continue
			}
			list = append(list, oneWay(a, b, ab)...)
			list = append(list, oneWay(b, a, ba)...)
		}
	}
	return listed(list, nobody)
}

func oneWay(listener, speaker string, d time.Duration) []string {
	switch {
	case d < stray:
		return nil
	case d < heardFor:
		return []string{fmt.Sprintf("%s hears %s briefly (%.1f s)", listener, speaker, d.Seconds())}
	}
	return []string{listener + " hears " + speaker}
}

// hearing is how long each heard each, over all their calls.
func (s *stage) hearing() map[string]map[string]time.Duration {
	long := make(map[string]map[string]time.Duration)
	here := s.present()
	for _, c := range s.carriers() {
		for _, p := range c.Parties() {
			listener := s.who(c, p)
			if long[listener] == nil {
				long[listener] = make(map[string]time.Duration)
			}
			for _, t := range p.HeardTones(time.Time{}, time.Time{}) {
				if speaker := s.speaker(t, here); speaker != "" {
					long[listener][speaker] += t.Total
				}
			}
		}
	}
	return long
}

// present is everybody who was in a call.
func (s *stage) present() []string {
	var here []string
	for _, c := range s.carriers() {
		for _, p := range c.Parties() {
			here = append(here, s.who(c, p))
		}
	}
	return here
}

// speaker is whose tone it is; empty for sounds that are nobody's.
func (s *stage) speaker(t lab.HeardTone, here []string) string {
	is := func(hz float64) bool { return math.Abs(t.Hz-hz) <= sameTone }
	for _, who := range here {
		if is(pitch(who, s.n)) {
			return who
		}
	}
	if is(networkTone) {
		return "the network"
	}
	for other := range 8 {
		for _, who := range everybody() {
			if t.Total >= heardFor && is(pitch(who, other)) {
				return "a stranger"
			}
		}
	}
	return ""
}

// beeps stand in for a sentence that cannot be spoken, hertz.
const beeps = 950

// told is who heard a sentence, or the beeps that stand in for it.
func (s *stage) told() string {
	var list []string
	for _, who := range everybody() {
		var spoken, beeped time.Duration
		for _, p := range s.parties(who) {
			spoken += p.HeardSpeech(time.Time{}, time.Time{})
			beeped += p.HeardFor(beeps)
		}
		switch {
		case spoken >= 400*time.Millisecond:
			list = append(list, who)
		case beeped >= 100*time.Millisecond && (s.speaks || s.mute):
			list = append(list, who+" (beeps)")
		case beeped >= 100*time.Millisecond:
			list = append(list, who)
		}
	}
	return listed(list, nobody)
}

// leftOver waits until all is quiet and lists what should not be there.
func (s *stage) leftOver(ctx context.Context) string {
	settled, cancel := context.WithTimeout(ctx, s.settles)
	defer cancel()
	var list []string
	for _, c := range s.carriers() {
		_ = c.Settled(settled) // what is not settled is counted
	}
	time.Sleep(200 * time.Millisecond) // who still sends sound is blamed for it
	for name, c := range map[string]*lab.Carrier{"provider": s.provider, "backup": s.backup, "office": s.office} {
		if n := c.Dialogs(); n > 0 {
			list = append(list, fmt.Sprintf("%s: %d dialogs are up", name, n))
		}
		if n := c.RingingNow(); n > 0 {
			list = append(list, fmt.Sprintf("%s: %d phones ring", name, n))
		}
		for _, v := range c.Violations() {
			list = append(list, name+": "+v)
		}
	}
	list = append(list, s.unfinished(ctx)...)
	slices.Sort(list)
	return listed(list, nothing)
}

// unfinished lists the calls that did not end, or not exactly once.
func (s *stage) unfinished(ctx context.Context) []string {
	calls, err := s.stored(ctx, "")
	if err != nil {
		return []string{err.Error()}
	}
	var list []string
	for i := range calls {
		c := &calls[i]
		if c.State != string(store.StateEnded) {
			list = append(list, fmt.Sprintf("call %s is %s", c.ID, c.State))
			continue
		}
		events, err := s.house.client.Events(ctx, c.ID, "")
		if err != nil {
			list = append(list, err.Error())
		}
		if n := count(events, store.EventCallEnded); n != 1 {
			list = append(list, fmt.Sprintf("call %s ended %d times", c.ID, n))
		}
		for _, l := range c.Legs {
			if l.State != string(store.LegEnded) {
				list = append(list, fmt.Sprintf("the leg of the %s in call %s is %s", l.Role, c.ID, l.State))
			}
		}
	}
	return list
}

func count(events []api.Event, kind string) int {
	n := 0
	for _, e := range events {
		if e.Type == kind {
			n++
		}
	}
	return n
}
