package sip

import (
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestResponseThatDoesNotFitItsRequestIsIgnored(t *testing.T) {
	for name, spoil := range map[string]func(req message, res string) string{
		"CSeq": func(req message, res string) string {
			n, _, _ := strings.Cut(req.get("CSeq"), " ")
			next, _ := strconv.Atoi(n)
			return strings.Replace(res, "CSeq: "+n, "CSeq: "+strconv.Itoa(next+1), 1)
		},
		"Call-ID": func(req message, res string) string {
			return strings.Replace(res, req.get("Call-ID"), "another", 1)
		},
		"From-tag": func(req message, res string) string {
			return strings.Replace(res, req.tag("From"), "another", 1)
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				b := testAgent(t, nil)
				out := b.invite(t.Context(), Invite{})
				req := b.carrier.expect("INVITE")
				for _, status := range []string{"180 Ringing", "200 OK", "486 Busy Here", "503 Service Unavailable"} {
					b.carrier.send(spoil(req, b.carrier.response(req, status, "body:"+testSDP)))
					time.Sleep(10 * time.Millisecond)
				}
				synctest.Wait()
				select {
				case o := <-out:
					t.Fatalf("the call ended: %v, %v", o.d, o.err)
				default:
				}
				if n := b.agent.Stats().Astray; n != 4 {
					t.Errorf("%d responses counted as astray, want 4", n)
				}
				b.carrier.reply(req, "200 OK", "body:"+testSDP)
				b.carrier.expect("ACK")
				o := <-out
				if o.err != nil {
					t.Fatal(o.err)
				}
				ended := make(chan error, 1)
				go func() { ended <- o.d.Bye(t.Context()) }()
				bye := b.carrier.expect("BYE")
				b.carrier.send(spoil(bye, b.carrier.response(bye, "200 OK")))
				synctest.Wait()
				select {
				case err := <-ended:
					t.Fatalf("the BYE was answered by a stray 200: %v", err)
				default:
				}
				b.carrier.reply(bye, "200 OK")
				if err := <-ended; err != nil {
					t.Error(err)
				}
				time.Sleep(txTimeout + t2)
				b.agent.sent.mu.Lock()
				defer b.agent.sent.mu.Unlock()
				if n := len(b.agent.sent.byKey); n != 0 {
					t.Errorf("%d requests are remembered after their end", n)
				}
			})
		})
	}
}

func TestLongRequestIsReadWhole(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, nil)
		raw := b.carrier.request("OPTIONS", "sip:"+agentAddr, "o", "<sip:a@b>;tag=1", "<sip:x@y>", "long", 1)
		raw = strings.Replace(raw, "\r\nFrom:", strings.Repeat("\r\nX-Filler: "+strings.Repeat("x", 1000), 45)+"\r\nFrom:", 1)
		if len(raw) < 45_000 {
			t.Fatalf("%d bytes", len(raw))
		}
		b.carrier.send(raw)
		b.carrier.expect("200")
	})
}
