package lab

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"
)

// Suite is a way to encrypt sound (RFC 4568), by its name in SDP.
type Suite string

// The suites that parties may have.
const (
	AESCM  Suite = "AES_CM_128_HMAC_SHA1_80"
	AESGCM Suite = "AEAD_AES_128_GCM" // RFC 7714
)

// Encrypt lets the party speak with one of the suites, the first preferred,
// or not at all: its profile is RTP/SAVP.
func Encrypt(suites ...Suite) Step {
	return setting("encrypt", func(s *settings) { s.suites, s.mustEncrypt = suites, true })
}

// MayEncrypt lets the party speak with one of the suites where the other side
// does too: it offers RTP/AVP with keys (RFC 8643).
func MayEncrypt(suites ...Suite) Step {
	return setting("may encrypt", func(s *settings) { s.suites = suites })
}

// ReinviteRekeyed sends a re-INVITE with fresh keys.
func ReinviteRekeyed() Step {
	return talking("re-INVITE with new keys", func(ctx context.Context, p *Party) error {
		p.forgetKeys()
		return p.Reinvite(ctx, true)
	})
}

// forgetKeys makes our next offer have fresh keys.
func (p *Party) forgetKeys() {
	p.c.mu.Lock()
	defer p.c.mu.Unlock()
	p.keys = nil
	p.audio.mu.Lock()
	defer p.audio.mu.Unlock()
	p.audio.rekeying = true
}

// cryptoLine is one a=crypto.
type cryptoLine struct {
	tag   int
	suite Suite
	key   []byte // master key and salt
}

// keyLength is that of master key and salt, 0 for a suite unknown here.
func (s Suite) keyLength() int {
	return map[Suite]int{AESCM: 16 + 14, AESGCM: 16 + 12}[s]
}

func (l cryptoLine) String() string {
	return fmt.Sprintf("%d %s inline:%s", l.tag, l.suite, base64.StdEncoding.EncodeToString(l.key))
}

// parseCrypto reads the value of an a=crypto attribute.
func parseCrypto(value string) (cryptoLine, error) {
	f := strings.Split(value, " ")
	if len(f) != 3 {
		return cryptoLine{}, fmt.Errorf("a=crypto with %d fields, not tag, suite and key", len(f))
	}
	tag, err := strconv.Atoi(f[0])
	if err != nil || tag < 0 || len(f[0]) > 9 {
		return cryptoLine{}, fmt.Errorf("a=crypto with tag %q", f[0])
	}
	text, ok := strings.CutPrefix(f[2], "inline:")
	if !ok {
		return cryptoLine{}, fmt.Errorf("a=crypto %d without inline key", tag)
	}
	key, err := base64.StdEncoding.DecodeString(text)
	if want := Suite(f[1]).keyLength(); err != nil || want != 0 && len(key) != want {
		return cryptoLine{}, fmt.Errorf("a=crypto %d: key of %d bytes for %s", tag, len(key), f[1])
	}
	return cryptoLine{tag, Suite(f[1]), key}, nil
}

// context is the state of one direction.
func (l cryptoLine) context() *srtp.Context {
	profile := srtp.ProtectionProfileAes128CmHmacSha1_80
	if l.suite == AESGCM {
		profile = srtp.ProtectionProfileAeadAes128Gcm
	}
	c, err := srtp.CreateContext(l.key[:16], l.key[16:], profile, srtp.SRTPReplayProtection(64), srtp.SRTCPReplayProtection(64))
	if err != nil {
		panic(err) // the lengths are right
	}
	return c
}

// security is what two sides have agreed to encrypt with.
type security struct {
	own, theirs cryptoLine
	in, out     *srtp.Context // guarded by the audio's mu
}

// ownLine is our line of a suite, whose key stays until keys is emptied. c.mu
// is held, as in all methods here.
func (p *Party) ownLine(tag int, s Suite) cryptoLine {
	if p.keys == nil {
		p.keys = make(map[Suite][]byte)
	}
	if p.keys[s] == nil {
		p.keys[s] = make([]byte, s.keyLength())
		_, _ = rand.Read(p.keys[s]) // never fails
	}
	return cryptoLine{tag, s, p.keys[s]}
}

// protection is the profile and the a=crypto lines of our next description.
func (p *Party) protection(offer bool) (profile string, lines []cryptoLine) {
	switch {
	case !offer && p.security == nil:
		return "RTP/AVP", nil
	case !offer:
		return p.remote.profile, []cryptoLine{p.ownLine(p.security.own.tag, p.security.own.suite)}
	}
	for i, s := range p.set.suites {
		lines = append(lines, p.ownLine(i+1, s))
	}
	if p.set.mustEncrypt {
		return "RTP/SAVP", lines
	}
	return "RTP/AVP", lines
}

