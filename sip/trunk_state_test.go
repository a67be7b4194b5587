package sip

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// trunkLog keeps what OnTrunk is told.
type trunkLog struct {
	mu  sync.Mutex
	all []TrunkState // guarded by mu
}

func (l *trunkLog) add(s TrunkState) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, s)
}

func (l *trunkLog) states() []TrunkState {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.all)
}

// ups is one word for each change.
func (l *trunkLog) ups() string {
	var words []string
	for _, s := range l.states() {
		if s.Up {
			words = append(words, "up")
		} else {
			words = append(words, "down")
		}
	}
	return strings.Join(words, " ")
}

func trunkState(t *testing.T, a *Agent, name string) TrunkState {
	t.Helper()
	s, ok := a.TrunkState(name)
	if !ok {
		t.Fatalf("no trunk %s", name)
	}
	return s
}

func TestTrunkWithoutAnAddressIsDownUntilItHasOne(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		dns, told := &names{ip: map[string]string{}}, &trunkLog{}
		began := time.Now()
		b := testAgent(t, func(c *Config) {
			c.Trunks = append(c.Trunks, Trunk{Name: "named", Host: "sip.example.net:5070", Transport: "tcp"})
			c.Resolve, c.OnTrunk = dns.resolve, told.add
		})
		synctest.Wait()
		s := trunkState(t, b.agent, "named")
		if s.Up || !s.Known || s.Address != "" || s.Transport != "tcp" ||
			s.Reason != "host sip.example.net has no address (no such host; asked for A sip.example.net); check the name in trunks[].host and the DNS server of this machine" {
			t.Errorf("down: %+v", s)
		}
		dns.set("sip.example.net", "10.0.0.9")
		time.Sleep(resolveEvery + time.Second)
		s = trunkState(t, b.agent, "named")
		if !s.Up || s.Known || s.Reason != "" || s.Address != "10.0.0.9:5070" || !s.Since.Equal(began.Add(resolveEvery)) {
			t.Errorf("up: %+v", s)
		}
		if got := told.ups(); got != "down up" {
			t.Errorf("told: %s", got)
		}
		if all := b.agent.Trunks(); len(all) != 2 || all[0].Name != "carrier" || !all[0].Up || all[0].Known || all[0].Address != carrierAddr || all[1] != s {
			t.Errorf("all: %+v", all)
		}
		if log := b.log.String(); strings.Count(log, "level=WARN") != 1 {
			t.Errorf("one warning is enough:\n%s", log)
		}
		if _, ok := b.agent.TrunkState("none"); ok {
			t.Error("a trunk of that name is not configured")
		}
	})
}
