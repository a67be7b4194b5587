package main

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain lets test scripts run the program itself.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"perezvon": main})
}
