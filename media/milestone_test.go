package media

import (
	"slices"
	"testing"
	"time"
)

func kinds(all []Milestone) []MilestoneKind {
	var kinds []MilestoneKind
	for _, one := range all {
		kinds = append(kinds, one.Kind)
	}
	return kinds
}

func TestMilestonesOfALeg(t *testing.T) {
	var told told[Milestone]
	inWorld(t, func(t *testing.T, w *world) {
		a := w.phone("192.0.2.1:4000", PCMU)
		s := w.open(SessionConfig{})
		a.call(s)
		a.call(s) // the same again is nothing new
		s.Answered(Watch{})
		if want := []MilestoneKind{Agreed}; !slices.Equal(kinds(told.said()), want) {
			t.Fatalf("%v, want %v", kinds(told.said()), want)
		}
		time.Sleep(6 * time.Second) // nothing is heard
		a.hum(400)
		stop := s.Ringback()
		time.Sleep(time.Second)
		stop()
		a.press(5)
		time.Sleep(time.Second)
		a.call(s, "a=inactive")
		a.call(s, "a=inactive")
		a.call(s)
		_ = s.Close()
		_ = s.Close()
		want := []MilestoneKind{Agreed, Silence, Locked, FirstOut, Digit, Held, Resumed, Closed}
		got := slices.Compact(kinds(told.said()))
		slices.Sort(got[2:4]) // at the same moment
		slices.Sort(want[2:4])
		if !slices.Equal(got, want) {
			t.Fatalf("%v, want %v", got, want)
		}
		for _, m := range told.said() {
			if m.Port != s.Port() || m.At.IsZero() {
				t.Errorf("%+v is of no port or time", m)
			}
			switch m.Kind {
			case Agreed, Held, Resumed:
				if m.Codec != PCMU || m.Peer != a.conn.AddrPort() {
					t.Errorf("%+v: codec or peer", m)
				}
			case Locked, FirstOut:
				if m.Peer != a.conn.AddrPort() {
					t.Errorf("%+v: peer", m)
				}
			}
		}
	}, func(c *Config) { c.OnMilestone = told.add })
}
