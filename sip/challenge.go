package sip

import (
	"cmp"
	"crypto/hmac"
	"crypto/md5"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"io"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	sipmsg "github.com/emiago/sipgo/sip"
	"github.com/icholy/digest"
)

// Realm is what phones are asked for a password of. It is part of every HA1, so
// that it never changes.
const Realm = "perezvon"

// Digest says with which algorithms a phone is challenged.
type Digest string

// Algorithms of challenges. Old phones refuse a challenge they do not know, even
// where another one stands beside it, so MD5 alone is the default.
const (
	DigestMD5    Digest = "md5"
	DigestSHA256 Digest = "sha256"
	DigestBoth   Digest = "both" // SHA-256 first (RFC 8760 section 2.4)
)

// HA1 are the secrets of a phone as digest uses them: hex hashes of
// user:realm:password (RFC 7616 section 3.4.2). The zero HA1 is that of a phone
// without a password.
type HA1 struct{ MD5, SHA256 string }

// MakeHA1 hashes a password. It is the one place that sees it.
func MakeHA1(user, realm, password string) HA1 {
	text := []byte(user + ":" + realm + ":" + password)
	short, long := md5.Sum(text), sha256.Sum256(text)
	return HA1{MD5: hex.EncodeToString(short[:]), SHA256: hex.EncodeToString(long[:])}
}

// IsZero reports whether there is no password.
func (h HA1) IsZero() bool { return h == HA1{} }

const (
	nonceLife = 5 * time.Minute
	nonceHead = 8 + 6 // the time, and what makes two of one millisecond differ
	nonceSize = nonceHead + sha256.Size/2
	// maxNonces bounds the nonces of one extension whose count is remembered.
	maxNonces = 64
	// maxCredentials bounds what is parsed of a stranger's header, in bytes.
	maxCredentials = 4 << 10
)

// challenger asks phones for their password and judges the answers. A nonce
// says by itself when and to whom it was given out, so that asking costs no
// memory. What is remembered is how often a nonce was used by somebody who knew
// the password: credentials that were overheard are good for nothing. Every
// extension has room of its own, so that none takes that of another.
type challenger struct {
	secret []byte
	decoy  HA1 // is hashed for who does not exist, so that it takes as long

	mu    sync.Mutex
	used  map[string]*uses // guarded by mu; by extension
	swept time.Time        // guarded by mu; when uses were last looked through
}

// uses are the nonces that an extension has used.
type uses struct {
	all []use
	// forgotten is when the latest of those was given out for which there was no
	// room any more. One of before, if it is not among all, may have been used.
	forgotten time.Time
}

// use is the last one of a nonce.
type use struct {
	nonce string
	given time.Time
	count uint64
}

func newChallenger(secret []byte) *challenger {
	decoy := MakeHA1("", "", hex.EncodeToString(keyed(secret, "decoy")))
	return &challenger{secret: secret, decoy: decoy, used: make(map[string]*uses)}
}

// nonce is base64(time | random | HMAC(secret, time | random | address)).
func (c *challenger) nonce(to netip.Addr, now time.Time) string {
	var b [nonceSize]byte
	binary.BigEndian.PutUint64(b[:8], uint64(now.UnixMilli()))
	_, _ = rand.Read(b[8:nonceHead]) // never fails
	copy(b[nonceHead:], c.seal(b[:nonceHead], to))
	return base64.RawURLEncoding.EncodeToString(b[:])
}

func (c *challenger) seal(head []byte, to netip.Addr) []byte {
	ip := to.As16()
	return keyed(c.secret, "nonce", string(head), string(ip[:]))[:nonceSize-nonceHead]
}

// keyed is an HMAC of parts whose lengths follow from their number and order.
func keyed(secret []byte, parts ...string) []byte {
	mac := hmac.New(sha256.New, secret)
	for _, p := range parts {
		_, _ = io.WriteString(mac, p)
	}
	return mac.Sum(nil)
}

// fresh reports whether a nonce was given to the address, and not too long ago,
// and when.
func (c *challenger) fresh(nonce string, from netip.Addr, now time.Time) (given time.Time, ok bool) {
	var b [nonceSize]byte
	if len(nonce) != base64.RawURLEncoding.EncodedLen(nonceSize) {
		return given, false
	}
	// Line breaks, which base64 passes over, leave less than all bytes.
	if n, err := base64.RawURLEncoding.Decode(b[:], []byte(nonce)); err != nil || n != nonceSize {
		return given, false
	}
	if !hmac.Equal(b[nonceHead:], c.seal(b[:nonceHead], from)) {
		return given, false
	}
	given = time.UnixMilli(int64(binary.BigEndian.Uint64(b[:8])))
	age := now.Sub(given)
	return given, age >= -time.Second && age < nonceLife
}

// standing is what credentials came to.
type standing int

const (
	credAbsent standing = iota // there are none for our realm
	credStale                  // the nonce is not good (any more): the password was not looked at
	credWrong                  // no such user, or another password
	credGood                   // the password is known
	credAstray                 // the same, and they are for another request than this one
)

// findSecret returns how a user is challenged, and the secret of one who has a
// password.
type findSecret func(user string) (ha1 HA1, kind Digest, known bool)

// claim is what a request says of who sends it.
type claim struct {
	user string // of the credentials; empty without any
	standing
	nonce string
	given time.Time // when the nonce was given out
	count uint64    // of the nonce; 0: the phone does not count
	// otherwise says that another algorithm was used than those of the challenge.
	otherwise bool
}

