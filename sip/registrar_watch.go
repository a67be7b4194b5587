package sip

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	sipmsg "github.com/emiago/sipgo/sip"
)

const (
	// keepAliveEvery is below the 30 s after which some NATs forget a way in.
	keepAliveEvery = 25 * time.Second
	qualifyEvery   = 30 * time.Second // at least; up to twice as long
	qualifySoon    = 2 * time.Second  // the first time, at most: not all in the same moment
	phonePatience  = 4 * time.Second  // for the response to an OPTIONS
)

// restoreBindings takes up the registrations of the last run. Those of
// extensions that are no more, or have no password any more, are forgotten.
func (a *Agent) restoreBindings(ctx context.Context) ([]*bound, error) {
	if a.cfg.Bindings == nil {
		return nil, nil
	}
	kept, err := a.cfg.Bindings.Bindings(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the registrations of phones: %w", err)
	}
	slices.SortFunc(kept, func(x, y Binding) int { return x.Since.Compare(y.Since) })
	now := time.Now()
	var restored []*bound
	for _, b := range kept {
		e := a.peers.extension(b.Extension)
		if e == nil || !e.registers() || !now.Before(b.Expires) || !b.Address.IsValid() {
			a.cfg.Bindings.DeleteBinding(b.ID)
			continue
		}
		restored = append(restored, a.peers.phones.restore(b))
	}
	return restored, nil
}

// watchPhones begins to look after registered phones.
func (a *Agent) watchPhones(restored []*bound) {
	a.spawn(a.tellPhones)
	for _, b := range restored {
		a.spawn(func() { a.attend(b) })
	}
	if len(restored) > 0 {
		a.log.Info("sip: phones are still registered", "count", len(restored))
	}
}

// attend looks after a registered phone until it is one no more: keeps the way
// to it open, asks whether it is there, and ends its registration in time.
func (a *Agent) attend(b *bound) {
	end := time.NewTimer(time.Until(a.peers.phones.read(b).Expires))
	defer end.Stop()
	ask := time.NewTimer(upTo(qualifySoon))
	defer ask.Stop()
	open := time.NewTicker(keepAliveEvery)
	defer open.Stop()
	for {
		select {
		case <-a.base.Done():
			return
		case <-b.gone:
			return
		case <-b.renewed:
			end.Reset(time.Until(a.peers.phones.read(b).Expires))
		case <-open.C:
			a.keepAlive(b)
		case <-ask.C:
			ask.Reset(a.qualify(b))
		case now := <-end.C:
			ended := a.change(func() ([]change, error) {
				c, over := a.peers.phones.expire(b, now)
				if !over {
					return nil, nil
				}
				return []change{c}, nil
			})
			if ended == nil {
				end.Reset(time.Until(a.peers.phones.read(b).Expires))
			}
		}
	}
}

// keepAlive sends a CRLF over UDP (RFC 5626 section 4.4.1): it keeps the NAT in
// front of the phone open, which may forget it after 30 s.
func (a *Agent) keepAlive(b *bound) {
	now := a.peers.phones.read(b)
	if now.Transport != transportUDP {
		return
	}
	here := a.standpointOf(&now, now.Address.Addr())
	if i := slices.IndexFunc(a.listeners, func(l *listener) bool { return l.local.String() == here.listener }); i >= 0 {
		_, _ = a.listeners[i].write([]byte("\r\n\r\n"), now.Address) // the next one may get through
	}
}

// qualify asks a phone with OPTIONS whether it is there, and says when to ask
// again. Any response is a sign of life.
func (a *Agent) qualify(b *bound) (again time.Duration) {
	again = qualifyEvery + upTo(qualifyEvery)
	now := a.peers.phones.read(b)
	ways := a.waysTo(&now)
	if len(ways) == 0 || time.Until(now.Expires) < phonePatience {
		return again // its next REGISTER brings it back, or it is about to leave
	}
	req, err := a.phoneOptions(&now, ways[0])
	if err != nil {
		return again
	}
	began := time.Now()
	_, f := a.exchange(a.base, req, phonePatience)
	if f == nil {
		if a.peers.phones.answered(b, time.Since(began)) {
			a.log.Info("sip: phone answers again", "extension", now.Extension, "address", now.Address)
		}
		return again
	}
	if a.base.Err() != nil {
		return again
	}
	f.away = !a.connected(&now)
	misses, lost := a.peers.phones.missed(b)
	if lost {
		a.log.Info("sip: phone does not answer", "extension", now.Extension, "address", now.Address, "transport", now.Transport,
			"why", f.Error(), "registered_for", time.Until(now.Expires).Round(time.Second).String())
	}
	if misses < maxMisses {
		return askAgain
	}
	return again
}

