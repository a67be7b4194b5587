package sip

import (
	"fmt"
	"strings"
	"testing"

	sipmsg "github.com/emiago/sipgo/sip"
)

// inviteWith is an INVITE off the wire, with these header lines.
func inviteWith(t testing.TB, from string, lines ...string) *sipmsg.Request {
	t.Helper()
	raw := "INVITE sip:trunk-user@10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.9;branch=z9hG4bKx\r\nFrom: " + from + ";tag=a\r\n" +
		"To: \"Sales\" <sip:+74950000000@provider>\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\nMax-Forwards: 70\r\n" +
		strings.Join(append(lines, "Content-Length: 0"), "\r\n") + "\r\n\r\n"
	m, err := sipmsg.ParseMessage([]byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	canonicalise(m)
	return m.(*sipmsg.Request)
}

func TestCallerIsReadFromWhereTheTrunkHasIt(t *testing.T) {
	const from = `"Anna" <sip:account@provider>`
	pai := []string{`P-Asserted-Identity: "Anna \"A\" <B>" <sip:+79160000000;phone-context=x@provider;user=phone>, <tel:+79160000001>`}
	tests := []struct {
		name  string
		place Place
		from  string
		lines []string
		want  string // number and name
	}{
		{"From", InFrom, from, pai, "account/Anna"},
		{"nothing said is From", "", from, pai, "account/Anna"},
		{"P-Asserted-Identity", InAsserted, from, pai, `+79160000000/Anna "A" <B>`},
		{"a tel URI", InAsserted, from, []string{"P-Asserted-Identity: <tel:+7-916-000-00-01;ext=2>"}, "+79160000001/"},
		{"without brackets", InAsserted, from, []string{"P-Asserted-Identity: sip:79160000000@provider;x=y"}, "79160000000/"},
		{"the first that has a number", InAsserted, from, []string{"P-Asserted-Identity: <sip:provider>", "P-Asserted-Identity: <tel:5>"}, "5/"},
		{"no such header is From", InAsserted, from, nil, "account/Anna"},
		{"nothing readable is From", InAsserted, from, []string{"P-Asserted-Identity: <sip:5@provider", "P-Asserted-Identity: rubbish"}, "account/Anna"},
		{"Remote-Party-ID", InRemoteParty, from, []string{
			"Remote-Party-ID: <sip:9@h>;party=called", `Remote-Party-ID: "B" <sip:79160000000@h>;party=CALLING;privacy=off`,
		}, "79160000000/B"},
		{"Remote-Party-ID without a party", InRemoteParty, from, []string{"remote-party-id: <sip:5@h>"}, "5/"},
		{"privacy of Remote-Party-ID", InRemoteParty, from, []string{"Remote-Party-ID: <sip:5@h>;party=calling;privacy=full"}, "/"},
		{"privacy of the name alone", InRemoteParty, from, []string{"Remote-Party-ID: <sip:5@h>;privacy=name"}, "5/"},
		{"Privacy: id", InAsserted, from, append(pai, "Privacy: id"), "/"},
		{"Privacy among others", InFrom, from, []string{"Privacy: header;critical ; User"}, "/"},
		{"Privacy: none", InAsserted, from, append(pai, "Privacy: none"), `+79160000000/Anna "A" <B>`},
		{"anonymous From", InFrom, `"Anonymous" <sip:anonymous@anonymous.invalid>`, nil, "/"},
		{"Anonymous in capitals", InFrom, `<sip:Anonymous@provider:5060>`, nil, "/"},
		{"a number of nowhere", InFrom, `<sip:5@unknown.INVALID:5060>`, nil, "/"},
		{"anonymous From, asserted number", InAsserted, "<sip:anonymous@anonymous.invalid>", pai, `+79160000000/Anna "A" <B>`},
		{"asserted nobody", InAsserted, from, []string{"P-Asserted-Identity: <sip:unavailable@provider>"}, "/"},
		{"no user", InFrom, "<sip:provider>", nil, "/"},
	}
	for _, tt := range tests {
		number, name := callerIn(inviteWith(t, tt.from, tt.lines...), tt.place)
		if got := number + "/" + name; got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

func TestDialledNumberIsReadFromWhereTheTrunkHasIt(t *testing.T) {
	diverted := []string{"Diversion: <sip:74951111111@h>;reason=unconditional, <sip:74952222222@h>", "Diversion: <tel:3>"}
	tests := []struct {
		place Place
		lines []string
		want  string
	}{
		{"", diverted, "trunk-user"},
		{InRequestURI, diverted, "trunk-user"},
		{InTo, diverted, "+74950000000"},
		{InDiversion, diverted, "74951111111"}, // who passed it on last
		{InDiversion, []string{"Diversion: <sip:h>;reason=unknown"}, "trunk-user"},
		{InDiversion, nil, "trunk-user"},
	}
	for _, tt := range tests {
		if got := calledIn(inviteWith(t, "<sip:1@h>", tt.lines...), tt.place); got != tt.want {
			t.Errorf("%s of %q: %s, want %s", tt.place, tt.lines, got, tt.want)
		}
	}
}

func TestTrunkIsShownWhoCallsWhereItLooks(t *testing.T) {
	account := func(places ...Place) Trunk {
		return Trunk{Name: "carrier", Host: carrierAddr, Username: "acc", Domain: "provider.example", CallerIDOut: places}
	}
	own := Invite{FromUser: "74950000000", FromDisplay: `Office "1"`}
	passed, hidden := own, own
	passed.PassedOn, passed.Original = true, "79160000000"
	hidden.PassedOn = true
	const (
		from    = `From: "Office \"1\"" <sip:74950000000@provider.example>`
		asAcc   = `From: "Office \"1\"" <sip:acc@provider.example>`
		line    = `"Office \"1\"" <sip:74950000000@provider.example>`
		caller  = `<sip:79160000000@provider.example>`
		screen  = ";party=calling;screen=yes;privacy=off"
		diverts = "Diversion: <sip:74950000000@provider.example>;reason=unconditional;counter=1"
	)
	tests := []struct {
		name  string
		trunk Trunk
		inv   Invite
		want  []string
	}{
		{"nothing said", account(), own, []string{from}},
		{"passed on, nothing said", account(), passed, []string{from}},
		{"an account in From", account(InAsserted), own, []string{asAcc, "P-Asserted-Identity: " + line}},
		{"Remote-Party-ID", account(InFrom, InRemoteParty), own, []string{from, "Remote-Party-ID: " + line + screen}},
		{"Diversion of what nobody passed on", account(InFrom, InDiversion), own, []string{from}},
		{"all, passed on", account(InFrom, InAsserted, InRemoteParty, InDiversion), passed, []string{
			from, "P-Asserted-Identity: " + caller, "Remote-Party-ID: " + caller + screen, diverts,
		}},
		{"passed on for somebody unknown", account(InAsserted, InDiversion), hidden, []string{asAcc, "P-Asserted-Identity: " + line, diverts}},
		{"no number", account(InAsserted), Invite{}, []string{"From: <sip:acc@provider.example>", "P-Asserted-Identity: <sip:acc@provider.example>"}},
		{"no account", Trunk{Name: "carrier", Host: carrierAddr, CallerIDOut: []Place{InAsserted}}, Invite{FromUser: "5"}, []string{
			"From: <sip:5@10.0.0.1:5060>", "P-Asserted-Identity: <sip:5@10.0.0.1:5060>",
		}},
		{"nobody at all", Trunk{Name: "carrier", Host: carrierAddr, CallerIDOut: []Place{InAsserted}}, Invite{}, []string{
			"From: <sip:anonymous@10.0.0.1:5060>",
		}},
	}
	for _, tt := range tests {
		inBubble(t, func(t *testing.T) {
			b := testAgent(t, func(c *Config) { c.Trunks[0] = tt.trunk })
			b.invite(t.Context(), tt.inv)
			req := b.carrier.expect("INVITE")
			var got []string
			for _, name := range []string{"From", "P-Asserted-Identity", "Remote-Party-ID", "Diversion"} {
				for _, v := range req.all(name) {
					got = append(got, strings.TrimSuffix(name+": "+v, ";tag="+req.tag("From")))
				}
			}
			if fmt.Sprint(got) != fmt.Sprint(tt.want) {
				t.Errorf("%s:\n%s\nwant\n%s", tt.name, strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
			}
		})
	}
}

func FuzzIdentities(f *testing.F) {
	for _, s := range []string{
		`"A\"<b>" <sip:5;x=y:pw@h;user=phone?X=Y>;party=calling`, "<tel:+7>, <sip:1@h>", "sip:a@b;privacy=\"full\"", `"`, "<", "<sip:>", "sips:%0d%0a@h",
	} {
		f.Add(s, "id;none")
	}
	f.Fuzz(func(t *testing.T, value, privacy string) {
		if strings.ContainsAny(value+privacy, "\r\n") {
			return
		}
		req := inviteWith(t, "<sip:from@h>")
		for _, name := range []string{"P-Asserted-Identity", "Remote-Party-ID", "Diversion"} {
			req.AppendHeader(sipmsg.NewHeader(name, value))
		}
		if privacy != "" {
			req.AppendHeader(sipmsg.NewHeader("Privacy", privacy))
		}
		for _, place := range []Place{InFrom, InAsserted, InRemoteParty, InDiversion, InTo} {
			number, name := callerIn(req, place)
			called := calledIn(req, place)
			for _, s := range []string{number, name, called} {
				if !clean(s) || len([]rune(s)) > maxText {
					t.Errorf("%q gives %q", value, s)
				}
			}
			if private(req) && number+name != "" {
				t.Errorf("Privacy %q, and %q calls", privacy, number+name)
			}
		}
	})
}
