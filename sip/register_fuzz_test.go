package sip

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	sipmsg "github.com/emiago/sipgo/sip"
)

// registrarSays is a response to REGISTER with these headers.
func registrarSays(t *testing.T, lines ...string) *sipmsg.Response {
	t.Helper()
	m, err := sipmsg.ParseMessage([]byte("SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bKx;received=203.0.113.1;rport=1024\r\n" +
		"CSeq: 1 REGISTER\r\n" + strings.Join(lines, "\r\n") + "\r\n\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	return m.(*sipmsg.Response)
}

var ourselves = ownership{
	token: "0123456789abcdef0123456789abcdef", user: "100",
	sentBy: netip.MustParseAddrPort("10.0.0.1:5060"), seen: netip.MustParseAddrPort("203.0.113.1:1024"),
}

func TestGrantedTime(t *testing.T) {
	const token = ";line=0123456789abcdef0123456789abcdef"
	for name, tc := range map[string]struct {
		lines []string
		want  time.Duration // 0: not registered
	}{
		"of our contact":           {[]string{"Contact: <sip:100@10.0.0.1:5060" + token + ">;expires=120", "Expires: 300"}, 2 * time.Minute},
		"compact, upper case":      {[]string{"m: <SIP:100@10.0.0.1" + token + ">;EXPIRES=120"}, 2 * time.Minute},
		"quoted":                   {[]string{`Contact: <sip:100@10.0.0.1` + token + `>;expires="120"`}, 2 * time.Minute},
		"of the header":            {[]string{"Contact: <sip:100@10.0.0.1" + token + ">", "Expires: 300"}, 5 * time.Minute},
		"as asked":                 {[]string{"Contact: <sip:100@10.0.0.1" + token + ">"}, time.Hour},
		"unreadable":               {[]string{"Contact: <sip:100@10.0.0.1" + token + ">;expires=soon", "Expires: never"}, time.Hour},
		"negative":                 {[]string{"Contact: <sip:100@10.0.0.1" + token + ">;expires=-1"}, time.Hour},
		"not one of another":       {[]string{"Contact: <sip:200@10.0.0.2>;expires=60", "Contact: <sip:100@10.0.0.1" + token + ">;expires=120"}, 2 * time.Minute},
		"more than anybody wants":  {[]string{"Contact: <sip:100@10.0.0.1" + token + ">;expires=4294967295"}, maxExpires},
		"parameters forgotten":     {[]string{"Contact: <sip:100@10.0.0.1>;expires=120"}, 2 * time.Minute},
		"as the registrar sees us": {[]string{"Contact: <sip:100@203.0.113.1:1024>;expires=120"}, 2 * time.Minute},
		"host rewritten":           {[]string{"Contact: <sip:100@192.0.2.9:5062" + token + ">;expires=120"}, 2 * time.Minute},
		"of somebody else":         {[]string{"Contact: <sip:100@10.0.0.9>;expires=120"}, 0},
		"of another user":          {[]string{"Contact: <sip:200@10.0.0.1>;expires=120"}, 0},
		"other token":              {[]string{"Contact: <sip:100@10.0.0.1;line=x>;expires=120"}, 0},
		"none":                     {[]string{"Expires: 120"}, 0},
		"star":                     {[]string{"Contact: *", "Expires: 120"}, 0},
		"no time":                  {[]string{"Contact: <sip:100@10.0.0.1" + token + ">;expires=0"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			res := registrarSays(t, tc.lines...)
			own := ourselves
			own.seen = seenAt(res)
			if d, ok := granted(res, own, time.Hour); ok != (tc.want > 0) || ok && d != tc.want {
				t.Errorf("%s, %t", d, ok)
			}
		})
	}
}

func TestRetryAfterIsBounded(t *testing.T) {
	for value, want := range map[string]time.Duration{
		"": 0, "120": 2 * time.Minute, "18000;duration=3600": time.Hour, "60 (maintenance)": time.Minute, "99999999999999999999": 0, "-5": 0, "soon": 0,
	} {
		if got := retryAfterOf(registrarSays(t, "Retry-After: "+value)); got != want {
			t.Errorf("%q: %s, want %s", value, got, want)
		}
	}
}

func TestNonceThatComesAgainIsCountedOn(t *testing.T) {
	l := login{user: "u", password: "p"}
	for want := range 2 {
		res := registrarSays(t, `WWW-Authenticate: Digest realm="r", nonce="n", qop="auth", stale=true`)
		res.StatusCode = sipmsg.StatusUnauthorized
		if !l.challenged(res) {
			t.Fatal("not answered")
		}
		req := sipmsg.NewRequest(sipmsg.REGISTER, sipmsg.Uri{Scheme: "sip", Host: "example.net"})
		if err := l.sign(req); err != nil {
			t.Fatal(err)
		}
		if nc := digestParam(header(req, "authorization"), "nc"); nc != []string{"00000001", "00000002"}[want] {
			t.Errorf("nc %s of answer %d", nc, want+1)
		}
	}
}

func FuzzRegistrarAnswers(f *testing.F) {
	for _, s := range [][3]string{
		{`<sip:100@10.0.0.1:5060;line=0123456789abcdef0123456789abcdef>;expires=60`, "3600", `nextnonce="x"`},
		{`"a, b" <sip:100@10.0.0.1>;q=0.5;expires="60", sip:x@y;expires=1`, " 1 ", "nextnonce"},
		{`*`, "-1", `=,=;"`},
		{`<sip:;line=>;;expires`, "99999999999999999999", `qop=auth, nextnonce="a\"b"`},
		{`">,<`, "1e3", ""},
	} {
		f.Add(s[0], s[1], s[2])
	}
	f.Fuzz(func(t *testing.T, contact, expires, info string) {
		if uri, _ := contactParts(contact); ourselves.of(uri) && !strings.Contains(uri, ourselves.user) && !strings.Contains(uri, ourselves.token) {
			t.Errorf("%q is not ours", contact)
		}
		if d, _ := seconds(expires); d < 0 || d > maxExpires {
			t.Errorf("%q is %s", expires, d)
		}
		_ = digestValue(info, "nextnonce")
		_ = sniffToken([]byte(contact + "\r\n" + info))
		res := sipmsg.NewResponse(sipmsg.StatusOK, info)
		for name, value := range map[string]string{"Contact": contact, "Expires": expires, "Retry-After": expires, "Authentication-Info": info} {
			res.AppendHeader(sipmsg.NewHeader(name, value))
		}
		if d, ok := granted(res, ourselves, time.Hour); ok && (d <= 0 || d > maxExpires) {
			t.Errorf("granted %s", d)
		}
		if d := retryAfterOf(res); d < 0 || d > maxRetryAfter {
			t.Errorf("Retry-After %s", d)
		}
		_ = seenAt(res)
		l := login{user: "u", password: "secret-password"}
		l.follow(res)
		tr := &trunk{Trunk: Trunk{Username: "u", Password: l.password}, host: &endpoint{host: "10.0.0.1"}}
		for _, status := range []int{401, 403, 404, 423, 480, 503} {
			res.StatusCode = status
			if why := tr.refused(res, "10.0.0.1:5060", time.Hour, &l); !clean(why.reason) || strings.Contains(why.reason, l.password) {
				t.Errorf("%d: %q", status, why.reason)
			}
		}
	})
}
