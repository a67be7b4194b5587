//go:build race

package call_test

// raced is set where the race detector watches.
const raced = true
