package sip

import (
	"context"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"perezvon/internal/lab"
	"perezvon/internal/memnet"
)

// asked has a trunk that is asked with OPTIONS every half minute and registers
// nowhere.
func asked(t *testing.T, adjust func(*Config)) *account {
	t.Helper()
	return registering(t, lab.RegistrarOptions{}, func(c *Config) {
		c.Trunks[1].Register, c.Trunks[1].Options = false, 30*time.Second
		if adjust != nil {
			adjust(c)
		}
	}, func(n *memnet.Net) {
		// Or the first answer would be there before a test has looked once.
		n.SetFilter(func(memnet.Packet) memnet.Fate { return memnet.Fate{Delay: time.Millisecond} })
	})
}

func TestTrunkThatMissesTwiceIsDownUntilItAnswers(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		a := asked(t, nil)
		if s := a.state(); s.Known || !s.Up || s.RoundTrip != nil {
			t.Errorf("nobody has asked yet: %+v", s)
		}
		time.Sleep(10 * time.Minute)
		if s := a.state(); !s.Known || !s.Up || s.RoundTrip == nil || *s.RoundTrip > time.Second || s.Register || s.Registered || a.told.ups() != "" {
			t.Errorf("there: %+v", s)
		}
		a.carrier.OPTIONS(0)
		gone := time.Now()
		for a.state().Up {
			time.Sleep(time.Second)
		}
		// Half a minute to the next question, four seconds twice, five between.
		if took := time.Since(gone); took < 13*time.Second || took > 45*time.Second {
			t.Errorf("found out after %s", took)
		}
		want := "10.0.0.20:5060 does not answer OPTIONS within 4s; check the network, the firewall and trunks[].host; " +
			"where the provider never answers OPTIONS, set trunks[].options to off"
		if s := a.state(); s.Reason != want || s.Since.Before(gone) || s.RoundTrip == nil {
			t.Errorf("away: %+v", s)
		}
		time.Sleep(time.Hour)
		a.carrier.OPTIONS(404)
		time.Sleep(35 * time.Second)
		if s := a.state(); !s.Up || s.Reason != "" {
			t.Errorf("a refusal is a sign of life: %+v", s)
		}
		time.Sleep(time.Hour)
		if got := a.told.ups(); got != "down up" {
			t.Errorf("told: %s", got)
		}
		if log := a.log.String(); strings.Count(log, "trunk is down") != 1 || strings.Count(log, "trunk is up") != 2 {
			t.Errorf("log:\n%s", log)
		}
	})
}

func TestOneMissIsNotDown(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		a := asked(t, nil)
		var mu sync.Mutex
		lost, questions := map[string]bool{}, 0
		a.net.SetFilter(func(p memnet.Packet) memnet.Fate {
			m := parseRaw(string(p.Data), p.From)
			if !m.is("OPTIONS") {
				return memnet.Fate{}
			}
			mu.Lock()
			defer mu.Unlock()
			id := m.get("Call-ID")
			if _, known := lost[id]; !known {
				lost[id] = questions%2 == 0 // every other one, with its repetitions
				questions++
			}
			return memnet.Fate{Drop: lost[id]}
		})
		time.Sleep(time.Hour)
		mu.Lock()
		defer mu.Unlock()
		if got := a.told.ups(); got != "" || questions < 100 {
			t.Errorf("told %q after %d questions", got, questions)
		}
	})
}

func TestOverloadIsNoSignOfLife(t *testing.T) {
	for _, status := range []int{503, 408} {
		inBubble(t, func(t *testing.T) {
			a := asked(t, nil)
			a.carrier.OPTIONS(status)
			time.Sleep(time.Minute)
			if s := a.state(); s.Up || !strings.HasPrefix(s.Reason, "10.0.0.20:5060 answers OPTIONS with "+map[int]string{503: "503", 408: "408"}[status]) {
				t.Errorf("state: %+v", s)
			}
		})
	}
}

func TestRegisteredTrunkThatKnowsNoOptionsIsUp(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		a := registering(t, lab.RegistrarOptions{}, func(c *Config) { c.Trunks[1].Options = 30 * time.Second }, func(n *memnet.Net) {
			n.SetFilter(func(p memnet.Packet) memnet.Fate {
				return memnet.Fate{Drop: parseRaw(string(p.Data), p.From).is("OPTIONS")}
			})
		})
		time.Sleep(time.Hour)
		if s := a.state(); !s.Up || !s.Registered || a.told.ups() != "" {
			t.Errorf("told %q, state: %+v", a.told.ups(), s)
		}
	})
}

