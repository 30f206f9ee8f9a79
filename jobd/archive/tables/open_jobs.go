package tables

// OpenJob notes that a job waits for minions, where it does. Returns that come then, and words that stand for one (see
// gaea.Outcome.Heard), are only counted, without a look at whether their minions were expected; when as many have come it is
// asked again. What is materialized is counted once: a database would count it for the condition, and again for the column.
const OpenJob = `INSERT INTO open_jobs (job_id, started, missing) WITH o AS MATERIALIZED (
	SELECT j.id, j.started, (SELECT count(DISTINCT s.minion_id) FROM job_minions m JOIN minion_set_members s ON s.set_id = m.set_id
		WHERE m.job_id = j.id AND m.role = 0 AND NOT EXISTS (SELECT 1 FROM returns r WHERE r.job_id = j.id AND r.minion_id = s.minion_id)) AS missing
	FROM jobs j WHERE j.id = ?) SELECT id, started, missing FROM o WHERE missing > 0`

// fromOpenJobs are the jobs that wait for minions.
func (d *Dialect) fromOpenJobs() string {
	return ` FROM open_jobs o ` + d.FirstJoin + ` jobs j ON j.id = o.job_id` + jobTables + d.SameJob("n", "j")
}
