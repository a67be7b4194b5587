package sip

import (
	"time"
)

// change makes a change of the bindings known in the order in which such
// changes are made: to the store, to the log and to OnBinding. It waits for
// neither. It returns what became of the bindings.
func (a *Agent) change(f func() ([]change, error)) []change {
	all, _, _ := a.changed(f)
	return all
}

func (a *Agent) changed(f func() ([]change, error)) (all []change, commits []commitFunc, err error) {
	a.registering.Lock()
	defer a.registering.Unlock()
	if all, err = f(); err != nil {
		return nil, nil, err
	}
	for _, c := range all {
		if store := a.cfg.Bindings; store != nil {
			if c.since != nil {
				commits = append(commits, store.SaveBinding(c.now))
			} else {
				commits = append(commits, store.DeleteBinding(c.now.ID))
			}
		}
		if c.fresh {
			a.spawn(func() { a.attend(c.since) })
		}
		c.at = time.Now()
		a.phoneNews.add(c)
	}
	return all, commits, nil
}

// tellPhones tells of phones that register and leave, until the agent closes.
func (a *Agent) tellPhones() {
	for {
		select {
		case <-a.base.Done():
			return
		case <-a.phoneNews.wake:
		}
		for _, c := range a.phoneNews.take() {
			a.tellPhone(&c)
		}
	}
}

func (a *Agent) tellPhone(c *change) {
	b := &c.now
	switch {
	case c.since == nil:
		a.log.Info("sip: phone is no longer registered", "extension", b.Extension, "address", b.Address, "why", c.why)
	case c.fresh:
		a.log.Info("sip: phone is registered", "extension", b.Extension, "address", b.Address, "transport", b.Transport, "user_agent", b.UserAgent)
	case c.moved.IsValid():
		a.log.Info("sip: phone has another address", "extension", b.Extension, "address", b.Address, "before", c.moved)
	}
	if a.cfg.OnBinding != nil && (c.fresh || c.since == nil) {
		a.cfg.OnBinding(BindingEvent{Binding: *b, Registered: c.fresh, Reason: c.why, At: c.at})
	}
}
