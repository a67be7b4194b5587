package api

import (
	"slices"
	"strings"
	"testing"
	"time"

	"perezvon/configs"
)

func TestTrunksShowHowTheyAre(t *testing.T) {
	at := time.Date(2027, 1, 11, 6, 0, 0, 0, time.UTC)
	states := fakeTrunks{
		"provider": {
			Up: true, Known: true, Registered: true, Expires: at.Add(time.Hour), RoundTrip: new(12500 * time.Microsecond),
			Since: at, Address: "192.0.2.10:5060", Transport: "tcp",
			Rests: at.Add(time.Minute), SeenAt: "198.51.100.7", Incoming: 1, Outgoing: 2,
		},
		"spare": {Known: true, Reason: "its host has no address; check trunks[].host", Since: at},
	}
	f := newFixture(t, testKeys(), func(o *Options) { o.Trunks = states })
	const (
		provider = `{"name":"provider","host":"sip.example.net","transport":"tcp","state":"up","register":true,"registered":true,"expires_at":"2027-01-11T10:00:00+03:00","round_trip_ms":12.5,"reason":null,"since":"2027-01-11T09:00:00+03:00","address":"192.0.2.10:5060","rests_until":"2027-01-11T09:01:00+03:00","seen_at":"198.51.100.7","incoming":1,"outgoing":2,"max_calls":3,"lines":["main"]}`
		spare    = `{"name":"spare","host":"192.0.2.1","transport":"","state":"down","register":false,"registered":false,"expires_at":null,"round_trip_ms":null,"reason":"its host has no address; check trunks[].host","since":"2027-01-11T09:00:00+03:00","address":null,"rests_until":null,"seen_at":null,"incoming":0,"outgoing":0,"max_calls":null,"lines":[]}`
	)
	for key, want := range map[string]string{
		"reader": `{"trunks":[` + provider + `,` + spare + `]}`,
		"two":    `{"trunks":[` + provider + `]}`, // spare is of none of its lines
	} {
		if a := f.do(t, "GET", "/api/v1/trunks", "", bearer(key)); strings.TrimSpace(a.body) != want {
			t.Errorf("%s sees %s", key, a.body)
		}
	}
}

func TestTrunksNobodyHasAskedAreUnknown(t *testing.T) {
	for name, states := range map[string]Trunks{"not asked": fakeTrunks{"provider": {Up: true}}, "not there": nil} {
		f := newFixture(t, nil, func(o *Options) { o.Trunks = states })
		list := decode[TrunkList](t, f.do(t, "GET", "/api/v1/trunks", "")).Trunks
		if len(list) != 2 || list[0].State != "unknown" || list[0].Transport != "udp" || list[0].Since != nil {
			t.Errorf("%s: %+v", name, list)
		}
	}
}

func TestTrunkThatALineOnlyForwardsToIsUsedByIt(t *testing.T) {
	f := newFixture(t, testKeys())
	cfg := *f.cfg()
	cfg.Lines = slices.Clone(cfg.Lines)
	for i := range cfg.Lines {
		if cfg.Lines[i].ID == "main" {
			cfg.Lines[i].Otherwise = []configs.Step{{Forward: &configs.ForwardStep{Trunk: "spare"}}}
		}
	}
	f.Reconfigure(&cfg)
	for _, key := range []string{"reader", "two"} {
		list := decode[TrunkList](t, f.do(t, "GET", "/api/v1/trunks", "", bearer(key))).Trunks
		if len(list) != 2 || list[1].Name != "spare" || !slices.Equal(list[1].Lines, []string{"main"}) {
			t.Errorf("%s sees %+v", key, list)
		}
	}
}
