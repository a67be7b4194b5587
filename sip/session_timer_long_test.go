package sip

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"perezvon/internal/lab"
	"perezvon/internal/memnet"
)

// versions is a Negotiator that writes descriptions as calls do: the version
// in o= rises when anything else changes, and hold is answered as such.
type versions struct {
	version int
	last    string
}

func (m *versions) write(formats, direction string) ([]byte, error) {
	rest := "s=-\r\nc=IN IP4 10.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP " + formats + "\r\na=" + direction + "\r\n"
	if rest != m.last {
		m.version++
	}
	m.last = rest
	return fmt.Appendf(nil, "v=0\r\no=- 1 %d IN IP4 10.0.0.1\r\n%s", m.version, rest), nil
}

func (m *versions) CreateOffer() ([]byte, error) { return m.write("8 0", "sendrecv") }

func (m *versions) AcceptOffer(offer []byte) ([]byte, error) {
	for theirs, ours := range map[string]string{"sendonly": "recvonly", "recvonly": "sendonly", "inactive": "inactive"} {
		if strings.Contains(string(offer), "a="+theirs) {
			return m.write("8", ours)
		}
	}
	return m.write("8", "sendrecv")
}

func (m *versions) AcceptAnswer([]byte) error { return nil }

// office is an agent with the simulated carrier as its trunk.
type office struct {
	t       *testing.T
	agent   *Agent
	carrier *lab.Carrier
	journal *testJournal
	calls   chan *Incoming
}

