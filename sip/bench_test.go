package sip

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"perezvon/internal/memnet"
)

// answerer is the far end of benchmarks: it answers every INVITE with 180 and
// 200, every other request but ACK with 200.
func answerer(n *memnet.Net, addr string) *memnet.Conn {
	c := n.MustListen(addr)
	go func() {
		buf := make([]byte, 65535)
		p := &peer{addr: addr, tag: "bench"}
		for {
			k, from, err := c.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			m := parseRaw(string(buf[:k]), from)
			switch {
			case m.is("ACK"), strings.HasPrefix(m.start, "SIP/2.0"):
				continue
			case m.is("INVITE"):
				_, _ = c.WriteToUDPAddrPort([]byte(p.response(m, "180 Ringing")), from)
				_, _ = c.WriteToUDPAddrPort([]byte(p.response(m, "200 OK", "body:"+testSDP)), from)
			default:
				_, _ = c.WriteToUDPAddrPort([]byte(p.response(m, "200 OK")), from)
			}
		}
	}()
	return c
}

func benchAgent(b *testing.B) *Agent {
	b.Helper()
	n := memnet.New()
	far := answerer(n, carrierAddr)
	a, err := New(Config{
		Listen: []net.PacketConn{n.MustListen(agentAddr)},
		Trunks: []Trunk{{Name: "carrier", Host: carrierAddr}},
		Handle: func(context.Context, *Incoming) {},
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		b.Fatal(err)
	}
	if err := a.Start(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = a.Close(context.Background())
		_ = far.Close()
	})
	return a
}

// BenchmarkCall sets calls up and ends them, far end included.
func BenchmarkCall(b *testing.B) {
	a := benchAgent(b)
	b.ReportAllocs()
	b.SetParallelism(50)
	var failed atomic.Int64
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			d, err := a.Invite(b.Context(), Invite{Target: Target{Trunk: "carrier"}, User: "1", Media: &testMedia{}})
			if err != nil {
				failed.Add(1)
				continue
			}
			_ = d.Bye(b.Context())
		}
	})
	if n := failed.Load(); n > 0 {
		b.Errorf("%d of %d calls failed", n, b.N)
	}
}

// BenchmarkIdleDialog reports what a dialog holds once its INVITE is over.
func BenchmarkIdleDialog(b *testing.B) {
	a := benchAgent(b)
	const calls = 1000
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		dialogs := make([]*Dialog, calls)
		routines := runtime.NumGoroutine()
		for i := range dialogs {
			d, err := a.Invite(b.Context(), Invite{Target: Target{Trunk: "carrier"}, User: "1", Media: &testMedia{}})
			if err != nil {
				b.Fatal(err)
			}
			d.forgetOutgoing()
			dialogs[i] = d
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/calls, "B/dialog")
		b.ReportMetric(float64(runtime.NumGoroutine()-routines)/calls, "goroutines/dialog")
		for _, d := range dialogs {
			_ = d.Bye(b.Context())
		}
	}
}

func BenchmarkPerimeter(b *testing.B) {
	n := memnet.New()
	l := newListener(n.MustListen(agentAddr), testGuard(b, Perimeter{}).admits)
	packet, from := []byte("INVITE sip:x SIP/2.0\r\n\r\n"), netip.MustParseAddrPort(carrierAddr)
	b.ReportAllocs()
	for b.Loop() {
		l.accept(packet, from)
	}
}
