package lab_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"perezvon/internal/lab"
)

func count(p *lab.Party, kind lab.Kind) int {
	n := 0
	for _, e := range p.Timeline() {
		if e.Kind == kind {
			n++
		}
	}
	return n
}

func TestSessionsAreRefreshedAtHalf(t *testing.T) {
	for _, refresher := range []string{"", "uac", "uas"} {
		for name, how := range map[string]lab.Script{"UPDATE": nil, "re-INVITE": {lab.RefreshByReinvite()}, "no UPDATE": {lab.NoUpdate()}} {
			t.Run(refresher+" "+name, func(t *testing.T) {
				inWorld(t, nil, func(w *world) {
					w.b.Number("100", append(lab.Script{lab.NoSound(), lab.SessionTimer(400*time.Second, ""), lab.Answer(0)}, how...))
					caller, called := w.call(lab.CallOptions{Script: append(lab.Script{
						lab.NoSound(), lab.SessionTimer(600*time.Second, refresher), lab.Talk(1100 * time.Second), lab.Bye(),
					}, how...)})
					<-caller.Ended()
					w.settle()
					who := caller
					if refresher == "uas" {
						who = called
					}
					if n := count(who, lab.Updated) + count(who, lab.Reinvited); n != 5 || (name == "UPDATE") != (count(who, lab.Updated) == 5) {
						t.Errorf("%d UPDATEs, %d in all", count(who, lab.Updated), n)
					}
				})
			})
		}
	}
}

func TestSessionThatIsNotRefreshedIsBlamedAndEnded(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.b.Number("100", lab.Script{lab.NoSound(), lab.SessionTimer(300*time.Second, ""), lab.Answer(0)})
		began := time.Now()
		caller, _ := w.call(lab.CallOptions{Script: lab.Script{lab.NoSound(), lab.SessionTimer(300*time.Second, "uac"), lab.NeverRefresh()}})
		<-caller.Ended()
		if took := time.Since(began).Round(time.Second); took != 268*time.Second {
			t.Errorf("ended after %s", took)
		}
		if v := strings.Join(w.b.Violations(), "\n"); !strings.Contains(v, "was not refreshed in 4m28s") {
			t.Errorf("violations %q", v)
		}
		if v := w.a.Violations(); len(v) != 0 {
			t.Errorf("the caller blames %q", v)
		}
	})
	inWorld(t, nil, func(w *world) { // a caller that holds to nothing itself
		w.b.Number("100", lab.Script{lab.NoSound(), lab.SessionTimer(90*time.Second, "uas"), lab.NeverRefresh(), lab.Answer(0)})
		caller, _ := w.call(lab.CallOptions{Headers: []string{"Supported: timer"}, Script: lab.Script{lab.NoSound()}})
		<-caller.Ended()
		if v := strings.Join(w.b.Violations(), "\n"); !strings.Contains(v, "no BYE came in 1m1s") {
			t.Errorf("violations %q", v)
		}
	})
}

func TestUpdatesOfBothSidesMayCrossAndBothReinvitesMayNot(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.b.Number("100", lab.Script{lab.NoSound(), lab.Ring(0), lab.Wait(time.Second), lab.Answer(0), lab.Glare(), lab.Talk(time.Minute)})
		caller, called := w.call(lab.CallOptions{Script: lab.Script{
			lab.NoSound(), lab.UpdateEarly(500 * time.Millisecond), lab.Update(true), lab.ReinviteUnchanged(), lab.Talk(10 * time.Second), lab.Bye(),
		}})
		<-caller.Ended()
		w.settle()
		if count(caller, lab.Updated) != 2 || count(caller, lab.Reinvited) != 2 || count(called, lab.Reinvited) != 4 {
			t.Errorf("caller: %s\ncalled: %s", kinds(caller), kinds(called))
		}
	})
}

