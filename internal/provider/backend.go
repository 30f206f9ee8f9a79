package provider

import (
	"context"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// Backend is what the provider needs of jobd. The client of jobd's API is one; tests bring their own. Errors are
// [gaea.Error]s with the codes that jobd's API has.
type Backend interface {
	// WhoAmI tells whose token it is and what it may do.
	WhoAmI(ctx context.Context) (*gaea.Principal, error)

	PutTargetGroup(ctx context.Context, g gaea.TargetGroup) (*gaea.Version[gaea.TargetGroup], error)
	GetTargetGroup(ctx context.Context, ref string) (*gaea.Version[gaea.TargetGroup], error)
	DeleteTargetGroup(ctx context.Context, name string) error

	PutJobTemplate(ctx context.Context, t gaea.JobTemplate) (*gaea.Version[gaea.JobTemplate], error)
	GetJobTemplate(ctx context.Context, ref string) (*gaea.Version[gaea.JobTemplate], error)
	DeleteJobTemplate(ctx context.Context, name string) error

	PutAssignment(ctx context.Context, a gaea.AssignmentInput) (*gaea.Version[gaea.Assignment], error)
	GetAssignment(ctx context.Context, ref string) (*gaea.Version[gaea.Assignment], error)
	DeleteAssignment(ctx context.Context, name string) error

	// Drift reports how an assignment stands by the archive alone.
	Drift(ctx context.Context, assignment string) (*gaea.DriftReport, error)
	// Check reports it after evidence that is older than the request's MaxAge has been renewed by a test run.
	Check(ctx context.Context, assignment string, req gaea.CheckRequest) (*gaea.DriftReport, error)
	// Enforce starts a real run of an assignment, or joins the one that has the key, and does not wait for it.
	Enforce(ctx context.Context, assignment string, req gaea.EnforceRequest, key string) (*gaea.Run, error)

	GetRun(ctx context.Context, id string) (*gaea.Run, error)
	// WaitRun waits until a run and the check after it have ended. Where ctx ends first it returns the run as it was last seen,
	// possibly nil, and an error. progress is called with the run at first and when it has changed; it may be nil.
	WaitRun(ctx context.Context, id string, progress func(*gaea.Run)) (*gaea.Run, error)
	// CancelRun stops a run and does not wait for its end.
	CancelRun(ctx context.Context, id string, req gaea.CancelRequest) (*gaea.Run, error)

	Job(ctx context.Context, jid string) (*gaea.JobDetail, error)
	// JobReturns lists the returns of a job with their bodies, by minion, page by page.
	JobReturns(ctx context.Context, jid string, p gaea.PageRequest) (gaea.Page[gaea.Return], error)
	// FollowJob calls f for each return of a job, stored and to come, and returns nil when every expected minion has returned.
	FollowJob(ctx context.Context, jid string, f func(gaea.Return) error) error
}
