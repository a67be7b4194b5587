package e2e

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"
)

// Every branch of the call flows, played by the program itself. It goes by the
// clock, so the machine is its own meanwhile: the test is not a parallel one.
func TestSelftestIsGreen(t *testing.T) {
	need(t, "espeak-ng")
	dir := t.TempDir()
	args := []string{"selftest", "--json"}
	if store := testStore(t); store != "sqlite" {
		args = append(args, "--store", store)
	}
	p := launch(t, "perezvon selftest", dir, os.Environ(), program, args...)
	wantGreen(t, p, 100)
	left, err := os.ReadDir(dir)
	if err != nil || len(left) > 0 {
		t.Errorf("it left %v behind (%v)", left, err)
	}
}

// wantGreen expects of a self-test that it plays so many branches at the least
// and finds nothing wrong.
func wantGreen(t *testing.T, p *process, least int) {
	t.Helper()
	status := p.exit(5 * time.Minute)
	var matrix struct {
		OK   bool
		Rows []struct {
			Branch, What, Trouble string
			Expected, Got         json.RawMessage
			OK                    bool
			Wrong                 []string
			Timeline, Ladder      []string
		}
	}
	if err := json.NewDecoder(strings.NewReader(p.out.String())).Decode(&matrix); err != nil {
		t.Fatalf("the matrix cannot be read: %v", err)
	}
	for _, r := range matrix.Rows {
		if !r.OK {
			t.Errorf("%s %s\nexpected %s\ngot      %s\ndiffers  %s\ntrouble  %s\n%s", r.Branch, r.What, r.Expected, r.Got,
				strings.Join(r.Wrong, ", "), r.Trouble, strings.Join(append(r.Timeline, r.Ladder...), "\n"))
		}
	}
	if status != 0 || !matrix.OK {
		t.Errorf("the exit status is %d, ok is %v; want 0 and true", status, matrix.OK)
	}
	if len(matrix.Rows) < least {
		t.Errorf("%d branches were played, want all of them", len(matrix.Rows))
	}
}
