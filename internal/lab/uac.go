package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// CallOptions say whom a carrier calls, and as whom.
type CallOptions struct {
	To       netip.AddrPort // where the system under test listens for SIP
	Account  string         // calls the Contact that this account has registered, in place of User at To
	User     string         // user part of Request-URI and To: the number that is called
	From     string         // user part of From: who calls
	Display  string         // display name of From
	Asserted string         // user part of P-Asserted-Identity; empty: none
	Headers  []string       // more headers, as "Name: value"
	Login    *Account       // what is known when the system under test asks for a password; nil: nothing
	NoOffer  bool           // the INVITE carries no description; the answer goes into the ACK
	Script   Script         // what the caller does; steps that need a conversation wait for the answer
}

// Call places a call to the system under test and returns as soon as the
// INVITE is out. The context bounds only that.
func (c *Carrier) Call(ctx context.Context, o CallOptions) (*Party, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, errClosed
	}
	target, err := c.callee(&o)
	if err != nil {
		return nil, fmt.Errorf("lab: call %s: %w", o.User, err)
	}
	p, err := c.newParty(ctx, o.From, newTag()+"@"+c.addr.Addr().String(), o.Script)
	if err != nil {
		return nil, fmt.Errorf("lab: call %s: %w", o.User, err)
	}
	p.peer, p.target, p.login = o.To, target, o.Login
	p.localParty = fmt.Sprintf("<sip:%s@%s>", o.From, c.addr)
	if o.Display != "" {
		p.localParty = fmt.Sprintf("%q %s", o.Display, p.localParty)
	}
	p.remoteParty = fmt.Sprintf("<sip:%s@%s>", o.User, o.To)
	m, to := p.compose("INVITE")
	for i, f := range m.fields {
		if f.name == "To" { // the other side has no tag yet
			m.fields[i].value = p.remoteParty
		}
	}
	if o.Asserted != "" {
		m.add("P-Asserted-Identity", fmt.Sprintf("<sip:%s@%s>", o.Asserted, c.addr))
	}
	p.askSession(m)
	m.addLines(p.set.headers)
	m.addLines(o.Headers)
	if !o.NoOffer {
		m.setBody("application/sdp", []byte(p.describe()))
	}
	p.invite = m
	p.note(Event{Kind: Invited})
	p.sent = c.request(p, m, to, p.takeINVITEResponse)
	tx := p.sent
	c.spawn(func() { p.watch(tx) })
	c.spawn(p.play)
	return p, nil
}

// watch ends a call that nobody answers in any way.
func (p *Party) watch(tx *clientTx) {
	select {
	case <-tx.expired:
		p.c.mu.Lock()
		defer p.c.mu.Unlock()
		p.note(Event{Kind: Lost, Detail: "response"})
		p.end(errLost)
	case <-tx.quiet:
	case <-p.c.ctx.Done():
	}
}

// takeINVITEResponse follows the answers to our first INVITE. mu is held.
func (p *Party) takeINVITEResponse(m *Message) {
	if m.Status > 100 {
		p.takeTag(m)
	}
	switch {
	case m.Status == 100:
		p.note(Event{Kind: Proceeding, Status: 100})
	case m.Status < 200:
		kind := Ringing
		if m.Status == 183 {
			kind = Progress
		}
		p.note(Event{Kind: kind, Status: m.Status})
		if len(m.Body) > 0 && p.learn(m, len(p.invite.Body) > 0) {
			p.listen()
		}
	case m.Status < 300:
		p.takeAnswer(m)
	case p.answersChallenge(m):
	default:
		p.note(Event{Kind: Refused, Status: m.Status, Reasons: m.All("Reason"), Detail: m.Phrase})
		if m.Status == 487 && !p.cancelling {
			p.c.blame(m, "487 without a CANCEL of ours")
		}
		p.end(errRefused)
	}
}

