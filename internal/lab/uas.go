package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"
)

const allow = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, NOTIFY, UPDATE"

// challenge is a call that was asked for a password.
type challenge struct {
	cseq  uint32
	tries int // with credentials
}

// takeRequest sorts requests: repeated ones get the old response, those of a
// dialog go to their party. mu is held, as in all that follows.
func (c *Carrier) takeRequest(m *Message, from netip.AddrPort) {
	if m.Method == "ACK" {
		c.checkRequest(m, from)
		c.takeACK(m)
		return
	}
	if tx := c.server[serverKey(m, m.Method)]; tx != nil {
		if was, _ := tx.req.cseq(); m.Get("CSeq") != tx.req.Get("CSeq") {
			c.blame(m, "new request with the branch of CSeq %d", was)
			return
		}
		tx.repeats++
		if c.lines != nil {
			c.blame(m, "repeated over %s", c.transport())
		}
		if tx.party != nil && tx.party.tx == tx {
			tx.party.invites++
		}
		if tx.last != nil {
			c.resend(from, tx.last)
		}
		return
	}
	c.checkRequest(m, from)
	switch {
	case m.Method == "INVITE" && m.toTag() == "":
		c.takeINVITE(m, from)
	case m.Method == "CANCEL":
		c.takeCANCEL(m, from)
	case m.toTag() != "":
		c.takeInDialog(m, from)
	case m.Method == "OPTIONS":
		c.takeOPTIONS(m, from)
	case m.Method == "REGISTER" && c.regs != nil:
		c.regs.take(m, from)
	default:
		c.refuse(m, from, 405, "Method Not Allowed")
	}
}

func (c *Carrier) refuse(m *Message, from netip.AddrPort, status int, phrase string) {
	tx := c.begin(m, from, nil)
	res := tx.response(status, phrase, newTag())
	res.add("Allow", allow)
	if m.Method == "INVITE" {
		c.respondINVITE(tx, res, &final{})
		return
	}
	c.respond(tx, res)
}

func (c *Carrier) takeINVITE(m *Message, from netip.AddrPort) {
	c.checkINVITE(m)
	if !c.admit(m, from) {
		return
	}
	number := userOf(m.URI)
	script, ok := c.script(number)
	if !ok {
		c.refuse(m, from, 404, "Not Found")
		return
	}
	if least := script.settings().timing.least; sessionTooBrief(m, least) {
		c.refuseBrief(c.begin(m, from, nil), least, newTag())
		return
	}
	p, err := c.newParty(context.WithoutCancel(c.ctx), number, m.callID(), script)
	if err != nil {
		c.notes.blame("lab: %v", err)
		c.refuse(m, from, 500, "No Audio Port")
		return
	}
	p.invite, p.peer, p.invites = m, from, 1
	p.remoteTag, p.localParty, p.remoteParty = m.fromTag(), withoutTag(m.Get("To")), withoutTag(m.Get("From"))
	p.target = uriOf(m.Get("Contact"))
	p.routes = m.All("Record-Route")
	p.remoteSeq, _ = m.cseq()
	p.updates = lists(m, "Allow", "UPDATE")
	p.tx = c.begin(m, from, p)
	p.note(Event{Kind: Invited})
	if len(m.Body) > 0 && !p.learn(m, false) {
		c.respondINVITE(p.tx, p.tx.response(488, "Not Acceptable Here", p.localTag), &final{})
		p.end(errors.New("bad description"))
		return
	}
	if !p.set.noTrying {
		c.respond(p.tx, p.tx.response(100, "Trying", ""))
		p.note(Event{Kind: Proceeding, Status: 100})
	}
	c.spawn(p.play)
	c.spawn(p.ignore)
}

// ignore ends a call that was never answered in any way when its caller must
// have given up.
func (p *Party) ignore() {
	if sleep(p.ctx, giveUp) != nil {
		return
	}
	p.c.mu.Lock()
	defer p.c.mu.Unlock()
	if p.stage == early && p.tx.status == 0 {
		p.note(Event{Kind: Lost, Detail: "caller"})
		p.end(errLost)
	}
}