func TestAnswerOfAnotherAddressWillDo(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		a := asked(t, func(c *Config) {
			c.Trunks[1].Host = "sip.example.net"
			c.Resolve = func(context.Context, string) ([]netip.Addr, error) {
				return []netip.Addr{netip.MustParseAddr("10.0.0.20"), netip.MustParseAddr("10.0.0.21")}, nil
			}
		})
		registrar(t, a.net, standbyAddr, lab.RegistrarOptions{})
		time.Sleep(time.Minute)
		a.carrier.OPTIONS(0)
		time.Sleep(time.Hour)
		if s := a.state(); !s.Up || s.Address != standbyAddr || a.told.ups() != "" {
			t.Errorf("told %q, state: %+v", a.told.ups(), s)
		}
	})
}

func TestQuestionsKeepANATOpen(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, func(c *Config) { c.Trunks[0].Options, c.Trunks[0].Username = 30*time.Second, "74950000000" })
		calls := map[string]bool{}
		for range 100 {
			m := b.carrier.within(30*time.Second+moment, "OPTIONS")
			if m.from.String() != agentAddr || m.uri() != "sip:10.0.0.9" || m.get("From") == "" || !strings.Contains(m.get("Contact"), agentAddr) {
				t.Fatalf("request:\n%s", m.raw)
			}
			calls[m.get("Call-ID")] = true
			b.carrier.reply(m, "200 OK")
		}
		if len(calls) != 100 {
			t.Errorf("%d Call-IDs, each question has its own", len(calls))
		}
	})
}

// A provider may answer nobody whom it does not know by a registration.
func TestATrunkThatRegistersIsAskedAfterItsFirstRegister(t *testing.T) {
	for _, answered := range []bool{true, false} {
		inBubble(t, func(t *testing.T) {
			var mu sync.Mutex
			var seen []string
			a := registering(t, lab.RegistrarOptions{}, func(c *Config) { c.Trunks[1].Options = 30 * time.Second }, func(n *memnet.Net) {
				n.SetFilter(func(p memnet.Packet) memnet.Fate {
					m := parseRaw(string(p.Data), p.From)
					what, _, _ := strings.Cut(m.start, " sip:")
					mu.Lock()
					defer mu.Unlock()
					if len(seen) == 0 || seen[len(seen)-1] != what { // without repetitions
						seen = append(seen, what)
					}
					return memnet.Fate{Delay: time.Millisecond, Drop: !answered && m.is("REGISTER")}
				})
			})
			time.Sleep(9 * time.Second) // twice the trunk's try, and before it is tried again
			want := "REGISTER, SIP/2.0 401 Unauthorized, REGISTER, SIP/2.0 200 OK, OPTIONS, SIP/2.0 200 OK"
			if !answered {
				want = "REGISTER, OPTIONS, SIP/2.0 200 OK"
			}
			mu.Lock()
			defer mu.Unlock()
			if got := strings.Join(seen, ", "); got != want {
				t.Errorf("got %s\nwant %s", got, want)
			}
			if s := a.state(); s.RoundTrip == nil || *s.RoundTrip > 10*time.Millisecond {
				t.Errorf("%+v", s)
			}
		})
	}
}

func TestARepeatedQuestionSaysNothingOfTheRoundTrip(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var mu sync.Mutex
		lose, lost := true, map[string]bool{}
		a := asked(t, nil)
		a.net.SetFilter(func(p memnet.Packet) memnet.Fate {
			m := parseRaw(string(p.Data), p.From)
			mu.Lock()
			defer mu.Unlock()
			fate := memnet.Fate{Delay: 10 * time.Millisecond}
			if id := m.get("Call-ID"); lose && m.is("OPTIONS") && !lost[id] {
				lost[id], fate.Drop = true, true
			}
			return fate
		})
		time.Sleep(time.Minute)
		if s := a.state(); !s.Up || !s.Known || s.RoundTrip != nil && *s.RoundTrip >= 500*time.Millisecond {
			t.Errorf("%+v", s)
		}
		mu.Lock()
		lose = false
		mu.Unlock()
		time.Sleep(time.Minute)
		if s := a.state(); s.RoundTrip == nil || *s.RoundTrip != 20*time.Millisecond {
			t.Errorf("%+v", s)
		}
		mu.Lock()
		lose = true
		mu.Unlock()
		time.Sleep(time.Minute)
		if s := a.state(); s.RoundTrip == nil || *s.RoundTrip != 20*time.Millisecond {
			t.Errorf("the last one that is known: %+v", s)
		}
	})
}
