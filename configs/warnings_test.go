package configs

import (
	"fmt"
	"strings"
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
  - {name: idle, host: "localhost:5090"}
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

func TestKeysOfSoundThatTravelReadableAreWarnedOf(t *testing.T) {
	const text = `
trunks:
  - {name: a, host: sip.example.net, srtp: off}
  - {name: b, host: sip.example.net, srtp: preferred}
  - {name: c, host: sip.example.net, transport: tls, srtp: mandatory}
lines: [{id: a, number: "+74950000000", trunks: [a, b, c], route: [hangup: {code: 480}]}]
extensions:
  - {number: "201", password: a-long-password}
  - {number: "202", password: a-long-password, srtp: preferred}
  - {number: "203", contact: "sip:203@192.0.2.23:5060", srtp: mandatory}
  - {number: "204", contact: "sip:204@192.0.2.24:5061;transport=tls", srtp: mandatory}
`
	cfg, err := Parse("perezvon.yaml", []byte(text), Sources{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, w := range cfg.Warnings() {
		if strings.Contains(w, "sound") {
			got = append(got, w)
		}
	}
	want := []string{
		"trunks[1].srtp: the keys of encrypted sound travel readable over udp; with transport: tls they do not",
		"extensions[1].srtp: the keys of encrypted sound travel readable over udp and tcp; let the phones of extension 202 register over tls",
		"extensions[2].srtp: the keys of encrypted sound travel readable to the contact of extension 203; where it ends in ;transport=tls they do not",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestTrunksAndHoursThatCannotDoWhatTheySayAreWarnedOf(t *testing.T) {
	const text = `
sip: {listen: [udp://0.0.0.0:5060%s]}
trunks:
  - {name: open, host: sip.example.net, register: true, username: u}
  - {name: deaf, host: sip.example.net, transport: tcp}
  - {name: fine, host: sip.example.net, transport: tcp, register: true, username: u, password: p}
lines:
  - id: a
    number: "+74950000000"
    trunks: [open, fine]
    route: [hangup: {code: 480}]
    otherwise: [hangup: {code: 480}, forward: {trunk: deaf}]
extensions: [{number: "101", contact: "sip:101@192.0.2.21:5060"}, {number: "102", contact: "sip:102@192.0.2.22:5060"}]
outgoing:
  - {prefix: "9", extensions: ["101"]}
  - {prefix: "98", extensions: ["101", "102"]}
  - {prefix: "97", extensions: ["101"]}
`
	want := []string{
		"trunks[0].register: trunk open has no password; most providers refuse to register without one",
		"trunks[1].transport: trunk deaf can only be called; for calls from it add tcp://0.0.0.0:5060 to sip.listen",
		"lines[0].otherwise[0]: what follows a hangup is never reached",
		"lines[0].otherwise: never used, for the line has no hours and is always open",
		"outgoing[2]: never used, for outgoing[0] takes all that it is for",
	}
	for listen, want := range map[string][]string{"": want, ", tcp://0.0.0.0:5060": append(want[:1:1], want[2:]...)} {
		cfg, err := Parse("perezvon.yaml", fmt.Appendf(nil, text, listen), Sources{})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, cfg.Warnings()); diff != "" {
			t.Errorf("%q (-want +got):\n%s", listen, diff)
		}
	}
}

func TestSecretsThatNameAVariableAreWarnedOf(t *testing.T) {
	t.Setenv("PEREZVON_TEST_KEY", "a-key-that-is-long-enough")
	const text = `
http:
  keys:
    - {name: a, key: "$SITE_KEY", scopes: [callback]}
    - {name: b, key: "env:PEREZVON_TEST_KEY", scopes: [callback]}
    - {name: c, key: "$2y$10$not-a-variable", scopes: [callback]}
trunks:
  - {name: p, host: sip.example.net, username: u, password: $PROVIDER_PASSWORD}
lines:
  - {id: a, number: "+74950000000", trunks: [p], route: [hangup: {code: 480}]}
`
	cfg, err := Parse("perezvon.yaml", []byte(text), Sources{})
	if err != nil {
		t.Fatal(err)
	}
	const why = ": the secret reads like a variable of a shell, which is not replaced here; write env:NAME"
	if diff := cmp.Diff([]string{"http.keys[0].key" + why, "trunks[0].password" + why}, cfg.Warnings()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestTrunkAtOurOwnAddressIsWarnedOf(t *testing.T) {
	for _, tc := range []struct {
		listen, public, trunk string
		own                   bool
	}{
		{"udp://0.0.0.0:5060", "auto", "host: 127.0.0.1", true},
		{"udp://0.0.0.0:5060", "auto", `host: "localhost:5060"`, true},
		{"udp://0.0.0.0:5060", "auto", `host: "127.0.0.1:5070"`, false},
		{"udp://0.0.0.0:5060", "192.0.2.1", "host: 192.0.2.1", true},
		{"udp://192.0.2.1:5070", "auto", `host: "192.0.2.1:5070"`, true},
		{"udp://192.0.2.1:5070", "auto", "host: 192.0.2.1", false},
		{"udp://192.0.2.1:5060", "auto", "host: 127.0.0.1", false},
		{"udp://127.0.0.1:5060", "auto", "host: 127.0.0.2", false},
		{"udp://0.0.0.0:5060", "auto", "host: sip.example.net, proxy: 127.0.0.1", true},
		{"udp://0.0.0.0:5060", "auto", "host: 127.0.0.1, transport: tcp", false},
	} {
		text := "sip: {listen: [\"" + tc.listen + "\"], public_ip: " + tc.public + "}\ntrunks: [{name: p, " + tc.trunk + "}]\n"
		cfg, err := Parse("perezvon.yaml", []byte(text), Sources{})
		if err != nil {
			t.Fatal(err)
		}
		told := strings.Contains(strings.Join(cfg.Warnings(), "\n"), "is where Perezvon itself listens")
		if told != tc.own {
			t.Errorf("%s, public %s, %s: told %v", tc.listen, tc.public, tc.trunk, told)
		}
	}
}

func TestDefaultsAreWarnedOfHavingNoLines(t *testing.T) {
	if diff := cmp.Diff([]string{"lines: there are none, so nobody can be called"}, Default().Warnings()); diff != "" {
		t.Error(diff)
	}
}
