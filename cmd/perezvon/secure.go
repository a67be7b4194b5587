package main

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"time"

	"perezvon/configs"
	"perezvon/sip"
)

// secureSIP gives signalling its certificate, and what trunks over TLS are
// verified with.
func secureSIP(cfg *configs.Config, c *sip.Config, log *slog.Logger) error {
	if own := cfg.SIP.TLS; own.Cert != "" {
		certificate, err := sip.LoadCertificate(own.Cert, own.Key, log)
		if err != nil {
			return fmt.Errorf("sip.tls: %w", err)
		}
		c.TLS = &tls.Config{GetCertificate: certificate.Get, MinVersion: tls.VersionTLS12}
	}
	return secureTrunks(cfg, c.Trunks)
}

// secureTrunks says what the trunks over TLS are verified with. They are those
// of the configuration, in its order.
func secureTrunks(cfg *configs.Config, trunks []sip.Trunk) error {
	for i := range cfg.Trunks {
		verified, err := trunkTLS(&cfg.Trunks[i])
		if err != nil {
			return fmt.Errorf("trunks[%d].tls.ca: %w", i, err)
		}
		trunks[i].TLS = verified
	}
	return nil
}

// trunkTLS is what a trunk over TLS is verified with, nil over anything else.
func trunkTLS(t *configs.Trunk) (*tls.Config, error) {
	if t.Transport != "tls" {
		return nil, nil
	}
	roots, err := t.TLS.Roots()
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		RootCAs: roots, ServerName: t.TLS.ServerName, MinVersion: tls.VersionTLS12,
		InsecureSkipVerify: !t.TLS.Verified(), //nolint:gosec // who writes verify: false is warned
	}, nil
}

// tellCertificates logs certificates that are over, or soon will be.
func tellCertificates(cfg *configs.Config, log *slog.Logger) {
	over, soon := cfg.Certificates(time.Now())
	for _, words := range over {
		log.Error("a certificate has expired: whoever verifies it does not connect", "what", words)
	}
	for _, words := range soon {
		log.Warn("a certificate expires soon", "what", words)
	}
}
