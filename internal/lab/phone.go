package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Account is what a phone registers as with the system under test, and what it
// proves to know when it calls.
type Account struct {
	At                 netip.AddrPort // where the system under test listens
	Username, Password string
	// Contact is the URI that it registers; empty: the user name at the
	// phone's own address.
	Contact string
	Expires time.Duration // asked for; 0: 1 h
	Headers []string      // more headers of REGISTER, as "Name: value"
}

// Registration keeps a phone registered until it is ended, or the phone closed.
type Registration struct {
	c       *Carrier
	a       Account
	callID  string
	granted chan struct{} // closed when the first REGISTER was granted
	end     chan struct{} // closed by Unregister
	over    chan struct{} // closed when nothing is sent any more

	// All below is guarded by c.mu.
	seq     uint32
	asked   *asked
	counts  int // of REGISTER that were granted
	refused *Message
	latest  *Message // the last 200
	ending  bool
}

// asked is a challenge of the system under test.
type asked struct {
	header string // that answers it
	d      map[string]string
	count  int
}

// RegisterPhone registers the phone and refreshes that at half of the time that
// is granted. It returns when it is registered. The error is of the response
// that refuses it, or of ctx; what is granted after the end of ctx is taken back.
func (c *Carrier) RegisterPhone(ctx context.Context, a Account) (*Registration, error) {
	if a.Contact == "" {
		a.Contact = "sip:" + a.Username + "@" + c.addr.String()
		if c.lines != nil {
			a.Contact += ";transport=" + strings.ToLower(c.transport())
		}
	}
	if a.Expires == 0 {
		a.Expires = time.Hour
	}
	r := &Registration{c: c, a: a, callID: newTag(), granted: make(chan struct{}), end: make(chan struct{}), over: make(chan struct{})}
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil, errClosed
	}
	c.spawn(r.keep)
	c.mu.Unlock()
	select {
	case <-r.granted:
		return r, nil
	case <-r.over:
	case <-ctx.Done():
		r.finish()
		return nil, context.Cause(ctx)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.refused != nil {
		return nil, fmt.Errorf("lab: register %s: %d %s", a.Username, r.refused.Status, r.refused.Phrase)
	}
	return nil, fmt.Errorf("lab: register %s: no response", a.Username)
}

// Granted counts the REGISTER requests that got a 200.
func (r *Registration) Granted() int {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	return r.counts
}

// Answer is the last 200.
func (r *Registration) Answer() *Message {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	return r.latest
}

