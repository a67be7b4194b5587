package trace

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"perezvon/internal/store"
)

// scene builds the trace of a call by hand.
type scene struct {
	t    Trace
	call store.Call
	now  time.Time
}

func newScene(kind store.Kind) *scene {
	start := time.Date(2027, 1, 11, 9, 0, 0, 0, time.UTC)
	return &scene{now: start, call: store.Call{
		ID: "0199a1b2c3d47e5f8091a2b3c4d5e6f7", Kind: kind, Line: "main", Number: "+79160000001", State: store.StateEnded, CreatedAt: start,
	}}
}

func (s *scene) wait(d time.Duration) *scene {
	s.now = s.now.Add(d)
	return s
}

// end gives the call its result.
func (s *scene) end(result store.Result, reason string) *scene {
	s.call.Result, s.call.Reason = result, reason
	now := s.now
	s.call.EndedAt = &now
	for i := range s.call.Legs {
		if s.call.Legs[i].EndedAt == nil {
			s.call.Legs[i].EndedAt = &now
		}
	}
	return s
}

func (s *scene) leg(l store.Leg) *dialogue {
	s.call.Legs = append(s.call.Legs, l)
	d := &dialogue{s: s, leg: l.ID, remote: netip.MustParseAddrPort("192.0.2.10:5060"), transport: "udp"}
	if l.Extension != "" {
		d.remote = netip.MustParseAddrPort("10.0.0.11:5060")
	}
	return d
}

// answered makes the leg one that was up.
func (d *dialogue) answered(codec string, q store.Quality) {
	for i := range d.s.call.Legs {
		if l := &d.s.call.Legs[i]; l.ID == d.leg {
			now := d.s.now
			q.Codec = codec
			l.AnsweredAt, l.Quality = &now, &q
		}
	}
}

// dialogue is the messages of a leg.
type dialogue struct {
	s         *scene
	leg       string
	remote    netip.AddrPort
	transport string
	branch    int
}

func (d *dialogue) add(sent bool, start, cseq string, extra ...string) {
	var head, body strings.Builder
	for _, e := range extra {
		if sdp, ok := strings.CutPrefix(e, "sdp:"); ok {
			head.WriteString("Content-Type: application/sdp\r\n")
			body.WriteString(sdp)
			continue
		}
		head.WriteString(e + "\r\n")
	}
	raw := fmt.Sprintf("%s\r\nVia: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK%d\r\nFrom: <sip:a@x>;tag=1\r\nTo: <sip:b@y>\r\nCall-ID: %s\r\nCSeq: %s\r\n%sContent-Length: %d\r\n\r\n%s",
		start, d.branch, d.leg, cseq, head.String(), body.Len(), body.String())
	d.s.t.Messages = append(d.s.t.Messages, Message{
		At: d.s.now, Sent: sent, Transport: d.transport, Local: ours, Remote: d.remote, Leg: d.leg, Size: len(raw), Data: []byte(raw),
	})
}

// req is a request of a method, res a response to one; a leading > is ours.
func (d *dialogue) req(way, method string, extra ...string) {
	d.branch++
	d.add(way == ">", method+" sip:74951234567@192.0.2.10 SIP/2.0", fmt.Sprint(d.branch, " ", method), extra...)
}

func (d *dialogue) again(way, method string, extra ...string) {
	d.branch--
	d.req(way, method, extra...)
}

func (d *dialogue) res(way, status, method string, extra ...string) {
	d.add(way == ">", "SIP/2.0 "+status, fmt.Sprint(d.branch, " ", method), extra...)
}

func (d *dialogue) mark(kind, text string, port uint16, peer string) {
	m := Milestone{At: d.s.now, Kind: kind, Leg: d.leg, Text: text, Port: port}
	if peer != "" {
		m.Peer = netip.MustParseAddrPort(peer)
	}
	d.s.t.Milestones = append(d.s.t.Milestones, m)
}

func sdpAt(addr string, lines ...string) string {
	a := netip.MustParseAddrPort(addr)
	payloads := "8 0 101"
	if len(lines) > 0 && lines[0] == "PCMU" {
		payloads, lines = "0 101", lines[1:]
	}
	return fmt.Sprintf("sdp:v=0\r\no=- 1 1 IN IP4 %v\r\ns=-\r\nc=IN IP4 %v\r\nt=0 0\r\nm=audio %d RTP/AVP %s\r\na=rtpmap:101 telephone-event/8000\r\n%s",
		a.Addr(), a.Addr(), a.Port(), payloads, strings.Join(append(lines, ""), "\r\n"))
}

