//go:build race

package media

// raced is set where the race detector watches: sync.Pool loses a quarter of
// what is put back then, and its users allocate.
const raced = true
