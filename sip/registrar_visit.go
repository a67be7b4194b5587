package sip

import (
	"bytes"
	"net/netip"
	"time"

	sipmsg "github.com/emiago/sipgo/sip"
)

// receive is where phones come in whose address is not known, and reports
// whether a message is to be handed on. It answers a REGISTER without good
// credentials by itself: that costs a stranger more than us, neither a
// transaction nor a place in any table, and the answer to whoever exists is that
// to whoever does not. p is a whole message that the guard has admitted.
func (a *Agent) receive(p []byte, from netip.AddrPort, transport string, answer func(res []byte, to netip.AddrPort)) (in bool) {
	if !bytes.HasPrefix(p, []byte("REGISTER ")) || a.peers.allows(from.Addr()) {
		return true
	}
	req := a.readVisit(p, from, transport)
	if req == nil {
		return false
	}
	how := toRegister()
	one := a.challenger.judge(req, how.answer, from.Addr(), a.peers.secretOf, time.Now())
	switch one.standing {
	case credGood:
		return true
	case credWrong, credAstray:
		a.turnAway(req, from, one)
	}
	answer([]byte(a.challenge(req, how, one).String()), responseTo(req, from))
	return false
}

// readVisit parses a REGISTER of somebody who is not known, nil if it is none
// that could be answered.
func (a *Agent) readVisit(p []byte, from netip.AddrPort, transport string) (req *sipmsg.Request) {
	defer a.rescue("parser", func() { req = nil })
	m, err := sipmsg.NewParser().ParseSIP(p)
	if err != nil {
		return nil
	}
	req, ok := m.(*sipmsg.Request)
	if !ok || req.Method != sipmsg.REGISTER || req.Via() == nil || req.From() == nil || req.To() == nil || req.CallID() == nil ||
		req.CSeq() == nil || fromTag(req) == "" || toTag(req) != "" {
		return nil
	}
	canonicalise(req)
	req.SetTransport(transport)
	req.SetSource(from.String())
	received(req)
	req.To().Params.Add("tag", keyedTag(a.secret, inviteKey(req), callID(req), fromTag(req)))
	return req
}

// responseTo is where a response over UDP goes (RFC 3261 section 18.2.2, RFC
// 3581 section 4): never to another address than the request came from.
func responseTo(req *sipmsg.Request, from netip.AddrPort) netip.AddrPort {
	v := req.Via()
	if v.Params.Has("rport") || v.Port < 0 || v.Port > 65535 {
		return from
	}
	port := v.Port
	if port == 0 {
		port = sipmsg.DefaultUdpPort
	}
	return netip.AddrPortFrom(from.Addr(), uint16(port))
}