// scenes are the traces that are told in testdata.
func scenes() map[string]*scene {
	return map[string]*scene{
		"talked": talked(), "forbidden": forbidden(), "silent": silentTrunk(), "no sound": noSound(), "group": group(),
		"wrong password": wrongPassword(), "long": longCall(), "no ack": noAck(), "after a crash": afterCrash(), "codecs": codecsRefused(),
		"never sent": neverSent(), "lost bye": lostBye(),
	}
}

func talked() *scene {
	s := newScene(store.KindCallback)
	m := s.leg(store.Leg{ID: "manager", Role: store.RoleManager, Number: "101", Extension: "101"})
	m.req(">", "INVITE", sdpAt("10.0.0.1:20000"))
	s.wait(5 * time.Millisecond)
	m.res("<", "100 Trying", "INVITE")
	s.wait(100 * time.Millisecond)
	m.res("<", "180 Ringing", "INVITE")
	s.wait(2 * time.Second)
	m.res("<", "200 OK", "INVITE", sdpAt("10.0.0.11:4000", "PCMU"))
	m.mark(KindAgreed, "PCMU", 20000, "10.0.0.11:4000")
	lost, jitter, trip := int64(0), 1.5, 12.0
	m.answered("PCMU", store.Quality{PacketsIn: 1500, PacketsOut: 1490, Lost: &lost, JitterMS: &jitter, RoundTripMS: &trip})
	s.wait(time.Millisecond)
	m.req(">", "ACK")
	s.wait(20 * time.Millisecond)
	m.mark(KindFirstOut, "", 20000, "10.0.0.11:4000")
	m.mark(KindLocked, "", 20000, "10.0.0.11:4000")
	s.wait(time.Second)
	c := s.leg(store.Leg{ID: "customer", Role: store.RoleCustomer, Number: "+79160000001", Trunk: "provider"})
	c.req(">", "INVITE", sdpAt("10.0.0.1:20002"))
	s.wait(10 * time.Millisecond)
	c.res("<", "407 Proxy Authentication Required", "INVITE", `Proxy-Authenticate: Digest realm="x", removed`)
	c.req(">", "ACK")
	c.req(">", "INVITE", `Proxy-Authorization: Digest username="7495", realm="x", removed`, sdpAt("10.0.0.1:20002"))
	s.wait(500 * time.Millisecond)
	c.again(">", "INVITE", `Proxy-Authorization: Digest username="7495", realm="x", removed`, sdpAt("10.0.0.1:20002"))
	s.wait(20 * time.Millisecond)
	c.res("<", "183 Session Progress", "INVITE", sdpAt("198.51.100.5:30000"))
	s.wait(4 * time.Second)
	c.res("<", "200 OK", "INVITE", sdpAt("198.51.100.5:30000"))
	c.mark(KindAgreed, "PCMA", 20002, "198.51.100.5:30000")
	many, jitter2 := int64(200), 55.0
	c.answered("PCMA", store.Quality{PacketsIn: 1300, PacketsOut: 1490, Lost: &many, JitterMS: &jitter2})
	c.req(">", "ACK")
	s.wait(30 * time.Millisecond)
	c.mark(KindLocked, "", 20002, "198.51.100.7:31000")
	c.mark(KindFirstOut, "", 20002, "198.51.100.5:30000")
	s.wait(10 * time.Second)
	m.req("<", "INVITE", sdpAt("10.0.0.11:4000", "PCMU", "a=sendonly"))
	m.res(">", "200 OK", "INVITE", sdpAt("10.0.0.1:20000", "PCMU", "a=recvonly"))
	m.mark(KindHeld, "PCMU", 20000, "10.0.0.11:4000")
	s.wait(5 * time.Millisecond)
	m.req("<", "ACK")
	s.wait(5 * time.Second)
	m.mark(KindResumed, "PCMU", 20000, "10.0.0.11:4000")
	c.mark(KindDigit, "", 20002, "")
	s.wait(5 * time.Second)
	c.req("<", "BYE", `Reason: Q.850;cause=16;text="Normal call clearing"`)
	c.res(">", "200 OK", "BYE")
	s.wait(time.Millisecond)
	m.req(">", "BYE", `Reason: Q.850;cause=16`)
	s.wait(3 * time.Millisecond)
	m.res("<", "200 OK", "BYE")
	return s.end(store.ResultCompleted, "hung up (by customer)")
}

