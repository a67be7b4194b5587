package sip

import (
	"encoding/base64"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	sipmsg "github.com/emiago/sipgo/sip"
	"github.com/icholy/digest"
)

// The examples of the RFCs, with their passwords.
func TestAnswersAreThoseOfTheRFCs(t *testing.T) {
	tests := []struct {
		name, algorithm, ha1, method, nc string
		cred                             digest.Credentials
		want                             string
	}{
		{
			"RFC 2617 section 3.5", "MD5", MakeHA1("Mufasa", "testrealm@host.com", "Circle Of Life").MD5, "GET", "00000001",
			digest.Credentials{Nonce: "dcd98b7102dd2f0e8b11d0f600bfb0c093", URI: "/dir/index.html", Cnonce: "0a4f113b", QOP: "auth"},
			"6629fae49393a05397450978507c4ef1",
		},
		{
			"RFC 2617 without qop, as RFC 2069 had it", "MD5", MakeHA1("Mufasa", "testrealm@host.com", "CircleOfLife").MD5, "GET", "",
			digest.Credentials{Nonce: "dcd98b7102dd2f0e8b11d0f600bfb0c093", URI: "/dir/index.html"},
			"1949323746fe6a43ef61f9606e7febea",
		},
		{
			"RFC 7616 section 3.9.1, MD5", "MD5", MakeHA1("Mufasa", "http-auth@example.org", "Circle of Life").MD5, "GET", "00000001",
			digest.Credentials{
				Nonce: "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", URI: "/dir/index.html",
				Cnonce: "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", QOP: "auth",
			},
			"8ca523f5e9506fed4657c9700eebdbec",
		},
		{
			"RFC 7616 section 3.9.1, SHA-256", "SHA-256", MakeHA1("Mufasa", "http-auth@example.org", "Circle of Life").SHA256, "GET", "00000001",
			digest.Credentials{
				Nonce: "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", URI: "/dir/index.html",
				Cnonce: "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", QOP: "auth",
			},
			"753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
		},
	}
	for _, tt := range tests {
		if got := answer(tt.algorithm, tt.ha1, tt.method, tt.nc, &tt.cred); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

func TestNoncesAreGoodForTheirAddressAndTheirTime(t *testing.T) {
	c := newChallenger([]byte("secret"))
	at, now := netip.MustParseAddr("192.0.2.1"), time.Now()
	nonce := c.nonce(at, now)
	tests := []struct {
		name  string
		by    *challenger
		nonce string
		from  string
		after time.Duration
		want  bool
	}{
		{"at once", c, nonce, "192.0.2.1", 0, true},
		{"from IPv4 in IPv6", c, nonce, "::ffff:192.0.2.1", 0, true},
		{"just in time", c, nonce, "192.0.2.1", nonceLife - time.Second, true},
		{"too late", c, nonce, "192.0.2.1", nonceLife, false},
		{"from elsewhere", c, nonce, "192.0.2.2", 0, false},
		{"of another run", newChallenger([]byte("other")), nonce, "192.0.2.1", 0, false},
		{"before its time", c, nonce, "192.0.2.1", -time.Minute, false},
		{"changed", c, "B" + nonce[1:], "192.0.2.1", 0, false},
		{"too long", c, nonce + "A", "192.0.2.1", 0, false},
		{"empty", c, "", "192.0.2.1", 0, false},
		{"no base64", c, strings.Repeat("!", len(nonce)), "192.0.2.1", 0, false},
		{"nothing in it", c, base64.RawURLEncoding.EncodeToString(make([]byte, nonceSize)), "192.0.2.1", 0, false},
	}
	for _, tt := range tests {
		if _, got := tt.by.fresh(tt.nonce, netip.MustParseAddr(tt.from), now.Add(tt.after)); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

func TestNoncesWithALineBreakAreNotOurs(t *testing.T) {
	c, at, now := newChallenger([]byte("secret")), netip.MustParseAddr("192.0.2.1"), time.Now()
	nonce := c.nonce(at, now)
	for !strings.HasSuffix(nonce, "AA") { // so that the last byte is 0, as of one that is missing
		nonce = c.nonce(at, now)
	}
	if _, ok := c.fresh(strings.TrimSuffix(nonce, "A")+"\n", at, now); ok {
		t.Errorf("%q with a line break instead of its last letter is good", nonce)
	}
}

// judging asks a challenger for its opinion of credentials for a REGISTER to
// sip:perezvon.example, whatever they are.
type judging struct {
	c    *challenger
	from netip.Addr
	kind Digest
}

func newJudging() *judging {
	return &judging{c: newChallenger([]byte("secret")), from: netip.MustParseAddr("192.0.2.1"), kind: DigestMD5}
}

func (j *judging) find(user string) (HA1, Digest, bool) {
	if user == "201" {
		return MakeHA1("201", Realm, "s3cret"), j.kind, true
	}
	return HA1{}, j.kind, false
}

func (j *judging) judge(headers ...string) claim {
	req := sipmsg.NewRequest(sipmsg.REGISTER, sipmsg.Uri{Scheme: "sip", Host: "perezvon.example"})
	for _, h := range headers {
		req.AppendHeader(sipmsg.NewHeader("Authorization", h))
	}
	return j.c.judge(req, "authorization", j.from, j.find, time.Now())
}

func (j *judging) credentials(t *testing.T, algorithm, user, password, uri string) *digest.Credentials {
	t.Helper()
	c, err := digest.Digest(&digest.Challenge{Realm: Realm, Nonce: j.c.nonce(j.from, time.Now()), Algorithm: algorithm, QOP: []string{"auth"}},
		digest.Options{Method: "REGISTER", URI: uri, Username: user, Password: password, Count: 10})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCredentialsAreJudged(t *testing.T) {
	const uri = "sip:perezvon.example"
	j := newJudging()
	good := func() *digest.Credentials { return j.credentials(t, "MD5", "201", "s3cret", uri) }
	with := func(change func(*digest.Credentials)) string {
		c := good()
		change(c)
		return c.String()
	}
	tests := []struct {
		name    string
		headers []string
		want    standing
	}{
		{"none", nil, credAbsent},
		{"good", []string{good().String()}, credGood},
		{"good after those for another realm", []string{strings.Replace(good().String(), Realm, "elsewhere", 1), good().String()}, credGood},
		{"algorithm not named", []string{with(func(c *digest.Credentials) { c.Algorithm = "" })}, credGood},
		{"algorithm in small letters", []string{with(func(c *digest.Credentials) { c.Algorithm = "md5" })}, credGood},
		{"response in capitals", []string{with(func(c *digest.Credentials) { c.Response = strings.ToUpper(c.Response) })}, credGood},
		{"port and parameters in the URI", []string{j.credentials(t, "MD5", "201", "s3cret", uri+":5060;transport=udp").String()}, credGood},
		{"for another host", []string{j.credentials(t, "MD5", "201", "s3cret", "sip:elsewhere").String()}, credAstray},
		{"wrong password", []string{j.credentials(t, "MD5", "201", "secret", uri).String()}, credWrong},
		{"unknown user", []string{j.credentials(t, "MD5", "999", "s3cret", uri).String()}, credWrong},
		{"no user", []string{with(func(c *digest.Credentials) { c.Username = "" })}, credWrong},
		{"no response", []string{with(func(c *digest.Credentials) { c.Response = "" })}, credWrong},
		{"an algorithm that was not asked for", []string{j.credentials(t, "SHA-256", "201", "s3cret", uri).String()}, credWrong},
		{"an algorithm that we do not know", []string{with(func(c *digest.Credentials) { c.Algorithm = "MD5-sess" })}, credWrong},
		{"integrity was not asked for", []string{with(func(c *digest.Credentials) { c.QOP = "auth-int" })}, credWrong},
		{"another nonce, and the right password", []string{with(func(c *digest.Credentials) { c.Nonce = "x" })}, credStale},
		{"another nonce, and a wrong password", []string{with(func(c *digest.Credentials) { c.Nonce, c.Response = "x", "x" })}, credStale},
		{"another realm", []string{with(func(c *digest.Credentials) { c.Realm = "elsewhere" })}, credAbsent},
		{"another scheme", []string{"Basic MjAxOnMzY3JldA=="}, credAbsent},
		{"broken", []string{`Digest realm="perezvon", nc=zz, nonce="`}, credAbsent},
		{"giant", []string{good().String() + `, opaque="` + strings.Repeat("x", maxCredentials) + `"`}, credAbsent},
	}
	for _, tt := range tests {
		if got := j.judge(tt.headers...); got.standing != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got.standing, tt.want)
		}
	}
}

// The grammar has small letters in nc; some phones write capitals, and what
// they hash is what they write.
func TestTheCountIsHashedAsItIsWritten(t *testing.T) {
	j := newJudging()
	c := j.credentials(t, "MD5", "201", "s3cret", "sip:perezvon.example")
	text := strings.Replace(c.String(), "nc=0000000a", "nc=0000000A", 1)
	response := answer("MD5", MakeHA1("201", Realm, "s3cret").MD5, "REGISTER", "0000000A", c)
	text = strings.Replace(text, c.Response, response, 1)
	if got := j.judge(text); got.standing != credGood || got.count != 10 {
		t.Errorf("%+v from %s", got, text)
	}
}

func TestAlgorithmsArePerExtension(t *testing.T) {
	for _, tt := range []struct {
		kind        Digest
		algorithms  string
		md5, sha256 standing
	}{
		{DigestMD5, "MD5", credGood, credWrong},
		{"", "MD5", credGood, credWrong},
		{DigestSHA256, "SHA-256", credWrong, credGood},
		{DigestBoth, "SHA-256 MD5", credGood, credGood},
	} {
		j := newJudging()
		j.kind = tt.kind
		if got := strings.Join(tt.kind.algorithms(), " "); got != tt.algorithms {
			t.Errorf("%q is asked with %s", tt.kind, got)
		}
		for algorithm, want := range map[string]standing{"MD5": tt.md5, "SHA-256": tt.sha256} {
			if got := j.judge(j.credentials(t, algorithm, "201", "s3cret", "sip:perezvon.example").String()); got.standing != want {
				t.Errorf("%q answered with %s: %d, want %d", tt.kind, algorithm, got.standing, want)
			}
		}
	}
}

func TestNoncesDifferWithinAMillisecond(t *testing.T) {
	c, now := newChallenger([]byte("secret")), time.Now()
	at := netip.MustParseAddr("192.0.2.1")
	if one := c.nonce(at, now); one == c.nonce(at, now) {
		t.Errorf("two requests are asked with %s", one)
	}
}

func TestCredentialsAreUsedOnce(t *testing.T) {
	c, now := newChallenger([]byte("secret")), time.Now()
	for _, tt := range []struct {
		nonce string
		count uint64
		want  bool
	}{
		{"a", 1, true},
		{"a", 1, false},
		{"a", 2, true},
		{"a", 5, true},
		{"a", 4, false},
		{"b", 0, true},
		{"b", 0, false},
		{"b", 7, true},
	} {
		if got := c.use(claim{user: "201", nonce: tt.nonce, given: now, count: tt.count}, now); got != tt.want {
			t.Errorf("nonce %s for the %dth time: %v", tt.nonce, tt.count, got)
		}
	}
}

// One phone with one password may take a fresh nonce for every request.
func TestAnExtensionThatUsesManyNoncesKeepsNobodyOut(t *testing.T) {
	c, now := newChallenger([]byte("secret")), time.Now()
	login := func(user string, i int) claim {
		return claim{user: user, nonce: fmt.Sprint(user, "-", i), given: now.Add(time.Duration(i) * time.Millisecond), count: 1}
	}
	const many = 10000
	for i := range many {
		if !c.use(login("201", i), now) {
			t.Fatalf("it is kept out itself after %d", i)
		}
	}
	for i := range 3000 { // an office that comes back all at once
		if !c.use(login(fmt.Sprint(1000+i), 0), now) {
			t.Fatalf("%d others fit in", i)
		}
	}
	if n := len(c.used["201"].all); n > maxNonces {
		t.Errorf("%d nonces are remembered", n)
	}
	for i := range many {
		if c.use(login("201", i), now) {
			t.Fatalf("credentials with nonce %d were taken twice", i)
		}
	}
	if early := login("201", -1); c.use(early, now) {
		t.Error("whether it was used is not known any more")
	}
	c.use(claim{user: "202", nonce: "x", given: now.Add(2 * nonceLife), count: 1}, now.Add(2*nonceLife))
	if len(c.used) != 1 {
		t.Errorf("%d extensions are remembered whose nonces are of no use", len(c.used)-1)
	}
}
