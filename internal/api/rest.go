package api

import (
	"net/http"
	"time"

	"perezvon/configs"
	"perezvon/internal/api/bitrix"
)

// routeRest serves the methods of Bitrix24's REST that clients know already.
func (a *API) routeRest() {
	rest := bitrix.New(bitrix.Options{
		Calls: a.Calls, Records: a.Records, Settings: func() *configs.Config { return a.cfg() },
		Zone: func() *time.Location { return a.Zone }, Identify: a.identifyRest,
		Scopes: bitrix.Scopes{
			Callback: []string{ScopeCallback}, Infocall: []string{ScopeInfocall}, Read: []string{ScopeRead, ScopeCalls},
		},
		Draining: func() bool {
			_, draining := a.Health.Draining()
			return draining
		},
		Logger: a.Logger,
	})
	a.mux.Handle("GET /rest/", rest)
	a.mux.Handle("POST /rest/", rest)
}

// identifyRest finds who holds a key. Without configured keys it is whoever
// asks from this machine, but no web page: there a GET places calls, which
// browsers send wherever a page tells them to.
func (a *API) identifyRest(r *http.Request, key string) bitrix.Client {
	if len(a.keys()) > 0 {
		if c := a.find(key); c != nil && key != "" {
			return restClient{c}
		}
		return nil
	}
	unsafe := r.Clone(r.Context())
	unsafe.Method = http.MethodPost
	if http.NewCrossOriginProtection().Check(unsafe) != nil {
		return nil
	}
	return restClient{localClient()}
}

// restClient is a client as the compatible REST asks for it.
type restClient struct{ c *client }

func (r restClient) Name() string              { return r.c.name }
func (r restClient) May(scopes ...string) bool { return r.c.may(scopes...) }
func (r restClient) Sees(line string) bool     { return r.c.sees(line) }