func (a *Agent) phoneOptions(b *Binding, to netip.AddrPort) (*sipmsg.Request, error) {
	here := a.standpointOf(b, to.Addr())
	rec := DialogRecord{
		CallID: newTag(), LocalTag: newTag(), LocalURI: "<sip:" + here.sentBy + ">",
		RemoteURI: "<" + b.Contact + ">", Target: b.Contact, Destination: to.String(),
	}
	rec.from(here)
	req, err := a.request(&rec, sipmsg.OPTIONS, newCSeq(), newBranch())
	if err != nil {
		return nil, err
	}
	req.AppendHeader(sipmsg.NewHeader("Contact", here.contact("")))
	req.AppendHeader(sipmsg.NewHeader("Accept", sdpType))
	return req, nil
}

// standpointOf is how we appear to a phone: over UDP at the socket that it
// registered at, since a NAT may let nothing else in.
func (a *Agent) standpointOf(b *Binding, to netip.Addr) standpoint {
	here := a.stand(b.Transport, to)
	if b.Transport != transportUDP || b.Listener == here.listener {
		return here
	}
	for _, l := range a.listeners {
		if l.local.String() == b.Listener {
			_, facing := socketFor([]netip.AddrPort{l.local}, to)
			here.listener = b.Listener
			here.sentBy = netip.AddrPortFrom(a.advertised(to, facing), l.local.Port()).String()
		}
	}
	return here
}

// connected reports whether the connection is open that a phone registered by.
func (a *Agent) connected(b *Binding) bool {
	return b.Transport == transportUDP || a.streams.alive(b.Transport, b.Address)
}

// waysTo are the addresses at which a phone can be reached now: where it
// registered from, or its Contact where the connection has ended by which it
// did. One behind a NAT cannot be connected to.
func (a *Agent) waysTo(b *Binding) []netip.AddrPort {
	if a.connected(b) {
		return []netip.AddrPort{b.Address}
	}
	uri, err := parseURI(b.Contact)
	if err != nil {
		return nil
	}
	ip, err := netip.ParseAddr(uri.Host)
	ip = ip.Unmap()
	if err != nil || !ip.Is4() || ip.IsUnspecified() || ip.IsMulticast() || inside(ip) && ip != b.Address.Addr() {
		return nil
	}
	port := defaultPort(b.Transport)
	if uri.Port > 0 && uri.Port < 65536 {
		port = uint16(uri.Port)
	}
	return []netip.AddrPort{netip.AddrPortFrom(ip, port)}
}

// detour is where requests to an address go by a connection: where there is none
// any more, and a phone had made it, to where the phone is now.
func (a *Agent) detour(transport string, to netip.AddrPort) netip.AddrPort {
	b, ok := a.peers.phones.successor(transport, to)
	if !ok || a.streams.alive(transport, to) {
		return to
	}
	if ways := a.waysTo(&b); len(ways) > 0 {
		return ways[0]
	}
	return to
}

// phone is where an extension is called: at a binding, or at its fixed contact.
type phone struct {
	hop     *endpoint
	uri     sipmsg.Uri
	binding *Binding // nil: the fixed contact
}

// phoneOf returns where to call a target that is an extension.
func (a *Agent) phoneOf(t Target) (phone, *Failure) {
	e := a.peers.extension(t.Extension)
	if e == nil {
		return phone{}, &Failure{Kind: Unresolved, Destination: t.Extension, Err: ErrUnknownTarget}
	}
	away := false
	for _, b := range a.peers.phones.of(t.Extension, time.Now()) {
		if t.Binding != "" && t.Binding != b.ID {
			continue
		}
		ways := a.waysTo(&b)
		if len(ways) == 0 {
			away = true
			continue
		}
		uri, err := parseURI(b.Contact)
		if err != nil {
			continue // it was read before
		}
		hop, err := newEndpoint(ways[0].String(), b.Transport)
		if err != nil {
			continue
		}
		return phone{hop: hop, uri: uri, binding: &b}, nil
	}
	if e.hop == nil || t.Binding != "" {
		return phone{}, &Failure{Kind: NotRegistered, Destination: t.Extension, away: away}
	}
	return phone{hop: e.hop, uri: *e.uri.Clone()}, nil
}
