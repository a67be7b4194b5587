package client

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"perezvon/internal/api"
)

// MinPrefix is how much of an id is at least needed to name a call.
const MinPrefix = 6

// ErrBadID is an id that cannot be one.
var ErrBadID = errors.New("an id is 32 hex digits, or at least its first or last 6")

// Find returns the call that an id, or the beginning or the end of one, names.
// A part is looked for among the newest thousand calls and must be that of one
// call only; the error lists the calls that it could be. Ids begin with their
// time, so that the end of one says more.
func (c *Client) Find(ctx context.Context, id string) (api.Call, error) {
	id, err := CleanID(id)
	if err != nil {
		return api.Call{}, err
	}
	if len(id) == 32 {
		return c.Call(ctx, id)
	}
	page, err := c.Calls(ctx, map[string]string{"limit": strconv.Itoa(pageSize)})
	if err != nil {
		return api.Call{}, err
	}
	var found []api.Call
	for _, call := range page.Calls {
		if strings.HasPrefix(call.ID, id) || strings.HasSuffix(call.ID, id) {
			found = append(found, call)
		}
	}
	switch len(found) {
	case 0:
		return api.Call{}, fmt.Errorf("no recent call has an id that begins or ends with %s", id)
	case 1:
		return found[0], nil
	default:
		return api.Call{}, fmt.Errorf("%d calls have an id that begins or ends with %s; write more of it, or the end of it:%s", len(found), id, listed(found))
	}
}

// listed shows calls, one on a line, the first of them.
func listed(calls []api.Call) string {
	const most = 10
	var b strings.Builder
	for i := range calls {
		if i == most {
			fmt.Fprintf(&b, "\n  and %d more", len(calls)-most)
			break
		}
		fmt.Fprintf(&b, "\n  %s  %s  %s", calls[i].ID, calls[i].CreatedAt.Local().Format(time.DateTime), calls[i].Number)
	}
	return b.String()
}

// CleanID reads an id, or a part of one, as people paste it: with
// dashes, in capitals. Its error is ErrBadID.
func CleanID(id string) (string, error) {
	id = strings.ToLower(strings.ReplaceAll(strings.TrimSpace(id), "-", ""))
	if len(id) < MinPrefix || len(id) > 32 || strings.Trim(id, "0123456789abcdef") != "" {
		return "", ErrBadID
	}
	return id, nil
}
