package api

import (
	"context"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// Bans tells who is banned from SIP, and lifts that.
type Bans interface {
	// Bans returns the bans in force, the latest first.
	Bans() []BanState
	// Unban lifts all bans of an address and reports whether there was one.
	Unban(netip.Addr) bool
}

// BanState is a ban.
type BanState struct {
	Address      netip.Addr
	Extension    string // banned there alone; empty: the whole address is
	Reason       string
	Times        int // in a row
	Since, Until time.Time
}

// Ban is an address from which no SIP is taken, or an extension that may not log
// in from there.
type Ban struct {
	Address   string    `json:"address" example:"203.0.113.5"`
	Extension *string   `json:"extension" doc:"The only extension that is banned there; null: everything from the address is" example:"101"`
	Reason    string    `json:"reason" doc:"What it is for, in words" example:"5 wrong passwords within 1m"`
	Times     int       `json:"times" doc:"How many times in a row; each ban lasts twice as long as that before" example:"1"`
	Since     time.Time `json:"since" example:"2027-01-11T09:00:00+03:00"`
	Until     time.Time `json:"until" example:"2027-01-11T09:10:00+03:00"`
}

// BanList is every ban.
type BanList struct {
	Bans []Ban `json:"bans" nullable:"false"`
}

type (
	bansOutput struct{ Body BanList }
	banInput   struct {
		Address string `path:"address" doc:"The address" example:"203.0.113.5"`
		strictQuery
	}
)

const bansPath = "/api/v1/bans"

func (a *API) routeBans(h huma.API) {
	huma.Register(h, secured(huma.Operation{
		OperationID: "list-bans", Method: http.MethodGet, Path: bansPath, Summary: "List who is banned from SIP",
		Description: "The latest first. Bans are for wrong passwords and for messages of strangers that do not stop; a restart of the server ends them.",
		Tags:        []string{tagHealth},
	}, ScopeAdmin), a.listBans)
	huma.Register(h, secured(huma.Operation{
		OperationID: "lift-bans", Method: http.MethodDelete, Path: bansPath + "/{address}", Summary: "Lift the bans of an address",
		Description: "Those of extensions there, too. What led to them is forgotten. Answers with the bans that were lifted.",
		Tags:        []string{tagHealth}, Metadata: fails(CodeBanNotFound),
	}, ScopeAdmin), a.liftBans)
}

func (a *API) listBans(context.Context, *noInput) (*bansOutput, error) {
	return &bansOutput{a.view().bans(a.bansInForce())}, nil
}

func (a *API) bansInForce() []BanState {
	if a.Bans == nil {
		return nil
	}
	return a.Bans.Bans()
}

func (a *API) liftBans(_ context.Context, in *banInput) (*bansOutput, error) {
	ip, err := netip.ParseAddr(in.Address)
	if err != nil || ip.Zone() != "" {
		const detail = "is not an IP address such as 203.0.113.5"
		return nil, newProblem(http.StatusUnprocessableEntity, CodeInvalidRequest, "address: "+detail, FieldError{"address", detail})
	}
	ip = ip.Unmap()
	lifted := slices.DeleteFunc(a.bansInForce(), func(b BanState) bool { return b.Address != ip })
	if a.Bans == nil || !a.Bans.Unban(ip) {
		return nil, newProblem(http.StatusNotFound, CodeBanNotFound, "the address "+ip.String()+" is not banned")
	}
	return &bansOutput{a.view().bans(lifted)}, nil
}

func (v viewer) bans(all []BanState) BanList {
	out := BanList{Bans: make([]Ban, 0, len(all))}
	for _, b := range all {
		out.Bans = append(out.Bans, Ban{
			Address: b.Address.String(), Extension: orNull(b.Extension), Reason: b.Reason, Times: b.Times,
			Since: v.time(b.Since), Until: v.time(b.Until),
		})
	}
	return out
}
