package api

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"perezvon/configs"
)

// Scopes of a key.
const (
	ScopeCallback = "callback" // place callbacks
	ScopeInfocall = "infocall" // place informational calls
	ScopeCalls    = "calls"    // see calls, place and control them, choose who is rung
	ScopeRead     = "read"     // see everything
	ScopeAdmin    = "admin"    // everything
)

// apiKey is a configured key. Only its hash is kept: comparing hashes takes
// the same time however much of a guess is right.
type apiKey struct {
	hash [sha256.Size]byte
	client
}

// client is who asks.
type client struct {
	name   string // of the key; "local client" where no keys are configured
	scopes []string
	lines  []string // empty: all
}

func hashKeys(keys []configs.APIKey) []apiKey {
	out := make([]apiKey, 0, len(keys))
	for _, k := range keys {
		out = append(out, apiKey{
			hash:   sha256.Sum256([]byte(k.Key.Reveal())),
			client: client{name: k.Name, scopes: k.Scopes, lines: k.Lines},
		})
	}
	return out
}

// may reports whether the client has one of the scopes.
func (c *client) may(scopes ...string) bool {
	return slices.ContainsFunc(c.scopes, func(s string) bool {
		return s == ScopeAdmin || slices.Contains(scopes, s)
	})
}

// sees reports whether the client may know of a line's calls.
func (c *client) sees(line string) bool {
	return len(c.lines) == 0 || slices.Contains(c.lines, line)
}

type clientKey struct{}

// clientOf returns who asks. Handlers that are reached without a key get a
// client that may do nothing.
func clientOf(ctx context.Context) *client {
	if c, ok := ctx.Value(clientKey{}).(*client); ok {
		return c
	}
	return &client{}
}

// secured describes an operation that needs one of the scopes.
func secured(op huma.Operation, scopes ...string) huma.Operation {
	if op.Metadata == nil {
		op.Metadata = map[string]any{}
	}
	op.Metadata[metaScopes] = scopes
	op.Security = []map[string][]string{{"key": {}}}
	return op
}

// authenticate lets those pass who have a scope that the operation asks for.
// Operations without scopes are open.
func (a *API) authenticate(ctx huma.Context, next func(huma.Context)) {
	scopes := metadata(ctx.Operation(), metaScopes)
	if len(scopes) == 0 {
		next(ctx)
		return
	}
	r, w := humago.Unwrap(ctx)
	c, p := a.authorize(r, scopes...)
	if p != nil {
		p.write(w, a.Logger)
		return
	}
	next(huma.WithValue(ctx, clientKey{}, c))
}

// authorize finds the key of a request and checks what it may do.
func (a *API) authorize(r *http.Request, scopes ...string) (*client, *Problem) {
	c, p := a.identify(r)
	if p == nil && !c.may(scopes...) {
		p = newProblem(http.StatusForbidden, CodeScopeMissing,
			"the key "+c.name+" needs the scope "+strings.Join(scopes, " or "))
	}
	return c, p
}

// identify finds the key of a request. Without configured keys the guard has
// already seen that the client is local, and it may do everything.
func (a *API) identify(r *http.Request) (*client, *Problem) {
	if len(a.keys()) == 0 {
		return localClient(), nil
	}
	values := r.Header.Values("Authorization")
	if len(values) == 0 {
		return nil, newProblem(http.StatusUnauthorized, CodeKeyMissing,
			"send a key: Authorization: Bearer KEY").with("WWW-Authenticate", "Bearer")
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	token = strings.TrimSpace(token)
	if len(values) > 1 || !strings.EqualFold(scheme, "Bearer") || token == "" {
		return nil, newProblem(http.StatusUnauthorized, CodeKeyMissing,
			"send one key, like this: Authorization: Bearer KEY").with("WWW-Authenticate", "Bearer")
	}
	c := a.find(token)
	if c == nil {
		return nil, newProblem(http.StatusUnauthorized, CodeKeyUnknown,
			"the key is not known here").with("WWW-Authenticate", `Bearer error="invalid_token"`)
	}
	return c, nil
}

// localClient is who asks where no keys are configured.
func localClient() *client { return &client{name: "local client", scopes: []string{ScopeAdmin}} }

// find compares the token with every key, whatever it finds on the way.
func (a *API) find(token string) *client {
	var (
		hash  = sha256.Sum256([]byte(token))
		found *client
	)
	keys := a.keys()
	for i := range keys {
		if subtle.ConstantTimeCompare(hash[:], keys[i].hash[:]) == 1 {
			found = &keys[i].client
		}
	}
	return found
}

// proxyHeaders betray that somebody forwarded the request, so that its
// address says nothing about who asks.
var proxyHeaders = [...]string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip", "Via"}

// local refuses whoever is not a program on this machine. It guards an API
// without keys: against other machines, proxies, and web pages in a browser
// here (another origin, or a foreign name that resolves to this machine).
func local(r *http.Request) *Problem {
	addr, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !addr.Addr().Unmap().IsLoopback() {
		return newProblem(http.StatusForbidden, CodeLoopbackOnly,
			"without http.keys in the configuration only this machine may ask; add a key to open the API")
	}
	for _, name := range proxyHeaders {
		if len(r.Header.Values(name)) > 0 {
			return newProblem(http.StatusForbidden, CodeForwarded,
				"the request was forwarded ("+name+"); behind a proxy http.keys must be configured")
		}
	}
	if !localHost(r.Host) {
		return newProblem(http.StatusForbidden, CodeLoopbackOnly,
			"the host in the request is not this machine; ask 127.0.0.1, or configure http.keys")
	}
	if err := http.NewCrossOriginProtection().Check(r); err != nil {
		return newProblem(http.StatusForbidden, CodeCrossOrigin,
			"a web page of another origin may not use an API without keys; configure http.keys")
	}
	return nil
}

// localHost reports whether a Host header can only mean this machine: a
// loopback address or a name that no public DNS holds.
func localHost(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.Trim(host, "[]")
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Unmap().IsLoopback()
	}
	return !strings.Contains(strings.TrimSuffix(host, "."), ".") || strings.HasSuffix(host, ".localhost")
}
