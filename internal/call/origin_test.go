package call

import (
	"testing"

	"perezvon/sip"
)

func TestRefusalsAreLoggedWithWhoCalled(t *testing.T) {
	for want, in := range map[string]*sip.Incoming{
		"extension=102": {Extension: "102"},
		"trunks=[a b]":  {Trunks: []string{"a", "b"}},
	} {
		if got := origin(in).String(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
