package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// unreachable is the Contact of a party behind a record-routing proxy: only
// who follows the route set reaches it (RFC 5737 address).
const unreachable = "192.0.2.77:5060"

// contact is the URI that requests of the dialog are addressed to.
func (p *Party) contact() string {
	if p.set.recordRoute {
		return "sip:" + p.number + "@" + unreachable + p.c.uriParam()
	}
	return fmt.Sprintf("sip:%s@%s%s", p.number, p.c.addr, p.c.uriParam())
}

// recordRoute is the URIs of our own route set.
func (p *Party) recordRoute() []string {
	if !p.set.recordRoute {
		return nil
	}
	return []string{fmt.Sprintf("sip:%s%s;lr", p.c.addr, p.c.uriParam())}
}

// describe is the party's own description: an answer when an offer came,
// else an offer. Its o= version rises when anything but it changes.
func (p *Party) describe() string { return p.describeAs(p.remote == nil) }

func (p *Party) describeAs(offer bool) string {
	l := local{
		address: p.audio.addr(), codecs: p.set.codecs, digits: p.set.digits, direction: p.direction,
		ptime: int(p.set.ptime.Milliseconds()),
	}
	if p.set.address.IsValid() {
		l.address = netip.AddrPortFrom(p.set.address, l.address.Port())
	}
	if p.remote != nil {
		l.codecs = common(p.set.codecs, p.remote.Codecs)
		if l.digits >= 0 {
			l.digits = p.remote.Digits
		}
		l.direction = mirrored(p.remote.Direction, p.direction)
	}
	l.profile, l.crypto = p.protection(offer)
	text := p.write(l)
	if p.ownText != "" && text != p.ownText {
		p.version++
		text = p.write(l)
	}
	p.own, p.ownText = l, text
	return text
}

func (p *Party) write(l local) string {
	text := l.text(p.session, p.version)
	if p.set.editSDP != nil {
		text = p.set.editSDP(text)
	}
	return text
}

// offer is describe for an offer of ours in a running dialog: it says what we
// want, whatever the last offer of the other side was.
func (p *Party) offer() string {
	was := p.remote
	if was != nil {
		wish := *was
		wish.Direction = "sendrecv"
		p.remote = &wish
	}
	text := p.describeAs(true)
	p.remote = was
	return text
}

// learn reads the description in m, an answer or an offer, and reports whether
// it can be spoken to.
func (p *Party) learn(m *Message, answer bool) bool {
	d, err := parseDescription(m.Body)
	if err != nil {
		p.c.blame(m, "%v", err)
		return false
	}
	for _, f := range d.faults(p.remote) {
		p.c.blame(m, "sdp: %s", f)
	}
	codecs := common(p.set.codecs, d.Codecs)
	if answer {
		codecs = common(d.Codecs, p.set.codecs) // its order counts
	}
	if len(codecs) == 0 || !p.protect(m, d, answer) {
		return false
	}
	p.remote, p.codec = d, codecs[0]
	return true
}

// listen lets the sound follow the latest descriptions.
func (p *Party) listen() {
	if p.remote == nil || p.stage == over {
		return
	}
	sending := p.stage == confirmed || p.earlyMedia
	switch p.remote.Direction {
	case "sendonly", "inactive":
		sending = false
	}
	p.audio.direct(p.remote, p.codec, p.security, p.own.digits, sending && p.direction == "sendrecv" && !p.set.mute)
}

// takeInDialog hands a request to the party whose dialog it belongs to.
func (c *Carrier) takeInDialog(m *Message, from netip.AddrPort) {
	var p *Party
	for _, q := range c.parties {
		if q.callID != m.callID() {
			continue
		}
		if f := q.forks[m.toTag()]; f != nil && m.Method == "BYE" {
			c.endFork(q, f, m, from)
			return
		}
		if q.localTag == m.toTag() && q.remoteTag == m.fromTag() {
			p = q
		}
	}
	if p == nil {
		c.blame(m, "belongs to no dialog")
		c.refuse(m, from, 481, "Call/Transaction Does Not Exist")
		return
	}
	c.checkDialog(p, m)
	switch {
	case m.Method == "BYE":
		c.takeBYE(p, m, from)
	case p.stage == over:
		c.refuse(m, from, 481, "Call/Transaction Does Not Exist")
	case m.Method == "INVITE" || m.Method == "UPDATE":
		c.takeReinvite(p, m, from)
	case m.Method == "INFO" || m.Method == "OPTIONS" || m.Method == "NOTIFY":
		tx := c.begin(m, from, p)
		c.respond(tx, tx.response(200, "OK", p.localTag))
		switch m.Method {
		case "INFO":
			p.takeINFO(m)
		case "NOTIFY":
			c.takeNotify(p, m)
		}
	default:
		c.refuse(m, from, 405, "Method Not Allowed")
	}
}

func (c *Carrier) endFork(p *Party, f *fork, m *Message, from netip.AddrPort) {
	tx := c.begin(m, from, p)
	c.respond(tx, tx.response(200, "OK", ""))
	if f.ended {
		c.blame(m, "second BYE to one fork")
	}
	f.ended = true
	p.note(Event{Kind: ForkEnded, Reasons: m.All("Reason")})
}

