package configs

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

const (
	// maxCertificates is the largest file that another file names and that is
	// read, in bytes: all authorities of a system fit.
	maxCertificates = 1 << 20
	// renewBefore is how long before its end a certificate is warned of.
	renewBefore = 14 * 24 * time.Hour
)

// secureListening checks the certificate that is shown to whoever connects.
func (c *checker) secureListening() {
	s := &c.cfg.SIP.TLS
	const both = "a certificate and its private key are needed for tls:// in sip.listen; name their files in sip.tls.cert and sip.tls.key"
	switch {
	case s.Cert == "" && s.Key == "" && c.cfg.listens("tls"):
		c.fail("sip.tls", both)
	case s.Cert == "" && s.Key != "":
		c.fail("sip.tls.cert", both)
	case s.Cert != "" && s.Key == "":
		c.fail("sip.tls.key", both)
	}
	cert, ok := c.file("sip.tls.cert", "certificate", &s.Cert)
	key, also := c.file("sip.tls.key", "private key", &s.Key)
	switch {
	case !ok || !also || cert == nil || key == nil:
	case !hasBlock(cert, "CERTIFICATE") && hasBlock(cert, "PRIVATE KEY"):
		c.fail("sip.tls.cert", "%s has a private key and no certificate; are cert and key mixed up?", s.Cert)
	case !hasBlock(cert, "CERTIFICATE"):
		c.fail("sip.tls.cert", "%s has no certificate; it has to be PEM, which begins with -----BEGIN CERTIFICATE-----", s.Cert)
	case !hasBlock(key, "PRIVATE KEY"):
		c.fail("sip.tls.key", "%s has no private key; it has to be PEM without a password, which begins with -----BEGIN PRIVATE KEY-----", s.Key)
	default:
		c.pair(cert, key)
	}
}

// pair checks that a certificate and a key belong together.
func (c *checker) pair(cert, key []byte) {
	s := &c.cfg.SIP.TLS
	_, err := tls.X509KeyPair(cert, key)
	if err == nil {
		return
	}
	if block, _ := pem.Decode(cert); block != nil {
		if _, perr := x509.ParseCertificate(block.Bytes); perr != nil {
			c.fail("sip.tls.cert", "the certificate in %s cannot be read: %v; the server's own comes first in the file", s.Cert, perr)
			return
		}
	}
	c.fail("sip.tls.key", "the key in %s is not that of the certificate in %s (%v); give the key that the certificate was asked for with", s.Key, s.Cert, err)
}

// hasBlock reports whether a PEM file has something of a kind, by the end of
// its name: EC PRIVATE KEY is a PRIVATE KEY.
func hasBlock(data []byte, kind string) bool {
	for {
		block, rest := pem.Decode(data)
		if block == nil {
			return false
		}
		if bytes.HasSuffix([]byte(block.Type), []byte(kind)) && block.Type != "ENCRYPTED PRIVATE KEY" {
			return true
		}
		data = rest
	}
}

// secureTrunk checks how a trunk is verified.
func (c *checker) secureTrunk(path string, t *Trunk) {
	s := &t.TLS
	if c.has(path) && t.Transport != "tls" {
		c.fail(path, "is for a trunk with transport: tls; write that, or leave tls out")
		return
	}
	if s.ServerName != "" && !validHost(s.ServerName) {
		c.fail(path+".server_name", "expected the name that the provider's certificate is for, such as sip.example.net, found %s", show(s.ServerName))
	}
	if s.CA != "" && c.ok(path+".verify") && !s.Verified() {
		c.fail(path+".ca", "nothing is verified with verify: false; leave one of them out")
	}
	data, ok := c.file(path+".ca", "certificate", &s.CA)
	if ok && data != nil && !x509.NewCertPool().AppendCertsFromPEM(data) {
		c.fail(path+".ca", "%s has no certificate; it has to be that of the authority in PEM, which begins with -----BEGIN CERTIFICATE-----", s.CA)
	}
}

// file reads a file of TLS, whose path is relative to the configuration's
// folder and is completed. There is nothing without a path, and for those who
// need not see secrets.
func (c *checker) file(path, what string, name *string) (data []byte, ok bool) {
	if *name == "" || !c.ok(path) {
		return nil, c.ok(path)
	}
	if !filepath.IsAbs(*name) {
		*name = filepath.Join(c.dir, *name)
	}
	if c.src.blind {
		return nil, true
	}
	data, err := c.src.File(*name)
	if err != nil {
		c.unreadable(path, what, *name, err)
	}
	return data, err == nil
}

// unreadable says why a file cannot be read, and what to do.
func (c *checker) unreadable(path, what, name string, err error) {
	advice := "look at the path"
	switch {
	case errors.Is(err, fs.ErrNotExist):
		advice = "write the path of one that is there"
	case errors.Is(err, fs.ErrPermission):
		advice = "let the user that the server runs as read it"
	}
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		err = pe.Err
	}
	c.fail(path, "%s file %s: %v; %s", what, name, err, advice)
}

// Certificates says which certificates that the configuration names are over or
// will soon be: sentences that begin with the path of the key. One that is over
// is no mistake of the file, and the server can start with it; but whoever
// verifies it will not connect.
func (c *Config) Certificates(now time.Time) (over, soon []string) {
	look := func(path, file, advice string) {
		until, err := validUntil(file)
		switch {
		case err != nil: // it was there a moment ago
		case !now.Before(until):
			over = append(over, fmt.Sprintf("%s: the certificate in %s has expired on %s; %s", path, file, until.UTC().Format(time.DateOnly), advice))
		case now.Add(renewBefore).After(until):
			soon = append(soon, fmt.Sprintf("%s: the certificate in %s expires on %s; %s", path, file, until.UTC().Format(time.DateOnly), advice))
		}
	}
	if c.SIP.TLS.Cert != "" {
		look("sip.tls.cert", c.SIP.TLS.Cert, "put a new one there with its key, which a running server takes by itself")
	}
	for i := range c.Trunks {
		if ca := c.Trunks[i].TLS.CA; ca != "" {
			look(fmt.Sprintf("trunks[%d].tls.ca", i), ca, "ask the provider for the new one of its authority")
		}
	}
	return over, soon
}

// validUntil is the end of the first certificate in a file.
func validUntil(file string) (time.Time, error) {
	data, err := readLimited(file, maxCertificates)
	if err != nil {
		return time.Time{}, err
	}
	for {
		block, rest := pem.Decode(data)
		if block == nil {
			return time.Time{}, os.ErrInvalid
		}
		if block.Type == "CERTIFICATE" {
			cert, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return time.Time{}, err
			}
			return cert.NotAfter, nil
		}
		data = rest
	}
}

// Roots are the authorities that a trunk's certificate is verified with, nil
// for those of this machine.
func (t *TrunkTLS) Roots() (*x509.CertPool, error) {
	if t.CA == "" {
		return nil, nil
	}
	data, err := readLimited(t.CA, maxCertificates)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(data) {
		return nil, fmt.Errorf("%s has no certificate", t.CA)
	}
	return pool, nil
}