func forbidden() *scene {
	s := newScene(store.KindCallback)
	c := s.leg(store.Leg{ID: "customer", Role: store.RoleCustomer, Number: "+79160000001", Trunk: "provider"})
	c.req(">", "INVITE", sdpAt("10.0.0.1:20002"))
	s.wait(40 * time.Millisecond)
	c.res("<", "403 Forbidden", "INVITE", `Reason: Q.850;cause=21;text="Call rejected"`, `Warning: 399 x "caller id not allowed"`)
	c.req(">", "ACK")
	return s.end(store.ResultTrunkFailed, "403 Forbidden")
}

func silentTrunk() *scene {
	s := newScene(store.KindCallback)
	c := s.leg(store.Leg{ID: "customer", Role: store.RoleCustomer, Number: "+79160000001", Trunk: "provider"})
	c.req(">", "INVITE", sdpAt("10.0.0.1:20002"))
	for _, after := range []time.Duration{500, 1000, 2000} {
		s.wait(after * time.Millisecond)
		c.again(">", "INVITE", sdpAt("10.0.0.1:20002"))
	}
	return s.wait(500*time.Millisecond).end(store.ResultTrunkFailed, "no answer from 192.0.2.10:5060 within 4s")
}

func noSound() *scene {
	s := newScene(store.KindInbound)
	c := s.leg(store.Leg{ID: "caller", Role: store.RoleCaller, Number: "+79160000001", Trunk: "provider", NoAudio: true})
	c.req("<", "INVITE", sdpAt("198.51.100.5:30000"))
	c.res(">", "100 Trying", "INVITE")
	s.wait(20 * time.Millisecond)
	c.res(">", "180 Ringing", "INVITE")
	s.wait(3 * time.Second)
	c.res(">", "200 OK", "INVITE", sdpAt("10.0.0.1:20002"))
	c.mark(KindAgreed, "PCMA", 20002, "198.51.100.5:30000")
	c.answered("PCMA", store.Quality{PacketsOut: 250})
	s.wait(30 * time.Millisecond)
	c.req("<", "ACK")
	s.wait(5 * time.Second)
	c.mark(KindSilence, "", 20002, "")
	s.wait(time.Second)
	c.req(">", "BYE")
	s.wait(time.Millisecond)
	c.res("<", "200 OK", "BYE")
	return s.end(store.ResultCompleted, "hung up")
}

func group() *scene {
	s := newScene(store.KindInbound)
	c := s.leg(store.Leg{ID: "caller", Role: store.RoleCaller, Number: "+79160000001", Trunk: "provider"})
	c.leg = "" // its leg was not known yet
	c.req("<", "INVITE", sdpAt("198.51.100.5:30000"))
	c.res(">", "100 Trying", "INVITE")
	var phones []*dialogue
	for i, n := range []string{"101", "102"} {
		p := s.leg(store.Leg{ID: "phone" + n, Role: store.RoleCallee, Number: n, Extension: n})
		p.remote = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(11 + i)}), 5060)
		p.req(">", "INVITE", sdpAt("10.0.0.1:20004"))
		s.wait(2 * time.Millisecond)
		p.res("<", "180 Ringing", "INVITE")
		phones = append(phones, p)
	}
	phones[1].transport = "tcp"
	c.res(">", "180 Ringing", "INVITE")
	s.wait(4 * time.Second)
	c.req("<", "CANCEL", `Reason: SIP;cause=487;text="Given up"`)
	c.res(">", "200 OK", "CANCEL")
	c.res(">", "487 Request Terminated", "INVITE")
	c.req("<", "ACK")
	for _, p := range phones {
		p.req(">", "CANCEL")
		s.wait(time.Millisecond)
		p.res("<", "200 OK", "CANCEL")
		p.res("<", "487 Request Terminated", "INVITE")
		p.req(">", "ACK")
	}
	return s.end(store.ResultAbandoned, "the caller gave up")
}

