package lab

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// OPTIONS makes every OPTIONS request outside of calls get this status from
// now on; 0: no response at all. It is 200 at first.
func (c *Carrier) OPTIONS(status int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.options = status
}

func (c *Carrier) takeOPTIONS(m *Message, from netip.AddrPort) {
	tx := c.begin(m, from, nil)
	if c.options == 0 {
		return
	}
	phrase := "OK"
	if c.options >= 300 {
		phrase = "Not Now"
	}
	res := tx.response(c.options, phrase, newTag())
	res.add("Allow", allow)
	c.respond(tx, res)
}

// check holds a REGISTER against RFC 3261 section 10.2.
func (r *Registrar) check(m *Message) {
	if strings.Contains(m.URI, "@") {
		r.c.blame(m, "Request-URI %q has a user", m.URI)
	}
	if uriOf(m.Get("To")) != uriOf(m.Get("From")) {
		r.c.blame(m, "From %q registers somebody else, %q", m.Get("From"), m.Get("To"))
	}
	if m.toTag() != "" {
		r.c.blame(m, "To has a tag")
	}
	n, _ := m.cseq()
	if last, known := r.seqs[m.callID()]; known && n <= last {
		r.c.blame(m, "CSeq %d is not above %d of the same Call-ID", n, last)
	}
	r.seqs[m.callID()] = n
	contacts := m.All("Contact")
	if slices.Contains(contacts, "*") {
		r.c.blame(m, "Contact * removes the registrations of other devices")
	}
	for _, c := range contacts[min(1, len(contacts)):] { // what the device takes back when it is elsewhere
		known := slices.ContainsFunc(r.alive(), func(b Binding) bool { return b.Contact == uriOf(c) && b.CallID == m.callID() })
		if param(c, "expires") != "0" || !known && m.Get("Authorization")+m.Get("Proxy-Authorization") != "" {
			r.c.blame(m, "a further Contact %q takes nothing back", c)
		}
	}
	for _, c := range contacts {
		if userOf(c) == "" || !addressOf(c).IsValid() {
			r.c.blame(m, "Contact %q leads nowhere", c)
		}
	}
}

// admit lets a REGISTER through that knows the password, and asks all others
// for it.
func (r *Registrar) admit(tx *serverTx, m *Message) bool {
	_, _, _, header := r.o.names()
	answer := m.Get(header)
	if answer == "" {
		r.ask(tx, false)
		return false
	}
	d, _ := digestParams(answer)
	known := r.nonces[d["nonce"]]
	if known == nil { // of the time before a restart
		r.ask(tx, true)
		return false
	}
	switch problem := r.o.check(answer, m, func(string) bool { return true }); {
	case problem == wrongPassword:
		r.wrong++
		r.ask(tx, false)
		return false
	case problem != "":
		r.c.blame(m, "%s: %s", header, problem)
		r.ask(tx, false)
		return false
	}
	known.uses++
	stale := known.spent || r.o.NonceUses > 0 && known.uses > r.o.NonceUses || r.current != "" && d["nonce"] != r.current
	if nc, err := strconv.ParseUint(d["nc"], 16, 32); !r.o.NoQOP && (err != nil || len(d["nc"]) != 8 || nc <= known.count) {
		r.c.blame(m, "nc %q after %08x of the same nonce", d["nc"], known.count)
		stale = true
	} else {
		known.count = nc
	}
	if stale {
		r.ask(tx, true)
	}
	return !stale
}

// ask asks for the password. stale says that it was right, and only the nonce
// is not.
func (r *Registrar) ask(tx *serverTx, stale bool) {
	status, phrase, header, _ := r.o.names()
	res := tx.response(status, phrase, newTag())
	fresh := r.newNonce()
	if r.o.NextNonce {
		r.current = fresh
	}
	for _, value := range r.o.challenges(fresh) {
		if stale {
			value += ", stale=true"
		}
		res.add(header, value)
	}
	r.c.respond(tx, res)
}

func (r *Registrar) newNonce() string {
	n := newTag()
	r.nonces[n] = &nonce{}
	return n
}
