package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"perezvon/configs"
	"perezvon/internal/api"
	"perezvon/internal/store"
	"perezvon/sip"
)

// sipExtension is what signalling takes of an extension. Of the password it
// takes no more than digest needs.
func sipExtension(e *configs.Extension) sip.Extension {
	out := sip.Extension{Number: e.Number, Contact: e.Contact, Digest: sip.Digest(e.Digest)}
	if !e.Password.IsZero() {
		out.HA1 = sip.MakeHA1(e.Number, sip.Realm, e.Password.Reveal())
	}
	return out
}

// bindingStore keeps the registrations of phones for signalling.
type bindingStore struct{ db engine }

var _ sip.BindingStore = bindingStore{}

// SaveBinding implements sip.BindingStore.
func (s bindingStore) SaveBinding(b sip.Binding) func(context.Context) error {
	data, err := json.Marshal(b)
	if err != nil {
		return func(context.Context) error { return fmt.Errorf("store binding: %w", err) }
	}
	return s.db.SaveBinding(store.Binding{ID: b.ID, Data: data}).Wait
}

// DeleteBinding implements sip.BindingStore.
func (s bindingStore) DeleteBinding(id string) func(context.Context) error {
	return s.db.DeleteBinding(id).Wait
}

// Bindings implements sip.BindingStore. What cannot be read is left out: the
// phone registers again before long.
func (s bindingStore) Bindings(ctx context.Context) ([]sip.Binding, error) {
	kept, err := s.db.Bindings(ctx)
	if err != nil {
		return nil, err
	}
	all := make([]sip.Binding, 0, len(kept))
	for _, k := range kept {
		var b sip.Binding
		if json.Unmarshal(k.Data, &b) == nil && b.ID == k.ID {
			all = append(all, b)
		}
	}
	return all, nil
}

// bindingData is the content of extension.registered and
// extension.unregistered.
type bindingData struct {
	Extension string `json:"extension"`
	Contact   string `json:"contact"`
	Address   string `json:"address"`
	Transport string `json:"transport"`
	UserAgent string `json:"user_agent,omitempty"`
	Reason    string `json:"reason,omitempty"`
}

// bindingEvent tells that a phone has registered, or is registered no more.
func bindingEvent(e *sip.BindingEvent) store.Event {
	kind := store.EventExtensionUnregistered
	if e.Registered {
		kind = store.EventExtensionRegistered
	}
	b := &e.Binding
	data, _ := json.Marshal(bindingData{b.Extension, b.Contact, b.Address.String(), b.Transport, b.UserAgent, e.Reason}) // strings always do
	return store.Event{Type: kind, At: e.At, Data: data}
}

// phonesView shows the API which phones are registered.
type phonesView struct{ agent *sip.Agent }

// Phones implements api.Phones.
func (v phonesView) Phones(extension string) []api.PhoneState {
	var out []api.PhoneState
	for _, b := range v.agent.Registered(extension) {
		out = append(out, api.PhoneState{
			Contact: b.Contact, Address: b.Address, Transport: b.Transport, UserAgent: b.UserAgent,
			Since: b.Since, Expires: b.Expires, RoundTrip: b.RoundTrip, Reachable: b.Reachable, Connected: b.Connected,
		})
	}
	return out
}

// LastFailure implements api.Phones.
func (v phonesView) LastFailure(extension string) *api.LoginFailure {
	f, ok := v.agent.LastFailure(extension)
	if !ok {
		return nil
	}
	return &api.LoginFailure{At: f.At, Address: f.Address.String(), UserAgent: f.UserAgent, Reason: f.Reason}
}

var descExtensionPhones = prometheus.NewDesc("perezvon_extension_phones",
	"How many phones are registered as the extension; only extensions with a password.", []string{"extension"}, nil)

// collectPhones counts the registered phones of every extension that has a
// password.
func (s *server) collectPhones(ch chan<- prometheus.Metric) {
	extensions := s.cfg.Load().Extensions // a reload may replace them at any moment
	for i := range extensions {
		if e := &extensions[i]; !e.Password.IsZero() {
			ch <- prometheus.MustNewConstMetric(descExtensionPhones, prometheus.GaugeValue, float64(len(s.phones.Registered(e.Number))), e.Number)
		}
	}
}
