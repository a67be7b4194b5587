package api

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"perezvon/internal/route"
	"perezvon/internal/store"
)

// Blocked knows the numbers that informational calls are not placed to.
type Blocked interface {
	// BlockedNumbers returns a page, those that were blocked last first, and the
	// cursor of the next one. A foreign cursor is store.ErrBadCursor.
	BlockedNumbers(ctx context.Context, f store.BlockFilter) ([]store.Block, string, error)
	// Unblock returns the block that it took away; store.ErrNotFound where there
	// is none. by names who asked.
	Unblock(ctx context.Context, number, by, reason string) (store.Block, error)
}

// BlockedNumber is a number that informational calls are not placed to.
type BlockedNumber struct {
	Number    string    `json:"number" example:"+74950000001"`
	Failures  int       `json:"failures" doc:"Attempts in a row that were not answered" example:"10"`
	Reason    string    `json:"reason" doc:"Why the last one was not" example:"486 Busy Here"`
	BlockedAt time.Time `json:"blocked_at" example:"2027-01-11T09:00:00+03:00"`
}

// BlockedList is a page of blocked numbers, those that were blocked last first.
type BlockedList struct {
	BlockedNumbers []BlockedNumber `json:"blocked_numbers" nullable:"false"`
	Next           string          `json:"next,omitempty" doc:"Cursor of the next page; left out on the last" example:"MTc5Ny0wMS0x"`
}

type (
	blockedInput struct {
		Cursor string `query:"cursor" doc:"next of the page before"`
		Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"50" doc:"Numbers per page"`
		strictQuery
	}
	unblockInput struct {
		Number string `path:"number" doc:"The number" example:"+74950000001"`
		Reason string `query:"reason" required:"true" doc:"Why it is called again, up to 500 characters" example:"the customer has asked for it"`
		strictQuery
	}
	blockedListOutput struct{ Body BlockedList }
	blockedOutput     struct{ Body BlockedNumber }
)

// maxReason is the longest reason, in characters.
const maxReason = 500

// Resolve checks that there is a reason.
func (in *unblockInput) Resolve(ctx huma.Context) []error {
	errs := in.strictQuery.Resolve(ctx)
	given := in.Reason
	in.Reason = strings.TrimSpace(given)
	switch n := utf8.RuneCountInString(in.Reason); {
	case n == 0 && given != "": // that there is none is said already
		errs = append(errs, badField("reason", "must say why, in at least one character"))
	case n > maxReason:
		errs = append(errs, badField("reason", "must be at most 500 characters"))
	}
	return errs
}

const blockedPath = "/api/v1/blocked-numbers"

func (a *API) routeBlocked(h huma.API) {
	huma.Register(h, secured(huma.Operation{
		OperationID: "list-blocked-numbers", Method: http.MethodGet, Path: blockedPath, Summary: "List the numbers that are not called any more",
		Description: "Informational calls to them are answered with code 423 at once. Those that were blocked last come first.",
		Tags:        []string{tagInfocalls},
	}, ScopeRead, ScopeInfocall), a.listBlocked)
	huma.Register(h, secured(huma.Operation{
		OperationID: "unblock-number", Method: http.MethodDelete, Path: blockedPath + "/{number}", Summary: "Let a number be called again",
		Description: "Its failed attempts are counted anew. Who did it and why is logged. Answers with the block that was taken away.",
		Tags:        []string{tagInfocalls}, Metadata: fails(CodeBlockNotFound, CodeNotReady),
	}, ScopeAdmin), a.unblock)
}

func (a *API) listBlocked(ctx context.Context, in *blockedInput) (*blockedListOutput, error) {
	out := BlockedList{BlockedNumbers: []BlockedNumber{}}
	if a.Blocked == nil {
		return &blockedListOutput{out}, nil
	}
	all, next, err := a.Blocked.BlockedNumbers(ctx, store.BlockFilter{Cursor: in.Cursor, Limit: in.Limit})
	switch {
	case errors.Is(err, store.ErrBadCursor):
		return nil, badCursor("cursor")
	case err != nil:
		return nil, a.problemOf(ctx, "list blocked numbers", err)
	}
	for _, b := range all {
		out.BlockedNumbers = append(out.BlockedNumbers, a.view().blocked(b))
	}
	out.Next = next
	return &blockedListOutput{out}, nil
}

// unblock takes the number as it would be dialled and, where that is not
// blocked, as it is written: lines of raw trunks keep it so.
func (a *API) unblock(ctx context.Context, in *unblockInput) (*blockedOutput, error) {
	numbers := []string{in.Number}
	if e164, err := route.NewNumbers(a.cfg().Region, a.cfg().Limits.Destinations).Parse(in.Number); err == nil && e164 != in.Number {
		numbers = []string{e164, in.Number}
	}
	for _, number := range numbers {
		if a.Blocked == nil {
			break
		}
		switch b, err := a.Blocked.Unblock(ctx, number, clientOf(ctx).name, in.Reason); {
		case err == nil:
			return &blockedOutput{a.view().blocked(b)}, nil
		case !errors.Is(err, store.ErrNotFound):
			return nil, a.problemOf(ctx, "unblock number", err)
		}
	}
	return nil, newProblem(http.StatusNotFound, CodeBlockNotFound, "the number "+numbers[0]+" is not blocked")
}

func (v viewer) blocked(b store.Block) BlockedNumber {
	return BlockedNumber{Number: b.Number, Failures: b.Failures, Reason: b.Reason, BlockedAt: v.time(b.BlockedAt)}
}
