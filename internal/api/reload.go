package api

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"perezvon/configs"
)

// Reload has the server take up its configuration file anew.
type Reload interface {
	// Reload applies what has changed and names it. An error leaves everything as
	// it was: configs.Errors where the file is wrong, a *RestartError where the
	// server cannot take up a change while it runs.
	Reload(ctx context.Context) (changed []string, err error)
}

// RestartError says that a change of the configuration needs a new start.
type RestartError struct{ Sections []string }

// Error names the sections.
func (e *RestartError) Error() string {
	return "these sections need a restart of the server to change, so that nothing was applied: " + strings.Join(e.Sections, ", ")
}

// settings are what the API takes from the configuration.
type settings struct {
	cfg  *configs.Config
	keys []apiKey
}

func (a *API) cfg() *configs.Config { return a.now.Load().cfg }
func (a *API) keys() []apiKey       { return a.now.Load().keys }

// Reconfigure has requests that come from now on follow another configuration:
// its keys, lines, trunks and extensions.
func (a *API) Reconfigure(cfg *configs.Config) {
	a.now.Store(&settings{cfg: cfg, keys: hashKeys(cfg.HTTP.Keys)})
}

// Reloaded is what a reload has done.
type Reloaded struct {
	Changed []string `json:"changed" nullable:"false" doc:"What is different now, entries of lists by their name; empty: nothing" example:"[\"trunks[provider]\", \"callback\"]"`
}

type (
	reloadOutput struct{ Body Reloaded }
	reloadInput  struct {
		IdempotencyHeader // whatever it says: a reload is safe to repeat
		strictQuery
	}
)

// Resolve checks the parameters.
func (in *reloadInput) Resolve(ctx huma.Context) []error {
	return append(in.strictQuery.Resolve(ctx), in.IdempotencyHeader.Resolve(ctx)...)
}

func (a *API) routeReload(h huma.API) {
	huma.Register(h, secured(huma.Operation{
		OperationID: "reload", Method: http.MethodPost, Path: "/api/v1/reload", Summary: "Apply the configuration file",
		Description: "As SIGHUP does. Only what has changed is touched, calls in progress stay. Trunks, lines, extensions, outgoing, callback, " +
			"limits, drain and http.keys can change so; where anything else is different, or the file has mistakes, nothing is applied.",
		Tags: []string{tagHealth}, Metadata: fails(CodeInvalidConfiguration, CodeRestartNeeded, CodeNotReady),
		Middlewares: huma.Middlewares{a.oneIdempotencyKey},
	}, ScopeAdmin), a.reload)
}

func (a *API) reload(ctx context.Context, _ *reloadInput) (*reloadOutput, error) {
	if a.Reload == nil {
		return nil, newProblem(http.StatusServiceUnavailable, CodeNotReady, "this server has no configuration file to read again")
	}
	changed, err := a.Reload.Reload(ctx)
	wrong, isWrong := errors.AsType[configs.Errors](err)
	_, needsStart := errors.AsType[*RestartError](err)
	switch {
	case isWrong:
		fields := make([]FieldError, 0, len(wrong))
		words := make([]string, 0, len(wrong))
		for _, e := range wrong {
			fields = append(fields, FieldError{e.Path, e.Error()})
			words = append(words, e.Error())
		}
		return nil, newProblem(http.StatusConflict, CodeInvalidConfiguration,
			"the configuration has mistakes, and the running one stays: "+strings.Join(words, "; "), fields...)
	case needsStart:
		return nil, newProblem(http.StatusConflict, CodeRestartNeeded, err.Error())
	case err != nil:
		return nil, newProblem(http.StatusConflict, CodeInvalidConfiguration, err.Error())
	}
	if changed == nil {
		changed = []string{}
	}
	return &reloadOutput{Reloaded{changed}}, nil
}
