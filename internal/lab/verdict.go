package lab

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// The tones of the presets, in hertz.
const (
	ManagerTone  = 440.0
	CustomerTone = 1000.0
)

// Manager is an office phone that rings at once, is answered after a time,
// and sends ManagerTone. It stays until the other side hangs up.
func Manager(answer time.Duration) Script { return Script{Tone(ManagerTone), Ring(0), Answer(answer)} }

// Customer is Manager for the person outside, with CustomerTone.
func Customer(answer time.Duration) Script {
	return Script{Tone(CustomerTone), Ring(0), Answer(answer)}
}

// Ears say what one party heard.
type Ears struct {
	Number string
	Tone   float64                  // its own, in hertz
	Heard  map[string]time.Duration // others by number, and how long
	Self   time.Duration            // its own tone: an echo
	Speech time.Duration
	Others []HeardTone // tones of nobody here: ringing tone, strangers
}

// Verdict tells who of some parties heard whom.
type Verdict []Ears

// Judge listens to what the parties recorded. Each must have a tone of its
// own.
func Judge(parties ...*Party) Verdict {
	v := make(Verdict, 0, len(parties))
	for _, p := range parties {
		e := Ears{Number: p.number, Tone: p.set.tone, Heard: make(map[string]time.Duration), Speech: p.HeardSpeech(time.Time{}, time.Time{})}
		for _, t := range p.HeardTones(time.Time{}, time.Time{}) {
			i := slices.IndexFunc(parties, func(q *Party) bool { return q.set.tone > 0 && math.Abs(q.set.tone-t.Hz) <= same })
			switch {
			case i < 0:
				e.Others = append(e.Others, t)
			case parties[i] == p:
				e.Self += t.Total
			default:
				e.Heard[parties[i].number] += t.Total
			}
		}
		v = append(v, e)
	}
	return v
}

// Mutual reports whether everybody heard everybody else for at least a time,
// and nobody himself.
func (v Verdict) Mutual(atLeast time.Duration) bool {
	for _, e := range v {
		for _, other := range v {
			if other.Number != e.Number && e.Heard[other.Number] < atLeast {
				return false
			}
		}
		if e.Self > 0 {
			return false
		}
	}
	return true
}

// String is one line for each party.
func (v Verdict) String() string {
	var b strings.Builder
	for _, e := range v {
		fmt.Fprintf(&b, "%s heard", e.Number)
		var what []string
		for _, other := range v {
			if d := e.Heard[other.Number]; d > 0 && other.Number != e.Number {
				what = append(what, fmt.Sprintf("%s for %s", other.Number, d))
			}
		}
		if e.Speech > 0 {
			what = append(what, fmt.Sprintf("speech for %s", e.Speech))
		}
		for _, t := range e.Others {
			what = append(what, t.String())
		}
		if e.Self > 0 {
			what = append(what, fmt.Sprintf("itself for %s", e.Self))
		}
		if len(what) == 0 {
			what = []string{"nothing"}
		}
		b.WriteString(" " + strings.Join(what, ", ") + "\n")
	}
	return b.String()
}