// takeTag follows the To tag: the system under test is one user agent, so it
// has one.
func (p *Party) takeTag(m *Message) {
	if p.remoteTag != "" && p.remoteTag != m.toTag() {
		p.c.blame(m, "To tag changed from %q to %q", p.remoteTag, m.toTag())
	}
	p.remoteTag = m.toTag()
	if contact := uriOf(m.Get("Contact")); contact != "" {
		p.target = contact
	}
	p.routes = m.All("Record-Route")
	for i, j := 0, len(p.routes)-1; i < j; i, j = i+1, j-1 {
		p.routes[i], p.routes[j] = p.routes[j], p.routes[i]
	}
}

// takeAnswer acknowledges the 200 and starts the sound; when our CANCEL was
// on its way already, the call is ended at once.
func (p *Party) takeAnswer(m *Message) {
	p.okay++
	if p.stage != early {
		return
	}
	p.stage = confirmed
	p.note(Event{Kind: Answered, Status: m.Status})
	close(p.answered)
	p.takeSession(m)
	offerless := len(p.invite.Body) == 0
	ok := len(m.Body) > 0 && p.learn(m, !offerless)
	if !ok && (offerless || p.remote == nil) {
		p.c.blame(m, "no usable description")
	}
	if p.set.deafToACKs == 0 {
		body := ""
		if offerless && ok {
			body = p.describe()
		}
		p.ackAnswer(p.sent, m, body)
		p.note(Event{Kind: Acked})
		close(p.acked)
	}
	if p.cancelling {
		p.sendBye(nil)
		return
	}
	p.listen()
}

// ackAnswer sends the ACK to a 2xx, a transaction of its own (RFC 3261
// section 13.2.2.4).
func (p *Party) ackAnswer(tx *clientTx, m *Message, body string) {
	n, _ := tx.req.cseq()
	ack, to := p.composeWith("ACK", n)
	ack.fields = append([]field{
		{"Via", fmt.Sprintf("SIP/2.0/%s %s;branch=%s%s;rport", p.c.transport(), p.c.addr, magicCookie, newTag())}, {"Max-Forwards", "70"},
	}, ack.fields...)
	if body != "" {
		ack.setBody("application/sdp", []byte(body))
	}
	tx.acks[m.toTag()] = datagram{to, p.c.send(to, ack)}
}

