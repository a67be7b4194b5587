package media

import (
	"encoding/base64"
	"fmt"
	"testing"

	"github.com/pion/srtp/v3"

	"perezvon/media/sdp"
)

// crypt is the encryption of a phone.
type crypt struct {
	profile string     // of its descriptions
	own     sdp.Crypto // what it encrypts with
	out, in *srtp.Context
	theirs  sdp.Crypto
	strange int // packets that could not be opened
}

// encrypt gives the phone a fresh key for its next description.
func (p *phone) encrypt(profile string, suite sdp.Suite) {
	p.mu.Lock()
	defer p.mu.Unlock()
	old := p.crypt
	p.crypt = &crypt{profile: profile, own: sdp.NewCrypto(1, suite)}
	p.crypt.out = context1(p.t, p.crypt.own)
	if old != nil {
		p.crypt.in, p.crypt.theirs = old.in, old.theirs
	}
}

func context1(tb testing.TB, key sdp.Crypto) *srtp.Context {
	tb.Helper()
	var c *srtp.Context
	if err := contexts(key, &c); err != nil {
		tb.Fatal(err)
	}
	return c
}

// cryptoLine is a key as an attribute, line break and all.
func cryptoLine(c sdp.Crypto) string {
	return fmt.Sprintf("a=crypto:%d %v inline:%s\r\n", c.Tag, c.Suite, base64.StdEncoding.EncodeToString(append(c.Key(), c.Salt()...)))
}

// encryption is the profile of the phone's descriptions and its key.
func (p *phone) encryption() (profile, line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.crypt == nil {
		return "RTP/AVP", ""
	}
	return p.crypt.profile, cryptoLine(p.crypt.own)
}

// terms pick the line of our description that suits the phone.
func (c *crypt) terms(codec Codec) sdp.Terms {
	t := sdp.Terms{Codecs: []Codec{codec}}
	if c != nil {
		t.Security, t.Answer = sdp.Mandatory, true
		for tag := range 10 {
			t.Keys = append(t.Keys, sdp.Crypto{Tag: tag, Suite: c.own.Suite})
		}
	}
	return t
}

// aim takes our key.
func (c *crypt) aim(tb testing.TB, theirs sdp.Crypto) {
	tb.Helper()
	if c == nil {
		return
	}
	c.own.Tag = theirs.Tag
	if !c.theirs.Same(theirs) {
		c.theirs, c.in = theirs, context1(tb, theirs)
	}
}

func (c *crypt) seal(tb testing.TB, b []byte) []byte {
	if c == nil {
		return b
	}
	b, err := c.out.EncryptRTP(nil, b, nil)
	if err != nil {
		tb.Error(err)
	}
	return b
}

// open is a packet that the phone received, decrypted.
func (p *phone) open(b []byte) ([]byte, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.crypt == nil {
		return b, true
	}
	if p.crypt.in != nil {
		if out, err := p.crypt.in.DecryptRTP(nil, b, nil); err == nil {
			return out, true
		}
	}
	p.crypt.strange++
	return nil, false
}

// strange is how many packets could not be opened so far.
func (p *phone) strange() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.crypt.strange
}
