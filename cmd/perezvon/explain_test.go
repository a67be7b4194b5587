package main

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the .txt files anew")

// Every testdata/explain/NAME.json is what call --json printed; NAME.txt is its
// story.
func TestCallsAreToldAsStories(t *testing.T) {
	files, err := filepath.Glob("testdata/explain/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal("no files", err)
	}
	for _, f := range files {
		t.Run(filepath.Base(f), func(t *testing.T) {
			data, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			var c callWithEvents
			if err := json.Unmarshal(data, &c); err != nil {
				t.Fatal(err)
			}
			now := c.CreatedAt
			if n := len(c.Events); n > 0 {
				now = c.Events[n-1].At.Add(500 * time.Millisecond)
			}
			var b strings.Builder
			(&story{out: &console{w: &b}, call: c.Call, events: c.Events, now: now, zone: time.UTC, trace: c.Trace}).tell()
			golden := strings.TrimSuffix(f, ".json") + ".txt"
			if *update {
				if err := os.WriteFile(golden, []byte(b.String()), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), b.String()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
