package sdp

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Security says whether the sound of a leg is encrypted (SRTP, RFC 3711) with
// keys that cross in the descriptions (RFC 4568).
type Security uint8

// The modes.
const (
	// Off offers and accepts plain sound alone.
	Off Security = iota
	// Preferred offers RTP/AVP with keys (RFC 8643), which the other side may
	// use or not, and accepts everything.
	Preferred
	// Mandatory offers RTP/SAVP and accepts nothing without keys.
	Mandatory
)

// ParseSecurity finds a mode by its name: off, preferred or mandatory.
func ParseSecurity(name string) (Security, bool) {
	for _, s := range []Security{Off, Preferred, Mandatory} {
		if name == s.String() {
			return s, true
		}
	}
	return Off, false
}

// String is the mode's name.
func (s Security) String() string {
	return [...]string{"off", "preferred", "mandatory", ""}[min(s, Mandatory+1)]
}

// Suite is a way to encrypt and authenticate sound. The zero value is none.
type Suite uint8

// The suites.
const (
	// AESCM is AES_CM_128_HMAC_SHA1_80 (RFC 4568, section 6.2.1), which every
	// phone with SRTP has.
	AESCM Suite = iota + 1
	// AESGCM is AEAD_AES_128_GCM (RFC 7714).
	AESGCM
)

// suites are those we offer, in order of preference: some phones look at the
// first alone.
var suites = [...]Suite{AESCM, AESGCM}

// String is the suite's name in a=crypto, empty for none.
func (s Suite) String() string {
	switch s {
	case AESCM:
		return "AES_CM_128_HMAC_SHA1_80"
	case AESGCM:
		return "AEAD_AES_128_GCM"
	}
	return ""
}

// KeyLen and SaltLen are the lengths in bytes of the suite's master key and
// salt.
func (s Suite) KeyLen() int { return 16 }

// SaltLen is the length of the master salt.
func (s Suite) SaltLen() int {
	if s == AESGCM {
		return 12
	}
	return 14
}

// Secret is a master key with its salt. It prints as a word that gives nothing
// away.
type Secret struct{ bytes string }

// String hides the secret.
func (Secret) String() string { return "(secret)" }

// GoString hides the secret.
func (Secret) GoString() string { return "(secret)" }

// Crypto is one line of a=crypto: with what its writer encrypts. The zero
// value is none.
type Crypto struct {
	Tag    int // number of the line, 0 to 999999999
	Suite  Suite
	Secret Secret
}

// NewCrypto makes a line with a fresh secret.
func NewCrypto(tag int, s Suite) Crypto {
	b := make([]byte, s.KeyLen()+s.SaltLen())
	_, _ = rand.Read(b) // never fails
	return Crypto{Tag: tag, Suite: s, Secret: Secret{string(b)}}
}

// NewOffer makes the lines of an offer: every suite with a fresh secret.
func NewOffer() []Crypto {
	lines := make([]Crypto, len(suites))
	for i, s := range suites {
		lines[i] = NewCrypto(i+1, s)
	}
	return lines
}

// Same reports whether two lines encrypt alike, whatever their tags.
func (c Crypto) Same(other Crypto) bool { return c.Suite == other.Suite && c.Secret == other.Secret }

// Key is the master key.
func (c Crypto) Key() []byte { return []byte(c.Secret.bytes[:c.Suite.KeyLen()]) }

// Salt is the master salt.
func (c Crypto) Salt() []byte { return []byte(c.Secret.bytes[c.Suite.KeyLen():]) }

// attribute is the value of the a=crypto attribute.
func (c Crypto) attribute() string {
	return fmt.Sprintf("%d %v inline:%s", c.Tag, c.Suite, base64.StdEncoding.EncodeToString([]byte(c.Secret.bytes)))
}

// maxCrypto bounds the lines of a stream that are looked at.
const maxCrypto = 16

// Reasons why a line cannot be used. None of them holds a part of a key.
var (
	errCryptoSyntax = errors.New("a=crypto cannot be read")
	errCryptoSuite  = errors.New("no suite of a=crypto is known here")
	errCryptoKey    = errors.New("the key in a=crypto has a wrong length or form")
	errCryptoMKI    = errors.New("a=crypto with several keys or a key identifier (MKI) is not supported")
	errCryptoParam  = errors.New("a=crypto has a session parameter that is not supported")
	errCryptoNone   = errors.New("RTP/SAVP without a=crypto")
	errCryptoAnswer = errors.New("a=crypto of the answer is none of those offered")
)

// parseCrypto reads the value of an a=crypto attribute:
//
//	1 AES_CM_128_HMAC_SHA1_80 inline:KEY|2^20|1:4 FEC_ORDER=FEC_SRTP
//
// The lifetime of a key is not looked at: what is written there is longer than
// calls are, and the suites bear more.
func parseCrypto(value string) (Crypto, error) {
	f := strings.Fields(value)
	if len(f) < 3 || len(f[0]) > 9 {
		return Crypto{}, errCryptoSyntax
	}
	tag, err := strconv.ParseUint(f[0], 10, 32)
	if err != nil {
		return Crypto{}, errCryptoSyntax
	}
	c := Crypto{Tag: int(tag)}
	for _, s := range suites {
		if strings.EqualFold(f[1], s.String()) {
			c.Suite = s
		}
	}
	if c.Suite == 0 {
		return Crypto{}, errCryptoSuite
	}
	if err := c.parseKey(f[2]); err != nil {
		return Crypto{}, err
	}
	for _, p := range f[3:] {
		if !harmless(p) {
			return Crypto{}, errCryptoParam
		}
	}
	return c, nil
}

// parseKey reads "inline:KEY|LIFETIME|MKI:LENGTH" (RFC 4568, section 6.1).
func (c *Crypto) parseKey(param string) error {
	method, info, ok := strings.Cut(param, ":")
	if !ok || !strings.EqualFold(method, "inline") {
		return errCryptoSyntax
	}
	if strings.Contains(info, ";") {
		return errCryptoMKI
	}
	text, rest, _ := strings.Cut(info, "|")
	for rest != "" {
		var part string
		part, rest, _ = strings.Cut(rest, "|")
		if strings.Contains(part, ":") {
			return errCryptoMKI
		}
	}
	// Padding may be there or not.
	b, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(text, "="))
	if err != nil || len(b) != c.Suite.KeyLen()+c.Suite.SaltLen() {
		return errCryptoKey
	}
	c.Secret = Secret{string(b)}
	return nil
}

// harmless reports whether a session parameter may be ignored: the hint about
// the window for repeated packets, a key derivation that is never repeated, and
// what its writer has marked so (RFC 4568, section 6.3.7).
func harmless(param string) bool {
	name, value, _ := strings.Cut(param, "=")
	switch {
	case strings.HasPrefix(name, "-"), strings.EqualFold(name, "WSH"):
		return true
	case strings.EqualFold(name, "KDR"):
		return value == "0"
	}
	return false
}
