package sip

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// TestCallOverRealSockets is the one test with the kernel's sockets: the
// listener's deadlines, and that nothing is left after Close.
func TestCallOverRealSockets(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	sock, err := ListenUDP(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	far, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	a, err := New(Config{
		Listen: []net.PacketConn{sock},
		Trunks: []Trunk{{Name: "carrier", Host: far.LocalAddr().String()}},
		Handle: func(context.Context, *Incoming) {},
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		playFarEnd(far)
	}()
	media := &testMedia{}
	d, err := a.Invite(t.Context(), Invite{Target: Target{Trunk: "carrier"}, User: "1", Media: media})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Bye(t.Context()); err != nil {
		t.Error(err)
	}
	if err := a.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if got := media.log(); len(got) != 2 {
		t.Errorf("media %q: the 183 in front of the 200 was lost", got)
	}
	_ = far.Close()
	<-done
}

// playFarEnd answers INVITEs with 183 and 200 back to back, where only the 183
// has a session description, and everything else but ACK with 200.
func playFarEnd(c *net.UDPConn) {
	p := &peer{addr: c.LocalAddr().String(), tag: "far"}
	buf := make([]byte, 65535)
	for {
		_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
		n, from, err := c.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		m := parseRaw(string(buf[:n]), netip.AddrPortFrom(from.Addr().Unmap(), from.Port()))
		switch {
		case m.is("ACK"), strings.HasPrefix(m.start, "SIP/2.0"):
		case m.is("INVITE"):
			_, _ = c.WriteToUDPAddrPort([]byte(p.response(m, "183 Session Progress", "body:"+testSDP)), from)
			_, _ = c.WriteToUDPAddrPort([]byte(p.response(m, "200 OK")), from)
		default:
			_, _ = c.WriteToUDPAddrPort([]byte(p.response(m, "200 OK")), from)
		}
	}
}
