package sip

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	sipmsg "github.com/emiago/sipgo/sip"
)

// TrialResult is what came of one trial.
type TrialResult string

// Results of trials.
const (
	TrialOK     TrialResult = "ok"
	TrialFailed TrialResult = "failed"
	TrialNote   TrialResult = "note" // worth knowing, and no failure
)

// Trial is one thing that was tried with a trunk.
type Trial struct {
	What   string // name, options, login, register or address
	Result TrialResult
	Detail string        // what was found, or what is wrong and what to do, for people
	Took   time.Duration // until the answer; 0: there was none, or none was asked for
}

// TrunkReport is what came of trying a trunk, in the order in which it was.
type TrunkReport struct {
	Trials []Trial
	SDP    []byte // the session description in the answer to OPTIONS; nil: none was there
}

// trial tries one trunk. It has a trunk of its own, so that nothing is learnt of
// the one that calls use.
type trial struct {
	a      *Agent
	t      *trunk
	report TrunkReport
	last   *sipmsg.Response // to an OPTIONS; nil: none was answered
}

// testLife is for how long a trial registers, in case that it cannot take that
// back.
const testLife = time.Minute

// TryTrunk finds out what works with a trunk: whether its name leads to
// addresses, whether it answers OPTIONS and how soon, and with register whether
// its registrar takes the account. For that it asks which Contacts are
// registered, which changes nothing (RFC 3261 10.2.3); only where there is none
// a Contact of the agent's is registered for a moment. The agent should have a
// socket of its own and no registration at the trunk. The error is
// ErrUnknownTarget, ErrClosed, or the cause of ctx.
func (a *Agent) TryTrunk(ctx context.Context, name string, register bool) (TrunkReport, error) {
	known := a.peers.trunk(name)
	switch {
	case known == nil:
		return TrunkReport{}, fmt.Errorf("%w: %s", ErrUnknownTarget, name)
	case a.isClosing() || !a.enter():
		return TrunkReport{}, ErrClosed
	}
	defer a.leave()
	t, err := newTrunk(known.Trunk, a.secret)
	if err != nil {
		return TrunkReport{}, err
	}
	defer t.end()
	t.token = newTag()
	x := &trial{a: a, t: t}
	if dests := x.name(ctx); len(dests) > 0 {
		there, silent := x.options(ctx, dests)
		if register && (silent || len(there) > 0) {
			x.account(ctx, append(there, others(dests, there)...))
		}
		x.address(dests[0])
	}
	return x.report, context.Cause(ctx)
}

func others(all, some []netip.AddrPort) []netip.AddrPort {
	return slices.DeleteFunc(slices.Clone(all), func(a netip.AddrPort) bool { return slices.Contains(some, a) })
}

func (x *trial) tell(what string, result TrialResult, took time.Duration, format string, args ...any) {
	x.report.Trials = append(x.report.Trials, Trial{What: what, Result: result, Detail: fmt.Sprintf(format, args...), Took: took})
}

// name finds the addresses.
func (x *trial) name(ctx context.Context) []netip.AddrPort {
	began := time.Now()
	dests, f := x.a.reach(ctx, x.t.hop(), Target{Trunk: x.t.Name})
	if f != nil {
		why := x.t.nameless()
		if why == "" {
			why = f.Error()
		}
		x.tell("name", TrialFailed, 0, "%s", why)
		return nil
	}
	if x.t.hop().literal() {
		x.tell("name", TrialOK, 0, "%s is an address, and nothing has to be looked up", dests[0])
		return dests
	}
	texts := make([]string, len(dests))
	for i, d := range dests {
		texts[i] = d.String()
	}
	x.tell("name", TrialOK, time.Since(began), "%s leads to %s", x.t.hop().host, strings.Join(texts, ", "))
	return dests
}

// options asks every address whether it is there, and returns those that are.
// silent says that none is, and that nothing better is known.
func (x *trial) options(ctx context.Context, dests []netip.AddrPort) (there []netip.AddrPort, silent bool) {
	var misses []string
	for _, dest := range dests {
		q := &asking{a: x.a, t: x.t}
		took, miss := q.ask(ctx, dest)
		if q.last != nil {
			x.last = q.last
		}
		if miss != "" {
			misses = append(misses, miss)
			continue
		}
		there = append(there, dest)
		x.tell("options", TrialOK, took, "%s answers OPTIONS over %s with %s", x.t.where(dest.String()), x.t.hop().transport, statusLine(q.last))
	}
	if x.last != nil {
		x.report.SDP = sdpBody(x.last)
	}
	result := TrialFailed
	if len(there) > 0 { // the others stand in for it
		result = TrialNote
	}
	other := ""
	if len(there) == 0 {
		other = x.otherTransport(ctx)
	}
	for _, miss := range misses {
		x.tell("options", result, 0, "%s%s", miss, other)
	}
	return there, len(there) == 0 && other == ""
}

