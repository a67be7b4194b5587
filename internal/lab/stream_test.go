package lab_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"perezvon/internal/certtest"
	"perezvon/internal/lab"
	"perezvon/internal/memnet"
)

// inTCPWorld is inWorld over TCP, inTLSWorld over TLS.
func inTCPWorld(t *testing.T, s lab.Segments, auth *lab.Credentials, f func(w *world)) {
	t.Helper()
	inStreamWorld(t, lab.TCP, s, auth, f)
}

func inTLSWorld(t *testing.T, s lab.Segments, auth *lab.Credentials, f func(w *world)) {
	t.Helper()
	inStreamWorld(t, lab.TLS, s, auth, f)
}

func inStreamWorld(t *testing.T, transport string, s lab.Segments, auth *lab.Credentials, f func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, ctx: t.Context(), net: memnet.New()}
		ca := certtest.NewCA("Test")
		carrier := func(addr string, auth *lab.Credentials) *lab.Carrier {
			secured := ca.Issue(netip.MustParseAddrPort(addr).Addr().String()).Server()
			secured.RootCAs = ca.Pool()
			c, err := lab.NewCarrier(w.ctx, lab.Config{
				Signal: netip.MustParseAddrPort(addr), Transport: transport, TLS: secured, Segments: s, Auth: auth,
				Network: lab.Streams(lab.Virtual(w.net.ListenUDP), w.net.ListenStream, w.net.DialStream),
			})
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		w.a, w.b = carrier("10.0.0.1:5060", nil), carrier("10.0.0.2:5060", auth)
		f(w)
		if t.Failed() {
			t.Logf("ladder of the called side:\n%s", w.b.Ladder())
		}
		for _, c := range []*lab.Carrier{w.a, w.b} {
			if err := c.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		}
		synctest.Wait()
		if n, s := w.net.Open(), w.net.Streams(); n != 0 || s != 0 {
			t.Errorf("%d sockets and %d ends of connections are left", n, s)
		}
	})
}

func TestTwoPartiesTalkOverTCP(t *testing.T) { twoPartiesTalk(t, inTCPWorld) }

func TestTwoPartiesTalkOverTLS(t *testing.T) { twoPartiesTalk(t, inTLSWorld) }

func twoPartiesTalk(t *testing.T, in func(*testing.T, lab.Segments, *lab.Credentials, func(*world))) {
	for _, s := range []lab.Segments{lab.SegmentPerMessage, lab.SegmentsSmall, lab.SegmentsJoined} {
		t.Run(fmt.Sprint(s), func(t *testing.T) {
			in(t, s, &lab.Credentials{Username: "u", Password: "p"}, func(w *world) {
				w.b.Number("100", lab.Customer(2*time.Second))
				caller, err := w.a.Call(w.ctx, lab.CallOptions{To: w.b.Addr(), User: "100", From: "200"})
				if err != nil {
					t.Fatal(err)
				}
				<-caller.Ended() // it has no password
				if e, _ := caller.Event(lab.Refused); e.Status != 407 && e.Status != 401 {
					t.Errorf("%v", caller.Timeline())
				}
			})
			in(t, s, nil, func(w *world) {
				w.b.Number("100", lab.Script{lab.RecordRoute(), lab.EarlyMedia(time.Second, 900), lab.Answer(2 * time.Second)})
				caller, called := w.call(lab.CallOptions{Script: lab.Script{lab.Tone(lab.ManagerTone), lab.Talk(3 * time.Second), lab.Hold(), lab.Resume(), lab.Talk(time.Second), lab.Bye()}})
				<-caller.Ended()
				w.settle()
				expect(t, "called", called, "invited, proceeding 100, progress 183, answered 200, acked, reinvited 200 recvonly, reinvited 200 sendrecv, bye received")
				if made, taken := w.b.Connections(); made != 0 || taken != 1 {
					t.Errorf("%d connections made, %d taken", made, taken)
				}
			})
		})
	}
}

func TestCallOverTCPGoesOnWithoutItsConnection(t *testing.T) { goesOn(t, inTCPWorld) }

func TestCallOverTLSGoesOnWithoutItsConnection(t *testing.T) { goesOn(t, inTLSWorld) }

func goesOn(t *testing.T, in func(*testing.T, lab.Segments, *lab.Credentials, func(*world))) {
	in(t, lab.SegmentPerMessage, nil, func(w *world) {
		w.b.Number("100", lab.Script{lab.Answer(time.Second), lab.Talk(time.Minute), lab.Bye()})
		caller, called := w.call(lab.CallOptions{Script: lab.Script{lab.Talk(10 * time.Minute)}})
		time.Sleep(30 * time.Second)
		w.b.DropConnections()
		<-caller.Ended()
		w.settle()
		if _, ok := called.Event(lab.ByeSent); !ok {
			t.Errorf("%v", called.Timeline())
		}
	})
}

func TestWhatIsRepeatedOrMislabelledOverTCPIsNoted(t *testing.T) {
	inTCPWorld(t, lab.SegmentPerMessage, nil, func(w *world) {
		c, err := w.net.DialStream(w.ctx, netip.MustParseAddrPort("10.0.0.9:0"), w.b.Addr())
		if err != nil {
			t.Fatal(err)
		}
		m := "OPTIONS sip:10.0.0.2:5060 SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.9:5060;branch=z9hG4bK1;rport\r\nMax-Forwards: 70\r\n" +
			"From: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\nContact: <sip:a@10.0.0.9>\r\nContent-Length: 0\r\n\r\n"
		_, _ = c.Write([]byte(m + m + "OPTIONS sip:10.0.0.2 SIP/2.0\r\n\r\n"))
		synctest.Wait()
		got := strings.Join(w.b.Violations(), "\n")
		for _, want := range []string{"over TCP", "does not say that it is reached over TCP", "repeated over TCP", "without Content-Length"} {
			if !strings.Contains(got, want) {
				t.Errorf("no %q in\n%s", want, got)
			}
		}
		_ = c.Close()
	})
}

func TestCarrierRefusesACertificateThatItDoesNotExpect(t *testing.T) {
	inTLSWorld(t, lab.SegmentPerMessage, nil, func(w *world) {
		w.b.Number("100", lab.Customer(time.Second))
		other := certtest.NewCA("Other")
		secured := other.Issue("10.0.0.3").Server()
		secured.RootCAs = other.Pool()
		c, err := lab.NewCarrier(w.ctx, lab.Config{
			Signal: netip.MustParseAddrPort("10.0.0.3:5060"), Transport: lab.TLS, TLS: secured,
			Network: lab.Streams(lab.Virtual(w.net.ListenUDP), w.net.ListenStream, w.net.DialStream),
		})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		caller, err := c.Call(w.ctx, lab.CallOptions{To: w.b.Addr(), User: "100", From: "200"})
		if err != nil {
			t.Fatal(err)
		}
		<-caller.Ended()
		if w.b.BrokenConnections() != 1 || c.BrokenConnections() != 1 || len(w.b.Parties()) != 0 {
			t.Errorf("%d and %d connections were broken, %d calls came", w.b.BrokenConnections(), c.BrokenConnections(), len(w.b.Parties()))
		}
	})
}
