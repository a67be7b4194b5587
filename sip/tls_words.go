package sip

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"
)

// untrustedError is why a connection over TLS did not come about, in words for
// whoever looks after the telephones. What crypto/tls says of it is meant for
// others and is not told.
type untrustedError struct{ words string }

// Error implements error.
func (e *untrustedError) Error() string { return e.words }

// unshaken explains a handshake of ours with a phone that failed. There is no
// provider to ask, and nothing of it has to be believed.
func unshaken(err error) error {
	switch text := err.Error(); {
	case isTimeout(err):
		return err // which is silence, as over TCP
	case errors.As(err, new(tls.RecordHeaderError)):
		return &untrustedError{"it does not speak TLS at this port"}
	case strings.Contains(text, "protocol version"):
		return &untrustedError{"it speaks no TLS 1.2 or newer, and older versions are not safe; see whether it has newer software"}
	case strings.Contains(text, "certificate required"):
		return &untrustedError{phoneWantsOurs}
	case alerted(err):
		return &untrustedError{"it refuses the TLS handshake (" + strings.TrimPrefix(text, remoteAlert) + ")"}
	case ended(err):
		return &untrustedError{"it ends the connection during the TLS handshake"}
	}
	return err
}

// untrusted explains a handshake of ours with a trunk that failed. name is what
// the certificate should be for.
func untrusted(err error, name string) error {
	if words := badCertificate(err, name); words != "" {
		return &untrustedError{words}
	}
	switch text := err.Error(); {
	case isTimeout(err):
		return err // which is silence, as over TCP
	case errors.As(err, new(tls.RecordHeaderError)):
		return &untrustedError{"it does not speak TLS at this port; check the port and trunks[].transport"}
	case strings.Contains(text, "protocol version"):
		return &untrustedError{"it speaks no TLS 1.2 or newer, and older versions are not safe; ask the provider for another server"}
	case strings.Contains(text, "certificate required"):
		return &untrustedError{wantsOurs}
	case strings.Contains(text, "unrecognized name"):
		return &untrustedError{fmt.Sprintf("it does not know the name %s; write the name of its certificate in trunks[].tls.server_name", name)}
	case alerted(err):
		return &untrustedError{"it refuses the TLS handshake (" + strings.TrimPrefix(text, remoteAlert) + "); ask the provider what it expects"}
	case ended(err):
		return &untrustedError{"it ends the connection during the TLS handshake; check the port and trunks[].transport"}
	}
	return err
}

const (
	wantsOurs = "it wants a certificate of ours, which is not supported; ask the provider for a login by password"
	// phoneWantsOurs is the same of a phone.
	phoneWantsOurs = "it wants a certificate of ours, which is not supported; switch that off at the phone"
	remoteAlert    = "remote error: tls: "
)

// wishes says that whoever we have connected to wants a certificate of ours. t is
// nil where that is a phone.
func wishes(t *trunk) error {
	if t == nil {
		return &untrustedError{phoneWantsOurs}
	}
	return &untrustedError{wantsOurs}
}

// alerted reports whether the far side has ended TLS, and said why.
func alerted(err error) bool { return strings.HasPrefix(err.Error(), remoteAlert) }

// badCertificate explains what is wrong with a certificate, empty if it is
// something else.
func badCertificate(err error, name string) string {
	if host, ok := errors.AsType[x509.HostnameError](err); ok {
		return fmt.Sprintf("its certificate is for %s and not for %s; if that is the provider's, write it in trunks[].tls.server_name",
			namesOf(host.Certificate), name)
	}
	if unknown, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return fmt.Sprintf("its certificate is signed by %s, whom this machine does not trust; name the authority's certificate in trunks[].tls.ca",
			signer(unknown.Cert))
	}
	invalid, ok := errors.AsType[x509.CertificateInvalidError](err)
	switch {
	case !ok:
		return ""
	case invalid.Reason == x509.Expired && invalid.Cert != nil && time.Now().Before(invalid.Cert.NotBefore):
		return fmt.Sprintf("its certificate is valid from %s on; check the clock of this machine", day(invalid.Cert.NotBefore))
	case invalid.Reason == x509.Expired && invalid.Cert != nil:
		return fmt.Sprintf("its certificate has expired on %s; ask the provider to renew it, and check the clock of this machine", day(invalid.Cert.NotAfter))
	}
	return "its certificate cannot be used (" + invalid.Error() + "); ask the provider"
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// namesOf is whom a certificate is for, as far as it fits on a line.
func namesOf(c *x509.Certificate) string {
	const most = 3
	if c == nil {
		return "nobody"
	}
	var names []string
	names = append(names, c.DNSNames...)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) == 0 {
		names = append(names, "no host, only for "+c.Subject.CommonName)
	}
	if len(names) > most {
		names = append(names[:most], fmt.Sprintf("%d more", len(names)-most))
	}
	return plainText(strings.Join(names, ", "))
}

func signer(c *x509.Certificate) string {
	switch {
	case c == nil:
		return "somebody"
	case c.Issuer.CommonName == c.Subject.CommonName:
		return "itself"
	}
	return plainText(c.Issuer.CommonName)
}

// distrusted explains a handshake of somebody who connected, for the log.
func distrusted(err error) string {
	text := err.Error()
	switch {
	case errors.Is(err, errHandshake), errors.Is(err, errCrowded):
		return text
	case errors.As(err, new(tls.RecordHeaderError)):
		return "it does not speak TLS; who speaks plain SIP over TCP needs a tcp:// address of sip.listen"
	case strings.Contains(text, "unsupported versions"), strings.Contains(text, "protocol version"):
		return "it speaks no TLS 1.2 or newer, and older versions are not safe; see whether it has newer software"
	case strings.Contains(text, "unknown certificate"), strings.Contains(text, "bad certificate"), strings.Contains(text, "certificate expired"),
		strings.Contains(text, "unknown authority"), strings.Contains(text, "certificate unknown"):
		return "it does not trust the certificate of sip.tls.cert (" + strings.TrimPrefix(text, remoteAlert) +
			"); give it the certificate of the authority that signed ours, and the name that ours is for"
	case ended(err):
		return "it went away during the handshake"
	}
	return innermost(err).Error()
}

func ended(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed)
}

func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }
