package sip

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"perezvon/internal/lab"
	"perezvon/internal/memnet"
)

// wiretap keeps what an agent tells of its messages and calls.
type wiretap struct {
	mu    sync.Mutex
	lines []string // guarded by mu; "> " or "< ", transport, remote, message
	refs  []string // guarded by mu; Call-ID, call, leg
	ids   map[string]int
}

func (w *wiretap) install(c *Config) {
	w.ids = make(map[string]int)
	c.OnMessage = func(m Message) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.lines = append(w.lines, fmt.Sprint(arrowOf(m.Sent), m.Transport, " ", m.Remote, "\n", string(m.Data)))
		w.ids[string(m.CallID)]++
		if m.At.IsZero() || m.Local.Port() == 0 {
			panic("a message without its time or place")
		}
	}
	c.OnCall = func(id string, ref DialogRef) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.refs = append(w.refs, id+" "+ref.Call+" "+ref.Leg)
	}
}

func arrowOf(sent bool) string {
	if sent {
		return "> "
	}
	return "< "
}

// told returns what was told of messages, in order.
func (w *wiretap) told() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.lines)
}

func TestEveryMessageOverUDPIsTold(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var tap wiretap
		var wire []string
		calls, release := make(chan incoming, 1), make(chan struct{})
		b := testAgent(t, func(c *Config) {
			accepting(calls, release)(c)
			tap.install(c)
		}, func(n *memnet.Net) {
			n.SetLog(func(p memnet.Packet) {
				remote := p.From
				sent := p.From.String() == agentAddr
				if sent {
					remote = p.To
				}
				if len(p.Data) > 4 && remote.String() != "10.0.0.66:5060" {
					wire = append(wire, fmt.Sprint(arrowOf(sent), "udp ", remote, "\n", string(p.Data)))
				}
			})
		})
		defer close(release)
		// Out, with a lost INVITE, a refusal and an answer; in, with an answer.
		out := b.invite(t.Context(), Invite{Ref: DialogRef{Call: "c1", Leg: "l1"}})
		time.Sleep(600 * time.Millisecond)
		b.carrier.reply(b.carrier.expect("INVITE"), "486 Busy Here")
		_ = failure(t, <-out)
		b.carrier.expect("ACK")
		d, _ := b.answered(Invite{Ref: DialogRef{Call: "c2", Leg: "l2"}})
		stranger := newPeer(t, b.net, "10.0.0.66:5060")
		stranger.send(stranger.initial("66", "body:"+testSDP))
		b.carrier.send("\r\n\r\n") // keep-alive
		b.carrier.send(b.carrier.initial("1", "body:"+testSDP))
		in := (<-calls).in
		in.Bind(DialogRef{Call: "c3"})
		if _, err := in.Answer(t.Context(), &testMedia{}, DialogRef{Call: "c3", Leg: "l3"}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second) // the 200 is repeated
		bye := make(chan error, 1)
		go func() { bye <- d.Bye(t.Context()) }()
		for {
			if m, _ := b.carrier.read(time.Second); m.is("BYE") {
				b.carrier.reply(m, "200 OK")
				break
			}
		}
		if err := <-bye; err != nil {
			t.Fatal(err)
		}
		got := tap.told()
		slices.Sort(got)
		slices.Sort(wire)
		if !slices.Equal(got, wire) {
			t.Errorf("told %d messages, %d went over the wire:\n%s\n\nwire:\n%s", len(got), len(wire), strings.Join(got, "\n"), strings.Join(wire, "\n"))
		}
		id := d.CallID()
		if want := []string{id + " c2 l2", "call-1 c3 ", "call-1 c3 l3"}; len(tap.refs) != 4 || !slices.Equal(tap.refs[1:], want) {
			t.Errorf("calls %q, want %q at the end", tap.refs, want)
		}
		if tap.ids[""] > 0 || tap.ids[id] < 4 || tap.ids["call-1"] < 3 {
			t.Errorf("messages by Call-ID: %v", tap.ids)
		}
	})
}

func TestEveryMessageOverTCPIsTold(t *testing.T) {
	for _, s := range []lab.Segments{lab.SegmentPerMessage, lab.SegmentsSmall, lab.SegmentsJoined} {
		inBubble(t, func(t *testing.T) {
			var tap wiretap
			p := atCarrier(t, transportTCP, s, tap.install)
			p.carrier.Number("100", lab.Script{lab.NoSound(), lab.Ring(0), lab.Answer(time.Second), lab.Wait(time.Second), lab.Bye()})
			o := <-p.inviteTCP(t.Context(), Invite{User: "100", Ref: DialogRef{Call: "c", Leg: "l"}})
			if o.err != nil {
				t.Fatal(o.err)
			}
			<-o.d.Done()
			time.Sleep(time.Second)
			var got []string
			for _, line := range tap.told() {
				if !strings.Contains(line, "\r\nCall-ID: "+o.d.CallID()+"\r\n") {
					continue
				}
				if !strings.Contains(line, "tcp "+strings.TrimSuffix(providedAddr, "5060")) {
					t.Errorf("another way than by TCP:\n%s", line)
				}
				start, _, _ := strings.Cut(line[strings.Index(line, "\n")+1:], "\r\n")
				if method, _, ok := strings.Cut(start, " sip:"); ok {
					start = method
				}
				got = append(got, line[:2]+start)
			}
			want := []string{
				"> INVITE", "< SIP/2.0 407 Proxy Authentication Required", "> ACK", "> INVITE", "< SIP/2.0 100 Trying",
				"< SIP/2.0 180 Ringing", "< SIP/2.0 200 OK", "> ACK", "< BYE", "> SIP/2.0 200 OK",
			}
			if !slices.Equal(got, want) {
				t.Errorf("segments %d: told of\n%q\nwant\n%q", s, got, want)
			}
			p.settled()
		})
	}
}

func TestWhatEndsAnOrphanIsToldOfItsCall(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var tap wiretap
		b := testAgent(t, tap.install)
		d, _ := b.answered(Invite{Ref: DialogRef{Call: "c", Leg: "l"}})
		rec := d.record()
		rec.CallID, rec.LocalTag, rec.ID = "old", "old-tag", "old-tag"
		done := make(chan error, 1)
		go func() {
			_, err := b.agent.EndOrphan(context.WithoutCancel(t.Context()), rec, Reason{Protocol: "SIP", Cause: 503})
			done <- err
		}()
		b.carrier.reply(b.carrier.expect("BYE"), "200 OK")
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(tap.refs, "old c l") || tap.ids["old"] != 2 {
			t.Errorf("calls %q, messages %v", tap.refs, tap.ids)
		}
	})
}
