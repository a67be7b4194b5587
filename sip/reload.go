package sip

import (
	"errors"
	"maps"
	"reflect"
	"slices"
)

// Reconfigure replaces the trunks and the extensions of a running agent. What is
// as it was is not touched: registrations, health and limits of trunks go on,
// phones stay registered. Calls in progress stay, whatever becomes of their
// trunk. A trunk that has changed registers anew, with the Call-ID it had; one
// that is no more takes its registration back. Extensions that are no more, or
// have another password, lose their phones.
//
// An error leaves everything as it is. The slices are the agent's from here on.
func (a *Agent) Reconfigure(trunks []Trunk, extensions []Extension) error {
	a.reloading.Lock()
	defer a.reloading.Unlock()
	a.mu.Lock()
	running := a.running && !a.closing
	a.mu.Unlock()
	if !running {
		return errors.New("sip: reconfigure: not running")
	}
	next, err := a.peers.write(trunks, extensions)
	if err != nil {
		return err
	}
	was := a.peers.book.Load()
	next.keep(was)
	a.peers.book.Store(next)
	a.watchNames(next.without(was))
	for _, e := range was.without(next) {
		close(e.gone)
	}
	a.exchangeTrunks(was, next)
	a.peers.publish()
	for _, e := range was.extensions {
		if now := next.extension(e.Number); now == nil || now.HA1 != e.HA1 {
			a.change(func() ([]change, error) { return a.peers.phones.expel(e.Number), nil })
		}
	}
	return nil
}

// exchangeTrunks ends what goes on for trunks that are no more and begins what
// has to for those that are new.
func (a *Agent) exchangeTrunks(was, next *book) {
	for _, t := range was.trunks {
		if next.trunk(t.Name) == t {
			continue
		}
		if heir := next.trunk(t.Name); heir != nil {
			t.heir.Store(t.sameAccount(heir))
		}
		t.end()
	}
	for _, t := range next.trunks {
		if before := was.trunk(t.Name); before != t {
			a.watchTrunk(t, a.registrationOf(before))
		}
	}
}

// registrationOf returns what keeps a trunk registered, nil where nothing does.
// Those that have ended are forgotten.
func (a *Agent) registrationOf(t *trunk) (found *registration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.registrations = slices.DeleteFunc(a.registrations, func(r *registration) bool {
		if r.t == t {
			found = r
			return false
		}
		select {
		case <-r.done:
			return true
		default:
			return false
		}
	})
	return found
}

// watchNames keeps names looked up.
func (a *Agent) watchNames(endpoints []*endpoint) {
	for _, e := range endpoints {
		if !e.literal() {
			a.spawn(func() { a.keepResolved(e) })
		}
	}
}

// keep puts what has not changed in the place of what was read anew, and gives
// trunks that have what they go on with.
func (b *book) keep(was *book) {
	for i, t := range b.trunks {
		before := was.trunk(t.Name)
		switch {
		case before == nil:
		case before.same(&t.Trunk):
			b.trunks[i] = before
			t.end()
		default:
			t.load = before.load
			t.load.limit(t.MaxCalls, t.CPS)
			if t.Host == before.Host && t.Proxy == before.Proxy {
				t.mirror = before.mirror
			}
			t.host.keep(before.endpoints())
			if t.proxy != nil {
				t.proxy.keep(before.endpoints())
			}
		}
	}
	for i, e := range b.extensions {
		switch before := was.extension(e.Number); {
		case before == nil:
		case before.Extension == e.Extension:
			b.extensions[i] = before
		case e.hop != nil && before.hop != nil:
			e.hop.keep([]*endpoint{before.hop})
		}
	}
	b.index()
}

// keep takes what is known of the same host: it is spoken to while it is looked
// up anew, also where the DNS does not answer.
func (e *endpoint) keep(was []*endpoint) {
	for _, before := range was {
		if before.host != e.host || before.port != e.port || before.transport != e.transport {
			continue
		}
		before.mu.Lock()
		targets, trouble, rests := before.targets, before.trouble, maps.Clone(before.rests)
		before.mu.Unlock()
		e.mu.Lock()
		e.targets, e.trouble, e.rests = targets, trouble, rests
		e.mu.Unlock()
		return
	}
}

// same reports whether a trunk is configured as it was.
func (t *trunk) same(as *Trunk) bool {
	return reflect.DeepEqual(plainly(&t.Trunk), plainly(as)) && sameTLS(t.TLS, as.TLS)
}

func plainly(t *Trunk) Trunk {
	b := *t
	b.TLS = nil
	return b
}

// sameAccount reports whether what t has registered is what another trunk
// registers: the same binding at the same place.
func (t *trunk) sameAccount(as *trunk) bool {
	return as.Register && t.token == as.token && t.Host == as.Host && t.Proxy == as.Proxy && t.Transport == as.Transport &&
		t.Domain == as.Domain && t.Username == as.Username && t.AuthUser == as.AuthUser && t.Password == as.Password
}

func (b *book) trunk(name string) *trunk { return b.byName[name] }

func (b *book) extension(number string) *extension { return b.byNumber[number] }

// secret is what an extension's password is compared with.
func (b *book) secret(number string) HA1 {
	if e := b.extension(number); e != nil {
		return e.HA1
	}
	return HA1{}
}

// without are the hosts of a book that another does not have.
func (b *book) without(other *book) (all []*endpoint) {
	for _, t := range b.trunks {
		if other.trunk(t.Name) != t {
			all = append(all, t.endpoints()...)
		}
	}
	for _, e := range b.extensions {
		if e.hop != nil && other.extension(e.Number) != e {
			all = append(all, e.hop)
		}
	}
	return all
}