func (c *Carrier) takeBYE(p *Party, m *Message, from netip.AddrPort) {
	tx := c.begin(m, from, p)
	c.respond(tx, tx.response(200, "OK", p.localTag))
	if p.byes++; p.byes > 1 {
		c.blame(m, "second BYE in one dialog")
	}
	if p.tx != nil && p.stage == early {
		c.blame(m, "BYE before the call was answered")
	}
	p.note(Event{Kind: ByeReceived, Reasons: m.All("Reason")})
	p.end(errBye)
}

func (p *Party) takeINFO(m *Message) {
	p.note(Event{Kind: InfoReceived, Detail: string(m.Body)})
	for line := range strings.SplitSeq(string(m.Body), "\n") {
		if k, ok := strings.CutPrefix(strings.TrimSpace(line), "Signal="); ok {
			p.pressed = append(p.pressed, []rune(strings.TrimSpace(k))...)
		}
	}
}

// takeReinvite answers an offer in a running dialog, or makes one where the
// other side made none.
func (c *Carrier) takeReinvite(p *Party, m *Message, from netip.AddrPort) {
	tx := c.begin(m, from, p)
	if c.refuseBrief(tx, p.set.timing.least, p.localTag) || c.refuseReinvite(p, tx) {
		return
	}
	if uri := uriOf(m.Get("Contact")); uri != "" {
		p.target = uri
	}
	offered := len(m.Body) > 0
	if offered && !p.learn(m, false) {
		res := tx.response(488, "Not Acceptable Here", p.localTag)
		if m.Method == "INVITE" {
			c.respondINVITE(tx, res, &final{})
		} else {
			c.respond(tx, res)
		}
		return
	}
	res := tx.response(200, "OK", p.localTag)
	res.add("Contact", "<"+p.contact()+">")
	res.add("Allow", p.allow())
	p.grantSession(m, res)
	switch {
	case offered:
		res.setBody("application/sdp", []byte(p.describe()))
	case m.Method == "INVITE":
		res.setBody("application/sdp", []byte(p.offer()))
	}
	p.listen()
	p.note(Event{Kind: Reinvited, Status: 200, Detail: p.own.direction})
	if m.Method != "INVITE" {
		c.respond(tx, res)
		return
	}
	c.respondINVITE(tx, res, &final{onACK: func(ack *Message) {
		if offered {
			return
		}
		if len(ack.Body) == 0 || !p.learn(ack, true) {
			c.blame(ack, "no usable answer to the offer in the 200")
		}
		p.listen()
	}, onLost: func() {
		p.note(Event{Kind: Lost, Detail: "ACK"})
		p.sendBye(nil)
	}})
}

// compose starts a request of ours in the dialog, and says where it goes: to
// the first route, else the Contact (RFC 3261 section 12.2.1.1).
func (p *Party) compose(method string) (*Message, netip.AddrPort) {
	p.localSeq++
	return p.composeWith(method, p.localSeq)
}

func (p *Party) composeWith(method string, seq uint32) (*Message, netip.AddrPort) {
	m := &Message{Method: method, URI: p.target}
	to := addressOf(p.target)
	for i, r := range p.routes {
		m.add("Route", r)
		if i == 0 {
			to = addressOf(r)
		}
	}
	if !to.IsValid() {
		to = p.peer
	}
	m.add("From", p.localParty+";tag="+p.localTag)
	m.add("To", p.remoteParty+";tag="+p.remoteTag)
	m.add("Call-ID", p.callID)
	m.add("CSeq", fmt.Sprintf("%d %s", seq, method))
	if method == "INVITE" || method == "UPDATE" {
		m.add("Contact", "<"+p.contact()+">")
		m.add("Allow", p.allow())
	}
	return m, to
}

// sendBye ends the dialog from our side.
func (p *Party) sendBye(headers []string) *clientTx {
	if p.stage != confirmed {
		return nil
	}
	m, to := p.compose("BYE")
	m.addLines(headers)
	p.note(Event{Kind: ByeSent, Reasons: m.All("Reason")})
	tx := p.c.request(p, m, to, func(res *Message) {
		p.audio.expectEnd()
		if res.Status >= 300 && (res.Status != 481 || p.byes == 0) { // unless two BYEs met
			p.c.blame(res, "our BYE was refused")
		}
	})
	p.end(errHungUp)
	return tx
}

// outcome waits for the final response to a request of ours.
func (p *Party) outcome(ctx context.Context, tx *clientTx) (*Message, error) {
	select {
	case m := <-tx.final:
		return m, nil
	case <-tx.expired:
		p.c.mu.Lock()
		defer p.c.mu.Unlock()
		p.c.blame(tx.req, "no response in %s", giveUp)
		return nil, errLost
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-p.c.ctx.Done():
		return nil, errClosed
	}
}

// checkHeld holds the answer to an offer of ours against its direction (RFC
// 3264 section 6.1).
func (p *Party) checkHeld(m *Message) error {
	allowed := map[string][]string{
		"sendonly": {"recvonly", "inactive"}, "recvonly": {"sendonly", "inactive"}, "inactive": {"inactive"},
	}[p.own.direction]
	if allowed != nil && !slices.Contains(allowed, p.remote.Direction) {
		p.c.blame(m, "sdp: %s answered with %s", p.own.direction, p.remote.Direction)
		return errors.New("the offer's direction was not followed")
	}
	return nil
}
