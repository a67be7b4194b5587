package sip

import (
	"cmp"
	"context"
)

// Roles and states of a DialogRecord.
const (
	RoleUAC        = "uac" // we sent the INVITE
	RoleUAS        = "uas" // we got it
	StateEarly     = "early"
	StateConfirmed = "confirmed"
)

// DialogRecord is everything that is needed to end a dialog after a crash, and
// what its requests are built from while it lives. It is a value and goes
// through JSON unharmed.
type DialogRecord struct {
	ID          string    `json:"id"` // the local tag; of a fork that is not wanted with the remote one behind it
	CallID      string    `json:"call_id"`
	LocalTag    string    `json:"local_tag"`
	RemoteTag   string    `json:"remote_tag,omitempty"`
	LocalURI    string    `json:"local_uri"`  // "display" <uri>, without tag
	RemoteURI   string    `json:"remote_uri"` // same
	Contact     string    `json:"contact"`    // our Contact
	Target      string    `json:"target"`     // the peer's, or the Request-URI before there is one
	RouteSet    []string  `json:"route_set,omitempty"`
	ViaSentBy   string    `json:"via_sent_by"` // host:port
	Branch      string    `json:"branch"`      // of the INVITE
	Vias        []string  `json:"vias,omitempty"`
	InviteCSeq  uint32    `json:"invite_cseq"`
	CSeq        uint32    `json:"cseq"`                // the last one we used
	RemoteCSeq  uint32    `json:"remote_cseq"`         // the last one of the peer, 0: none
	Destination string    `json:"destination"`         // ip:port requests go to
	Transport   string    `json:"transport,omitempty"` // tcp or tls; empty: udp
	Listener    string    `json:"listener"`            // our socket of that transport, which requests over UDP leave from
	Trunk       string    `json:"trunk,omitempty"`
	Role        string    `json:"role"`
	State       string    `json:"state"`
	Ref         DialogRef `json:"ref"`
}

// transport is how the dialog's requests go: records of earlier versions do not
// say.
func (r *DialogRecord) transport() string { return cmp.Or(r.Transport, transportUDP) }

// from takes how we appear to the peer of the dialog.
func (r *DialogRecord) from(p standpoint) {
	r.Transport, r.Listener, r.ViaSentBy = p.transport, p.listener, p.sentBy
	if r.Transport == transportUDP {
		r.Transport = ""
	}
}

// follow takes the target of another state of the record, and the way there.
func (r *DialogRecord) follow(to DialogRecord) {
	r.Target, r.Destination = to.Target, to.Destination
	r.Transport, r.Listener, r.ViaSentBy = to.Transport, to.Listener, to.ViaSentBy
}

// Journal keeps DialogRecords where they outlive the process. Its methods must
// not block for long and are called from many goroutines.
type Journal interface {
	// SaveDialog writes or replaces the record of this ID and returns a
	// function that waits until it is durable.
	SaveDialog(rec DialogRecord) (wait func(ctx context.Context) error)
	// DeleteDialog forgets a dialog that is over.
	DeleteDialog(id string)
}

// noJournal stands in where none is configured.
type noJournal struct{}

func (noJournal) SaveDialog(DialogRecord) func(context.Context) error {
	return func(context.Context) error { return nil }
}
func (noJournal) DeleteDialog(string) {}
