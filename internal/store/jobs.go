package store

import (
	"encoding/json"
	"errors"
	"strings"
	"time"
)

// Job is something to be done later, after all earlier jobs of its lane and
// beside those of other lanes. It is done at least once: whoever does it must
// bear a repetition. Times are kept to the millisecond.
type Job struct {
	ID   string          `json:"id"`   // unique in its kind
	Kind string          `json:"kind"` // who can do it
	Lane string          `json:"lane"`
	Data json.RawMessage `json:"data,omitempty"` // any JSON, may lose white space
	Due  time.Time       `json:"due,omitzero"`   // not claimed before; zero: at once

	// The rest is the engine's.

	State JobState  `json:"state,omitempty"`
	At    time.Time `json:"at,omitzero"`     // when it joined its lane
	Tries int       `json:"tries,omitempty"` // how often it was claimed
	Cause string    `json:"cause,omitempty"` // why the last try failed
	Owner string    `json:"owner,omitempty"` // who claimed it
	Fence int64     `json:"fence,omitempty"` // grows with each claim of any job
	Until time.Time `json:"until,omitzero"`  // when the claim runs out
}

// JobState is where a job is.
type JobState string

// States of a job. One that is done or dead is in no lane any more.
const (
	JobWaiting JobState = "waiting"
	JobClaimed JobState = "claimed" // perhaps by somebody who has died since: see Until
	JobDead    JobState = "dead"    // was given up, see Cause
	JobDone    JobState = "done"    // its id is remembered for a day, its data is not
)

// JobFilter selects jobs of one kind in one state, in the order in which they
// joined their lanes.
type JobFilter struct {
	Kind   string
	State  JobState
	Cursor string // from the previous page
	Limit  int    // 1 to 1000; 0 means 50
}

// JobStats is how much of a kind there is to do.
type JobStats struct {
	Waiting int
	Claimed int
	Dead    int
	Oldest  time.Time // when the oldest of those that wait or are claimed joined its lane; zero: there is none
}

// How long jobs are remembered that are in no lane any more.
const (
	KeepDone = 24 * time.Hour
	KeepDead = 30 * 24 * time.Hour
)

// DueMillis is the first millisecond since 1970 that is not before t, zero for
// the zero time: what is due then is not early.
func DueMillis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Add(time.Millisecond - 1).UnixMilli()
}

// Check says whether the job can be kept.
func (j *Job) Check() error {
	for what, s := range map[string]string{"id": j.ID, "kind": j.Kind, "lane": j.Lane} {
		if s == "" {
			return errors.New("job without " + what)
		}
		if strings.ContainsRune(s, 0) {
			return errors.New("job with a zero byte in its " + what)
		}
	}
	if j.Data != nil && !json.Valid(j.Data) {
		return errors.New("job whose data is no JSON")
	}
	if !j.Due.IsZero() && (j.Due.Year() < 1970 || j.Due.Year() > 2261) {
		return errors.New("job that is due at no time that can be kept")
	}
	return nil
}
