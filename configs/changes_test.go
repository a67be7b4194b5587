package configs

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestChangesNameWhatCanBeTakenUpAndWhatNeedsAStart(t *testing.T) {
	base := `
trunks: [{name: a, host: 192.0.2.1}, {name: b, host: 192.0.2.2}]
lines: [{id: main, number: "+74950000000", trunks: [a], route: [{extension: {number: "101"}}]}]
extensions: [{number: "101", contact: "sip:101@192.0.2.9:5060"}]
http: {keys: [{name: k, key: "0123456789abcdef0123", scopes: [admin]}]}
`
	for name, c := range map[string]struct {
		old, by          string
		changed, restart []string
	}{
		"nothing":           {"host: 192.0.2.1", "host: 192.0.2.1", nil, nil},
		"a trunk":           {"host: 192.0.2.1", "host: 192.0.2.7", []string{"trunks[a]"}, nil},
		"a trunk more":      {"{name: b, host: 192.0.2.2}", "{name: b, host: 192.0.2.2}, {name: c, host: 192.0.2.3}", []string{"trunks[c]"}, nil},
		"a trunk less":      {", {name: b, host: 192.0.2.2}", "", []string{"trunks[b]"}, nil},
		"the order":         {"{name: a, host: 192.0.2.1}, {name: b, host: 192.0.2.2}", "{name: b, host: 192.0.2.2}, {name: a, host: 192.0.2.1}", []string{"trunks"}, nil},
		"a line":            {"+74950000000", "+74950000001", []string{"lines[main]"}, nil},
		"a key":             {"scopes: [admin]", "scopes: [read]", []string{"http.keys"}, nil},
		"a secret":          {"0123456789abcdef0123", "0123456789abcdef9999", []string{"http.keys"}, nil},
		"where we listen":   {"http: {", "http: {listen: 127.0.0.1:9999, ", nil, []string{"http.listen"}},
		"where we are seen": {"http: {", "http: {public_url: \"https://pbx.example.com\", ", nil, []string{"http.public_url"}},
		"callback and port": {"http:", "callback: {ring: 11s}\nmedia: {ports: 30000-30099}\nhttp:", []string{"callback"}, []string{"media"}},
	} {
		t.Run(name, func(t *testing.T) {
			if !strings.Contains(base, c.old) {
				t.Fatalf("no %q", c.old)
			}
			was, err := Parse("a.yaml", []byte(base), Sources{})
			if err != nil {
				t.Fatal(err)
			}
			next, err := Parse("a.yaml", []byte(strings.Replace(base, c.old, c.by, 1)), Sources{})
			if err != nil {
				t.Fatal(err)
			}
			changed, restart := Changes(was, next)
			if !slices.Equal(changed, c.changed) || !slices.Equal(restart, c.restart) {
				t.Errorf("changed %q, needs a start %q; want %q and %q", changed, restart, c.changed, c.restart)
			}
		})
	}
}

func TestEverySectionIsLiveOrNeedsAStart(t *testing.T) {
	if n := reflect.TypeFor[HTTP]().NumField(); n != 3 {
		t.Errorf("http has %d keys; those that are no keys of clients need a start", n)
	}
	was, next := Default(), Default()
	next.Drain += time.Second
	next.SIP.PublicIP = "192.0.2.1"
	if changed, restart := Changes(was, next); !slices.Equal(changed, []string{"drain"}) || !slices.Equal(restart, []string{"sip"}) {
		t.Errorf("changed %q, needs a start %q", changed, restart)
	}
}
