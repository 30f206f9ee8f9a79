package gaea

import "errors"

// ImportReport is what became of a job cache that was imported into the archive.
type ImportReport struct {
	Master      string       `json:"master" doc:"the master's name in the archive"`
	Path        string       `json:"path" doc:"the directory that was read"`
	Jobs        int          `json:"jobs" doc:"jobs that were read"`
	Returns     int          `json:"returns" doc:"returns that were read"`
	NewJobs     int          `json:"new_jobs" doc:"of the jobs, those that the archive did not have, or not how they were published"`
	NewReturns  int          `json:"new_returns" doc:"of the returns, those that the archive did not have"`
	Unread      []UnreadFile `json:"unread" doc:"what could not be read or stored, at most 1000"`
	UnreadCount int          `json:"unread_count" doc:"how many that are"`
}

// MaxUnread is how many files an ImportReport names at most.
const MaxUnread = 1000

// UnreadFile is a part of a job cache that is not in the archive.
type UnreadFile struct {
	Path   string `json:"path" doc:"a file or a directory; or what the archive refuses"`
	Reason string `json:"reason"`
}

// Skip adds what could not be read or stored, with the cause of the error: nobody logs it here, and whoever imports may read the
// job cache anyway.
func (r *ImportReport) Skip(path string, err error) {
	if r.UnreadCount++; len(r.Unread) < MaxUnread {
		if e, ok := errors.AsType[*Error](err); ok { // what was done around it says less than the path
			err = e
		}
		r.Unread = append(r.Unread, UnreadFile{Path: path, Reason: err.Error()})
	}
}