// Unregister takes the registration back and waits for the response.
func (r *Registration) Unregister(ctx context.Context) error {
	r.finish()
	select {
	case <-r.over:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (r *Registration) finish() {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	if !r.ending {
		r.ending = true
		close(r.end)
	}
}

func (r *Registration) keep() {
	defer close(r.over)
	life := r.register(r.a.Expires)
	if life <= 0 {
		return
	}
	close(r.granted)
	for {
		timer := time.NewTimer(life / 2)
		select {
		case <-timer.C:
		case <-r.end:
			timer.Stop()
			r.register(0)
			return
		case <-r.c.ctx.Done():
			timer.Stop()
			return
		}
		if next := r.register(r.a.Expires); next > 0 {
			life = next
		}
	}
}

// register sends REGISTER until it is granted or refused, and returns for how
// long it was; 0: it was not.
func (r *Registration) register(life time.Duration) time.Duration {
	challenged := false
	for {
		res, err := r.once(life)
		if err != nil {
			return 0
		}
		r.c.mu.Lock()
		next := r.asks(res, "WWW-Authenticate", "Authorization", &challenged)
		granted := time.Duration(0)
		switch {
		case next:
		case res.Status == 200:
			r.counts++
			r.latest = res
			granted = r.check(res, life)
		default:
			r.refused = res
		}
		r.c.touch()
		r.c.mu.Unlock()
		if !next {
			return granted
		}
	}
}

// asks reports whether a response is a challenge to be answered. c.mu is held.
func (r *Registration) asks(res *Message, name, answer string, challenged *bool) bool {
	if res.Status != 401 && res.Status != 407 {
		return false
	}
	d, ok := r.c.readChallenge(res, name)
	if !ok || *challenged && d["stale"] != "true" {
		return false
	}
	*challenged = true
	r.asked = &asked{header: answer, d: d}
	return true
}

// readChallenge judges a challenge of the system under test.
func (c *Carrier) readChallenge(res *Message, name string) (map[string]string, bool) {
	value := res.Get(name)
	d, ok := digestParams(value)
	switch {
	case value == "" || !ok:
		c.blame(res, "no %s", name)
		return nil, false
	case d["realm"] == "" || d["nonce"] == "" || d["qop"] != "auth":
		c.blame(res, "challenge %q", value)
	}
	return d, ok
}

// once sends one REGISTER and waits for its final response.
func (r *Registration) once(life time.Duration) (*Message, error) {
	r.c.mu.Lock()
	r.seq++
	aor := fmt.Sprintf("<sip:%s@%s>", r.a.Username, r.a.At)
	m := &Message{Method: "REGISTER", URI: "sip:" + r.a.At.String()}
	m.add("From", aor+";tag="+r.callID)
	m.add("To", aor)
	m.add("Call-ID", r.callID)
	m.add("CSeq", fmt.Sprintf("%d REGISTER", r.seq))
	m.add("Contact", "<"+r.a.Contact+">")
	m.add("Expires", strconv.Itoa(int(life/time.Second)))
	m.add("User-Agent", "Lab phone")
	m.addLines(r.a.Headers)
	if r.asked != nil {
		m.add(r.asked.header, r.a.answer(r.asked, m))
	}
	tx := r.c.request(nil, m, r.a.At, func(*Message) {})
	r.c.mu.Unlock()
	select {
	case res := <-tx.final:
		return res, nil
	case <-tx.expired:
		return nil, errors.New("no response")
	case <-r.c.ctx.Done():
		return nil, errClosed
	}
}

// answer are the credentials of a request.
func (a *Account) answer(to *asked, m *Message) string {
	to.count++
	d := map[string]string{
		"uri": m.URI, "nonce": to.d["nonce"], "nc": fmt.Sprintf("%08x", to.count), "cnonce": newTag(), "qop": "auth",
	}
	algorithm := to.d["algorithm"]
	if algorithm == "" {
		algorithm = "MD5"
	}
	c := Credentials{Username: a.Username, Password: a.Password, Realm: to.d["realm"]}
	return fmt.Sprintf(`Digest username=%q, realm=%q, nonce=%q, uri=%q, algorithm=%s, qop=auth, nc=%s, cnonce=%q, response=%q`,
		a.Username, c.Realm, d["nonce"], d["uri"], algorithm, d["nc"], d["cnonce"], c.response(algorithm, m.Method, d))
}

// check holds a 200 against RFC 3261 section 10.3 and returns for how long our
// Contact is registered. c.mu is held.
func (r *Registration) check(res *Message, asked time.Duration) time.Duration {
	for _, c := range res.All("Contact") {
		if uriOf(c) != r.a.Contact {
			continue
		}
		n, err := strconv.Atoi(param(c, "expires"))
		life := time.Duration(n) * time.Second
		switch {
		case err != nil || n <= 0:
			r.c.blame(res, "Contact %q does not say how long it lasts", c)
			return 0
		case asked == 0:
			r.c.blame(res, "Contact %q is listed, it was taken back", c)
		case life > asked:
			r.c.blame(res, "Contact %q lasts longer than the %s that were asked for", c, asked)
		}
		return life
	}
	if asked > 0 {
		r.c.blame(res, "our Contact is not listed")
	}
	return 0
}

// answersChallenge sends our INVITE once more, with credentials, where the
// response asks for them and we have some. mu is held.
func (p *Party) answersChallenge(res *Message) bool {
	if p.login == nil || res.Status != 407 || p.invite.Get("Proxy-Authorization") != "" {
		return false
	}
	d, ok := p.c.readChallenge(res, "Proxy-Authenticate")
	if !ok {
		return false
	}
	p.note(Event{Kind: Challenged, Status: res.Status})
	p.remoteTag, p.localSeq = "", p.localSeq+1
	m := &Message{Method: "INVITE", URI: p.invite.URI, Body: p.invite.Body}
	for _, f := range p.invite.fields {
		switch f.name {
		case "Via", "Max-Forwards":
			continue
		case "CSeq":
			f.value = fmt.Sprintf("%d INVITE", p.localSeq)
		}
		m.fields = append(m.fields, f)
	}
	m.add("Proxy-Authorization", p.login.answer(&asked{d: d}, m))
	p.invite = m
	p.sent = p.c.request(p, m, p.sent.to, p.takeINVITEResponse)
	tx := p.sent
	p.c.spawn(func() { p.watch(tx) })
	return true
}
