package sip

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

const (
	// lookEvery is how often the files of a certificate are looked at, at most.
	lookEvery = 5 * time.Second
	// remindBefore is how long before the end of a certificate the log reminds
	// of it, once a day.
	remindBefore = 14 * 24 * time.Hour
	remindEvery  = 24 * time.Hour
	// maxPEM is the largest file that a certificate or a key is read from, in bytes.
	maxPEM = 1 << 20
)

// Certificate is a certificate in two files that may change while it is used:
// what is renewed, by whatever program, is taken without a restart. Its
// methods are safe for concurrent use.
type Certificate struct {
	cert, key string
	log       *slog.Logger

	mu     sync.Mutex
	pair   *tls.Certificate // guarded by mu; the last good one
	read   [2]stamp         // guarded by mu; the files as they were tried last
	looked time.Time        // guarded by mu
	broken bool             // guarded by mu; what was tried last was not usable
	told   time.Time        // guarded by mu; when the log reminded last
}

// stamp tells one state of a file from another.
type stamp struct {
	at   time.Time
	size int64
}

// LoadCertificate reads a certificate, with those between it and its authority
// behind it, and its private key, both in PEM.
func LoadCertificate(cert, key string, log *slog.Logger) (*Certificate, error) {
	now := time.Now()
	c := &Certificate{cert: cert, key: key, log: log, looked: now, told: now} // who starts has told himself
	var err error
	if c.read, err = c.stamps(); err == nil {
		c.pair, err = c.load()
	}
	if err != nil {
		return nil, fmt.Errorf("certificate %s with key %s: %w", cert, key, err)
	}
	return c, nil
}

// Get is for tls.Config.GetCertificate. Every few seconds it looks whether the
// files have changed. Where the new ones cannot be used the old certificate
// stays, and the log says so once.
func (c *Certificate) Get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := time.Now(); now.Sub(c.looked) >= lookEvery {
		c.looked = now
		c.renew()
		c.remind(now)
	}
	return c.pair, nil
}

// remind says that nobody has renewed the certificate. c.mu is held.
func (c *Certificate) remind(now time.Time) {
	until := c.pair.Leaf.NotAfter
	if now.Add(remindBefore).Before(until) || now.Sub(c.told) < remindEvery {
		return
	}
	c.told = now
	c.log.Warn("sip: the TLS certificate is at its end and was not renewed: who verifies it will not connect; put a new one there, which is taken by itself",
		"cert", c.cert, "valid_until", until)
}

// renew takes changed files. Those that could not be used are tried again as
// they are: maybe they were being written. c.mu is held.
func (c *Certificate) renew() {
	now, err := c.stamps()
	news := now != c.read
	if err == nil && !news && !c.broken {
		return
	}
	c.read = now
	var pair *tls.Certificate
	if err == nil {
		pair, err = c.load()
	}
	if err != nil {
		if news || !c.broken {
			c.log.Error("sip: the new TLS certificate cannot be used, the old one stays; put a certificate and its key there that belong together",
				"cert", c.cert, "key", c.key, "error", err, "old_valid_until", c.pair.Leaf.NotAfter)
		}
		c.broken = true
		return
	}
	c.pair, c.broken = pair, false
	c.log.Info("sip: TLS certificate renewed", "cert", c.cert, "valid_until", pair.Leaf.NotAfter)
}

// stamps looks at the files. A pipe, or a device that never ends, would hold up
// every handshake if it were read.
func (c *Certificate) stamps() (s [2]stamp, err error) {
	for i, name := range []string{c.cert, c.key} {
		info, err := os.Stat(name)
		if err != nil {
			return [2]stamp{}, err
		}
		if !info.Mode().IsRegular() || info.Size() > maxPEM {
			return [2]stamp{}, fmt.Errorf("%s is not a regular file of 1 MiB at most", name)
		}
		s[i] = stamp{info.ModTime(), info.Size()}
	}
	return s, nil
}

func (c *Certificate) load() (*tls.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(c.cert, c.key)
	if err != nil {
		return nil, err
	}
	if pair.Leaf == nil { // only if GODEBUG asks for it
		if pair.Leaf, err = x509.ParseCertificate(pair.Certificate[0]); err != nil {
			return nil, err
		}
	}
	return &pair, nil
}
