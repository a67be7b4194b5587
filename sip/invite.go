package sip

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strconv"

	sipmsg "github.com/emiago/sipgo/sip"
)

// Invite calls somebody and blocks until the call is up or has failed. Without
// an error a 2xx was seen and acknowledged and its session description was
// accepted. The error is a *Failure.
//
// When ctx ends the INVITE is cancelled and Invite returns once the far side
// has said so, at the latest after 64*T1. Where a host has several addresses,
// silence, a 5xx and a transport error make it try the next one.
func (a *Agent) Invite(ctx context.Context, inv Invite) (*Dialog, error) {
	if inv.Media == nil {
		return nil, &Failure{Kind: Internal, Err: errors.New("no media")}
	}
	if a.isClosing() || !a.enter() {
		return nil, &Failure{Kind: Internal, Err: ErrClosed}
	}
	defer a.leave()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(a.base, func() { cancel(ErrClosed) })()

	p, f := a.plan(ctx, inv)
	if f != nil {
		return nil, f
	}
	release := func() {}
	if p.trunk != nil {
		if release, f = p.trunk.begin(ctx, inv.Turn); f != nil {
			return nil, f
		}
	}
	d, f := a.call(ctx, p)
	if f != nil {
		release()
		return nil, f
	}
	d.seat(release)
	return d, nil
}

// call tries the addresses of the plan.
func (a *Agent) call(ctx context.Context, p *plan) (*Dialog, *Failure) {
	offer, err := p.inv.Media.CreateOffer()
	if err != nil {
		return nil, &Failure{Kind: BadMedia, Err: err}
	}
	var f *Failure
	for i, dest := range p.dests {
		var d *Dialog
		if d, f = a.newOutgoing(p, dest, offer).run(ctx); f != nil && f.stale {
			d, f = a.newOutgoing(p, dest, offer).run(ctx) // on a connection of its own
		}
		p.hop.learn(dest, f)
		if f == nil {
			return d, nil
		}
		if !f.next() || i == len(p.dests)-1 {
			break
		}
		a.log.Info("sip: next address", "target", p.inv.Target.Trunk+p.inv.Target.Extension, "failed", dest, "why", f.Kind, "status", f.Status)
	}
	return nil, f
}

// next reports whether another address of the same host may do better.
func (f *Failure) next() bool {
	switch f.Kind {
	case NoResponse, Transport:
		return f.Rang == 0
	case Rejected:
		return f.Status >= 500 && f.Status < 600 && f.Rang == 0
	}
	return false
}

// learn notes what a request to one address of the host came to: silence, a
// broken connection and 503 put it behind the others for a while, the latter
// for as long as it asks (RFC 3261 21.5.4, RFC 3263 4.3).
func (e *endpoint) learn(dest netip.AddrPort, f *Failure) {
	switch {
	case f == nil:
		e.works(dest)
	case f.Kind == NoResponse, f.Kind == Transport, f.Kind == Rejected && f.Status == sipmsg.StatusServiceUnavailable:
		e.rest(dest, f.RetryAfter)
	case f.Kind == Rejected, f.Kind == RingTimeout:
		e.works(dest)
	}
}

// plan is what all attempts of one Invite have in common.
type plan struct {
	inv    Invite
	hop    *endpoint
	dests  []netip.AddrPort
	target string // Request-URI
	user   string // of From and Contact
	domain string // of From; empty: our own address
	trunk  *trunk // nil: an extension
	// binding is the registered phone that is called; nil: none is.
	binding *Binding
}

