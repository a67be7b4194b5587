package call

import (
	"fmt"
	"testing"

	"perezvon/sip"
)

func TestRefusalsAreLoggedWithWhoCalled(t *testing.T) {
	for want, in := range map[string]*sip.Incoming{
		"extension=102": {Extension: "102"},
		"trunks=[a b]":  {Trunks: []string{"a", "b"}},
	} {
		key, value := origin(in)
		if got := fmt.Sprintf("%s=%v", key, value); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