// otherTransport says what to do where the trunk is there over the transport
// that is not configured; else it is empty.
func (x *trial) otherTransport(ctx context.Context) string {
	swapped := x.t.Trunk
	switch x.t.hop().transport {
	case transportUDP:
		swapped.Transport = transportTCP
	case transportTCP:
		swapped.Transport = transportUDP
	default:
		return ""
	}
	t, err := newTrunk(swapped, x.a.secret)
	if err != nil {
		return ""
	}
	defer t.end()
	dests, f := x.a.reach(ctx, t.hop(), Target{Trunk: t.Name})
	if f != nil {
		return ""
	}
	q := &asking{a: x.a, t: t}
	if _, miss := q.ask(ctx, dests[0]); miss != "" {
		return ""
	}
	return fmt.Sprintf("; over %s %s does answer: set trunks[].transport to %s", swapped.Transport, dests[0], swapped.Transport)
}

// account tries whether the registrar takes the account.
func (x *trial) account(ctx context.Context, dests []netip.AddrPort) {
	r := x.a.newRegistration(x.t)
	r.query = true
	var no *refusal
	var dest netip.AddrPort
	began := time.Now()
	for _, dest = range dests {
		if _, no = r.try(ctx, dest, testLife); no == nil || !no.next {
			break
		}
	}
	where, took := "registrar "+x.t.where(dest.String()), time.Since(began)
	if r.answer != nil { // who answers REGISTER is there, whatever he does with OPTIONS
		x.excuse()
	}
	switch {
	case no == nil:
		password := "takes the password"
		if !r.login.used() {
			password = "does not ask for a password"
		}
		x.tell("login", TrialOK, took, "%s knows user %s and %s", where, x.t.Username, password)
	case r.answer == nil || no.next || isChallenge(r.answer) || r.answer.StatusCode == sipmsg.StatusForbidden || r.answer.StatusCode == sipmsg.StatusNotFound:
		x.tell("login", TrialFailed, 0, "%s", no.reason)
		return
	default:
		x.tell("login", TrialNote, took, "%s does not tell what is registered (%s)", where, statusLine(r.answer))
	}
	if no == nil && x.bound(where, contactsOf(r.answer)) {
		return
	}
	x.register(ctx, r, dest, where)
}

// bound tells which Contacts there are already, and reports whether there are
// any.
func (x *trial) bound(where string, contacts []string) bool {
	if len(contacts) == 0 {
		return false
	}
	own := contactToken(&x.t.Trunk, x.a.secret)
	for _, uri := range contacts {
		u, err := parseURI(uri)
		if err != nil {
			continue
		}
		if token, _ := param(u.UriParams, tokenParam); token == own {
			x.tell("register", TrialOK, 0, "%s has the registration of the server with this configuration, at %s", where, plainText(hostPort(u.Host, u.Port)))
			return true
		}
	}
	x.tell("register", TrialNote, 0, "not tried: %s has %d other devices of the account, and some providers keep the newest alone", where, len(contacts))
	return true
}

// register registers a Contact of our own and takes it back.
func (x *trial) register(ctx context.Context, r *registration, dest netip.AddrPort, where string) {
	r.query = false
	began := time.Now()
	held, no := r.try(ctx, dest, testLife)
	if no != nil {
		x.tell("register", TrialFailed, 0, "%s", no.reason)
		return
	}
	took := time.Since(began)
	if _, no = r.try(ctx, dest, 0); no != nil {
		x.tell("register", TrialNote, took, "%s registers, but did not let us go: %s; that ends by itself in %s", where, no.reason, span(held))
		return
	}
	x.tell("register", TrialOK, took, "%s registers, for %s when asked for %s, and lets us go", where, span(held), span(testLife))
}

// excuse makes silence to OPTIONS no failure of one that answers REGISTER.
func (x *trial) excuse() {
	if x.last != nil {
		return
	}
	for i := range x.report.Trials {
		if one := &x.report.Trials[i]; one.What == "options" && one.Result == TrialFailed {
			one.Result = TrialNote
		}
	}
}

// address tells where the trunk sees us.
func (x *trial) address(dest netip.AddrPort) {
	seen := x.t.mirror.seen()
	_, local := socketFor(x.a.locals(x.t.hop().transport), dest.Addr())
	switch {
	case !seen.IsValid():
	case seen.Addr() == local:
		x.tell("address", TrialOK, 0, "it sees us at %s, our own address: there is no NAT", local)
	default:
		fixed := ""
		if p := x.a.cfg.PublicIP; p.IsValid() && p != seen.Addr() {
			fixed = fmt.Sprintf("; sip.public_ip says %s, so it would send calls there: write auto, or that address", p)
		}
		x.tell("address", TrialNote, 0, "it sees us at %s, and here we are at %s: there is a NAT, see sip.public_ip and forward media.ports%s", seen.Addr(), local, fixed)
	}
}

// contactsOf are the URIs of a response's Contacts.
func contactsOf(res *sipmsg.Response) []string {
	var all []string
	for _, name := range []string{"contact", "m"} {
		for _, h := range headersOf(res, name) {
			for _, value := range splitQuoted(h.Value(), ',') {
				uri, _ := contactParts(value)
				all = append(all, uri)
			}
		}
	}
	return all
}