func (a *Agent) plan(ctx context.Context, inv Invite) (*plan, *Failure) {
	p := &plan{inv: inv, user: escapeUser(inv.FromUser)}
	var hop *endpoint
	var uri sipmsg.Uri
	if inv.Target.Extension != "" {
		phone, f := a.phoneOf(inv.Target)
		if f != nil {
			return nil, f
		}
		hop, uri, p.binding = phone.hop, phone.uri, phone.binding
	} else if p.trunk = a.peers.trunk(inv.Target.Trunk); p.trunk != nil {
		hop = p.trunk.hop()
		uri = sipmsg.Uri{Scheme: "sip", User: escapeUser(inv.User)}
		uri.Host, uri.Port = p.trunk.domain()
	}
	var f *Failure
	p.hop = hop
	if p.dests, f = a.reach(ctx, hop, inv.Target); f != nil {
		return nil, f
	}
	if t := p.trunk; t != nil {
		p.user = escapeUser(t.caller(&p.inv))
		if t.Username != "" || t.Domain != "" {
			p.domain = hostPort(t.domain())
		}
		if p.inv.Silence == 0 {
			p.inv.Silence = t.Try
		}
	}
	if p.user == "" {
		p.user = "anonymous"
	}
	if p.inv.Silence <= 0 {
		p.inv.Silence = defaultSilence
	}
	if p.inv.FirstRing <= 0 {
		p.inv.FirstRing = defaultFirstRing
	}
	if p.inv.Ring <= 0 {
		p.inv.Ring = defaultRing
	}
	p.target = uri.String()
	return p, nil
}

// reach returns the addresses of a target's host; nil is that of an unknown
// one.
func (a *Agent) reach(ctx context.Context, hop *endpoint, t Target) ([]netip.AddrPort, *Failure) {
	if hop == nil {
		return nil, &Failure{Kind: Unresolved, Destination: t.Trunk + t.Extension, Err: ErrUnknownTarget}
	}
	addrs, err := a.peers.resolve(ctx, hop)
	switch {
	case err == nil:
		return addrs, nil
	case ctx.Err() != nil:
		return nil, &Failure{Kind: Cancelled, Err: context.Cause(ctx)}
	}
	return nil, &Failure{Kind: Unresolved, Destination: hop.host, Err: err}
}

func hostPort(host string, port int) string {
	if port == 0 {
		return host
	}
	return net.JoinHostPort(host, strconv.Itoa(port))
}

// newOutgoing prepares the INVITE to one address: a Call-ID and a tag of its
// own, so that an answer of an address that was given up is told apart.
func (a *Agent) newOutgoing(p *plan, dest netip.AddrPort, offer []byte) *outgoing {
	from := a.stand(p.hop.transport, dest.Addr())
	if p.binding != nil {
		from = a.standpointOf(p.binding, dest.Addr())
	}
	domain := p.domain
	if domain == "" {
		domain = from.sentBy
	}
	contact := p.user
	if p.trunk != nil && p.trunk.Username != "" {
		contact = escapeUser(p.trunk.Username)
	}
	caller := "<sip:" + p.user + "@" + domain + ">"
	if name := quotable(p.inv.FromDisplay); name != "" {
		caller = `"` + name + `" ` + caller
	}
	tag, seq := newTag(), newCSeq()
	rec := DialogRecord{
		ID: tag, CallID: newTag(), LocalTag: tag,
		LocalURI: caller, RemoteURI: "<" + p.target + ">", Target: p.target,
		Contact:    from.contact(contact),
		InviteCSeq: seq, CSeq: seq, Destination: dest.String(),
		Role: RoleUAC, State: StateEarly, Ref: p.inv.Ref,
	}
	rec.from(from)
	o := &outgoing{a: a, plan: p, offer: offer, dest: dest, signal: make(chan struct{}, 1)}
	if p.trunk != nil {
		rec.Trunk = p.trunk.Name
	}
	o.login = a.login(rec.Trunk)
	a.belongs(rec.CallID, rec.Ref)
	o.identities = p.identities(domain)
	o.d = newDialog(a, rec, p.inv.Media, p.inv.OnInfo)
	o.d.out, o.d.offering, o.d.local = o, true, offer
	o.d.kin = kin{extension: p.inv.Target.Extension}
	if p.trunk != nil {
		o.d.kin.trunks = []string{p.trunk.Name}
	}
	return o
}

// login returns the credentials for a trunk; they may be empty.
func (a *Agent) login(name string) login {
	t := a.peers.trunk(name)
	if t == nil {
		return login{}
	}
	user := t.AuthUser
	if user == "" {
		user = t.Username
	}
	return login{user: user, password: t.Password}
}
