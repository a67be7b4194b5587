package outside

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
)

func TestOnlyAddressesThatAnybodyReachesArePublic(t *testing.T) {
	for _, a := range []string{"8.8.8.8", "93.184.216.34", "2606:2800:220:1::1", "::ffff:8.8.8.8"} {
		if !Public(netip.MustParseAddr(a)) {
			t.Errorf("%s is public", a)
		}
	}
	for _, a := range []string{
		"127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "0.1.2.3", "224.0.0.1", "255.255.255.255",
		"192.0.2.1", "198.51.100.1", "203.0.113.1", "198.18.0.1", "240.0.0.1", "192.0.0.1", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "ff02::1",
		"::ffff:127.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "2001::1", "2001:db8::1", "fec0::1",
	} {
		if Public(netip.MustParseAddr(a)) {
			t.Errorf("%s is not public", a)
		}
	}
}

func TestURLsAreLookedAtBeforeTheyAreUsed(t *testing.T) {
	p := Policy{Allow: []netip.Prefix{netip.MustParsePrefix("10.5.0.0/16")}}
	for _, u := range []string{"https://example.com/hook?a=1", "http://example.com:8080/", "https://8.8.8.8/", "http://10.5.1.2/x", "https://[2606:2800:220:1::1]/"} {
		if err := p.Check(u); err != nil {
			t.Errorf("%s: %v", u, err)
		}
	}
	for u, want := range map[string]string{
		"": "must begin", "example.com": "must begin", "ftp://example.com": "must begin", "file:///etc/passwd": "must begin", "https://": "no host",
		"https://user:pass@example.com": "no password", "http://10.6.0.1/": "not public", "http://[::1]:80/": "not public", "https://\x7f": "no URL",
		"https://example.com/" + strings.Repeat("a", 2048): "longer",
	} {
		if err := p.Check(u); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v, want %q", u, err, want)
		}
	}
}

// served is a server on this machine that says what was asked of it.
func served(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

func get(t *testing.T, c *http.Client, u string) (string, error) {
	t.Helper()
	t.Cleanup(c.CloseIdleConnections)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, u, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := c.Do(r)
	if err != nil {
		return "", err
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	return res.Status + " " + string(body), err
}

func TestAddressIsLookedAtWhereItIsConnectedTo(t *testing.T) {
	s := served(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") })
	here := Policy{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
	if got, err := get(t, here.Client(0), s.URL); err != nil || got != "200 OK hello" {
		t.Errorf("%q, %v", got, err)
	}
	byName := strings.Replace(s.URL, "127.0.0.1", "localhost", 1) // a name that passes Check
	if err := (Policy{}).Check(byName); err != nil {
		t.Fatal(err)
	}
	if got, err := get(t, Policy{}.Client(0), byName); !errors.Is(err, ErrPrivate) {
		t.Errorf("%q, %v", got, err)
	}
}

func TestRedirectsAreFollowedAsFarAsTheyMayBe(t *testing.T) {
	var to string
	s := served(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/from" {
			http.Redirect(w, r, to, http.StatusFound)
			return
		}
		_, _ = io.WriteString(w, "there")
	})
	here := Policy{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}
	to = s.URL + "/to"
	if got, err := get(t, here.Client(2), s.URL+"/from"); err != nil || got != "200 OK there" {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := get(t, here.Client(0), s.URL+"/from"); err != nil || !strings.HasPrefix(got, "302") {
		t.Errorf("%q, %v", got, err)
	}
	to = strings.Replace(s.URL, "127.0.0.1", "127.0.0.2", 1) // which the policy does not allow
	if got, err := get(t, here.Client(2), s.URL+"/from"); !errors.Is(err, ErrPrivate) {
		t.Errorf("%q, %v", got, err)
	}
	to = "file:///etc/passwd"
	if got, err := get(t, here.Client(2), s.URL+"/from"); err == nil {
		t.Errorf("%q", got)
	}
	to = s.URL + "/from"
	if got, err := get(t, here.Client(2), s.URL+"/from"); err == nil || !strings.Contains(err.Error(), "more than 2 redirects") {
		t.Errorf("%q, %v", got, err)
	}
}
