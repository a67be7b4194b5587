package sip

import (
	"crypto/tls"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"perezvon/internal/certtest"
)

// served is what a certificate in files is served as.
type served struct {
	t    *testing.T
	cert *Certificate
	log  *logBuffer
	dir  string
}

func newServed(t *testing.T, first *certtest.Pair) *served {
	t.Helper()
	s := &served{t: t, log: &logBuffer{}, dir: t.TempDir()}
	cert, key := first.Write(s.dir)
	s.age()
	var err error
	if s.cert, err = LoadCertificate(cert, key, slog.New(slog.NewTextHandler(s.log, nil))); err != nil {
		t.Fatal(err)
	}
	return s
}

// age makes the files an hour older: what is written next has another time,
// whatever the disk rounds it to.
func (s *served) age() {
	s.t.Helper()
	for _, name := range []string{"cert.pem", "key.pem"} {
		file := filepath.Join(s.dir, name)
		info, err := os.Stat(file)
		if err == nil {
			err = os.Chtimes(file, time.Time{}, info.ModTime().Add(-time.Hour))
		}
		if err != nil {
			s.t.Fatal(err)
		}
	}
}

// put replaces one of the files.
func (s *served) put(name string, data []byte) {
	s.t.Helper()
	s.age()
	if err := os.WriteFile(filepath.Join(s.dir, name), data, 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// want expects whose certificate is served from now on.
func (s *served) want(name string) {
	s.t.Helper()
	c, err := s.cert.Get(nil)
	if err != nil || c.Leaf.DNSNames[0] != name {
		s.t.Errorf("%v, %v; want that of %s", c.Leaf.DNSNames, err, name)
	}
}

func TestChangedCertificateIsTakenWithinSeconds(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newServed(t, authority().Issue("old"))
		fresh := authority().Issue("new")
		s.put("cert.pem", fresh.Cert)
		s.put("key.pem", fresh.Key)
		s.want("old") // the disk is not asked for every handshake
		time.Sleep(lookEvery)
		s.want("new")
		if log := s.log.String(); strings.Count(log, "TLS certificate renewed") != 1 || strings.Contains(log, "level=ERROR") {
			t.Errorf("log:\n%s", log)
		}
	})
}

func TestOldCertificateStaysWhileTheNewOneIsNotUsable(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newServed(t, authority().Issue("old"))
		fresh := authority().Issue("new")
		s.put("cert.pem", fresh.Cert) // its key has not come yet
		for range 10 {
			time.Sleep(lookEvery)
			s.want("old")
		}
		log := s.log.String()
		if strings.Count(log, "level=ERROR") != 1 || !strings.Contains(log, "the old one stays; put a certificate and its key there that belong together") ||
			!strings.Contains(log, s.dir) {
			t.Errorf("log:\n%s", log)
		}
		if err := os.Remove(filepath.Join(s.dir, "key.pem")); err != nil {
			t.Fatal(err)
		}
		for range 10 {
			time.Sleep(lookEvery)
			s.want("old")
		}
		if n := strings.Count(s.log.String(), "level=ERROR"); n != 2 {
			t.Errorf("told %d times:\n%s", n, s.log)
		}
		if err := os.WriteFile(filepath.Join(s.dir, "key.pem"), fresh.Key, 0o600); err != nil {
			t.Fatal(err)
		}
		time.Sleep(lookEvery)
		s.want("new")
	})
}

// Somebody may write both files and not be ready when they are looked at.
func TestOnlyRegularFilesOfSomeSizeAreReadAsCertificates(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newServed(t, authority().Issue("old"))
		fresh := authority().Issue("new")
		s.put("key.pem", fresh.Key)
		s.put("cert.pem", append(fresh.Cert, make([]byte, maxPEM)...))
		time.Sleep(lookEvery)
		s.want("old")
		file := filepath.Join(s.dir, "cert.pem")
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(os.DevNull, file); err != nil {
			t.Fatal(err)
		}
		time.Sleep(lookEvery)
		s.want("old")
		if got := s.log.String(); strings.Count(got, "is not a regular file of 1 MiB at most") != 1 {
			t.Error(got)
		}
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, fresh.Cert, 0o600); err != nil {
			t.Fatal(err)
		}
		time.Sleep(lookEvery)
		s.want("new")
	})
}

func TestHalfWrittenCertificateIsTriedAgain(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newServed(t, authority().Issue("old"))
		fresh := authority().Issue("new")
		s.put("key.pem", fresh.Key)
		s.put("cert.pem", make([]byte, len(fresh.Cert)))
		time.Sleep(lookEvery)
		s.want("old")
		info, err := os.Stat(filepath.Join(s.dir, "cert.pem"))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(s.dir, "cert.pem"), fresh.Cert, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(filepath.Join(s.dir, "cert.pem"), time.Time{}, info.ModTime()); err != nil { // within what the disk tells apart
			t.Fatal(err)
		}
		time.Sleep(lookEvery)
		s.want("new")
	})
}

func TestCertificateThatNobodyRenewsIsRemindedOfDaily(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newServed(t, authority().IssueFor(time.Now(), time.Now().Add(remindBefore+36*time.Hour), "old"))
		for range 72 {
			time.Sleep(time.Hour)
			s.want("old")
		}
		if log := s.log.String(); strings.Count(log, "was not renewed") != 2 {
			t.Errorf("log:\n%s", log)
		}
	})
}

func TestCertificateIsRenewedWhileCallsGoOn(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newServed(t, authority().Issue(agentName))
		calls, release := make(chan incoming, 4), make(chan struct{})
		defer close(release)
		b, p := streamBed(t, transportTLS, func(c *Config) {
			accepting(calls, release)(c)
			c.TLS = &tls.Config{GetCertificate: s.cert.Get, MinVersion: tls.VersionTLS12}
		})
		p.dial()
		p.send(p.initial("1", "body:"+testSDP))
		p.expect("100")
		d, err := (<-calls).in.Answer(t.Context(), &testMedia{}, DialogRef{})
		if err != nil {
			t.Fatal(err)
		}
		ok := p.expect("200")
		p.send(p.of(ok, "ACK", "ack", 100))

		fresh := authority().Issue(agentName)
		s.put("cert.pem", fresh.Cert)
		s.put("key.pem", fresh.Key)
		time.Sleep(lookEvery)
		other := connect(t, b, "10.0.0.20:0")
		secured := tls.Client(other, &tls.Config{RootCAs: authority().Pool(), ServerName: agentName, MinVersion: tls.VersionTLS12})
		if err := secured.Handshake(); err != nil {
			t.Fatal(err)
		}
		if got := secured.ConnectionState().PeerCertificates[0]; !got.Equal(fresh.TLS.Leaf) {
			t.Error("the old certificate is still served")
		}
		p.send(p.of(ok, "BYE", "bye", 101))
		p.expect("200")
		<-d.Done()
	})
}

func TestCertificateThatCannotBeUsedIsNotLoaded(t *testing.T) {
	pair := authority().Issue("a")
	other := authority().Issue("b")
	for name, want := range map[string]string{"cert.pem": "no such file", "key.pem": "no such file"} {
		dir := t.TempDir()
		cert, key := pair.Write(dir)
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadCertificate(cert, key, slog.Default()); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), name) {
			t.Errorf("%v", err)
		}
	}
	dir := t.TempDir()
	cert, key := pair.Write(dir)
	if err := os.WriteFile(key, other.Key, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadCertificate(cert, key, slog.Default()); err == nil || !strings.Contains(err.Error(), "private key does not match") {
		t.Errorf("%v", err)
	}
}
