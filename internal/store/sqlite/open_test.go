package sqlite

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"perezvon/internal/store"
)

// refused opens path, which must fail with all of wants in the message.
func refused(t *testing.T, path string, wants ...string) {
	t.Helper()
	d, err := Open(t.Context(), path, Options{})
	if err == nil {
		closeDB(t, d)
		t.Fatal("opened")
	}
	for _, want := range append(wants, "open store: ") {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in: %v", want, err)
		}
	}
}

func TestASecondOpenNamesTheFirst(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "perezvon.db")
	d := openIn(t, dir)
	refused(t, path, fmt.Sprintf("another perezvon uses this data folder (pid %d)", os.Getpid()), path+".lock")
	closeDB(t, d)
	closeDB(t, openIn(t, dir))
}

func TestAFailedOpenLetsGoOfTheLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "perezvon.db")
	if err := os.WriteFile(path, []byte(strings.Repeat("no database ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	refused(t, path, path+" is damaged or no database", "restore a backup", ".recover")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	closeDB(t, openIn(t, filepath.Dir(path)))
}

func TestADataFolderThatCannotBeWrittenIsNamed(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	refused(t, filepath.Join(file, "data", "perezvon.db"), "cannot make the data folder "+filepath.Join(file, "data"))
	if err := os.Mkdir(filepath.Join(dir, "perezvon.db"), 0o700); err != nil {
		t.Fatal(err)
	}
	refused(t, filepath.Join(dir, "perezvon.db"), "cannot write "+filepath.Join(dir, "perezvon.db"), "check who owns the data folder")
}

// edit runs SQL on the file of a closed database.
func edit(t *testing.T, path, query string) {
	t.Helper()
	pool, err := openPool(path, 1, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pool.ExecContext(t.Context(), query); err != nil {
		t.Error(err)
	}
	if err := pool.Close(); err != nil {
		t.Error(err)
	}
}

func TestADatabaseOfANewerServerIsLeftAlone(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "perezvon.db")
	closeDB(t, openIn(t, dir))
	edit(t, path, `PRAGMA user_version = 99`)
	refused(t, path, path+" was written by a newer perezvon", "schema is 99")
}

func TestADatabaseOfAnotherProgramIsLeftAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "perezvon.db")
	edit(t, path, `CREATE TABLE other (x)`)
	refused(t, path, path+" is a database of another program")
}

func TestADamagedRecordIsToldAndDoesNoHarmToOthers(t *testing.T) {
	dir := t.TempDir()
	d := openIn(t, dir)
	for _, id := range []string{"good", "bad"} {
		if _, _, err := d.CreateCall(t.Context(), store.Call{ID: id}, store.Admission{}); err != nil {
			t.Fatal(err)
		}
	}
	closeDB(t, d)
	edit(t, filepath.Join(dir, "perezvon.db"), `UPDATE calls SET data = '{' WHERE id = 'bad'`)
	d = openIn(t, dir)
	defer closeDB(t, d)
	if _, err := d.Call(t.Context(), "bad"); err == nil || !strings.Contains(err.Error(), "bad: stored call is damaged") {
		t.Errorf("error %v", err)
	}
	if _, err := d.Call(t.Context(), "good"); err != nil {
		t.Errorf("error %v", err)
	}
}

func TestTheFileIsForItsOwnerOnlyAndMayHaveAnyName(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a b?c#d%41&ж=")
	d := openIn(t, dir)
	defer closeDB(t, d)
	if _, _, err := d.CreateCall(t.Context(), store.Call{ID: "1"}, store.Admission{}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"", "-wal", "-shm", ".lock"} {
		info, err := os.Stat(filepath.Join(dir, "perezvon.db"+name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", info.Name(), info.Mode())
		}
	}
}

func TestCloseLeavesOneFileAndItsLock(t *testing.T) {
	dir := t.TempDir()
	d := openIn(t, dir)
	if _, _, err := d.CreateCall(t.Context(), store.Call{ID: "1"}, store.Admission{}); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Call(t.Context(), "1"); err != nil {
		t.Fatal(err)
	}
	closeDB(t, d)
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(names) != 2 {
		t.Errorf("left are %v, error %v", names, err)
	}
}