// admit asks for a password where the carrier wants one.
func (c *Carrier) admit(m *Message, from netip.AddrPort) bool {
	if c.cfg.Auth == nil {
		return true
	}
	status, phrase, header, answerHeader := c.cfg.Auth.names()
	n, _ := m.cseq()
	try := c.tries[m.callID()]
	if answer := m.Get(answerHeader); answer != "" {
		problem := c.cfg.Auth.check(answer, m, func(nonce string) bool { return c.nonces[nonce] })
		if try != nil && n <= try.cseq {
			c.blame(m, "CSeq %d did not rise above %d with the credentials", n, try.cseq)
		}
		if try == nil {
			try = &challenge{}
			c.tries[m.callID()] = try
		}
		switch try.tries++; {
		case problem == "":
			delete(c.tries, m.callID())
			return true
		case problem != wrongPassword:
			c.blame(m, "%s: %s", answerHeader, problem)
		}
		if try.tries > 1 {
			c.blame(m, "refused credentials were sent again")
		}
		c.refuse(m, from, 403, "Forbidden")
		return false
	}
	if try != nil {
		c.blame(m, "repeated without the credentials that were asked for")
	}
	c.tries[m.callID()] = &challenge{cseq: n}
	nonce := newTag()
	c.nonces[nonce] = true
	tx := c.begin(m, from, nil)
	res := tx.response(status, phrase, newTag())
	for _, value := range c.cfg.Auth.challenges(nonce) {
		res.add(header, value)
	}
	c.respondINVITE(tx, res, &final{})
	return false
}

// takeCANCEL ends the INVITE it belongs to, unless that has its answer.
func (c *Carrier) takeCANCEL(m *Message, from netip.AddrPort) {
	invite := c.server[serverKey(m, "INVITE")]
	if invite == nil {
		c.blame(m, "matches no INVITE")
		c.refuse(m, from, 481, "Call/Transaction Does Not Exist")
		return
	}
	c.checkCANCEL(invite, m)
	p := invite.party
	if p != nil && p.set.deafToCancel {
		c.begin(m, from, p)
		return
	}
	tx := c.begin(m, from, p)
	if p == nil || invite.status >= 200 || p.tx != invite {
		c.respond(tx, tx.response(200, "OK", newTag()))
		if p != nil {
			p.note(Event{Kind: Cancelled, Reasons: m.All("Reason"), Detail: "too late"})
		}
		return
	}
	p.note(Event{Kind: Cancelled, Reasons: m.All("Reason")})
	if p.set.answerOnCancel { // the answer was on its way already
		_ = p.answer()
		c.respond(tx, tx.response(200, "OK", p.localTag))
		return
	}
	c.respond(tx, tx.response(200, "OK", p.localTag))
	p.refuse(487, "Request Terminated", nil, errCancelled)
}

var (
	errCancelled = errors.New("the caller cancelled")
	errRefused   = errors.New("the call was refused")
	errLost      = errors.New("the other side is silent")
	errBye       = errors.New("the other side hung up")
	errHungUp    = errors.New("the party hung up")
	errOver      = errors.New("the call is over")
)

// progress sends a provisional response of a called party.
func (p *Party) progress(status int, phrase, tag string, sdp bool) error {
	if p.stage != early || p.tx == nil {
		return errOver
	}
	res := p.tx.response(status, phrase, tag)
	p.decorate(res, sdp)
	p.c.respond(p.tx, res)
	kind := Ringing
	if status == 183 {
		kind = Progress
	}
	p.note(Event{Kind: kind, Status: status})
	return nil
}

// decorate adds what a response that makes a dialog carries.
func (p *Party) decorate(res *Message, sdp bool) {
	for _, r := range p.tx.req.All("Record-Route") {
		res.add("Record-Route", r)
	}
	for _, r := range p.recordRoute() {
		res.add("Record-Route", "<"+r+">")
	}
	res.add("Contact", "<"+p.contact()+">")
	res.add("Allow", p.allow())
	res.addLines(p.set.headers)
	if sdp {
		res.setBody("application/sdp", []byte(p.describe()))
	}
}

// answer sends the 200 of a called party and starts the sound.
func (p *Party) answer() error {
	if p.stage != early || p.tx == nil {
		return errOver
	}
	res := p.tx.response(200, "OK", p.localTag)
	p.decorate(res, !p.set.bareAnswer)
	p.stage = confirmed
	p.grantSession(p.tx.req, res)
	p.note(Event{Kind: Answered, Status: 200})
	p.c.respondINVITE(p.tx, res, &final{deaf: p.set.deafToACKs, onACK: p.takeAnswerACK, onLost: func() {
		p.note(Event{Kind: Lost, Detail: "ACK"})
		p.sendBye(nil)
	}})
	close(p.answered)
	p.audio.setTone(p.set.tone)
	p.listen()
	return nil
}

