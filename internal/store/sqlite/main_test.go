package sqlite

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"perezvon/internal/store"
)

// childEnv names the part that a child process of the tests plays.
const childEnv = "PEREZVON_STORE_CHILD"

func TestMain(m *testing.M) {
	part, path, found := strings.Cut(os.Getenv(childEnv), ":")
	if !found {
		goleak.VerifyTestMain(m)
		return
	}
	var err error
	switch part {
	case "writer":
		err = childWriter(path, Options{})
	case "spool":
		err = childWriter(path, Options{Outbox: true})
	case "limited":
		err = childLimited(path)
	default:
		err = fmt.Errorf("unknown part %q", part)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// child prepares this test binary to run again as another process.
func child(t *testing.T, part, path string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), childEnv+"="+part+":"+path)
	cmd.Stderr = os.Stderr
	return cmd
}

// childWriter writes until it is killed. It prints a line for each write once
// that is said to be durable.
func childWriter(path string, opts Options) error {
	ctx := context.Background()
	d, err := Open(ctx, path, opts)
	if err != nil {
		return err
	}
	var mu sync.Mutex // for whole lines
	say := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		_, _ = fmt.Printf(format+"\n", args...)
	}
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := 0; ; i++ {
				c := store.Call{ID: fmt.Sprintf("%d-%d-%d", os.Getpid(), w, i), Kind: store.KindCallback, Line: "l"}
				c.Number = c.ID
				if _, _, err := d.CreateCall(ctx, c, store.Admission{}); err == nil {
					say("call %s", c.ID)
				}
				for n := range 3 {
					c.TalkMS = int64(n)
					if err := d.SaveCall(c, store.Event{Type: fmt.Sprint(n)}).Wait(ctx); err == nil {
						say("event %s %d", c.ID, n)
					}
				}
				if err := d.SaveDialog(store.Dialog{ID: c.ID}).Wait(ctx); err == nil {
					say("dialog %s", c.ID)
				}
			}
		})
	}
	wg.Wait()
	return nil
}

// childLimited writes until the system lets its files grow no further, then
// has the limit raised and writes on.
func childLimited(path string) error {
	signal.Ignore(unix.SIGXFSZ) // the write is to fail, not the process
	ctx := context.Background()
	d, err := Open(ctx, path, Options{})
	if err != nil {
		return err
	}
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &old); err != nil {
		return err
	}
	limit := unix.Rlimit{Cur: 1 << 20, Max: old.Max}
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	c := store.Call{Reason: strings.Repeat("x", 100_000)}
	stored := 0
	save := func() error {
		c.ID = fmt.Sprint(stored)
		err := d.SaveCall(c, store.Event{Type: c.ID}).Wait(ctx)
		if err == nil {
			stored++
		}
		return err
	}
	// The first failure has the log folded into the file, which makes room
	// once more; the second one in a row is for good.
	failed := 0
	for range 1000 {
		if err = save(); err == nil {
			failed = 0
		} else if failed++; failed == 2 {
			break
		}
	}
	fmt.Printf("failed after %d: %v\n", stored, err)
	fmt.Printf("still failing: %v\n", save() != nil)
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &old); err != nil {
		return err
	}
	fmt.Printf("ping afterwards: %v\n", d.Ping(ctx))
	fmt.Printf("save afterwards: %v\n", save())
	evs, _, err := d.Events(ctx, store.EventFilter{Limit: 1000})
	fmt.Printf("events: %d of %d, %v\n", len(evs), stored, err)
	return d.Close()
}

// lines reads a child's lines until n have come or it ends.
func lines(s *bufio.Scanner, n int) []string {
	var out []string
	for len(out) < n && s.Scan() {
		out = append(out, s.Text())
	}
	return out
}
