package call

import (
	"context"
	"encoding/json"
	"fmt"

	"perezvon/internal/store"
	"perezvon/sip"
)

// DialogStore keeps journalled dialogs. *sqlite.DB is one.
type DialogStore interface {
	SaveDialog(d store.Dialog) *store.Commit
	DeleteDialog(id string) *store.Commit
}

// Journal writes the identifiers of SIP dialogs into the store, so that the
// next process can end what a crash leaves.
type Journal struct{ dialogs DialogStore }

var _ sip.Journal = Journal{}

// NewJournal returns a journal for sip.Config.
func NewJournal(d DialogStore) Journal { return Journal{dialogs: d} }

// SaveDialog stores a dialog; wait returns when it is durable.
func (j Journal) SaveDialog(rec sip.DialogRecord) (wait func(context.Context) error) {
	data, err := json.Marshal(rec)
	if err != nil {
		return func(context.Context) error { return fmt.Errorf("journal dialog: %w", err) }
	}
	return j.dialogs.SaveDialog(store.Dialog{ID: rec.ID, CallID: rec.Ref.Call, LegID: rec.Ref.Leg, Data: data}).Wait
}

// DeleteDialog forgets a dialog that is over.
func (j Journal) DeleteDialog(id string) { j.dialogs.DeleteDialog(id) }
