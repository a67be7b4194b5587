package configs

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the .want files anew")

// Every testdata/invalid/NAME.yaml has a NAME.want beside it: what an
// administrator reads.
func TestMistakesAreReportedWithPlaceAndAdvice(t *testing.T) {
	t.Setenv("PEREZVON_TEST_EMPTY", "")
	files, err := filepath.Glob("testdata/invalid/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no files", err)
	}
	for _, f := range files {
		t.Run(filepath.Base(f), func(t *testing.T) {
			cfg, err := Load(f, Sources{})
			if err == nil {
				t.Fatalf("accepted: %+v", cfg)
			}
			got := strings.ReplaceAll(err.Error(), "testdata/invalid/", "") + "\n"
			golden := strings.TrimSuffix(f, ".yaml") + ".want"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			for _, secret := range []string{"hunter2", "secret-of", "0123456789abcdef"} {
				if strings.Contains(got, secret) {
					t.Errorf("shows a secret: %s", got)
				}
			}
		})
	}
}