// sessionCases are about session timers, UPDATE and glare.
func sessionCases() []violation {
	up := func(p *peer) { p.answered(); p.send(p.message("ACK", 1, "z9hG4bKa")) }
	invite := func(lines ...string) func(*peer) {
		return func(p *peer) { p.send(p.message("INVITE", 1, "z9hG4bKi", lines...)); p.receive("SIP/2.0") }
	}
	hangUp := func(p *peer, cseq int) { p.send(p.message("BYE", cseq, "z9hG4bKbye")); p.receive("SIP/2.0 200") }
	again := func(wait time.Duration) func(*peer) {
		return func(p *peer) {
			up(p)
			p.send(p.message("UPDATE", 2, "z9hG4bKu"))
			p.receive("SIP/2.0 491")
			time.Sleep(wait)
			p.send(p.message("UPDATE", 3, "z9hG4bKv"))
			p.receive("SIP/2.0 200")
			hangUp(p, 4)
		}
	}
	refusing := append(lab.Script{lab.RefuseReinvites(1, 491, "Request Pending")}, answer...)
	return []violation{
		{"a session by the book", ring, invite("Supported: timer", "Session-Expires: 1800", "Min-SE: 90"), ""},
		{"too short a session", ring, invite("Supported: timer", "Session-Expires: 89"), `Session-Expires is "89"`},
		{"too short a Min-SE", ring, invite("Min-SE: 80"), `Min-SE is "80"`},
		{"a session shorter than Min-SE", ring, invite("Supported: timer", "Session-Expires: 100", "Min-SE: 200"), `Min-SE "200"`},
		{"a refresher that is nobody", ring, invite("Supported: timer", "Session-Expires: 100;refresher=me"), `refresher is "me"`},
		{"a session without Supported", ring, invite("Session-Expires: 100"), "without Supported"},
		{"a session in BYE", answer, func(p *peer) {
			up(p)
			p.send(p.message("BYE", 2, "z9hG4bKb", "Session-Expires: 100"))
			p.receive("SIP/2.0 200")
		}, "are for INVITE and UPDATE"},
		{"an UPDATE by the book", answer, func(p *peer) { up(p); p.send(p.message("UPDATE", 2, "z9hG4bKu")); hangUp(p, 3) }, ""},
		{"an UPDATE without Contact", answer, func(p *peer) { up(p); p.send(p.message("UPDATE", 2, "z9hG4bKu", "Contact!")); hangUp(p, 3) }, "0 Contact"},
		{"an UPDATE that is not allowed", append(lab.Script{lab.NoUpdate()}, answer...), func(p *peer) {
			up(p)
			p.send(p.message("UPDATE", 2, "z9hG4bKu"))
			hangUp(p, 3)
		}, "was not in Allow"},
		{"a back-off by the book", refusing, again(3 * time.Second), ""},
		{"no back-off", refusing, again(time.Second), "tried again 1s after a 491"},
		{"too long a back-off", refusing, again(5 * time.Second), "tried again 5s after a 491"},
		{"422 is for who is told", append(lab.Script{lab.MinSE(200 * time.Second)}, ring...), func(p *peer) {
			p.send(p.message("INVITE", 1, "z9hG4bKi", "Supported: timer", "Session-Expires: 100"))
			if text := p.receive("SIP/2.0 422"); !strings.Contains(text, "Min-SE: 200") {
				p.t.Error(text)
			}
			p.send(p.message("ACK", 1, "z9hG4bKi"))
		}, ""},
	}
}

func TestSessionViolationsAreNoticed(t *testing.T) {
	judge(t, sessionCases())
}

// TestAnswersAboutSessionsAreJudged lets a peer answer a caller's INVITE.
func TestAnswersAboutSessionsAreJudged(t *testing.T) {
	for lines, want := range map[string]string{
		"Session-Expires: 600;refresher=uac|Require: timer": "",
		"Session-Expires: 600;refresher=uas":                `asked for was "uac"`,
		"Session-Expires: 600;refresher=uac":                `Require is ""`,
		"Session-Expires: 600":                              `refresher is ""`,
		"Session-Expires: 60;refresher=uac|Require: timer":  "is too short",
		"Session-Expires: 900;refresher=uac|Require: timer": "asked for was 10m0s",
		"X-Session: none":                                   "",
	} {
		t.Run(lines, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				p := w.peer()
				p.to = w.a.Addr()
				caller, err := w.a.Call(w.ctx, lab.CallOptions{
					To: p.conn.AddrPort(), User: "1", From: "2",
					Script: lab.Script{lab.NoSound(), lab.SessionTimer(600*time.Second, "uac")},
				})
				if err != nil {
					t.Fatal(err)
				}
				invite := p.receive("INVITE")
				res := "SIP/2.0 200 OK\r\n"
				for _, name := range []string{"Via", "From", "To", "Call-ID", "CSeq"} {
					res += name + ": " + caller.Invite().Get(name)
					if name == "To" {
						res += ";tag=me"
					}
					res += "\r\n"
				}
				_, body, _ := strings.Cut(invite, "\r\n\r\n")
				res += "Contact: <sip:1@10.0.0.9:5060>\r\nContent-Type: application/sdp\r\n" + strings.ReplaceAll(lines, "|", "\r\n")
				p.send(res + fmt.Sprintf("\r\nContent-Length: %d\r\n\r\n%s", len(body), body))
				p.receive("ACK")
				if got := strings.Join(w.a.Violations(), "\n"); want == "" && got != "" || !strings.Contains(got, want) {
					t.Errorf("violations:\n%s\nwanted: %s", got, want)
				}
				_ = p.conn.Close()
			})
		})
	}
}
