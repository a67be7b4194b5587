package lab

import (
	"crypto/md5"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// Credentials are what a carrier asks for before it takes a call (RFC 3261
// section 22).
type Credentials struct {
	Username, Password string
	Realm              string   // default "lab"
	Algorithms         []string // one challenge each, in this order: "MD5" (default), "SHA-256", "SHA-512-256"
	Status             int      // 407 (default) or 401
	NoQOP              bool     // challenges as RFC 2069 did, without qop
}

func (a Credentials) realm() string {
	if a.Realm == "" {
		return "lab"
	}
	return a.Realm
}

func (a Credentials) algorithms() []string {
	if len(a.Algorithms) == 0 {
		return []string{"MD5"}
	}
	return a.Algorithms
}

// names are the status, its phrase and the two header names of the challenge.
func (a Credentials) names() (status int, phrase, challenge, answer string) {
	if a.Status == 401 {
		return 401, "Unauthorized", "WWW-Authenticate", "Authorization"
	}
	return 407, "Proxy Authentication Required", "Proxy-Authenticate", "Proxy-Authorization"
}

// challenges are the header values that ask for a password, all with nonce.
func (a Credentials) challenges(nonce string) []string {
	out := make([]string, 0, len(a.algorithms()))
	for _, alg := range a.algorithms() {
		c := fmt.Sprintf(`Digest realm=%q, nonce=%q, algorithm=%s`, a.realm(), nonce, alg)
		if !a.NoQOP {
			c += `, qop="auth"`
		}
		out = append(out, c)
	}
	return out
}

// check says what is wrong with an answer to a challenge, empty when it is
// right. A wrong answer that is well formed is a wrong password.
func (a Credentials) check(answer string, m *Message, known func(nonce string) bool) (problem string) {
	d, ok := digestParams(answer)
	if !ok {
		return "the scheme is not Digest"
	}
	alg := d["algorithm"]
	if alg == "" {
		alg = "MD5"
	}
	switch {
	case d["realm"] != a.realm():
		return fmt.Sprintf("realm %q was not asked for", d["realm"])
	case !known(d["nonce"]):
		return "the nonce is not ours"
	case d["uri"] != m.URI:
		return fmt.Sprintf("uri is %q, the Request-URI %q", d["uri"], m.URI)
	case !slices.ContainsFunc(a.algorithms(), func(s string) bool { return strings.EqualFold(s, alg) }):
		return fmt.Sprintf("algorithm %q was not offered", alg)
	case !a.NoQOP && (d["qop"] != "auth" || d["nc"] == "" || d["cnonce"] == ""):
		return "qop, nc or cnonce is missing"
	case d["username"] != a.Username || d["response"] != a.response(alg, m.Method, d):
		return wrongPassword
	}
	return ""
}

// digestParams are the parameters of credentials, by lower-case name.
func digestParams(value string) (map[string]string, bool) {
	scheme, rest, _ := strings.Cut(value, " ")
	d := make(map[string]string)
	for _, p := range splitList(rest) {
		k, v, _ := strings.Cut(p, "=")
		d[strings.ToLower(strings.TrimSpace(k))] = strings.Trim(strings.TrimSpace(v), `"`)
	}
	return d, strings.EqualFold(scheme, "Digest")
}

const wrongPassword = "wrong user name or password"

func (a Credentials) response(alg, method string, d map[string]string) string {
	hash := func(s string) string {
		switch strings.ToUpper(alg) {
		case "SHA-256":
			sum := sha256.Sum256([]byte(s))
			return hex.EncodeToString(sum[:])
		case "SHA-512-256":
			sum := sha512.Sum512_256([]byte(s))
			return hex.EncodeToString(sum[:])
		}
		sum := md5.Sum([]byte(s))
		return hex.EncodeToString(sum[:])
	}
	ha1 := hash(a.Username + ":" + a.realm() + ":" + a.Password)
	ha2 := hash(method + ":" + d["uri"])
	if a.NoQOP {
		return hash(ha1 + ":" + d["nonce"] + ":" + ha2)
	}
	return hash(strings.Join([]string{ha1, d["nonce"], d["nc"], d["cnonce"], d["qop"], ha2}, ":"))
}

// newTag is a random token for tags, branches, nonces and Call-IDs.
func newTag() string { return strings.ToLower(rand.Text()[:16]) }
