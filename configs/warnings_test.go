package configs

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWarningsNameWhatIsRiskyOrUnlikelyToBeMeant(t *testing.T) {
	const text = `
http: {listen: 0.0.0.0:8080, keys: [{name: site, key: short, scopes: [callback]}]}
sip: {listen: [udp://127.0.0.1:5060]}
limits: {destinations: ["*"]}
trunks:
  - {name: far, host: sip.example.net}
  - {name: near, host: "127.0.0.1:5090", format: raw}
  - {name: idle, host: localhost}
lines:
  - {id: a, number: "+74950000000", trunks: [far], route: [hangup: {code: 480}, hangup: {code: 486}]}
  - {id: b, number: "9*", trunks: [near], route: [forward: {trunk: near}]}
`
	cfg, err := Parse("perezvon.yaml", []byte(text), Sources{})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"http.keys[0].key: the key of site has fewer than 16 characters and can be guessed",
		"http.listen: keys and numbers travel unencrypted; put a proxy with TLS before the API",
		"limits.destinations: every country may be dialled at your cost",
		"sip.listen: trunk far cannot reach an address of this machine alone; listen on 0.0.0.0",
		"trunks[2]: no line uses trunk idle",
		"lines[0].route[0]: what follows a hangup is never reached",
		"lines[1].route[0].forward: a call goes back to trunk near, where it came from",
	}
	if diff := cmp.Diff(want, cfg.Warnings()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestDefaultsAreWarnedOfHavingNoLines(t *testing.T) {
	if diff := cmp.Diff([]string{"lines: there are none, so nobody can be called"}, Default().Warnings()); diff != "" {
		t.Error(diff)
	}
}
