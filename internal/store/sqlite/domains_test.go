package sqlite

import "testing"

func TestSearchesForJobsAndBlocksUseAnIndex(t *testing.T) {
	d := openIn(t, t.TempDir())
	defer closeDB(t, d)
	noDetour(t, d, map[string][]any{
		readBlock:                              {"1"},
		listBlocks + pageOfBlocks:              {1},
		listBlocks + afterBlock + pageOfBlocks: {1, "1", 1},
		readCount:                              {"1", 1},
		readRate:                               {"1", "1"},
		anyDue:                                 {"1", 1},
		nextDue:                                {"1", 1},
		head:                                   {"1", "1"},
		listJobs:                               {"1", "1", 1, 1},
		countJobs:                              {"1"},
		oldestJobs:                             {"1"},
		deleteDone:                             {1, 1},
		deleteDead:                             {1, 1},
		firstDead + oneDead + ` ORDER BY seq`:  {"1", "1"},
		firstDead + allDead + ` ORDER BY seq`:  {"1", 1},
	}, "SCAN", "TEMP B-TREE")
}