// Cancel gives up a call of ours that is not answered yet: CANCEL as soon as
// the first provisional response is there (RFC 3261 section 9.1), then the
// wait for the end. It does nothing to a call that is answered or over.
func (p *Party) Cancel(ctx context.Context, headers ...string) error {
	p.c.mu.Lock()
	invite := p.sent
	p.c.mu.Unlock()
	if invite == nil {
		return errors.New("lab: cancel: the party did not call")
	}
	select {
	case <-invite.first:
	case <-p.ended:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	p.c.mu.Lock()
	if p.stage != early || p.cancelling {
		p.c.mu.Unlock()
		return nil
	}
	p.cancelling = true
	m := &Message{Method: "CANCEL", URI: invite.req.URI}
	for _, name := range []string{"Route", "From", "To", "Call-ID"} {
		for _, v := range invite.req.All(name) {
			m.add(name, v)
		}
	}
	n, _ := invite.req.cseq()
	m.add("CSeq", fmt.Sprintf("%d CANCEL", n))
	m.addLines(headers)
	p.note(Event{Kind: Cancelled, Reasons: m.All("Reason")})
	tx := p.c.requestWith(p, m, invite.to, invite.req.branch(), func(res *Message) {
		if res.Status != 200 && invite.status < 200 {
			p.c.blame(res, "the INVITE has no final response yet")
		}
	})
	p.c.mu.Unlock()
	if _, err := p.outcome(ctx, tx); err != nil {
		return fmt.Errorf("lab: cancel: %w", err)
	}
	return p.awaitEnd(ctx, invite)
}

// awaitEnd waits for the final response that a CANCEL brings about.
func (p *Party) awaitEnd(ctx context.Context, invite *clientTx) error {
	timer := time.NewTimer(giveUp)
	defer timer.Stop()
	select {
	case <-p.ended:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-p.c.ctx.Done():
		return errClosed
	case <-timer.C:
	}
	p.c.mu.Lock()
	defer p.c.mu.Unlock()
	p.c.blame(invite.req, "no final response in %s after CANCEL", giveUp)
	p.end(errLost)
	return errLost
}

// Hangup ends the call in the way its stage asks for: BYE, CANCEL, or 603 to
// a call that rings here. Headers are written "Name: value". It waits for the
// other side's answer.
func (p *Party) Hangup(ctx context.Context, headers ...string) error {
	p.c.mu.Lock()
	stage, calling := p.stage, p.sent != nil
	var tx *clientTx
	switch {
	case stage == confirmed:
		tx = p.sendBye(headers)
	case stage == early && !calling:
		p.refuse(603, "Decline", headers, errHungUp)
	}
	p.c.mu.Unlock()
	if stage == early && calling {
		return p.Cancel(ctx, headers...)
	}
	if tx == nil {
		return nil
	}
	if _, err := p.outcome(ctx, tx); err != nil {
		return fmt.Errorf("lab: bye: %w", err)
	}
	return nil
}

// Hold tells the other side to be silent (sendonly), and is silent itself.
func (p *Party) Hold(ctx context.Context) error { return p.reinvite(ctx, "sendonly", true) }

// Resume takes a Hold back.
func (p *Party) Resume(ctx context.Context) error { return p.reinvite(ctx, "sendrecv", true) }

// Reinvite repeats what is agreed on, as session timers do. Without offer it
// leaves the offer to the other side.
func (p *Party) Reinvite(ctx context.Context, offer bool) error { return p.reinvite(ctx, "", offer) }

// reinvite offers a direction, an empty one leaves it as it is. It waits for
// the answer and its ACK; glare is tried once more (RFC 3261 section 14.1).
func (p *Party) reinvite(ctx context.Context, direction string, offer bool) error {
	return p.inTurn(ctx, "re-INVITE", func() (*Message, error) { return p.reinviteOnce(ctx, direction, offer) })
}

func (p *Party) reinviteOnce(ctx context.Context, direction string, offer bool) (*Message, error) {
	p.c.mu.Lock()
	if p.stage != confirmed {
		p.c.mu.Unlock()
		return nil, errOver
	}
	tx := p.sendReinvite(direction, offer)
	p.c.mu.Unlock()
	res, err := p.outcome(ctx, tx)
	if err != nil {
		return nil, fmt.Errorf("lab: re-INVITE: %w", err)
	}
	return res, nil
}

func (p *Party) sendReinvite(direction string, offer bool) *clientTx {
	if direction != "" {
		p.direction = direction
	}
	m, to := p.compose("INVITE")
	p.askSession(m)
	if offer {
		m.setBody("application/sdp", []byte(p.offer()))
	}
	if p.direction == "sendrecv" {
		p.audio.expectSound()
	} else {
		p.audio.mute()
	}
	p.offering = true
	var tx *clientTx
	tx = p.c.request(p, m, to, func(res *Message) {
		if res.Status >= 200 {
			p.offering = false
		}
		if res.Status/100 == 2 {
			p.takeReinviteAnswer(tx, res, offer)
		}
	})
	return tx
}

func (p *Party) takeReinviteAnswer(tx *clientTx, res *Message, offer bool) {
	if contact := uriOf(res.Get("Contact")); contact != "" {
		p.target = contact
	}
	ok := len(res.Body) > 0 && p.learn(res, offer)
	if !ok {
		p.c.blame(res, "no usable description")
	}
	body := ""
	switch {
	case ok && offer:
		_ = p.checkHeld(res) // noted
	case ok:
		body = p.describe()
	}
	p.ackAnswer(tx, res, body)
	p.takeSession(res)
	p.note(Event{Kind: Reinvited, Status: res.Status, Detail: p.own.direction})
	p.listen()
}
