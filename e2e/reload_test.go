package e2e

import (
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"perezvon/internal/api"
	"perezvon/internal/lab"
	"perezvon/internal/store"
)

// A trunk moves while a call is up through it: the call stays, the next one
// takes the new way. What is wrong, or needs a restart, changes nothing.
func TestReloadMovesATrunkAndLeavesTheCallThatIsUp(t *testing.T) {
	t.Parallel()
	const number = "+79160000090"
	first, second, manager := newCarrier(t), newCarrier(t), newPhone(t, 0)
	first.Number(number, append(lab.Customer(0), lab.Talk(8*time.Second), lab.Bye()))
	second.Number(number, append(lab.Customer(0), lab.Talk(time.Second), lab.Bye()))
	s := serve(t, setup{trunk: first.Addr().String(), manager: manager.Addr().String()})
	up := s.place(api.CallbackBody{Number: number})
	s.until(up.ID, store.StateTalking, 10*time.Second)

	s.rewrite("ports: ", "port: ")
	if _, err := s.Reload(within(t, 10*time.Second)); err == nil || !strings.Contains(err.Error(), "media.port") {
		t.Errorf("a wrong file: %v", err)
	}
	s.rewrite("port: ", "ports: ")
	s.rewrite("language: ru", "language: en")
	if _, err := s.Reload(within(t, 10*time.Second)); err == nil || !strings.Contains(err.Error(), "language") {
		t.Errorf("what needs a restart: %v", err)
	}
	s.rewrite("language: en", "language: ru")
	s.rewrite(first.Addr().String(), second.Addr().String())
	done, err := s.Reload(within(t, 10*time.Second))
	if err != nil || len(done.Changed) != 1 || done.Changed[0] != "trunks[carrier]" {
		t.Fatalf("changed %q, %v", done.Changed, err)
	}
	if got := s.call(up.ID); got.State != string(store.StateTalking) {
		t.Errorf("the call is %s after the reload, want talking", got.State)
	}
	wantResult(t, s.ended(up.ID, 20*time.Second), store.ResultCompleted, "200")
	next := s.place(api.CallbackBody{Number: number})
	wantResult(t, s.ended(next.ID, 20*time.Second), store.ResultCompleted, "200")
	if n, m := len(first.Calls(number)), len(second.Calls(number)); n != 1 || m != 1 {
		t.Errorf("%d calls through the old way and %d through the new one, want 1 and 1", n, m)
	}

	s.rewrite("+74950000000", "+74950000009")
	s.signal(syscall.SIGHUP)
	eventually(t, 5*time.Second, "SIGHUP has renamed the line", func() bool {
		lines, err := s.Lines(within(t, 5*time.Second))
		return err == nil && len(lines.Lines) > 0 && lines.Lines[0].Number == "+74950000009"
	})
	if status := s.status(t, "/readyz"); status != http.StatusOK {
		t.Errorf("GET /readyz answers %d", status)
	}
	atRest(t, first, second, manager)
	s.clean()
	s.stop()
}
