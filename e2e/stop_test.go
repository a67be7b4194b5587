package e2e

import (
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"perezvon/internal/api"
	"perezvon/internal/lab"
	"perezvon/internal/store"
)

// SIGTERM ends the server when the talk in progress is over; who asks for a
// new one meanwhile is told to come again.
func TestSIGTERMLetsTheTalkFinish(t *testing.T) {
	t.Parallel()
	customers, manager := newCarrier(t), newPhone(t, 0)
	const number = "+79160000080"
	customers.Number(number, append(lab.Customer(0), lab.Talk(4*time.Second), lab.Bye()))
	s := serve(t, setup{trunk: customers.Addr().String(), manager: manager.Addr().String()})
	call := s.place(api.CallbackBody{Number: number})
	s.until(call.ID, store.StateTalking, 10*time.Second)
	s.signal(syscall.SIGTERM)

	eventually(t, 2*time.Second, "GET /readyz answers 503", func() bool { return s.status(t, "/readyz") == http.StatusServiceUnavailable })
	s.signal(syscall.SIGHUP) // is no reason to drop who talks
	eventually(t, 5*time.Second, "the configuration is read again", func() bool { return strings.Contains(s.out.String(), "the configuration was read again") })
	if status := s.status(t, "/healthz"); status != http.StatusOK {
		t.Errorf("GET /healthz answers %d while draining, want 200", status)
	}
	res, err := http.Post(s.url("/api/v1/callbacks"), "application/json", strings.NewReader(`{"line":"main","number":"+79160000081"}`))
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("a new callback is answered %d while draining, want 503", res.StatusCode)
	}
	if after, err := strconv.Atoi(res.Header.Get("Retry-After")); err != nil || after < 1 {
		t.Errorf("Retry-After is %q, want seconds", res.Header.Get("Retry-After"))
	}
	if got := s.call(call.ID); got.State != string(store.StateTalking) {
		t.Errorf("the call is %s while draining, want talking", got.State)
	}
	if status := s.exit(20 * time.Second); status != 0 {
		t.Errorf("the exit status is %d, want 0", status)
	}
	atRest(t, customers, manager)
	customer := customers.Calls(number)[0]
	if d := customer.HeardFor(lab.ManagerTone); d < 3500*time.Millisecond {
		t.Errorf("the customer heard the manager for %s, want the whole talk of 4 s", d)
	}
	if _, left := customer.Event(lab.ByeSent); !left {
		t.Errorf("the customer did not end the talk: %v", customer.Timeline())
	}

	s.start()
	wantResult(t, s.ended(call.ID, 5*time.Second), store.ResultCompleted, "200")
	s.stop()
}

// When the limit of draining is over, the talk is hung up and the server ends.
func TestDrainLimitHangsUp(t *testing.T) {
	t.Parallel()
	customers, manager := newCarrier(t), newPhone(t, 0)
	const number = "+79160000082"
	customers.Number(number, lab.Customer(0))
	s := serve(t, setup{trunk: customers.Addr().String(), manager: manager.Addr().String(), drain: "1s"})
	call := s.place(api.CallbackBody{Number: number})
	s.until(call.ID, store.StateTalking, 10*time.Second)
	s.signal(syscall.SIGTERM)
	if status := s.exit(20 * time.Second); status != 1 {
		t.Errorf("the exit status is %d, want 1: not everything could finish", status)
	}
	atRest(t, customers, manager)
	wantWords(t, s.out.String(), "the limit was reached", "hung up: 1")

	s.start()
	ended := s.ended(call.ID, 5*time.Second)
	wantResult(t, ended, store.ResultCompleted, "200")
	if got := value(ended.HangupBy); got != string(store.PartyUs) {
		t.Errorf("hung up by %q, want us", got)
	}
	if n := len(customers.Parties()); n != 1 {
		t.Errorf("the customer was called %d times, want once", n)
	}
	s.stop()
}

// status is what a path is answered with.
func (s *server) status(t *testing.T, path string) int {
	t.Helper()
	res, err := http.Get(s.url(path))
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	return res.StatusCode
}
