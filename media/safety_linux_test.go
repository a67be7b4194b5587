package media

import (
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"perezvon/internal/audiotest"
	"perezvon/media/sdp"
)

// kernelEngine is an engine on real sockets with as many pairs of ports as
// asked for; they were free a moment ago, and the kernel gives none of them to
// who asks for any.
func kernelEngine(t *testing.T, pairs int) *Engine {
	t.Helper()
	for range 100 {
		first := uint16(10000 + 2*rand.IntN(5000))
		cfg := Config{BindIP: loopback}
		cfg.Ports.First, cfg.Ports.Last = first, first+uint16(2*pairs)-1
		if !free(first, cfg.Ports.Last) {
			continue
		}
		e, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = e.Close() })
		return e
	}
	t.Fatal("no free ports")
	return nil
}

func free(first, last uint16) bool {
	for port := int(first); port <= int(last); port++ {
		c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
		if err != nil {
			return false
		}
		_ = c.Close()
	}
	return true
}

// hears checks who is heard by a party.
func (p *udpPhone) hears(t *testing.T, who string, want ...float64) {
	t.Helper()
	all := []float64{500, 800, 1200, 2000}
	got := audiotest.Hears(p.heard(), all...)
	for _, f := range all {
		expected := false
		for _, w := range want {
			expected = expected || w == f
		}
		if got[f] != expected {
			t.Errorf("%s hears %v Hz: %v", who, f, got[f])
		}
	}
}

func TestThirdPartiesReachNobodyOverRealSockets(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ a, b sdp.Suite }{
		"plain": {0, 0}, "encrypted and plain": {sdp.AESCM, 0}, "encrypted": {sdp.AESGCM, sdp.AESCM},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := kernelEngine(t, 4)
			elsewhere := netip.MustParseAddr("127.0.0.2")
			a, b, x, y := newUDPPhone(t, PCMA), newUDPPhone(t, PCMU), newUDPPhoneAt(t, elsewhere, PCMA), newUDPPhoneAt(t, elsewhere, PCMA)
			if tc.a != 0 {
				a.encrypt(t, tc.a)
			}
			if tc.b != 0 {
				b.encrypt(t, tc.b)
			}
			y.encrypt(t, sdp.AESCM) // with a key that nobody knows
			sa, toA := a.call(t, e)
			sb, toB := b.call(t, e)
			e.Connect(sa, sb, PathConfig{})
			var wg sync.WaitGroup
			wg.Go(func() { x.hum(toA, 2000, 90) }) // before the parties say anything
			wg.Go(func() { y.hum(toB, 1200, 90) })
			time.Sleep(300 * time.Millisecond)
			wg.Go(func() { a.hum(toA, 500, 70) })
			wg.Go(func() { b.hum(toB, 800, 70) })
			// Reports of others are not read either.
			for _, to := range []netip.AddrPort{toA, toB} {
				report := []byte{0x80, 201, 0, 1, 0, 0, 0, 1}
				_, _ = x.conn.WriteToUDPAddrPort(report, netip.AddrPortFrom(to.Addr(), to.Port()+1))
			}
			wg.Wait()
			time.Sleep(100 * time.Millisecond)
			a.hears(t, "a", 800)
			b.hears(t, "b", 500)
			for who, p := range map[string]*udpPhone{"x": x, "y": y} {
				if n := len(p.heard()); n != 0 {
					t.Errorf("%s was sent %d samples", who, n)
				}
			}
			if st := sa.Stats(); st.PacketsIn < 65 || st.PacketsIn > 70 || st.Strangers == 0 || st.Peer != a.addr() {
				t.Errorf("a: %+v", st)
			}
			if st := sb.Stats(); st.PacketsIn < 65 || st.PacketsIn > 70 || st.Strangers == 0 || st.Peer != b.addr() {
				t.Errorf("b: %+v", st)
			}
		})
	}
}

// The parties of one call talk on when it is over, while their ports serve the
// next one.
func TestNothingLeaksBetweenCallsOnTheSamePortsOverRealSockets(t *testing.T) {
	t.Parallel()
	for name, suite := range map[string]sdp.Suite{"plain": 0, "encrypted": sdp.AESGCM} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := kernelEngine(t, 2)
			elsewhere := netip.MustParseAddr("127.0.0.2")
			a, b, c, d := newUDPPhoneAt(t, elsewhere, PCMA), newUDPPhoneAt(t, elsewhere, PCMU), newUDPPhone(t, PCMA), newUDPPhone(t, PCMA)
			for _, p := range []*udpPhone{a, c} {
				if suite != 0 {
					p.encrypt(t, suite)
				}
			}
			sa, toA := a.call(t, e)
			sb, toB := b.call(t, e)
			e.Connect(sa, sb, PathConfig{})
			var wg sync.WaitGroup
			wg.Go(func() { a.hum(toA, 500, 20) })
			wg.Go(func() { b.hum(toB, 800, 20) })
			wg.Wait()
			_, _ = sa.Close(), sb.Close()
			for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(50 * time.Millisecond) {
				if n, _ := e.Ports(); n == 0 {
					break
				}
				if time.Now().After(deadline) {
					t.Fatal("the ports do not come free")
				}
			}
			a.hears(t, "a", 800)
			b.hears(t, "b", 500)
			a.forget()
			b.forget()

			wg.Go(func() { a.hum(toA, 500, 80) }) // they speak again
			wg.Go(func() { b.hum(toB, 800, 80) })
			sc, toC := c.call(t, e)
			sd, toD := d.call(t, e)
			if toC != toA && toC != toB || toD != toA && toD != toB {
				t.Fatalf("ports %v and %v after %v and %v", toC, toD, toA, toB)
			}
			e.Connect(sc, sd, PathConfig{})
			wg.Go(func() { c.hum(toC, 1200, 60) })
			wg.Go(func() { d.hum(toD, 2000, 60) })
			wg.Wait()
			c.hears(t, "c", 2000)
			d.hears(t, "d", 1200)
			if n, m := len(a.heard()), len(b.heard()); n+m != 0 {
				t.Errorf("the parties of the first call were sent %d and %d samples", n, m)
			}
		})
	}
}

func (p *udpPhone) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pcm = nil
}