// inOffice runs a test in virtual time. Afterwards no dialog may be up, nothing
// be remembered, and no rule of SIP be broken.
func inOffice(t *testing.T, test func(t *testing.T, o *office)) {
	t.Helper()
	inBubble(t, func(t *testing.T) {
		n := memnet.New()
		o := &office{t: t, journal: &testJournal{recs: map[string]DialogRecord{}}, calls: make(chan *Incoming, 8)}
		var err error
		if o.carrier, err = lab.NewCarrier(t.Context(), lab.Config{Signal: netip.MustParseAddrPort(carrierAddr), Network: lab.Virtual(n.ListenUDP)}); err != nil {
			t.Fatal(err)
		}
		o.agent, err = New(Config{
			Listen: []net.PacketConn{n.MustListen(agentAddr)}, Trunks: []Trunk{{Name: "carrier", Host: carrierAddr}}, Journal: o.journal,
			Handle: func(ctx context.Context, in *Incoming) { o.calls <- in; <-ctx.Done() }, Logger: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := o.agent.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		test(t, o)
		time.Sleep(2 * txTimeout)
		o.clean()
		if err := o.agent.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if err := o.carrier.Close(); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if n := n.Open(); n != 0 {
			t.Errorf("%d sockets are left", n)
		}
	})
}

func (o *office) clean() {
	o.t.Helper()
	if v := o.carrier.Violations(); len(v) > 0 {
		o.t.Errorf("rules were broken:\n%s\n%s", strings.Join(v, "\n"), o.carrier.Ladder())
	}
	if n, j := o.agent.calls.size(), o.journal.size(); n != 0 || j != 0 || o.carrier.Dialogs() != 0 {
		o.t.Errorf("%d dialogs, %d records, %d dialogs of the carrier are left", n, j, o.carrier.Dialogs())
	}
	o.agent.sent.mu.Lock()
	defer o.agent.sent.mu.Unlock()
	if n := len(o.agent.sent.byKey); n != 0 {
		o.t.Errorf("%d requests are remembered after their end", n)
	}
	if s := o.agent.Stats(); s.Panics != 0 || s.Foreign != 0 || s.Astray != 0 {
		o.t.Errorf("%+v", s)
	}
}

// call has a call with the carrier up, that we place or take.
func (o *office) call(placed bool, script ...lab.Step) (*Dialog, *lab.Party) {
	o.t.Helper()
	script = append([]lab.Step{lab.NoSound()}, script...)
	if placed {
		o.carrier.Number("100", append(script, lab.Ring(0), lab.Answer(time.Second)))
		d, err := o.agent.Invite(o.t.Context(), Invite{Target: Target{Trunk: "carrier"}, User: "100", Media: &versions{}})
		if err != nil {
			o.t.Fatal(err)
		}
		p, err := o.carrier.Wait(o.t.Context(), "100", 1)
		if err != nil {
			o.t.Fatal(err)
		}
		return d, p
	}
	p, err := o.carrier.Call(o.t.Context(), lab.CallOptions{To: netip.MustParseAddrPort(agentAddr), User: "200", From: "100", Script: script})
	if err != nil {
		o.t.Fatal(err)
	}
	d, err := (<-o.calls).Answer(o.t.Context(), &versions{}, DialogRef{})
	if err != nil {
		o.t.Fatal(err)
	}
	return d, p
}

// happened counts the events of a kind.
func happened(p *lab.Party, kind lab.Kind) int {
	n := 0
	for _, e := range p.Timeline() {
		if e.Kind == kind {
			n++
		}
	}
	return n
}

func TestTwoHoursWithAPeerThatRefreshes(t *testing.T) {
	for _, placed := range []bool{true, false} {
		for name, how := range map[string][]lab.Step{"UPDATE": nil, "re-INVITE": {lab.RefreshByReinvite()}} {
			t.Run(name, func(t *testing.T) {
				inOffice(t, func(t *testing.T, o *office) {
					refresher := map[bool]string{true: "uas", false: "uac"}[placed]
					d, p := o.call(placed, append(how, lab.SessionTimer(600*time.Second, refresher))...)
					time.Sleep(2*time.Hour + time.Minute)
					if n := happened(p, lab.Updated) + happened(p, lab.Reinvited); d.isOver() || n != 24 {
						t.Errorf("over %v (%v), refreshed %d times", d.isOver(), d.Ended(), n)
					}
					if err := d.Bye(t.Context()); err != nil {
						t.Error(err)
					}
				})
			})
		}
	}
}

func TestTwoHoursInWhichWeRefresh(t *testing.T) {
	for _, placed := range []bool{true, false} {
		for name, how := range map[string][]lab.Step{"UPDATE": nil, "re-INVITE": {lab.NoUpdate()}} {
			t.Run(name, func(t *testing.T) {
				inOffice(t, func(t *testing.T, o *office) {
					refresher := map[bool]string{true: "uac", false: "uas"}[placed]
					d, p := o.call(placed, append(how, lab.SessionTimer(600*time.Second, refresher))...)
					time.Sleep(2*time.Hour + time.Minute)
					if n := happened(p, lab.Reinvited); d.isOver() || n != 24 {
						t.Errorf("over %v (%v), refreshed %d times", d.isOver(), d.Ended(), n)
					}
					if err := p.Hangup(t.Context()); err != nil {
						t.Error(err)
					}
					<-d.Done()
				})
			})
		}
	}
}

func TestHeldCallStaysHeldWhenItIsRefreshed(t *testing.T) {
	inOffice(t, func(t *testing.T, o *office) {
		d, p := o.call(false, lab.NoUpdate(), lab.SessionTimer(600*time.Second, "uas"), lab.Hold())
		time.Sleep(20 * time.Minute)
		if got := p.Remote().Direction; got != "recvonly" || happened(p, lab.Reinvited) < 4 {
			t.Errorf("direction %s after %d re-INVITEs", got, happened(p, lab.Reinvited))
		}
		if err := d.Bye(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestPeersThatForgetTheSession(t *testing.T) {
	for _, placed := range []bool{true, false} {
		for interval, want := range map[time.Duration]time.Duration{1800 * time.Second: 1768 * time.Second, 90 * time.Second: 60 * time.Second} {
			inOffice(t, func(t *testing.T, o *office) {
				refresher := map[bool]string{true: "uas", false: "uac"}[placed]
				d, p := o.call(placed, lab.SessionTimer(interval, refresher), lab.NeverRefresh())
				<-d.Done()
				<-p.Ended()
				answered, _ := p.Event(lab.Answered)
				bye, _ := p.Event(lab.ByeReceived)
				if took := bye.At.Sub(answered.At).Round(time.Second); took != want || d.Ended().By != ByTimeout {
					t.Errorf("BYE after %s, ended by %s", took, d.Ended().By)
				}
			})
		}
	}
}

func TestPeersWithLongerSessionsAndGlareAndRefusals(t *testing.T) {
	for name, how := range map[string][]lab.Step{
		"Min-SE":              {lab.MinSE(2000 * time.Second), lab.SessionTimer(time.Hour, "")},
		"glare":               {lab.Glare(), lab.NoUpdate(), lab.SessionTimer(600*time.Second, "")},
		"glare that stays":    {lab.RefuseReinvites(5, 491, "Request Pending"), lab.NoUpdate(), lab.SessionTimer(600*time.Second, "")},
		"UPDATE refused":      {lab.RefuseReinvites(1, 501, "Not Implemented"), lab.SessionTimer(600*time.Second, "")},
		"refuses for ever":    {lab.RefuseReinvites(-1, 500, "Server Internal Error", "Retry-After: 5"), lab.Headers("Session-Expires: 600;refresher=uac")},
		"behind a proxy":      {lab.RecordRoute(), lab.NoUpdate(), lab.SessionTimer(600*time.Second, "")},
		"asks for less later": {lab.SessionTimer(90*time.Second, "")},
	} {
		t.Run(name, func(t *testing.T) {
			inOffice(t, func(t *testing.T, o *office) {
				d, p := o.call(true, how...)
				time.Sleep(41 * time.Minute)
				if d.isOver() {
					t.Errorf("ended: %v", d.Ended())
				}
				if name == "glare" && happened(p, lab.Reinvited) < 5 {
					t.Errorf("%d re-INVITEs", happened(p, lab.Reinvited))
				}
				if err := d.Bye(t.Context()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestReinvitesOfBothSidesOverAndOver(t *testing.T) {
	inOffice(t, func(t *testing.T, o *office) {
		steps := slices.Repeat([]lab.Step{
			lab.Hold(), lab.Update(true), lab.Resume(), lab.ReinviteUnchanged(), lab.ReinviteWithoutOffer(), lab.Update(false), lab.Talk(44 * time.Second),
		}, 40)
		d, p := o.call(false, append([]lab.Step{lab.NoUpdate(), lab.SessionTimer(90*time.Second, "uas")}, steps...)...)
		time.Sleep(40 * time.Minute)
		if d.isOver() || happened(p, lab.Reinvited) < 160 || happened(p, lab.Updated) != 80 {
			t.Errorf("over %v, %d re-INVITEs, %d UPDATEs", d.isOver(), happened(p, lab.Reinvited), happened(p, lab.Updated))
		}
		if err := d.Bye(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
