package e2e

import (
	"encoding/json"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"perezvon/internal/api"
	"perezvon/internal/keep"
	"perezvon/internal/lab"
	"perezvon/internal/store"
)

// prune runs store prune and returns what it says has gone.
func (s *server) prune(flags ...string) keep.Report {
	s.t.Helper()
	cmd := exec.CommandContext(s.t.Context(), program, append([]string{"--config", s.config, "--json", "store", "prune"}, flags...)...)
	cmd.Dir = s.dir
	out, err := cmd.Output()
	var r keep.Report
	if err == nil {
		err = json.Unmarshal(out, &r)
	}
	if err != nil {
		s.t.Fatalf("store prune: %v\n%s", err, out)
	}
	return r
}

func TestARecordingAndThenItsCallGoWhenTheyHaveBeenKeptForLongEnough(t *testing.T) {
	t.Parallel()
	const number = "+79160000130"
	carrier, manager := newCarrier(t), newPhone(t, 0)
	carrier.Number(number, append(lab.Customer(0), lab.Talk(2*time.Second), lab.Bye()))
	s := serve(t, setup{trunk: carrier.Addr().String(), manager: manager.Addr().String(), more: "calls: {keep: 365d}\n"})
	c := s.ended(s.place(api.CallbackBody{Number: number}).ID, 20*time.Second)
	wantResult(t, c, store.ResultCompleted, "200")
	if c.Recording == nil {
		t.Fatal("there is no recording")
	}
	if r := s.prune("--dry-run"); r != (keep.Report{}) {
		t.Errorf("%+v would go of what is new", r)
	}
	s.rewrite("calls: {keep: 365d}", "recordings: {keep: 1ms}")
	want := keep.Report{Recordings: 1, Bytes: c.Recording.Bytes}
	if r := s.prune("--dry-run"); r != want { // while the server runs
		t.Errorf("%+v would go, want %+v", r, want)
	}
	if status := s.status(t, c.Recording.URL); status != http.StatusOK {
		t.Errorf("after a dry run the recording answers %d", status)
	}
	s.stop()
	if r := s.prune(); r != want {
		t.Errorf("%+v went, want %+v", r, want)
	}
	s.start()
	if status := s.status(t, c.Recording.URL); status != http.StatusGone {
		t.Errorf("the recording that has gone answers %d", status)
	}
	c = s.call(c.ID)
	evs := s.events(c.ID)
	if c.Recording == nil || c.Recording.RemovedAt == nil || evs[len(evs)-1].Type != store.EventRecordingRemoved {
		t.Errorf("recording %+v, the last event is %s", c.Recording, evs[len(evs)-1].Type)
	}
	last := evs[len(evs)-1].ID
	s.stop()
	s.rewrite("recordings: {keep: 1ms}", "calls: {keep: 1ms}")
	if r := s.prune(); r != (keep.Report{Expired: store.Expired{Calls: 1}}) {
		t.Errorf("%+v went", r)
	}
	s.start()
	if status := s.status(t, "/api/v1/calls/"+c.ID); status != http.StatusNotFound {
		t.Errorf("the call that has gone answers %d", status)
	}
	next := s.ended(s.place(api.CallbackBody{Number: number}).ID, 20*time.Second)
	if evs = s.events(next.ID); strings.Compare(evs[0].ID, last) <= 0 {
		t.Errorf("event %s comes after %s, which has gone", evs[0].ID, last)
	}
	atRest(t, carrier, manager)
	s.clean()
	s.stop()
}
