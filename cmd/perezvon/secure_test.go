package main

import (
	"bytes"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"perezvon/configs"
	"perezvon/internal/certtest"
	"perezvon/internal/lab"
	"perezvon/sip"
)

func TestTrunksOverTLSAreTriedWithTheirCertificates(t *testing.T) {
	ca := certtest.NewCA("Carriers")
	pair := ca.Issue("carrier.example.net", "127.0.0.1")
	carrier, err := lab.NewCarrier(t.Context(), lab.Config{Signal: netip.MustParseAddrPort("127.0.0.1:0"), Transport: lab.TLS, TLS: pair.Server()})
	if err != nil {
		t.Fatal(err)
	}
	defer carrier.Close()
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, ca.PEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := configs.Default()
	cfg.SIP.Listen[0].Addr = netip.MustParseAddrPort("127.0.0.1:0")
	at, no := carrier.Addr().String(), false
	cfg.Trunks = []configs.Trunk{
		{Name: "asked", Host: at, Transport: "tls", Options: "5s", TLS: configs.TrunkTLS{CA: file}},
		{Name: "quiet", Host: at, Transport: "tls", Options: "off", TLS: configs.TrunkTLS{CA: file}},
		{Name: "named", Host: at, Transport: "tls", Options: "off", TLS: configs.TrunkTLS{CA: file, ServerName: "other.example.net"}},
		{Name: "strange", Host: at, Transport: "tls", Options: "5s"},
		{Name: "any", Host: at, Transport: "tls", Options: "off", TLS: configs.TrunkTLS{Verify: &no}},
	}
	want := []struct {
		ok     bool
		detail string
	}{
		{true, at + " over tls answers in "},
		{true, at + " over tls takes connections, and was not asked, for options is off"},
		{false, "cannot send to " + at + ": its certificate is for carrier.example.net, 127.0.0.1 and not for other.example.net; if that is the provider's, write it in trunks[].tls.server_name"},
		{false, "its certificate is signed by Carriers, whom this machine does not trust; name the authority's certificate in trunks[].tls.ca"},
		{true, "takes connections"},
	}
	for i, got := range tryTrunks(t.Context(), cfg) {
		steps, err := tryTrunk(t.Context(), cfg, &cfg.Trunks[i])
		if err != nil {
			t.Fatal(err)
		}
		failed := slices.ContainsFunc(steps, func(s trunkStep) bool { return s.Result == sip.TrialFailed })
		if failed == want[i].ok {
			t.Errorf("trunk test %s: %+v", cfg.Trunks[i].Name, steps)
		}
		if got.OK != want[i].ok || !strings.Contains(got.Detail, want[i].detail) {
			t.Errorf("%s: %t, %s\nwant %t, %s", got.Part, got.OK, got.Detail, want[i].ok, want[i].detail)
		}
	}
}

func TestExpiredCertificateIsAnErrorOfCheckAndNotOfTheServer(t *testing.T) {
	dir := t.TempDir()
	cert, key := certtest.NewCA("Test").IssueFor(time.Now().AddDate(0, 0, -9), time.Now().AddDate(0, 0, -2), "pbx.example.net").Write(dir)
	text := "sip: {listen: [udp://127.0.0.1:5060, tls://127.0.0.1:5061], tls: {cert: cert.pem, key: key.pem}}\n"
	config := filepath.Join(dir, "perezvon.yaml")
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := configs.Load(config, configs.Sources{})
	if err != nil {
		t.Fatal(err)
	}
	if cfg.SIP.TLS.Cert != cert || cfg.SIP.TLS.Key != key {
		t.Errorf("%+v", cfg.SIP.TLS)
	}
	c := sipConfig(cfg, slog.New(slog.DiscardHandler))
	var log bytes.Buffer
	if err := secureSIP(cfg, &c, slog.New(slog.NewTextHandler(&log, nil))); err != nil || c.TLS == nil {
		t.Errorf("the server: %v", err)
	}
	tellCertificates(cfg, slog.New(slog.NewTextHandler(&log, nil)))
	if !strings.Contains(log.String(), "level=ERROR") || !strings.Contains(log.String(), "has expired on") {
		t.Errorf("log:\n%s", log.String())
	}
	if over, _ := cfg.Certificates(time.Now()); overdue(over) == nil {
		t.Error("check passes")
	}
}
