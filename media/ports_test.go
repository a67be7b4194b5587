package media

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

func TestPortsRestAfterCloseAndRunOut(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		var all []*Session
		seen := map[uint16]bool{}
		for range 3 {
			s := w.open(SessionConfig{})
			if s.Port()%2 != 0 || seen[s.Port()] {
				t.Errorf("port %d", s.Port())
			}
			seen[s.Port()] = true
			all = append(all, s)
		}
		if _, err := w.e.Open(context.Background(), SessionConfig{}); !errors.Is(err, ErrNoPorts) {
			t.Errorf("a fourth pair of three: %v", err)
		}
		_ = all[0].Close()
		if n, total := w.e.Ports(); n != 3 || total != 3 || w.e.Sessions() != 2 {
			t.Errorf("%d of %d taken, %d sessions", n, total, w.e.Sessions())
		}
		time.Sleep(900 * time.Millisecond)
		if _, err := w.e.Open(context.Background(), SessionConfig{}); !errors.Is(err, ErrNoPorts) {
			t.Errorf("a port was used again before it had rested: %v", err)
		}
		time.Sleep(2 * time.Second)
		if s := w.open(SessionConfig{}); s.Port() != all[0].Port() {
			t.Errorf("port %d", s.Port())
		}
	}, func(c *Config) { c.Ports.First, c.Ports.Last = 20001, 20007 })
}

func TestPortPutToRestWhileTheOldPartySpeaksOnLeaksNothing(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		old := w.phone("198.51.100.9:61000", PCMA)
		s := w.open(SessionConfig{})
		old.call(s)
		old.hum(1200)
		time.Sleep(time.Second)
		_ = s.Close()
		time.Sleep(9 * time.Second)
		if n, _ := w.e.Ports(); n != 1 {
			t.Error("the port did not rest while sound still came")
		}
		time.Sleep(1500 * time.Millisecond)
		if n, _ := w.e.Ports(); n != 0 {
			t.Error("the port rests for ever")
		}
		b := w.phone("198.51.100.10:62000", PCMA)
		sb := w.open(SessionConfig{}) // the same port
		if sb.Port() != s.Port() {
			t.Fatalf("port %d, then %d", s.Port(), sb.Port())
		}
		answer, err := sb.AcceptOffer(b.sdpAt(netip.MustParseAddrPort("192.168.1.7:5000")))
		if err != nil {
			t.Fatal(err)
		}
		b.aim(answer)
		time.Sleep(time.Second)
		if st := sb.Stats(); st.PacketsIn != 0 || st.Strangers == 0 {
			t.Errorf("%d packets of the old party were heard", st.PacketsIn)
		}
		b.hum(800)
		time.Sleep(time.Second)
		if st := sb.Stats(); st.Peer != b.conn.AddrPort() {
			t.Errorf("sound goes to %v", st.Peer)
		}
	}, func(c *Config) { c.Ports.First, c.Ports.Last = 20000, 20001 })
}

func TestPortOfAnotherProgramIsPassedOver(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		busy := w.net.MustListen(fmt.Sprintf("%v:20001", engineIP))
		s := w.open(SessionConfig{})
		if s.Port() != 20002 {
			t.Errorf("port %d", s.Port())
		}
		if n := w.net.Open(); n != 3 {
			t.Errorf("%d sockets open", n)
		}
		_ = busy.Close()
	}, func(c *Config) { c.Ports.First, c.Ports.Last = 20000, 20003 })
}

func TestBadConfigurationIsRefused(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"no ports":       func(*Config) {},
		"one port":       func(c *Config) { c.Ports.First, c.Ports.Last = 20000, 20000 },
		"odd pair":       func(c *Config) { c.Ports.First, c.Ports.Last = 20001, 20002 },
		"wrong way":      func(c *Config) { c.Ports.First, c.Ports.Last = 30000, 20000 },
		"the very end":   func(c *Config) { c.Ports.First, c.Ports.Last = 65535, 65535 },
		"unknown codecs": func(c *Config) { c.Ports.First, c.Ports.Last = 1000, 2000; c.Codecs = []Codec{9} },
	} {
		var c Config
		change(&c)
		if e, err := New(c); err == nil {
			t.Errorf("%s: accepted", name)
			_ = e.Close()
		}
	}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(c *Config) { c.BindIP = netip.IPv4Unspecified() })
		defer w.close()
		if _, err := w.e.Open(context.Background(), SessionConfig{}); err == nil {
			t.Error("a session without an address to advertise")
		}
		s, err := w.e.Open(context.Background(), SessionConfig{Advertise: engineIP})
		if err != nil || s.Advertised() != engineIP {
			t.Error(err)
		}
	})
}
