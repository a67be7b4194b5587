package main

import (
	"os"
	"strings"
	"testing"

	"perezvon/configs"
)

func TestAConfigurationThatIsNoRegularFileIsNotReadAgain(t *testing.T) {
	s := &server{path: os.DevNull}
	s.cfg.Store(&configs.Config{})
	if changed, err := s.Reload(t.Context()); err == nil || !strings.Contains(err.Error(), "is not a regular file") {
		t.Errorf("%v, %v", changed, err)
	}
}
