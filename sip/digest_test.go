package sip

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"
)

func withLogin(c *Config) {
	c.Trunks[0].Username, c.Trunks[0].AuthUser, c.Trunks[0].Password = "74950000000", "auth", "secret"
}

// param of a Digest header value.
func digestParam(value, name string) string {
	for _, part := range splitQuoted(strings.TrimPrefix(value, "Digest "), ',') {
		if n, v, _ := strings.Cut(strings.TrimSpace(part), "="); n == name {
			return unquote(v)
		}
	}
	return ""
}

func sum(algorithm, s string) string {
	if algorithm == "SHA-256" {
		h := sha256.Sum256([]byte(s))
		return hex.EncodeToString(h[:])
	}
	h := md5.Sum([]byte(s))
	return hex.EncodeToString(h[:])
}

// checkDigest recomputes the response with nothing of the package.
func checkDigest(t *testing.T, req message, value, algorithm, nonce string) {
	t.Helper()
	ha1 := sum(algorithm, "auth:realm:secret")
	ha2 := sum(algorithm, "INVITE:"+req.uri())
	want := sum(algorithm, ha1+":"+nonce+":"+ha2)
	if digestParam(value, "qop") == "auth" {
		want = sum(algorithm, strings.Join([]string{ha1, nonce, digestParam(value, "nc"), digestParam(value, "cnonce"), "auth", ha2}, ":"))
	}
	if got := digestParam(value, "response"); got != want {
		t.Errorf("response %s, want %s\n%s", got, want, value)
	}
	if got := digestParam(value, "uri"); got != req.uri() {
		t.Errorf("uri %s, want that of the request %s", got, req.uri())
	}
}

func TestDigestChoosesTheFirstChallengeItKnows(t *testing.T) {
	for name, tc := range map[string]struct {
		challenges []string
		algorithm  string
	}{
		"MD5 without qop": {[]string{`Digest realm="realm", nonce="n"`}, "MD5"},
		"SHA-256 first":   {[]string{`Digest realm="realm", nonce="n", algorithm=SHA-256, qop="auth,auth-int"`, `Digest realm="realm", nonce="n", algorithm=MD5, qop="auth"`}, "SHA-256"},
		"skips what it does not know": {[]string{
			`Digest realm="realm", nonce="x", algorithm=AKAv1-MD5`, `Basic realm="realm"`, `Digest realm="realm", nonce="x", algorithm=MD5-sess, qop="auth"`,
			`Digest realm="realm", nonce="n", algorithm=md5, qop="auth-int, auth"`,
		}, "MD5"},
		"two in one header": {[]string{`Digest realm="realm", nonce="x", algorithm=MD5-sess, Digest realm="realm", nonce="n", algorithm=SHA-256, qop="auth"`}, "SHA-256"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, status := range []string{"401 Unauthorized", "407 Proxy Authentication Required"} {
				inBubble(t, func(t *testing.T) {
					b := testAgent(t, withLogin)
					out := b.invite(t.Context(), Invite{})
					first := b.carrier.expect("INVITE")
					ask, answer := "WWW-Authenticate: ", "Authorization"
					if strings.HasPrefix(status, "407") {
						ask, answer = "Proxy-Authenticate: ", "Proxy-Authorization"
					}
					var lines []string
					for _, c := range tc.challenges {
						lines = append(lines, ask+c)
					}
					b.carrier.reply(first, status, lines...)
					b.carrier.expect("ACK")
					second := b.carrier.expect("INVITE")
					value := second.get(answer)
					if digestParam(value, "nonce") != "n" || digestParam(value, "username") != "auth" {
						t.Fatalf("%s: %s", answer, value)
					}
					checkDigest(t, second, value, tc.algorithm, "n")
					if second.get("Call-ID") != first.get("Call-ID") || second.tag("From") != first.tag("From") {
						t.Error("Call-ID or From-tag changed")
					}
					if second.get("CSeq") == first.get("CSeq") || second.get("Via") == first.get("Via") {
						t.Error("CSeq or branch did not change")
					}
					b.carrier.reply(second, "200 OK", "body:"+testSDP)
					if ack := b.carrier.expect("ACK"); ack.get("CSeq") != strings.Replace(second.get("CSeq"), "INVITE", "ACK", 1) || ack.get(answer) == "" {
						t.Errorf("ACK:\n%s", ack.raw)
					}
					if o := <-out; o.err != nil {
						t.Fatal(o.err)
					}
				})
			}
		})
	}
}

func TestDigestOfProxyAndFarEnd(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, withLogin)
		out := b.invite(t.Context(), Invite{})
		b.carrier.reply(b.carrier.expect("INVITE"), "407 Proxy Authentication Required", `Proxy-Authenticate: Digest realm="p", nonce="p", qop="auth"`)
		b.carrier.expect("ACK")
		second := b.carrier.expect("INVITE")
		b.carrier.reply(second, "401 Unauthorized", `WWW-Authenticate: Digest realm="realm", nonce="w", qop="auth"`)
		b.carrier.expect("ACK")
		third := b.carrier.expect("INVITE")
		if digestParam(third.get("Proxy-Authorization"), "nc") != "00000002" || digestParam(third.get("Authorization"), "nc") != "00000001" {
			t.Errorf("credentials:\n%s", third.raw)
		}
		b.carrier.reply(third, "200 OK", "body:"+testSDP)
		b.carrier.expect("ACK")
		if o := <-out; o.err != nil {
			t.Fatal(o.err)
		}
	})
}

func TestDigestStopsAfterASecondRejectionUnlessStale(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, withLogin)
		out := b.invite(t.Context(), Invite{})
		for _, challenge := range []string{`nonce="1"`, `nonce="2", stale=TRUE`, `nonce="3"`} {
			req := b.carrier.expect("INVITE")
			b.carrier.reply(req, "401 Unauthorized", `WWW-Authenticate: Digest realm="realm", `+challenge)
			b.carrier.expect("ACK")
		}
		if f := failure(t, <-out); f.Kind != Rejected || f.Status != 401 {
			t.Errorf("%v", f)
		}
		b.carrier.silent(txTimeout)
	})
}

func TestDigestIsNotAnsweredForever(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, withLogin)
		out := b.invite(t.Context(), Invite{})
		for range 2 + maxStale {
			req := b.carrier.expect("INVITE")
			b.carrier.reply(req, "401 Unauthorized", `WWW-Authenticate: Digest realm="realm", nonce="1", stale=true`)
			b.carrier.expect("ACK")
		}
		if f := failure(t, <-out); f.Status != 401 {
			t.Errorf("%v", f)
		}
	})
}

func TestChallengeWithoutPasswordIsARefusal(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, nil)
		out := b.invite(t.Context(), Invite{})
		b.carrier.reply(b.carrier.expect("INVITE"), "401 Unauthorized", `WWW-Authenticate: Digest realm="realm", nonce="1"`)
		b.carrier.expect("ACK")
		if f := failure(t, <-out); f.Status != 401 {
			t.Errorf("%v", f)
		}
	})
}

func TestByeIsSignedWhenChallenged(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, withLogin)
		d, _ := b.answered(Invite{})
		go func() {
			first := b.carrier.expect("BYE")
			b.carrier.reply(first, "407 Proxy Authentication Required", `Proxy-Authenticate: Digest realm="realm", nonce="1"`)
			second := b.carrier.expect("BYE")
			if second.get("Proxy-Authorization") == "" || second.get("CSeq") == first.get("CSeq") {
				t.Errorf("BYE:\n%s", second.raw)
			}
			b.carrier.reply(second, "200 OK")
		}()
		if err := d.Bye(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
