package sip

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"perezvon/internal/lab"
	"perezvon/internal/memnet"
)

// provided is an agent with an account at a carrier over TCP or TLS.
type provided struct {
	*bed
	carrier *lab.Carrier
	regs    *lab.Registrar
	calls   chan *Incoming
}

const providedAddr = "10.0.0.40:5060"

func atCarrier(t *testing.T, over string, s lab.Segments, adjust func(*Config)) *provided {
	t.Helper()
	p := &provided{calls: make(chan *Incoming, 4)}
	var n *memnet.Net
	account := lab.Credentials{Username: "74950000000", Password: "secret"}
	p.bed = testAgent(t, func(c *Config) {
		overStream(n, over, c)
		c.Trunks[1] = Trunk{
			Name: "stream", Host: providedAddr, Transport: over, TLS: c.Trunks[1].TLS, Username: account.Username, Password: account.Password,
			Register: true, Expires: 10 * time.Minute, Options: 30 * time.Second,
		}
		c.Handle = func(ctx context.Context, in *Incoming) {
			p.calls <- in
			<-ctx.Done()
		}
		if adjust != nil {
			adjust(c)
		}
	}, func(net *memnet.Net) {
		n = net
		at := netip.MustParseAddrPort(providedAddr)
		secured := authority().Issue(at.Addr().String()).Server()
		secured.RootCAs, secured.ServerName = authority().Pool(), agentName
		carrier, err := lab.NewCarrier(t.Context(), lab.Config{
			Signal: at, Transport: strings.ToUpper(over), TLS: secured, Segments: s, Auth: &account,
			Network: lab.Streams(lab.Virtual(n.ListenUDP), n.ListenStream, n.DialStream),
		})
		if err != nil {
			t.Fatal(err)
		}
		p.carrier, p.regs = carrier, carrier.NewRegistrar(lab.RegistrarOptions{Credentials: account})
		t.Cleanup(func() {
			for _, v := range carrier.Violations() {
				t.Error(v)
			}
			if t.Failed() {
				t.Logf("\n%s", carrier.Ladder())
			}
			_ = carrier.Close()
		})
	})
	return p
}

func (p *provided) settled() {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), time.Minute)
	defer cancel()
	if err := p.carrier.Settled(ctx); err != nil {
		p.t.Error(err)
	}
}

func TestAccountOverTCP(t *testing.T) { withAccount(t, transportTCP) }

func TestAccountOverTLS(t *testing.T) { withAccount(t, transportTLS) }

func withAccount(t *testing.T, over string) {
	for _, s := range []lab.Segments{lab.SegmentPerMessage, lab.SegmentsSmall, lab.SegmentsJoined} {
		t.Run(fmt.Sprint("segments ", s), func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				p := atCarrier(t, over, s, nil)
				time.Sleep(time.Second)
				if state, _ := p.agent.TrunkState("stream"); !state.Up || !state.Registered || state.RoundTrip == nil || state.Transport != over {
					t.Errorf("state: %+v", state)
				}

				// Out: early media, the answer, and the end by us.
				p.carrier.Number("100", lab.Script{lab.RecordRoute(), lab.NoSound(), lab.EarlyMedia(time.Second, 0), lab.Answer(2 * time.Second)})
				var seen []Progress
				o := <-p.inviteTCP(t.Context(), Invite{User: "100", OnProgress: func(x Progress) { seen = append(seen, x) }})
				if o.err != nil || len(seen) != 1 || !seen[0].Media {
					t.Fatalf("%v, %+v", o.err, seen)
				}
				if err := o.d.Bye(t.Context()); err != nil {
					t.Error(err)
				}

				// The end by them, after they have asked for this and that.
				p.carrier.Number("101", lab.Script{
					lab.NoSound(), lab.Answer(time.Second), lab.ReinviteUnchanged(), lab.ReinviteWithoutOffer(), lab.PressINFO("12", 0), lab.Bye(),
				})
				if o = <-p.inviteTCP(t.Context(), Invite{User: "101"}); o.err != nil {
					t.Fatal(o.err)
				}
				<-o.d.Done()

				// Cancelled by us while it rings.
				p.carrier.Number("102", lab.Script{lab.Ring(0), lab.Answer(time.Minute)})
				ctx, cancel := context.WithCancel(t.Context())
				out := p.inviteTCP(ctx, Invite{User: "102"})
				time.Sleep(5 * time.Second)
				cancel()
				if f := failure(t, <-out); f.Kind != Cancelled || f.Status != 487 {
					t.Errorf("%+v", f)
				}

				// In, to our Contact.
				party, err := p.carrier.Call(t.Context(), lab.CallOptions{
					Account: "74950000000", User: "74951112233", From: "79160001122", Script: lab.Script{lab.NoSound(), lab.Wait(time.Minute), lab.Bye()},
				})
				if err != nil {
					t.Fatal(err)
				}
				in := <-p.calls
				_ = in.Ring()
				d, err := in.Answer(t.Context(), &testMedia{}, DialogRef{})
				if err != nil {
					t.Fatal(err)
				}
				<-d.Done()
				<-party.Ended()

				// And given up by the caller.
				if party, err = p.carrier.Call(t.Context(), lab.CallOptions{
					Account: "74950000000", User: "74951112233", From: "79160001122", Script: lab.Script{lab.Cancel(3 * time.Second)},
				}); err != nil {
					t.Fatal(err)
				}
				_ = (<-p.calls).Ring()
				<-party.Ended()
				p.settled()
				time.Sleep(time.Second)
				if s := p.agent.Stats(); s.Dialogs != 0 || s.Incoming != 0 || s.Streams != 2 { // there, and for the carrier's calls back
					t.Errorf("%+v", s)
				}
			})
		})
	}
}

func TestAccountSurvivesTheLossOfItsConnection(t *testing.T) {
	overStreams(t, func(t *testing.T, over string) {
		p := atCarrier(t, over, lab.SegmentPerMessage, nil)
		p.carrier.Number("100", lab.Script{lab.NoSound(), lab.Answer(time.Second)})
		time.Sleep(time.Second)
		o := <-p.inviteTCP(t.Context(), Invite{User: "100"})
		if o.err != nil {
			t.Fatal(o.err)
		}
		for range 3 {
			p.carrier.DropConnections()
			time.Sleep(10 * time.Minute) // a refresh, and many OPTIONS
			synctest.Wait()
			if state, _ := p.agent.TrunkState("stream"); !state.Up || !state.Registered {
				t.Errorf("state: %+v", state)
			}
		}
		p.carrier.DropConnections()
		if err := o.d.Bye(t.Context()); err != nil {
			t.Error(err)
		}
		p.settled()
	})
}

func TestCallIsMadeAnewWhenTheConnectionWasLostUnderIt(t *testing.T) {
	overStreams(t, func(t *testing.T, over string) {
		p := atCarrier(t, over, lab.SegmentPerMessage, nil)
		p.carrier.Number("100", lab.Script{lab.NoSound(), lab.Answer(0)})
		time.Sleep(time.Second)
		for range 20 {
			p.carrier.DropConnections() // not seen yet when the INVITE is sent
			o := <-p.inviteTCP(t.Context(), Invite{User: "100"})
			if o.err != nil {
				t.Fatal(o.err)
			}
			if err := o.d.Bye(t.Context()); err != nil {
				t.Error(err)
			}
		}
		p.settled()
	})
}
