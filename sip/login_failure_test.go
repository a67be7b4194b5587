package sip

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// failing is a desk with extensions of every kind.
func failing(t *testing.T) *desk {
	t.Helper()
	return desking(t, func(c *Config) {
		c.Extensions = append(c.Extensions, Extension{Number: "202", HA1: MakeHA1("202", Realm, "other"), Digest: DigestSHA256})
	})
}

func TestAPhoneThatIsNotLetInIsTold(t *testing.T) {
	tests := []struct{ at, user, why string }{
		{stranger.String(), "201", `why="wrong password for extension 201; enter that of extensions[].password at the phone"`},
		{deskAddr, "201", `why="wrong password for extension 201; enter that of extensions[].password at the phone"`},
		{stranger.String(), "777", `why="there is no extension \"777\"; enter the number of the extension as the phone's user name, or add it to extensions"`},
		{stranger.String(), "101", `why="extension 101 has no password: phones cannot register as it; see extensions[].password"`},
		{stranger.String(), "", `why="the phone gives no user name; enter the number of its extension there"`},
		{stranger.String(), "202", `why="the phone answers with another algorithm than extension 202 asks for; see extensions[].digest"`},
	}
	for _, tt := range tests {
		inBubble(t, func(t *testing.T) {
			d := failing(t)
			if tt.at == deskAddr { // somebody is known there
				d.phone.registers()
				d.phone.chosen = nil
			}
			p := d.phone
			if tt.at != deskAddr {
				p = newDesktop(t, d.net, tt.at)
			}
			p.user, p.password = tt.user, "wrong"
			p.challenged(p.tries("401", "User-Agent: Desk 1.0"), "WWW-Authenticate")
			if log := d.log.String(); strings.Contains(log, "not let in") {
				t.Errorf("told before a password was tried:\n%s", log)
			}
			p.chosen.Algorithm = "MD5"
			p.tries("401", "User-Agent: Desk 1.0")
			name := tt.user
			if name == "" {
				name = `""`
			}
			want := fmt.Sprintf(`level=WARN msg="sip: phone not let in" extension=%s address=%s user_agent="Desk 1.0" method=REGISTER %s suppressed=0`,
				name, tt.at, tt.why)
			if log := d.log.String(); strings.Count(log, want) != 1 {
				t.Errorf("want %s\nlog:\n%s", want, log)
			}
		})
	}
}

func TestAFloodOfWrongPasswordsDoesNotFillTheLog(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		d := failing(t)
		for i := range 30 {
			p := newDesktop(t, d.net, fmt.Sprintf("198.51.100.%d:5060", i+1))
			p.user = fmt.Sprint("3", i)
			p.password = "wrong"
			for range 4 {
				p.challenged(p.tries("401"), "WWW-Authenticate")
			}
		}
		if n := strings.Count(d.log.String(), "phone not let in"); n != maxKnocks {
			t.Errorf("%d lines, want %d", n, maxKnocks)
		}
		time.Sleep(knockEvery)
		p := newDesktop(t, d.net, "198.51.100.99:5060")
		p.password = "wrong"
		p.challenged(p.tries("401"), "WWW-Authenticate")
		p.tries("401")
		if log := d.log.String(); !strings.Contains(log, "suppressed=62") {
			t.Error("it is not said how many were left out")
		}
	})
}

func TestTheLastFailureOfAnExtensionIsKept(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		d := failing(t)
		if f, ok := d.agent.LastFailure("201"); ok {
			t.Errorf("before: %+v", f)
		}
		p := newDesktop(t, d.net, stranger.String())
		p.password = "wrong"
		p.challenged(p.tries("401"), "WWW-Authenticate")
		time.Sleep(time.Minute)
		p.tries("401", "User-Agent: Desk 1.0")
		at := time.Now()
		time.Sleep(time.Minute)
		want := LoginFailure{At: at, Address: stranger, UserAgent: "Desk 1.0", Reason: "wrong password for extension 201; enter that of extensions[].password at the phone"}
		if f, ok := d.agent.LastFailure("201"); !ok || f != want {
			t.Errorf("got %+v, want %+v", f, want)
		}
		for _, other := range []string{"101", "202", "777"} {
			if f, ok := d.agent.LastFailure(other); ok {
				t.Errorf("%s: %+v", other, f)
			}
		}
	})
}
