package sip

import (
	"strconv"
	"strings"
	"testing"
	"time"
)

// registrant has the agent register at the carrier, which is played by hand.
func registrant(c *Config) {
	c.Trunks[0].Register, c.Trunks[0].Username, c.Trunks[0].Password, c.Trunks[0].Expires = true, "u", "p", time.Hour
}

func TestRegistrarThatIsNeverSatisfiedIsSaidToBe(t *testing.T) {
	for want, least := range map[string]func(n int) string{
		"does not say how long":                                     func(int) string { return "soon" },
		"asks for a longer one each time, now for 1h15m":            func(n int) string { return strconv.Itoa(3600 + 300*n) },
		"a registration of 168h too short (423 Interval Too Brief)": func(int) string { return "99999999" },
		"a registration of 1h too short and says that 1m would do":  func(int) string { return "60" },
	} {
		inBubble(t, func(t *testing.T) {
			b := testAgent(t, registrant)
			for round := range 3 {
				n := 0
				for {
					m, ok := b.carrier.read(5 * time.Second)
					if !ok && n > 0 {
						break
					}
					if !ok {
						continue
					}
					if n == 0 && m.get("Expires") != "3600" {
						t.Errorf("%s: round %d begins with Expires %s", want, round, m.get("Expires"))
					}
					n++
					b.carrier.reply(m, "423 Interval Too Brief", "Min-Expires: "+least(n))
				}
				if n > 1+maxTooBrief {
					t.Errorf("%s: %d requests in a round", want, n)
				}
				if s := trunkState(t, b.agent, "carrier"); s.Up || !strings.Contains(s.Reason, want) {
					t.Errorf("reason %q, want %q", s.Reason, want)
				}
			}
		})
	}
}

func TestGiantChallengeIsNotAnswered(t *testing.T) {
	giant := strings.Repeat("x", maxChallenge)
	for _, part := range []string{`realm="` + giant + `", nonce="n"`, `realm="r", nonce="` + giant + `"`, `realm="r", nonce="n", opaque="` + giant + `"`} {
		inBubble(t, func(t *testing.T) {
			b := testAgent(t, registrant)
			req := b.carrier.expect("REGISTER")
			b.carrier.reply(req, "401 Unauthorized", "WWW-Authenticate: Digest "+part)
			b.carrier.silent(10 * time.Second)
			if s := trunkState(t, b.agent, "carrier"); s.Up || !strings.Contains(s.Reason, "challenge of more than 4 KB") {
				t.Errorf("reason %q", s.Reason)
			}
			small := `WWW-Authenticate: Digest realm="r", nonce="n"`
			req = b.carrier.expect("REGISTER") // next turn: one of two is not too large
			b.carrier.reply(req, "401 Unauthorized", "WWW-Authenticate: Digest "+part, small)
			signed := b.carrier.expect("REGISTER")
			if digestParam(signed.get("Authorization"), "realm") != "r" || len(signed.raw) > 2000 {
				t.Errorf("REGISTER of %d bytes", len(signed.raw))
			}
			b.carrier.reply(signed, "200 OK", `Authentication-Info: nextnonce="`+giant+`x"`, "Contact: "+signed.get("Contact"))
			if again := b.carrier.within(time.Hour, "REGISTER"); digestParam(again.get("Authorization"), "nonce") != "n" {
				t.Errorf("REGISTER of %d bytes", len(again.raw))
			}
		})
	}
}
