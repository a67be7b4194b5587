package media

import (
	"slices"
	"sync"
	"testing"
	"time"
)

// milestones keeps what an engine tells.
type milestones struct {
	mu  sync.Mutex
	all []Milestone // guarded by mu
}

func (m *milestones) add(one Milestone) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.all = append(m.all, one)
}

func (m *milestones) kinds() []MilestoneKind {
	m.mu.Lock()
	defer m.mu.Unlock()
	var kinds []MilestoneKind
	for _, one := range m.all {
		kinds = append(kinds, one.Kind)
	}
	return kinds
}

func TestMilestonesOfALeg(t *testing.T) {
	var told milestones
	inWorld(t, func(t *testing.T, w *world) {
		a := w.phone("192.0.2.1:4000", PCMU)
		s := w.open(SessionConfig{})
		a.call(s)
		a.call(s) // the same again is nothing new
		s.Answered(Watch{})
		if want := []MilestoneKind{Agreed}; !slices.Equal(told.kinds(), want) {
			t.Fatalf("%v, want %v", told.kinds(), want)
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
		got := slices.Compact(told.kinds())
		slices.Sort(got[2:4]) // at the same moment
		slices.Sort(want[2:4])
		if !slices.Equal(got, want) {
			t.Fatalf("%v, want %v", got, want)
		}
		for _, m := range told.all {
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
