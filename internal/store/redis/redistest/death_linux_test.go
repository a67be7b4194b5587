package redistest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// envParent has the test be the process that starts a server and is killed.
const envParent = "REDISTEST_PARENT"

func TestAServerDiesWithItsParent(t *testing.T) {
	if os.Getenv(envParent) != "" {
		s, err := Start()
		if err != nil {
			t.Fatal(err)
		}
		fmt.Println("folder", s.Dir())
		_, _ = io.Copy(io.Discard, os.Stdin) // until it is killed
		return
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), envParent+"=1")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.Close() }()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	dir, found := strings.CutPrefix(strings.TrimSpace(line), "folder ")
	if err != nil || !found {
		t.Fatalf("it says %q, error %v", line, err)
	}
	s := &Server{dir: dir}
	defer func() { _ = s.Stop() }()
	if !s.ready() {
		t.Error("the server does not answer")
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it tells that it was killed
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for s.ready() {
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			t.Fatal("the server outlives who has started it")
		}
	}
}
