package api

import (
	"context"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"perezvon/internal/store"
)

// DNDBody switches do not disturb.
type DNDBody struct {
	On bool `json:"on" doc:"Whether nobody's call may ring its phones" example:"true"`
}

type (
	dndInput struct {
		Number string `path:"number" doc:"Number of the extension" example:"101"`
		Body   DNDBody
		strictQuery
	}
	extensionOutput struct{ Body Extension }
)

func (a *API) routeDND(h huma.API) {
	huma.Register(h, secured(huma.Operation{
		OperationID: "set-dnd", Method: http.MethodPut, Path: "/api/v1/extensions/{number}/dnd", Summary: "Switch do not disturb",
		Description: "Holds until it is switched again, also after a restart and whatever the configuration says. What rings at the moment rings on.",
		Tags:        []string{tagThings}, MaxBodyBytes: maxBody + 1, Metadata: failsWithBody(CodeExtensionNotFound, CodeNotReady),
	}, ScopeCalls), a.setDND)
}

func (a *API) setDND(ctx context.Context, in *dndInput) (*extensionOutput, error) {
	e := a.cfg().Extension(in.Number)
	err := store.ErrNotFound
	if e != nil {
		err = a.Office.SetDND(ctx, e.Number, in.Body.On)
	}
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, newProblem(http.StatusNotFound, CodeExtensionNotFound, "there is no such extension; GET /api/v1/extensions lists them")
	case err != nil:
		return nil, a.problemOf(ctx, "set do not disturb", err)
	}
	return &extensionOutput{a.extension(e)}, nil
}
