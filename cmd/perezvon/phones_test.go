package main

import (
	"context"
	"net"
	"net/netip"
	"path/filepath"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"perezvon/configs"
	"perezvon/internal/api"
	"perezvon/internal/store"
	"perezvon/internal/store/sqlite"
	"perezvon/sip"
)

func TestBindingsAreKeptInTheStore(t *testing.T) {
	db, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "perezvon.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rtt := time.Millisecond
	s, at := bindingStore{db}, time.Date(2027, 1, 11, 9, 0, 0, 0, time.UTC)
	b := sip.Binding{
		ID: "a", Extension: "101", Contact: "sip:101@192.168.1.20", Address: netip.MustParseAddrPort("198.51.100.7:41022"), Listener: "10.0.0.1:5060",
		Transport: "udp", Expires: at.Add(time.Hour), Since: at, UserAgent: "Desk", Instance: "<urn:uuid:1>", CallID: "c", CSeq: 7,
	}
	shown := b
	shown.RoundTrip, shown.Reachable, shown.Connected = &rtt, true, true
	if err := s.SaveBinding(shown)(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := db.SaveBinding(store.Binding{ID: "broken", Data: []byte(`{"id": 1}`)}).Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	got, err := s.Bindings(t.Context())
	if err != nil || len(got) != 1 || !reflect.DeepEqual(got[0], b) {
		t.Errorf("%v\n%+v\n%+v", err, got, b)
	}
	if err := s.DeleteBinding("a")(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, _ = s.Bindings(t.Context()); len(got) != 0 {
		t.Errorf("%+v", got)
	}
}

func TestPhonesThatComeAndGoAreEvents(t *testing.T) {
	at := time.Date(2027, 1, 11, 9, 0, 0, 0, time.UTC)
	e := sip.BindingEvent{Binding: sip.Binding{Extension: "101", Contact: "sip:101@h", Address: netip.MustParseAddrPort("192.0.2.1:5060"), Transport: "udp"}, Registered: true, At: at}
	for want, one := range map[string]sip.BindingEvent{
		`extension.registered {"extension":"101","contact":"sip:101@h","address":"192.0.2.1:5060","transport":"udp"}`:                      e,
		`extension.unregistered {"extension":"101","contact":"sip:101@h","address":"192.0.2.1:5060","transport":"udp","reason":"expired"}`: {Binding: e.Binding, Reason: sip.ReasonExpired, At: at},
	} {
		if got := bindingEvent(&one); got.Type+" "+string(got.Data) != want || !got.At.Equal(at) {
			t.Errorf("%s %s", got.Type, got.Data)
		}
	}
}

func TestSignallingSeesNoPassword(t *testing.T) {
	got := sipExtension(&configs.Extension{Number: "101", Password: configs.NewSecret("secret"), Digest: "both"})
	if got.HA1 != sip.MakeHA1("101", "perezvon", "secret") || got.Digest != sip.DigestBoth {
		t.Errorf("%+v", got)
	}
	if fixed := sipExtension(&configs.Extension{Number: "102", Contact: "sip:102@192.0.2.1:5060", Digest: "md5"}); !fixed.HA1.IsZero() {
		t.Errorf("%+v", fixed)
	}
}

func TestExtensionsAreShownPhoneByPhone(t *testing.T) {
	now, rtt := time.Date(2027, 1, 11, 9, 0, 0, 0, time.UTC), 12.4
	got := extensionRows(&api.Extension{Number: "101", Name: "Anna", Mobile: "+79160000001", Registers: true, Phones: []api.Phone{
		{Address: "198.51.100.7:41022", Transport: "udp", UserAgent: "Desk", ExpiresAt: now.Add(90 * time.Second), RoundTripMS: &rtt, Reachable: true, Connected: true},
		{Address: "198.51.100.7:41023", Transport: "tcp", ExpiresAt: now.Add(-time.Second), Connected: true},
		{Address: "198.51.100.7:41024", Transport: "tls", ExpiresAt: now.Add(time.Minute), Reachable: true},
		{Address: "198.51.100.7:41025", Transport: "tls", ExpiresAt: now.Add(time.Minute)},
	}}, now)
	got = append(got, extensionRows(&api.Extension{Number: "102", Registers: true}, now)...)
	got = append(got, extensionRows(&api.Extension{Number: "103", Contact: "sip:103@192.0.2.1:5060"}, now)...)
	got = append(got, extensionRows(&api.Extension{Number: "104", DND: true}, now)...)
	got = append(got, extensionRows(&api.Extension{Number: "105", DND: true, Phones: []api.Phone{{Address: "192.0.2.5:5060", Transport: "udp", ExpiresAt: now, Reachable: true, Connected: true}}}, now)...)
	want := [][]string{
		{"101", "Anna", "registered", "198.51.100.7:41022", "udp", "for 1 min 30 s", "in 12 ms", "Desk", "+79160000001"},
		{"101", "Anna", "unreachable", "198.51.100.7:41023", "tcp", "for 0.0 s", "", "", "+79160000001"},
		{"101", "Anna", "registered, no connection", "198.51.100.7:41024", "tls", "for 1 min 00 s", "", "", "+79160000001"},
		{"101", "Anna", "registered, no connection", "198.51.100.7:41025", "tls", "for 1 min 00 s", "", "", "+79160000001"},
		{"102", "", "not registered", "", "", "", "", "", ""},
		{"103", "", "fixed", "sip:103@192.0.2.1:5060", "", "", "", "", ""},
		{"104", "", "not registered, do not disturb", "", "", "", "", "", ""},
		{"105", "", "registered, do not disturb", "192.0.2.5:5060", "udp", "for 0.0 s", "", "", ""},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%q", got)
	}
}

func TestALastFailureIsShownUntilAPhoneRegisters(t *testing.T) {
	now := time.Date(2027, 1, 11, 9, 0, 0, 0, time.UTC)
	e := &api.Extension{
		Number: "101", Phones: []api.Phone{{Since: now.Add(-time.Hour)}},
		LastFailure: &api.LoginFailure{At: now.Add(-90 * time.Second), Address: "198.51.100.7:41022", UserAgent: "Desk\x1b[2J", Reason: "wrong password for extension 101"},
	}
	want := "101: 1 min 30 s ago a phone at 198.51.100.7:41022 (Desk?[2J) was not let in: wrong password for extension 101"
	if got := lastFailure(e, now); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	e.Phones = append(e.Phones, api.Phone{Since: now.Add(-time.Minute)})
	if got := lastFailure(e, now); got != "" {
		t.Errorf("a phone has registered since: %q", got)
	}
	if got := lastFailure(&api.Extension{Number: "102"}, now); got != "" {
		t.Error(got)
	}
}

func TestExtensionsThatAReloadTakesAwayWhilePhonesAreCounted(t *testing.T) {
	socket, err := sip.ListenUDP(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	agent, err := sip.New(sip.Config{Listen: []net.PacketConn{socket}, Handle: func(context.Context, *sip.Incoming) {}})
	if err != nil {
		t.Fatal(err)
	}
	defer agent.Close(t.Context())
	s := &server{phones: agent}
	secret := configs.NewSecret("a-long-password")
	s.cfg.Store(&configs.Config{Extensions: []configs.Extension{{Number: "101", Password: secret}, {Number: "102", Password: secret}}})
	synctest.Test(t, func(t *testing.T) {
		found, n := make(chan prometheus.Metric), 0
		go func() {
			defer close(found)
			s.collectPhones(found)
		}()
		synctest.Wait() // the first one waits to be taken
		s.cfg.Store(&configs.Config{})
		for range found {
			n++
		}
		if n != 2 {
			t.Errorf("%d extensions are counted, want those of one configuration", n)
		}
	})
}
