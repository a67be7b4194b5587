package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Status is how the server is. A Health fills in StartedAt, Open, Ended, Ports,
// Speech and the Problems that do not keep it from taking calls; the API knows the
// rest.
type Status struct {
	State     string         `json:"state" doc:"ready, degraded, not_ready or draining" example:"ready"`
	Problems  []Reason       `json:"problems" nullable:"false" doc:"What is wrong; degraded says that calls are taken all the same, not_ready that they are not"`
	Version   string         `json:"version" example:"1.2.3"`
	StartedAt time.Time      `json:"started_at"`
	Open      map[string]int `json:"open" doc:"Calls in progress by state" example:"{\"talking\":2}"`
	Ended     map[string]int `json:"ended" doc:"Calls ended since the start by result" example:"{\"completed\":5}"`
	Ports     Ports          `json:"ports" doc:"Pairs of media ports"`
	Store     StoreStatus    `json:"store" doc:"Where records are kept"`
	Speech    []SpeechEngine `json:"speech" nullable:"false" doc:"How the speech engines are, in the order of the configuration"`
}

// SpeechEngine is how a speech engine is.
type SpeechEngine struct {
	Engine    string     `json:"engine" example:"cloud"`
	State     string     `json:"state" doc:"ready, or resting: it failed and is left alone until a time" example:"ready"`
	Voices    int        `json:"voices" doc:"How many voices are spoken by it" example:"2"`
	Since     *time.Time `json:"since,omitempty" doc:"Since when it rests"`
	Until     *time.Time `json:"until,omitempty" doc:"When it is asked again"`
	LastError string     `json:"last_error,omitempty" doc:"Its last failure, also where it works again" example:"tts.example.com answers 401 Unauthorized"`
	LastAt    *time.Time `json:"last_error_at,omitempty" doc:"When that was"`
}

// StoreStatus is how the store is.
type StoreStatus struct {
	Engine       string     `json:"engine" doc:"sqlite or redis" example:"redis"`
	At           string     `json:"at,omitempty" doc:"Where Redis is" example:"127.0.0.1:6379"`
	Up           bool       `json:"up" doc:"It can be written to"`
	Since        *time.Time `json:"since,omitempty" doc:"Of Redis: since when it is up, or away"`
	Backlog      int64      `json:"backlog" doc:"Changes on this machine's disk that Redis does not have yet" example:"0"`
	BacklogAgeMS int64      `json:"backlog_age_ms" doc:"How old the oldest of them is, milliseconds" example:"0"`
	LastError    string     `json:"last_error,omitempty" doc:"Why Redis was away last" example:"connection refused"`
}

// Ports are the pairs of media ports.
type Ports struct {
	InUse int `json:"in_use" example:"4"`
	Total int `json:"total" example:"10000"`
}

// Reason is what keeps the server from taking calls.
type Reason struct {
	Part   string `json:"part" doc:"Part of the server" example:"store"`
	Detail string `json:"detail" doc:"What is wrong with it" example:"the disk is full"`
}

// Alive is the answer of a probe.
type Alive struct {
	Status   string   `json:"status" doc:"ok, or degraded: calls are taken, but Redis is away, or calls are not recorded for want of room" example:"ok"`
	Problems []Reason `json:"problems,omitempty" nullable:"false" doc:"What does not work"`
}

type aliveOutput struct{ Body Alive }

func (a *API) routeHealth(h huma.API) {
	huma.Register(h, huma.Operation{
		OperationID: "healthz", Method: http.MethodGet, Path: "/healthz", Summary: "Tell that the process lives",
		Description: "For whoever restarts processes that hang.", Tags: []string{tagHealth},
	}, func(context.Context, *noInput) (*aliveOutput, error) { return &aliveOutput{Alive{Status: "ok"}}, nil })
	huma.Register(h, huma.Operation{
		OperationID: "readyz", Method: http.MethodGet, Path: "/readyz", Summary: "Tell whether the server takes calls",
		Description: "For load balancers. `errors` names every part that does not work. While the server takes calls although something is wrong, " +
			"such as Redis that does not answer, the status is 200 and the body says `degraded`. Trunks and speech engines are not looked at: the problems of the status name them.", Tags: []string{tagHealth},
		Metadata: fails(CodeDraining, CodeNotReady),
	}, a.ready)
	scrape := secured(huma.Operation{
		OperationID: "metrics", Method: http.MethodGet, Path: "/metrics", Summary: "Show counters and gauges",
		Description: "In the text format of Prometheus.", Tags: []string{tagHealth},
		Responses: map[string]*huma.Response{"200": {Description: "The metrics", Content: map[string]*huma.MediaType{
			"text/plain": {Schema: &huma.Schema{Type: huma.TypeString}, Example: "perezvon_http_streams 1\n"},
		}}},
	}, ScopeRead)
	h.OpenAPI().AddOperation(&scrape)
	metrics := promhttp.HandlerFor(a.Registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError})
	a.mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, r *http.Request) {
		if _, p := a.authorize(r, ScopeRead); p != nil {
			p.write(w, a.Logger)
			return
		}
		metrics.ServeHTTP(w, r)
	})
}

func (a *API) ready(ctx context.Context, _ *noInput) (*aliveOutput, error) {
	if after, draining := a.Health.Draining(); draining {
		return nil, newProblem(http.StatusServiceUnavailable, CodeDraining,
			"the server is shutting down and takes no new calls").retryAfter(after)
	}
	reasons := a.Health.Unready(ctx)
	if len(reasons) == 0 {
		out := Alive{Status: "ok", Problems: a.Health.Degraded(ctx)}
		if len(out.Problems) > 0 {
			out.Status = "degraded"
		}
		return &aliveOutput{out}, nil
	}
	p := newProblem(http.StatusServiceUnavailable, CodeNotReady, "")
	for _, r := range reasons {
		p.Errors = append(p.Errors, FieldError{r.Part, r.Detail})
	}
	p.Errors = tidy(p.Errors)
	if p.Detail = p.Errors[0].Field + ": " + p.Errors[0].Detail; len(p.Errors) > 1 {
		p.Detail = "several parts are not ready"
	}
	return nil, p.retryAfter(comeBack)
}
