package provider

import (
	"context"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/jobdclient"
)

// Backend is what the provider needs of a jobd, or of what stands in for one: [jobdBackend] is a jobd, direct.Backend is the
// engine in this process, tests bring their own. Errors are [gaea.Error]s with the codes that jobd's API has.
type Backend interface {
	// Direct says that there is no jobd: definitions are kept by nobody but Terraform, and what runs here goes on only as long
	// as this process does.
	Direct() bool
	// WhoAmI tells whose token it is and what it may do.
	WhoAmI(ctx context.Context) (*gaea.Principal, error)

	// Get methods return the latest version of a definition. They are given the definition as it stands in Terraform's state:
	// a jobd goes by its name, and without one it is all there is. CodeNotFound.

	PutTargetGroup(ctx context.Context, g gaea.TargetGroup) (*gaea.Version[gaea.TargetGroup], error)
	GetTargetGroup(ctx context.Context, known gaea.TargetGroup) (*gaea.Version[gaea.TargetGroup], error)
	DeleteTargetGroup(ctx context.Context, name string) error

	PutJobTemplate(ctx context.Context, t gaea.JobTemplate) (*gaea.Version[gaea.JobTemplate], error)
	GetJobTemplate(ctx context.Context, known gaea.JobTemplate) (*gaea.Version[gaea.JobTemplate], error)
	DeleteJobTemplate(ctx context.Context, name string) error

	PutAssignment(ctx context.Context, a gaea.AssignmentInput) (*gaea.Version[gaea.Assignment], error)
	GetAssignment(ctx context.Context, known gaea.Assignment) (*gaea.Version[gaea.Assignment], error)
	DeleteAssignment(ctx context.Context, name string) error

	// Memory is what is to be kept with an assignment's resource in Terraform's state and given to Recall by later processes,
	// before they check it: JSON that only the backend understands. A jobd remembers by itself and says nil.
	Memory(ctx context.Context, assignment string) ([]byte, error)
	Recall(ctx context.Context, assignment string, memory []byte) error

	// Drift reports how an assignment stands by the archive alone.
	Drift(ctx context.Context, assignment string) (*gaea.DriftReport, error)
	// Check reports it after evidence that is older than the request's MaxAge has been renewed by a test run.
	Check(ctx context.Context, assignment string, req gaea.CheckRequest) (*gaea.DriftReport, error)
	// Enforce starts a real run of an assignment, or joins the one that has the key, and does not wait for it.
	Enforce(ctx context.Context, assignment string, req gaea.EnforceRequest, key string) (*gaea.Run, error)

	// CreateRun starts a run, or returns the one that was made with the key within a day, and does not wait for it.
	CreateRun(ctx context.Context, req gaea.RunRequest, key string) (*gaea.Run, error)
	// ForgetKey frees the key that a run was made with; the run stays. No error where there is no such run or key.
	ForgetKey(ctx context.Context, runID string) error
	GetRun(ctx context.Context, id string) (*gaea.Run, error)
	// WaitRun waits until a run and the check after it have ended. Where ctx ends first it returns the run as it was last seen,
	// possibly nil, and an error. progress is called with the run at first and when it has changed; it may be nil.
	WaitRun(ctx context.Context, id string, progress func(*gaea.Run)) (*gaea.Run, error)
	// CancelRun stops a run and does not wait for its end.
	CancelRun(ctx context.Context, id string, req gaea.CancelRequest) (*gaea.Run, error)
	// LeaveRun is told that nobody here waits for a run any longer, and returns it as it stands. A jobd goes on with it. Without
	// one the minions that were told go on, and nobody else is told.
	LeaveRun(ctx context.Context, id string) (*gaea.Run, error)

	Job(ctx context.Context, jid string) (*gaea.JobDetail, error)
	// JobReturns lists the returns of a job with their bodies, by minion, page by page.
	JobReturns(ctx context.Context, jid string, p gaea.PageRequest) (gaea.Page[gaea.Return], error)
	// FollowJob calls f for each return of a job, stored and to come, and returns nil when every expected minion has returned.
	FollowJob(ctx context.Context, jid string, f func(gaea.Return) error) error
}

// jobdBackend is a jobd.
type jobdBackend struct{ *jobdclient.Client }

func (jobdBackend) Direct() bool { return false }

func (b jobdBackend) GetTargetGroup(ctx context.Context, known gaea.TargetGroup) (*gaea.Version[gaea.TargetGroup], error) {
	return b.Client.GetTargetGroup(ctx, known.Name)
}

func (b jobdBackend) GetJobTemplate(ctx context.Context, known gaea.JobTemplate) (*gaea.Version[gaea.JobTemplate], error) {
	return b.Client.GetJobTemplate(ctx, known.Name)
}

func (b jobdBackend) GetAssignment(ctx context.Context, known gaea.Assignment) (*gaea.Version[gaea.Assignment], error) {
	return b.Client.GetAssignment(ctx, known.Name)
}

func (b jobdBackend) LeaveRun(ctx context.Context, id string) (*gaea.Run, error) {
	return b.GetRun(ctx, id)
}

func (jobdBackend) Memory(context.Context, string) ([]byte, error) { return nil, nil }

func (jobdBackend) Recall(context.Context, string, []byte) error { return nil }