func wrongPassword() *scene {
	s := newScene(store.KindCallback)
	c := s.leg(store.Leg{ID: "customer", Role: store.RoleCustomer, Number: "+79160000001", Trunk: "provider"})
	c.transport = "tls"
	c.req(">", "INVITE", sdpAt("10.0.0.1:20002"))
	c.res("<", "401 Unauthorized", "INVITE")
	c.req(">", "ACK")
	c.req(">", "INVITE", "Authorization: Digest username=\"7495\", removed", sdpAt("10.0.0.1:20002"))
	s.wait(5 * time.Millisecond)
	c.res("<", "401 Unauthorized", "INVITE")
	c.req(">", "ACK")
	return s.end(store.ResultTrunkFailed, "401 Unauthorized")
}

func longCall() *scene {
	s := newScene(store.KindInbound)
	c := s.leg(store.Leg{ID: "caller", Role: store.RoleCaller, Number: "+79160000001", Trunk: "provider"})
	c.req("<", "INVITE")
	c.res(">", "200 OK", "INVITE")
	c.req("<", "ACK")
	s.t.LeftOut, s.t.Gap = 300, s.now.Add(time.Minute)
	s.wait(2 * time.Hour)
	c.req("<", "BYE")
	c.res(">", "200 OK", "BYE")
	return s.end(store.ResultCompleted, "hung up")
}

func noAck() *scene {
	s := newScene(store.KindInbound)
	c := s.leg(store.Leg{ID: "caller", Role: store.RoleCaller, Number: "+79160000001", Trunk: "provider"})
	c.req("<", "INVITE", sdpAt("198.51.100.5:30000"))
	for range 3 {
		c.res(">", "200 OK", "INVITE", sdpAt("10.0.0.1:20002"))
		s.wait(time.Second)
	}
	c.req(">", "BYE")
	for range 2 {
		s.wait(4 * time.Second)
		c.again(">", "BYE")
	}
	return s.end(store.ResultTrunkFailed, "our 200 was never acknowledged")
}

func afterCrash() *scene {
	s := newScene(store.KindCallback)
	m := s.leg(store.Leg{ID: "manager", Role: store.RoleManager, Number: "101", Extension: "101"})
	s.wait(time.Minute)
	m.req(">", "BYE")
	s.wait(time.Millisecond)
	m.res("<", "200 OK", "BYE")
	return s.end(store.ResultInterrupted, "the server was interrupted")
}

func codecsRefused() *scene {
	s := newScene(store.KindInbound)
	c := s.leg(store.Leg{ID: "caller", Role: store.RoleCaller, Number: "+79160000001", Trunk: "provider"})
	c.req("<", "INVITE", "sdp:v=0\r\nc=IN IP4 198.51.100.5\r\nm=audio 4000 RTP/AVP 18\r\n")
	c.res(">", "488 Not Acceptable Here", "INVITE")
	c.req("<", "ACK")
	return s.end(store.ResultMissed, "no common codec")
}

func neverSent() *scene {
	s := newScene(store.KindInbound)
	c := s.leg(store.Leg{ID: "caller", Role: store.RoleCaller, Number: "+79160000001", Trunk: "provider"})
	s.leg(store.Leg{ID: "phone", Role: store.RoleCallee, Number: "101", Extension: "101", Reason: "host phone.example has no address: no such host"})
	c.req("<", "INVITE", sdpAt("198.51.100.5:30000"))
	c.res(">", "480 Temporarily Unavailable", "INVITE")
	c.req("<", "ACK")
	return s.end(store.ResultMissed, "no such host")
}

func lostBye() *scene {
	s := newScene(store.KindCallback)
	m := s.leg(store.Leg{ID: "manager", Role: store.RoleManager, Number: "101", Extension: "101"})
	m.req(">", "INVITE", sdpAt("10.0.0.1:20000"))
	m.res("<", "200 OK", "INVITE", sdpAt("10.0.0.11:4000"))
	m.req(">", "ACK")
	m.req("<", "REFER", "Refer-To: <sip:102@10.0.0.1>")
	m.res(">", "202 Accepted", "REFER")
	s.wait(time.Second)
	m.req(">", "BYE", `Reason: SIP;cause=200;text="Call completed elsewhere"`)
	s.wait(500 * time.Millisecond)
	m.again(">", "BYE", `Reason: SIP;cause=200;text="Call completed elsewhere"`)
	return s.end(store.ResultCompleted, "transferred")
}
