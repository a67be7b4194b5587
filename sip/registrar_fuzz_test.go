package sip

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/icholy/digest"
)

// FuzzCredentials reads an Authorization header as anybody may send it: nobody
// gets in who does not know the password.
func FuzzCredentials(f *testing.F) {
	good, err := digest.Digest(&digest.Challenge{Realm: Realm, Nonce: "n", Algorithm: "MD5", QOP: []string{"auth"}},
		digest.Options{Method: "REGISTER", URI: "sip:perezvon.example", Username: "201", Password: officePassword, Count: 1})
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{
		good.String(), `Digest realm="perezvon"`, `Digest realm="perezvon", nc=, qop=auth, username="201"`, "digest ,,,", `Digest realm="perezvon", nonce="\`,
		`Digest username="201", realm="perezvon", nonce="", uri="*", response="", algorithm=SHA-256, qop="auth,auth-int", nc=FFFFFFFF, cnonce="\""`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		j := newJudging()
		one := j.judge(header, strings.ReplaceAll(header, `nonce="n"`, `nonce="`+j.c.nonce(j.from, time.Now())+`"`))
		if (one.standing == credGood || one.standing == credAstray) && one.user != "201" {
			t.Fatalf("%+v let in by %q", one, header)
		}
		if one.standing == credAbsent && one != (claim{}) {
			t.Fatalf("%+v", one)
		}
	})
}

// FuzzRegister has a phone that knows the password, and a stranger, send any
// headers: what is registered is an address to call, and for the time we grant.
func FuzzRegister(f *testing.F) {
	for _, seed := range []string{
		"Contact: <sip:201@10.0.7.1:5060>\r\nExpires: 60", "Contact: *\r\nExpires: 0", "m: sip:a@b;expires=99999999999, <sips:c@[::1]:0>;+sip.instance=\"<x>\"",
		"Contact: \"a, <b>\" <sip:%00@h;transport=tcp;lr?X=Y>;expires=\"70\"", "Contact: <tel:1>", "Contact:\r\nContact: ;;;", "Expires: -1\r\nContact: <sip:h>",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, headers string) {
		a := registrarOf(t)
		raw := "REGISTER sip:perezvon.example SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.7.1:5060;branch=z9hG4bKf;rport\r\nFrom: <sip:201@h>;tag=1\r\n" +
			"To: <sip:201@h>\r\nCall-ID: c\r\nCSeq: 7 REGISTER\r\n" + headers + "\r\nContent-Length: 0\r\n\r\n"
		from := netip.MustParseAddrPort(deskAddr)
		sent := 0
		a.receive([]byte(raw), from, transportUDP, func(res []byte, to netip.AddrPort) {
			if sent++; to.Addr() != from.Addr() || !strings.HasPrefix(string(res), "SIP/2.0 401 ") {
				t.Fatalf("to %s:\n%s", to, res)
			}
		})
		if sent > 1 {
			t.Fatalf("%d answers to one request", sent)
		}
		req := a.readVisit([]byte(raw), from, transportUDP)
		if req == nil {
			return
		}
		o, err := orderOf(req, "201")
		if err != nil {
			return
		}
		changes, err := a.peers.phones.update(o)
		if err != nil {
			t.Fatal(err) // there was none before
		}
		for _, c := range changes {
			b := c.now
			if life := b.Expires.Sub(o.at); life < minGranted || life > maxGranted || b.Address.Addr() != from.Addr() {
				t.Fatalf("%+v for %s", b, life)
			}
			if _, err := a.phoneOptions(&b, b.Address); err != nil {
				t.Fatalf("cannot be called: %v", err)
			}
		}
	})
}

// registrarOf is an agent that is not started.
func registrarOf(t *testing.T) *Agent {
	t.Helper()
	cfg := Config{Extensions: []Extension{{Number: "201", HA1: MakeHA1("201", Realm, officePassword)}}}
	secret := []byte("secret")
	peers, err := newDirectory(&cfg, secret)
	if err != nil {
		t.Fatal(err)
	}
	a := &Agent{peers: peers, secret: secret, challenger: newChallenger(secret), guard: newGuard(Perimeter{}, peers)}
	a.listeners = []*listener{{local: netip.MustParseAddrPort(agentAddr)}}
	return a
}
