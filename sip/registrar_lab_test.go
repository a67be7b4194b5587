package sip

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"perezvon/internal/lab"
)

// labPhone is a simulated phone at 10.0.7.5 that registers as 201.
func labPhone(t *testing.T, d *desk, over string) *lab.Carrier {
	t.Helper()
	at := netip.MustParseAddrPort("10.0.7.5:5060")
	cfg := lab.Config{Signal: at, Transport: strings.ToUpper(over), Network: lab.Streams(lab.Virtual(d.net.ListenUDP), d.net.ListenStream, d.net.DialStream)}
	if over == transportTLS {
		cfg.TLS = authority().Issue(at.Addr().String()).Server()
		cfg.TLS.RootCAs, cfg.TLS.ServerName = authority().Pool(), agentName
	}
	p, err := lab.NewCarrier(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, v := range p.Violations() {
			t.Error(v)
		}
		if t.Failed() {
			t.Log(p.Ladder())
		}
		_ = p.Close()
		synctest.Wait()
	})
	return p
}

func TestASimulatedPhoneRegistersIsRungAndCalls(t *testing.T) {
	for _, over := range []string{transportUDP, transportTCP, transportTLS} {
		t.Run(over, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				calls := make(chan *Incoming, 1)
				with := func(c *Config) {
					c.Handle = func(ctx context.Context, in *Incoming) {
						_, _ = in.Answer(ctx, &testMedia{}, DialogRef{})
						calls <- in
						<-ctx.Done()
					}
				}
				var d *desk
				if over == transportUDP {
					d = desking(t, with)
				} else {
					d = streamDesk(t, over, with)
				}
				p := labPhone(t, d, over)
				account := lab.Account{At: netip.MustParseAddrPort(agentAddr), Username: "201", Password: officePassword, Expires: 10 * time.Minute}
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Hour)
				defer cancel()
				reg, err := p.RegisterPhone(ctx, account)
				if err != nil {
					t.Fatal(err)
				}
				for range 60 {
					time.Sleep(time.Minute)
					if b := d.agent.Registered("201"); len(b) != 1 || !b[0].Reachable || b[0].Transport != over {
						t.Fatalf("%+v", b)
					}
				}
				every := 10 * time.Minute / 2
				if over != transportUDP {
					every = streamGranted / 2
				}
				if n, want := reg.Granted(), int(time.Hour/every); n < want || n > want+2 {
					t.Errorf("registered %d times in an hour, want %d", n, want)
				}

				p.Number("201", lab.Script{lab.NoSound(), lab.Ring(0), lab.Answer(time.Second), lab.Wait(5 * time.Second), lab.Bye()})
				o := <-d.invite(ctx, Invite{Target: Target{Extension: "201", Binding: d.agent.Registered("201")[0].ID}})
				if o.err != nil {
					t.Fatal(o.err)
				}
				<-o.d.Done()

				party, err := p.Call(ctx, lab.CallOptions{
					To: account.At, User: "102", From: "201", Login: &account, Script: lab.Script{lab.NoSound(), lab.Wait(3 * time.Second), lab.Bye()},
				})
				if err != nil {
					t.Fatal(err)
				}
				if in := <-calls; in.Extension != "201" || len(in.Trunks) != 0 || in.Called != "102" {
					t.Errorf("a call of extension %q, trunks %q", in.Extension, in.Trunks)
				}
				<-party.Ended()
				if _, ok := party.Event(lab.Challenged); !ok {
					t.Error("nobody asked for its password")
				}
				if err := reg.Unregister(ctx); err != nil {
					t.Fatal(err)
				}
				if n := len(d.agent.Registered("201")); n != 0 {
					t.Errorf("%d are registered", n)
				}
				time.Sleep(time.Minute)
			})
		})
	}
}
