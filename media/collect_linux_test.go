package media

import (
	"context"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/pion/rtcp"
)

func TestKeptPacketsComeWithTheirSourceAndAge(t *testing.T) {
	for _, ip := range []string{"127.0.0.1", "::1"} {
		t.Run(ip, func(t *testing.T) {
			a, b := kernelConn(t, ip), kernelConn(t, ip)
			if err := a.keep(); err != nil {
				t.Fatal(err)
			}
			// The kernel begins to note times a moment after the first socket
			// has asked for them.
			time.Sleep(100 * time.Millisecond)
			before := time.Now()
			for _, text := range []string{"one", "two"} {
				if _, err := b.WriteToUDPAddrPort([]byte(text), a.AddrPort()); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(30 * time.Millisecond)
			var scratch sync.Pool
			var got []string
			look := func() {
				a.collect(&scratch, func(p []byte, from netip.AddrPort, age time.Duration) {
					got = append(got, string(p))
					if from != b.AddrPort() {
						t.Errorf("%s came from %s, not from %s", p, from, b.AddrPort())
					}
					if most := time.Since(before); age < 30*time.Millisecond || age > most {
						t.Errorf("%s is %v old; sent 30ms to %v ago", p, age, most)
					}
				})
			}
			look()
			look()
			if len(got) != 2 || got[0] != "one" || got[1] != "two" {
				t.Errorf("collected %q", got)
			}
			_ = a.Close()
			look() // finds nothing, and does not fail
		})
	}
}

func TestAKeptFloodIsCollectedInPieces(t *testing.T) {
	a, b := kernelConn(t, "127.0.0.1"), kernelConn(t, "127.0.0.1")
	if err := a.keep(); err != nil {
		t.Fatal(err)
	}
	for range burst + 10 {
		if _, err := b.WriteToUDPAddrPort([]byte("x"), a.AddrPort()); err != nil {
			t.Fatal(err)
		}
	}
	var scratch sync.Pool
	for _, want := range []int{burst, 10, 0} {
		n := 0
		a.collect(&scratch, func([]byte, netip.AddrPort, time.Duration) { n++ })
		if n != want {
			t.Errorf("collected %d packets at once, want %d", n, want)
		}
	}
}

// The far side answers a report of ours after a while and says for how long it
// kept it; that we fetch the answer later still is no part of the round trip.
func TestRoundTripDoesNotCountHowLongAReportWasKept(t *testing.T) {
	e, err := New(Config{BindIP: loopback, Ports: struct{ First, Last uint16 }{21000, 29999}})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	s, err := e.Open(context.Background(), SessionConfig{})
	if err != nil {
		t.Fatal(err)
	}
	if s.kept == nil {
		t.Fatal("somebody waits for reports on a socket that keeps them")
	}
	far, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	at := far.LocalAddr().(*net.UDPAddr).AddrPort()
	if _, err := s.AcceptOffer([]byte("v=0\r\nc=IN IP4 127.0.0.1\r\nm=audio 9000 RTP/AVP 8\r\na=rtcp:" + strconv.Itoa(int(at.Port())) + "\r\n")); err != nil {
		t.Fatal(err)
	}
	time.Sleep(100 * time.Millisecond) // until the kernel notes times
	const kept = 300 * time.Millisecond
	now := e.now()
	report, err := rtcp.Marshal([]rtcp.Packet{&rtcp.ReceiverReport{SSRC: 5, Reports: []rtcp.ReceptionReport{{
		SSRC: s.tx.ssrc, LastSenderReport: uint32(e.ntp(now) >> 16), Delay: 0,
	}}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := far.WriteToUDPAddrPort(report, netip.AddrPortFrom(loopback, s.Port()+1)); err != nil {
		t.Fatal(err)
	}
	time.Sleep(kept)
	deadline := time.Now().Add(5 * time.Second)
	for s.Stats().RoundTrip == nil {
		if time.Now().After(deadline) {
			t.Fatal("the report was not read")
		}
		time.Sleep(10 * time.Millisecond)
	}
	if trip := *s.Stats().RoundTrip; trip >= kept {
		t.Errorf("round trip %v: the %v for which the report lay in the socket are in it", trip, kept)
	}
}
