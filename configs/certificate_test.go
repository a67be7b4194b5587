package configs

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"perezvon/internal/certtest"
)

const listensTLS = `
sip:
  listen: [udp://0.0.0.0:5060, tls://0.0.0.0:5061]
  tls: {cert: cert.pem, key: key.pem}
`

// withFiles writes files and a configuration beside them.
func withFiles(t *testing.T, config string, files map[string][]byte) (*Config, error) {
	t.Helper()
	dir := t.TempDir()
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return Parse(filepath.Join(dir, "perezvon.yaml"), []byte(config), Sources{})
}

func TestFilesOfTLSAreReadBesideTheConfiguration(t *testing.T) {
	ca := certtest.NewCA("Test")
	pair := ca.Issue("pbx.example.net")
	cfg, err := withFiles(t, listensTLS+"trunks: [{name: a, host: sip.example.net, transport: tls, tls: {ca: ca.pem, server_name: x.example.net}}]\n",
		map[string][]byte{"cert.pem": pair.Cert, "key.pem": pair.Key, "ca.pem": ca.PEM()})
	if err != nil {
		t.Fatal(err)
	}
	trunk := cfg.Trunk("a")
	if !filepath.IsAbs(cfg.SIP.TLS.Cert) || !filepath.IsAbs(cfg.SIP.TLS.Key) || !trunk.TLS.Verified() {
		t.Errorf("%+v, %+v", cfg.SIP.TLS, trunk.TLS)
	}
	if pool, err := trunk.TLS.Roots(); err != nil || !pool.Equal(ca.Pool()) {
		t.Errorf("roots of the trunk: %v", err)
	}
	if over, soon := cfg.Certificates(time.Now()); len(over)+len(soon) > 0 {
		t.Errorf("%q, %q", over, soon)
	}
}

func TestFilesOfTLSThatCannotBeUsedAreToldWithWhatToDo(t *testing.T) {
	ca := certtest.NewCA("Test")
	pair, other := ca.Issue("a"), ca.Issue("b")
	tests := []struct {
		name, cert, key string
		want            string
	}{
		{"swapped", string(pair.Key), string(pair.Cert), "sip.tls.cert: %s/cert.pem has a private key and no certificate; are cert and key mixed up?"},
		{"no certificate", "hello", string(pair.Key), "sip.tls.cert: %s/cert.pem has no certificate; it has to be PEM"},
		{"no key", string(pair.Cert), "hello", "sip.tls.key: %s/key.pem has no private key; it has to be PEM without a password"},
		{"another's key", string(pair.Cert), string(other.Key), "sip.tls.key: the key in %[1]s/key.pem is not that of the certificate in %[1]s/cert.pem"},
		{"broken", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", string(pair.Key), "sip.tls.cert: the certificate in %s/cert.pem cannot be read"},
		{"with a password", string(pair.Cert), "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n", "sip.tls.key: %s/key.pem has no private key"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, text := range map[string]string{"cert.pem": tt.cert, "key.pem": tt.key} {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			_, err := Parse(filepath.Join(dir, "perezvon.yaml"), []byte(listensTLS), Sources{})
			if want := fmt.Sprintf(tt.want, dir); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v\nwant %s", err, want)
			}
			if err != nil && strings.Contains(err.Error(), "MIG") { // how a key begins
				t.Errorf("shows a key: %v", err)
			}
		})
	}
	_, err := withFiles(t, "trunks: [{name: a, host: h.example.net, transport: tls, tls: {ca: ca.pem}}]\n", map[string][]byte{"ca.pem": []byte("hello")})
	if err == nil || !strings.Contains(err.Error(), "ca.pem has no certificate; it has to be that of the authority in PEM") {
		t.Error(err)
	}
}

func TestCertificatesNearTheirEndAreTold(t *testing.T) {
	ca := certtest.NewCA("Test")
	now := time.Now()
	tests := []struct {
		until time.Time
		over  bool
		soon  bool
	}{
		{now.Add(renewBefore + time.Hour), false, false},
		{now.Add(renewBefore - time.Hour), false, true},
		{now.Add(-time.Hour), true, false},
	}
	for _, tt := range tests {
		pair := ca.IssueFor(now.AddDate(-1, 0, 0), tt.until, "pbx.example.net")
		cfg, err := withFiles(t, listensTLS, map[string][]byte{"cert.pem": pair.Cert, "key.pem": pair.Key})
		if err != nil {
			t.Fatal(err) // the server starts with it
		}
		over, soon := cfg.Certificates(now)
		if len(over) > 0 != tt.over || len(soon) > 0 != tt.soon {
			t.Errorf("until %s: %q, %q", tt.until, over, soon)
		}
		for _, words := range append(over, soon...) {
			if !strings.HasPrefix(words, "sip.tls.cert: the certificate in "+cfg.SIP.TLS.Cert+" ") || !strings.Contains(words, tt.until.UTC().Format(time.DateOnly)) {
				t.Error(words)
			}
		}
	}
}

func TestTLSThatIsProbablyNotMeantIsWarnedOf(t *testing.T) {
	pair := certtest.NewCA("Test").Issue("a")
	cfg, err := withFiles(t, `
sip:
  tls: {cert: cert.pem, key: key.pem}
trunks:
  - {name: open, host: sip.example.net, transport: tls, tls: {verify: false}}
  - {name: own, host: "127.0.0.1", transport: tls}
`, map[string][]byte{"cert.pem": pair.Cert, "key.pem": pair.Key})
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Join(cfg.Warnings(), "\n")
	for _, want := range []string{
		"sip.tls: not used, for sip.listen has no tls:// address", "trunks[0].tls.verify: whoever sits on the way can pretend to be trunk open",
		"trunks[0].transport: trunk open can only be called; for calls from it add tls://0.0.0.0:5061 to sip.listen",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("no %q in\n%s", want, all)
		}
	}
	if strings.Contains(all, "where Perezvon itself listens") {
		t.Error(all)
	}
}