// judge reads the credentials of a request. It changes nothing: see use.
//
// A nonce that is not fresh makes the answer stale, whatever the password:
// otherwise an invented nonce would tell good guesses from bad ones, uncounted.
func (c *challenger) judge(req *sipmsg.Request, name string, from netip.Addr, find findSecret, now time.Time) claim {
	value := ours(req, name)
	if value == "" {
		return claim{}
	}
	cred, err := digest.ParseCredentials(value)
	if err != nil {
		return claim{}
	}
	one := claim{user: plainText(cred.Username), nonce: cred.Nonce, standing: credWrong}
	var ok bool
	if one.given, ok = c.fresh(cred.Nonce, from, now); !ok {
		one.standing = credStale
		return one
	}
	ha1, accepted, known := find(cred.Username)
	if !known {
		ha1 = c.decoy
	}
	key, algorithm := ha1.MD5, strings.ToUpper(cmp.Or(cred.Algorithm, "MD5"))
	if algorithm == "SHA-256" {
		key = ha1.SHA256
	}
	one.otherwise = !slices.Contains(accepted.algorithms(), algorithm)
	good := known && !one.otherwise
	nc := digestValue(cutScheme(value), "nc") // as it was written, since that is what was hashed
	if cred.QOP != "" {
		var bad error
		if one.count, bad = strconv.ParseUint(nc, 16, 32); bad != nil || one.count == 0 || !strings.EqualFold(cred.QOP, "auth") || cred.Cnonce == "" {
			return one
		}
	}
	want := answer(algorithm, key, string(req.Method), nc, cred)
	same := subtle.ConstantTimeCompare([]byte(want), []byte(strings.ToLower(cred.Response))) == 1
	switch {
	case !same || !good:
	case !sameResource(cred.URI, &req.Recipient):
		one.standing = credAstray
	default:
		one.standing = credGood
	}
	return one
}

// answer is the response that the credentials should have (RFC 7616 section
// 3.4.1, RFC 2069 without qop).
func answer(algorithm, ha1, method, nc string, cred *digest.Credentials) string {
	hash := func(parts ...string) string {
		text := []byte(strings.Join(parts, ":"))
		if algorithm == "SHA-256" {
			sum := sha256.Sum256(text)
			return hex.EncodeToString(sum[:])
		}
		sum := md5.Sum(text)
		return hex.EncodeToString(sum[:])
	}
	ha2 := hash(method, cred.URI)
	if cred.QOP == "" {
		return hash(ha1, cred.Nonce, ha2)
	}
	return hash(ha1, cred.Nonce, nc, cred.Cnonce, cred.QOP, ha2)
}

// use takes good credentials and reports whether it was for the first time: the
// count of a nonce has to rise, and who does not count may use it once. Where it
// is not sure, the answer is no: the phone gets another nonce.
func (c *challenger) use(one claim, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sweep(now)
	u := c.used[one.user]
	if u == nil {
		u = &uses{}
		c.used[one.user] = u
	}
	if i := slices.IndexFunc(u.all, func(last use) bool { return last.nonce == one.nonce }); i >= 0 {
		if last := &u.all[i]; one.count > last.count {
			last.count = one.count
			return true
		}
		return false
	}
	if !one.given.After(u.forgotten) {
		return false
	}
	if len(u.all) == maxNonces {
		oldest := 0
		for i := range u.all {
			if u.all[i].given.Before(u.all[oldest].given) {
				oldest = i
			}
		}
		if one.given.Before(u.all[oldest].given) {
			return false
		}
		u.forgotten = u.all[oldest].given
		u.all = slices.Delete(u.all, oldest, oldest+1)
	}
	u.all = append(u.all, use{nonce: strings.Clone(one.nonce), given: one.given, count: one.count})
	return true
}

// sweep forgets, now and then, nonces that are not fresh any more. c.mu is held.
func (c *challenger) sweep(now time.Time) {
	if now.Sub(c.swept) < nonceLife {
		return
	}
	c.swept = now
	past := func(given time.Time) bool { return now.Sub(given) >= nonceLife }
	for ext, u := range c.used {
		u.all = slices.DeleteFunc(u.all, func(one use) bool { return past(one.given) })
		if len(u.all) == 0 && past(u.forgotten) {
			delete(c.used, ext)
		}
	}
}

// ask returns the challenges for a 401 or 407.
func (c *challenger) ask(name string, kind Digest, to netip.Addr, isStale bool, now time.Time) []sipmsg.Header {
	one := digest.Challenge{Realm: Realm, Nonce: c.nonce(to, now), Stale: isStale, QOP: []string{"auth"}}
	var all []sipmsg.Header
	for _, algorithm := range kind.algorithms() {
		one.Algorithm = algorithm
		all = append(all, sipmsg.NewHeader(name, one.String()))
	}
	return all
}

func (d Digest) algorithms() []string {
	switch d {
	case DigestSHA256:
		return []string{"SHA-256"}
	case DigestBoth:
		return []string{"SHA-256", "MD5"}
	}
	return []string{"MD5"}
}

// ours returns the first credentials of a request for our realm, empty without
// any: a request may carry those for others on its way.
func ours(req *sipmsg.Request, name string) string {
	for _, h := range headersOf(req, name) {
		value := h.Value()
		if len(value) > maxCredentials || !digest.IsDigest(value) {
			continue
		}
		if digestValue(cutScheme(value), "realm") == Realm {
			return value
		}
	}
	return ""
}

func cutScheme(value string) string {
	rest, _ := digest.CutPrefix(value)
	return rest
}

// sameResource reports whether the digest's URI names what the request is sent
// to: the same user at the same host. Phones differ in whether they repeat port
// and parameters there.
func sameResource(uri string, at *sipmsg.Uri) bool {
	if uri == at.String() {
		return true
	}
	u, err := parseURI(uri)
	return err == nil && userOf(u.User) == userOf(at.User) && strings.EqualFold(u.Host, at.Host)
}