// protect agrees to the keys of a description and reports whether we may speak
// on its terms.
func (p *Party) protect(m *Message, d *Description, answer bool) bool {
	p.checkKeys(m, d)
	line, own := cryptoLine{}, cryptoLine{}
	if answer {
		profile, offered := p.protection(true)
		if d.profile != profile {
			p.c.blame(m, "sdp: %s answered with %s", profile, d.profile)
		}
		if len(d.crypto) > 1 || len(d.crypto) > 0 && len(offered) == 0 {
			p.c.blame(m, "sdp: %d lines of a=crypto in the answer to %d", len(d.crypto), len(offered))
		}
		if len(d.crypto) == 1 {
			line = d.crypto[0]
			i := slices.IndexFunc(offered, func(o cryptoLine) bool { return o.tag == line.tag && o.suite == line.suite })
			if i < 0 {
				p.c.blame(m, "sdp: a=crypto %d %s was not offered", line.tag, line.suite)
				return false
			}
			own = offered[i]
		}
	} else if i := slices.IndexFunc(d.crypto, func(o cryptoLine) bool { return slices.Contains(p.set.suites, o.suite) }); i >= 0 {
		line = d.crypto[i]
		own = p.ownLine(line.tag, line.suite)
	}
	if line.suite == "" {
		p.security = nil
		return d.profile == "RTP/AVP" && !p.set.mustEncrypt
	}
	s := &security{own: own, theirs: line}
	if old := p.security; old != nil && old.theirs.suite == line.suite && bytes.Equal(old.theirs.key, line.key) {
		s.in = old.in
	} else {
		s.in = line.context()
	}
	if old := p.security; old != nil && old.own.suite == own.suite && bytes.Equal(old.own.key, own.key) {
		s.out = old.out
	} else {
		s.out = own.context()
	}
	p.security = s
	return true
}

// checkKeys holds the keys of a description against RFC 4568: tags are
// different, and no key is one of ours or of another call.
func (p *Party) checkKeys(m *Message, d *Description) {
	if d.profile == "RTP/SAVP" && len(d.crypto) == 0 {
		p.c.blame(m, "sdp: RTP/SAVP without a=crypto")
	}
	for i, l := range d.crypto {
		if slices.ContainsFunc(d.crypto[:i], func(o cryptoLine) bool { return o.tag == l.tag || bytes.Equal(o.key, l.key) }) {
			p.c.blame(m, "sdp: two lines of a=crypto with one tag or key")
		}
		if bytes.Equal(l.key, p.keys[l.suite]) {
			p.c.blame(m, "sdp: our own key in a=crypto")
		}
		if call, seen := p.c.secrets[string(l.key)]; seen && call != p.callID {
			p.c.blame(m, "sdp: a=crypto with the key of another call")
		}
		if p.c.secrets == nil {
			p.c.secrets = make(map[string]string)
		}
		p.c.secrets[string(l.key)] = p.callID
	}
}

// Encrypted is the suite that the party speaks with at present, empty for
// plain sound.
func (p *Party) Encrypted() Suite {
	p.c.mu.Lock()
	defer p.c.mu.Unlock()
	if p.security == nil {
		return ""
	}
	return p.security.own.suite
}

// encrypt takes what was agreed. Packets of the agreement before it may be
// under way for a moment. a.mu is held.
func (a *audio) encrypt(s *security, now time.Time) {
	a.rekeying = false
	if a.remote.IsValid() && (a.security != nil) != (s != nil) || s != nil && a.security != nil && s.in != a.security.in {
		a.before, a.since = a.security, now
	}
	a.security = s
}

// errUnderWay is a packet of an agreement that was changed meanwhile.
var errUnderWay = errors.New("encrypted with a key that is not known any more, or not yet")

// open decrypts a packet of RTP or RTCP as it was agreed, or was a moment ago.
// a.mu is held.
func (a *audio) open(raw []byte, now time.Time, decrypt func(*srtp.Context, []byte) ([]byte, error)) ([]byte, error) {
	recent := !a.since.IsZero() && now.Sub(a.since) <= goodbye+a.patience(now)
	if a.security == nil {
		if recent {
			return nil, errUnderWay
		}
		return raw, nil
	}
	out, err := decrypt(a.security.in, raw)
	switch {
	case err == nil:
		return out, nil
	case recent && a.before != nil:
		if out, err := decrypt(a.before.in, raw); err == nil {
			return out, nil
		}
	}
	if recent || a.rekeying {
		return nil, errUnderWay
	}
	return nil, fmt.Errorf("not encrypted as agreed: %w", err)
}

// openRTP is open for sound. One that cannot be read any more, or not yet, is
// not missed.
func (a *audio) openRTP(raw []byte, now time.Time) ([]byte, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	out, err := a.open(raw, now, func(c *srtp.Context, b []byte) ([]byte, error) { return c.DecryptRTP(nil, b, nil) })
	var h rtp.Header
	if errors.Is(err, errUnderWay) {
		if _, bad := h.Unmarshal(raw); bad == nil && h.SSRC == a.in.ssrc {
			a.in.sequence = h.SequenceNumber
		}
	}
	return out, err
}

func (a *audio) openRTCP(raw []byte, now time.Time) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	_, err := a.open(raw, now, func(c *srtp.Context, b []byte) ([]byte, error) { return c.DecryptRTCP(nil, b, nil) })
	return err
}
