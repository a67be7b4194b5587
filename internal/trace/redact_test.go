package trace

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// A place is where secrets stand in messages; the %s is one.
type place struct{ head, kind, body string }

func places() []place {
	head := func(lines ...string) (all []place) {
		for _, l := range lines {
			all = append(all, place{head: l})
		}
		return all
	}
	sdp := func(lines ...string) (all []place) {
		for _, l := range lines {
			all = append(all, place{kind: "application/sdp", body: l}, place{kind: "multipart/mixed;boundary=b", body: "--b\r\nContent-Type: application/sdp\r\n\r\n" + l + "\r\n--b--"})
		}
		return all
	}
	body := func(kind string, lines ...string) (all []place) {
		for _, l := range lines {
			all = append(all, place{kind: kind, body: l})
		}
		return all
	}
	all := head(
		`Authorization: Digest username="a", realm="r", nonce="%s", uri="sip:x", response="%s", algorithm=MD5`,
		`Authorization: Digest username="a", cnonce="%s", nc=00000001, qop=auth, opaque="%s"`,
		`authorization : digest response=%s`,
		"AUTHORIZATION:\r\n Digest response=\"%s\"",
		"Proxy-Authorization: Digest username=\"a\",\r\n\tresponse=\"%s\"\r\n , nonce=\"%s\"",
		`Proxy-Authorization: Basic %s`,
		`Proxy-Authorization: Basic %s==`,
		`Authorization: Bearer %s`,
		`Authorization: %s`,
		"Authorization\r\n : Basic %s",
		`Authorization: Digest username="open, response="%s", nonce=%s`,
		`Authorization: Digest uri="sip:101:%s@example.net", realm="x"`,
		`WWW-Authenticate: Digest realm="x", nonce="%s", opaque="%s", qop="auth"`,
		`Proxy-Authenticate: Digest realm="x",nonce=%s,stale=true`,
		`Authentication-Info: nextnonce="%s", rspauth="%s"`,
		`Proxy-Authentication-Info: nextnonce="%s"`,
		`X-Auth-Token: %s`, `X-Api-Key: %s`, `X-Password: very %s secret`, `Cookie: session=%s`, `Identity: %s;info=<https://x>`, `y: %s`,
		`Contact: <sip:101:%s@10.0.0.1:5060;transport=udp>`,
		`Contact: <sip:101@10.0.0.1;pn-provider=apns;pn-prid=%s>`,
		`m: "Anna" <SIPS:101:%s@10.0.0.1>;expires=60`,
		`From: sip:101:%s@10.0.0.1;tag=1`,
		`Call-Info: <https://user:%s@example.net/photo.png>;purpose=icon`,
		`Refer-To: <sip:102@10.0.0.1?Proxy-Authorization=%s&X=y>`,
		`X-Custom: a=b;password=%s;c=d`, `X-Custom: secret = "%s \" %s"`, `X-Custom: user_passwd=%s`, `X-Custom: access-token="%s"`,
		`Alert-Info: <http://x/?api_key=%s>`,
		"X-Custom: a;password=\r\n %s;c=d", "X-Custom: a;\r\n\tpassword =\r\n \"%s\"", "X-Custom: secret=\"some\r\n %s\"",
	)
	all = append(all, sdp(
		"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:%s|2^20|1:4",
		"a=crypto:2 AEAD_AES_128_GCM inline:%s;inline:%s",
		"A=CRYPTO:1 AES_CM_128_HMAC_SHA1_80 INLINE:%s",
		"a=crypto:1 SUITE %s", "a=crypto:%s", "a=crypto:1  AES_CM_128_HMAC_SHA1_80  inline:%s",
		"a=crypto:1 AES_CM_128_HMAC_SHA1_80\tinline:%s|2^20 WSH=64", "a=crypto:1\tAES_CM_128_HMAC_SHA1_80 inline:%s\tWSH=64 X=y",
		"a=crypto:1\u00a0SUITE inline:%s X=y", "a=crypto:1 SUITE\u00a0inline:%s X=y", "a=crypto: inline:%s x y", "a=crypto:1 %s+", "a=crypto:x%s SUITE y",
		"k=clear:%s", "k=base64:%s", "k=%s", "a=key-mgmt:mikey %s", "a=ice-pwd:%s", "a=x-password:%s", "a=other inline:%s",
		"a=fmtp:96 key=%s", "u=http://a:%s@example.net/", "password: %s", "a=identity:%s",
	)...)
	all = append(all, body("application/dtmf-relay", "Signal=%s\r\nDuration=160")...)
	all = append(all, body("application/dtmf", "%s")...)
	all = append(all, body("application/json", `{"password":"%s"}`)...)
	all = append(all, body("application/pidf+xml", `<presence><password>%s</password></presence>`)...)
	all = append(all, body("text/plain", "my password is %s")...)
	all = append(all, body("message/sipfrag", "SIP/2.0 200 OK\r\nAuthorization: Basic %s", "INVITE sip:a:%s@b SIP/2.0", `{"password": "%s"}`, "\r\n%s")...)
	all = append(all, body("multipart/mixed;boundary=b", "--b\r\nContent-Type: application/json\r\n\r\n{\"password\": \"%s\"}\r\n--b--")...)
	return append(all, body("application/sdp\r\nContent-Encoding: gzip", "a=%s")...)
}