// takeAnswerACK begins the dialog in earnest. An offer of ours is answered
// in the ACK.
func (p *Party) takeAnswerACK(ack *Message) {
	if len(p.invite.Body) == 0 && len(ack.Body) == 0 {
		p.c.blame(ack, "no answer to the offer in the 200")
	}
	if len(ack.Body) > 0 && p.learn(ack, true) {
		p.listen()
	}
	p.note(Event{Kind: Acked})
	close(p.acked)
}

// answerFork sends another 200 with a tag of its own, as a second phone
// behind a forking proxy does. The caller must ACK it and say BYE to it.
func (p *Party) answerFork() error {
	if p.stage == over || p.tx == nil {
		return errOver
	}
	f, tag := &fork{}, newTag()
	res := p.tx.response(200, "OK", tag)
	p.decorate(res, true)
	p.forks[tag] = f
	p.c.respondINVITE(p.tx, res, &final{
		onACK:  func(*Message) { f.acked = true; p.note(Event{Kind: ForkAcked}) },
		onLost: func() { f.ended = true },
	})
	p.c.spawn(func() {
		select {
		case <-time.After(giveUp):
		case <-p.c.ctx.Done():
			return
		}
		p.c.mu.Lock()
		defer p.c.mu.Unlock()
		if f.acked && !f.ended {
			p.c.blame(p.invite, "the losing fork got no BYE in %s", giveUp)
		}
	})
	return nil
}

// refuse ends a called party with a final response of 300 and more.
func (p *Party) refuse(status int, phrase string, headers []string, cause error) {
	if p.stage != early || p.tx == nil {
		return
	}
	res := p.tx.response(status, phrase, p.localTag)
	res.addLines(headers)
	p.c.respondINVITE(p.tx, res, &final{})
	p.note(Event{Kind: Refused, Status: status, Detail: phrase})
	p.end(cause)
}

// takeACK finds the final response an ACK is for: by branch for failures, by
// dialog for 2xx (RFC 3261 section 17.1.1.3 and 13.2.2.4).
func (c *Carrier) takeACK(m *Message) {
	tx := c.server[serverKey(m, "INVITE")]
	if tx == nil {
		tx = c.ackedByDialog(m)
	}
	if tx == nil {
		c.blame(m, "matches no INVITE: %s", c.nearMiss(m))
		return
	}
	for _, f := range tx.finals {
		if f.tag == m.toTag() || len(tx.finals) == 1 {
			c.takeACKFor(tx, f, m)
			return
		}
	}
	c.blame(m, "no final response with the To tag %q is waiting", m.toTag())
}

func (c *Carrier) takeACKFor(tx *serverTx, f *final, m *Message) {
	c.checkACK(tx, f, m)
	if p := tx.party; p != nil && f.status < 300 {
		p.acks++
		if f.tag == p.localTag {
			c.checkDialog(p, m)
		}
	}
	if f.deaf != 0 {
		f.deaf--
		return
	}
	select {
	case <-f.acked:
		return
	default:
	}
	close(f.acked)
	tx.waiting--
	if f.onACK != nil {
		f.onACK(m)
	}
}

func (c *Carrier) ackedByDialog(m *Message) *serverTx {
	n, _ := m.cseq()
	for _, tx := range c.server {
		number, method := tx.req.cseq()
		if method == "INVITE" && number == n && tx.req.callID() == m.callID() && tx.req.fromTag() == m.fromTag() && tx.status/100 == 2 {
			return tx
		}
	}
	return nil
}

// nearMiss tells how an ACK differs from the INVITE it may have meant.
func (c *Carrier) nearMiss(m *Message) string {
	for _, tx := range c.server {
		if tx.req.callID() == m.callID() && tx.req.Method == "INVITE" {
			return fmt.Sprintf("CSeq %q branch %s, the call has CSeq %q branch %s, latest response %d",
				m.Get("CSeq"), m.branch(), tx.req.Get("CSeq"), tx.req.branch(), tx.status)
		}
	}
	return "unknown Call-ID"
}
