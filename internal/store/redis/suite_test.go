package redis

import (
	"path/filepath"
	"sync"
	"testing"

	"perezvon/internal/store/redis/redistest"
	"perezvon/internal/store/storetest"
)

// fakes are the Redises in memory of a suite, one for each folder.
type fakes struct {
	mu sync.Mutex
	of map[string]*redistest.Fake // guarded by mu
}

func (f *fakes) open(t *testing.T, dir string) storetest.Store {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	fake := f.of[dir]
	if fake == nil {
		fake = redistest.NewFake()
		t.Cleanup(fake.Close)
		f.of[dir] = fake
	}
	return openOn(t, dir, Options{URL: "redis://localhost", Dialer: fake.Dial, patience: 100})
}

func openOn(t testing.TB, dir string, opts Options) *DB {
	t.Helper()
	opts.Spool = filepath.Join(dir, "perezvon.db")
	d, err := Open(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestStoreOnRedisInMemory(t *testing.T) {
	f := fakes{of: make(map[string]*redistest.Fake)}
	storetest.Run(t, storetest.Engine{Restless: true, Open: f.open})
}

// A database of the server is a folder's for the whole suite.
func TestStoreOnRedisServer(t *testing.T) {
	var mu sync.Mutex
	of := make(map[string]string)
	storetest.Run(t, storetest.Engine{RealTime: true, Open: func(t *testing.T, dir string) storetest.Store {
		t.Helper()
		mu.Lock()
		defer mu.Unlock()
		if of[dir] == "" {
			of[dir] = shared.URL(int(shared.databases.Add(1)))
		}
		return openOn(t, dir, Options{URL: of[dir], Dialer: shared.Dial, patience: 100})
	}})
}