// message builds an INVITE with lines in its head and a body.
func message(head, kind, body string) string {
	if head != "" {
		head += "\r\n"
	}
	if kind != "" {
		kind = "Content-Type: " + kind + "\r\n"
	}
	return "INVITE sip:102@10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.2:5060;branch=z9hG4bK1\r\n" +
		"From: <sip:101@10.0.0.2>;tag=1\r\nTo: <sip:102@10.0.0.1>\r\nCall-ID: abc@10.0.0.2\r\nCSeq: 1 INVITE\r\n" +
		head + kind + fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(body), body)
}

func TestNoSecretSurvives(t *testing.T) {
	all := places()
	rapid.Check(t, func(t *rapid.T) {
		secret := rapid.StringMatching(`[A-Z0-9+/]{8,40}`).Draw(t, "secret")
		secret = "Q" + strings.TrimLeft(secret, "/") // quoted, it begins with no comment
		p := rapid.SampledFrom(all).Draw(t, "place")
		ending := rapid.SampledFrom([]string{"\r\n", "\n", "\r"}).Draw(t, "line ending")
		raw := message(strings.ReplaceAll(p.head, "%s", secret), p.kind, strings.ReplaceAll(p.body, "%s", secret))
		raw = strings.ReplaceAll(raw, "\r\n", ending)
		cut := rapid.IntRange(0, len(secret)).Draw(t, "cut off")
		isCut := rapid.Bool().Draw(t, "cut")
		if isCut {
			raw = raw[:strings.LastIndex(raw, secret)+cut]
		}
		got := string(redact([]byte(raw), isCut))
		for n := 0; n+6 <= len(secret); n++ {
			if strings.Contains(got, secret[n:n+6]) {
				t.Fatalf("%q survives in\n%s", secret[n:n+6], got)
			}
		}
	})
}

// What is needed to understand a call is kept.
func TestRedactionKeepsTheRest(t *testing.T) {
	sdp := "v=0\r\no=- 1 1 IN IP4 10.0.0.2\r\ns=-\r\nc=IN IP4 10.0.0.2\r\nt=0 0\r\nm=audio 4000 RTP/SAVP 8 101\r\n" +
		"a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=sendrecv\r\n"
	head := "Contact: \"A: <b@c>\" <sip:101@10.0.0.2:5060;transport=tcp>;expires=60\r\nReason: SIP;cause=200;text=\"Call completed elsewhere\"\r\n" +
		"Record-Route: <sip:10.0.0.9;lr;ftag=1>\r\nX-Folded: one\r\n two\r\nSupported: timer\r\nSession-Expires: 1800;refresher=uac"
	raw := message(head, "application/sdp", sdp)
	if got := string(redact([]byte(raw), false)); got != raw {
		t.Errorf("got\n%s\nwant\n%s", got, raw)
	}
	for _, tc := range []struct{ in, want string }{
		{
			message(`Authorization: Digest username="101", realm="perezvon", nonce="abc", uri="sip:102@x", response="def", algorithm=MD5`, "", ""),
			`Authorization: Digest username="101", realm="perezvon", uri="sip:102@x", algorithm=MD5, removed`,
		},
		{message("", "application/sdp", "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:KEY|2^20\r\n"), "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:xxxxxxxx\r\n"},
		{message("", "message/sipfrag;version=2.0", "SIP/2.0 486 Busy Here\r\n"), "\r\n\r\nSIP/2.0 486 Busy Here\r\n"},
		{message("", "application/dtmf-relay", "Signal=5\r\nDuration=160"), "\r\n\r\nxxxxxxxx\r\nxxxxxxxxxxxx"},
		{message("", "multipart/mixed;boundary=b", "--b\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n--b--"), "--b\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n--b--"},
		{message("Contact: <sip:101:pw@10.0.0.1>", "", ""), "Contact: <sip:101:removed@10.0.0.1>"},
	} {
		if got := string(redact([]byte(tc.in), false)); !strings.Contains(got, tc.want) {
			t.Errorf("got\n%s\nwant in it\n%s", got, tc.want)
		}
	}
}

func FuzzRedact(f *testing.F) {
	for _, p := range places() {
		f.Add([]byte(message(p.head, p.kind, p.body)))
	}
	f.Add([]byte("\r\n\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		before := bytes.Clone(data)
		got := redact(data, false)
		if !bytes.Equal(before, data) {
			t.Fatal("the message itself was changed")
		}
		again := redact(got, false)
		for _, r := range [][]byte{got, again} {
			if n := len(bodyOf(data)) - len(bodyOf(r)); n != 0 {
				t.Fatalf("the body is %d bytes shorter", n)
			}
		}
	})
}

func bodyOf(data []byte) []byte {
	for len(data) > 0 {
		line, _, rest := cutLine(data)
		if data = rest; len(line) == 0 {
			return data
		}
	}
	return nil
}

func BenchmarkRedact(b *testing.B) {
	sdp := "v=0\r\no=- 1 1 IN IP4 10.0.0.2\r\ns=-\r\nc=IN IP4 10.0.0.2\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8 0 101\r\na=rtpmap:8 PCMA/8000\r\n" +
		"a=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=sendrecv\r\na=ptime:20\r\n"
	raw := []byte(message("Contact: <sip:101@10.0.0.2:5060;transport=tcp>\r\nAllow: INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE\r\nSession-Expires: 1800", "application/sdp", sdp))
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		redact(raw, false)
	}
}
